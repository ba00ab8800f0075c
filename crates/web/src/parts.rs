//! Small parts that many pages show alike: states of runs, counts of changes, pages of lists.

use http_api::document::Pagination;
use maud::{Markup, html};

/// What a status of a run means to who looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    /// Somebody is to act.
    Wanted,
    Working,
    Waiting,
    Good,
    Bad,
    /// Over, without anything to say.
    Over,
}

/// A status of a run in the words that Terraform Enterprise has for it, and what it means.
pub(crate) fn status(status: &str) -> (&'static str, Mood) {
    match status {
        "pending" => ("Pending", Mood::Waiting),
        "fetching" | "fetching_completed" => ("Fetching", Mood::Working),
        "plan_queued" => ("Plan queued", Mood::Waiting),
        "planning" => ("Planning", Mood::Working),
        "planned" | "cost_estimated" | "policy_checked" => ("Needs confirmation", Mood::Wanted),
        "planned_and_finished" => ("Planned and finished", Mood::Good),
        "planned_and_saved" => ("Planned and saved", Mood::Wanted),
        "confirmed" => ("Confirmed", Mood::Waiting),
        "apply_queued" => ("Apply queued", Mood::Waiting),
        "applying" => ("Applying", Mood::Working),
        "applied" => ("Applied", Mood::Good),
        "discarded" => ("Discarded", Mood::Over),
        "errored" => ("Errored", Mood::Bad),
        "canceled" => ("Canceled", Mood::Over),
        "force_canceled" => ("Force-canceled", Mood::Over),
        _ => ("Unknown", Mood::Over),
    }
}

/// The badge of a run's status.
pub(crate) fn badge(of: &str) -> Markup {
    let (words, mood) = status(of);
    let class = match mood {
        Mood::Wanted => "badge wanted",
        Mood::Working => "badge working",
        Mood::Waiting => "badge waiting",
        Mood::Good => "badge good",
        Mood::Bad => "badge bad",
        Mood::Over => "badge",
    };
    html! { span class=(class) { (words) } }
}

/// The way to the pages of a list before and after this one. `base` is its address with its query, less `page`.
pub(crate) fn pager(base: &str, at: Pagination) -> Markup {
    let link = |page: u32| {
        let glue = if base.contains('?') { '&' } else { '?' };
        format!("{base}{glue}page={page}")
    };
    html! {
        @if at.page > 1 || at.more {
            nav.pager aria-label="Pages of the list" {
                @if at.page > 1 { a rel="prev" href=(link(at.page - 1)) { "‹ Newer" } } @else { span {} }
                @if let Some(total) = at.total {
                    span.muted { "Page " (at.page) " of " ((total + i64::from(at.size) - 1) / i64::from(at.size)) }
                }
                @if at.more { a rel="next" href=(link(at.page + 1)) { "Older ›" } } @else { span {} }
            }
        }
    }
}

/// A number of things: `1 run`, `2 runs`.
pub(crate) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
