//! What a run's page says before its plan: how it stands, where it comes from, why it waits, and what one may do.

use super::model::{Run, Whole};
use crate::{
    layout::{Tone, form_token, moment, note},
    parts,
    visit::{Visit, segment},
};
use maud::{Markup, html};

/// What a person may do with a run, and how the API calls it.
pub(super) const ACTIONS: [(&str, &str); 4] = [
    ("apply", "Confirm & apply"),
    ("discard", "Discard run"),
    ("cancel", "Cancel run"),
    ("force-cancel", "Force-cancel run"),
];

/// What there is to say of how a form went.
pub(super) enum Said<'a> {
    Nothing,
    Good(&'a str),
    /// Why it was refused, and the comment that came along.
    Refused(&'a str, &'a str),
}

impl Said<'_> {
    pub(super) fn typed(&self) -> &str {
        match self {
            Said::Refused(_, typed) => typed,
            _ => "",
        }
    }

    pub(super) fn note(&self) -> Markup {
        match self {
            Said::Nothing => Markup::default(),
            Said::Good(words) => note(Tone::Good, &html! { (words) }),
            Said::Refused(why, _) => note(Tone::Bad, &html! { (why) }),
        }
    }
}

fn trigger(run: &Run) -> &'static str {
    match (run.trigger_reason.as_str(), run.source.as_str()) {
        ("run-trigger", _) => "by a run trigger",
        (_, "tfe-api") => "by the API",
        (_, "tfe-ui") => "in the browser",
        (_, "terraform+cloud" | "tfe-configuration-version" | "terraform") => "by the command line",
        _ => "",
    }
}

/// What kind of run it is, where that is not plan and apply.
fn kinds(run: &Run) -> Vec<&'static str> {
    let all = [
        (run.is_destroy, "Destroy"),
        (run.refresh_only, "Refresh only"),
        (run.plan_only && run.exec.is_none(), "Plan only"),
        (run.operation == "save_plan", "Saved plan"),
        (run.auto_apply && !run.plan_only, "Applies by itself"),
        (run.exec.is_some(), "Operation"),
    ];
    all.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
}

/// `+2 ~1 −0`, with imports.
pub(super) fn summary(counts: [u32; 4], drift: usize) -> Markup {
    let [add, change, destroy, import] = counts;
    html! {
        span.counts {
            span class=(if add > 0 { "add" } else { "muted" }) title={ (add) " to create" } { "+" (add) }
            span class=(if change > 0 { "change" } else { "muted" }) title={ (change) " to change" } { "~" (change) }
            span class=(if destroy > 0 { "remove" } else { "muted" }) title={ (destroy) " to destroy" } { "−" (destroy) }
            @if import > 0 { span.muted { (parts::count(import.into(), "import", "imports")) } }
            @if drift > 0 { span.muted { (drift) " drifted" } }
        }
    }
}

/// How the run stands, in one panel.
pub(super) fn state(visit: &Visit, whole: &Whole, drift: usize) -> Markup {
    let (run, now) = (&whole.run, visit.app.now());
    let counts = whole.apply.counts().or_else(|| whole.plan.counts());
    html! {
        section.panel.slim aria-label="Run" {
            div.standing {
                (parts::badge(&run.status))
                @for kind in kinds(run) { span.tag { (kind) } }
                @if let Some(counts) = counts { (summary(counts, drift)) }
                span.muted {
                    "Started "
                    @if let Some(by) = &whole.created_by { "by " strong { (by) } " " }
                    (trigger(run)) " " (moment(now, run.created_at))
                }
            }
            @if let Some(waiting) = &run.waiting_for {
                p.why-waiting {
                    strong { "Waiting. " } (waiting.message)
                    @if let Some(other) = &waiting.run { " " a href={ (super::list(visit)) "/" (segment(other)) } { "Go to that run" } }
                }
            }
            dl.facts {
                div { dt { "Run" } dd { code { (run.id) } } }
                @if let Some(configuration) = &whole.configuration {
                    div {
                        dt { "Configuration" }
                        dd {
                            code { (configuration.id) }
                            @if let Some(source) = configuration.source.as_deref() { " " span.muted { (source) } }
                            @if configuration.speculative { " " span.muted { "speculative" } }
                        }
                    }
                }
                @if !run.terraform_version.is_empty() { div { dt { "Terraform" } dd { (run.terraform_version) } } }
                (addresses("Targets", run.target_addrs.as_ref()))
                (addresses("Replaces", run.replace_addrs.as_ref()))
            }
            (operation(visit, run))
        }
    }
}

fn addresses(name: &str, list: Option<&Vec<String>>) -> Markup {
    html! {
        @if let Some(list) = list {
            div { dt { (name) } dd { @for address in list { code { (address) } " " } } }
        }
    }
}

/// The command line of an operation, and the file that it made.
fn operation(visit: &Visit, run: &Run) -> Markup {
    html! {
        @if let Some(exec) = &run.exec {
            pre.command { "terraform " (exec.arguments.join(" ")) }
            @if let Some(file) = &exec.file {
                p { a href={ (super::path(visit)) "/file" } { "Download " (file) } }
            }
        }
    }
}

/// The buttons that this person may press now, each with the comment that may come along.
pub(super) fn actions(visit: &Visit, base: &str, run: &Run, typed: &str) -> Markup {
    let offered: Vec<_> = ACTIONS.iter().filter(|(action, _)| run.offers(action)).collect();
    let later = run
        .force_cancel_available_at
        .filter(|_| run.permissions.can_force_cancel && !run.is_over() && !run.offers("force-cancel"));
    html! {
        @if !offered.is_empty() || later.is_some() {
            section.panel.slim.act aria-labelledby="act-title" {
                h2.hidden #act-title { "What to do" }
                @if let Some((first, _)) = offered.first() {
                    form #run-actions method="post" action={ (base) "/" (first) } {
                        (form_token(visit))
                        // Of many lines, so that Enter in it confirms nothing.
                        textarea #action-comment name="comment" rows="1" maxlength="4000" hx-preserve="true"
                            placeholder="Comment (optional)" aria-label="Comment (optional)" { (typed) }
                        div.buttons {
                            @for (action, words) in &offered {
                                button type="submit" formaction={ (base) "/" (action) } class=(look(action)) { (words) }
                            }
                        }
                    }
                }
                @if let Some(at) = later {
                    p.small {
                        "It was asked to stop. If it does not, it can be force-canceled " (moment(visit.app.now(), at)) "."
                    }
                    (again(visit, base, at))
                }
            }
        }
    }
}

/// Looks again when it is time.
fn again(visit: &Visit, base: &str, at: kernel::Timestamp) -> Markup {
    let seconds = at.since(visit.app.now()).as_secs() + 1;
    html! {
        div hx-get={ (base) "?without=work" } hx-trigger={ "load delay:" (seconds) "s" } hx-swap="none"
            hx-select-oob="#state,#actions" {}
    }
}

fn look(action: &str) -> &'static str {
    match action {
        "apply" => "go",
        "force-cancel" => "danger",
        _ => "quiet",
    }
}
