//! What an entry says, and what of a document may be kept in it.

use super::Asked;
use axum::http::Method;
use kernel::{Timestamp, ids::OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Bytes of a document from which on it is left out of the trail.
pub(super) const LARGE: usize = 256 << 10;

/// An entry, as it is hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Names the entry: the request's id, which the answer had in `X-Request-Id`.
    pub id: String,
    /// When the change was made; microseconds since 1970.
    pub at: Timestamp,
    /// The organization that it belongs to; none for what is the installation's.
    pub organization: Option<String>,
    /// Who made it; nobody is known behind some URLs.
    pub who: Option<Who>,
    /// What they showed.
    pub token: Option<TokenShown>,
    /// From where; none where the listener does not tell.
    pub address: Option<String>,
    /// The operation's name in the operation table.
    pub operation: String,
    /// HTTP method, or `COMMAND` for one on the server's own machine.
    pub method: String,
    /// The operation's path, as declared.
    pub path: String,
    /// What was changed.
    pub resource: ResourceChanged,
    /// The answer's status; none if the server ended, or the client was gone, before it was answered.
    pub status: Option<u16>,
    /// The site admin who acted as `who`. Left out where nobody did, so that older entries keep their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonator: Option<Who>,
    /// Why, where a reason is asked for; left out likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A person, or the synthetic user behind a team's or an organization's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Their user id.
    pub id: String,
    /// Their name, as it was.
    pub name: Option<String>,
}

/// A token, or a browser's session; never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenShown {
    /// Its id.
    pub id: String,
    /// `user`, `team`, `organization`, `audit-trails`, `run`, `session`.
    pub kind: String,
}

/// What was changed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceChanged {
    /// JSON:API type.
    #[serde(rename = "type")]
    pub kind: String,
    /// JSON:API id.
    pub id: String,
    /// `create`, `update`, `destroy`, or the name of the action.
    pub action: String,
}

/// A resource by its name.
#[derive(Clone, Debug)]
pub(super) struct ResourceNamed {
    pub(super) kind: String,
    pub(super) id: String,
}

/// The documents around a change, as sealed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Changes {
    pub(super) before: Value,
    pub(super) after: Value,
}

impl Entry {
    /// What is known when the change is committed.
    pub(super) fn begun(
        asked: &Asked,
        organization: Option<OrganizationId>,
        who: Option<Who>,
        resource: Option<ResourceNamed>,
        now: Timestamp,
    ) -> Self {
        let named = resource.unwrap_or_else(|| by_path(asked));
        Self {
            id: asked.id.to_string(),
            at: now,
            organization: organization.map(String::from),
            who: asked.who.clone().or(who),
            token: asked.token.clone(),
            address: asked.address.map(|address| address.to_string()),
            operation: asked.operation.to_owned(),
            method: asked.method.to_string(),
            path: asked.path.to_owned(),
            resource: ResourceChanged { kind: named.kind, id: named.id, action: action(asked) },
            status: (asked.method == command()).then_some(200),
            impersonator: asked.impersonator.clone(),
            reason: None,
        }
    }

    /// Whether a command on the server's own machine made the change.
    pub(super) fn is_command(&self) -> bool {
        self.method == command().as_str()
    }

    /// Takes the resource from the document that shows it.
    pub(super) fn shown_by(&mut self, changes: &Changes) {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        for document in [&changes.after, &changes.before] {
            if let (Some(kind), Some(id)) = (text(&document["type"]), text(&document["id"])) {
                self.resource.kind = kind;
                self.resource.id = id;
                return;
            }
        }
    }
}

/// The last parameter of the path, and what stands before it.
fn by_path(asked: &Asked) -> ResourceNamed {
    let parts: Vec<&str> = asked.path.split('/').collect();
    let last = parts.iter().rposition(|part| part.starts_with('{'));
    let plain = |part: Option<&&str>| part.map_or("installation", |part| part).to_owned();
    let Some(last) = last else {
        let kind = plain(parts.iter().rev().find(|part| !part.is_empty()));
        return ResourceNamed { id: kind.clone(), kind };
    };
    let name = parts[last].trim_matches(['{', '}']);
    let id = asked.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    ResourceNamed {
        kind: plain(last.checked_sub(1).and_then(|at| parts.get(at))),
        id: id.unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// What stands for the method of a command on the server's own machine.
pub(super) fn command() -> Method {
    Method::from_bytes(b"COMMAND").expect("a word of capitals is a method")
}

fn action(asked: &Asked) -> String {
    if asked.method == command() {
        return asked.path.rsplit(' ').next().unwrap_or_default().to_owned();
    }
    if let Some((_, action)) = asked.path.split_once("/actions/") {
        return action.to_owned();
    }
    let verb = match (&asked.method, asked.path.contains("/relationships/")) {
        (&Method::POST, false) => "create",
        (&Method::DELETE, false) => "destroy",
        _ => "update",
    };
    verb.to_owned()
}

/// The primary resource of a document as the API shows it, less the secrets that it shows once and the URLs that are
/// rights.
pub(super) fn document(bytes: &[u8]) -> Value {
    if bytes.len() > LARGE {
        return json!({ "omitted": format!("a document of {} bytes", bytes.len()) });
    }
    let mut whole: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let mut data = match whole.get_mut("data") {
        Some(data) => data.take(),
        None => whole,
    };
    clean(&mut data);
    data
}

fn clean(value: &mut Value) {
    match value {
        Value::Object(members) => clean_members(members),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::String(text) if is_right(text) => *value = Value::Null,
        _ => {}
    }
}

fn clean_members(members: &mut Map<String, Value>) {
    for (name, value) in members {
        let shows = value.is_string() || value.is_array();
        if shows && is_secret(name) { *value = Value::Null } else { clean(value) }
    }
}

/// Whether an attribute of this name is a secret that the API shows to whoever makes it, and never again.
fn is_secret(name: &str) -> bool {
    let last = name.rsplit(['-', '_']).next().unwrap_or_default();
    matches!(last, "token" | "secret" | "password" | "passphrase" | "otp")
        || ["private-key", "hmac-key", "secret-key", "recovery-codes", "signing-key"].contains(&name)
}

/// Whether whoever holds this text may do something.
fn is_right(text: &str) -> bool {
    text.contains("/_object/") || text.contains(".atlasv1.") || text.contains("ferroform-run.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_kept_without_the_secrets_that_it_shows_once() {
        let shown = json!({ "data": { "id": "at-1", "type": "authentication-tokens", "attributes": {
            "token": "x.atlasv1.y", "description": "ci", "client-secret": "planted", "allow-member-token-management": true,
            "upload-url": "https://h/_object/configuration-versions/abc", "recovery-codes": ["planted"],
        } }, "included": [{ "id": "planted" }] });
        let kept = document(shown.to_string().as_bytes());
        assert_eq!(kept["attributes"]["description"], "ci");
        assert_eq!(kept["attributes"]["allow-member-token-management"], true);
        assert_eq!(kept["attributes"]["token"], Value::Null);
        assert_eq!(kept["attributes"]["upload-url"], Value::Null);
        assert!(!kept.to_string().contains("planted"), "{kept}");
    }

    #[test]
    fn what_was_changed_is_read_from_the_path_where_no_document_shows_it() {
        let asked = |method, path, params: &[(&str, &str)]| Asked {
            id: "r".into(),
            operation: "o",
            method,
            path,
            params: params.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            address: None,
            who: None,
            token: None,
            impersonator: None,
        };
        let entry = |asked: &Asked| {
            let entry = Entry::begun(asked, None, None, None, Timestamp::from_micros(1));
            (entry.resource.kind, entry.resource.id, entry.resource.action)
        };
        let of = |kind: &str, id: &str, action: &str| (kind.to_owned(), id.to_owned(), action.to_owned());
        let locking = asked(Method::POST, "/workspaces/{id}/actions/lock", &[("id", "ws-1")]);
        assert_eq!(entry(&locking), of("workspaces", "ws-1", "lock"));
        let joining = asked(Method::POST, "/teams/{id}/relationships/users", &[("id", "team-1")]);
        assert_eq!(entry(&joining), of("teams", "team-1", "update"));
        assert_eq!(entry(&asked(Method::POST, "/runs", &[])), of("runs", "runs", "create"));
    }
}
