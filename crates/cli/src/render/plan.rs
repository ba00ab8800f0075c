//! What a plan will do: one line for each resource, or its differences from the plan's JSON document
//! (`terraform show -json`, or TFE's redacted form of it).

use crate::render::{
    diff::{Diff, Sides},
    style::Style,
};
use serde_json::Value;

/// What happens to a resource or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing (it may move or be imported all the same).
    NoOp,
    /// It comes into being.
    Create,
    /// A data source is read during the apply.
    Read,
    /// It is changed where it is.
    Update,
    /// It is destroyed, then created anew.
    Replace,
    /// It is created anew before the old one is destroyed.
    CreateThenDelete,
    /// It is destroyed.
    Delete,
    /// It is left alone from now on.
    Forget,
}

impl Action {
    /// From the word in a `planned_change` line.
    pub fn from_word(word: &str) -> Self {
        match word {
            "create" => Self::Create,
            "read" => Self::Read,
            "update" => Self::Update,
            "replace" => Self::Replace,
            "delete" => Self::Delete,
            "remove" | "forget" => Self::Forget,
            _ => Self::NoOp,
        }
    }

    /// From the list in a plan's document.
    fn from_list(actions: &Value) -> Self {
        let words: Vec<_> = actions.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match words[..] {
            ["delete", "create"] => Self::Replace,
            ["create", "delete" | "forget"] => Self::CreateThenDelete,
            [word] => Self::from_word(word),
            _ => Self::NoOp,
        }
    }

    /// Three columns.
    pub fn symbol(self, style: Style) -> String {
        match self {
            Self::NoOp => "   ".to_owned(),
            Self::Create => format!("  {}", style.green("+")),
            Self::Read => format!(" {}", style.cyan("<=")),
            Self::Update => format!("  {}", style.yellow("~")),
            Self::Replace => format!("{}/{}", style.red("-"), style.green("+")),
            Self::CreateThenDelete => format!("{}/{}", style.green("+"), style.red("-")),
            Self::Delete => format!("  {}", style.red("-")),
            Self::Forget => format!("  {}", style.red(".")),
        }
    }

    fn legend(self) -> &'static str {
        match self {
            Self::NoOp => "",
            Self::Create => "create",
            Self::Read => "read (data sources)",
            Self::Update => "update in-place",
            Self::Replace => "destroy and then create replacement",
            Self::CreateThenDelete => "create replacement and then destroy",
            Self::Delete => "destroy",
            Self::Forget => "forget",
        }
    }
}

/// What is planned for one resource.
#[derive(Clone, Debug)]
pub struct PlannedChange {
    /// The resource instance.
    pub address: String,
    /// Where it was, if it moves.
    pub previous: Option<String>,
    /// What happens to it.
    pub action: Action,
    /// Terraform's word for why.
    pub reason: Option<String>,
    /// Whether it is taken under management first.
    pub importing: bool,
}

impl PlannedChange {
    /// From the `change` member of a `planned_change` line.
    pub fn read(change: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            address: text(&change["resource"]["addr"])?,
            previous: text(&change["previous_resource"]["addr"]),
            action: Action::from_word(change["action"].as_str()?),
            reason: text(&change["reason"]),
            importing: change["action"] == "import" || change["importing"].is_object(),
        })
    }

    /// From a member of `resource_changes` in a plan's document.
    fn from_document(change: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            address: text(&change["address"])?,
            previous: text(&change["previous_address"]),
            action: Action::from_list(&change["change"]["actions"]),
            reason: text(&change["action_reason"]),
            importing: change["change"]["importing"].is_object(),
        })
    }

    /// Whether there is something to tell although nothing is done.
    pub fn moved(&self) -> bool {
        self.previous.is_some() || self.importing
    }

    /// The address with what happens to it.
    pub fn sentence(&self) -> String {
        let address = &self.address;
        match (self.action, self.reason.as_deref()) {
            (Action::NoOp, _) => match &self.previous {
                Some(previous) => format!("{previous} has moved to {address}"),
                None if self.importing => format!("{address} will be imported"),
                None => format!("{address} is unchanged"),
            },
            (Action::Create, _) => format!("{address} will be created"),
            (Action::Read, _) => format!("{address} will be read during apply"),
            (Action::Update, _) => format!("{address} will be updated in-place"),
            (Action::Replace | Action::CreateThenDelete, Some("tainted" | "replace_because_tainted")) => {
                format!("{address} is tainted, so must be replaced")
            }
            (Action::Replace | Action::CreateThenDelete, Some("requested" | "replace_by_request")) => {
                format!("{address} will be replaced, as requested")
            }
            (
                Action::Replace | Action::CreateThenDelete,
                Some("replace_triggered_by" | "replace_by_triggers"),
            ) => {
                format!("{address} will be replaced due to changes in replace_triggered_by")
            }
            (Action::Replace | Action::CreateThenDelete, _) => format!("{address} must be replaced"),
            (Action::Delete, _) => format!("{address} will be destroyed"),
            (Action::Forget, _) => format!("{address} will no longer be managed, and not be destroyed"),
        }
    }

    /// Why, where the sentence does not say it.
    fn because(&self) -> Option<String> {
        Some(match self.reason.as_deref()? {
            "delete_because_no_resource_config" => {
                format!("because {} is not in configuration", without_key(&self.address))
            }
            "delete_because_no_module" => "because its module is not in configuration".to_owned(),
            "delete_because_wrong_repetition" => "because its repetition mode has changed".to_owned(),
            "delete_because_count_index" => "because its index is out of range for count".to_owned(),
            "delete_because_each_key" => "because its key is not in the for_each map".to_owned(),
            "delete_because_no_move_target" => {
                "because it was moved to what is not in the configuration".to_owned()
            }
            "read_because_config_unknown" => "the configuration refers to values not yet known".to_owned(),
            "read_because_dependency_pending" => {
                "it depends on a resource or a module with changes pending".to_owned()
            }
            "read_because_check_nested" => "it belongs to a check".to_owned(),
            _ => return None,
        })
    }

    /// One line: symbol and sentence.
    pub fn render(&self, style: Style) -> String {
        format!("{} {}\n", self.action.symbol(style), self.sentence())
    }

    fn heading(&self, style: Style) -> String {
        let mut out = format!("  {}\n", style.bold(&format!("# {}", self.sentence())));
        if let Some(because) = self.because() {
            out.push_str(&format!("  {}\n", style.dim(&format!("# ({because})"))));
        }
        match &self.previous {
            Some(previous) if self.action != Action::NoOp => {
                out.push_str(&format!("  {}\n", style.dim(&format!("# (moved from {previous})"))));
            }
            _ => {}
        }
        out
    }
}

/// The address of the resource that an instance belongs to. In a key's text a quote is escaped, so that `["` only begins
/// it.
fn without_key(address: &str) -> &str {
    let begin = if address.ends_with("\"]") { address.rfind("[\"") } else { address.rfind('[') };
    begin.filter(|_| address.ends_with(']')).map_or(address, |begin| &address[..begin])
}

/// The differences of all resources. Empty when there are none.
pub fn render(document: &Value, style: Style) -> String {
    let list = |name: &str| document[name].as_array().map_or(&[][..], Vec::as_slice);
    let read = |change| Some((PlannedChange::from_document(change)?, change));
    let changes: Vec<_> = list("resource_changes")
        .iter()
        .filter_map(read)
        .filter(|(change, _)| change.action != Action::NoOp || change.moved())
        .collect();
    let mut out = drift(document, changes.is_empty(), style);
    if changes.is_empty() {
        return out;
    }
    let mut actions: Vec<_> =
        changes.iter().map(|(change, _)| change.action).filter(|a| *a != Action::NoOp).collect();
    actions.sort_unstable();
    actions.dedup();
    if !actions.is_empty() {
        out.push_str("\nResource actions are indicated with these symbols:\n");
        out.extend(actions.iter().map(|action| format!("{} {}\n", action.symbol(style), action.legend())));
    }
    for (change, body) in changes {
        out.push('\n');
        out.push_str(&change.heading(style));
        out.push_str(&resource(body, change.action, document, style));
    }
    out
}

/// What changed behind the engine's back: in full when that is all there is (a refresh-only plan), else by name and
/// only where it matters for the plan.
fn drift(document: &Value, in_full: bool, style: Style) -> String {
    let relevant = |address: &str| {
        let attributes = document["relevant_attributes"].as_array();
        attributes.is_some_and(|all| all.iter().any(|attribute| attribute["resource"] == address))
    };
    let mut out = String::new();
    for change in document["resource_drift"].as_array().into_iter().flatten() {
        let address = change["address"].as_str().unwrap_or_default();
        let action = Action::from_list(&change["change"]["actions"]);
        if action == Action::NoOp || (!in_full && !relevant(address)) {
            continue;
        }
        let what = if action == Action::Delete { "has been deleted" } else { "has changed" };
        out.push_str(&format!("  {}\n", style.bold(&format!("# {address} {what}"))));
        if in_full {
            out.push_str(&resource(change, action, document, style));
            out.push('\n');
        }
    }
    if out.is_empty() {
        return out;
    }
    format!("\n{}\n{out}", style.bold("Objects have changed outside of Terraform:"))
}

fn resource(change: &Value, action: Action, document: &Value, style: Style) -> String {
    let text = |name: &str| change[name].as_str().unwrap_or_default();
    let (keyword, schemas) = match text("mode") {
        "data" => ("data", "data_source_schemas"),
        _ => ("resource", "resource_schemas"),
    };
    let schema = &document["provider_schemas"][text("provider_name")][schemas][text("type")]["block"];
    let mut diff = Diff::new(style, change["change"]["replace_paths"].as_array().map_or(&[], Vec::as_slice));
    diff.body(&Sides::of_change(&change["change"]), schema, 1);
    let head = format!("{} {keyword} \"{}\" \"{}\" {{", action.symbol(style), text("type"), text("name"));
    format!("{head}\n{}    }}\n", diff.finish())
}

/// The differences of the root module's outputs. Empty when there are none.
pub fn render_outputs(document: &Value, style: Style) -> String {
    let Some(changes) = document["output_changes"].as_object() else { return String::new() };
    let mut diff = Diff::new(style, &[]);
    let changed = changes.iter().filter(|(_, change)| change["actions"] != serde_json::json!(["no-op"]));
    let changed: Vec<_> = changed.map(|(name, change)| (name.as_str(), Sides::of_change(change))).collect();
    diff.attributes(&changed, 0);
    diff.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_instance_is_named_without_its_key() {
        for (address, resource) in [
            ("a.b", "a.b"),
            ("a.b[0]", "a.b"),
            ("module.m[1].a.b", "module.m[1].a.b"),
            (r#"a.b["x[0]"]"#, "a.b"),
            (r#"a.b["x[\"y"]"#, "a.b"),
        ] {
            assert_eq!(super::without_key(address), resource);
        }
    }
}
