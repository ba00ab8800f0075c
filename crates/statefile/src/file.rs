//! A state file of format version 4, as far as people look at it: outputs, and resources by address.
//!
//! What is sensitive is told by the file itself (`sensitive_attributes`, where the engine keeps what it was told) and by
//! the JSON form of the state where the server has it, which knows the provider's schema as well. Engines before
//! Terraform 1.10 keep nothing of the schema in the file: without the JSON form an attribute whose name speaks of a
//! secret is hidden too.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A state.
#[derive(Debug)]
pub struct StateFile {
    /// By name.
    pub outputs: BTreeMap<String, Output>,
    /// By address; an object that waits for its destruction has its key behind the address.
    pub resources: BTreeMap<String, Resource>,
}

/// An output of the root module.
#[derive(Debug, Deserialize)]
pub struct Output {
    /// Whatever it is.
    #[serde(default)]
    pub value: Value,
    /// Whether it must not be shown.
    #[serde(default)]
    pub sensitive: bool,
}

/// An instance of a resource.
#[derive(Debug)]
pub struct Resource {
    /// Its type.
    pub kind: String,
    /// As `registry.terraform.io/hashicorp/null`.
    pub provider: String,
    /// A data source, which is read and not managed.
    pub is_data: bool,
    /// The next apply replaces it.
    pub is_tainted: bool,
    /// With the sensitive ones in it.
    pub attributes: Value,
    /// Of the same shape, `true` where it is sensitive.
    pub sensitive: Value,
}

#[derive(Deserialize)]
struct File {
    version: u64,
    #[serde(default)]
    outputs: BTreeMap<String, Output>,
    #[serde(default)]
    resources: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Option<Value>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    deposed: Option<String>,
    #[serde(default)]
    attributes: Value,
    #[serde(default)]
    sensitive_attributes: Vec<Vec<Step>>,
}

/// A step of a path.
#[derive(Deserialize)]
struct Step {
    value: Value,
}

impl StateFile {
    /// Reads a state, and its JSON form where there is one.
    ///
    /// # Errors
    /// Why it cannot be read; never what stands in it.
    pub fn read(state: &[u8], json: Option<&[u8]>) -> Result<Self, String> {
        let broken =
            |e: serde_json::Error| format!("it is no state file (line {}, column {})", e.line(), e.column());
        let document: Value = serde_json::from_slice(state).map_err(broken)?;
        if document.get("encrypted_data").is_some() || document.get("encryption_version").is_some() {
            return Err(
                "it is encrypted by OpenTofu, and only the engine with its key can read it".to_owned()
            );
        }
        if document["version"] != 4 {
            return Err(
                "it is of another format version than 4, which Terraform writes since 0.12".to_owned()
            );
        }
        let file: File = serde_json::from_value(document).map_err(broken)?;
        debug_assert_eq!(file.version, 4, "it was looked at");
        let masks = json.and_then(|json| serde_json::from_slice::<Value>(json).ok()).map(|json| masks(&json));
        let mut resources = BTreeMap::new();
        for block in file.resources {
            for instance in &block.instances {
                let address = block.address(instance);
                let attributes = untyped(&instance.attributes);
                let mut sensitive = Value::Object(Map::new());
                for path in &instance.sensitive_attributes {
                    mark(&mut sensitive, path.iter().map(|step| &step.value));
                }
                match &masks {
                    Some(masks) => {
                        masks.get(&address).into_iter().for_each(|mask| merge(&mut sensitive, mask))
                    }
                    None => suspect(&mut sensitive, &attributes),
                }
                let resource = Resource {
                    kind: block.kind.clone(),
                    provider: provider(&block.provider),
                    is_data: block.mode == "data",
                    is_tainted: instance.status.as_deref() == Some("tainted"),
                    attributes,
                    sensitive,
                };
                resources.insert(address, resource);
            }
        }
        Ok(Self { outputs: file.outputs, resources })
    }
}

impl Block {
    fn address(&self, instance: &Instance) -> String {
        let module = self.module.as_ref().map(|module| format!("{module}.")).unwrap_or_default();
        let data = if self.mode == "data" { "data." } else { "" };
        let index = instance.index_key.as_ref().map(|key| format!("[{key}]")).unwrap_or_default();
        let deposed = instance.deposed.as_ref().map(|key| format!(" (deposed {key})")).unwrap_or_default();
        format!("{module}{data}{}.{}{index}{deposed}", self.kind, self.name)
    }
}

/// `registry.terraform.io/hashicorp/null` out of `provider["registry.terraform.io/hashicorp/null"]`.
fn provider(text: &str) -> String {
    let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inner.map_or(text, |(inner, _)| inner.trim_matches('"')).to_owned()
}

/// The masks of the JSON form, by address.
fn masks(json: &Value) -> BTreeMap<String, Value> {
    fn collect(module: &Value, found: &mut BTreeMap<String, Value>) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            if let (Some(address), Some(mask)) =
                (resource["address"].as_str(), resource.get("sensitive_values"))
            {
                found.insert(address.to_owned(), mask.clone());
            }
        }
        for child in module["child_modules"].as_array().into_iter().flatten() {
            collect(child, found);
        }
    }
    let mut found = BTreeMap::new();
    collect(&json["values"]["root_module"], &mut found);
    found
}

/// Without the types that the engine writes beside values of no fixed type, as `{"type": "string", "value": "x"}`.
fn untyped(value: &Value) -> Value {
    match value {
        Value::Object(members) if members.len() == 2 && members.get("type").is_some_and(is_type) => {
            members.get("value").map_or_else(|| value.clone(), untyped)
        }
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), untyped(member))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(untyped).collect(),
        other => other.clone(),
    }
}

/// Whether it is a type in the engine's notation, as `"string"` or `["list", "string"]`.
fn is_type(value: &Value) -> bool {
    let is_one_of = |names: &[&str], value: &Value| value.as_str().is_some_and(|name| names.contains(&name));
    match value {
        Value::Array(parts) => {
            let known = ["list", "set", "map", "object", "tuple"];
            parts.len() == 2 && is_one_of(&known, &parts[0])
        }
        other => is_one_of(&["string", "number", "bool", "dynamic"], other),
    }
}

/// Marks a path in a mask.
fn mark<'a>(mask: &mut Value, mut path: impl Iterator<Item = &'a Value>) {
    let Some(step) = path.next() else {
        *mask = Value::Bool(true);
        return;
    };
    if *mask == true {
        return;
    }
    // Masks of lists are kept as objects by index: both are looked up alike.
    let key = step.as_str().map_or_else(|| step.to_string(), str::to_owned);
    if !mask.is_object() {
        *mask = json!({});
    }
    let members = mask.as_object_mut().expect("it was made one");
    mark(members.entry(key).or_insert(Value::Null), path);
}

/// Adds what another mask marks.
fn merge(mask: &mut Value, other: &Value) {
    match other {
        Value::Bool(true) => *mask = Value::Bool(true),
        Value::Object(members) => {
            for (name, member) in members {
                merge_member(mask, name, member);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                merge_member(mask, &index.to_string(), item);
            }
        }
        _ => {}
    }
}

fn merge_member(mask: &mut Value, name: &str, other: &Value) {
    if *mask == true {
        return;
    }
    if !mask.is_object() {
        *mask = json!({});
    }
    let members = mask.as_object_mut().expect("it was made one");
    merge(members.entry(name).or_insert(Value::Null), other);
}

/// Marks what has a name that speaks of a secret.
fn suspect(mask: &mut Value, attributes: &Value) {
    const WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "private_key", "credential"];
    match attributes {
        Value::Object(members) => {
            for (name, member) in members {
                let lower = name.to_lowercase();
                if WORDS.iter().any(|word| lower.contains(word)) && !member.is_null() {
                    merge_member(mask, name, &Value::Bool(true));
                } else if member.is_object() || member.is_array() {
                    let mut inner = Value::Null;
                    suspect(&mut inner, member);
                    merge_member(mask, name, &inner);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let mut inner = Value::Null;
                suspect(&mut inner, item);
                merge_member(mask, &index.to_string(), &inner);
            }
        }
        _ => {}
    }
}

/// A value and its mask in the form of a plan's document: lists as lists, what is sensitive as null.
pub fn redacted(value: &Value, mask: &Value) -> (Value, Value) {
    if *mask == true {
        return (Value::Null, Value::Bool(true));
    }
    match value {
        Value::Object(members) => {
            let mut shown = Map::new();
            let mut marks = Map::new();
            for (name, member) in members {
                let (value, mark) = redacted(member, mask.get(name).unwrap_or(&Value::Null));
                shown.insert(name.clone(), value);
                if !is_empty(&mark) {
                    marks.insert(name.clone(), mark);
                }
            }
            (Value::Object(shown), Value::Object(marks))
        }
        Value::Array(items) => {
            let at = |index: usize| mask.get(index.to_string()).unwrap_or(&Value::Null);
            let (shown, marks) =
                items.iter().enumerate().map(|(index, item)| redacted(item, at(index))).unzip();
            (Value::Array(shown), Value::Array(marks))
        }
        other => (other.clone(), Value::Bool(false)),
    }
}

fn is_empty(mark: &Value) -> bool {
    match mark {
        Value::Bool(set) => !set,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(attributes: Value, sensitive: Value) -> Vec<u8> {
        let instance = json!({"index_key": "a", "attributes": attributes, "sensitive_attributes": sensitive});
        let resource = json!({"module": "module.m[0]", "mode": "managed", "type": "t", "name": "n",
            "provider": "module.m.provider[\"example.com/x/y\"].alias", "instances": [instance]});
        json!({"version": 4, "serial": 1, "outputs": {}, "resources": [resource]}).to_string().into_bytes()
    }

    const ADDRESS: &str = "module.m[0].t.n[\"a\"]";

    fn shown(state: &[u8], json: Option<&Value>) -> Value {
        let text = json.map(Value::to_string);
        let file = StateFile::read(state, text.as_deref().map(str::as_bytes)).unwrap();
        let resource = &file.resources[ADDRESS];
        assert_eq!(resource.provider, "example.com/x/y");
        redacted(&resource.attributes, &resource.sensitive).0
    }

    #[test]
    fn what_the_file_calls_sensitive_is_hidden_wherever_it_is() {
        let step = |value: Value| json!({"type": "index", "value": value});
        let paths = json!([[step(json!("open"))], [step(json!("list")), step(json!(1)), step(json!("k"))]]);
        let state = state(json!({"open": "hunter", "list": [{"k": 1}, {"k": "hunter", "l": 2}]}), paths);
        assert_eq!(shown(&state, None), json!({"open": null, "list": [{"k": 1}, {"k": null, "l": 2}]}));
    }

    #[test]
    fn names_that_speak_of_secrets_are_hidden_unless_the_json_form_knows_better() {
        let state = state(
            json!({"Password": "x", "in": [{"api_token": "x"}], "plain": "y", "secret": null}),
            json!([]),
        );
        let hidden = json!({"Password": null, "in": [{"api_token": null}], "plain": "y", "secret": null});
        assert_eq!(shown(&state, None), hidden);
        let resource = json!({"address": ADDRESS, "sensitive_values": {"plain": true, "in": [{}]}});
        let child = json!({"resources": [resource]});
        let json = json!({"values": {"root_module": {"child_modules": [child]}}});
        let known = json!({"Password": "x", "in": [{"api_token": "x"}], "plain": null, "secret": null});
        assert_eq!(shown(&state, Some(&json)), known);
    }

    #[test]
    fn values_of_no_fixed_type_lose_the_type_beside_them() {
        let attributes = json!({"input": {"type": ["list", "string"], "value": ["x"]}, "record": {"type": "A", "value": 1}});
        assert_eq!(
            shown(&state(attributes, json!([])), None),
            json!({"input": ["x"], "record": {"type": "A", "value": 1}})
        );
    }

    #[test]
    fn what_is_no_readable_state_is_refused_without_its_content() {
        for (text, why) in [
            ("{\"hunter\": ", "no state file"),
            ("{\"version\": 3}", "another format version"),
            ("{\"encrypted_data\": \"x\", \"serial\": 1}", "encrypted by OpenTofu"),
        ] {
            let error = StateFile::read(text.as_bytes(), None).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter"), "{error}");
        }
    }
}
