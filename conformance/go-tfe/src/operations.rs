//! Which of the documented operations the server answers, as its own OpenAPI document says.
//!
//! `operations.tsv` lists method, path and area of each operation that HashiCorp's OpenAPI document names (version
//! 9cfc1aef of "HCP Terraform/Terraform Enterprise API v2-Beta"), and which of them are answered. These only grow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::table;

const HEADER: &str = "area\tmethod\tpath\tanswered";

pub(crate) struct Operation {
    pub(crate) area: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) answered: bool,
}

pub(crate) struct Operations {
    file: PathBuf,
    pub(crate) all: Vec<Operation>,
}

impl Operations {
    /// # Errors
    /// When the file is no such table.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        Ok(Self { file: file.to_owned(), all: table::rows(file, HEADER, row)? })
    }

    /// Takes over what the server's `document` says, and gives those operations that were answered and are no longer.
    ///
    /// # Errors
    /// When it is no OpenAPI document.
    pub(crate) fn learn(&mut self, document: &Value) -> Result<Vec<String>> {
        let answered = answered(document)?;
        let mut lost = Vec::new();
        for operation in &mut self.all {
            let is = answered.contains(&key(&operation.method, &operation.path));
            if operation.answered && !is {
                lost.push(format!("{} {}", operation.method, operation.path));
            }
            operation.answered |= is;
        }
        Ok(lost)
    }

    pub(crate) fn write(&self) -> Result<()> {
        let rows = self.all.iter().map(|Operation { area, method, path, answered }| {
            format!("{area}\t{method}\t{path}\t{}\n", if *answered { "yes" } else { "-" })
        });
        let text = format!("{HEADER}\n{}", rows.collect::<String>());
        std::fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

fn row(line: &str) -> Option<Operation> {
    let [area, method, path, answered @ ("yes" | "-")] = line.split('\t').collect::<Vec<_>>()[..] else {
        return None;
    };
    let [area, method, path] = [area, method, path].map(str::to_owned);
    Some(Operation { area, method, path, answered: answered == "yes" })
}

fn answered(document: &Value) -> Result<BTreeSet<String>> {
    let paths = document["paths"].as_object().context("the server's OpenAPI document has no paths")?;
    let keys = paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .into_iter()
            .flat_map(|methods| methods.keys())
            .map(move |method| key(method, path))
    });
    Ok(keys.collect())
}

/// Method and path, however parameters are called and whatever the path begins with.
fn key(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v2").unwrap_or(path);
    let parts = path.split('/').map(|part| if part.contains('{') { "{}" } else { part });
    format!("{} {}", method.to_ascii_uppercase(), parts.collect::<Vec<_>>().join("/").trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_recognised_whatever_its_parameters_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("operations.tsv");
        let rows = "runs\tGET\t/runs/{run_id}\t-\nruns\tPOST\t/runs\tyes\n";
        std::fs::write(&file, format!("{HEADER}\n{rows}")).unwrap();
        let mut operations = Operations::read(&file).unwrap();
        let lost = operations.learn(&json!({"paths": {"/api/v2/runs/{id}": {"get": {}}}})).unwrap();
        assert_eq!(lost, ["POST /runs"]);
        operations.write().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("{HEADER}\n{}", rows.replacen("\t-", "\tyes", 1)));
    }
}
