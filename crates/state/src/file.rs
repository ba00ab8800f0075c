//! What a state file says of itself: format version 4, which Terraform (since 0.12) and OpenTofu write.
//!
//! A state may also be opaque, as when OpenTofu encrypts it: then nothing is known of its content and that is no error.
//! Attributes of resources are never decoded, only their extent: a large state costs one pass.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The parts of a state that the API tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StateFile<'a> {
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

/// A root output.
#[derive(Debug, Deserialize)]
pub struct Output<'a> {
    /// Its value.
    #[serde(borrow)]
    pub value: &'a RawValue,
    /// Its type, as JSON (`"string"`, `["list","string"]`).
    #[serde(borrow, rename = "type")]
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
    pub provider: String,
    /// One, or one for each key of `count` or `for_each`.
    #[serde(borrow)]
    pub instances: Vec<&'a RawValue>,
}

/// Of an instance, only its key.
#[derive(Deserialize)]
struct InstanceKey {
    #[serde(default)]
    index_key: Option<serde_json::Value>,
}

/// One instance of a managed resource, as `/workspaces/{id}/resources` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance<'a> {
    /// `media_bucket.aws_s3_bucket.this[0]`: without the word `module`, as TFE writes it.
    pub address: String,
    /// The name in the configuration.
    pub name: &'a str,
    /// `root`, or the path of modules.
    pub module: String,
    /// `hashicorp/aws`
    pub provider: String,
    /// For example `aws_s3_bucket`.
    pub kind: &'a str,
    /// The key, where the resource has several instances.
    pub index: Option<String>,
    /// The instance as it stands in the state.
    pub text: &'a str,
}

impl<'a> StateFile<'a> {
    /// Reads a state; an opaque one gives `None`.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Format {
            version: u64,
        }
        let format: Format = serde_json::from_slice(bytes).ok()?;
        if format.version != 4 {
            return None;
        }
        serde_json::from_slice(bytes).ok()
    }

    /// The managed instances, in the order of the file.
    pub fn instances(&'a self) -> Vec<Instance<'a>> {
        let mut all = Vec::new();
        for block in self.resources.iter().filter(|block| block.mode == "managed") {
            let module = module_path(block.module.as_deref());
            for text in &block.instances {
                let index = serde_json::from_str::<InstanceKey>(text.get()).ok().and_then(|i| i.index_key);
                let index = index.map(|key| key.to_string());
                let key = index.as_ref().map(|key| format!("[{key}]")).unwrap_or_default();
                let place = if module == "root" { String::new() } else { format!("{module}.") };
                all.push(Instance {
                    address: format!("{place}{}.{}{key}", block.kind, block.name),
                    name: &block.name,
                    module: module.clone(),
                    provider: provider_name(&block.provider),
                    kind: &block.kind,
                    index,
                    text: text.get(),
                });
            }
        }
        all
    }
}

/// MD5 in hexadecimal digits: what the API identifies a state by.
pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;
    md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `module.a.module.b` → `a.b`; none → `root`.
pub fn module_path(module: Option<&str>) -> String {
    match module {
        None | Some("") => "root".to_owned(),
        Some(path) => path.split('.').filter(|part| *part != "module").collect::<Vec<_>>().join("."),
    }
}

/// `provider["registry.terraform.io/hashicorp/aws"].west` → `hashicorp/aws`.
pub fn provider_name(provider: &str) -> String {
    let quoted = provider.split('"').nth(1).unwrap_or(provider);
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
        {"a":{"value":[1],"type":["tuple",["number"]]},"s":{"value":"x","type":"string","sensitive":true}},
        "resources":[{"module":"module.media_bucket","mode":"managed","type":"aws_s3_bucket","name":"this",
        "provider":"provider[\"registry.terraform.io/hashicorp/aws\"]","instances":[{"index_key":0,"attributes":{}}]},
        {"mode":"data","type":"d","name":"n","provider":"provider[\"x/y/z\"]","instances":[{}]}]}"#;

    #[test]
    fn instances_are_addressed_as_tfe_does() {
        let state = StateFile::parse(STATE.as_bytes()).unwrap();
        let instances = state.instances();
        assert_eq!(instances.len(), 1, "data sources are not managed resources");
        assert_eq!(instances[0].address, "media_bucket.aws_s3_bucket.this[0]");
        assert_eq!(instances[0].module, "media_bucket");
        assert_eq!(instances[0].provider, "hashicorp/aws");
    }

    #[test]
    fn an_encrypted_state_is_opaque_and_not_an_error() {
        let state = br#"{"serial":1,"lineage":"l","meta":{},"encrypted_data":"AAAA","encryption_version":"v0"}"#;
        assert!(StateFile::parse(state).is_none());
    }

    #[test]
    fn output_types_are_named_in_words() {
        let state = StateFile::parse(STATE.as_bytes()).unwrap();
        assert_eq!(simple_type(state.outputs["a"].detailed_type.unwrap().get()), "array");
        assert_eq!(simple_type(state.outputs["s"].detailed_type.unwrap().get()), "string");
    }
}
