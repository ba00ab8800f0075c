//! One variable set: its variables, where it holds, and its settings.

mod scopes;
mod variables;

use super::{
    of, page,
    settings::Sided,
    variable_sets::{Set, scope},
};
use crate::{
    answer::Answer,
    form::{Field, confirm, done, settled, tick},
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{
    Result,
    inside::{Found, Seen},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    let table = table
        .show("/app/{organization}/settings/variable-sets/{set}", "web.variable-set.show", show)
        .send("/app/{organization}/settings/variable-sets/{set}", "web.variable-set.update", update)
        .send("/app/{organization}/settings/variable-sets/{set}/delete", "web.variable-set.delete", delete);
    scopes::routes(variables::routes(table))
}

#[derive(Deserialize)]
struct Project {
    name: String,
    permissions: ProjectPermissions,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProjectPermissions {
    can_manage_varsets: bool,
}

fn of_set(visit: &Visit, rest: &str) -> String {
    page(visit, &format!("/settings/variable-sets/{}{rest}", segment(visit.path("set"))))
}

fn api_of_set(visit: &Visit, rest: &str) -> String {
    format!("/varsets/{}{rest}", segment(visit.path("set")))
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let paths = [
        api_of_set(visit, "?include=workspaces%2Cprojects"),
        api_of_set(visit, "/relationships/vars?page%5Bsize%5D=100"),
    ];
    let (organization, found, vars) =
        tokio::try_join!(of(visit), visit.read(&paths[0]), visit.read(&paths[1]))?;
    let set: Seen<Set> = found.one()?;
    let owner = owner(visit, &set).await?;
    let may = match &owner {
        Some(project) => project.permissions.can_manage_varsets,
        None => organization.permissions.can_manage_varsets,
    };
    let body = html! {
        (above)
        (done(visit, &[
            ("created", "The set is there. Give it variables, and places to hold in."),
            ("saved", "The set is saved."),
            ("variable", "The variables are changed. The next runs have them."),
            ("scope", "Where the set holds is changed."),
        ]))
        section.panel {
            dl {
                dt { "Holds in" } dd { (scope(&set)) }
                @if let Some(project) = &owner { dt { "Belongs to" } dd { "the project " (project.name) } }
                @if !set.description.is_empty() { dt { "Description" } dd { (set.description) } }
                dt { "Priority" } dd { @if set.priority { "Yes: it goes before what workspaces and runs say" } @else { "No" } }
            }
        }
        (variables::markup(visit, &vars, may)?)
        @if !set.global { (scopes::markup(visit, &found, may).await?) }
        @if may { (general(visit, &set, owner.is_some())) }
    };
    let mut sided = Sided::new("Variable sets");
    sided.title = &set.name;
    Ok(sided.answer(visit, &organization, &body))
}

/// The project that owns the set, if one does.
async fn owner(visit: &Visit, set: &Seen<Set>) -> Result<Option<Seen<Project>>> {
    let project = set.all_related("parent").into_iter().find(|(kind, _)| *kind == "projects");
    let Some((_, id)) = project else { return Ok(None) };
    let found: Option<Found> = visit.read_if_there(&format!("/projects/{}", segment(id))).await?;
    found.map(|found| found.one()).transpose()
}

fn general(visit: &Visit, set: &Seen<Set>, owned: bool) -> Markup {
    html! {
        section.panel #variable-set-settings {
            h2 { "Settings" }
            form method="post" action=(of_set(visit, "")) {
                (form_token(visit))
                (Field::new("name", "Name").value(&set.name).input(visit))
                (Field::new("description", "Description").value(&set.description).optional().input(visit))
                @if !owned {
                    (tick(visit, "global", "Holds in all workspaces of the organization",
                        "Its projects and workspaces are then forgotten.", set.global))
                }
                (tick(visit, "priority", "Has priority",
                    "Its variables hold even where a workspace or a run says otherwise.", set.priority))
                div.buttons { button.quiet type="submit" { "Save variable set" } }
            }
        }
        section.panel.danger-zone {
            h2 { "Delete the variable set" }
            p.muted { "The next runs of its workspaces do without its variables." }
            (confirm(visit, &of_set(visit, "/delete"), "Delete", &set.name, "This cannot be undone.", "Delete the set"))
        }
    }
}

async fn changed(visit: &Visit, result: Result<Value>, word: &str) -> Result<Answer> {
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other(of_set(visit, &format!("?done={word}")))),
        Err(refusal) => Ok(refusal.answer(answer(visit, &refusal.note()).await?)),
    }
}

async fn update(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "varsets", "attributes": {
        "name": visit.field("name"), "description": visit.field("description"),
        "global": !visit.field("global").is_empty(), "priority": !visit.field("priority").is_empty() } } });
    let result = visit.change(Method::PATCH, &api_of_set(&visit, ""), &body).await;
    changed(&visit, result, "saved").await
}

async fn delete(visit: Visit) -> Result<Answer> {
    visit.change(Method::DELETE, &api_of_set(&visit, ""), &Value::Null).await?;
    Ok(Answer::see_other(page(&visit, "/settings/variable-sets?done=deleted")))
}
