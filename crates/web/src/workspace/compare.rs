//! What differs between two states: resource by resource, with each attribute that is another. Sensitive values are never
//! shown, only that they changed.

use super::{At, state_version, states::State};
use crate::{
    answer::Answer,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde_json::Value;
use statefile::{Change, Difference, Differences, StateFile};
use std::collections::BTreeSet;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}/states/compare", "web.state.compare", show)
}

/// Attributes of one resource that are shown; what is beyond is counted.
const MOST: usize = 200;

async fn show(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let (from, to) = (visit.query("from"), visit.query("to"));
    let Some(to) = to.or_else(|| at.workspace.related("current-state-version").map(str::to_owned)) else {
        return Err(Error::NotFound);
    };
    let (to, _) = state_version::of(&visit, &at, &to).await?;
    let from = match from {
        Some(from) => Some(state_version::of(&visit, &at, &from).await?.0),
        None => before(&visit, &at, &to).await?,
    };
    let body = match differences(&visit, from.as_ref(), &to).await {
        Ok(found) => html! {
            (head(&at, from.as_ref(), &to, &found))
            (differences_markup(&found))
        },
        Err(why) => html! { section.panel { p { "These states cannot be compared here: " (why) "." } } },
    };
    Ok(at.within(&visit, "States", "Compare states", &body))
}

/// The state before another; `None` when that is the first.
async fn before(visit: &Visit, at: &At, to: &Seen<State>) -> Result<Option<Seen<State>>> {
    let found = visit
        .read(&format!(
            "/state-versions?filter%5Borganization%5D%5Bname%5D={}&filter%5Bworkspace%5D%5Bname%5D={}&filter%5Bstatus%5D=finalized&page%5Bsize%5D=100",
            segment(&at.organization),
            segment(&at.workspace.name)
        ))
        .await?;
    Ok(found.many::<State>()?.into_iter().skip_while(|state| state.id != to.id).nth(1))
}

/// Compares two states, or says why they cannot be.
pub(super) async fn differences(
    visit: &Visit,
    from: Option<&Seen<State>>,
    to: &Seen<State>,
) -> Result<Differences, String> {
    let after = file(visit, to).await?;
    let before = match from {
        Some(from) => file(visit, from).await?,
        None => StateFile { outputs: [].into(), resources: [].into() },
    };
    Ok(Differences::between(&before, &after))
}

async fn file(visit: &Visit, state: &Seen<State>) -> Result<StateFile, String> {
    let gone = |_| format!("the content of serial {} is not there any more", state.serial);
    let bytes = visit.bytes(&format!("/state-versions/{}/download", state.id)).await.map_err(gone)?;
    let json = match &state.hosted_json_state_download_url {
        Some(url) => {
            let path = url.strip_prefix(&visit.app.settings.url).unwrap_or(url);
            Some(visit.bytes(path).await.map_err(gone)?)
        }
        None => None,
    };
    StateFile::read(&bytes, json.as_deref())
}

fn head(at: &At, from: Option<&Seen<State>>, to: &Seen<State>, found: &Differences) -> Markup {
    let name = |state: &Seen<State>| {
        html! { a href=(at.page(&format!("/states/{}", state.id))) { "serial " (state.serial) } }
    };
    html! {
        div.titled #comparison {
            p {
                "From " @match from { Some(from) => (name(from)), None => "nothing" } " to " (name(to)) ": "
                strong { (found.summary()) } "."
            }
            @if let Some(from) = from {
                a href=(at.page(&format!("/states/compare?from={}&to={}", to.id, from.id))) { "The other way round" }
            }
        }
    }
}

fn differences_markup(found: &Differences) -> Markup {
    html! {
        @if found.is_empty() {
            section.panel { p.muted { "No resource and no output differs. Data sources are not compared." } }
        }
        @if !found.resources.is_empty() {
            section.panel aria-labelledby="resources-heading" {
                h2 #resources-heading { "Resources" }
                @for one in &found.resources { (difference(one)) }
            }
        }
        @if !found.outputs.is_empty() {
            section.panel aria-labelledby="outputs-heading" {
                h2 #outputs-heading { "Outputs" }
                @for one in &found.outputs { (difference(one)) }
            }
        }
    }
}

fn difference(one: &Difference) -> Markup {
    let (class, symbol, word) = match one.change {
        Change::Added => ("added", "+", "added"),
        Change::Removed => ("removed", "−", "removed"),
        Change::Changed => ("changed", "~", "changed"),
    };
    let rows = Leaves::of(one);
    html! {
        details.difference open[one.change == Change::Changed] {
            summary { span.symbol.(class) aria-hidden="true" { (symbol) } code { (one.name) } " " span.muted { (word) } }
            table.dense {
                thead { tr { th scope="col" { "Attribute" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody { @for row in rows.iter().take(MOST) { tr {
                    th scope="row" { code { (row.path) } }
                    td.wide data-name="Before" { (row.before) }
                    td.wide data-name="After" { (row.after) }
                } } }
            }
            @if rows.len() > MOST { p.muted { "And " (rows.len() - MOST) " more." } }
        }
    }
}

/// One value that differs, however deep it stands.
struct Leaf {
    path: String,
    before: Markup,
    after: Markup,
}

/// Both sides of a change with the masks beside them, as a plan's document has them.
#[derive(Clone, Copy)]
struct Leaves<'a> {
    whole: [&'a Value; 2],
    masks: [&'a Value; 2],
}

const NULL: &Value = &Value::Null;

impl<'a> Leaves<'a> {
    fn of(one: &'a Difference) -> Vec<Leaf> {
        // What is compared is whole, so that a sensitive value that changed is seen to have; what is shown is masked.
        let sides = Self {
            whole: [&one.whole["before"], &one.whole["after"]],
            masks: [&one.whole["before_sensitive"], &one.whole["after_sensitive"]],
        };
        let mut found = Vec::new();
        sides.walk("", &mut found);
        found
    }

    fn walk(self, path: &str, found: &mut Vec<Leaf>) {
        if self.whole[0] == self.whole[1] {
            return;
        }
        let masked = self.masks.iter().any(|mask| **mask == true);
        let objects = self.whole.iter().all(|value| value.is_object() || value.is_null());
        let arrays = self.whole.iter().all(|value| value.is_array() || value.is_null());
        if !masked && objects {
            let names: BTreeSet<&str> = self
                .whole
                .iter()
                .filter_map(|value| value.as_object())
                .flat_map(|o| o.keys())
                .map(String::as_str)
                .collect();
            for name in names {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                self.child(|value| value.get(name)).walk(&path, found);
            }
        } else if !masked && arrays {
            let length =
                self.whole.iter().filter_map(|value| value.as_array()).map(Vec::len).max().unwrap_or(0);
            for index in 0..length {
                self.child(|value| value.get(index)).walk(&format!("{path}[{index}]"), found);
            }
        } else {
            let side = |at: usize| shown(self.whole[at], masked);
            let path = if path.is_empty() { "value" } else { path };
            found.push(Leaf { path: path.to_owned(), before: side(0), after: side(1) });
        }
    }

    fn child(self, get: impl Fn(&'a Value) -> Option<&'a Value>) -> Self {
        let mask = |mask: &'a Value| if *mask == true { mask } else { get(mask).unwrap_or(NULL) };
        Self { whole: self.whole.map(|value| get(value).unwrap_or(NULL)), masks: self.masks.map(mask) }
    }
}

fn shown(value: &Value, masked: bool) -> Markup {
    html! {
        @if value.is_null() { span.muted { "—" } }
        @else if masked { span.muted { "Sensitive, hidden" } }
        @else { code.whole { (super::overview::text_of(value)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leaves(whole: Value) -> Vec<(String, String, String)> {
        let one = Difference { name: "t.n".into(), change: Change::Changed, shown: Value::Null, whole };
        let text = |markup: Markup| {
            markup.into_string().replace("<code class=\"whole\">", "").replace("</code>", "")
        };
        Leaves::of(&one).into_iter().map(|leaf| (leaf.path, text(leaf.before), text(leaf.after))).collect()
    }

    #[test]
    fn each_value_that_differs_is_named_by_its_path() {
        let found = leaves(json!({
            "before": {"a": 1, "same": 2, "list": ["x", {"k": "old"}], "gone": true},
            "after": {"a": 1, "same": 2, "list": ["x", {"k": "new"}, "y"]},
        }));
        let paths: Vec<_> = found.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(paths, ["gone", "list[1].k", "list[2]"]);
        assert_eq!((found[1].1.as_str(), found[1].2.as_str()), ("old", "new"));
    }

    #[test]
    fn a_sensitive_value_is_said_to_differ_and_never_shown() {
        let found = leaves(json!({
            "before": {"secret": "hunter1", "part": {"shut": {"deep": "hunter2"}, "open": 1}},
            "after": {"secret": "hunter3", "part": {"shut": {"deep": "hunter4"}, "open": 2}},
            "before_sensitive": {"secret": true}, "after_sensitive": {"secret": true, "part": {"shut": true}},
        }));
        assert_eq!(found.len(), 3);
        assert!(
            found.iter().all(|(_, before, after)| !before.contains("hunter") && !after.contains("hunter"))
        );
    }
}
