//! The table of pages, and the service that it describes.
//!
//! For every request, in this order: who visits (the session of the cookie); for a form, that it was sent by a page of
//! this server (`Origin`, `Sec-Fetch-Site`) which was made for this visitor (its token); then the page. Every answer gets
//! the strict headers of `answer`, refusals included.

use crate::{
    admin,
    answer::Answer,
    assets, authorize, external, home, layout, live, organization, password, people, run, sessions, sign_in,
    tokens, two_factor,
    visit::{self, Refused, Visit},
    workspace,
};
use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request},
    http::Method,
    response::Response,
    routing::{MethodFilter, on},
};
use futures_util::future::BoxFuture;
use http_api::{App, Error, OperationName, Result, audit, auth, inside::Inside};
use std::sync::Arc;

/// Who may see a page at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anyone.
    Nothing,
    /// Whoever is signed in; others are asked to.
    Session,
}

type Handler = Arc<dyn Fn(Visit) -> BoxFuture<'static, Result<Answer>> + Send + Sync>;

/// One row of the table.
#[derive(Clone)]
pub struct Route {
    /// GET shows, POST takes a form.
    pub method: Method,
    /// Path, parameters in braces.
    pub path: &'static str,
    /// For logs and metrics: `web.page.verb`.
    pub name: &'static str,
    /// Who may see it.
    pub needs: Needs,
    /// Whether it may change something, which the audit trail is told then.
    changes: bool,
    /// Whether it is about what proves who somebody is, and so closed to who acts as somebody else.
    personal: bool,
    /// Whether its form may come with files.
    pub takes_files: bool,
    handler: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.needs)
    }
}

/// Rows, gathered from the files of the pages.
pub(crate) struct Table(Vec<Route>);

impl Table {
    /// A page for whoever is signed in.
    pub(crate) fn show<F, Fut>(self, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Visit) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer>> + Send + 'static,
    {
        self.page(Needs::Session, Method::GET, path, name, handler)
    }

    /// A form of whoever is signed in.
    pub(crate) fn send<F, Fut>(self, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Visit) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer>> + Send + 'static,
    {
        self.page(Needs::Session, Method::POST, path, name, handler)
    }

    fn page<F, Fut>(
        mut self,
        needs: Needs,
        method: Method,
        path: &'static str,
        name: &'static str,
        handler: F,
    ) -> Self
    where
        F: Fn(Visit) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |visit| Box::pin(handler(visit)));
        let changes = method == Method::POST;
        let personal = changes && PERSONAL.iter().any(|start| path.starts_with(start));
        self.0.push(Route { method, path, name, needs, changes, personal, takes_files: false, handler });
        self
    }

    /// The page before changes something though it takes no form: others send people to it, with what proves their case.
    fn changing(mut self) -> Self {
        if let Some(route) = self.0.last_mut() {
            route.changes = true;
        }
        self
    }

    /// A form of whoever is signed in, which may come with files.
    pub(crate) fn send_files<F, Fut>(self, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Visit) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer>> + Send + 'static,
    {
        let mut table = self.send(path, name, handler);
        if let Some(route) = table.0.last_mut() {
            route.takes_files = true;
        }
        table
    }
}

/// What a site admin who acts as somebody may not do: nothing that they do must outlive that, or lock its owner out.
const PERSONAL: [&str; 4] =
    ["/oauth/authorize", "/app/settings/tokens", "/app/settings/password", "/app/settings/two-factor"];

/// All pages.
pub fn routes() -> Vec<Route> {
    use Needs::{Nothing, Session};
    let (get, post) = (Method::GET, Method::POST);
    let table = Table(Vec::new())
        .page(Nothing, get.clone(), "/", "web.root.show", home::root)
        .page(Nothing, get.clone(), "/_assets/{name}", "web.assets.show", assets::show)
        .page(Nothing, get.clone(), "/sign-in", "web.sign-in.show", sign_in::show)
        .page(Nothing, post.clone(), "/sign-in", "web.sign-in.send", sign_in::send)
        .page(Nothing, get.clone(), "/sign-in/external", "web.external.begin", external::begin)
        .page(Nothing, get.clone(), "/sign-in/external/callback", "web.external.callback", external::callback)
        .changing()
        .page(Nothing, post.clone(), "/sign-in/code", "web.code.send", sign_in::send_code)
        .page(Nothing, get.clone(), "/sign-in/code", "web.code.show", sign_in::show_code)
        .page(Nothing, get.clone(), "/sign-in/link/{link}", "web.link.show", sign_in::show_link)
        .page(Nothing, post.clone(), "/sign-in/link/{link}", "web.link.send", sign_in::send_link)
        .page(Nothing, get.clone(), "/signed-out", "web.signed-out.show", sign_in::signed_out)
        .page(Session, post.clone(), "/sign-out", "web.sign-out.send", sign_in::sign_out)
        .page(Session, get.clone(), "/oauth/authorize", "web.authorize.show", authorize::show)
        .page(Session, post.clone(), "/oauth/authorize", "web.authorize.send", authorize::send)
        .page(Session, get.clone(), "/app", "web.home.show", home::show)
        .page(Session, post.clone(), "/app/organizations", "web.organizations.create", home::create)
        .page(Session, get.clone(), "/app/settings/tokens", "web.tokens.show", tokens::show)
        .page(Session, post.clone(), "/app/settings/tokens", "web.tokens.send", tokens::create)
        .page(Session, post.clone(), "/app/settings/tokens/{id}/revoke", "web.token.revoke", tokens::revoke)
        .page(Session, get, "/app/settings/password", "web.password.show", password::show)
        .page(Session, post, "/app/settings/password", "web.password.send", password::send)
        .show("/app/settings/two-factor", "web.two-factor.show", two_factor::show)
        .send("/app/settings/two-factor", "web.two-factor.begin", two_factor::begin)
        .send("/app/settings/two-factor/confirm", "web.two-factor.confirm", two_factor::confirm)
        .send("/app/settings/two-factor/codes", "web.two-factor.renew", two_factor::renew)
        .send("/app/settings/two-factor/off", "web.two-factor.off", two_factor::off)
        .show("/app/settings/sessions", "web.sessions.show", sessions::show)
        .send("/app/settings/sessions/{id}/end", "web.session.end", sessions::end)
        .send("/app/settings/sessions/end-others", "web.sessions.end-others", sessions::end_others)
        .send("/app/admin/users/{user}/impersonate", "web.admin-user.impersonate", people::impersonate)
        .send("/impersonation/end", "web.impersonation.end", people::return_to_self);
    let all = [organization::routes, admin::routes, workspace::routes, run::routes, live::routes];
    all.into_iter().fold(table, |table, more| more(table)).0
}

/// What is served below `/app` where the table has nothing: only who is signed in is told so.
fn absent() -> Route {
    let handler: Handler = Arc::new(|visit| Box::pin(home::absent(visit)));
    Route {
        method: Method::GET,
        path: "/app/…",
        name: "web.absent.show",
        needs: Needs::Session,
        changes: false,
        personal: false,
        takes_files: false,
        handler,
    }
}

/// Answers a request that nothing else is routed to, if it is one for a page.
///
/// # Errors
/// The request, if it is not.
pub async fn fallback(app: App, inside: Arc<Inside>, request: Request) -> Result<Response, Request> {
    if !request.uri().path().starts_with("/app/") {
        return Err(request);
    }
    Ok(respond(app, inside, Arc::new(absent()), Vec::new(), request).await)
}

/// The service that the table describes. It has no fallback of its own: [`fallback`] is for who joins it with others.
pub fn router(app: &App, inside: &Arc<Inside>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let method = MethodFilter::try_from(route.method.clone()).expect("the table uses GET and POST");
        let (app, inside, path) = (app.clone(), inside.clone(), route.path);
        let route = Arc::new(route);
        router = router.route(
            path,
            on(method, move |params: RawPathParams, request: Request| {
                let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                respond(app.clone(), inside.clone(), route.clone(), params, request)
            }),
        );
    }
    let app = app.clone();
    router.method_not_allowed_fallback(move || {
        let answer = layout::failure(&app, &Error::NotFound, "", None);
        async { answer.into_response("/", false) }
    })
}

async fn respond(
    app: App,
    inside: Arc<Inside>,
    route: Arc<Route>,
    params: Vec<(String, String)>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let own = app.clone();
    let gzip = visit::unpacks(&parts.headers);
    let (mut answer, cookie) = match Visit::begin(app, inside, params, parts).await {
        Err(error) => (layout::failure(&own, &error, "", None), None),
        Ok(visit) => {
            let cookie = visit.new_guest_cookie();
            (attend(&route, visit, body).await, cookie)
        }
    };
    // A page that sets a cookie of this name itself has the last word.
    answer.cookies.splice(0..0, cookie);
    let mut response = answer.into_response(&path, gzip);
    response.extensions_mut().insert(OperationName(route.name));
    response
}

/// What the audit trail is told of a form. The parameters of paths here may be secrets, so they are left out.
fn asked(route: &Route, visit: &Visit) -> audit::Asked {
    let session = visit.session.as_ref();
    audit::Asked {
        id: visit.request_id.as_str().into(),
        operation: route.name,
        method: route.method.clone(),
        path: route.path,
        params: Vec::new(),
        address: visit.address,
        who: session.map(|s| audit::Who { id: s.user_id.to_string(), name: Some(s.username.clone()) }),
        token: session.map(|s| audit::TokenShown { id: s.id.to_string(), kind: "session".to_owned() }),
        impersonator: session.and_then(|s| {
            Some(audit::Who { id: s.impersonator_id.as_ref()?.to_string(), name: s.impersonator.clone() })
        }),
    }
}

async fn attend(route: &Route, mut visit: Visit, body: Body) -> Answer {
    if route.needs == Needs::Session && visit.session.is_none() {
        return Answer::see_other(sign_in::address(&route.method, &visit.uri));
    }
    let app = visit.app.clone();
    let failure =
        |error: &Error, request_id: &str, session| layout::failure(&app, error, request_id, session);
    if route.method == Method::POST
        && let Err(refused) = visit.take_form(body, route.takes_files).await
    {
        return match refused {
            Refused::Foreign => layout::foreign_form(&visit),
            Refused::Stale => layout::stale_form(&visit),
            Refused::Error(error) => failure(&error, &visit.request_id, visit.session.as_ref()),
        };
    }
    let (session, request_id) = (visit.session.clone(), visit.request_id.clone());
    if route.personal && session.as_ref().is_some_and(|session| session.impersonator_id.is_some()) {
        let why = "This is done in your own name alone. Stop acting as somebody else first.";
        return failure(&Error::Forbidden(why.to_owned()), &request_id, session.as_ref());
    }
    if route.path.starts_with("/app/admin")
        && let Some(session) = &session
        && let Err(error) = auth::admit_to_administration(&app, &session.actor()).await
    {
        return failure(&error, &request_id, Some(session));
    }
    let result = if route.changes {
        let (app, asked) = (visit.app.clone(), asked(route, &visit));
        audit::observe(&app, asked, None, None, (route.handler)(visit)).await
    } else {
        (route.handler)(visit).await
    };
    match result {
        Ok(answer) => answer,
        Err(error) => failure(&error, &request_id, session.as_ref()),
    }
}
