//! `ferroform run show`

use crate::{
    desk::Desk,
    failure::Failure,
    render::{
        Style,
        table::{Table, facts, one_line},
        words,
    },
    run_summary::{Changes, run_url},
};
use client::{Client, Run, RunEvent};
use kernel::Timestamp;
use serde::Serialize;

/// A run; members may be added.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    status: &'a str,
    message: Option<&'a str>,
    organization: Option<&'a str>,
    workspace: Option<&'a str>,
    url: Option<String>,
    created_at: &'a str,
    created_by: Option<&'a str>,
    source: &'a str,
    terraform_version: Option<&'a str>,
    is_destroy: bool,
    plan_only: bool,
    auto_apply: bool,
    /// What it waits for, in words; null when it waits for nothing, or the server does not say.
    waiting_for: Option<String>,
    error: Option<&'a str>,
    has_changes: bool,
    /// What the plan found.
    planned: Option<Changes>,
    /// What the apply did.
    applied: Option<Changes>,
    events: Vec<Event<'a>>,
}

/// Something that happened.
#[derive(Serialize)]
struct Event<'a> {
    at: &'a str,
    action: &'a str,
    by: Option<&'a str>,
    description: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(run: &'a Run, events: &'a [RunEvent], base: &str) -> Self {
        let workspace = run.workspace.as_ref();
        let organization = workspace.and_then(|workspace| workspace.organization.as_deref());
        let name = workspace.map(|workspace| workspace.name.as_str());
        let applied = run.apply.as_ref().filter(|apply| apply.status.as_str() == "finished");
        Self {
            id: run.id.as_str(),
            status: run.status.as_str(),
            message: run.message.as_deref(),
            organization,
            workspace: name,
            url: organization.zip(name).map(|(o, w)| run_url(base, o, w, run.id.as_str())),
            created_at: &run.created_at,
            created_by: run.created_by.as_ref().map(|user| user.username.as_str()),
            source: &run.source,
            terraform_version: run.terraform_version.as_deref().filter(|version| !version.is_empty()),
            is_destroy: run.is_destroy,
            plan_only: run.plan_only,
            auto_apply: run.auto_apply,
            waiting_for: waiting_for(run),
            error: run.error_message.as_deref(),
            has_changes: run.has_changes,
            planned: run.plan.as_ref().and_then(Changes::of_plan),
            applied: applied.and_then(Changes::of_apply),
            events: events.iter().map(Event::of).collect(),
        }
    }

    fn render(&self, style: Style, now: Timestamp) -> String {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let place = self.organization.zip(self.workspace).map(|(o, w)| format!("{o}/{w}"));
        let mut kind = vec![];
        for (is, word) in [
            (self.is_destroy, "destroys everything"),
            (self.plan_only, "can only be planned"),
            (self.auto_apply, "applies by itself"),
        ] {
            kind.extend(is.then_some(word));
        }
        let plan = match self.planned {
            Some(changes) if self.has_changes => changes.planned(),
            Some(_) => "nothing to change".to_owned(),
            None => String::new(),
        };
        let by = self.created_by.map(|by| format!(" by {by}")).unwrap_or_default();
        let list = facts(
            style,
            &[
                ("Run", style.bold(self.id)),
                ("Status", words::status(style, self.status)),
                ("Waits for", self.waiting_for.as_deref().map(|text| style.yellow(text)).unwrap_or_default()),
                ("Error", self.error.map(|text| style.red(&one_line(text, 200))).unwrap_or_default()),
                ("Workspace", place.unwrap_or_default()),
                ("Message", one_line(self.message.unwrap_or_default(), 200)),
                ("Created", format!("{}{by}", words::instant(now, self.created_at))),
                ("Kind", kind.join(", ")),
                ("Engine", text(self.terraform_version)),
                ("Plan", plan),
                ("Applied", self.applied.map(Changes::applied).unwrap_or_default()),
                ("Page", text(self.url.as_deref())),
            ],
        );
        if self.events.is_empty() {
            return list;
        }
        let mut table = Table::new(&["WHEN", "WHAT", "WHO", ""]);
        for event in &self.events {
            table.row(vec![
                words::age(now, event.at),
                event.action.replace('_', " "),
                event.by.unwrap_or("the server").to_owned(),
                one_line(event.description.unwrap_or_default(), 80),
            ]);
        }
        format!("{list}\n\n{}", table.render(style))
    }
}

impl<'a> Event<'a> {
    fn of(event: &'a RunEvent) -> Self {
        Self {
            at: &event.created_at,
            action: &event.action,
            by: event.actor.as_ref().map(|user| user.username.as_str()),
            description: event.description.as_deref(),
        }
    }
}

/// What a run waits for: what the server says, or what its status means.
fn waiting_for(run: &Run) -> Option<String> {
    if let Some(said) = run.waiting_for() {
        return Some(said);
    }
    if run.actions.is_confirmable {
        let id = &run.id;
        return Some(format!(
            "somebody's confirmation: `ferroform run apply {id}` or `ferroform run discard {id}`"
        ));
    }
    if run.status.is_awaiting_override() {
        return Some("somebody who may overrule a policy, on the run's page".to_owned());
    }
    match run.position_in_queue {
        Some(position) if position > 0 => Some(format!("a runner: place {position} in the queue")),
        _ => None,
    }
}

pub(super) async fn show(id: &str, desk: &mut Desk, client: &Client) -> Result<(), Failure> {
    let run = super::find(client, id).await?;
    let events = match client.run_events(&run.id).await {
        // Not every server has them.
        Err(error) if error.is_not_found() => vec![],
        other => other?,
    };
    let now = desk.now();
    let shown = Shown::of(&run, &events, client.base_url().as_str());
    desk.answer(&shown, |style| shown.render(style, now));
    Ok(())
}
