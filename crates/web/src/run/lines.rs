//! The lines of a log, as a page numbers them: found once, kept while somebody looks, and added to while the log grows.

use super::{
    ansi::{self, Style},
    engine,
    kept::Kept,
    model::Phase,
    tree::contains,
};
use crate::visit::Visit;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Lines of a chunk.
pub(super) const CHUNK: usize = 250;
/// What frames a log.
const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// How long a page waits for the newest part of a log that grows.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than the API holds a read of a log that has nothing to say.
const HELD: Duration = Duration::from_secs(60);
/// Bytes from which on finding the lines is no work for a serving thread.
const LARGE: usize = 256 << 10;

/// A log in lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Whether lines of JSON stay so.
    raw: bool,
    /// Bytes of the framed log that are in here.
    seen: usize,
    /// What is not yet a line.
    rest: Vec<u8>,
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
    /// In which style each chunk begins.
    styles: Vec<Style>,
    /// In which style the last line ends.
    style: Style,
    /// Whether nothing comes any more.
    pub(super) done: bool,
}

impl Lines {
    pub(super) fn new(raw: bool) -> Self {
        Self { raw, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Adds what a read from this offset on has answered, less what is here already.
    fn take(&mut self, offset: usize, bytes: &[u8]) {
        let new = bytes.get(self.seen.saturating_sub(offset)..).unwrap_or_default();
        self.seen += new.len();
        for piece in new.split_inclusive(|byte| *byte == b'\n') {
            let begins =
                if self.seen == new.len() { piece.strip_prefix(&[STX]).unwrap_or(piece) } else { piece };
            let (text, ended) = match begins.strip_suffix(&[ETX]) {
                Some(text) => (text, true),
                None => (begins, false),
            };
            self.rest.extend_from_slice(text);
            if self.rest.last() == Some(&b'\n') || (ended && !self.rest.is_empty()) {
                let line = std::mem::take(&mut self.rest);
                self.line(&String::from_utf8_lossy(&line));
            }
            self.done |= ended;
        }
    }

    fn line(&mut self, line: &str) {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        match if self.raw { None } else { engine::text(line) } {
            Some(text) => text.split('\n').for_each(|line| self.push(line)),
            None => self.push(line),
        }
    }

    fn push(&mut self, line: &str) {
        if self.starts.len().is_multiple_of(CHUNK) {
            self.styles.push(self.style);
        }
        self.style = ansi::after(self.style, line);
        self.starts.push(self.text.len());
        // What a terminal would have written over.
        self.text.extend(line.rsplit('\r').next());
        self.text.push('\n');
    }

    /// A line, by its number less one.
    pub(super) fn get(&self, index: usize) -> &str {
        let end = self.starts.get(index + 1).map_or(self.text.len(), |next| *next);
        self.text[self.starts[index]..end].trim_end_matches('\n')
    }

    /// Lines as HTML; `link` is the address of the log up to a line's number.
    pub(super) fn show(&self, range: Range<usize>, link: &str) -> Markup {
        let first = range.start / CHUNK * CHUNK;
        let mut style = self.styles.get(first / CHUNK).copied().unwrap_or_default();
        for index in first..range.start {
            style = ansi::after(style, self.get(index));
        }
        html! {
            @for index in range {
                @let number = index + 1;
                div.printed id={ "L" (number) } {
                    a href={ (link) (number) "#L" (number) } { (number) }
                    span { (ansi::show(&mut style, self.get(index))) }
                }
            }
        }
    }

    /// The numbers less one of lines in which a text is, as many as are asked for, and how many there are.
    pub(super) fn find(&self, text: &str, most: usize) -> (Vec<usize>, usize) {
        let mut found = Vec::new();
        let mut count = 0;
        for index in 0..self.len() {
            if contains(&ansi::plain(self.get(index)), text) {
                count += 1;
                if found.len() < most {
                    found.push(index);
                }
            }
        }
        (found, count)
    }

    /// The errors that the engine has drawn boxes around: the lines of each.
    pub(super) fn errors(&self) -> Vec<Range<usize>> {
        let mut errors = Vec::new();
        let mut begun = None;
        for index in 0..self.len() {
            let line = self.get(index);
            if !line.contains(['╷', '╵']) {
                continue;
            }
            match ansi::plain(line).trim() {
                "╷" => begun = Some(index),
                "╵" => {
                    if let Some(begun) = begun.take()
                        && (begun..index).take(3).any(|line| ansi::plain(self.get(line)).contains("Error:"))
                    {
                        errors.push(begun + 1..index);
                    }
                }
                _ => {}
            }
        }
        errors
    }
}

/// A log that several may look at.
pub(super) type Shared = Arc<Mutex<Lines>>;

pub(super) fn lock(lines: &Shared) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

static LOGS: Kept<Mutex<Lines>> = Kept::new(16, 128 << 20);

/// The log of a phase with all that is there now. The caller has read the phase.
pub(super) async fn of_phase(visit: &Visit, phase: &Seen<Phase>, raw: bool) -> Result<Shared> {
    let key = format!("{} {raw}", phase.id);
    let lines = LOGS.find(&key).unwrap_or_else(|| Arc::new(Mutex::new(Lines::new(raw))));
    // One that grows is asked for what there is already, too: a read of what is not there would wait for it.
    let (done, from) = {
        let lines = lock(&lines);
        (lines.done, lines.seen.saturating_sub(1))
    };
    if !done {
        grow(visit, phase, &lines, from, PATIENCE).await?;
        // One that was begun anew, and is shorter than what was known of it.
        if phase.is_over() && !lock(&lines).done {
            *lock(&lines) = Lines::new(raw);
            grow(visit, phase, &lines, 0, PATIENCE).await?;
        }
        let weight = lock(&lines).text.len();
        LOGS.keep(&key, lines.clone(), weight);
    }
    Ok(lines)
}

/// Adds what there is of the log from an offset on; where there is nothing yet, waits for it for so long at most.
async fn grow(
    visit: &Visit,
    phase: &Seen<Phase>,
    lines: &Shared,
    from: usize,
    patience: Duration,
) -> Result<()> {
    let url = phase.log_read_url.as_deref().ok_or(Error::NotFound)?;
    let url = url.strip_prefix(&visit.app.settings.url).unwrap_or(url);
    let path = format!("{url}?offset={from}");
    let Ok(bytes) = tokio::time::timeout(patience, visit.bytes(&path)).await else { return Ok(()) };
    let (bytes, lines) = (bytes?, lines.clone());
    if bytes.len() < LARGE {
        lock(&lines).take(from, &bytes);
        return Ok(());
    }
    tokio::task::spawn_blocking(move || lock(&lines).take(from, &bytes)).await.map_err(Error::internal)
}

/// Waits until a log has more than so many lines, or is done, or for a while.
pub(super) async fn more_than(
    visit: &Visit,
    phase: &Seen<Phase>,
    lines: &Shared,
    known: usize,
) -> Result<()> {
    let from = {
        let lines = lock(lines);
        if lines.done || lines.len() > known {
            return Ok(());
        }
        lines.seen
    };
    grow(visit, phase, lines, from, HELD).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(lines: &Lines) -> Vec<&str> {
        (0..lines.len()).map(|index| lines.get(index)).collect()
    }

    #[test]
    fn a_log_is_the_same_in_whatever_pieces_it_comes() {
        let log = "\x02first\nsecond \u{e9}\r\n\n10%\r20%\nlast\x03".as_bytes();
        for size in 1..log.len() {
            let mut lines = Lines::new(false);
            for (n, piece) in log.chunks(size).enumerate() {
                // Each read begins one byte before what is known.
                let from = (n * size).saturating_sub(1);
                lines.take(from, &log[from..n * size + piece.len()]);
            }
            assert_eq!(whole(&lines), ["first", "second é", "", "20%", "last"], "{size}");
            assert!(lines.done);
            lines.take(0, log);
            assert_eq!(lines.len(), 5);
        }
    }

    #[test]
    fn lines_are_numbered_and_begin_in_the_style_of_those_before() {
        let mut lines = Lines::new(false);
        lines.take(0, b"\x02a\x1b[31mb\nc\x1b[0md\n");
        let shown = lines.show(1..2, "?line=").into_string();
        assert_eq!(
            shown,
            "<div class=\"printed\" id=\"L2\"><a href=\"?line=2#L2\">2</a><span><span class=\"k1\">c</span>d</span></div>"
        );
        assert!(!lines.done);
    }

    #[test]
    fn text_is_found_whatever_its_case_and_without_its_colours() {
        let mut lines = Lines::new(false);
        lines.take(0, b"\x02one\nT\x1b[1mw\x1b[0mo\nthree two\n\x03");
        assert_eq!(lines.find("two", 10), (vec![1, 2], 2));
        assert_eq!(lines.find("TWO", 1), (vec![1], 2));
    }

    #[test]
    fn errors_are_found_by_the_boxes_around_them() {
        let log = "\x02fine\n\x1b[33m╷\x1b[0m\n│ Warning: w\n╵\n\x1b[31m╷\x1b[0m\n│ Error: no such bucket\n│ \n│ detail\n╵\n\x03";
        let mut lines = Lines::new(false);
        lines.take(0, log.as_bytes());
        assert_eq!(lines.errors(), vec![5..8]);
    }
}
