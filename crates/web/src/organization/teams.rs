//! The teams of an organization.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::{Field, done, settled},
    layout::form_token,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::Result;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/settings/teams", "web.teams.list", show).send(
        "/app/{organization}/settings/teams",
        "web.teams.create",
        create,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Team {
    name: String,
    users_count: i64,
    visibility: String,
    organization_access: Map<String, Value>,
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let path = api(visit, "/teams?page%5Bsize%5D=100");
    let (organization, found) = tokio::try_join!(of(visit), visit.read(&path))?;
    let teams = found.many::<Team>()?;
    let may = organization.permissions;
    let body = html! {
        (above)
        (done(visit, &[("deleted", "The team is gone, with its tokens and its access.")]))
        section.panel {
            p.muted { "People get access through teams: a team has access to the organization, to projects, and to single \
                       workspaces, and a person holds all that their teams hold. Who is in “owners” may do everything." }
            ul.rows data-list {
                @for team in &teams {
                    li {
                        a href=(page(visit, &format!("/settings/teams/{}", segment(&team.id)))) data-item { (team.name) }
                        @if team.visibility == "secret" { span.badge { "Secret" } }
                        span.muted { (parts::count(team.users_count, "member", "members")) }
                        span.muted { (summary(&team.name, &team.organization_access)) }
                    }
                }
            }
            (parts::pager(visit.uri.path(), found.pagination()))
        }
        @if may.can_create_team {
            section.panel {
                h2 { "New team" }
                form.row #new-team method="post" action=(page(visit, "/settings/teams")) {
                    (form_token(visit))
                    div.grow { (Field::new("name", "Name").input(visit)) }
                    div { (Field::new("visibility", "Visible to").select(visit, &[("secret", "Its members"), ("organization", "The organization")])) }
                    button type="submit" { "Create team" }
                }
            }
        }
    };
    Ok(Sided::new("Teams").answer(visit, &organization, &body))
}

/// An organization access in few words.
fn summary(name: &str, access: &Map<String, Value>) -> String {
    if name == "owners" {
        return "May do everything".to_owned();
    }
    match access.values().filter(|value| **value == Value::Bool(true)).count() {
        0 => "Access by project and workspace only".to_owned(),
        n => parts::count(
            i64::try_from(n).unwrap_or(i64::MAX),
            "organization permission",
            "organization permissions",
        ),
    }
}

async fn create(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "teams", "attributes": {
        "name": visit.field("name").trim(), "visibility": visit.field("visibility") } } });
    match settled(visit.change(Method::POST, &api(&visit, "/teams"), &body).await)? {
        Ok(made) => {
            let id = made["data"]["id"].as_str().unwrap_or_default();
            Ok(Answer::see_other(page(&visit, &format!("/settings/teams/{}?done=created", segment(id)))))
        }
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}
