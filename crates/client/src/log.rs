//! Following the log of a plan or an apply while it is written.
//!
//! A log is one run of bytes between STX (0x02) and ETX (0x03), read by `?limit=N&offset=N`; a read past what is
//! written is answered 200 with nothing. Ferroform holds such a read until there is something; other servers answer at
//! once, and then this side waits, longer each time. Source: the official SDK's log reader.
//!
//! The end is ETX as the last byte *and* a plan or apply that has ended: a lone 0x03 in a program's output ends
//! nothing. A log without STX, or one whose writer died before ETX, ends when the phase has ended and a read that was
//! begun after that found nothing.

use crate::{Client, Error, PhaseStatus, Result};
use bytes::Bytes;
use kernel::{
    Secret,
    ids::{ApplyId, PlanId},
};
use std::time::Duration;
use tokio::time::Instant;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// Bytes asked for at once.
const LIMIT: usize = 65_536;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// With STX seen, the phase is only looked at once the pauses have grown to this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whose log is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A plan.
    Plan(PlanId),
    /// An apply.
    Apply(ApplyId),
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plan(id) => id.fmt(f),
            Self::Apply(id) => id.fmt(f),
        }
    }
}

/// Reads a log to its end, chunk by chunk.
pub struct LogFollower {
    client: Client,
    phase: Phase,
    url: Option<Secret>,
    offset: u64,
    begun: bool,
    /// An ETX that came last and may turn out to be content.
    held: bool,
    /// The phase has ended; the next empty read is the last.
    over: bool,
    ended: bool,
    pause: Duration,
}

impl Client {
    /// Follows the log of a plan or an apply from its beginning.
    pub fn follow_log(&self, phase: Phase) -> LogFollower {
        LogFollower {
            client: self.clone(),
            phase,
            url: None,
            offset: 0,
            begun: false,
            held: false,
            over: false,
            ended: false,
            pause: FIRST_PAUSE,
        }
    }
}

impl LogFollower {
    /// The next bytes without their framing; `None` at the end. Dropping the future loses nothing: the same bytes are
    /// asked for again.
    ///
    /// # Errors
    /// [`Error::Refused`] when the phase or its log cannot be read; an address that has expired is renewed first.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let Some(url) = self.url.clone() else {
                self.locate().await?;
                continue;
            };
            let asked = Instant::now();
            let bytes = match self.read(&url).await {
                Ok(bytes) => bytes,
                // Addresses expire (after 25 hours on TFE); the phase hands out a new one.
                Err(error) if matches!(error.status(), Some(401 | 403 | 404 | 410)) => {
                    self.renew(&url, error).await?
                }
                Err(error) => return Err(error),
            };
            if !bytes.is_empty() {
                self.pause = FIRST_PAUSE;
                let content = self.unframe(bytes);
                if self.held && self.status().await?.0.is_terminal() {
                    self.ended = true;
                }
                if !content.is_empty() {
                    return Ok(Some(content));
                }
                continue;
            }
            self.nothing_new(asked).await?;
        }
        Ok(None)
    }

    /// After an empty read: is the phase over, and if not, how long to wait.
    async fn nothing_new(&mut self, asked: Instant) -> Result<()> {
        if self.over {
            self.ended = true;
            return Ok(());
        }
        let held_by_server = asked.elapsed() >= FIRST_PAUSE;
        if self.held || !self.begun || held_by_server || self.pause >= PATIENCE {
            let (status, _) = self.status().await?;
            if status.is_terminal() {
                // What was written between the empty read and the end of the phase is still to be read.
                self.over = true;
                return Ok(());
            }
        }
        if !held_by_server {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 3 / 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Waits until the server says where the log is; a phase that never began has none.
    async fn locate(&mut self) -> Result<()> {
        let (status, url) = self.status().await?;
        self.url = url;
        if self.url.is_none() {
            if status.is_terminal() {
                self.ended = true;
                return Ok(());
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 3 / 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    async fn renew(&mut self, old: &Secret, error: Error) -> Result<Bytes> {
        let (_, new) = self.status().await?;
        match new {
            Some(new) if new != *old => {
                let bytes = self.read(&new).await?;
                self.url = Some(new);
                Ok(bytes)
            }
            _ => Err(error),
        }
    }

    async fn status(&self) -> Result<(PhaseStatus, Option<Secret>)> {
        Ok(match &self.phase {
            Phase::Plan(id) => {
                let plan = self.client.plan(id).await?;
                (plan.status, plan.log_read_url)
            }
            Phase::Apply(id) => {
                let apply = self.client.apply(id).await?;
                (apply.status, apply.log_read_url)
            }
        })
    }

    async fn read(&self, url: &Secret) -> Result<Bytes> {
        let mark = if url.expose().contains('?') { '&' } else { '?' };
        let url = Secret::new(format!("{}{mark}limit={LIMIT}&offset={}", url.expose(), self.offset));
        Ok(self.client.get_url(url.expose(), &format!("GET of the log of {}", self.phase)).await?.body)
    }

    /// Counts the bytes and takes off STX and ETX.
    fn unframe(&mut self, bytes: Bytes) -> Bytes {
        let mut content = bytes;
        if std::mem::take(&mut self.held) {
            // Bytes after what looked like the end: it was content.
            content = [&[ETX], &content[..]].concat().into();
            self.offset -= 1;
        }
        let first = self.offset == 0;
        self.offset += u64::try_from(content.len()).unwrap_or(0);
        if first && content.first() == Some(&STX) {
            self.begun = true;
            content = content.slice(1..);
        }
        if self.begun && content.last() == Some(&ETX) {
            self.held = true;
            content.truncate(content.len() - 1);
        }
        content
    }
}
