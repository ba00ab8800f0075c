//! One project: its workspaces, which teams have access, and its settings.

use super::{Organization, api, of, page};
use crate::{
    answer::Answer,
    form::{Field, confirm, done, settled},
    layout::{Area, Frame, form_token, framed},
    parts,
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
        .show("/app/{organization}/projects/{project}", "web.project.show", show)
        .send("/app/{organization}/projects/{project}", "web.project.update", update)
        .send("/app/{organization}/projects/{project}/delete", "web.project.delete", delete)
        .send("/app/{organization}/projects/{project}/move", "web.project.move", take)
        .send("/app/{organization}/projects/{project}/access", "web.project-access.add", give)
        .send("/app/{organization}/projects/{project}/access/{access}", "web.project-access.update", change)
        .send(
            "/app/{organization}/projects/{project}/access/{access}/remove",
            "web.project-access.remove",
            withdraw,
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    name: String,
    description: Option<String>,
    default_execution_mode: String,
    auto_destroy_activity_duration: Option<String>,
    setting_overwrites: Overwrites,
    permissions: Permissions,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Overwrites {
    default_execution_mode: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "the API's permissions, by their names")]
struct Permissions {
    can_destroy: bool,
    can_manage_teams: bool,
    can_move_workspace: bool,
    can_read_teams: bool,
    can_update: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Workspace {
    name: String,
    resource_count: i64,
}

#[derive(Deserialize)]
struct Run {
    status: String,
}

#[derive(Deserialize)]
struct Access {
    access: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// The levels of access to a project.
const LEVELS: [(&str, &str); 4] = [
    ("read", "Read: see the project and its workspaces"),
    ("write", "Write: and run them"),
    ("maintain", "Maintain: and administer its workspaces"),
    ("admin", "Admin: and the project and its teams"),
];

fn of_project(visit: &Visit, rest: &str) -> String {
    page(visit, &format!("/projects/{}{rest}", segment(visit.path("project"))))
}

fn api_of_project(visit: &Visit, rest: &str) -> String {
    format!("/projects/{}{rest}", segment(visit.path("project")))
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let number = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let id = segment(visit.path("project")).to_string();
    let paths = [
        api_of_project(visit, ""),
        api(
            visit,
            &format!(
                "/workspaces?include=current_run&sort=name&page%5Bsize%5D=50&page%5Bnumber%5D={number}&filter%5Bproject%5D%5Bid%5D={id}"
            ),
        ),
        format!("/team-projects?include=team&page%5Bsize%5D=100&filter%5Bproject%5D%5Bid%5D={id}"),
        api(visit, "/teams?page%5Bsize%5D=100"),
    ];
    let (organization, found, workspaces, access, teams) = tokio::try_join!(
        of(visit),
        visit.read(&paths[0]),
        visit.read(&paths[1]),
        visit.read_if_there(&paths[2]),
        visit.read(&paths[3]),
    )?;
    let project: Seen<Project> = found.one()?;
    let may = &project.permissions;
    let body = html! {
        (above)
        (done(visit, &[
            ("created", "The project is there. Give teams access, and move workspaces into it."),
            ("saved", "The project is saved."),
            ("moved", "The workspace is in this project now."),
            ("access", "The access is changed, and holds at once."),
        ]))
        @if let Some(text) = project.description.as_deref().filter(|text| !text.is_empty()) { p.muted { (text) } }
        (workspace_list(visit, &project, &workspaces)?)
        @if may.can_read_teams { @if let Some(access) = &access { (team_access(visit, &project, access, &teams.many()?)?) } }
        @if may.can_update { (settings(visit, &project)) }
        @if may.can_destroy {
            section.panel.danger-zone {
                h2 { "Delete the project" }
                p.muted { "Only a project without workspaces can be deleted. Its team access and its variable sets go with it." }
                (confirm(visit, &of_project(visit, "/delete"), "Delete", &project.name, "This cannot be undone.", "Delete the project"))
            }
        }
    };
    Ok(Answer::page(framed(visit, &frame(visit, &organization, &project), &body)))
}

fn frame<'a>(visit: &Visit, organization: &'a Seen<Organization>, project: &'a Seen<Project>) -> Frame<'a> {
    Frame {
        within: true,
        actions: html! {
            @if organization.permissions.can_create_workspace {
                a.button href=(page(visit, &format!("/workspaces/new?project={}", segment(&project.id)))) { "New workspace" }
            }
        },
        ..Frame::new(Area::Organization(&organization.name), "Projects", &project.name)
    }
}

fn workspace_list(visit: &Visit, project: &Seen<Project>, found: &Found) -> Result<Markup> {
    let (workspaces, runs) = (found.many::<Workspace>()?, found.all_included::<Run>("runs")?);
    let total = found.pagination().total.unwrap_or_default();
    Ok(html! {
        section.panel #project-workspaces {
            h2 { "Workspaces " span.tally { (total) } }
            @if workspaces.is_empty() { p.muted { "No workspace is in this project yet." } } @else {
                ul.rows data-list { @for workspace in &workspaces {
                    @let run = runs.iter().find(|run| workspace.related("current-run") == Some(&run.id));
                    li {
                        a href=(page(visit, &format!("/workspaces/{}", segment(&workspace.name)))) data-item { (workspace.name) }
                        @if let Some(run) = run { (parts::badge(&run.status)) }
                        span.muted { (parts::count(workspace.resource_count, "resource", "resources")) }
                    }
                } }
                (parts::pager(visit.uri.path(), found.pagination()))
            }
            @if project.permissions.can_move_workspace {
                form.row #move-workspace method="post" action=(of_project(visit, "/move")) {
                    (form_token(visit))
                    div.grow { (Field::new("workspace", "Move a workspace here").hint("Its name. Team access and variable sets of this project hold for it from then on.").input(visit)) }
                    button.quiet type="submit" { "Move workspace" }
                }
            }
        }
    })
}

fn team_access(
    visit: &Visit,
    project: &Seen<Project>,
    found: &Found,
    teams: &[Seen<Named>],
) -> Result<Markup> {
    let (rows, named) = (found.many::<Access>()?, found.all_included::<Named>("teams")?);
    let may = project.permissions.can_manage_teams;
    let others: Vec<(&str, &str)> = teams
        .iter()
        .filter(|team| team.name != "owners" && rows.iter().all(|row| row.related("team") != Some(&team.id)))
        .map(|team| (team.id.as_str(), team.name.as_str()))
        .collect();
    Ok(html! {
        section.panel #project-team-access {
            h2 { "Team access" }
            @if rows.is_empty() { p.muted { "No team has access to this project as such. Owners, and teams with organization access, do." } } @else {
                table {
                    thead { tr { th scope="col" { "Team" } th scope="col" { "Level" } th scope="col" { span.hidden { "Actions" } } } }
                    tbody { @for row in &rows {
                        @let id = row.related("team").unwrap_or_default();
                        @let name = named.iter().find(|team| team.id == id).map_or("", |team| &team.name);
                        @let base = of_project(visit, &format!("/access/{}", segment(&row.id)));
                        tr {
                            th scope="row" { a href=(page(visit, &format!("/settings/teams/{}", segment(id)))) { (name) } }
                            td data-name="Level" {
                                @if may {
                                    form.inline method="post" action=(base) {
                                        (form_token(visit))
                                        select name="access" aria-label={ "Level of " (name) } {
                                            @for (level, words) in LEVELS { option value=(level) selected[level == row.access] { (words) } }
                                            @if row.access == "custom" { option value="custom" selected { "Custom" } }
                                        }
                                        button.quiet.small-button type="submit" { "Change" }
                                    }
                                } @else { (row.access) }
                            }
                            td.actions { @if may {
                                form method="post" action={ (base) "/remove" } {
                                    (form_token(visit))
                                    button.quiet.small-button type="submit" aria-label={ "Remove access of " (name) } { "Remove" }
                                }
                            } }
                        }
                    } }
                }
            }
            @if may && !others.is_empty() {
                form.row #give-access method="post" action=(of_project(visit, "/access")) {
                    (form_token(visit))
                    div.grow { (Field::new("team", "Team").select(visit, &others)) }
                    div.grow { (Field::new("access", "Level").select(visit, &LEVELS)) }
                    button.quiet type="submit" { "Give access" }
                }
            }
        }
    })
}

fn settings(visit: &Visit, project: &Seen<Project>) -> Markup {
    let mode =
        if project.setting_overwrites.default_execution_mode { &*project.default_execution_mode } else { "" };
    let mut modes = vec![
        ("", "As the organization has it"),
        ("remote", "Remote: runs happen on this server"),
        ("local", "Local: only states are kept"),
    ];
    // Which pool that is, the API says and sets.
    if mode == "agent" {
        modes.push(("agent", "Agent, as it is"));
    }
    html! {
        section.panel #project-settings {
            h2 { "Settings" }
            form method="post" action=(of_project(visit, "")) {
                (form_token(visit))
                (Field::new("name", "Name").value(&project.name).input(visit))
                (Field::new("description", "Description").optional()
                    .value(project.description.as_deref().unwrap_or_default()).input(visit))
                (Field::new("default-execution-mode", "Default execution mode").value(mode)
                    .hint("How workspaces of the project work that do not say it themselves.")
                    .select(visit, &modes))
                (Field::new("auto-destroy", "Destroy after days or hours without activity").optional()
                    .value(project.auto_destroy_activity_duration.as_deref().unwrap_or_default())
                    .hint("As 14d or 24h: workspaces that nobody has touched for so long destroy their resources. Empty for never.").input(visit))
                div.buttons { button.quiet type="submit" { "Save project" } }
            }
        }
    }
}

async fn changed(visit: &Visit, result: Result<Value>, word: &str) -> Result<Answer> {
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other(of_project(visit, &format!("?done={word}")))),
        Err(refusal) => Ok(refusal.answer(answer(visit, &refusal.note()).await?)),
    }
}

async fn update(visit: Visit) -> Result<Answer> {
    let mode = visit.field("default-execution-mode");
    let mut attributes = json!({
        "name": visit.field("name").trim(),
        "description": visit.field("description"),
        "auto-destroy-activity-duration": Some(visit.field("auto-destroy").trim()).filter(|text| !text.is_empty()),
    });
    if mode != "agent" {
        attributes["setting-overwrites"] = json!({ "default-execution-mode": !mode.is_empty() });
    }
    if ["remote", "local"].contains(&mode) {
        attributes["default-execution-mode"] = json!(mode);
    }
    let body = json!({ "data": { "type": "projects", "attributes": attributes } });
    let result = visit.change(Method::PATCH, &api_of_project(&visit, ""), &body).await;
    changed(&visit, result, "saved").await
}

async fn delete(visit: Visit) -> Result<Answer> {
    match settled(visit.change(Method::DELETE, &api_of_project(&visit, ""), &Value::Null).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "/projects?done=deleted"))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn take(visit: Visit) -> Result<Answer> {
    let result = move_here(&visit).await;
    changed(&visit, result, "moved").await
}

async fn move_here(visit: &Visit) -> Result<Value> {
    let name = visit.field("workspace").trim();
    let found = visit.read_if_there(&api(visit, &format!("/workspaces/{}", segment(name)))).await?;
    let Some(found) = found else {
        return Err(Error::invalid("workspace", format!("There is no workspace {name:?} that you may see")));
    };
    let body = json!({ "data": [{ "type": "workspaces", "id": found.one::<Named>()?.id }] });
    visit.change(Method::POST, &api_of_project(visit, "/relationships/workspaces"), &body).await
}

async fn give(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "team-projects", "attributes": { "access": visit.field("access") },
        "relationships": {
            "project": { "data": { "type": "projects", "id": visit.path("project") } },
            "team": { "data": { "type": "teams", "id": visit.field("team") } },
        } } });
    let result = visit.change(Method::POST, "/team-projects", &body).await;
    changed(&visit, result, "access").await
}

async fn change(visit: Visit) -> Result<Answer> {
    let body =
        json!({ "data": { "type": "team-projects", "attributes": { "access": visit.field("access") } } });
    let path = format!("/team-projects/{}", segment(visit.path("access")));
    let result = visit.change(Method::PATCH, &path, &body).await;
    changed(&visit, result, "access").await
}

async fn withdraw(visit: Visit) -> Result<Answer> {
    let path = format!("/team-projects/{}", segment(visit.path("access")));
    let result = visit.change(Method::DELETE, &path, &Value::Null).await;
    changed(&visit, result, "access").await
}
