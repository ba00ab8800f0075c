//! Filters of lists: comparisons joined by `and`. RFC 7644 §3.4.2.2, as far as providers use it: `eq`, `co` (contains), `sw`
//! (starts with), and `pr` inside brackets of a PATCH.

use super::path::{Path, member, truth};
use db::Arg;
use http_api::{Error, Result};
use serde_json::{Map, Value};

/// Comparisons in one filter.
const MOST: usize = 20;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Equal.
    Eq,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Is there.
    Pr,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// The name of what is compared, as it is written.
    pub(super) attribute: String,
    /// How.
    pub(super) compare: Compare,
    /// With what; null for `pr`.
    pub(super) value: Value,
}

/// How a list compares an attribute.
pub(super) struct Column {
    /// Names of the attribute, in lower case and without blanks.
    pub(super) names: &'static [&'static str],
    /// The condition of equality, in which `?` stands for the value.
    pub(super) sql: &'static str,
    /// Kind of value.
    pub(super) kind: Kind,
}

/// Kinds of value of a [`Column`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text that is alike in any case, and stored in lower case; may be compared by parts.
    Text,
    /// Text as it is.
    Exact,
    /// True or false.
    Flag,
}

fn wrong(why: impl Into<String>) -> Error {
    Error::bad_request("invalidFilter", why)
}

/// Reads a filter.
///
/// # Errors
/// 400 `invalidFilter`.
pub(super) fn parse(text: &str) -> Result<Vec<Term>> {
    let mut rest = text.trim();
    let mut terms = Vec::new();
    loop {
        let (term, after) = term(rest)?;
        terms.push(term);
        if terms.len() > MOST {
            return Err(wrong(format!("a filter may have at most {MOST} comparisons")));
        }
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(terms);
        }
        let (word, after) = word(rest);
        if !word.eq_ignore_ascii_case("and") {
            return Err(wrong(format!("only `and` joins comparisons here, not {word:?}")));
        }
        rest = after.trim_start();
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The first comparison, and what follows it.
fn term(text: &str) -> Result<(Term, &str)> {
    let (attribute, rest) = text.split_at(end_of_name(text)?);
    if attribute.is_empty() || attribute.starts_with('(') || attribute.eq_ignore_ascii_case("not") {
        return Err(wrong(
            "a comparison begins with the name of an attribute; groups and `not` are not supported",
        ));
    }
    // `members[value eq "x"]` says in brackets what `members.value eq "x"` says without.
    if rest.trim().is_empty() || word(rest).0.eq_ignore_ascii_case("and") {
        return in_brackets(attribute).map(|term| (term, rest));
    }
    let (operator, rest) = word(rest);
    let compare = match operator.to_ascii_lowercase().as_str() {
        "eq" => Compare::Eq,
        "co" => Compare::Co,
        "sw" => Compare::Sw,
        "pr" => Compare::Pr,
        _ => return Err(wrong(format!("the operator {operator:?} is not supported; eq, co, sw are"))),
    };
    let attribute = attribute.to_owned();
    if compare == Compare::Pr {
        return Ok((Term { attribute, compare, value: Value::Null }, rest));
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) if !value.is_object() && !value.is_array() => value,
        _ => {
            return Err(wrong(format!(
                "after {attribute} {operator} a value in JSON is expected, as \"text\""
            )));
        }
    };
    let after = &rest[values.byte_offset()..];
    Ok((Term { attribute, compare, value }, after))
}

fn in_brackets(text: &str) -> Result<Term> {
    let path = Path::parse(text).map_err(|_| wrong(format!("{text:?} is no comparison")))?;
    match (path.terms.as_slice(), &path.sub) {
        ([inner], None) => {
            Ok(Term { attribute: format!("{}.{}", path.attribute, inner.attribute), ..inner.clone() })
        }
        _ => Err(wrong(format!("{text:?} is no comparison"))),
    }
}

/// Where the name at the beginning of the text ends: at a blank outside of brackets and quotes.
fn end_of_name(text: &str) -> Result<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => {
                depth = depth.checked_sub(1).ok_or_else(|| wrong("a ] has no ["))?;
            }
            c if c.is_whitespace() && depth == 0 => return Ok(at),
            _ => {}
        }
    }
    if depth == 0 { Ok(text.len()) } else { Err(wrong("a [ is not closed")) }
}

/// The conditions in SQL; their values are added to `values`.
///
/// # Errors
/// 400 `invalidFilter` for what cannot be compared.
pub(super) fn conditions(terms: &[Term], columns: &[Column], values: &mut Vec<Arg>) -> Result<String> {
    let mut all = vec!["TRUE".to_owned()];
    for term in terms {
        let name = match Path::parse(&term.attribute) {
            Ok(Path { schema: None, attribute, terms, sub }) => {
                let inner: String =
                    terms.iter().map(|term| format!("[{}={}]", term.attribute, term.value)).collect();
                let sub = sub.map(|sub| format!(".{sub}")).unwrap_or_default();
                format!("{attribute}{inner}{sub}").to_lowercase()
            }
            _ => term.attribute.to_lowercase(),
        };
        let column =
            columns.iter().find(|column| column.names.contains(&name.as_str())).ok_or_else(|| {
                let known: Vec<&str> = columns.iter().map(|column| column.names[0]).collect();
                wrong(format!("lists are not filtered by {}; by {}", term.attribute, known.join(", ")))
            })?;
        let value = match (column.kind, &term.value) {
            (Kind::Flag, value) => truth(value).map(Arg::from),
            (Kind::Exact, Value::String(text)) => Some(Arg::from(text)),
            (Kind::Text, Value::String(text)) => Some(Arg::from(text.to_lowercase())),
            _ => None,
        };
        let value =
            value.ok_or_else(|| wrong(format!("{} is not compared with {}", term.attribute, term.value)))?;
        let (sql, value) = match (term.compare, column.kind, value) {
            (Compare::Eq, _, value) => (column.sql.to_owned(), value),
            (compare @ (Compare::Co | Compare::Sw), Kind::Text, Arg::Text(Some(text))) => {
                let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                let start = if compare == Compare::Co { "%" } else { "" };
                (column.sql.replace("= ?", "LIKE ? ESCAPE '\\'"), Arg::from(format!("{start}{escaped}%")))
            }
            _ => return Err(wrong(format!("{} can only be compared by eq", term.attribute))),
        };
        values.push(value);
        all.push(sql.replace('?', &format!("${}", values.len())));
    }
    Ok(all.join(" AND "))
}

/// Whether an element of a multi-valued attribute is meant.
pub(super) fn matches(terms: &[Term], element: &Map<String, Value>) -> bool {
    terms.iter().all(|term| {
        let value = member(element, &term.attribute).unwrap_or(&Value::Null);
        match (term.compare, value, &term.value) {
            (Compare::Pr, value, _) => !value.is_null(),
            (Compare::Eq, Value::String(value), Value::String(asked)) => value.eq_ignore_ascii_case(asked),
            (Compare::Eq, value, asked) => {
                value == asked || truth(value).is_some_and(|value| truth(asked) == Some(value))
            }
            (Compare::Co, Value::String(value), Value::String(asked)) => {
                value.to_lowercase().contains(&asked.to_lowercase())
            }
            (Compare::Sw, Value::String(value), Value::String(asked)) => {
                value.to_lowercase().starts_with(&asked.to_lowercase())
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comparisons_are_read_and_joined() {
        let terms = parse(r#"userName eq "a and \"b\"" AND active eq true"#).unwrap();
        assert_eq!(terms[0].value, json!("a and \"b\""));
        assert_eq!((terms[1].attribute.as_str(), &terms[1].value), ("active", &json!(true)));
        let members = parse(r#"id eq "x" and members[value eq "y"]"#).unwrap();
        assert_eq!((members[1].attribute.as_str(), &members[1].value), ("members.value", &json!("y")));
        let work = parse(r#"emails[type eq "work"].value eq "a@b""#).unwrap();
        assert_eq!(work[0].attribute, "emails[type eq \"work\"].value");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in [
            "",
            "userName",
            "userName eq",
            "userName eq alice",
            "userName xx \"a\"",
            "a eq \"b\" or c eq \"d\"",
            "(a eq \"b\")",
            "not (a eq \"b\")",
            "a[b eq \"c\"",
            "a] eq 1",
            "a eq {}",
            "a eq \"b\" c",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
