//! `docs/compat-go-tfe.md`: the expectations and the facts as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use regex::Regex;
use xtask::table;

use crate::catalogue::{Chance, Test, WHY};
use crate::ledger::Ledger;
use crate::mode::Mode;
use crate::operations::{Operation, Operations};

const HEADER: &str = "area\ttests\treason";
/// For what nobody has given a reason.
const NOT_YET: &str = "not yet";

/// Why tests that could pass do not, as somebody found out.
pub(crate) struct Reason {
    area: String,
    tests: Regex,
    text: String,
}

impl Reason {
    fn holds(&self, test: &Test) -> bool {
        (self.area == "*" || self.area == test.area) && self.tests.is_match(&test.name)
    }
}

/// Reads `reasons.tsv`: an area or `*`, a pattern for names of tests, and the reason. The first that fits counts.
///
/// # Errors
/// When the file is no such table.
pub(crate) fn reasons(file: &Path) -> Result<Vec<Reason>> {
    let row = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [area, tests, text] => Some([area, tests, text].map(str::to_owned)),
        _ => None,
    };
    let reason = |[area, tests, text]: [String; 3]| {
        let tests = Regex::new(&tests).with_context(|| format!("{}: {tests:?}", file.display()))?;
        Ok(Reason { area, tests, text })
    };
    table::rows(file, HEADER, row)?.into_iter().map(reason).collect()
}

/// The whole page.
pub(crate) fn of(tests: &[Test], ledger: &Ledger, operations: &Operations, reasons: &[Reason]) -> String {
    let mut page = "# Compatibility: the Go SDK's own tests, and the documented operations\n\n\
        Written by `cargo xtask conformance go-tfe --accept`, which runs the test suite of\n\
        `github.com/hashicorp/go-tfe`, the version that `conformance/go-tfe/go.mod` pins, each test in a process of its own\n\
        against a new server on SQLite. The suite knows four modes: `a` as against HCP Terraform, `b` as against Terraform\n\
        Enterprise (`ENABLE_TFE=1`), each with `ENABLE_BETA=1` too.\n\n"
        .to_owned();
    write(&mut page, tests, ledger, operations, reasons).expect("a string takes all that is written");
    page
}

fn write(
    page: &mut String,
    tests: &[Test],
    ledger: &Ledger,
    operations: &Operations,
    reasons: &[Reason],
) -> std::fmt::Result {
    page.push_str("## Tests\n\nTests that pass, of those that can.\n\n");
    sums(page, tests, ledger)?;
    areas(page, tests, ledger)?;
    missing(page, tests, ledger, reasons)?;
    impossible(page, tests)?;
    answered(page, operations)
}

/// One row a mode.
fn sums(page: &mut String, tests: &[Test], ledger: &Ledger) -> std::fmt::Result {
    page.push_str(
        "| mode | pass | of those that can | of these, need a receiver of run tasks | cannot pass |\n\
         |---|---|---|---|---|\n",
    );
    for mode in Mode::ALL {
        let count = |what: &dyn Fn(&Test) -> bool| tests.iter().filter(|test| what(test)).count();
        let possible = count(&|test| test.possible(mode));
        let passes = |test: &Test| test.possible(mode) && ledger.parts(&test.name, mode).is_some();
        let receiver = |test: &Test| *test.chance(mode) == Chance::WithReceiver;
        writeln!(
            page,
            "| {mode} | {} | {possible} | {} of {} | {} |",
            count(&passes),
            count(&|test| receiver(test) && passes(test)),
            count(&receiver),
            tests.len() - possible
        )?;
    }
    page.push('\n');
    Ok(())
}

/// One row an area.
fn areas(page: &mut String, tests: &[Test], ledger: &Ledger) -> std::fmt::Result {
    page.push_str("| area | a | a-beta | b | b-beta |\n|---|---|---|---|---|\n");
    let mut by_area: BTreeMap<&str, [(usize, usize); 4]> = BTreeMap::new();
    for test in tests {
        let row = by_area.entry(&test.area).or_default();
        for mode in Mode::ALL.into_iter().filter(|mode| test.possible(*mode)) {
            let (passed, possible) = &mut row[mode.column()];
            *possible += 1;
            *passed += usize::from(ledger.parts(&test.name, mode).is_some());
        }
    }
    by_area.retain(|_, row| row.iter().any(|(_, possible)| *possible > 0));
    for (area, row) in by_area {
        write!(page, "| {area} |")?;
        for (passed, possible) in row {
            match possible {
                0 => page.push_str(" – |"),
                _ => write!(page, " {passed} of {possible} |")?,
            }
        }
        page.push('\n');
    }
    page.push('\n');
    Ok(())
}

/// Those that could pass in some mode and do not, by reason.
fn missing(page: &mut String, tests: &[Test], ledger: &Ledger, reasons: &[Reason]) -> std::fmt::Result {
    let mut by_reason: BTreeMap<(usize, &str), Vec<String>> = BTreeMap::new();
    for test in tests {
        let lacks = |mode: &Mode| test.possible(*mode) && ledger.parts(&test.name, *mode).is_none();
        let modes: Vec<&str> = Mode::ALL.iter().filter(|mode| lacks(mode)).map(|mode| mode.name()).collect();
        if modes.is_empty() {
            continue;
        }
        let text =
            reasons.iter().find(|reason| reason.holds(test)).map_or(NOT_YET, |reason| reason.text.as_str());
        // In the order of the file; what nobody has given a reason for comes last.
        let at = reasons.iter().position(|reason| reason.text == text).unwrap_or(usize::MAX);
        let key = (at, text);
        let all = Mode::ALL.into_iter().filter(|mode| test.possible(*mode)).count() == modes.len();
        let suffix = if all { String::new() } else { format!(" ({})", modes.join(", ")) };
        by_reason.entry(key).or_default().push(format!("{}{suffix}", test.name.trim_start_matches("Test")));
    }
    page.push_str("### Which could pass and do not\n\n");
    page.push_str(
        "Without `Test` before the name; where a test passes in some modes, those in which it does not.\n\n",
    );
    page.push_str("| why | tests | which |\n|---|---|---|\n");
    for ((_, reason), names) in by_reason {
        writeln!(page, "| {reason} | {} | {} |", names.len(), names.join(", "))?;
    }
    page.push('\n');
    Ok(())
}

/// How many cannot pass, and why.
fn impossible(page: &mut String, tests: &[Test]) -> std::fmt::Result {
    page.push_str("### Which cannot pass, whatever a server does\n\n");
    page.push_str("| why | a | a-beta | b | b-beta |\n|---|---|---|---|---|\n");
    for (word, why) in WHY {
        write!(page, "| {why} |")?;
        for mode in Mode::ALL {
            let why = Chance::No(word.to_owned());
            write!(page, " {} |", tests.iter().filter(|test| *test.chance(mode) == why).count())?;
        }
        page.push('\n');
    }
    page.push('\n');
    Ok(())
}

fn answered(page: &mut String, operations: &Operations) -> std::fmt::Result {
    let answered = operations.all.iter().filter(|operation| operation.answered).count();
    writeln!(
        page,
        "## Operations\n\n{answered} of the {} operations of HashiCorp's OpenAPI document are in the server's own \
         (`GET /api/v2/openapi.json`). What is not there answers 404.\n",
        operations.all.len()
    )?;
    page.push_str("| area | answered | not yet |\n|---|---|---|\n");
    let mut by_area: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &operations.all {
        by_area.entry(&operation.area).or_default().push(operation);
    }
    for (area, operations) in by_area {
        let (yes, no): (Vec<&Operation>, Vec<&Operation>) =
            operations.iter().partition(|operation| operation.answered);
        let names: Vec<String> =
            no.iter().map(|operation| format!("`{} {}`", operation.method, operation.path)).collect();
        writeln!(page, "| {area} | {} of {} | {} |", yes.len(), operations.len(), names.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use xtask::places;

    use super::*;
    use crate::catalogue;

    #[test]
    fn the_page_says_what_the_files_say() {
        let here = places::workspace().join("conformance/go-tfe");
        let tests = catalogue::read(&here.join("tests.tsv")).unwrap();
        let ledger = Ledger::read(&here.join("expected.tsv")).unwrap();
        let operations = Operations::read(&here.join("operations.tsv")).unwrap();
        let reasons = reasons(&here.join("reasons.tsv")).unwrap();
        let page = std::fs::read_to_string(places::workspace().join("docs/compat-go-tfe.md")).unwrap();
        assert!(page == of(&tests, &ledger, &operations, &reasons), "render it anew: --accept --only '^$'");
    }
}
