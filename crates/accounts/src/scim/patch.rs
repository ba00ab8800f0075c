//! PATCH: what a list of operations makes of a resource. Pure. RFC 7644 §3.5.2.
//!
//! As Okta and Entra ID send them: operations in any case, with or without a path, several places in one value, a place in a
//! multi-valued attribute that is not there yet (it is made), members to be removed listed in the value. What clients cannot
//! change (`id`, `meta`, `schemas`, `groups`) is passed over, as RFC 7644 has it for PUT.

use super::{
    filter::{self, Compare},
    path::{Path, key, member},
};
use http_api::{Error, Result};
use serde_json::{Map, Value};

/// Operations in one request.
const MOST: usize = 1000;
const READ_ONLY: [&str; 4] = ["id", "meta", "schemas", "groups"];
/// Attributes that are lists, in lower case.
const LISTS: [&str; 10] = [
    "emails",
    "phonenumbers",
    "ims",
    "photos",
    "addresses",
    "groups",
    "entitlements",
    "roles",
    "x509certificates",
    "members",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

type Object = Map<String, Value>;

fn syntax(why: impl Into<String>) -> Error {
    Error::bad_request("invalidSyntax", why)
}

/// Carries the operations of a request out.
///
/// # Errors
/// 400, of SCIM's kinds.
pub(super) fn apply(resource: &mut Object, body: &Object) -> Result<()> {
    let operations = member(body, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| syntax("a PATCH has a list of Operations"))?;
    if operations.is_empty() || operations.len() > MOST {
        return Err(syntax(format!("a PATCH has 1 to {MOST} Operations")));
    }
    for operation in operations {
        let operation = operation.as_object().ok_or_else(|| syntax("an operation is an object"))?;
        let name = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
        let op = match name.to_ascii_lowercase().as_str() {
            "add" => Op::Add,
            "replace" => Op::Replace,
            "remove" => Op::Remove,
            _ => return Err(syntax(format!("the op {name:?} is none of add, replace, remove"))),
        };
        let value = member(operation, "value").cloned();
        match (member(operation, "path"), value) {
            (None | Some(Value::Null), Some(Value::Object(places))) if op != Op::Remove => {
                for (place, value) in places {
                    change(resource, op, &Path::parse(&place)?, Some(value))?;
                }
            }
            (None | Some(Value::Null), _) if op == Op::Remove => {
                return Err(Error::bad_request("noTarget", "a remove needs a path"));
            }
            (None | Some(Value::Null), _) => return Err(syntax("without a path the value is an object")),
            (Some(Value::String(path)), value) => change(resource, op, &Path::parse(path)?, value)?,
            (Some(_), _) => return Err(Error::bad_request("invalidPath", "a path is a text")),
        }
    }
    Ok(())
}

fn change(resource: &mut Object, op: Op, path: &Path, value: Option<Value>) -> Result<()> {
    let value = value.filter(|value| !value.is_null());
    // To set something to null is to remove it.
    let op = if value.is_none() { Op::Remove } else { op };
    let Some(schema) = &path.schema else {
        if READ_ONLY.iter().any(|name| name.eq_ignore_ascii_case(&path.attribute)) {
            return Ok(());
        }
        return change_in(resource, op, path, value);
    };
    let schema = key(resource, schema);
    let extension = resource.entry(schema).or_insert_with(|| Value::Object(Map::new()));
    let extension = extension.as_object_mut().ok_or_else(|| syntax("an extension is an object"))?;
    change_in(extension, op, path, value)
}

fn change_in(object: &mut Object, op: Op, path: &Path, value: Option<Value>) -> Result<()> {
    let name = key(object, &path.attribute);
    if !path.terms.is_empty() {
        return change_elements(object, op, &name, path, value);
    }
    match (&path.sub, op, value) {
        (None, Op::Remove, value) => {
            remove(object, &name, value.as_ref());
            Ok(())
        }
        (Some(sub), op, value) => change_part(object, op, &name, sub, value),
        (None, op, Some(value)) => {
            set(object, op, &name, value);
            Ok(())
        }
        (None, ..) => Ok(()),
    }
}

/// Removes an attribute; of a list only the named elements, if there are any named.
fn remove(object: &mut Object, name: &str, named: Option<&Value>) {
    let named: Vec<&Value> = match named {
        Some(Value::Array(elements)) => elements.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    };
    match object.get_mut(name) {
        Some(Value::Array(elements)) if !named.is_empty() => {
            elements.retain(|element| !named.iter().any(|named| is_same(element, named)));
        }
        _ => {
            object.remove(name);
        }
    }
}

/// Elements of a list are the same when their values are.
fn is_same(one: &Value, other: &Value) -> bool {
    let value = |of: &Value| of.as_object().and_then(|of| member(of, "value").cloned());
    match (value(one), value(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn set(object: &mut Object, op: Op, name: &str, value: Value) {
    let is_list = LISTS.iter().any(|list| list.eq_ignore_ascii_case(name));
    let value = if is_list && !value.is_array() { Value::Array(vec![value]) } else { value };
    match (op, object.get_mut(name), value) {
        (Op::Add, Some(Value::Array(elements)), Value::Array(new)) => {
            for element in new {
                if !elements.iter().any(|known| is_same(known, &element)) {
                    elements.push(element);
                }
            }
        }
        (_, Some(Value::Object(known)), Value::Object(new)) => {
            for (part, value) in new {
                let part = key(known, &part);
                known.insert(part, value);
            }
        }
        (_, _, value) => {
            object.insert(name.to_owned(), value);
        }
    }
}

/// Changes a part of an attribute; of a list, that part of all elements.
fn change_part(object: &mut Object, op: Op, name: &str, sub: &str, value: Option<Value>) -> Result<()> {
    if op == Op::Remove && !object.contains_key(name) {
        return Ok(());
    }
    let attribute = object.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    let parts: Vec<&mut Object> = match attribute {
        Value::Object(object) => vec![object],
        Value::Array(elements) => elements.iter_mut().filter_map(Value::as_object_mut).collect(),
        _ => return Err(Error::bad_request("invalidPath", format!("{name} has no parts"))),
    };
    for object in parts {
        let part = key(object, sub);
        match &value {
            Some(value) => object.insert(part, value.clone()),
            None => object.remove(&part),
        };
    }
    Ok(())
}

/// Changes the elements of a list that a filter names.
fn change_elements(object: &mut Object, op: Op, name: &str, path: &Path, value: Option<Value>) -> Result<()> {
    let list = object.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
    let elements = list
        .as_array_mut()
        .ok_or_else(|| Error::bad_request("invalidPath", format!("{name} is not a list")))?;
    let is_meant = |element: &Value| element.as_object().is_some_and(|of| filter::matches(&path.terms, of));
    let Some(value) = value else {
        match &path.sub {
            None => elements.retain(|element| !is_meant(element)),
            Some(sub) => {
                for element in elements.iter_mut().filter(|element| is_meant(element)) {
                    if let Some(object) = element.as_object_mut() {
                        object.remove(&key(object, sub));
                    }
                }
            }
        }
        return Ok(());
    };
    if op == Op::Remove {
        elements.retain(|element| !is_meant(element));
        return Ok(());
    }
    if !elements.iter().any(is_meant) {
        // As the filter describes it: Entra ID sets parts of elements that it has not made.
        let made: Object = path
            .terms
            .iter()
            .filter(|term| term.compare == Compare::Eq)
            .map(|term| (term.attribute.clone(), term.value.clone()))
            .collect();
        elements.push(Value::Object(made));
    }
    for element in elements.iter_mut().filter(|element| is_meant(element)) {
        let Some(object) = element.as_object_mut() else { continue };
        match (&path.sub, &value) {
            (Some(sub), value) => {
                let part = key(object, sub);
                object.insert(part, value.clone());
            }
            (None, Value::Object(new)) => {
                for (part, value) in new {
                    let part = key(object, part);
                    object.insert(part, value.clone());
                }
            }
            (None, _) => {
                return Err(Error::bad_request("invalidValue", format!("an element of {name} is an object")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(resource: Value, operations: Value) -> Value {
        let Value::Object(mut resource) = resource else { panic!("an object") };
        apply(&mut resource, json!({ "Operations": operations }).as_object().unwrap()).unwrap();
        Value::Object(resource)
    }

    #[test]
    fn operations_of_entra_are_understood() {
        let user = json!({ "userName": "a", "active": true, "name": { "givenName": "Ada" } });
        let after = patched(
            user,
            json!([
                { "op": "Replace", "path": "active", "value": "False" },
                { "op": "Add", "path": "emails[type eq \"work\"].value", "value": "a@b" },
                { "op": "Replace", "path": "name.familyName", "value": "Lovelace" },
                { "op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "IT" },
                { "op": "add", "value": { "displayName": "Ada", "name.formatted": "Ada L" } },
            ]),
        );
        assert_eq!(
            after,
            json!({
                "userName": "a", "active": "False", "displayName": "Ada",
                "name": { "givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada L" },
                "emails": [{ "type": "work", "value": "a@b" }],
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "IT" },
            })
        );
    }

    #[test]
    fn members_come_and_go_one_by_one_and_all_at_once() {
        let group = json!({ "members": [{ "value": "1" }, { "value": "2" }] });
        let members = |operation: Value| patched(group.clone(), json!([operation]))["members"].clone();
        let add = json!({ "op": "add", "path": "members", "value": [{ "value": "2" }, { "value": "3" }] });
        assert_eq!(members(add), json!([{ "value": "1" }, { "value": "2" }, { "value": "3" }]));
        assert_eq!(
            members(json!({ "op": "remove", "path": "members[value eq \"1\"]" })),
            json!([{ "value": "2" }])
        );
        let listed =
            json!({ "op": "Remove", "path": "members", "value": [{ "value": "2" }, { "value": "9" }] });
        assert_eq!(members(listed), json!([{ "value": "1" }]));
        assert_eq!(members(json!({ "op": "remove", "path": "members" })), Value::Null);
        let all = json!({ "op": "replace", "path": "members", "value": [{ "value": "9" }] });
        assert_eq!(members(all), json!([{ "value": "9" }]));
    }

    #[test]
    fn what_clients_cannot_change_is_passed_over_and_nonsense_is_refused() {
        let group = json!({ "id": "1", "displayName": "a" });
        let replaced = json!([{ "op": "replace", "value": { "id": "2", "displayName": "b" } }]);
        assert_eq!(patched(group, replaced), json!({ "id": "1", "displayName": "b" }));
        for operations in [
            json!([]),
            json!({}),
            json!([1]),
            json!([{ "op": "move" }]),
            json!([{ "op": "remove" }]),
            json!([{ "op": "add", "value": 1 }]),
            json!([{ "op": "add", "path": 1, "value": 1 }]),
            json!([{ "op": "add", "path": "a[b eq", "value": 1 }]),
        ] {
            let body = json!({ "Operations": operations });
            assert!(apply(&mut Map::new(), body.as_object().unwrap()).is_err(), "{body}");
        }
    }
}
