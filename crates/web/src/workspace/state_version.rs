//! One state: what is in it, where it comes from, its file, and the way back to it.

use super::{
    At, Refusal, answered, done,
    overview::{self, Output},
    refused,
    states::{self, State},
};
use crate::{
    answer::Answer,
    files,
    layout::{Frame, framed, moment},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Error, Result, inside::Seen};
use kernel::Timestamp;
use maud::{Markup, html};

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}/states/{state}", "web.state.show", show).show(
        "/app/{organization}/workspaces/{workspace}/states/{state}/download",
        "web.state.download",
        download,
    )
}

/// The state of an id, if it is this workspace's.
pub(super) async fn of(visit: &Visit, at: &At, id: &str) -> Result<(Seen<State>, Markup)> {
    let found = visit.read(&format!("/state-versions/{}?include=created_by,run", segment(id))).await?;
    let state: Seen<State> = found.one()?;
    if state.related("workspace") != Some(&at.workspace.id) {
        return Err(Error::NotFound);
    }
    let origin = states::origin(at, &found, &state)?;
    Ok((state, origin))
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

/// The page, with what was refused of what it leads to.
pub(super) async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let (state, origin) = of(visit, &at, visit.path("state")).await?;
    let outputs = visit.read(&format!("/state-versions/{}/outputs?page%5Bsize%5D=100", state.id)).await?;
    let outputs = outputs.many::<Output>()?;
    let current = at.workspace.related("current-state-version") == Some(&state.id);
    let title = format!("State, serial {}", state.serial);
    let own = at.page(&format!("/states/{}", state.id));
    let actions = html! {
        @if state.is_whole() {
            a.button.quiet href=(at.page(&format!("/states/compare?to={}", state.id))) { "Compare" }
            a.button.quiet #download-state href={ (own) "/download" } { "Download" }
            @if !current && at.workspace.permissions.can_create_state_versions {
                a.button.quiet #rollback href={ (own) "/rollback" } { "Roll back to this state" }
            }
        }
    };
    let body = html! {
        (done(visit, &[("rolled-back", "The workspace has this state again. Nothing but the state has changed: a plan shows how it differs from what exists.")]))
        (refused(refusal))
        (facts(visit, &state, &origin, current))
        section.panel aria-labelledby="resources-heading" {
            div.titled {
                h2 #resources-heading { "Resources" }
                span.muted { (parts::count(state.managed(), "instance", "instances")) }
            }
            (groups(&state))
        }
        section.panel aria-labelledby="outputs-heading" {
            h2 #outputs-heading { "Outputs" }
            @if outputs.is_empty() { p.muted { "This state has no outputs." } } @else { (overview::output_table(&outputs)) }
        }
    };
    let frame = Frame { within: true, actions, ..Frame::new(at.area(), "States", &title) };
    Ok(answered(Answer::page(framed(visit, &frame, &body)), refusal))
}

fn facts(visit: &Visit, state: &Seen<State>, origin: &Markup, current: bool) -> Markup {
    html! {
        section.panel aria-label="About this state" {
            dl.about.wide {
                dt { "ID" } dd { code { (state.id) } " " @if current { span.badge.good { "Current" } } }
                @if !state.is_whole() { dt { "Status" } dd { (states::status(&state.status)) } }
                dt { "Made by" } dd { (origin) }
                dt { "When" }
                dd { @if let Some(at) = Timestamp::parse(&state.created_at) { (moment(visit.app.now(), at)) } }
                @if let Some(version) = &state.terraform_version { dt { "Engine" } dd { (version) } }
                dt { "Lineage" } dd { code { (state.lineage) } }
                @if let Some(bytes) = state.size { dt { "Size" } dd { (files::size(bytes)) } }
            }
        }
    }
}

fn groups(state: &State) -> Markup {
    html! {
        @if state.resources.is_empty() {
            p.muted { "This state manages no resources." }
        } @else {
            table.dense {
                thead { tr {
                    th scope="col" { "Resource" } th scope="col" { "Module" } th scope="col" { "Provider" }
                    th scope="col" { "Instances" }
                } }
                tbody { @for group in &state.resources { tr {
                    th scope="row" { code { (group.kind) "." (group.name) } }
                    td data-name="Module" { (group.module) }
                    td.wide data-name="Provider" { (provider(&group.provider)) }
                    td data-name="Instances" { (group.count) }
                } } }
            }
        }
    }
}

/// `registry.terraform.io/hashicorp/aws` out of `provider["registry.terraform.io/hashicorp/aws"]`.
fn provider(text: &str) -> &str {
    text.strip_prefix("provider[\"").and_then(|rest| rest.strip_suffix("\"]")).unwrap_or(text)
}

async fn download(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let (state, _) = of(&visit, &at, visit.path("state")).await?;
    let bytes = visit.bytes(&format!("/state-versions/{}/download", state.id)).await?;
    let name = format!("{}-{}.tfstate", at.workspace.name, state.serial);
    Ok(Answer::download("application/json", &name, bytes))
}
