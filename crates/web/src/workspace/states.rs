//! The states of a workspace: which there were, who wrote them, and any two of them chosen to be compared.

use super::{At, User, runs};
use crate::{
    answer::Answer,
    files,
    layout::{Frame, framed, moment},
    live::{self, Watch},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{
    Result,
    inside::{Found, Seen},
};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}/states", "web.workspace.states", list)
}

/// A version of the state.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct State {
    pub(super) serial: i64,
    pub(super) status: String,
    pub(super) created_at: String,
    pub(super) size: Option<u64>,
    pub(super) lineage: String,
    pub(super) terraform_version: Option<String>,
    pub(super) resources: Vec<Group>,
    pub(super) hosted_json_state_download_url: Option<String>,
}

impl State {
    /// Whether its content is there.
    pub(super) fn is_whole(&self) -> bool {
        self.status == "finalized"
    }

    /// How many instances it manages.
    pub(super) fn managed(&self) -> i64 {
        self.resources.iter().filter(|group| !group.kind.starts_with("data.")).map(|group| group.count).sum()
    }
}

/// Resources of a state that differ in their index alone.
#[derive(Deserialize)]
pub(super) struct Group {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) module: String,
    pub(super) provider: String,
    pub(super) count: i64,
}

/// Who made a state, and by which run.
pub(super) fn origin(at: &At, found: &Found, state: &Seen<State>) -> Result<Markup> {
    let run = state.related("run");
    let made = run.map(|id| found.included::<runs::Run>("runs", id)).transpose()?.flatten();
    let user =
        state.related("created-by").map(|id| found.included::<User>("users", id)).transpose()?.flatten();
    Ok(html! {
        @match (&made, &user) {
            (Some(run), _) => a href=(at.page(&format!("/runs/{}", run.id))) { (run.message) },
            (None, Some(user)) => { (user.username) },
            (None, None) => {},
        }
    })
}

async fn list(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let frame = Frame::new(at.area(), "States", "States");
    if !at.workspace.permissions.can_read_state_versions {
        let body = html! { section.panel { p.muted {
            "You may see this workspace but not its states. Who administers the workspace can give your team the permission "
            "to read state versions."
        } } };
        return Ok(Answer::page(framed(&visit, &frame, &body)));
    }
    let page: u32 = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let found = visit
        .read(&format!(
            "/state-versions?filter%5Borganization%5D%5Bname%5D={}&filter%5Bworkspace%5D%5Bname%5D={}\
             &include=created_by,run&page%5Bsize%5D=20&page%5Bnumber%5D={page}",
            segment(&at.organization),
            segment(&at.workspace.name)
        ))
        .await?;
    let states = found.many::<State>()?;
    let now = visit.app.now();
    let list = html! {
        @if states.is_empty() {
            section.panel #no-states {
                h2 { "No state yet" }
                p.muted { "The first apply of this workspace writes a state, which then stands here with all that follow it." }
                div.buttons { (at.start()) }
            }
        } @else {
            form #compare-states method="get" action=(at.page("/states/compare")) {
                div.titled {
                    @if states.len() > 1 {
                        p.muted { "Choose two states to compare them." }
                        button.quiet type="submit" { "Compare" }
                    }
                }
                (table(&at, &found, &states, now)?)
            }
            (parts::pager(&at.page("/states"), found.pagination()))
        }
    };
    let body = live::follow(&visit, Watch::Workspace(&at.workspace.id), &live::part(&visit, "states", &list));
    Ok(Answer::page(framed(&visit, &frame, &body)))
}

fn table(at: &At, found: &Found, states: &[Seen<State>], now: Timestamp) -> Result<Markup> {
    let current = at.workspace.related("current-state-version");
    let origins = states.iter().map(|state| origin(at, found, state)).collect::<Result<Vec<_>>>()?;
    let choice = |side: &str, state: &Seen<State>, chosen: bool| {
        let label = format!("{side} serial {}", state.serial);
        html! { input type="radio" name=(side) value=(state.id) aria-label=(label) checked[chosen] disabled[!state.is_whole()]; }
    };
    let chooses = states.len() > 1;
    Ok(html! {
        div.panel.flush {
            table.dense {
                thead { tr {
                    @if chooses { th scope="col" { "From" } th scope="col" { "To" } }
                    th scope="col" { "State" } th scope="col" { "Made by" }
                    th scope="col" { "Resources" } th scope="col" { "Size" } th scope="col" { "When" }
                } }
                tbody { @for (place, (state, origin)) in states.iter().zip(&origins).enumerate() { tr {
                    @if chooses {
                        td.choice data-name="From" { (choice("from", state, place == 1)) }
                        td.choice data-name="To" { (choice("to", state, place == 0)) }
                    }
                    th scope="row" {
                        a href=(at.page(&format!("/states/{}", state.id))) { "Serial " (state.serial) } " "
                        @if current == Some(&state.id) { span.badge.good { "Current" } }
                        @if !state.is_whole() { span.badge { (status(&state.status)) } }
                        div.small { (state.id) }
                    }
                    td.wide data-name="Made by" { (origin) }
                    td data-name="Resources" { (state.managed()) }
                    td data-name="Size" { @if let Some(bytes) = state.size { (files::size(bytes)) } }
                    td data-name="When" { @if let Some(at) = Timestamp::parse(&state.created_at) { (moment(now, at)) } }
                } } }
            }
        }
    })
}

/// What a state that is not whole is, in words.
pub(super) fn status(status: &str) -> &str {
    match status {
        "pending" => "Waits for its upload",
        "discarded" => "Discarded",
        "backing_data_soft_deleted" => "Content deleted, can be restored",
        "backing_data_permanently_deleted" => "Content deleted",
        other => other,
    }
}
