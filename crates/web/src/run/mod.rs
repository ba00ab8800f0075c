//! A run: how far it is, what it plans, what it prints, and what one may do with it.
//!
//! Reading order: `model` (what is read), this file (pages and forms), `head` (how it stands, actions), `timeline` (stages,
//! who did what), `plan` (the plan's JSON), `tree` and `values` (the plan on the page), `markdown`,
//! `graph` with `layers`; `lines` (a log in
//! lines, with `engine` and `ansi`), `log`.

mod ansi;
mod engine;
mod graph;
mod head;
mod kept;
mod layers;
mod lines;
mod log;
mod markdown;
mod model;
mod plan;
mod timeline;
mod tree;
mod values;

use crate::{
    answer::Answer,
    layout::{Area, Frame, framed},
    live::{self, Watch},
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::{Method, StatusCode};
use head::{ACTIONS, Said};
use http_api::{Error, Result};
use maud::{Markup, html};
use model::Whole;
use plan::Plan;
use serde_json::{Value, json};
use std::sync::Arc;
use tree::{At, Filter};

pub(crate) fn routes(table: Table) -> Table {
    table
        .show("/app/{organization}/workspaces/{workspace}/runs/{run}", "web.run.show", show)
        .show(
            "/app/{organization}/workspaces/{workspace}/runs/{run}/plan/{address}",
            "web.run.change",
            change,
        )
        .show("/app/{organization}/workspaces/{workspace}/runs/{run}/graph", "web.run.graph", graph::show)
        .show("/app/{organization}/workspaces/{workspace}/runs/{run}/log", "web.run.log", log::show)
        .show(
            "/app/{organization}/workspaces/{workspace}/runs/{run}/log/lines",
            "web.run.log-lines",
            log::chunk,
        )
        .show(
            "/app/{organization}/workspaces/{workspace}/runs/{run}/log/follow",
            "web.run.log-follow",
            log::follow,
        )
        .show("/app/{organization}/workspaces/{workspace}/runs/{run}/file", "web.run.file", file)
        .send("/app/{organization}/workspaces/{workspace}/runs/{run}/{action}", "web.run.act", act)
        // As Terraform's command line prints it.
        .show("/app/{organization}/{workspace}/runs/{run}", "web.run.lead", lead)
}

/// Where the runs of the workspace are.
fn list(visit: &Visit) -> String {
    format!(
        "/app/{}/workspaces/{}/runs",
        segment(visit.path("organization")),
        segment(visit.path("workspace"))
    )
}

fn path(visit: &Visit) -> String {
    format!("{}/{}", list(visit), segment(visit.path("run")))
}

async fn lead(visit: Visit) -> Result<Answer> {
    Ok(Answer::see_other(path(&visit)))
}

/// The pages of a run beside each other.
fn beside(base: &str, whole: &Whole, place: &str) -> Markup {
    let exec = whole.run.exec.is_some();
    let mut places = vec![("Run", base.to_owned())];
    if !exec && whole.plan.status == "finished" {
        places.push(("Graph", format!("{base}/graph")));
    }
    if whole.plan.has_log() {
        places.push((if exec { "Log" } else { "Plan log" }, format!("{base}/log?phase=plan")));
    }
    if whole.apply.has_log() {
        places.push(("Apply log", format!("{base}/log?phase=apply")));
    }
    html! {
        nav.beside aria-label="Run" {
            @for (name, path) in &places { a href=(path) aria-current=[(*name == place).then_some("page")] { (name) } }
        }
    }
}

/// The frame of a run's pages.
fn frame(visit: &Visit, whole: &Whole, body: &Markup) -> Answer {
    let (organization, workspace) = (visit.path("organization"), visit.path("workspace"));
    let title = if whole.run.message.is_empty() { whole.run.id.as_str() } else { &whole.run.message };
    let frame = Frame { within: true, ..Frame::new(Area::Workspace(organization, workspace), "Runs", title) };
    Answer::page(framed(visit, &frame, body))
}

/// The plan of the run, once there is one.
async fn plan_of(visit: &Visit, whole: &Whole) -> Result<Option<Arc<Plan>>> {
    if whole.plan.status != "finished" || whole.run.exec.is_some() {
        return Ok(None);
    }
    plan::of_run(visit, &whole.run.id, &whole.plan.id).await
}

async fn show(visit: Visit) -> Result<Answer> {
    let said = match visit.query("done").as_deref() {
        Some("comment") => Said::Good("Your comment was added."),
        _ => Said::Nothing,
    };
    page(&visit, &said).await
}

async fn page(visit: &Visit, said: &Said<'_>) -> Result<Answer> {
    let whole = Whole::read(visit).await?;
    let plan = plan_of(visit, &whole).await?;
    let base = path(visit);
    let drift = plan.as_ref().map_or(0, |plan| plan.drift.len());
    // Once a plan is shown, it does not change: looks that follow go without it.
    let shown = visit.query("without").as_deref() == Some("work");
    let body = html! {
        (said.note())
        (live::follow(visit, Watch::Run(&whole.run.id), &html! {
            (live::refresh(&base, &["state", "actions", "stages", "beside", "now", "work", "history"]))
            (live::by_content("state", &head::state(visit, &whole, drift)))
            (live::by_content("actions", &head::actions(visit, &base, &whole.run, said.typed())))
            (live::by_content("stages", &timeline::timeline(&whole.run, &whole.history)))
            (live::by_content("beside", &beside(&base, &whole, "Run")))
            (live::versioned("now", &now_version(&whole), &now(visit, &base, &whole).await?))
            @if !shown { (live::versioned("work", work_version(plan.as_deref()), &work(visit, &base, &whole, plan.as_deref())?)) }
            section.panel aria-labelledby="history-title" {
                h2 #history-title { "Who did what" }
                (live::by_content("history", &timeline::history(visit, &whole)))
                (timeline::comment_form(visit, &base, &whole.run, ""))
            }
        }))
    };
    Ok(frame(visit, &whole, &body))
}

/// What of it can be seen now: the log of the phase that runs, or why the run failed.
async fn now(visit: &Visit, base: &str, whole: &Whole) -> Result<Markup> {
    if whole.run.status == "errored" {
        return log::errors(visit, base, whole).await;
    }
    for name in ["plan", "apply"] {
        if whole.phase(name).runs() {
            return log::tail(visit, base, whole, name).await;
        }
    }
    Ok(Markup::default())
}

/// A log that is followed is not shown anew while its phase runs.
fn now_version(whole: &Whole) -> String {
    let phases = [&whole.plan, &whole.apply].map(|phase| if phase.runs() { "runs" } else { "rests" });
    format!("{} {} {}", phases[0], phases[1], whole.run.status == "errored")
}

fn work_version(plan: Option<&Plan>) -> &'static str {
    if plan.is_some() { "plan" } else { "none" }
}

/// What the run is about: its plan, or what it does now.
fn work(visit: &Visit, base: &str, whole: &Whole, plan: Option<&Plan>) -> Result<Markup> {
    let filter = Filter::of(visit);
    let at = At { base, filter: &filter };
    Ok(html! {
        @if let Some(plan) = plan {
            input.shown type="hidden" name="without" value="work";
            (tree::section(&at, plan)?)
            @let address = visit.app.url(base);
            details.panel.copy #copy {
                summary { "Copy as Markdown" }
                textarea #markdown readonly rows="10" aria-label="The plan as Markdown" { (markdown::of(whole, plan, &address)) }
                div.buttons { button.quiet type="button" data-copy="#markdown" { "Copy" } }
            }
        } @else if !whole.run.is_over() && whole.run.exec.is_none() {
            section.panel { p.muted { "What the run would change is shown here as soon as its plan is made." } }
        }
    })
}

/// One change, for itself: what a list loads when it is opened, and where it leads without scripts.
async fn change(visit: Visit) -> Result<Answer> {
    let whole = Whole::read(&visit).await?;
    let plan = plan_of(&visit, &whole).await?.ok_or(Error::NotFound)?;
    let (address, body) = tree::opened(&plan, &visit)?.ok_or(Error::NotFound)?;
    let base = path(&visit);
    let (organization, workspace) = (visit.path("organization"), visit.path("workspace"));
    let frame =
        Frame { within: true, ..Frame::new(Area::Workspace(organization, workspace), "Runs", &address) };
    let body = html! { p { a href=(base) { "‹ " (whole.run.message) } } (body) };
    Ok(Answer::page(framed(&visit, &frame, &body)))
}

/// The file that an operation made.
async fn file(visit: Visit) -> Result<Answer> {
    let whole = Whole::read(&visit).await?;
    let name = whole.run.exec.as_ref().and_then(|exec| exec.file.clone()).ok_or(Error::NotFound)?;
    let bytes = visit.bytes(&format!("/runs/{}/exec-file", segment(visit.path("run")))).await?;
    Ok(Answer::download("application/octet-stream", &name, bytes))
}

async fn act(visit: Visit) -> Result<Answer> {
    let (action, comment) = (visit.path("action"), visit.field("comment").trim());
    let run = segment(visit.path("run"));
    let done = if action == "comment" {
        let body = json!({ "data": { "type": "comments", "attributes": { "body": comment } } });
        visit.change(Method::POST, &format!("/runs/{run}/comments"), &body).await
    } else if ACTIONS.iter().any(|(known, _)| *known == action) {
        let body = if comment.is_empty() { Value::Null } else { json!({ "comment": comment }) };
        visit.change(Method::POST, &format!("/runs/{run}/actions/{action}"), &body).await
    } else {
        return Err(Error::NotFound);
    };
    let (status, why) = match done {
        Ok(_) if action == "comment" => {
            return Ok(Answer::see_other(path(&visit) + "?done=comment#history-title"));
        }
        Ok(_) => return Ok(Answer::see_other(path(&visit))),
        Err(Error::Conflict { detail, .. }) => (StatusCode::CONFLICT, detail),
        Err(Error::Forbidden(why)) => (StatusCode::FORBIDDEN, why),
        Err(Error::Unprocessable(why)) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(Error::Invalid(all)) => {
            let all: Vec<_> = all.iter().map(|(_, why)| why.as_str()).collect();
            (StatusCode::UNPROCESSABLE_ENTITY, all.join(" "))
        }
        Err(error) => return Err(error),
    };
    let why = format!("Nothing was done: {why}. This is how the run stands now.");
    Ok(page(&visit, &Said::Refused(&why, comment)).await?.status(status))
}
