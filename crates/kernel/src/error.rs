//! The closed catalogue of refusals. Each maps to one HTTP status, once, in the `http` room.
//!
//! `title` and `detail` are part of the contract: the official SDK matches some of them. [`Error::Internal`] carries
//! its cause for the log and has no public text at all.

/// The result of everything that a request can ask.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400: the request cannot be understood.
    #[error("{title}: {detail}")]
    BadRequest {
        /// Short, fixed.
        title: &'static str,
        /// What was wrong, where, and what to do.
        detail: String,
    },
    /// 401: no token, or one that is unknown, revoked or expired.
    #[error("unauthorized")]
    Unauthorized,
    /// 403: only where TFE documents it; everywhere else a refusal is [`Error::NotFound`].
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// 404: absent, or hidden from this caller. The two look alike on purpose.
    #[error("not found")]
    NotFound,
    /// 404 that says why, to a caller who may see the organization: its feature set does not grant the feature.
    #[error("not entitled: {0}")]
    NotEntitled(String),
    /// 409: the resource's state does not allow it.
    #[error("{title}: {detail}")]
    Conflict {
        /// `conflict`, or `transition not allowed` for state machines.
        title: &'static str,
        /// Which state, and what would be needed.
        detail: String,
    },
    /// 412: the caller worked on an older version than the stored one.
    #[error("precondition failed: {0}")]
    PreconditionFailed(String),
    /// 413: the body exceeds a configured limit.
    #[error("too large: {0}")]
    TooLarge(String),
    /// 422: one or more attributes are invalid; each is `(attribute, message)`, rendered as its own error object.
    #[error("invalid attribute: {0:?}")]
    Invalid(Vec<(String, String)>),
    /// 422: the request as a whole cannot be carried out.
    #[error("unprocessable entity: {0}")]
    Unprocessable(String),
    /// 429: too many requests; the caller may try again after this many seconds.
    #[error("too many requests")]
    TooManyRequests(u32),
    /// 503: not now; worth another try.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// 500: our fault. The cause is logged with the request's id and never shown.
    #[error("internal error: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An unexpected failure of something below us.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// 503: there is no room on the server's disk.
    pub fn disk_full() -> Self {
        Self::Unavailable(
            "the server's disk is full, so nothing was stored; its operator has to free space, then try again"
                .to_owned(),
        )
    }

    /// 409 `conflict`.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { title: "conflict", detail: detail.into() }
    }

    /// 409 `transition not allowed`.
    pub fn transition(detail: impl Into<String>) -> Self {
        Self::Conflict { title: "transition not allowed", detail: detail.into() }
    }

    /// 422 for one attribute.
    pub fn invalid(attribute: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![(attribute.into(), message.into())])
    }

    /// 400 with a free title.
    pub fn bad_request(title: &'static str, detail: impl Into<String>) -> Self {
        Self::BadRequest { title, detail: detail.into() }
    }
}
