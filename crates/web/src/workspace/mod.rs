//! The pages of a workspace.
//!
//! Reading order: this file (what all of them share), `overview` with `empty` and `readme`, `runs`, `new_run`, `states` with
//! `compare` and `rollback`, `variables` with `variable`, then `settings` and what is below it; `create` makes a workspace.

mod access;
mod compare;
mod create;
mod destruction;
mod empty;
mod locking;
mod new_run;
mod overview;
mod readme;
mod remote_state;
mod retention;
mod rollback;
mod runs;
mod settings;
mod ssh_key;
mod state_version;
mod states;
mod triggers;
mod variable;
mod variables;

use crate::{
    answer::Answer,
    layout::{Area, Frame, Tone, framed, note},
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::StatusCode;
use http_api::{
    Error, Result,
    inside::{Found, Seen},
};
use maud::{Markup, html};
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    let all = [
        create::routes,
        overview::routes,
        locking::routes,
        runs::routes,
        new_run::routes,
        states::routes,
        state_version::routes,
        compare::routes,
        rollback::routes,
        variables::routes,
        variable::routes,
        settings::routes,
        remote_state::routes,
        triggers::routes,
        ssh_key::routes,
        access::routes,
        retention::routes,
        destruction::routes,
    ];
    all.into_iter().fold(table, |table, more| more(table))
}

/// A workspace, as its pages show it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Workspace {
    name: String,
    description: Option<String>,
    locked: bool,
    locked_reason: String,
    auto_apply: bool,
    auto_apply_run_trigger: bool,
    allow_destroy_plan: bool,
    execution_mode: String,
    engine: String,
    terraform_version: String,
    working_directory: Option<String>,
    structured_run_output_enabled: bool,
    global_remote_state: bool,
    project_remote_state: bool,
    resource_count: i64,
    auto_destroy_at: Option<String>,
    auto_destroy_activity_duration: Option<String>,
    inherits_project_auto_destroy: bool,
    setting_overwrites: Overwrites,
    permissions: Permissions,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Overwrites {
    execution_mode: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Permissions {
    can_create_state_versions: bool,
    can_destroy: bool,
    can_force_delete: bool,
    can_force_unlock: bool,
    can_lock: bool,
    can_queue_apply: bool,
    can_queue_destroy: bool,
    can_queue_run: bool,
    can_read_state_outputs: bool,
    can_read_state_versions: bool,
    can_read_variable: bool,
    can_unlock: bool,
    can_update: bool,
    can_update_variable: bool,
}

/// Who or what has a name.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A person.
#[derive(Deserialize)]
struct User {
    username: String,
}

/// The workspace that a path names.
struct At {
    organization: String,
    workspace: Seen<Workspace>,
    /// What was asked for along with it.
    found: Found,
}

impl At {
    async fn of(visit: &Visit, include: &str) -> Result<Self> {
        let organization = visit.path("organization").to_owned();
        let query = if include.is_empty() { String::new() } else { format!("?include={include}") };
        let (whose, name) = (segment(visit.path("organization")), segment(visit.path("workspace")));
        let found = visit.read(&format!("/organizations/{whose}/workspaces/{name}{query}")).await?;
        Ok(Self { workspace: found.one()?, organization, found })
    }

    /// The address of a page of the workspace.
    fn page(&self, rest: &str) -> String {
        page(&self.organization, &self.workspace.name, rest)
    }

    /// A path of the API below the workspace.
    fn api(&self, rest: &str) -> String {
        format!("/workspaces/{}{rest}", self.workspace.id)
    }

    fn area(&self) -> Area<'_> {
        Area::Workspace(&self.organization, &self.workspace.name)
    }

    /// The page with this title below a place.
    fn within(&self, visit: &Visit, place: &str, title: &str, body: &Markup) -> Answer {
        let frame = Frame { within: true, ..Frame::new(self.area(), place, title) };
        Answer::page(framed(visit, &frame, body))
    }

    /// The way to a new run, for who may make one here.
    fn start(&self) -> Markup {
        let may = self.workspace.permissions.can_queue_run && self.workspace.execution_mode != "local";
        html! { @if may { a.button #start-new-run href=(self.page("/runs/new")) { "Start new run" } } }
    }

    fn may(&self, which: impl Fn(&Permissions) -> bool) -> Result<()> {
        if which(&self.workspace.permissions) { Ok(()) } else { Err(Error::NotFound) }
    }
}

/// The address of a page of a workspace.
fn page(organization: &str, workspace: &str, rest: &str) -> String {
    format!("/app/{}/workspaces/{}{rest}", segment(organization), segment(workspace))
}

/// What the API has refused, in its words.
struct Refusal {
    status: StatusCode,
    words: Vec<String>,
}

impl Refusal {
    /// What is no refusal of what was sent goes on as it is.
    fn of(error: Error) -> Result<Self> {
        let (status, words) = match error {
            Error::Invalid(all) => {
                (StatusCode::UNPROCESSABLE_ENTITY, all.into_iter().map(|(_, text)| text).collect())
            }
            Error::Unprocessable(text) => (StatusCode::UNPROCESSABLE_ENTITY, vec![text]),
            Error::Conflict { detail, .. } => (StatusCode::CONFLICT, vec![detail]),
            Error::Forbidden(text) => (StatusCode::FORBIDDEN, vec![text]),
            Error::BadRequest { detail, .. } => (StatusCode::BAD_REQUEST, vec![detail]),
            Error::TooLarge(text) => (StatusCode::PAYLOAD_TOO_LARGE, vec![text]),
            Error::PreconditionFailed(text) => (StatusCode::PRECONDITION_FAILED, vec![text]),
            Error::Unavailable(text) => (StatusCode::SERVICE_UNAVAILABLE, vec![text]),
            other => return Err(other),
        };
        Ok(Self { status, words })
    }

    /// What a page itself finds wrong with a form.
    fn saying(text: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, words: vec![text.into()] }
    }

    fn note(&self) -> Markup {
        note(Tone::Bad, &html! { @for text in &self.words { p { (sentence(text)) } } })
    }
}

/// A page with what was refused above its form.
fn refused(refusal: Option<&Refusal>) -> Markup {
    refusal.map(Refusal::note).unwrap_or_default()
}

/// With the status of what was refused.
fn answered(answer: Answer, refusal: Option<&Refusal>) -> Answer {
    match refusal {
        Some(refusal) => answer.status(refusal.status),
        None => answer,
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// What was done before the page was shown, from `?done=…`.
fn done(visit: &Visit, texts: &[(&str, &str)]) -> Markup {
    let done = visit.query("done");
    let text = texts.iter().find(|(name, _)| Some(*name) == done.as_deref()).map(|(_, text)| text);
    html! { @if let Some(text) = text { (note(Tone::Good, &html! { (text) })) } }
}

/// An identifier of the API is its own document's JSON.
fn member(kind: &str, id: &str) -> serde_json::Value {
    serde_json::json!({ "data": { "type": kind, "id": id } })
}

/// Text to copy, with a button that does it.
fn copied(id: &str, text: &str) -> Markup {
    html! {
        div.copied {
            pre id=(id) tabindex="0" { (text) }
            button.quiet type="button" data-copy={ "#" (id) } { "Copy" }
        }
    }
}

/// `remote` and `local` in words.
fn mode(mode: &str) -> &'static str {
    match mode {
        "local" => "Local",
        "agent" => "Agent",
        _ => "Remote",
    }
}

/// An engine in words.
fn engine(engine: &str) -> &'static str {
    if engine == "tofu" { "OpenTofu" } else { "Terraform" }
}
