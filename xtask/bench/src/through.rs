//! The same work through the API, as a pipeline does it: configuration version, upload, run, end.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use xtask::api::Api;
use xtask::server::Server;
use xtask::steps;

const ORGANIZATION: &str = "bench";

/// How a run is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With its plan.
    PlanOnly,
    /// Applied without asking.
    AutoApply,
}

/// A client of a server, and the organization that the benchmark works in.
pub(crate) struct Through {
    api: Api,
}

impl Through {
    /// Makes the organization on `server`.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let api = server.api()?;
        let attributes = json!({ "name": ORGANIZATION, "email": "bench@example.com" });
        api.post("/api/v2/organizations", &document("organizations", &attributes))?;
        Ok(Self { api })
    }

    /// The site admin's client.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Makes the workspace `name` and returns its id.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn workspace(&self, name: &str) -> Result<String> {
        self.workspace_with(&json!({ "name": name }))
    }

    /// Makes a workspace with these attributes and returns its id.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn workspace_with(&self, attributes: &Value) -> Result<String> {
        let path = format!("/api/v2/organizations/{ORGANIZATION}/workspaces");
        let made = self.api.post(&path, &document("workspaces", attributes))?;
        text(&made, "/data/id")
    }

    /// Uploads `archive` to `workspace`, makes a run of it, and waits for its end.
    ///
    /// # Errors
    /// When any call is refused, or the run ends badly.
    pub(crate) fn run(&self, workspace: &str, archive: &[u8], kind: Kind) -> Result<()> {
        let run = self.begin(workspace, archive, kind)?;
        self.end(&run, kind)
    }

    /// A plan-only run in each of `workspaces`, all begun before the first is waited for.
    ///
    /// # Errors
    /// As [`Through::run`].
    pub(crate) fn run_all(&self, workspaces: &[String], archive: &[u8]) -> Result<()> {
        let begun = workspaces.iter().map(|workspace| self.begin(workspace, archive, Kind::PlanOnly));
        let runs = begun.collect::<Result<Vec<_>>>()?;
        runs.iter().try_for_each(|run| self.end(run, Kind::PlanOnly))
    }

    /// Uploads `archive` and makes a run of it; the new run's document.
    ///
    /// # Errors
    /// When a call is refused.
    pub(crate) fn begin(&self, workspace: &str, archive: &[u8], kind: Kind) -> Result<Value> {
        let path = format!("/api/v2/workspaces/{workspace}/configuration-versions");
        let attributes = json!({ "auto-queue-runs": false, "speculative": kind == Kind::PlanOnly });
        let version = self.api.post(&path, &document("configuration-versions", &attributes))?;
        self.api.put(&text(&version, "/data/attributes/upload-url")?, archive)?;
        let run = json!({ "data": {
            "type": "runs",
            "attributes": { "plan-only": kind == Kind::PlanOnly, "auto-apply": kind == Kind::AutoApply },
            "relationships": {
                "workspace": { "data": { "type": "workspaces", "id": workspace } },
                "configuration-version": {
                    "data": { "type": "configuration-versions", "id": text(&version, "/data/id")? },
                },
            },
        } });
        self.api.post("/api/v2/runs", &run)
    }

    /// Follows the logs of `run` to its end.
    ///
    /// # Errors
    /// When a call is refused, or the run ends in another status than `kind` asks for.
    pub(crate) fn end(&self, run: &Value, kind: Kind) -> Result<()> {
        let phases = if kind == Kind::AutoApply { &["plan", "apply"][..] } else { &["plan"] };
        for phase in phases {
            self.follow(&self.log_url(run, phase)?, |_| Ok(()))?;
        }
        // A log's last byte can be read only once the status that it leads to is there.
        let id = text(run, "/data/id")?;
        let ended = self.api.get(&format!("/api/v2/runs/{id}"))?;
        let wanted = if kind == Kind::PlanOnly { "planned_and_finished" } else { "applied" };
        let status = text(&ended, "/data/attributes/status")?;
        ensure!(status == wanted, "run {id} is {status}, not {wanted}");
        Ok(())
    }

    /// Where the log of `run`'s `plan` or `apply` can be read.
    ///
    /// # Errors
    /// When the call is refused.
    pub(crate) fn log_url(&self, run: &Value, phase: &str) -> Result<String> {
        let id = text(run, &format!("/data/relationships/{phase}/data/id"))?;
        let collection = if phase == "plan" { "plans" } else { "applies" };
        let document = self.api.get(&format!("/api/v2/{collection}/{id}"))?;
        text(&document, "/data/attributes/log-read-url")
    }

    /// Reads a log until its ETX, and gives `each` piece on; each read waits at the server for new bytes.
    ///
    /// # Errors
    /// When a read is refused, `each` fails, or the log does not end.
    pub(crate) fn follow(&self, log: &str, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        const ETX: u8 = 3;
        const CHUNK: usize = 65536;
        let mut offset = 0;
        // A server that answers at once with nothing would spin here for ever.
        for _ in 0..100_000 {
            let bytes = self.api.bytes(&format!("{log}?limit={CHUNK}&offset={offset}"))?;
            each(&bytes)?;
            if bytes.last() == Some(&ETX) {
                return Ok(());
            }
            offset += bytes.len();
        }
        bail!("the log does not end")
    }
}

/// A JSON:API document for a new resource.
pub(crate) fn document(kind: &str, attributes: &Value) -> Value {
    json!({ "data": { "type": kind, "attributes": attributes } })
}

/// The string at `pointer`.
pub(crate) fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("there is no {pointer} in {value}"))?.to_owned())
}

/// A configuration archive of one `main.tf`.
pub(crate) fn archive(configuration: &str) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    std::fs::write(folder.path().join("main.tf"), configuration).context("cannot write a configuration")?;
    let file = folder.path().join("content.tar.gz");
    steps::read(Command::new("tar").arg("-czf").arg(&file).arg("-C").arg(folder.path()).arg("main.tf"))?;
    std::fs::read(&file).context("tar made no archive")
}
