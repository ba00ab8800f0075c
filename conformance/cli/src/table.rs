//! The expectations as a table in `docs/compat.md`, between two marks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::ledger::Ledger;

const BEGIN: &str = "<!-- conformance cli: begin, rendered from conformance/cli/expected.tsv -->";
const END: &str = "<!-- conformance cli: end -->";

/// What a new page says around the table.
const PAGE: &str = "# Compatibility\n\n## Command line\n\n\
    Each cell is a scenario of `conformance/cli/scenarios` that drives the real command line of that minor version against\n\
    the server, on SQLite and PostgreSQL, with runs on an engine of the same version (`cargo xtask conformance cli`).\n\
    ✓ passes; a blank does not pass or was not run; – does not exist in that version. Terraform before 1.4\n\
    has no `terraform_data`: `null_resource` stands for it.\n\n";

/// The table, with its marks.
///
/// # Errors
/// When a scenario is not understood.
pub(crate) fn of(ledger: &Ledger, scenarios: &Path) -> Result<String> {
    let columns: BTreeSet<(bool, u64, &str)> =
        ledger.passing().iter().map(|(_, version)| order(version)).collect();
    let mut table = format!("{BEGIN}\n| scenario | what it shows |");
    for (_, _, key) in &columns {
        write!(table, " {key} |")?;
    }
    write!(table, "\n|---|---|{}\n", "---|".repeat(columns.len()))?;
    for scenario in crate::scenarios(scenarios, &[])? {
        write!(table, "| {} | {} |", scenario.name, scenario.shows.replace('|', "\\|"))?;
        for (tofu, minor, key) in &columns {
            let passes = ledger.passing().contains(&(scenario.name.clone(), (*key).to_owned()));
            let exists = scenario.only.covers(*tofu, *minor);
            write!(
                table,
                " {} |",
                if passes {
                    "✓"
                } else if exists {
                    ""
                } else {
                    "–"
                }
            )?;
        }
        table.push('\n');
    }
    Ok(table + END)
}

/// Renders the table into `page`, which is made if it is not there.
///
/// # Errors
/// When the page has lost its marks.
pub(crate) fn render(ledger: &Ledger, scenarios: &Path, page: &Path) -> Result<()> {
    let table = of(ledger, scenarios)?;
    let text = match std::fs::read_to_string(page) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => format!("{PAGE}{BEGIN}\n{END}\n"),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", page.display())),
    };
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{} has lost the table's marks", page.display()))?;
    std::fs::write(page, format!("{before}{table}{after}"))
        .with_context(|| format!("cannot write {}", page.display()))
}

/// Terraform before OpenTofu, then by minor version.
fn order(key: &str) -> (bool, u64, &str) {
    let minor = key.rsplit_once('.').and_then(|(_, minor)| minor.parse().ok()).unwrap_or(0);
    (key.starts_with("tofu"), minor, key)
}
