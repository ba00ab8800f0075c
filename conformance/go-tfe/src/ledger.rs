//! The expectations: which tests pass, in which modes, and with how many of their parts. They only grow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::table;

use crate::mode::Mode;
use crate::transcript::{Transcript, Verdict};

const HEADER: &str = "test\ta\ta-beta\tb\tb-beta";

pub(crate) struct Ledger {
    file: PathBuf,
    /// By test and [`Mode::column`]: how many parts pass; none where the test does not.
    passing: BTreeMap<String, [Option<usize>; 4]>,
}

/// What one trial says about the expectations.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// As expected, or as nobody expects otherwise.
    Nothing,
    /// It passes, or more of its parts do, and that is new.
    Gained,
    /// It passed, and does not, or not with all of its parts; and why.
    Lost(String),
}

impl Ledger {
    /// # Errors
    /// When the file is there and is no such table.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let passing = table::rows(file, HEADER, row)?.into_iter().collect();
        Ok(Self { file: file.to_owned(), passing })
    }

    /// How many parts of a test are expected to pass; none if the test itself is not.
    pub(crate) fn parts(&self, test: &str, mode: Mode) -> Option<usize> {
        self.passing.get(test)?[mode.column()]
    }

    pub(crate) fn compare(&self, test: &str, mode: Mode, transcript: &Transcript) -> News {
        let passed = transcript.passed();
        match (self.parts(test, mode), transcript.verdict) {
            (Some(parts), Verdict::Pass) if passed < parts => {
                News::Lost(format!("{passed} of its parts pass, where {parts} did"))
            }
            (Some(parts), Verdict::Pass) if passed == parts => News::Nothing,
            (_, Verdict::Pass) => News::Gained,
            (Some(_), verdict) => News::Lost(format!("{verdict}: {}", transcript.message)),
            (None, _) => News::Nothing,
        }
    }

    /// Adds a trial that passed.
    pub(crate) fn add(&mut self, test: &str, mode: Mode, transcript: &Transcript) {
        if self.compare(test, mode, transcript) == News::Gained {
            self.passing.entry(test.to_owned()).or_default()[mode.column()] = Some(transcript.passed());
        }
    }

    pub(crate) fn write(&self) -> Result<()> {
        let mut text = format!("{HEADER}\n");
        for (test, columns) in &self.passing {
            text.push_str(test);
            for parts in columns {
                text.push('\t');
                text.push_str(&parts.map_or_else(|| "-".to_owned(), |parts| parts.to_string()));
            }
            text.push('\n');
        }
        std::fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

fn row(line: &str) -> Option<(String, [Option<usize>; 4])> {
    let (test, columns) = line.split_once('\t')?;
    let columns: Vec<Option<usize>> = columns
        .split('\t')
        .map(|cell| if cell == "-" { Some(None) } else { cell.parse().ok().map(Some) })
        .collect::<Option<_>>()?;
    Some((test.to_owned(), columns.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(verdict: Verdict, parts: usize) -> Transcript {
        let parts = (0..parts).map(|part| (format!("T/{part}"), (Verdict::Pass, String::new()))).collect();
        Transcript { verdict, message: "because".to_owned(), parts }
    }

    #[test]
    fn a_test_that_passed_must_pass_with_as_many_parts_in_that_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("expected.tsv");
        std::fs::write(&file, format!("{HEADER}\nTestOne\t2\t-\t-\t-\n")).unwrap();
        let mut ledger = Ledger::read(&file).unwrap();
        let pass = |parts| transcript(Verdict::Pass, parts);
        assert_eq!(ledger.compare("TestOne", Mode::A, &pass(2)), News::Nothing);
        assert_eq!(ledger.compare("TestOne", Mode::B, &pass(2)), News::Gained);
        assert!(matches!(ledger.compare("TestOne", Mode::A, &pass(1)), News::Lost(_)));
        assert_eq!(
            ledger.compare("TestOne", Mode::A, &transcript(Verdict::Skip, 2)),
            News::Lost("skip: because".to_owned())
        );
        assert_eq!(ledger.compare("TestTwo", Mode::A, &transcript(Verdict::Fail, 2)), News::Nothing);
        ledger.add("TestOne", Mode::B, &pass(3));
        ledger.add("TestOne", Mode::A, &pass(1));
        ledger.add("TestTwo", Mode::A, &transcript(Verdict::Fail, 2));
        ledger.write().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("{HEADER}\nTestOne\t2\t-\t3\t-\n"));
    }
}
