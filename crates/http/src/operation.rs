//! The operation table: what the server answers, in one list.

use crate::{Cx, Reply, Result};
use axum::http::Method;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Who may call an operation at all; what they may do is the handler's proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: discovery, ping, health.
    Public,
    /// A valid API token.
    Token,
    /// Whoever holds the URL: the path carries a signed token.
    Signed,
    /// An identity provider's SCIM token, which opens nothing else. Refusals are SCIM's too.
    Scim,
}

/// The stable name of an operation, for logs, metrics and OpenAPI's `operationId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationName(pub &'static str);

/// How many statements the answer to a request took; every answer of the table carries it, for metrics and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statements(pub u64);

/// What carries an operation out.
pub type Handler = Arc<dyn Fn(Cx) -> BoxFuture<'static, Result<Reply>> + Send + Sync>;

/// One row of the table.
#[derive(Clone)]
pub struct Operation {
    /// HTTP method.
    pub method: Method,
    /// Whole path; parameters in braces. A place has one parameter name throughout the table.
    pub path: &'static str,
    /// `area.resource.verb`, unique.
    pub name: &'static str,
    /// Who may call.
    pub access: Access,
    /// What carries it out.
    pub handler: Handler,
    /// Whether the handler itself tells the audit trail how the resource was before ([`crate::audit::before`]), so that it
    /// is not read for the trail alone.
    pub tells_before: bool,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({}, {:?})", self.method, self.path, self.name, self.access)
    }
}

/// Operations of a resource, an area or the whole server.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Operation>);

impl Routes {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation of the API that needs a token: `path` is below `/api/v2`.
    #[must_use]
    pub fn op<F, Fut>(self, method: Method, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.with(Access::Token, method, path, name, handler)
    }

    /// Adds an operation reached through a signed URL: `/_object/<purpose>/{token}`.
    #[must_use]
    pub fn signed<F, Fut>(self, method: Method, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.with(Access::Signed, method, path, name, handler)
    }

    /// Adds an operation of SCIM: `path` is below `/scim/v2`.
    #[must_use]
    pub fn scim<F, Fut>(self, method: Method, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.with(Access::Scim, method, path, name, handler)
    }

    /// Adds an operation that anyone may call.
    #[must_use]
    pub fn public<F, Fut>(self, method: Method, path: &'static str, name: &'static str, handler: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.with(Access::Public, method, path, name, handler)
    }

    fn with<F, Fut>(
        mut self,
        access: Access,
        method: Method,
        path: &'static str,
        name: &'static str,
        handler: F,
    ) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |cx| Box::pin(handler(cx)));
        self.0.push(Operation { method, path, name, access, handler, tells_before: false });
        self
    }

    /// Says of the row just declared that its handler tells how the resource was before.
    #[must_use]
    pub fn telling_before(mut self) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.tells_before = true;
        }
        self
    }

    /// Joins two tables.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The rows, in the order of their declaration.
    pub fn operations(&self) -> &[Operation] {
        &self.0
    }
}
