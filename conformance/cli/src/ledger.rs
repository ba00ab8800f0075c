//! The expectations: which rows of the matrix pass. They only grow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::{steps::red, table};

use crate::Rows;

const HEADER: &str = "scenario\tversion\tverdict";

pub(crate) struct Ledger {
    file: PathBuf,
    /// Scenario, version.
    passing: BTreeSet<(String, String)>,
}

/// What a run says about the expectations.
pub(crate) struct Verdict {
    lost: Vec<(String, String)>,
    gained: Vec<(String, String)>,
}

impl Ledger {
    /// # Errors
    /// When the file is there and is no such table.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let row = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
            [scenario, version, "pass"] => Some((scenario.to_owned(), version.to_owned())),
            _ => None,
        };
        let passing = table::rows(file, HEADER, row)?.into_iter().collect();
        Ok(Self { file: file.to_owned(), passing })
    }

    pub(crate) fn compare(&self, rows: &Rows) -> Verdict {
        let expected = |key: &&(String, String)| self.passing.contains(*key);
        let ended = |passed: bool| rows.iter().filter(move |row| *row.1 == passed).map(|row| row.0);
        Verdict {
            lost: ended(false).filter(expected).cloned().collect(),
            gained: ended(true).filter(|key| !expected(key)).cloned().collect(),
        }
    }

    /// Adds the rows that passed.
    pub(crate) fn add(&mut self, rows: &Rows) {
        self.passing.extend(rows.iter().filter(|(_, passed)| **passed).map(|(key, _)| key.clone()));
    }

    /// Scenario and version of each row that passes.
    pub(crate) fn passing(&self) -> &BTreeSet<(String, String)> {
        &self.passing
    }

    pub(crate) fn write(&self) -> Result<()> {
        let rows = self.passing.iter().map(|(scenario, version)| format!("{scenario}\t{version}\tpass\n"));
        let text = format!("{HEADER}\n{}", rows.collect::<String>());
        std::fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

impl Verdict {
    /// Whether no row is lost.
    pub(crate) fn holds(&self) -> bool {
        self.lost.is_empty()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.lost.iter().map(|(scenario, version)| red(&format!("lost: {scenario} {version}"))).collect();
        if !self.gained.is_empty() {
            lines.push(format!(
                "{} rows pass that are not expected yet: --accept adds them",
                self.gained.len()
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scenario: &str, passed: bool) -> ((String, String), bool) {
        ((scenario.to_owned(), "1.11".to_owned()), passed)
    }

    #[test]
    fn a_row_that_passed_and_fails_is_lost_and_a_new_one_is_only_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("expected.tsv");
        std::fs::write(&file, format!("{HEADER}\nplan\t1.11\tpass\nother\t1.6\tpass\n")).unwrap();
        let mut ledger = Ledger::read(&file).unwrap();
        let verdict =
            ledger.compare(&Rows::from([row("plan", false), row("apply", true), row("new", false)]));
        assert!(!verdict.holds());
        assert_eq!(verdict.lost.len(), 1);
        assert_eq!(verdict.gained.len(), 1);
        ledger.add(&Rows::from([row("apply", true), row("plan", false)]));
        ledger.write().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("{HEADER}\napply\t1.11\tpass\nother\t1.6\tpass\nplan\t1.11\tpass\n"));
    }
}
