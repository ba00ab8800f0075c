//! What a state file says of itself: format version 4, which Terraform (since 0.12) and OpenTofu write.
//!
//! A state may also be opaque, as when OpenTofu encrypts it: then nothing is known of its content and that is no error.
//! Attributes of resources are never decoded, only their extent: a large state costs one pass.

use ring::digest;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};

/// The version of the format that is understood.
const FORMAT: u64 = 4;

/// The parts of a state that the API tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StateFile<'a> {
    /// Of the format.
    version: u64,
    /// Grows by one with each change.
    pub serial: i64,
    /// Names the history that this state belongs to.
    pub lineage: String,
    /// The engine that wrote it.
    pub terraform_version: Option<String>,
    /// Root outputs by name.
    #[serde(borrow)]
    pub outputs: BTreeMap<String, Output<'a>>,
    /// Resources, managed and read.
    #[serde(borrow)]
    pub resources: Vec<ResourceBlock<'a>>,
}

/// A root output, as in a state and as in the `json-state-outputs` of a request.
#[derive(Debug, Deserialize)]
pub struct Output<'a> {
    /// Its value; absent and null are alike.
    #[serde(borrow, default)]
    pub value: Option<&'a RawValue>,
    /// Its type, as JSON (`"string"`, `["list","string"]`).
    #[serde(borrow, rename = "type", default)]
    pub detailed_type: Option<&'a RawValue>,
    /// Whether it must not be shown.
    #[serde(default)]
    pub sensitive: bool,
}

/// A resource with its instances.
#[derive(Debug, Deserialize)]
pub struct ResourceBlock<'a> {
    /// `module.a.module.b`; absent in the root module.
    #[serde(default)]
    pub module: Option<String>,
    /// `managed` or `data`.
    pub mode: String,
    /// For example `aws_s3_bucket`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name in the configuration.
    pub name: String,
    /// `provider["registry.terraform.io/hashicorp/aws"]`
    #[serde(default)]
    pub provider: String,
    /// One, or one for each key of `count` or `for_each`.
    #[serde(borrow, default)]
    pub instances: Vec<InstanceBlock<'a>>,
}

/// An instance, of which only the key is decoded.
#[derive(Debug, Deserialize)]
pub struct InstanceBlock<'a> {
    #[serde(default)]
    index_key: Option<serde_json::Value>,
    #[serde(default)]
    status: Option<String>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attributes_flat: Option<&'a RawValue>,
}

/// One instance of a managed resource, as `/workspaces/{id}/resources` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `media_bucket.aws_s3_bucket.this[0]`: without the word `module`, as TFE writes it.
    pub address: String,
    /// The name in the configuration.
    pub name: String,
    /// `root`, or the path of modules.
    pub module: String,
    /// `hashicorp/aws`
    pub provider: String,
    /// For example `aws_s3_bucket`.
    pub kind: String,
    /// The key (`0`, `blue`), where the resource has several instances.
    pub index: Option<String>,
    /// Of what the state says of it; differs when a new state changed it. 32 hexadecimal digits.
    pub digest: String,
}

impl<'a> StateFile<'a> {
    /// Reads a state; an opaque one gives `None`.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|state: &Self| state.version == FORMAT)
    }

    /// The managed instances, in the order of the file, each once: a deposed object stands beside its successor.
    pub fn instances(&self) -> Vec<Instance> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        for block in self.resources.iter().filter(|block| block.mode == "managed") {
            let module = module_path(block.module.as_deref());
            let provider = provider_name(&block.provider);
            let place = if module == "root" { String::new() } else { format!("{module}.") };
            for object in &block.instances {
                let key = object.index_key.as_ref().map(|key| format!("[{key}]")).unwrap_or_default();
                let address = format!("{place}{}.{}{key}", block.kind, block.name);
                if !seen.insert(address.clone()) {
                    continue;
                }
                all.push(Instance {
                    address,
                    name: block.name.clone(),
                    module: module.clone(),
                    provider: provider.clone(),
                    kind: block.kind.clone(),
                    index: object.index_key.as_ref().map(|key| match key {
                        serde_json::Value::String(text) => text.clone(),
                        other => other.to_string(),
                    }),
                    digest: object.digest(&block.provider),
                });
            }
        }
        all
    }
}

impl InstanceBlock<'_> {
    fn digest(&self, provider: &str) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        let attributes = self.attributes.or(self.attributes_flat).map_or("", RawValue::get);
        for part in [provider, "\0", self.status.as_deref().unwrap_or_default(), "\0", attributes] {
            hash.update(part.as_bytes());
        }
        hex(&hash.finish().as_ref()[..16])
    }
}

impl Output<'_> {
    /// The type in the engine's own words, as JSON; where the file does not tell it, the one that the value implies.
    pub fn type_text(&self) -> String {
        match (self.detailed_type, self.value) {
            (Some(text), _) => text.get().to_owned(),
            (None, value) => serde_json::from_str(value.map_or("null", RawValue::get))
                .map_or_else(|_| "\"dynamic\"".to_owned(), |value| implied_type(&value).to_string()),
        }
    }

    /// The value as JSON.
    pub fn value_text(&self) -> &str {
        self.value.map_or("null", RawValue::get)
    }
}

/// The type of a value that came without one.
fn implied_type(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::{Value, json};
    match value {
        Value::Null => json!("dynamic"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(items) => json!(["tuple", items.iter().map(implied_type).collect::<Vec<_>>()]),
        Value::Object(fields) => {
            let fields: BTreeMap<&str, Value> =
                fields.iter().map(|(k, v)| (k.as_str(), implied_type(v))).collect();
            json!(["object", fields])
        }
    }
}

/// The same state with another serial: nothing else of it changes, not even the order of its attributes.
///
/// `None` when it is opaque. An encrypted state must not be touched: OpenTofu compares the serial that stands outside
/// with the one inside, and opens the state only when they are equal.
pub fn with_serial(bytes: &[u8], serial: i64) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Head<'a> {
        version: u64,
        #[serde(borrow, default)]
        serial: Option<&'a RawValue>,
    }
    let head: Head<'_> = serde_json::from_slice(bytes).ok()?;
    if head.version != FORMAT {
        return None;
    }
    let (start, end, text) = match head.serial {
        Some(raw) => {
            let start = raw.get().as_ptr().addr() - bytes.as_ptr().addr();
            (start, start + raw.get().len(), serial.to_string())
        }
        // An absent serial (or null, which reads the same) means zero. It is written before all else.
        None => {
            let start = bytes.iter().position(|byte| *byte == b'{')? + 1;
            (start, start, format!("\"serial\":{serial},"))
        }
    };
    Some([&bytes[..start], text.as_bytes(), &bytes[end..]].concat())
}

/// MD5 in hexadecimal digits: what the API identifies a state by.
pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;
    hex(&md5::Md5::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// `module.a.module.b` → `a.b`; none → `root`.
pub fn module_path(module: Option<&str>) -> String {
    match module {
        None | Some("") => "root".to_owned(),
        Some(path) => path.split('.').filter(|part| *part != "module").collect::<Vec<_>>().join("."),
    }
}

/// `provider["registry.terraform.io/hashicorp/aws"].west` → `hashicorp/aws`; so does `provider.aws` of Terraform 0.12.
pub fn provider_name(provider: &str) -> String {
    let Some(quoted) = provider.split('"').nth(1) else {
        let name = provider.strip_prefix("provider.").unwrap_or(provider);
        return format!("hashicorp/{}", name.split('.').next().unwrap_or_default());
    };
    let parts: Vec<&str> = quoted.split('/').collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

/// The kind of a value as output documents name it: `string`, `number`, `boolean`, `array` or `object`.
pub fn simple_type(detailed: &str) -> &'static str {
    match serde_json::from_str::<serde_json::Value>(detailed) {
        Ok(serde_json::Value::String(name)) => match name.as_str() {
            "number" => "number",
            "bool" => "boolean",
            _ => "string",
        },
        Ok(serde_json::Value::Array(parts)) => match parts.first().and_then(|kind| kind.as_str()) {
            Some("list" | "set" | "tuple") => "array",
            _ => "object",
        },
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = r#"{"version":4,"terraform_version":"1.11.4","serial":5,"lineage":"l","outputs":
        {"a":{"value":[1],"type":["tuple",["number"]]},"s":{"value":"x","type":"string","sensitive":true},
        "old":{"value":{"k":[true,null]}}},
        "resources":[{"module":"module.media_bucket","mode":"managed","type":"aws_s3_bucket","name":"this",
        "provider":"provider[\"registry.terraform.io/hashicorp/aws\"]","instances":[{"index_key":0,"attributes":{"a":1}},
        {"index_key":0,"deposed":"00000001","attributes":{}},{"index_key":"blue","attributes":{"a":1}}]},
        {"mode":"data","type":"d","name":"n","provider":"provider[\"x/y/z\"]","instances":[{}]}]}"#;

    #[test]
    fn instances_are_addressed_as_tfe_does() {
        let state = StateFile::parse(STATE.as_bytes()).unwrap();
        let instances = state.instances();
        assert_eq!(
            instances.len(),
            2,
            "data sources are not managed, a deposed object is no instance of its own"
        );
        assert_eq!(instances[0].address, "media_bucket.aws_s3_bucket.this[0]");
        assert_eq!(instances[0].module, "media_bucket");
        assert_eq!(instances[0].provider, "hashicorp/aws");
        assert_eq!(instances[0].index.as_deref(), Some("0"));
        assert_eq!(instances[1].address, "media_bucket.aws_s3_bucket.this[\"blue\"]");
        assert_eq!(instances[1].index.as_deref(), Some("blue"));
        assert_eq!(provider_name("provider.aws.west"), "hashicorp/aws");
    }

    #[test]
    fn the_digest_of_an_instance_changes_with_its_attributes() {
        let digests = |text: &str| -> Vec<String> {
            let state = StateFile::parse(text.as_bytes()).unwrap();
            state.instances().into_iter().map(|instance| instance.digest).collect()
        };
        let before = digests(STATE);
        let after = digests(&STATE.replace(
            r#"{"index_key":"blue","attributes":{"a":1}}"#,
            r#"{"index_key":"blue","attributes":{"a":2}}"#,
        ));
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
    }

    #[test]
    fn an_encrypted_state_is_opaque_and_not_an_error() {
        let state =
            br#"{"serial":1,"lineage":"l","meta":{},"encrypted_data":"AAAA","encryption_version":"v0"}"#;
        assert!(StateFile::parse(state).is_none());
        assert!(with_serial(state, 2).is_none(), "its serial is bound to the one inside");
    }

    #[test]
    fn output_types_are_named_in_words() {
        let state = StateFile::parse(STATE.as_bytes()).unwrap();
        assert_eq!(simple_type(&state.outputs["a"].type_text()), "array");
        assert_eq!(simple_type(&state.outputs["s"].type_text()), "string");
        assert_eq!(simple_type(&state.outputs["old"].type_text()), "object");
    }

    #[test]
    fn an_output_without_a_type_has_the_one_that_its_value_implies() {
        let state = StateFile::parse(STATE.as_bytes()).unwrap();
        assert_eq!(state.outputs["old"].type_text(), r#"["object",{"k":["tuple",["bool","dynamic"]]}]"#);
    }

    #[test]
    fn another_serial_leaves_the_rest_of_the_file_as_it_is() {
        let text = "{\n  \"version\": 4,\n  \"outputs\": {\"serial\": {\"value\": 7}},\n  \"serial\": 12 ,\n  \"z\": [1.50, \"\\u00e9\"]\n}\n";
        let expected = text.replace("\"serial\": 12 ,", "\"serial\": 100 ,");
        assert_eq!(String::from_utf8(with_serial(text.as_bytes(), 100).unwrap()).unwrap(), expected);
        let absent = with_serial(br#"{"version":4,"lineage":"l"}"#, 3).unwrap();
        assert_eq!(String::from_utf8(absent).unwrap(), r#"{"serial":3,"version":4,"lineage":"l"}"#);
        assert!(with_serial(br#"{"version":3,"serial":1}"#, 2).is_none());
        assert!(with_serial(b"not a state", 2).is_none());
    }
}
