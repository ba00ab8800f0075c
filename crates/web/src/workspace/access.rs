//! Team access: which teams may do what here, and why. A team has the greatest of what it gets from the organization, from
//! the project and from the workspace itself; what that is together is `authz`'s to say.

use super::{At, Refusal, member, settings};
use crate::{
    answer::Answer,
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use authz::{
    OrganizationAccess, ProjectAccess, RunsLevel, StateVersionsLevel, TeamAccess, VariablesLevel,
    WorkspacePermissions,
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings/access";
    let one = "/app/{organization}/workspaces/{workspace}/settings/access/{access}";
    let delete = "/app/{organization}/workspaces/{workspace}/settings/access/{access}/delete";
    table
        .show(path, "web.workspace-access.show", show)
        .send(path, "web.workspace-access.create", create)
        .send(one, "web.workspace-access.update", update)
        .send(delete, "web.workspace-access.delete", remove)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Team {
    name: String,
    #[serde(default)]
    organization_access: OrganizationAccess,
}

#[derive(Deserialize)]
struct Level {
    access: String,
}

/// The levels that one gives; what a team has one by one is given by the API.
const LEVELS: [(&str, &str); 4] =
    [("read", "Read"), ("plan", "Plan"), ("write", "Write"), ("admin", "Admin")];

/// What a team has here, and from where.
struct Held<'a> {
    team: &'a Seen<Team>,
    effective: WorkspacePermissions,
    /// Each source in words, and whether it can be changed here.
    why: Vec<String>,
    own: Option<(&'a str, &'a str)>,
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let project = at.workspace.related("project").unwrap_or_default();
    let teams = format!("/organizations/{}/teams?page%5Bsize%5D=100", segment(&at.organization));
    let here = format!("/team-workspaces?filter%5Bworkspace%5D%5Bid%5D={}", at.workspace.id);
    let there = format!("/team-projects?filter%5Bproject%5D%5Bid%5D={project}&page%5Bsize%5D=100");
    let (teams, here, there) =
        tokio::try_join!(visit.read(&teams), visit.read_if_there(&here), visit.read_if_there(&there))?;
    let Some(here) = here else {
        let body = html! { section.panel { p.muted {
            "Which teams have access is for those to see who administer the workspace."
        } } };
        return Ok(settings::beside(visit, &at, "Team access", refusal, &body));
    };
    let teams = teams.many::<Team>()?;
    let (levels, here) = (here.many::<Level>()?, here.many::<TeamAccess>()?);
    let there = match &there {
        Some(found) => found.many::<ProjectAccess>()?.into_iter().zip(found.many::<Level>()?).collect(),
        None => vec![],
    };
    let held: Vec<Held<'_>> = teams.iter().map(|team| held(team, &levels, &here, &there)).collect();
    let (with, without): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|held| held.effective != WorkspacePermissions::NONE);
    // Who sees this list may change it: the API gives the two together.
    let body = html! {
        section.panel aria-labelledby="access-heading" {
            h2 #access-heading { "Teams with access" }
            (table(visit, &at, &with))
        }
        @if !without.is_empty() { (form(visit, &at, &without)) }
    };
    Ok(settings::beside(visit, &at, "Team access", refusal, &body))
}

fn held<'a>(
    team: &'a Seen<Team>,
    levels: &'a [Seen<Level>],
    here: &[Seen<TeamAccess>],
    there: &[(Seen<ProjectAccess>, Seen<Level>)],
) -> Held<'a> {
    let (mut effective, mut why, mut own) = (WorkspacePermissions::NONE, Vec::new(), None);
    if team.name == "owners" {
        effective = WorkspacePermissions::OWNER;
        why.push("Owners may do everything".to_owned());
    }
    let everywhere = team.organization_access.in_workspaces();
    if everywhere != WorkspacePermissions::NONE && team.name != "owners" {
        effective = effective.union(everywhere);
        why.push(format!("Organization: {} in every workspace", level(&everywhere)));
    }
    for (access, named) in there.iter().filter(|(access, _)| access.related("team") == Some(&team.id)) {
        effective = effective.union(access.permissions().workspaces);
        why.push(format!("Project: {}", named.access));
    }
    for access in here.iter().filter(|access| access.related("team") == Some(&team.id)) {
        effective = effective.union(access.permissions());
        own = levels
            .iter()
            .find(|named| named.id == access.id)
            .map(|named| (named.id.as_str(), named.access.as_str()));
        why.push(format!("Workspace: {}", own.map_or("custom", |(_, level)| level)));
    }
    Held { team, effective, why, own }
}

/// The greatest named level that is within what one has.
fn level(held: &WorkspacePermissions) -> &'static str {
    let within = |least: WorkspacePermissions| held.union(least) == *held;
    match () {
        () if within(WorkspacePermissions::ADMIN) => "Admin",
        () if within(WorkspacePermissions::WRITE) => "Write",
        () if within(WorkspacePermissions::PLAN) => "Plan",
        () if within(WorkspacePermissions::READ) => "Read",
        () => "Less than Read",
    }
}

fn table(visit: &Visit, at: &At, all: &[Held<'_>]) -> Markup {
    html! {
        table.dense {
            thead { tr {
                th scope="col" { "Team" } th scope="col" { "Access" } th scope="col" { "Why" }
                th scope="col" { span.hidden { "Actions" } }
            } }
            tbody { @for held in all { tr {
                th scope="row" { (held.team.name) }
                td data-name="Access" { strong { (level(&held.effective)) } div.small { (details(&held.effective)) } }
                td.wide data-name="Why" { ul.bare { @for why in &held.why { li { (why) } } } }
                td.actions { @if let Some((id, level)) = held.own { (change(visit, at, held.team, id, level)) } }
            } } }
        }
    }
}

fn details(held: &WorkspacePermissions) -> String {
    let runs = match held.runs {
        RunsLevel::None => "no runs",
        RunsLevel::Read => "sees runs",
        RunsLevel::Plan => "plans",
        RunsLevel::Apply => "applies",
    };
    let variables = match held.variables {
        VariablesLevel::None => "no variables",
        VariablesLevel::Read => "reads variables",
        VariablesLevel::Write => "writes variables",
    };
    let states = match held.state_versions {
        StateVersionsLevel::None => "no states",
        StateVersionsLevel::ReadOutputs => "reads outputs",
        StateVersionsLevel::Read => "reads states",
        StateVersionsLevel::Write => "writes states",
    };
    [runs, variables, states].join(", ")
}

fn choice(id: &str, chosen: &str) -> Markup {
    html! {
        select id=(id) name="level" {
            @for (level, words) in LEVELS { option value=(level) selected[level == chosen] { (words) } }
            @if chosen == "custom" { option value="custom" selected { "Custom" } }
        }
    }
}

fn change(visit: &Visit, at: &At, team: &Seen<Team>, id: &str, level: &str) -> Markup {
    let own = at.page(&format!("/settings/access/{id}"));
    let field = format!("level-{id}");
    html! {
        details.confirm {
            summary { "Change" span.hidden { " access of " (team.name) } }
            form method="post" action=(own) {
                (form_token(visit))
                label.hidden for=(field) { "Access of " (team.name) " to this workspace" }
                (choice(&field, level))
                button type="submit" { "Save" }
            }
            form method="post" action={ (own) "/delete" } {
                (form_token(visit))
                button.danger type="submit" { "Remove" }
            }
        }
    }
}

fn form(visit: &Visit, at: &At, without: &[Held<'_>]) -> Markup {
    html! {
        section.panel aria-labelledby="add-heading" {
            h2 #add-heading { "Add a team" }
            form.row #access-form method="post" action=(at.page("/settings/access")) {
                (form_token(visit))
                div.grow {
                    label for="team" { "Team" }
                    select #team name="team" { @for held in without { option value=(held.team.id) { (held.team.name) } } }
                }
                div { label for="level" { "Access" } (choice("level", "read")) }
                button type="submit" { "Add team" }
            }
        }
    }
}

async fn create(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let body = json!({ "data": {
        "type": "team-workspaces", "attributes": { "access": visit.field("level") },
        "relationships": {
            "team": member("teams", visit.field("team")), "workspace": member("workspaces", &at.workspace.id),
        },
    } });
    told(&visit, &at, visit.change(Method::POST, "/team-workspaces", &body).await).await
}

async fn told(visit: &Visit, at: &At, result: Result<Value>) -> Result<Answer> {
    match result {
        Ok(_) => Ok(Answer::see_other(at.page("/settings/access?done=saved"))),
        Err(error) => page(visit, Some(&Refusal::of(error)?)).await,
    }
}

/// The path of a team's access, if it is access to this workspace.
async fn of(visit: &Visit, at: &At) -> Result<String> {
    let path = format!("/team-workspaces/{}", segment(visit.path("access")));
    let found = visit.read(&path).await?.one::<Level>()?;
    if found.related("workspace") == Some(&at.workspace.id) { Ok(path) } else { Err(Error::NotFound) }
}

async fn update(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let path = of(&visit, &at).await?;
    let body =
        json!({ "data": { "type": "team-workspaces", "attributes": { "access": visit.field("level") } } });
    told(&visit, &at, visit.change(Method::PATCH, &path, &body).await).await
}

async fn remove(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let path = of(&visit, &at).await?;
    told(&visit, &at, visit.change(Method::DELETE, &path, &Value::Null).await).await
}
