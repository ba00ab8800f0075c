//! What the server says when it is asked through the API, not through the command line.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use xtask::api::Api;

use crate::scenario::Verb;

/// What a run may do.
const OPERATIONS: &str = "plan_only,plan_and_apply,save_plan,refresh_only,destroy,empty_apply";

/// One organization of the server.
pub(crate) struct Facts<'a> {
    pub(crate) api: &'a Api,
    pub(crate) organization: &'a str,
}

impl Facts<'_> {
    /// A workspace's id.
    pub(crate) fn workspace(&self, name: &str) -> Result<String> {
        text(&self.get(&self.workspace_path(name))?, "/data/id")
    }

    /// The id of a workspace's newest run.
    pub(crate) fn run(&self, workspace: &str) -> Result<String> {
        text(&self.runs(workspace)?, "/data/0/id").context("the workspace has no run")
    }

    /// The answer to a question of a scenario; null where there is no such thing.
    pub(crate) fn ask(&self, question: &str) -> Result<Value> {
        let words: Vec<&str> = question.split_whitespace().collect();
        match words[..] {
            ["names"] => self.names(),
            ["workspace", name] => self.maybe(&self.workspace_path(name), "/data/id"),
            ["workspace", name, attribute] => {
                self.maybe(&self.workspace_path(name), &pointer("/data/attributes", attribute))
            }
            ["run", name, attribute] => {
                Ok(find(&self.runs(name)?, &pointer("/data/0/attributes", attribute)))
            }
            ["state", name, attribute] => {
                let path = format!("/api/v2/workspaces/{}/current-state-version", self.workspace(name)?);
                self.maybe(&path, &pointer("/data/attributes", attribute))
            }
            ["output", workspace, name] => self.output(workspace, name),
            ["count", name, "runs"] => Ok(count(&self.runs(name)?)),
            ["count", name, "state-versions"] => Ok(count(&self.get(&format!(
                "/api/v2/state-versions?filter[organization][name]={}&filter[workspace][name]={name}",
                self.organization
            ))?)),
            ["get", path, pointer] => self.maybe(path, pointer),
            _ => bail!("{question:?} is no question"),
        }
    }

    /// Does what somebody else does.
    pub(crate) fn act(&self, verb: Verb, workspace: &str) -> Result<()> {
        let path = match verb {
            Verb::Approve => format!("/api/v2/runs/{}/actions/apply", self.run(workspace)?),
            Verb::Discard => format!("/api/v2/runs/{}/actions/discard", self.run(workspace)?),
            Verb::Cancel => format!("/api/v2/runs/{}/actions/cancel", self.run(workspace)?),
            Verb::Lock => format!("/api/v2/workspaces/{}/actions/lock", self.workspace(workspace)?),
            Verb::Unlock => format!("/api/v2/workspaces/{}/actions/unlock", self.workspace(workspace)?),
        };
        self.call("POST", &path, Some(&json!({}))).map(drop)
    }

    /// A call that must be answered 2xx.
    pub(crate) fn call(&self, method: &str, path: &str, document: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.api.send(method, path, document)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} was answered {status}: {answer}");
        }
        Ok(answer)
    }

    /// The newest run of each workspace with its logs, for the person who wants to know why a row failed.
    pub(crate) fn story(&self) -> Result<String> {
        let mut story = String::new();
        for name in self.names()?.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let runs = self.runs(name)?;
            let Some(run) = runs.pointer("/data/0") else { continue };
            writeln!(story, "newest run of {name}: {}", run["attributes"]["status"])?;
            for phase in ["plan", "apply"] {
                let id = run.pointer(&format!("/relationships/{phase}/data/id")).and_then(Value::as_str);
                let Some(id) = id else { continue };
                let document =
                    self.get(&format!("/api/v2/{}/{id}", if phase == "plan" { "plans" } else { "applies" }))?;
                let url = text(&document, "/data/attributes/log-read-url")?;
                writeln!(story, "its {phase}'s log:\n{}", String::from_utf8_lossy(&self.api.bytes(&url)?))?;
            }
        }
        Ok(story)
    }

    /// The engine versions of all runs of the organization, where they differ from `version`: whatever was observed was not
    /// observed of that version then.
    pub(crate) fn other_engines(&self, version: &str) -> Result<Vec<String>> {
        let mut others = Vec::new();
        for name in self.names()?.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let runs = self.runs(name)?;
            let ran = runs["data"].as_array().into_iter().flatten();
            let ran = ran.filter_map(|run| run["attributes"]["terraform-version"].as_str());
            others.extend(ran.filter(|ran| *ran != version).map(|ran| format!("{name} ran {ran}")));
        }
        Ok(others)
    }

    fn names(&self) -> Result<Value> {
        let all =
            self.get(&format!("/api/v2/organizations/{}/workspaces?page[size]=100", self.organization))?;
        let mut names: Vec<&str> = all["data"]
            .as_array()
            .context("a list of workspaces has data")?
            .iter()
            .filter_map(|workspace| workspace.pointer("/attributes/name")?.as_str())
            .collect();
        names.sort_unstable();
        Ok(json!(names))
    }

    fn output(&self, workspace: &str, name: &str) -> Result<Value> {
        let path = format!(
            "/api/v2/workspaces/{}/current-state-version?include=outputs",
            self.workspace(workspace)?
        );
        let state = self.get(&path)?;
        let outputs = state["included"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = outputs.iter().find(|output| output["attributes"]["name"] == name);
        Ok(found.map_or(Value::Null, |output| output["attributes"]["value"].clone()))
    }

    fn runs(&self, workspace: &str) -> Result<Value> {
        // Without the filter, plan-only runs are left out.
        let path =
            format!("/api/v2/workspaces/{}/runs?filter[operation]={OPERATIONS}", self.workspace(workspace)?);
        self.get(&path)
    }

    fn workspace_path(&self, name: &str) -> String {
        format!("/api/v2/organizations/{}/workspaces/{name}", self.organization)
    }

    fn get(&self, path: &str) -> Result<Value> {
        self.call("GET", path, None)
    }

    /// As `get`, but absence is an answer.
    fn maybe(&self, path: &str, pointer: &str) -> Result<Value> {
        match self.api.send("GET", path, None)? {
            (404, _) => Ok(Value::Null),
            (200, answer) => Ok(find(&answer, pointer)),
            (status, answer) => bail!("GET {path} was answered {status}: {answer}"),
        }
    }
}

fn find(document: &Value, pointer: &str) -> Value {
    document.pointer(pointer).cloned().unwrap_or(Value::Null)
}

/// `actions.is-confirmable` below `base`.
fn pointer(base: &str, attribute: &str) -> String {
    format!("{base}/{}", attribute.replace('.', "/"))
}

fn count(list: &Value) -> Value {
    list.pointer("/meta/pagination/total-count")
        .cloned()
        .unwrap_or_else(|| json!(list["data"].as_array().map_or(0, Vec::len)))
}

fn text(document: &Value, pointer: &str) -> Result<String> {
    let found = document.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no {pointer} in {document}"))
}
