//! The audit trail: who changed what, when, from where, and how it was before and after.
//!
//! Contract: a change that a request made and its entry are stored in one transaction, so neither is without the other;
//! a request that changed nothing leaves nothing. Why it is made like this is in `docs/adr/0007-audit-trail.md`.
//!
//! [`observe`] stands around what carries an operation out. It is the [`db::Witness`] of that work: the first transaction
//! that changes something stores a row of `audit_pending` too. When the request is answered, the answer is kept as what
//! came of it, and [`Trail::flush`] moves rows, in order, into the chain of `audit_events`. Only documents as the API shows
//! them are kept, without the secrets that it shows once, and sealed.
//!
//! Reading order: this file, `entry` (what is said), `chain` (how entries are linked), [`verify`], [`query`].

mod chain;
mod entry;
pub mod query;
pub mod verify;

pub use chain::{Trail, keep_chaining, sweep};
pub use entry::{Entry, TokenShown, Who};

use crate::{App, Cx, Resource, Result, operation::Handler};
use authz::{Actor, TokenKind};
use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use bytes::Bytes;
use chain::Outcome;
pub(crate) use chain::hex;
use db::{Statement, Stored, Witness, Witnessed, args};
use entry::ResourceNamed;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use kernel::ids::{OrganizationId, UserId};
use std::{
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex},
};

/// The one operation that an audit trail's token may call.
pub const READ: &str = "accounts.audit-trail.read";

/// What is sealed of a resource: its document, if there is one.
type Sealed = Option<Arc<Vec<u8>>>;

/// A request that may change something.
#[derive(Debug)]
pub struct Asked {
    /// Names the request.
    pub id: Arc<str>,
    /// The operation's stable name.
    pub operation: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path, as declared.
    pub path: &'static str,
    /// The parameters of the path; none where they are secrets.
    pub params: Vec<(String, String)>,
    /// Where from, if that is known.
    pub address: Option<IpAddr>,
    /// Who, if that is known before the work begins.
    pub who: Option<Who>,
    /// What they have shown.
    pub token: Option<TokenShown>,
    /// The site admin who acts as them.
    pub impersonator: Option<Who>,
}

/// Who asks for a change, and from where, as far as that is known before the work begins.
pub(crate) struct Caller {
    pub(crate) address: Option<IpAddr>,
    pub(crate) who: Option<Who>,
    pub(crate) token: Option<TokenShown>,
    pub(crate) impersonator: Option<Who>,
}

/// What the work itself says of the change.
#[derive(Clone, Debug, Default)]
struct Noted {
    organization: Option<OrganizationId>,
    who: Option<Who>,
    resource: Option<ResourceNamed>,
    reason: Option<String>,
    /// How it was before, where the work says it.
    before: Option<Arc<Vec<u8>>>,
}

/// The documents of a resource before and after.
pub struct Sibling {
    /// Reads it as the caller.
    pub read: BoxFuture<'static, Option<Bytes>>,
    /// Reads it again once the request is answered without a document; none where it is gone then.
    pub again: Option<Again>,
}

type Again = Box<dyn FnOnce() -> BoxFuture<'static, Option<Bytes>> + Send>;

struct Observed {
    app: App,
    asked: Asked,
    noted: Mutex<Noted>,
    earlier: Option<Shared<BoxFuture<'static, Sealed>>>,
}

tokio::task_local! {
    static CURRENT: Arc<Observed>;
}

/// Says to which organization the change of this request belongs; the first word counts.
pub fn organization(id: &OrganizationId) {
    note(|noted| {
        noted.organization.get_or_insert_with(|| id.clone());
    });
}

/// Says who makes the change of this request, where no token tells it.
pub fn actor(id: &UserId) {
    note(|noted| {
        noted.who.get_or_insert_with(|| Who { id: id.to_string(), name: None });
    });
}

/// Says what the change of this request is made to, where the answer does not show it.
pub fn resource(kind: &str, id: &str) {
    note(|noted| noted.resource = Some(ResourceNamed { kind: kind.to_owned(), id: id.to_owned() }));
}

/// Says why the change of this request is made, where its maker must give a reason.
pub fn reason(text: &str) {
    note(|noted| noted.reason = Some(text.to_owned()));
}

/// Says how the resource was before the change of this request, of an operation that is declared to tell
/// ([`crate::Routes::telling_before`]): from the row that the work has read anyway.
pub fn before(resource: &Resource) {
    note(|noted| {
        let document = serde_json::to_vec(&serde_json::json!({ "data": resource }));
        noted.before = document.ok().filter(|document| document.len() <= entry::LARGE).map(Arc::new);
    });
}

fn note(change: impl FnOnce(&mut Noted)) {
    // Outside of a request that may change something there is nobody to tell.
    let _ = CURRENT.try_with(|observed| {
        change(&mut observed.noted.lock().expect("no holder of this lock panics"));
    });
}

impl Observed {
    fn entry(&self) -> Entry {
        let noted = self.noted.lock().expect("no holder of this lock panics").clone();
        let mut entry =
            Entry::begun(&self.asked, noted.organization, noted.who, noted.resource, self.app.now());
        entry.reason = noted.reason;
        entry
    }
}

impl Witness for Observed {
    fn ready(&self) -> BoxFuture<'_, ()> {
        let earlier = self.earlier.clone();
        Box::pin(async move {
            if let Some(earlier) = earlier {
                earlier.await;
            }
        })
    }

    fn statements(&self) -> BoxFuture<'_, Vec<Statement>> {
        Box::pin(async {
            let told = self.noted.lock().expect("no holder of this lock panics").before.clone();
            let earlier = match (told, &self.earlier) {
                (Some(told), _) => Some(Arc::new(self.app.audit.seal(&self.app, &self.asked.id, &told))),
                (None, Some(earlier)) => earlier.clone().await,
                (None, None) => None,
            };
            let entry = self.entry();
            let text = serde_json::to_string(&entry).expect("an entry is texts and numbers");
            vec![(
                "INSERT INTO audit_pending (request_id, created_at, entry, earlier) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (request_id) DO NOTHING",
                args![&*self.asked.id, entry.at, text, earlier.map(|sealed| sealed.to_vec())],
            )]
        })
    }
}

/// What the work of a request gives.
pub trait Answered {
    /// The status of the answer.
    fn status(&self) -> StatusCode;
    /// The document in it, if it has one.
    fn document(&self) -> Option<&Bytes>;
}

impl Answered for (Response, Option<Bytes>) {
    fn status(&self) -> StatusCode {
        self.0.status()
    }

    fn document(&self) -> Option<&Bytes> {
        self.1.as_ref()
    }
}

/// Who stands behind a token.
pub fn who(actor: &Actor) -> (Who, TokenShown) {
    let kind = match actor.kind() {
        TokenKind::User => "user",
        TokenKind::Team => "team",
        TokenKind::Organization => "organization",
        TokenKind::AuditTrail => "audit-trails",
        TokenKind::Scim => "scim",
        TokenKind::Run => "run",
    };
    let name = match actor {
        Actor::User { username, .. } => Some(username.clone()),
        _ => None,
    };
    let token = TokenShown { id: actor.token().to_string(), kind: kind.to_owned() };
    (Who { id: actor.user_id().to_string(), name }, token)
}

/// Does the work of a command that changes something on the server's own machine, with its entry in the same
/// transaction. The next server, or the one that runs, links it into the chain: only it knows which rows are whose.
///
/// `by` is the system's user, `command` what was typed, without its arguments (`ferroform token revoke`); `kind` and `id` say what is changed, where
/// the work does not say it itself.
///
/// # Errors
/// Those of the work.
pub async fn command<T>(
    app: &App,
    by: &str,
    operation: &'static str,
    command: &'static str,
    (kind, id): (&str, &str),
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if !app.settings.audited {
        return work.await;
    }
    let asked = Asked {
        id: app.env.base58(16).into(),
        operation,
        method: entry::command(),
        path: command,
        params: Vec::new(),
        address: None,
        who: Some(Who { id: "operator".to_owned(), name: Some(by.to_owned()) }),
        token: None,
        impersonator: None,
    };
    let noted = Noted {
        resource: Some(ResourceNamed { kind: kind.to_owned(), id: id.to_owned() }),
        ..Noted::default()
    };
    let observed = Arc::new(Observed { app: app.clone(), asked, noted: Mutex::new(noted), earlier: None });
    let witnessed = Witnessed::new(Everything { observed: Some(observed.clone()), also: None });
    CURRENT.scope(observed, witnessed.during(work)).await
}

/// Does the work of a request that may change something, with its entry.
///
/// `also` says further statements that belong into the transaction of the change.
pub async fn observe<T: Answered>(
    app: &App,
    asked: Asked,
    sibling: Option<Sibling>,
    also: Option<Vec<Statement>>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if !app.settings.audited {
        return Witnessed::new(Everything { observed: None, also }).during(work).await;
    }
    let (read, again) = match sibling {
        Some(sibling) => (Some(sibling.read), sibling.again),
        None => (None, None),
    };
    let earlier = read.map(|read| {
        let (app, id) = (app.clone(), asked.id.clone());
        // Beside the work, which waits for it only where it begins to change something.
        let sealed = tokio::spawn(async move {
            let document = read.await.filter(|document| document.len() <= entry::LARGE)?;
            Some(Arc::new(app.audit.seal(&app, &id, &document)))
        });
        sealed.map(|sealed| sealed.ok().flatten()).boxed().shared()
    });
    let mut open = Open { app: app.clone(), id: asked.id.clone(), witnessed: None };
    let observed = Arc::new(Observed { app: app.clone(), asked, noted: Mutex::default(), earlier });
    let witnessed = Witnessed::new(Everything { observed: Some(observed.clone()), also });
    open.witnessed = Some(witnessed.clone());
    app.audit.open(&open.id);
    let result = CURRENT.scope(observed, witnessed.during(work)).await;
    open.close(&result, again);
    result
}

/// The entry and what else belongs to the change.
struct Everything {
    observed: Option<Arc<Observed>>,
    also: Option<Vec<Statement>>,
}

impl Witness for Everything {
    fn ready(&self) -> BoxFuture<'_, ()> {
        match &self.observed {
            Some(observed) => observed.ready(),
            None => Box::pin(async {}),
        }
    }

    fn statements(&self) -> BoxFuture<'_, Vec<Statement>> {
        Box::pin(async {
            let entry = match &self.observed {
                Some(observed) => observed.statements().await,
                None => Vec::new(),
            };
            entry.into_iter().chain(self.also.iter().flatten().cloned()).collect()
        })
    }
}

/// A request in the trail's memory. When it is dropped before it is answered, as when the client goes away, its entry says
/// so.
struct Open {
    app: App,
    id: Arc<str>,
    witnessed: Option<Arc<Witnessed>>,
}

impl Open {
    fn is_stored(&self) -> bool {
        self.witnessed.as_ref().is_some_and(|witnessed| witnessed.stored() != Stored::Nothing)
    }

    fn close<T: Answered>(mut self, result: &Result<T>, again: Option<Again>) {
        if !self.is_stored() {
            return;
        }
        self.witnessed = None;
        let (status, after) = match result {
            Ok(answer) => (answer.status(), answer.document().cloned()),
            Err(error) => (crate::error::status(error), None),
        };
        let outcome = Outcome { status: Some(status.as_u16()), after };
        match again {
            Some(again) if outcome.after.is_none() && status.is_success() => {
                let (app, id) = (self.app.clone(), self.id.clone());
                app.audit.finishing(&id);
                tokio::spawn(async move {
                    let after = std::panic::AssertUnwindSafe(again()).catch_unwind().await.ok().flatten();
                    app.audit.done(&id, Outcome { after, ..outcome });
                });
            }
            _ => self.app.audit.done(&self.id, outcome),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_stored() {
            self.app.audit.done(&self.id, Outcome { status: None, after: None });
        } else if self.witnessed.is_some() {
            self.app.audit.forget(&self.id);
        }
    }
}

/// The handler that reads what an operation changes: the GET of the same path, of the resource whose action it is, or of
/// the one whose relationship it is. With whether the resource is there after the operation.
pub(crate) fn sibling(operation: &crate::Operation, routes: &crate::Routes) -> Option<(Handler, bool)> {
    let get = |path: &str| {
        let found = routes.operations().iter().find(|candidate| {
            candidate.method == Method::GET && candidate.access == operation.access && candidate.path == path
        });
        found.map(|operation| operation.handler.clone())
    };
    let audited = matches!(operation.access, crate::Access::Token | crate::Access::Scim);
    if !audited || operation.tells_before {
        return None;
    }
    let same = if operation.method == Method::POST { None } else { get(operation.path) };
    let above = |mark: &str| get(&operation.path[..operation.path.find(mark)?]);
    match same {
        Some(handler) => Some((handler, operation.method != Method::DELETE)),
        None => above("/actions/").or_else(|| above("/relationships/")).map(|handler| (handler, true)),
    }
}

/// The documents that a handler gives which reads what an operation changes: now, and once more if the resource `stays`.
pub(crate) fn documents(cx: &Cx, handler: &Handler, stays: bool) -> Sibling {
    let read = Box::pin(read(cx.sibling(), handler.clone()));
    let again = stays.then(|| {
        let (cx, handler) = (cx.sibling(), handler.clone());
        let again: Again = Box::new(move || Box::pin(self::read(cx, handler)));
        again
    });
    Sibling { read, again }
}

async fn read(cx: Cx, handler: Handler) -> Option<Bytes> {
    let (response, document) = handler(cx).await.ok()?.into_response().ok()?;
    document.filter(|_| response.status() == StatusCode::OK)
}
