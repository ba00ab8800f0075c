//! Tables of facts in files: a line of names, then a line for each row, cells separated by tabs.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// The rows of the table in `file`, which must begin with `header`; `row` reads one line, or says that it is none.
///
/// # Errors
/// When the file is no such table.
pub fn rows<T>(file: &Path, header: &str, row: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = text.lines();
    if lines.next() != Some(header) {
        bail!("{} does not begin with {header:?}", file.display());
    }
    lines.map(|line| row(line).with_context(|| format!("{}: {line:?} is no row", file.display()))).collect()
}
