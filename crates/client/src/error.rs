//! What can go wrong between here and the server, in words for the person at the terminal.

use std::{error::Error as StdError, fmt, path::PathBuf};

/// The result of every operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. No variant holds the token or a signed URL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client was set up wrongly: an address that is none, an unreadable certificate file, a token with a line break.
    #[error("{0}")]
    Configuration(String),
    /// Something answered at the address, but not a Terraform Enterprise.
    #[error("{host} does not look like a Terraform Enterprise server: {reason}")]
    NotTerraformEnterprise {
        /// Host and port that were asked.
        host: String,
        /// What was missing from the answer.
        reason: String,
    },
    /// No answer: the name is unknown, nothing listens, the connection broke or the time ran out.
    #[error("cannot reach {host} ({request}): {reason}")]
    Unreachable {
        /// Host and port that were asked.
        host: String,
        /// Method and path.
        request: String,
        /// The innermost causes, outermost first.
        reason: String,
    },
    /// TLS failed: the server's certificate is not trusted, or the port speaks something else.
    #[error("no secure connection to {host}: {reason}")]
    Untrusted {
        /// Host and port that were asked.
        host: String,
        /// What about the certificate or the handshake, and what to do.
        reason: String,
    },
    /// The server refused, with its own words.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The server's answer could not be understood.
    #[error("unexpected answer to {request}: {reason}{}", id_suffix(request_id.as_deref()))]
    Unexpected {
        /// Method and path.
        request: String,
        /// What did not fit.
        reason: String,
        /// The server's name for this exchange, for its operator.
        request_id: Option<String>,
    },
    /// A local file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    /// The HTTP status of a refusal; `None` when the server did not refuse.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether the server said that the resource is absent (or hidden from this token, which looks the same).
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// A 4xx or 5xx answer.
#[derive(Debug)]
pub struct Refusal {
    /// Method and path, as `POST /runs`.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The members of the answer's `errors`; empty when the body was no JSON:API document.
    pub problems: Vec<Problem>,
    /// The server's name for this exchange, for its operator.
    pub request_id: Option<String>,
}

/// One member of a JSON:API `errors` array.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Problem {
    /// Short and fixed, as `invalid attribute`.
    #[serde(default)]
    pub title: String,
    /// What exactly; often absent in a 404.
    #[serde(default)]
    pub detail: Option<String>,
    /// Which part of the request.
    #[serde(default)]
    pub source: Option<Pointer>,
}

/// Which part of a request a [`Problem`] is about.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Pointer {
    /// A JSON pointer into the request's body.
    #[serde(default)]
    pub pointer: Option<String>,
}

impl Refusal {
    /// Reads the answer's body; anything that is no JSON:API error document leaves `problems` empty.
    pub(crate) fn new(request: String, status: u16, body: &[u8], request_id: Option<String>) -> Self {
        #[derive(serde::Deserialize)]
        struct Errors {
            errors: Vec<Problem>,
        }
        let problems =
            serde_json::from_slice::<Errors>(body).map(|document| document.errors).unwrap_or_default();
        Self { request, status, problems, request_id }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was refused ({})", self.request, self.status)?;
        for (index, problem) in self.problems.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            f.write_str(&problem.title)?;
            if let Some(detail) = problem.detail.as_deref().filter(|detail| !detail.is_empty()) {
                write!(f, ": {detail}")?;
            }
            if let Some(pointer) = problem.source.as_ref().and_then(|source| source.pointer.as_deref()) {
                write!(f, " [{pointer}]")?;
            }
        }
        f.write_str(&id_suffix(self.request_id.as_deref()))
    }
}

impl StdError for Refusal {}

fn id_suffix(request_id: Option<&str>) -> String {
    request_id.map(|id| format!(" (request id {id})")).unwrap_or_default()
}

/// Turns a failed exchange into words. The URL is dropped first: it may be a signed one.
pub(crate) fn from_transport(error: reqwest::Error, request: &str, host: &str) -> Error {
    let error = error.without_url();
    if let Some(reason) = causes(&error).into_iter().find_map(tls_reason) {
        return Error::Untrusted { host: host.to_owned(), reason };
    }
    let reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        // The outer layers only say that sending a request failed; the innermost says why.
        match innermost(&error).as_str() {
            // hyper's words for the TLS alert that answers plain HTTP.
            "invalid HTTP version parsed" => {
                "it does not speak plain HTTP on this port; if it serves TLS, give the \
                                              address with https://"
                    .to_owned()
            }
            reason => reason.to_owned(),
        }
    };
    Error::Unreachable { host: host.to_owned(), request: request.to_owned(), reason }
}

/// The words of the first cause.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The error and all its causes. An `io::Error` hides the error that it wraps from `source`, hence the detour.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut found = vec![];
    let mut next = Some(error);
    while let Some(current) = next {
        found.push(current);
        next = match current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &'a (dyn StdError + 'static)),
            None => current.source(),
        };
    }
    found
}

fn tls_reason(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::{CertificateError as Bad, Error as Tls};
    Some(match error.downcast_ref::<Tls>()? {
        Tls::InvalidCertificate(Bad::UnknownIssuer) => {
            "its certificate is signed by an authority that this machine does not know. If the server has its own \
             authority, name that authority's certificate with --ca-file or SSL_CERT_FILE"
                .to_owned()
        }
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "its certificate has expired (or this machine's clock is wrong)".to_owned()
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "its certificate is for another host name; use the name that the certificate carries".to_owned()
        }
        Tls::InvalidMessage(_) => {
            "it does not speak TLS on this port; if it serves plain HTTP, give the address with http://".to_owned()
        }
        other => other.to_string(),
    })
}
