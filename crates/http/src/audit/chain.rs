//! From the rows that changes left to the chain: one link after the other, in batches.
//!
//! Each entry has the number after the one before, that one's hash, and the SHA-256 over both, its own text and its sealed
//! documents. Both ends of the chain stand in a row of their own, under a hash that needs the root key. A chain whose ends
//! are not genuine is continued and stays so: nothing that was done to it is covered up.

use super::{
    Entry,
    entry::{self, Changes},
};
use crate::{App, Error, Result};
use blob::keys::{DataKey, RootKey};
use bytes::Bytes;
use db::{Arg, AssertSqlSafe, FromRow, Tx, args};
use kernel::Timestamp;
use ring::digest;
use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The hash before the first entry.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How long entries may wait for others, so that a batch of them costs one commit.
const GATHER: Duration = Duration::from_secs(1);
/// Entries that wait for no others.
const MANY: usize = 256;
/// Rows looked at in one go.
const BATCH: i64 = 500;
/// Rows of one statement.
const ROWS: usize = 50;
/// How long whoever reads the trail waits for documents that are being read for it.
const SOON: Duration = Duration::from_secs(2);

/// What came of a request.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) after: Option<Bytes>,
}

enum State {
    Open,
    Finishing,
    Done(Outcome),
}

/// What the trail keeps in memory: the requests that are not in the chain yet.
pub struct Trail {
    requests: Mutex<HashMap<Arc<str>, State>>,
    /// Something was answered.
    answered: Notify,
    /// Many things were.
    many: Notify,
    /// Held by whoever moves rows.
    turn: tokio::sync::Mutex<()>,
    key: DataKey,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trail")
    }
}

#[derive(FromRow)]
struct Pending {
    request_id: String,
    entry: String,
    earlier: Option<Vec<u8>>,
}

/// Both ends of the chain.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Ends {
    pub(super) first_sequence: i64,
    pub(super) first_previous: String,
    pub(super) last_sequence: i64,
    pub(super) last_hash: String,
    pub(super) mark: String,
}

impl Ends {
    fn none() -> Self {
        Self {
            first_sequence: 1,
            first_previous: GENESIS.to_owned(),
            last_sequence: 0,
            last_hash: GENESIS.to_owned(),
            mark: String::new(),
        }
    }

    fn text(&self) -> String {
        format!(
            "audit {} {} {} {}",
            self.first_sequence, self.first_previous, self.last_sequence, self.last_hash
        )
    }

    pub(super) fn is_genuine(&self, app: &App) -> bool {
        app.hasher.verify(&self.text(), &self.mark)
    }

    pub(super) async fn read(app: &App) -> Result<Option<Self>> {
        let sql = "SELECT first_sequence, first_previous, last_sequence, last_hash, mark FROM audit_chain WHERE id = 1";
        app.db.one(sql, vec![]).await
    }

    /// Stores what became of `self`; whoever else changed the row in between is noticed.
    async fn become_in(&self, tx: &mut Tx, app: &App, mut next: Self) -> Result<()> {
        next.mark = if self.is_new() || self.is_genuine(app) {
            app.hasher.hash(&next.text())
        } else {
            tracing::error!("the ends of the audit trail were altered; see `ferroform audit verify`");
            self.mark.clone()
        };
        let values = args![
            next.first_sequence,
            &next.first_previous,
            next.last_sequence,
            &next.last_hash,
            &next.mark,
            self.last_sequence
        ];
        let sql = "UPDATE audit_chain SET first_sequence = $1, first_previous = $2, last_sequence = $3, last_hash = $4, \
                   mark = $5 WHERE id = 1 AND last_sequence = $6";
        if self.is_new() {
            let insert =
                "INSERT INTO audit_chain (id, first_sequence, first_previous, last_sequence, last_hash, mark)
                          VALUES (1, $1, $2, $3, $4, $5)";
            tx.exec(insert, values[..5].to_vec()).await?;
        } else if tx.exec(sql, values).await? == 0 {
            return Err(Error::conflict("somebody else has continued the audit trail"));
        }
        Ok(())
    }

    fn is_new(&self) -> bool {
        self.mark.is_empty() && self.last_sequence == 0
    }
}

/// A link, ready to be stored.
struct Link {
    sequence: i64,
    entry: Entry,
    text: String,
    changes: Vec<u8>,
    previous: String,
    hash: String,
}

impl Trail {
    /// A trail with nothing in memory.
    pub fn new(root: &RootKey) -> Self {
        Self {
            requests: Mutex::default(),
            answered: Notify::new(),
            many: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            key: DataKey::of_installation(root, "audit-trail"),
        }
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, State>> {
        self.requests.lock().expect("no holder of this lock panics")
    }

    pub(super) fn open(&self, id: &Arc<str>) {
        self.requests().insert(id.clone(), State::Open);
    }

    pub(super) fn finishing(&self, id: &Arc<str>) {
        self.requests().insert(id.clone(), State::Finishing);
    }

    pub(super) fn done(&self, id: &Arc<str>, outcome: Outcome) {
        let waiting = {
            let mut requests = self.requests();
            requests.insert(id.clone(), State::Done(outcome));
            requests.len()
        };
        self.answered.notify_waiters();
        self.answered.notify_one();
        if waiting >= MANY {
            self.many.notify_one();
        }
    }

    pub(super) fn forget(&self, id: &Arc<str>) {
        self.requests().remove(id);
    }

    /// The earlier document, as it waits in the database. What may be kept of it is looked for later: here a request waits.
    pub(super) fn seal(&self, app: &App, id: &str, document: &[u8]) -> Vec<u8> {
        self.key.seal(&app.env, &format!("audit-earlier:{id}"), document)
    }

    pub(super) fn open_changes(&self, id: &str, sealed: &[u8]) -> Result<Changes> {
        let text = self.key.open(&format!("audit:{id}"), sealed).map_err(Error::internal)?;
        serde_json::from_slice(&text).map_err(Error::internal)
    }

    /// Moves into the chain whatever was answered before. Returns how many entries.
    ///
    /// # Errors
    /// When the database does not answer; what was not moved is moved later.
    pub async fn flush(&self, app: &App) -> Result<usize> {
        let _turn = self.turn.lock().await;
        // Another's failure to tell is no reason to wait for ever.
        let _ = timeout(SOON, self.all_read()).await;
        let mut moved = 0;
        loop {
            let (looked_at, linked) = self.batch(app).await?;
            moved += linked;
            if looked_at < BATCH as usize || linked == 0 {
                return Ok(moved);
            }
        }
    }

    async fn all_read(&self) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if !self.requests().values().any(|state| matches!(state, State::Finishing)) {
                return;
            }
            answered.await;
        }
    }

    async fn batch(&self, app: &App) -> Result<(usize, usize)> {
        let settled: Vec<Arc<str>> = {
            let requests = self.requests();
            let done = requests.iter().filter(|(_, state)| matches!(state, State::Done(_)));
            done.map(|(id, _)| id.clone()).collect()
        };
        let sql =
            "SELECT request_id, entry, earlier FROM audit_pending ORDER BY created_at, request_id LIMIT $1";
        let rows: Vec<Pending> = app.db.all(sql, args![BATCH]).await?;
        let looked_at = rows.len();
        let ready: Vec<(Pending, Outcome)> = {
            let requests = self.requests();
            let outcome = |row: &Pending| match requests.get(row.request_id.as_str()) {
                Some(State::Open | State::Finishing) => None,
                Some(State::Done(outcome)) => Some(outcome.clone()),
                // Of a process that ended before it had answered.
                None => Some(Outcome { status: None, after: None }),
            };
            rows.into_iter().filter_map(|row| outcome(&row).map(|outcome| (row, outcome))).collect()
        };
        let linked = ready.len();
        if linked > 0 {
            self.link(app, ready).await?;
        }
        if looked_at < BATCH as usize {
            // A commit that was tried and failed has left no row.
            let mut requests = self.requests();
            for id in settled {
                requests.remove(&id);
            }
        }
        Ok((looked_at, linked))
    }

    async fn link(&self, app: &App, ready: Vec<(Pending, Outcome)>) -> Result<()> {
        let ends = Ends::read(app).await?.unwrap_or_else(Ends::none);
        let ids: Vec<String> = ready.iter().map(|(row, _)| row.request_id.clone()).collect();
        let mut links = Vec::with_capacity(ready.len());
        let (mut sequence, mut previous) = (ends.last_sequence, ends.last_hash.clone());
        for (row, outcome) in ready {
            let Some((mut entry, changes)) = self.complete(&row, outcome) else { continue };
            name(app, &mut entry).await?;
            sequence += 1;
            let text = serde_json::to_string(&entry).map_err(Error::internal)?;
            let sealed = self.key.seal(
                &app.env,
                &format!("audit:{}", entry.id),
                &serde_json::to_vec(&changes).map_err(Error::internal)?,
            );
            let hash = hash(&previous, sequence, &text, &sealed);
            let link = Link { sequence, entry, text, changes: sealed, previous, hash };
            previous = link.hash.clone();
            links.push(link);
        }
        let mut tx = app.db.begin().await?;
        for some in links.chunks(ROWS) {
            insert(&mut tx, some).await?;
        }
        for some in ids.chunks(ROWS) {
            let sql = format!("DELETE FROM audit_pending WHERE request_id IN ({})", places(1, some.len()));
            tx.exec(AssertSqlSafe(sql), some.iter().map(Arg::from).collect()).await?;
        }
        let next = Ends { last_sequence: sequence, last_hash: previous, ..ends.clone() };
        ends.become_in(&mut tx, app, next).await?;
        tx.commit().await?;
        let mut requests = self.requests();
        for id in &ids {
            requests.remove(id.as_str());
        }
        Ok(())
    }

    /// The whole entry and its documents; nothing for a row that no program of ours has written.
    fn complete(&self, row: &Pending, outcome: Outcome) -> Option<(Entry, Changes)> {
        let mut entry: Entry = match serde_json::from_str(&row.entry) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(%error, request = row.request_id, "an entry of the audit trail cannot be read");
                return None;
            }
        };
        let aad = format!("audit-earlier:{}", row.request_id);
        let before = row.earlier.as_ref().and_then(|sealed| self.key.open(&aad, sealed).ok());
        let changes = Changes {
            before: before.map(|document| entry::document(&document)).unwrap_or_default(),
            after: outcome.after.map(|document| entry::document(&document)).unwrap_or_default(),
        };
        // A command has no answer; that it is here says that it was carried out.
        entry.status = outcome.status.or(entry.status.filter(|_| entry.is_command()));
        entry.shown_by(&changes);
        Some((entry, changes))
    }
}

/// Teams and organizations act as synthetic users, whose names the request did not need.
async fn name(app: &App, entry: &mut Entry) -> Result<()> {
    if let Some(who) = &mut entry.who
        && who.name.is_none()
    {
        let sql = "SELECT username FROM users WHERE id = $1";
        let found: Option<(String,)> = app.db.one(sql, args![&who.id]).await?;
        who.name = found.map(|(name,)| name);
    }
    Ok(())
}

fn places(first: usize, count: usize) -> String {
    let mut text = String::new();
    for n in first..first + count {
        let _ = write!(text, "{}${n}", if n == first { "" } else { ", " });
    }
    text
}

async fn insert(tx: &mut Tx, links: &[Link]) -> Result<()> {
    const COLUMNS: usize = 12;
    let rows: Vec<String> =
        (0..links.len()).map(|n| format!("({})", places(1 + n * COLUMNS, COLUMNS))).collect();
    let sql = format!(
        "INSERT INTO audit_events (sequence, id, created_at, organization_id, actor_id, operation, resource_type,
                                   resource_id, entry, changes, previous, hash) VALUES {}",
        rows.join(", ")
    );
    let values = links.iter().flat_map(|link| {
        let entry = &link.entry;
        args![
            link.sequence,
            &entry.id,
            entry.at,
            entry.organization.clone(),
            entry.who.as_ref().map(|who| who.id.clone()),
            &entry.operation,
            &entry.resource.kind,
            &entry.resource.id,
            &link.text,
            link.changes.clone(),
            &link.previous,
            &link.hash,
        ]
    });
    tx.exec(AssertSqlSafe(sql), values.collect()).await.map(drop)
}

/// The hash of an entry: over the one before, its number, its text and the hash of its sealed documents.
pub(super) fn hash(previous: &str, sequence: i64, text: &str, changes: &[u8]) -> String {
    let changes = hex(digest::digest(&digest::SHA256, changes).as_ref());
    let whole = format!("{previous}\n{sequence}\n{text}\n{changes}");
    hex(digest::digest(&digest::SHA256, whole.as_bytes()).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Moves rows into the chain as long as the server lives, beginning with those that an earlier process left.
pub async fn keep_chaining(app: App) {
    loop {
        if let Err(error) = app.audit.flush(&app).await {
            tracing::warn!(%error, "the audit trail could not be continued; its entries wait in the database");
        }
        tokio::select! {
            () = app.audit.answered.notified() => {}
            () = app.closing() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = app.audit.many.notified() => {}
            () = app.closing() => return,
        }
    }
}

/// Removes the oldest entries: those made before `until`, up to the first that was not. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(app: &App, until: Timestamp) -> Result<u64> {
    let _turn = app.audit.turn.lock().await;
    let Some(ends) = Ends::read(app).await? else { return Ok(0) };
    let kept: Option<(Option<i64>,)> =
        app.db.one("SELECT MIN(sequence) FROM audit_events WHERE created_at >= $1", args![until]).await?;
    let first = kept.and_then(|(sequence,)| sequence).unwrap_or(ends.last_sequence + 1);
    if first <= ends.first_sequence {
        return Ok(0);
    }
    let mut next = Ends { first_sequence: first, first_previous: ends.last_hash.clone(), ..ends.clone() };
    let before: Option<(String,)> =
        app.db.one("SELECT previous FROM audit_events WHERE sequence = $1", args![first]).await?;
    if let Some((previous,)) = before {
        next.first_previous = previous;
    }
    let mut tx = app.db.begin().await?;
    let gone = tx.exec("DELETE FROM audit_events WHERE sequence < $1", args![first]).await?;
    ends.become_in(&mut tx, app, next).await?;
    tx.commit().await?;
    Ok(gone)
}
