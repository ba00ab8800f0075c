//! Facts about the suite, from reading its source: which area of the API a test belongs to, and whether it can pass.

use std::path::Path;

use anyhow::Result;
use xtask::table;

use crate::mode::Mode;

const HEADER: &str = "test\tarea\ta\ta-beta\tb\tb-beta";

pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) area: String,
    /// By [`Mode::column`].
    chances: [Chance; 4],
}

/// Whether a test can pass in a mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Chance {
    /// It can.
    Possible,
    /// It can, because this suite gives it a receiver for run tasks and notifications: `receiver` in the file.
    WithReceiver,
    /// It cannot, whatever the server does, for the reason that this word stands for: see [`why`].
    No(String),
}

impl Test {
    pub(crate) fn chance(&self, mode: Mode) -> &Chance {
        &self.chances[mode.column()]
    }

    pub(crate) fn possible(&self, mode: Mode) -> bool {
        !matches!(self.chance(mode), Chance::No(_))
    }

    /// Whether it is worth a try: one that downloads HashiCorp's agent is not.
    pub(crate) fn runs(&self, mode: Mode) -> bool {
        *self.chance(mode) != Chance::No("agent-download".to_owned())
    }
}

/// What the words of the file mean.
pub(crate) const WHY: [(&str, &str); 9] = [
    ("agent-download", "downloads HashiCorp's own agent"),
    ("always-skipped", "skipped by the suite everywhere"),
    ("beta", "only with ENABLE_BETA=1"),
    ("enterprise", "only with ENABLE_TFE=1"),
    ("github", "needs an account at GitHub"),
    ("keys", "needs an account at a cloud's key service"),
    ("not-enterprise", "only without ENABLE_TFE=1"),
    ("subscription", "changes a subscription, which the suite does only without ENABLE_TFE=1"),
    ("two-factor", "needs an invited user who has two-factor authentication"),
];

/// Reads the facts.
///
/// # Errors
/// When the file is no such table.
pub(crate) fn read(file: &Path) -> Result<Vec<Test>> {
    table::rows(file, HEADER, row)
}

fn row(line: &str) -> Option<Test> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, area, chances @ ..] = fields.as_slice() else { return None };
    let chances: Vec<Chance> = chances.iter().map(|word| chance(word)).collect::<Option<_>>()?;
    Some(Test { name: (*name).to_owned(), area: (*area).to_owned(), chances: chances.try_into().ok()? })
}

fn chance(word: &str) -> Option<Chance> {
    match word {
        "pass" => Some(Chance::Possible),
        "receiver" => Some(Chance::WithReceiver),
        _ => WHY.iter().any(|(known, _)| *known == word).then(|| Chance::No(word.to_owned())),
    }
}
