//! Where a team has access: its projects and its single workspaces, each with a level.

use super::{Organization, api, changed, of_team as address};
use crate::{
    answer::Answer,
    form::Field,
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{
    Error, Result,
    inside::{Found, Seen},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .send("/app/{organization}/settings/teams/{team}/access/{kind}", "web.team-access.add", add)
        .send(
            "/app/{organization}/settings/teams/{team}/access/{kind}/{access}",
            "web.team-access.update",
            update,
        )
        .send(
            "/app/{organization}/settings/teams/{team}/access/{kind}/{access}/remove",
            "web.team-access.remove",
            remove,
        )
}

/// A kind of access: the word of the address, the API's path, the relationship, and the levels.
struct Kind {
    word: &'static str,
    path: &'static str,
    levels: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 2] = [
    Kind {
        word: "project",
        path: "/team-projects",
        levels: &[
            ("read", "Read: see the project and its workspaces"),
            ("write", "Write: and run them"),
            ("maintain", "Maintain: and administer its workspaces"),
            ("admin", "Admin: and the project and its teams"),
        ],
    },
    Kind {
        word: "workspace",
        path: "/team-workspaces",
        levels: &[
            ("read", "Read: see runs, variables and states"),
            ("plan", "Plan: and start runs"),
            ("write", "Write: and apply, lock, change variables"),
            ("admin", "Admin: and its settings and teams"),
        ],
    },
];

#[derive(Deserialize)]
struct Access {
    access: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Both kinds, as far as the person may see them.
pub(super) struct Accesses {
    of: Vec<(&'static Kind, Found)>,
    projects: Vec<Seen<Named>>,
}

pub(super) async fn of_team(visit: &Visit) -> Result<Accesses> {
    let team = segment(visit.path("team")).to_string();
    let [projects, workspaces] = KINDS
        .each_ref()
        .map(|kind| format!("{}?filter%5Bteam%5D%5Bid%5D={team}&include={}", kind.path, kind.word));
    let all = api(visit, "/projects?page%5Bsize%5D=100");
    let (projects, workspaces, all) =
        tokio::try_join!(visit.read(&projects), visit.read(&workspaces), visit.read(&all))?;
    let of = KINDS.iter().zip([projects, workspaces]).collect();
    Ok(Accesses { of, projects: all.many()? })
}

impl Accesses {
    pub(super) fn markup(&self, visit: &Visit, organization: &Organization, team: &str) -> Markup {
        // Who manages projects has all to say about access to each, and to each workspace.
        let may = organization.permissions.can_create_project;
        html! {
            @if team != "owners" {
                @for (kind, found) in &self.of { (self.of_kind(visit, kind, found, may)) }
            }
        }
    }

    fn of_kind(&self, visit: &Visit, kind: &Kind, found: &Found, may: bool) -> Markup {
        let title = if kind.word == "project" { "Project access" } else { "Workspace access" };
        let included = format!("{}s", kind.word);
        let (rows, named) = (
            found.many::<Access>().unwrap_or_default(),
            found.all_included::<Named>(&included).unwrap_or_default(),
        );
        let base = address(visit, &format!("/access/{}", kind.word));
        html! {
            section.panel id={ (kind.word) "-access" } {
                h2 { (title) }
                @if rows.is_empty() {
                    p.muted { "None. " @if kind.word == "project" { "Access to a project is access to all of its workspaces." }
                        @else { "Access to single workspaces adds to that of their project." } }
                } @else {
                    table {
                        thead { tr { th scope="col" { @if kind.word == "project" { "Project" } @else { "Workspace" } } th scope="col" { "Level" } th scope="col" { span.hidden { "Actions" } } } }
                        tbody { @for row in &rows {
                            @let name = named.iter().find(|one| row.related(kind.word) == Some(&one.id)).map_or("", |one| &one.name);
                            tr {
                                th scope="row" { (name) }
                                td data-name="Level" {
                                    @if may {
                                        form.inline method="post" action=(format!("{base}/{}", segment(&row.id))) {
                                            (form_token(visit))
                                            select name="access" aria-label={ "Level of access to " (name) } {
                                                @for (level, words) in kind.levels { option value=(level) selected[*level == row.access] { (words) } }
                                                @if row.access == "custom" { option value="custom" selected { "Custom" } }
                                            }
                                            button.quiet.small-button type="submit" { "Change" }
                                        }
                                    } @else { (row.access) }
                                }
                                td.actions { @if may {
                                    form method="post" action=(format!("{base}/{}/remove", segment(&row.id))) {
                                        (form_token(visit))
                                        button.quiet.small-button type="submit" aria-label={ "Remove access to " (name) } { "Remove" }
                                    }
                                } }
                            }
                        } }
                    }
                }
                @if may { (self.addition(visit, kind, &base)) }
            }
        }
    }

    fn addition(&self, visit: &Visit, kind: &Kind, base: &str) -> Markup {
        let projects: Vec<(&str, &str)> =
            self.projects.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
        html! {
            form.row method="post" action=(base) {
                (form_token(visit))
                div.grow {
                    @if kind.word == "project" { (Field::new("project", "Project").select(visit, &projects)) }
                    @else { (Field::new("workspace", "Workspace").hint("Its name.").input(visit)) }
                }
                div.grow { (Field::new("access", "Level").of(kind.word).select(visit, kind.levels)) }
                button.quiet type="submit" { "Give access" }
            }
        }
    }
}

fn kind(visit: &Visit) -> Result<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == visit.path("kind")).ok_or(Error::NotFound)
}

async fn add(visit: Visit) -> Result<Answer> {
    let kind = kind(&visit)?;
    let result = give(&visit, kind).await;
    changed(&visit, result, "access").await
}

async fn give(visit: &Visit, kind: &Kind) -> Result<Value> {
    let asked = visit.field(kind.word).trim();
    let id = if kind.word == "project" {
        asked.to_owned()
    } else {
        let found = visit.read_if_there(&api(visit, &format!("/workspaces/{}", segment(asked)))).await?;
        let Some(found) = found else {
            return Err(Error::invalid(
                "workspace",
                format!("There is no workspace {asked:?} that you may see"),
            ));
        };
        found.one::<Named>()?.id
    };
    let body = json!({ "data": { "type": &kind.path[1..], "attributes": { "access": visit.field("access") },
        "relationships": {
            (kind.word): { "data": { "type": format!("{}s", kind.word), "id": id } },
            "team": { "data": { "type": "teams", "id": visit.path("team") } },
        } } });
    visit.change(Method::POST, kind.path, &body).await
}

async fn update(visit: Visit) -> Result<Answer> {
    let kind = kind(&visit)?;
    let path = format!("{}/{}", kind.path, segment(visit.path("access")));
    let body =
        json!({ "data": { "type": &kind.path[1..], "attributes": { "access": visit.field("access") } } });
    let result = visit.change(Method::PATCH, &path, &body).await;
    changed(&visit, result, "access").await
}

async fn remove(visit: Visit) -> Result<Answer> {
    let kind = kind(&visit)?;
    let path = format!("{}/{}", kind.path, segment(visit.path("access")));
    let result = visit.change(Method::DELETE, &path, &Value::Null).await;
    changed(&visit, result, "access").await
}
