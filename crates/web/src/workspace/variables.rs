//! The variables that hold in a workspace, wherever they come from, each above those that it overrides.

use super::{At, Named, done};
use crate::{
    answer::Answer,
    layout::{Frame, framed},
    serve::Table,
    visit::Visit,
};
use http_api::{Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}/variables", "web.workspace.variables", list)
}

/// A variable of a workspace or of a set.
#[derive(Deserialize)]
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) category: String,
    pub(super) hcl: bool,
    pub(super) sensitive: bool,
    pub(super) description: String,
}

/// The kinds of variables, and what they are for.
pub(super) const CATEGORIES: [(&str, &str, &str); 2] = [
    ("terraform", "Terraform variables", "Values of the configuration's input variables."),
    ("env", "Environment variables", "What the engine and its providers find in their environment."),
];

async fn list(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let held = &at.workspace.permissions;
    let actions = html! {
        @if held.can_update_variable { a.button #add-variable href=(at.page("/variables/new")) { "Add variable" } }
    };
    let frame = Frame { actions, ..Frame::new(at.area(), "Variables", "Variables") };
    if !held.can_read_variable {
        let body =
            html! { section.panel { p.muted { "You may see this workspace but not its variables." } } };
        return Ok(Answer::page(framed(&visit, &frame, &body)));
    }
    let (all, sets) = (at.api("/all-vars?include=overwritten"), at.api("/varsets?page%5Bsize%5D=100"));
    let (all, sets) = tokio::try_join!(visit.read(&all), visit.read_if_there(&sets))?;
    let holding = all.many::<Variable>()?;
    let overwritten = all.all_included::<Variable>("vars")?;
    let sets = sets.map(|found| found.many::<Named>()).transpose()?.unwrap_or_default();
    let body = html! {
        (done(&visit, &[
            ("saved", "The variable is saved. The next run takes it."),
            ("deleted", "The variable is deleted."),
        ]))
        @for (category, title, about) in CATEGORIES {
            @let here: Vec<_> = holding.iter().filter(|one| one.category == category).collect();
            section.panel aria-labelledby={ (category) "-heading" } {
                h2 id={ (category) "-heading" } { (title) }
                @if here.is_empty() { p.muted { (about) " There are none." } } @else { (table(&at, &here, &overwritten, &sets)) }
            }
        }
    };
    Ok(Answer::page(framed(&visit, &frame, &body)))
}

fn table(at: &At, here: &[&Seen<Variable>], overwritten: &[Seen<Variable>], sets: &[Seen<Named>]) -> Markup {
    html! {
        table.dense.variables {
            thead { tr {
                th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "From" }
                th scope="col" { span.hidden { "Actions" } }
            } }
            tbody { @for one in here {
                (row(at, one, sets, None))
                @for (_, id) in one.all_related("overwritten") {
                    @if let Some(other) = overwritten.iter().find(|other| other.id == id) { (row(at, other, sets, Some(one))) }
                }
            } }
        }
    }
}

/// A variable, and by which other it is overridden.
fn row(at: &At, one: &Seen<Variable>, sets: &[Seen<Named>], by: Option<&Seen<Variable>>) -> Markup {
    let set = one.related("varset");
    let source = |one: &Seen<Variable>| match one.related("varset") {
        None => html! { "This workspace" },
        Some(id) => {
            let name = sets.iter().find(|set| set.id == id).map_or("a variable set", |set| &set.name);
            html! { "Set “" (name) "”" }
        }
    };
    html! {
        tr.overridden[by.is_some()] {
            th scope="row" {
                code { (one.key) }
                @if one.hcl { " " span.quality { "HCL" } }
                @if one.sensitive { " " span.quality { "Sensitive" } }
                @if !one.description.is_empty() { div.words { (one.description) } }
            }
            td.wide data-name="Value" { (value(one)) }
            td data-name="From" {
                (source(one))
                @if let Some(by) = by { div.small { "Overridden by " (source(by)) } }
            }
            td.actions {
                @if set.is_none() && at.workspace.permissions.can_update_variable {
                    a href=(at.page(&format!("/variables/{}", one.id))) { "Edit" span.hidden { " " (one.key) } }
                }
            }
        }
    }
}

fn value(one: &Variable) -> Markup {
    html! {
        @match &one.value {
            None => span.muted { "Sensitive, write-only" },
            Some(text) if text.is_empty() => span.muted { "Empty" },
            Some(text) => code.whole { (text) },
        }
    }
}
