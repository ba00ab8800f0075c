//! What a plan or an apply prints: a page of its lines, a box that follows them, their errors.
//!
//! A long log comes in chunks of 250 lines that are loaded when they are scrolled to; each has a height before it is
//! there, so that nothing moves. New lines come by a stream of events ([`follow`]) that ends with the log. Without scripts
//! the chunks are links to pages.

use super::{
    ansi, frame,
    lines::{self, CHUNK, Lines, Shared, lock},
    model::{Phase, Whole},
};
use crate::{
    answer::Answer,
    visit::{Visit, segment},
};
use accounts::sessions;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, PreEscaped, html};
use std::{convert::Infallible, ops::Range, time::Duration};
use tokio::time::Instant;

/// Found lines that are listed.
const FOUND: usize = 200;
/// Lines that are sent at once while a log is followed.
const SENT: usize = 2048;
/// What a browser is sent at most so often, lest it does nothing but draw.
const PACE: Duration = Duration::from_millis(100);
/// Silence after which a browser is told that the stream lives.
const LONG: Duration = Duration::from_secs(10);
/// Lines of the end of a log on the run's page.
const TAIL: usize = 200;
/// Errors on the run's page.
const ERRORS: usize = 10;

/// Which log is asked for.
struct Asked {
    phase: &'static str,
    raw: bool,
}

impl Asked {
    fn of(visit: &Visit) -> Self {
        let phase = if visit.query("phase").as_deref() == Some("apply") { "apply" } else { "plan" };
        Self { phase, raw: visit.query("raw").is_some() }
    }

    fn query(&self) -> String {
        format!("phase={}{}", self.phase, if self.raw { "&raw=1" } else { "" })
    }
}

/// Chunks of these lines, each of a size whose height is known.
fn chunks(lines: &Lines, range: Range<usize>, link: &str) -> Markup {
    let mut pieces = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let size = size(range.end - at);
        pieces.push((at, size));
        at += size;
    }
    html! {
        @for (at, size) in pieces { div class={ "chunk n" (size) } { (lines.show(at..at + size, link)) } }
    }
}

/// The largest size that has a class.
fn size(lines: usize) -> usize {
    if lines >= CHUNK { CHUNK } else { 1 << lines.ilog2() }
}

/// The page of a log.
pub(super) async fn show(visit: Visit) -> Result<Answer> {
    let whole = Whole::read(&visit).await?;
    let asked = Asked::of(&visit);
    let phase = whole.phase(asked.phase);
    let base = super::path(&visit);
    let place = match asked.phase {
        _ if whole.run.exec.is_some() => "Log",
        "apply" => "Apply log",
        _ => "Plan log",
    };
    let beside = super::beside(&base, &whole, place);
    if !phase.has_log() {
        let why = if phase.log_read_url.is_none() {
            "This log shows what is in the state. You may see the run, but not its state."
        } else {
            "There is no log: this stage of the run has not begun, or never will."
        };
        let body =
            html! { (beside) section.panel { p.muted { (why) } p { a href=(base) { "Back to the run" } } } };
        return Ok(frame(&visit, &whole, &body));
    }
    let shared = lines::of_phase(&visit, phase, asked.raw).await?;
    let body = html! {
        (beside)
        section.log-page aria-label=(place) {
            (bar(&visit, &base, &asked, phase))
            (matches(&visit, &lock(&shared), &asked))
            (viewer(&visit, &base, &asked, &lock(&shared), None))
        }
    };
    Ok(frame(&visit, &whole, &body))
}

/// Search and switches above a log.
fn bar(visit: &Visit, base: &str, asked: &Asked, phase: &Seen<Phase>) -> Markup {
    let found = visit.query("q").unwrap_or_default();
    let other = Asked { raw: !asked.raw, ..*asked };
    html! {
        form.log-bar #log-search method="get" action={ (base) "/log" } role="search" hx-get={ (base) "/log" }
            hx-trigger="submit, input delay:200ms from:#log-query" hx-select="#matches" hx-target="#matches" hx-swap="outerHTML" {
            input type="hidden" name="phase" value=(asked.phase);
            @if asked.raw { input type="hidden" name="raw" value="1"; }
            input #log-query type="search" name="q" value=(found) placeholder="Search this log" aria-label="Search this log"
                data-search autocomplete="off";
            a.button.quiet href={ (base) "/log?" (other.query()) } {
                @if asked.raw { "As text" } @else if phase.structured_run_output_enabled { "As JSON" } @else { "As printed" }
            }
            @if let Some(url) = &phase.log_read_url {
                a.button.quiet href=(url.strip_prefix(&visit.app.settings.url).unwrap_or(url)) { "Plain file" }
            }
        }
    }
}

/// The lines in which what is searched for is.
fn matches(visit: &Visit, lines: &Lines, asked: &Asked) -> Markup {
    let text = visit.query("q").unwrap_or_default();
    if text.is_empty() {
        return html! { div #matches {} };
    }
    let (found, count) = lines.find(&text, FOUND);
    html! {
        div #matches {
            p.muted role="status" {
                @match count { 0 => "No line has that.", 1 => "1 line has that.", _ => { (count) " lines have that." } }
                @if count > found.len() { " The first " (found.len()) " are listed." }
            }
            @if !found.is_empty() {
                ol.matches data-list {
                    @for index in found {
                        @let number = index + 1;
                        li {
                            a href={ "?" (asked.query()) "&line=" (number) "#L" (number) } data-line data-item {
                                span.number { (number) } span { (marked(&ansi::plain(lines.get(index)), &text)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A line with the first place marked at which a text is.
fn marked(line: &str, text: &str) -> Markup {
    let (low, text) = (line.to_lowercase(), text.to_lowercase());
    // Where lowering has changed lengths, there is no telling the place.
    let place = low.find(&text).filter(|_| low.len() == line.len());
    let parts = place
        .and_then(|at| Some((line.get(..at)?, line.get(at..at + text.len())?, line.get(at + text.len()..)?)));
    match parts {
        Some((before, found, after)) => html! { (before) mark { (found) } (after) },
        None => html! { (line) },
    }
}

/// The lines themselves; all of them, or those from a line on.
fn viewer(visit: &Visit, base: &str, asked: &Asked, lines: &Lines, tail: Option<usize>) -> Markup {
    let link = format!("{base}/log?{}&line=", asked.query());
    let here = visit.query("line").and_then(|line| line.parse::<usize>().ok()).unwrap_or(0).saturating_sub(1);
    let (first, len) = (tail.map_or(0, |tail| lines.len().saturating_sub(tail)), lines.len());
    let whole = if tail.is_some() { first } else { len / CHUNK * CHUNK };
    html! {
        @if !lines.done {
            label.follow { input type="checkbox" data-follow checked[tail.is_some() || here == 0]; "Follow" }
        }
        div.log.short[tail.is_some()] #log data-log tabindex="0" role="region" aria-label="Log" {
            @if first > 0 { p.muted.earlier { a href={ (base) "/log?" (asked.query()) } { (first) " earlier lines" } } }
            @if len == 0 { p.muted.earlier { @if lines.done { "Nothing was printed." } @else { "Nothing is printed yet." } } }
            @for start in (first..whole).step_by(CHUNK) {
                @if start == here / CHUNK * CHUNK {
                    (chunks(lines, start..start + CHUNK, &link))
                } @else {
                    (ahead(base, asked, start))
                }
            }
            (chunks(lines, whole..len, &link))
            @if !lines.done {
                div data-log-live hx-ext="sse" sse-connect={ (base) "/log/follow?" (asked.query()) "&from=" (len) }
                    sse-swap="lines" hx-swap="beforeend" sse-close="done" {}
            }
        }
    }
}

/// A chunk that is not there yet.
fn ahead(base: &str, asked: &Asked, start: usize) -> Markup {
    let query = asked.query();
    let number = start + 1;
    html! {
        div.chunk.ahead.n250 hx-get={ (base) "/log/lines?" (query) "&from=" (start) } hx-trigger="intersect once" hx-swap="outerHTML" {
            a href={ (base) "/log?" (query) "&line=" (number) "#L" (number) } { "Lines " (number) " to " (start + CHUNK) }
        }
    }
}

/// A chunk alone.
pub(super) async fn chunk(visit: Visit) -> Result<Answer> {
    let (asked, shared, _) = of_path(&visit).await?;
    let lines = lock(&shared);
    let start = visit.query("from").and_then(|from| from.parse::<usize>().ok()).unwrap_or(0);
    let start = (start / CHUNK * CHUNK).min(lines.len());
    let link = format!("{}/log?{}&line=", super::path(&visit), asked.query());
    Ok(Answer::page(chunks(&lines, start..(start + CHUNK).min(lines.len()), &link)))
}

/// The log that is asked for, by who may see it.
async fn of_path(visit: &Visit) -> Result<(Asked, Shared, Seen<Phase>)> {
    let asked = Asked::of(visit);
    let found = visit.read(&format!("/runs/{}/{}", segment(visit.path("run")), asked.phase)).await?;
    let phase: Seen<Phase> = found.one()?;
    let shared = lines::of_phase(visit, &phase, asked.raw).await?;
    Ok((asked, shared, phase))
}

/// Who follows a log, and how far they are.
struct Follower {
    visit: Visit,
    asked: Asked,
    phase: Seen<Phase>,
    lines: Shared,
    next: usize,
    sent: Option<Instant>,
    ended: bool,
}

const ALIVE: &str = ":\n\n";
const DONE: &str = "event: done\ndata:\n\n";

impl Follower {
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        if let Some(sent) = self.sent {
            tokio::time::sleep_until(sent + PACE).await;
        }
        let mut waited = Duration::ZERO;
        loop {
            if let Some(event) = self.ready() {
                return Some(event);
            }
            let app = self.visit.app.clone();
            if waited > LONG {
                // Nothing for long: is there still somebody who may see it?
                let session = self.visit.session().ok()?.id.clone();
                sessions::lives(&app, &session).await.ok()?.then_some(())?;
                self.visit.read(&format!("/runs/{}", segment(self.visit.path("run")))).await.ok()?;
                return Some(ALIVE.to_owned());
            }
            let (known, began) = (lock(&self.lines).len(), Instant::now());
            tokio::select! {
                biased;
                () = app.closing() => return None,
                grown = lines::more_than(&self.visit, &self.phase, &self.lines, known) => grown.ok()?,
            }
            waited = began.elapsed();
        }
    }

    /// What there is to send.
    fn ready(&mut self) -> Option<String> {
        let lines = lock(&self.lines);
        if lines.len() > self.next {
            let end = lines.len().min(self.next + SENT);
            let link = format!("{}/log?{}&line=", super::path(&self.visit), self.asked.query());
            let html = chunks(&lines, self.next..end, &link).into_string();
            self.next = end;
            self.sent = Some(Instant::now());
            return Some(format!("event: lines\ndata: {html}\n\n"));
        }
        self.ended = lines.done;
        lines.done.then(|| DONE.to_owned())
    }
}

/// A stream of the lines that come from here on.
pub(super) async fn follow(visit: Visit) -> Result<Answer> {
    let (asked, lines, phase) = of_path(&visit).await?;
    let next = visit.query("from").and_then(|from| from.parse().ok()).ok_or(Error::NotFound)?;
    let follower = Follower { visit, asked, phase, lines, next, sent: None, ended: false };
    let events = stream::unfold(follower, |mut follower| async move {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    Ok(Answer::events(Body::from_stream(events)))
}

/// The end of the log of what runs now, followed, for the run's page.
pub(super) async fn tail(visit: &Visit, base: &str, whole: &Whole, name: &'static str) -> Result<Markup> {
    let phase = whole.phase(name);
    if phase.log_read_url.is_none() {
        return Ok(Markup::default());
    }
    let asked = Asked { phase: name, raw: false };
    let shared = lines::of_phase(visit, phase, false).await?;
    let lines = lock(&shared);
    Ok(html! {
        section.panel.slim.log-page aria-labelledby="log-title" {
            div.between {
                h2 #log-title { @if name == "apply" { "Applying" } @else { "Planning" } }
                a href={ (base) "/log?" (asked.query()) } { "Whole log" }
            }
            (viewer(visit, base, &asked, &lines, Some(TAIL)))
        }
    })
}

/// What went wrong in a run that failed, as the engine says it.
pub(super) async fn errors(visit: &Visit, base: &str, whole: &Whole) -> Result<Markup> {
    let name = if whole.apply.status == "errored" { "apply" } else { "plan" };
    let phase = whole.phase(name);
    let link = format!("{base}/log?phase={name}&line=");
    let shared = if phase.has_log() { Some(lines::of_phase(visit, phase, false).await?) } else { None };
    let boxes = shared.as_ref().map_or_else(Vec::new, |shared| {
        let lines = lock(shared);
        lines.errors().into_iter().take(ERRORS).map(|range| diagnostic(&lines, range, &link)).collect()
    });
    Ok(html! {
        section.panel.failed aria-labelledby="failed-title" {
            h2 #failed-title { "The run failed" }
            @if let Some(why) = &whole.run.error_message { p { (why) } }
            @for text in &boxes { (text) }
            @if boxes.is_empty() && let Some(shared) = &shared {
                @let lines = lock(shared);
                @let start = lines.len().saturating_sub(12);
                @if lines.len() > 0 { div.log.short tabindex="0" role="region" aria-label="End of the log" { (lines.show(start..lines.len(), &link)) } }
            }
            @if shared.is_some() { p { a href={ (base) "/log?phase=" (name) } { "Whole log" } } }
        }
    })
}

/// The lines of an error without its box, with the way to where it is in the log.
fn diagnostic(lines: &Lines, range: Range<usize>, link: &str) -> Markup {
    let number = range.start + 1;
    let mut text = String::new();
    for index in range {
        let mut style = ansi::Style::default();
        let line = lines.get(index);
        let inner = line.split_once('│').map_or(line, |(_, inner)| inner);
        let inner = inner.strip_prefix("\x1b[0m").unwrap_or(inner);
        let inner = inner.strip_prefix(' ').unwrap_or(inner);
        text.push_str(&ansi::show(&mut style, inner).into_string());
        text.push('\n');
    }
    html! {
        div.diagnostic {
            pre tabindex="0" { (PreEscaped(text)) }
            a.small href={ (link) (number) "#L" (number) } { "Line " (number) }
        }
    }
}
