//! Names of attributes, as filters and PATCH write them: `userName`, `name.givenName`, `emails[type eq "work"].value`,
//! `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`. RFC 7644 §3.10. Names are alike in any case.

use super::filter::{self, Term};
use http_api::{Error, Result};
use serde_json::{Map, Value};

/// The schema whose attributes are meant without saying it.
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Likewise, of groups.
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// A place in a resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    /// The URN of an extension, which is a member of the resource.
    pub(super) schema: Option<String>,
    /// The attribute.
    pub(super) attribute: String,
    /// Which elements of it; empty for all.
    pub(super) terms: Vec<Term>,
    /// A part of the attribute.
    pub(super) sub: Option<String>,
}

impl Path {
    /// Reads one.
    ///
    /// # Errors
    /// 400 `invalidPath`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::bad_request("invalidPath", format!("{text}: {why}"));
        let (schema, rest) = schema(text.trim());
        let Some(rest) = rest else {
            return schema.map(Self::whole).ok_or_else(|| wrong("names no attribute"));
        };
        let (name, terms, sub) = match rest.split_once('[') {
            Some((name, rest)) => {
                let (filter, after) = rest.rsplit_once(']').ok_or_else(|| wrong("lacks its closing ]"))?;
                let sub = match after {
                    "" => None,
                    after => Some(after.strip_prefix('.').ok_or_else(|| wrong("has something after ]"))?),
                };
                (name, filter::parse(filter)?, sub)
            }
            None => match rest.split_once('.') {
                Some((name, sub)) => (name, Vec::new(), Some(sub)),
                None => (rest, Vec::new(), None),
            },
        };
        if !is_name(name) || sub.is_some_and(|sub| !is_name(sub)) {
            return Err(wrong("is not the name of an attribute"));
        }
        Ok(Self { schema, attribute: name.to_owned(), terms, sub: sub.map(str::to_owned) })
    }

    fn whole(schema: String) -> Self {
        Self { schema: None, attribute: schema, terms: Vec::new(), sub: None }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_$".contains(c))
}

/// The schema before an attribute, unless it is the usual one, and the attribute, unless a whole schema is named.
fn schema(text: &str) -> (Option<String>, Option<&str>) {
    if !text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
        return (None, Some(text));
    }
    // A schema ends with its version and the name of the resource; what follows is the attribute.
    let mut end = 0;
    let mut parts = text.split(':').peekable();
    while let Some(part) = parts.next() {
        end += part.len() + 1;
        let is_version = part.contains('.') && part.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_version && let Some(name) = parts.next() {
            end += name.len();
            break;
        }
    }
    let urn = &text[..end.min(text.len())];
    let rest = text.get(urn.len() + 1..).filter(|rest| !rest.is_empty());
    let usual = [USER, GROUP].into_iter().any(|usual| usual.eq_ignore_ascii_case(urn));
    match (usual, rest) {
        (true, rest) => (None, rest),
        (false, rest) => (Some(urn.to_owned()), rest),
    }
}

/// The value of a member, whatever the case of its name.
pub(super) fn member<'a>(of: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    of.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The name of a member as it is there already, or as it was given.
pub(super) fn key(of: &Map<String, Value>, name: &str) -> String {
    of.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned().unwrap_or_else(|| name.to_owned())
}

/// A boolean, which Entra ID writes as text.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_providers_write_them() {
        let path = |text: &str| Path::parse(text).unwrap();
        assert_eq!(path("name.givenName").sub.as_deref(), Some("givenName"));
        let work = path("emails[type eq \"work\"].value");
        assert_eq!(
            (work.attribute.as_str(), work.terms.len(), work.sub.as_deref()),
            ("emails", 1, Some("value"))
        );
        assert_eq!(path(&format!("{USER}:userName")).attribute, "userName");
        let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let department = path(&format!("{enterprise}:department"));
        assert_eq!(
            (department.schema.as_deref(), department.attribute.as_str()),
            (Some(enterprise), "department")
        );
        assert_eq!(path(enterprise).attribute, enterprise);
        for wrong in ["", "a[b", "a b", "emails[type eq \"work\"]value", "urn:", "a.b.c", "urn:a:2.0:"] {
            assert!(Path::parse(wrong).is_err() || wrong.starts_with("urn:"), "{wrong}");
        }
    }
}
