//! Following a phase's log file: new bytes are masked and handed to the server as they appear.

use crate::{
    job::{Control, Counts, Job},
    mask::Masker,
};
use aho_corasick::AhoCorasick;
use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Read},
    sync::LazyLock,
};

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 16;

/// A position in a log file that is being written.
pub(crate) struct Tail {
    file: File,
    masker: Masker,
    buffer: Vec<u8>,
    counts: Option<Counts>,
}

impl Tail {
    /// Starts at the beginning of the file.
    pub(crate) fn new(file: File, masker: Masker) -> Self {
        Self { file, masker, buffer: vec![0; CHUNK], counts: None }
    }

    /// Hands over whole lines that have been written since the last call; `true` when there may be more. It stops now and
    /// then, because an engine may write faster than this reads.
    pub(crate) fn pump(&mut self, control: &dyn Control, job: &Job) -> io::Result<bool> {
        for _ in 0..CHUNKS {
            let read = match self.file.read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut shown = Vec::with_capacity(read);
            self.masker.push(&self.buffer[..read], &mut shown);
            self.hand_over(shown, control, job);
        }
        Ok(true)
    }

    /// The file has got its last byte: hands over what is left, and then `last`, text that the runner itself adds.
    pub(crate) fn finish(&mut self, last: &[u8], control: &dyn Control, job: &Job) -> io::Result<()> {
        while self.pump(control, job)? {}
        let mut shown = Vec::new();
        self.masker.push(last, &mut shown);
        self.masker.finish(&mut shown);
        self.hand_over(shown, control, job);
        Ok(())
    }

    /// What the engine said it has changed, as far as the log has been read.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.unwrap_or_default()
    }

    /// The text with all values hidden.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.masker.text(text)
    }

    fn hand_over(&mut self, shown: Vec<u8>, control: &dyn Control, job: &Job) {
        if shown.is_empty() {
            return;
        }
        self.counts = find_counts(&shown).or(self.counts);
        control.log(job, Bytes::from(shown));
    }
}

/// The numbers in the engine's last summary of an apply, from either form of its output.
fn find_counts(lines: &[u8]) -> Option<Counts> {
    static SUMMARIES: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::new(["Apply complete! Resources: ", r#""type":"change_summary""#])
            .expect("two short patterns make an automaton")
    });
    SUMMARIES.find_iter(lines).filter_map(|found| summary(lines, found.start())).last()
}

fn summary(lines: &[u8], at: usize) -> Option<Counts> {
    let start = lines[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = lines[at..].iter().position(|byte| *byte == b'\n').map_or(lines.len(), |length| at + length);
    let line = str::from_utf8(&lines[start..end]).ok()?;
    if line.starts_with('{') { from_json(line) } else { from_text(line) }
}

fn from_json(line: &str) -> Option<Counts> {
    #[derive(serde::Deserialize)]
    struct Line {
        changes: Changes,
    }
    #[derive(serde::Deserialize)]
    struct Changes {
        #[serde(default)]
        add: u32,
        #[serde(default)]
        change: u32,
        #[serde(default)]
        import: u32,
        #[serde(default)]
        remove: u32,
        operation: String,
    }
    let Line { changes } = serde_json::from_str(line).ok()?;
    (changes.operation != "plan").then_some(Counts {
        additions: changes.add,
        changes: changes.change,
        destructions: changes.remove,
        imports: changes.import,
    })
}

/// `Apply complete! Resources: 1 imported, 2 added, 3 changed, 4 destroyed.`
fn from_text(line: &str) -> Option<Counts> {
    let (_, list) = line.split_once("Resources: ")?;
    let mut counts = Counts::default();
    for part in list.split([',', '.']) {
        let Some((number, word)) = part.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse() else { continue };
        match word {
            "added" => counts.additions = number,
            "changed" => counts.changes = number,
            "destroyed" => counts.destructions = number,
            "imported" => counts.imports = number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_text_and_from_json() {
        let expected = Counts { additions: 2, changes: 3, destructions: 4, imports: 1 };
        let text = "x\nApply complete! Resources: 1 imported, 2 added, 3 changed, 4 destroyed.\n\nOutputs:\n";
        assert_eq!(find_counts(text.as_bytes()), Some(expected));
        let line = |operation: &str| {
            format!(
                "{{\"@message\":\"m\",\"changes\":{{\"add\":2,\"change\":3,\"import\":1,\"remove\":4,\
                 \"operation\":\"{operation}\"}},\"type\":\"change_summary\"}}\n"
            )
        };
        assert_eq!(find_counts(line("apply").as_bytes()), Some(expected));
        assert_eq!(find_counts(line("plan").as_bytes()), None);
    }
}
