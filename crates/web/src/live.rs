//! Pages that follow what happens: a stream of wake-ups, and the parts of a page that ask for themselves again at each.
//!
//! Nothing is made a second time for it: a [`part`] is loaded again as the page that it stands in, whose rules hold as
//! before, and the browser takes the part out of it. The stream says only that there is something to see. A part is up to
//! date when it is shown, when the stream begins again after the server was away ([`Changes::mark`]), and after each change.
//!
//! [`Changes::mark`]: http_api::changes::Changes::mark

use crate::{
    answer::Answer,
    serve::Table,
    visit::{Visit, segment},
};
use accounts::sessions;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_api::{App, Error, Result, changes::Change};
use kernel::ids::SessionId;
use maud::{Markup, html};
use serde::Deserialize;
use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

/// How long a burst of changes is gathered after one was told at once.
const BURST: Duration = Duration::from_millis(250);
/// Silence after which the browser is told that the stream lives, and the session is looked at.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What a page looks at.
#[derive(Clone, Copy)]
pub(crate) enum Watch<'a> {
    /// All of an organization, by its name.
    Organization(&'a str),
    /// A workspace, by its id.
    Workspace(&'a str),
    /// A run, by its id.
    Run(&'a str),
}

impl Watch<'_> {
    fn query(self) -> String {
        match self {
            Watch::Organization(name) => format!("organization={}", segment(name)),
            Watch::Workspace(id) => format!("workspace={id}"),
            Watch::Run(id) => format!("run={id}"),
        }
    }
}

/// The frame of the parts of a page that follow `watch`; a page has one. What changed since the request began, while the page
/// was being read and written, counts as missed.
pub(crate) fn follow(visit: &Visit, watch: Watch<'_>, parts: &Markup) -> Markup {
    let address = format!("/app/live?{}&mark={}", watch.query(), visit.moment);
    html! { div.live hx-ext="sse" sse-connect=(address) { (parts) } }
}

/// A part that is loaded again at each change, under an id that the page has once. It is replaced only where it has changed,
/// so that what is open, chosen or being typed in it stays. What asks stays in any case: a change that is told while its
/// answer is on the way is asked for after it, which what was replaced meanwhile would not do.
pub(crate) fn part(visit: &Visit, id: &str, body: &Markup) -> Markup {
    let inner = format!("{id}-now");
    let selector = format!("#{inner}");
    let mut version = DefaultHasher::new();
    body.0.hash(&mut version);
    let version = format!("{id}-{:016x}", version.finish());
    html! {
        div id=(id) hx-get=(visit.uri) hx-trigger="sse:changed" hx-select=(selector) hx-target=(selector) hx-swap="outerHTML" {
            div id=(inner) data-version=(version) { (body) }
        }
    }
}

/// A part that [`refresh`] brings up to date, unless it is of the `version` that is shown already.
pub(crate) fn versioned(id: &str, version: &str, body: &Markup) -> Markup {
    html! { div.live id=(id) data-part=(version) { (body) } }
}

/// As [`versioned`], where another text is another version.
pub(crate) fn by_content(id: &str, body: &Markup) -> Markup {
    let mut hasher = DefaultHasher::new();
    body.0.hash(&mut hasher);
    versioned(id, &format!("{:016x}", hasher.finish()), body)
}

/// Loads the page at `address` at each change, once for all its parts, and puts those of these ids where they belong. Fields
/// with the class `shown` in them go along, and say what need not come again. It is never replaced itself, as with [`part`].
pub(crate) fn refresh(address: &str, ids: &[&str]) -> Markup {
    let parts: Vec<String> = ids.iter().map(|id| format!("#{id}")).collect();
    html! {
        div #refresh hx-get=(address) hx-trigger="sse:changed" hx-swap="none" hx-include=".shown"
            hx-select-oob=(parts.join(",")) {
            // Has no name and so is not sent, but htmx complains where nothing is to be included.
            input.shown type="hidden";
        }
    }
}

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/live", "web.live.follow", show)
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Organization {
    external_id: String,
}

/// What a stream is about; made by who may read it.
enum Subject {
    Organization(String),
    Workspace(String),
    Run(String),
}

impl Subject {
    async fn of(visit: &Visit) -> Result<Self> {
        if let Some(id) = visit.query("run") {
            let found = visit.read(&format!("/runs/{}", segment(&id))).await?;
            return Ok(Self::Run(found.one::<Nothing>()?.id));
        }
        if let Some(id) = visit.query("workspace") {
            let found = visit.read(&format!("/workspaces/{}", segment(&id))).await?;
            return Ok(Self::Workspace(found.one::<Nothing>()?.id));
        }
        let name = visit.query("organization").ok_or(Error::NotFound)?;
        let found = visit.read(&format!("/organizations/{}", segment(&name))).await?;
        Ok(Self::Organization(found.one::<Organization>()?.attributes.external_id))
    }

    fn is_of(&self, change: &Change) -> bool {
        match self {
            Self::Organization(id) => change.organization.as_str() == id,
            Self::Workspace(id) => change.workspace.as_str() == id,
            Self::Run(id) => change.run.as_ref().is_some_and(|run| run.as_str() == id),
        }
    }
}

struct Stream {
    app: App,
    session: SessionId,
    subject: Subject,
    changes: Receiver<Change>,
    /// What is to be told before anything has changed.
    first: Option<&'static str>,
    /// When a change was told last.
    told: Option<Instant>,
}

const CHANGED: &str = "event: changed\ndata:\n\n";
const ALIVE: &str = ":\n\n";

impl Stream {
    /// What is told next; nothing more where the session or the server ends.
    async fn next(&mut self) -> Option<&'static str> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let (app, now) = (self.app.clone(), Instant::now());
        tokio::select! {
            biased;
            () = app.closing() => None,
            () = self.changed() => {
                // The first of a burst is told at once, the rest of it together.
                if let Some(told) = self.told {
                    tokio::time::sleep_until((told + BURST).max(now)).await;
                    self.changes = self.changes.resubscribe();
                }
                self.told = Some(Instant::now());
                Some(CHANGED)
            }
            () = tokio::time::sleep(HEARTBEAT) => {
                sessions::lives(&app, &self.session).await.ok()?.then_some(ALIVE)
            }
        }
    }

    /// Waits for a change of the subject, or for so many changes that one may have been missed.
    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok(change) if !self.subject.is_of(&change) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // The sender lives as long as the application.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

async fn show(visit: Visit) -> Result<Answer> {
    let changes = visit.app.changes.watch();
    // After the watch has begun, so that no change falls between.
    let missed = visit.query("mark").is_none_or(|mark| mark != visit.app.changes.mark());
    let stream = Stream {
        subject: Subject::of(&visit).await?,
        session: visit.session()?.id.clone(),
        app: visit.app.clone(),
        changes,
        first: Some(if missed { CHANGED } else { ALIVE }),
        told: None,
    };
    let events = stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())), stream))
    });
    Ok(Answer::events(Body::from_stream(events)))
}
