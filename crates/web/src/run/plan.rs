//! What a plan would do, from its redacted JSON: an index of the changes, made once and kept for whoever looks next.
//!
//! What a list shows of a change is parsed; its values stay text until somebody opens it ([`Plan::values`]).

use super::kept::Kept;
use crate::visit::{Visit, segment};
use bytes::Bytes;
use http_api::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Create,
    Update,
    /// Destroyed, then created.
    Replace,
    /// Created, then destroyed.
    CreateBeforeDestroy,
    Delete,
    /// Leaves the state and stays where it is.
    Forget,
    Read,
    NoOp,
}

impl Action {
    fn of(actions: &[Cow<'_, str>]) -> Self {
        let names: Vec<&str> = actions.iter().map(AsRef::as_ref).collect();
        match names.as_slice() {
            ["create"] => Self::Create,
            ["update"] => Self::Update,
            ["delete", "create"] => Self::Replace,
            ["create", "delete"] => Self::CreateBeforeDestroy,
            ["delete"] => Self::Delete,
            ["forget"] | ["create", "forget"] => Self::Forget,
            ["read"] => Self::Read,
            _ => Self::NoOp,
        }
    }

    /// Its name in addresses and classes; both ways of replacing are one.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace | Self::CreateBeforeDestroy => "replace",
            Self::Delete => "delete",
            Self::Forget => "forget",
            Self::Read => "read",
            Self::NoOp => "no-op",
        }
    }

    /// As the engine draws it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::CreateBeforeDestroy => "+/-",
            Self::Delete => "-",
            Self::Forget => ".",
            Self::Read => "<=",
            Self::NoOp => "",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Create => "will be created",
            Self::Update => "will be updated in-place",
            Self::Replace => "must be replaced",
            Self::CreateBeforeDestroy => "must be replaced, the new one first",
            Self::Delete => "will be destroyed",
            Self::Forget => "will leave the state and not be destroyed",
            Self::Read => "will be read during apply",
            Self::NoOp => "stays as it is",
        }
    }
}

/// A change of a resource, without its values.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) address: String,
    /// Empty for the root.
    pub(super) module: String,
    pub(super) kind: String,
    pub(super) action: Action,
    /// Why it is this action, in the engine's words for programs.
    pub(super) reason: Option<String>,
    /// Where it was before, if it moves.
    pub(super) moved_from: Option<String>,
    /// The id under which it is imported; empty where that is not known.
    pub(super) importing: Option<String>,
    /// The key of an object that a failed replacement left.
    pub(super) deposed: Option<String>,
    values: Range<usize>,
}

impl Change {
    /// The address without the module's.
    pub(super) fn own_name(&self) -> &str {
        self.address.strip_prefix(&self.module).map_or(&self.address, |rest| rest.trim_start_matches('.'))
    }

    /// Whether there is anything to tell of it.
    pub(super) fn tells(&self) -> bool {
        self.action != Action::NoOp || self.moved_from.is_some() || self.importing.is_some()
    }

    /// Whether a filter by action means it.
    pub(super) fn is(&self, filter: &str) -> bool {
        match filter {
            "import" => self.importing.is_some(),
            "move" => self.moved_from.is_some(),
            name => self.action.name() == name,
        }
    }
}

/// A plan.
#[derive(Debug)]
pub(super) struct Plan {
    bytes: Bytes,
    /// All resources, by module.
    pub(super) changes: Vec<Change>,
    /// What has changed outside of the engine.
    pub(super) drift: Vec<Change>,
    outputs: Vec<(String, Range<usize>)>,
    /// Which resources of the configuration refer to which, by their addresses without keys. Plans of earlier versions of
    /// this server do not tell.
    pub(super) dependencies: Option<BTreeMap<String, Vec<String>>>,
    /// Conditions that did not hold.
    pub(super) failed_checks: Vec<Check>,
}

/// A condition that did not hold, or is not known to.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) address: String,
    pub(super) status: String,
    pub(super) problems: Vec<String>,
}

/// Values before and after, with what is not known and what is not shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Values {
    pub(super) actions: Vec<String>,
    pub(super) before: Value,
    pub(super) after: Value,
    pub(super) after_unknown: Value,
    pub(super) before_sensitive: Value,
    pub(super) after_sensitive: Value,
    pub(super) replace_paths: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default, borrow)]
    resource_changes: Vec<Resource<'a>>,
    #[serde(default, borrow)]
    resource_drift: Vec<Resource<'a>>,
    #[serde(default, borrow)]
    output_changes: BTreeMap<String, &'a RawValue>,
    resource_dependencies: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    checks: Vec<CheckResult>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    address: String,
    #[serde(default)]
    module_address: String,
    #[serde(rename = "type", default)]
    kind: String,
    previous_address: Option<String>,
    deposed: Option<String>,
    action_reason: Option<String>,
    #[serde(borrow)]
    change: &'a RawValue,
}

#[derive(Deserialize)]
struct Brief<'a> {
    #[serde(default, borrow)]
    actions: Vec<Cow<'a, str>>,
    importing: Option<Importing>,
}

#[derive(Deserialize)]
struct Importing {
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct CheckResult {
    address: CheckAddress,
    #[serde(default)]
    status: String,
    #[serde(default)]
    instances: Vec<CheckInstance>,
}

#[derive(Deserialize)]
struct CheckAddress {
    #[serde(default)]
    to_display: String,
}

#[derive(Deserialize)]
struct CheckInstance {
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
}

impl Plan {
    /// From the redacted JSON.
    pub(super) fn parse(bytes: Bytes) -> serde_json::Result<Self> {
        let document: Document<'_> = serde_json::from_slice(&bytes)?;
        let start = bytes.as_ptr() as usize;
        let place = |raw: &RawValue| {
            let from = raw.get().as_ptr() as usize - start;
            from..from + raw.get().len()
        };
        let change = |resource: Resource<'_>| -> serde_json::Result<Change> {
            let brief: Brief<'_> = serde_json::from_str(resource.change.get())?;
            Ok(Change {
                action: Action::of(&brief.actions),
                moved_from: resource.previous_address.filter(|previous| *previous != resource.address),
                importing: brief.importing.map(|importing| importing.id),
                address: resource.address,
                module: resource.module_address,
                kind: resource.kind,
                reason: resource.action_reason,
                deposed: resource.deposed,
                values: place(resource.change),
            })
        };
        let all = |resources: Vec<Resource<'_>>| -> serde_json::Result<Vec<Change>> {
            let mut changes = resources.into_iter().map(change).collect::<serde_json::Result<Vec<_>>>()?;
            // Modules below each other stay together; within one the engine's order is kept.
            changes.sort_by(|a, b| a.module.cmp(&b.module));
            Ok(changes)
        };
        let (changes, drift) = (all(document.resource_changes)?, all(document.resource_drift)?);
        let outputs = document.output_changes.into_iter().map(|(name, raw)| (name, place(raw))).collect();
        let failed_checks = document.checks.into_iter().filter(|check| check.status != "pass");
        let failed_checks = failed_checks.map(|check| Check {
            address: check.address.to_display,
            problems: check.instances.into_iter().flat_map(|i| i.problems).map(|p| p.message).collect(),
            status: check.status,
        });
        let (dependencies, failed_checks) = (document.resource_dependencies, failed_checks.collect());
        Ok(Self { changes, drift, outputs, dependencies, failed_checks, bytes })
    }

    /// The values of a change.
    pub(super) fn values(&self, change: &Change) -> Result<Values> {
        self.at(&change.values)
    }

    /// The outputs that change, with their values.
    pub(super) fn outputs(&self) -> Result<Vec<(&str, Values)>> {
        let mut outputs = Vec::new();
        for (name, place) in &self.outputs {
            let values = self.at(place)?;
            if values.actions != ["no-op"] {
                outputs.push((name.as_str(), values));
            }
        }
        Ok(outputs)
    }

    fn at(&self, place: &Range<usize>) -> Result<Values> {
        serde_json::from_slice(&self.bytes[place.clone()]).map_err(Error::internal)
    }

    /// What the list begins with: all that will happen.
    pub(super) fn told(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.tells())
    }
}

/// Plans that were looked at last. They hold nothing that a reader of the run may not see.
static PLANS: Kept<Plan> = Kept::new(8, 96 << 20);

/// The plan of a run, which the caller has read; nothing where there is none, or none yet.
pub(super) async fn of_run(visit: &Visit, run: &str, plan: &str) -> Result<Option<Arc<Plan>>> {
    if let Some(plan) = PLANS.find(plan) {
        return Ok(Some(plan));
    }
    let path = format!("/runs/{}/plan/json-output-redacted", segment(run));
    let bytes = match visit.bytes(&path).await {
        Ok(bytes) if bytes.is_empty() => return Ok(None),
        Ok(bytes) => bytes,
        Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let weight = bytes.len();
    let parsed = tokio::task::spawn_blocking(move || Plan::parse(bytes)).await.map_err(Error::internal)?;
    let parsed = Arc::new(parsed.map_err(Error::internal)?);
    PLANS.keep(plan, parsed.clone(), weight);
    Ok(Some(parsed))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A plan of these changes: address, module, actions, values.
    pub(in super::super) fn plan(changes: &[(&str, &str, &[&str], Value)]) -> Plan {
        let changes: Vec<Value> = changes
            .iter()
            .map(|(address, module, actions, values)| {
                let mut change = values.clone();
                change["actions"] = json!(actions);
                json!({ "address": address, "module_address": module, "type": "terraform_data", "change": change })
            })
            .collect();
        Plan::parse(json!({ "resource_changes": changes }).to_string().into()).unwrap()
    }

    #[test]
    fn changes_are_told_by_module_and_those_without_any_are_not() {
        let plan = plan(&[
            ("module.b.terraform_data.x", "module.b", &["delete", "create"], json!({})),
            ("terraform_data.a[\"k.1\"]", "", &["create"], json!({ "after": { "input": "é" } })),
            ("terraform_data.same", "", &["no-op"], json!({})),
            ("terraform_data.found", "", &["no-op"], json!({ "importing": { "id": "i-1" } })),
        ]);
        let told: Vec<_> = plan.told().map(|c| (c.own_name(), c.action.sign())).collect();
        let expected =
            [("terraform_data.a[\"k.1\"]", "+"), ("terraform_data.found", ""), ("terraform_data.x", "-/+")];
        assert_eq!(told, expected);
        assert_eq!(plan.values(&plan.changes[0]).unwrap().after["input"], "é");
        assert!(plan.changes[2].is("import") && !plan.changes[2].is("create"));
    }

    #[test]
    fn a_resource_that_only_moves_is_told() {
        let text = json!({ "resource_changes": [{ "address": "a.new", "previous_address": "a.old", "type": "a",
            "change": { "actions": ["no-op"] } }] });
        let plan = Plan::parse(text.to_string().into()).unwrap();
        assert_eq!(plan.told().next().unwrap().moved_from.as_deref(), Some("a.old"));
    }
}
