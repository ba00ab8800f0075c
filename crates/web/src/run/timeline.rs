//! What has happened to a run: its stages with how long each took, and who did what.

use super::model::{Happened, Run, Whole};
use crate::layout::{form_token, moment};
use crate::visit::Visit;
use kernel::Timestamp;
use maud::{Markup, html};

/// A stage that a run was or is in.
struct Stage<'a> {
    name: &'static str,
    class: &'static str,
    from: Timestamp,
    /// When the next one began.
    to: Option<Timestamp>,
    event: &'a Happened,
}

/// What an event begins, and whether it is an end.
fn begins(action: &str) -> Option<(&'static str, &'static str)> {
    Some(match action {
        "queued" => ("Pending", ""),
        "plan_queued" => ("Plan queued", ""),
        "planning" => ("Planning", ""),
        "planned" => ("Needs confirmation", ""),
        "planned_and_saved" => ("Saved", ""),
        "confirmed" => ("Apply queued", ""),
        "applying" => ("Applying", ""),
        "cancel_requested" => ("Canceling", ""),
        "applied" => ("Applied", "good"),
        "planned_and_finished" => ("Planned and finished", "good"),
        "discarded" => ("Discarded", "over"),
        "errored" => ("Errored", "bad"),
        "canceled" => ("Canceled", "over"),
        "force_canceled" => ("Force-canceled", "over"),
        _ => return None,
    })
}

fn stages(history: &[Happened]) -> Vec<Stage<'_>> {
    let mut stages: Vec<Stage<'_>> = Vec::new();
    for event in history {
        let Some((name, class)) = begins(&event.action) else { continue };
        if let Some(last) = stages.last_mut() {
            last.to = Some(event.at);
        }
        stages.push(Stage { name, class, from: event.at, to: None, event });
    }
    stages
}

/// A span as people measure it: `0.4 s`, `12 s`, `3 m 20 s`, `2 h 5 m`.
pub(super) fn duration(from: Timestamp, to: Timestamp) -> String {
    let span = to.since(from);
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} m", seconds / 3600, seconds % 3600 / 60),
    }
}

fn clock(at: Timestamp) -> String {
    at.iso8601()[11..19].to_owned()
}

/// The stages that a run will come to, if all goes well.
fn later(run: &Run, history: &[Happened]) -> Vec<&'static str> {
    let has = |action: &str| history.iter().any(|event| event.action == action);
    let mut later = Vec::new();
    if !run.is_over() && !has("cancel_requested") {
        later.extend((!has("planning")).then_some("Planning"));
        later.extend((!run.plan_only && run.exec.is_none() && !has("applying")).then_some("Applying"));
    }
    later
}

/// The stages, in the order in which they were reached.
pub(super) fn timeline(run: &Run, history: &[Happened]) -> Markup {
    let stages = stages(history);
    let total = stages.first().zip(stages.last()).map(|(first, last)| duration(first.from, last.from));
    html! {
        section.panel.slim aria-labelledby="stages-title" {
            h2.hidden #stages-title { "Stages" }
            ol.stages {
                @for stage in &stages {
                    @let now = stage.to.is_none() && !run.is_over();
                    li class=(if now { "now" } else { stage.class }) aria-current=[now.then_some("step")] {
                        strong { (stage.name) }
                        span.muted {
                            time datetime=(stage.event.at.iso8601()) title=(stage.event.at.iso8601()) { (clock(stage.from)) }
                            @if let Some(to) = stage.to { " · " (duration(stage.from, to)) }
                            @else if run.is_over() { @if let Some(total) = &total { " · " (total) " in all" } }
                        }
                    }
                }
                @for name in later(run, history) { li.later { strong { (name) } span.muted { "later" } } }
            }
        }
    }
}

fn words(event: &Happened) -> String {
    let words = match event.action.as_str() {
        "queued" => "started the run",
        "plan_queued" => "Plan queued",
        "planning" => "Plan began",
        "planned" => "Plan finished; waits for confirmation",
        "planned_and_saved" => "Plan finished and saved",
        "planned_and_finished" => "Plan finished; nothing more to do",
        "confirmed" => "confirmed the plan",
        "applying" => "Apply began",
        "applied" => "Apply finished",
        "discarded" => "discarded the run",
        "errored" => "The run failed",
        "cancel_requested" => "asked for the run to be canceled",
        "canceled" => "canceled the run",
        "force_canceled" => "force-canceled the run",
        "commented" => "commented",
        other => return other.replace('_', " "),
    };
    let mut words = words.to_owned();
    if event.by.is_none() && words.starts_with(char::is_lowercase) {
        words = match event.action.as_str() {
            "confirmed" => "Confirmed".to_owned(),
            "discarded" => "Discarded".to_owned(),
            "canceled" => "Canceled".to_owned(),
            "queued" => "Run started".to_owned(),
            _ => words,
        };
    }
    match &event.description {
        Some(description) => format!("{words}: {description}"),
        None => words,
    }
}

/// Who did what when, with what they said.
pub(super) fn history(visit: &Visit, whole: &Whole) -> Markup {
    let now = visit.app.now();
    html! {
        ol.events {
            @for event in &whole.history {
                li {
                    div {
                        @if let Some(by) = event.by.as_ref().filter(|_| words(event).starts_with(char::is_lowercase)) { strong { (by) } " " }
                        (words(event))
                        span.muted { " · " (moment(now, event.at)) }
                    }
                    @for comment in &event.comments { blockquote { (comment) } }
                }
            }
        }
    }
}

/// The form for a comment, for who may comment.
pub(super) fn comment_form(visit: &Visit, base: &str, run: &Run, typed: &str) -> Markup {
    html! {
        @if run.permissions.can_comment {
            form #comment-form method="post" action={ (base) "/comment" } {
                (form_token(visit))
                label for="comment" { "Comment" }
                textarea #comment name="comment" rows="2" maxlength="4000" required { (typed) }
                div.buttons { button.quiet type="submit" { "Add comment" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_ends_where_the_next_begins_and_comments_are_none() {
        let at = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
        let event = |action: &str, seconds| Happened {
            action: action.to_owned(),
            description: None,
            at: at(seconds),
            by: None,
            comments: vec![],
        };
        let history =
            [event("queued", 0), event("planning", 2), event("commented", 3), event("applied", 130)];
        let stages: Vec<_> =
            stages(&history).iter().map(|s| (s.name, s.to.map(|to| duration(s.from, to)))).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(stages, [("Pending", some("2.0 s")), ("Planning", some("2 m 8 s")), ("Applied", None)]);
        assert_eq!(duration(at(0), at(7500)), "2 h 5 m");
    }
}
