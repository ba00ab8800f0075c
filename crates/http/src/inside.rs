//! Operations carried out for a page: the same table, the same rules, the same entries of the audit trail, without a socket.
//!
//! A page asks with a path of the API, such as `/runs/run-…?include=plan`, as the person who looks at it. So a page shows
//! what the API shows, does what the API does, and cannot do more. Why it is made like this is in
//! `docs/adr/0011-pages-ask-the-operation-table.md`.

use crate::{
    Access, App, Cx, Error, Reply, Resource, Result, Routes,
    audit::{self, TokenShown, Who},
    document::{Document, Pagination, Primary},
    serve::{self, Served},
};
use authz::Actor;
use axum::{
    body::Body,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

/// The operation table, ready to be asked.
pub struct Inside {
    paths: matchit::Router<Vec<Served>>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inside")
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As whom.
    pub actor: Arc<Actor>,
    /// What the audit trail says of them.
    pub who: Who,
    /// What they have shown, for the audit trail.
    pub token: TokenShown,
    /// The site admin who acts as them, if somebody does.
    pub impersonator: Option<Who>,
    /// Where from, if that is known.
    pub address: Option<IpAddr>,
    /// Names the request in logs and in the audit trail.
    pub request_id: Arc<str>,
}

/// A resource as a page reads it: its attributes in a type of the page's own.
#[derive(Clone, Debug)]
pub struct Seen<A> {
    /// JSON:API type.
    pub kind: &'static str,
    /// JSON:API id.
    pub id: String,
    /// The attributes that the page names.
    pub attributes: A,
    resource: Resource,
}

impl<A> std::ops::Deref for Seen<A> {
    type Target = A;
    fn deref(&self) -> &A {
        &self.attributes
    }
}

impl<A: DeserializeOwned> Seen<A> {
    fn new(resource: &Resource) -> Result<Self> {
        let attributes = resource.attributes().map_err(|error| {
            Error::internal(format!("a page does not understand {} {}: {error}", resource.kind, resource.id))
        })?;
        Ok(Self { kind: resource.kind, id: resource.id.clone(), attributes, resource: resource.clone() })
    }
}

impl<A> Seen<A> {
    /// The id of the resource that a to-one relationship names.
    pub fn related(&self, name: &str) -> Option<&str> {
        self.resource.related(name).first().map(|(_, id)| *id)
    }

    /// The types and ids of the resources that a relationship names.
    pub fn all_related(&self, name: &str) -> Vec<(&'static str, &str)> {
        self.resource.related(name)
    }
}

/// A document that was answered.
#[derive(Debug)]
pub struct Found(Document);

impl Found {
    /// Its resource.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is a list, or has other attributes than `A` says: the page is wrong then.
    pub fn one<A: DeserializeOwned>(&self) -> Result<Seen<A>> {
        match &self.0.data {
            Primary::One(resource) => Seen::new(resource),
            Primary::Many(_) => Err(Error::internal("a page takes a list for one resource")),
        }
    }

    /// Its resources, in order.
    ///
    /// # Errors
    /// As [`Found::one`].
    pub fn many<A: DeserializeOwned>(&self) -> Result<Vec<Seen<A>>> {
        match &self.0.data {
            Primary::One(resource) => Ok(vec![Seen::new(resource)?]),
            Primary::Many(resources) => resources.iter().map(Seen::new).collect(),
        }
    }

    /// An included resource.
    ///
    /// # Errors
    /// As [`Found::one`].
    pub fn included<A: DeserializeOwned>(&self, kind: &str, id: &str) -> Result<Option<Seen<A>>> {
        let found = self.0.included.iter().find(|resource| resource.kind == kind && resource.id == id);
        found.map(Seen::new).transpose()
    }

    /// All included resources of a type.
    ///
    /// # Errors
    /// As [`Found::one`].
    pub fn all_included<A: DeserializeOwned>(&self, kind: &str) -> Result<Vec<Seen<A>>> {
        self.0.included.iter().filter(|resource| resource.kind == kind).map(Seen::new).collect()
    }

    /// Which page of how many this is.
    pub fn pagination(&self) -> Pagination {
        self.0.pagination.unwrap_or_default()
    }
}

/// Signed paths stand beside those of the API, not below it.
fn whole(path: &str) -> String {
    if path.starts_with("/_object/") { path.to_owned() } else { format!("/api/v2{path}") }
}

impl Inside {
    /// Over a table.
    pub fn new(routes: &Routes) -> Self {
        let mut by_path: Vec<(String, Vec<Served>)> = Vec::new();
        for operation in routes.operations() {
            let (path, served) = (serve::full_path(operation), Served::new(operation, routes));
            match by_path.iter_mut().find(|(known, _)| *known == path) {
                Some((_, all)) => all.push(served),
                None => by_path.push((path, vec![served])),
            }
        }
        let mut paths = matchit::Router::new();
        for (path, all) in by_path {
            paths.insert(path, all).expect("the service routes the same table");
        }
        Self { paths }
    }

    /// What a GET of a path below `/api/v2` answers.
    ///
    /// # Errors
    /// What the operation refuses, and [`Error::NotFound`] where there is none.
    pub async fn read(&self, app: &App, caller: &Caller, path: &str) -> Result<Found> {
        match self.get(app, caller, &format!("/api/v2{path}")).await? {
            Reply::Document(_, document) => Ok(Found(*document)),
            _ => Err(Error::internal(format!("{path} answers no document"))),
        }
    }

    /// The bytes that a GET of a path below `/api/v2`, or of a signed one, answers, or what it leads to.
    ///
    /// # Errors
    /// As [`Inside::read`].
    pub async fn bytes(&self, app: &App, caller: &Caller, path: &str) -> Result<Bytes> {
        let mut reply = self.get(app, caller, &whole(path)).await?;
        if let Reply::Redirect(_, url) = &reply {
            let own = url.strip_prefix(&app.settings.url).unwrap_or(url).to_owned();
            reply = self.get(app, caller, &own).await?;
        }
        let (response, _) = reply.into_response()?;
        Ok(response.into_body().collect().await.map_err(Error::internal)?.to_bytes())
    }

    /// Carries out an operation that changes something, at a path below `/api/v2` or at a signed one; `None` where it
    /// answers no document.
    ///
    /// # Errors
    /// As [`Inside::read`].
    pub async fn change(
        &self,
        app: &App,
        caller: &Caller,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<(Response, Option<Value>)> {
        let (served, cx) = self.request(app, caller, &method, &whole(path), body.into())?;
        cx.admit_to_administration().await?;
        let by = audit::Caller {
            address: caller.address,
            who: Some(caller.who.clone()),
            token: Some(caller.token.clone()),
            impersonator: caller.impersonator.clone(),
        };
        let (response, document) = serve::change(served, cx, by).await?;
        let document = document.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        Ok((response, document.map_err(Error::internal)?))
    }

    async fn get(&self, app: &App, caller: &Caller, path: &str) -> Result<Reply> {
        let (served, cx) = self.request(app, caller, &Method::GET, path, Body::empty())?;
        cx.admit_to_administration().await?;
        (served.operation.handler)(cx).await
    }

    fn request(
        &self,
        app: &App,
        caller: &Caller,
        method: &Method,
        path: &str,
        body: Body,
    ) -> Result<(&Served, Cx)> {
        let uri: Uri = path.parse().map_err(|_| Error::NotFound)?;
        let found = self.paths.at(uri.path()).map_err(|_| Error::NotFound)?;
        let served = found.value.iter().find(|served| served.operation.method == *method);
        let served = served.ok_or(Error::NotFound)?;
        let params =
            found.params.iter().map(|(name, value)| (name.to_owned(), serve::decoded(value))).collect();
        let actor = (served.operation.access == Access::Token).then(|| caller.actor.clone());
        let cx = Cx {
            app: app.clone(),
            headers: HeaderMap::new(),
            query: serve::query_pairs(&uri).into(),
            request_id: caller.request_id.clone(),
            address: caller.address,
            actor,
            params,
            body: Mutex::new(Some(body)),
            uri: uri.clone(),
        };
        Ok((served, cx))
    }
}
