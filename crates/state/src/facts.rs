//! What is kept of a state's content beside the content itself: read once, when the state arrives.

use crate::{
    file::{self, Instance, Output, StateFile},
    outputs::OutputFact,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What is known of a state's content.
#[derive(Clone, Debug)]
pub struct Facts {
    /// From the file; 0 when it does not tell.
    pub serial: i64,
    /// From the file; empty when it does not tell.
    pub lineage: String,
    /// The engine that wrote it.
    pub terraform_version: Option<String>,
    /// JSON that [`Told`] reads.
    pub details: String,
    /// Whether nothing of the content is known, as of an encrypted state.
    pub opaque: bool,
    pub(crate) outputs: Vec<OutputFact>,
    pub(crate) instances: Vec<Instance>,
}

/// A line of a state version's `resources`.
#[derive(Serialize)]
struct ResourceLine<'a> {
    name: &'a str,
    r#type: &'a str,
    count: usize,
    module: &'a str,
    provider: &'a str,
}

#[derive(Serialize)]
struct Details<'a> {
    format: u64,
    billable: usize,
    resources: Vec<ResourceLine<'a>>,
    modules: &'a Counts,
    providers: &'a Counts,
}

/// By module or provider, then by type of resource.
type Counts = BTreeMap<String, BTreeMap<String, usize>>;

/// What the API tells of a state's resources: the stored details, not decoded further.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told<'a> {
    /// Version of the state's format.
    pub format: Option<u64>,
    /// Managed instances that count as such: all but those of `null_resource` and `terraform_data`.
    pub billable: u64,
    /// `[{name, type, count, module, provider}]`; the types of data sources begin with `data.`.
    #[serde(borrow)]
    pub resources: Option<&'a RawValue>,
    /// Instances by module and type.
    #[serde(borrow)]
    pub modules: Option<&'a RawValue>,
    /// Instances by provider and type.
    #[serde(borrow)]
    pub providers: Option<&'a RawValue>,
}

/// The details of a state of which nothing is known (yet).
pub(crate) const NOTHING: &str = "{}";

impl Facts {
    /// Reads them out of a state.
    pub fn of(bytes: &[u8]) -> Self {
        let Some(state) = StateFile::parse(bytes) else {
            return Self::opaque(bytes);
        };
        Self {
            details: details(&state),
            opaque: false,
            outputs: output_facts(&state.outputs),
            instances: state.instances(),
            serial: state.serial,
            lineage: state.lineage,
            terraform_version: state.terraform_version,
        }
    }

    /// An encrypted state still shows its serial and lineage.
    fn opaque(bytes: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Envelope {
            serial: i64,
            lineage: String,
        }
        let Envelope { serial, lineage } = serde_json::from_slice(bytes).unwrap_or_default();
        Self {
            serial,
            lineage,
            terraform_version: None,
            details: NOTHING.to_owned(),
            opaque: true,
            outputs: vec![],
            instances: vec![],
        }
    }
}

/// Outputs of a state, or of the `json-state-outputs` that came with it.
pub(crate) fn output_facts(outputs: &BTreeMap<String, Output<'_>>) -> Vec<OutputFact> {
    outputs
        .iter()
        .map(|(name, output)| OutputFact {
            name: name.clone(),
            sensitive: output.sensitive,
            detailed_type: output.type_text(),
            value: output.value_text().to_owned(),
        })
        .collect()
}

fn details(state: &StateFile<'_>) -> String {
    let mut modules = Counts::new();
    let mut providers = Counts::new();
    let mut billable = 0;
    let named: Vec<(String, String)> = state
        .resources
        .iter()
        .map(|block| {
            let kind = if block.mode == "data" { format!("data.{}", block.kind) } else { block.kind.clone() };
            (kind, file::module_path(block.module.as_deref()))
        })
        .collect();
    let mut resources = Vec::with_capacity(named.len());
    for (block, (kind, module)) in state.resources.iter().zip(&named) {
        let count = block.instances.len();
        for (counts, key) in [(&mut modules, module), (&mut providers, &block.provider)] {
            // Here TFE writes types with hyphens, as it does all names of attributes; in `resources` as they are.
            *counts.entry(key.clone()).or_default().entry(kind.replace('_', "-")).or_default() += count;
        }
        if block.mode == "managed" && block.kind != "null_resource" && block.kind != "terraform_data" {
            billable += count;
        }
        resources.push(ResourceLine {
            name: &block.name,
            r#type: kind,
            count,
            module,
            provider: &block.provider,
        });
    }
    let format = 4;
    let details = Details { format, billable, resources, modules: &modules, providers: &providers };
    serde_json::to_string(&details).expect("texts and numbers always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn resources_are_counted_by_module_and_provider() {
        let state = json!({ "version": 4, "serial": 3, "lineage": "l", "terraform_version": "1.11.4", "resources": [
            { "mode": "managed", "type": "null_resource", "name": "a", "provider": "p", "instances": [{}, {"index_key": 1}] },
            { "mode": "data", "type": "http", "name": "b", "provider": "q", "module": "module.m", "instances": [{}] },
            { "mode": "managed", "type": "aws_vpc", "name": "c", "provider": "p", "instances": [{}] },
        ]});
        let facts = Facts::of(state.to_string().as_bytes());
        let told: Told<'_> = serde_json::from_str(&facts.details).unwrap();
        let read = |raw: Option<&RawValue>| serde_json::from_str::<Value>(raw.unwrap().get()).unwrap();
        assert_eq!(told.billable, 1);
        assert_eq!(
            read(told.modules),
            json!({ "root": { "null-resource": 2, "aws-vpc": 1 }, "m": { "data.http": 1 } })
        );
        assert_eq!(
            read(told.providers),
            json!({ "p": { "null-resource": 2, "aws-vpc": 1 }, "q": { "data.http": 1 } })
        );
        let line = json!({ "name": "b", "type": "data.http", "count": 1, "module": "m", "provider": "q" });
        assert_eq!(read(told.resources)[1], line);
        assert_eq!((facts.serial, facts.lineage.as_str(), facts.opaque), (3, "l", false));
    }

    #[test]
    fn an_encrypted_state_still_tells_its_serial_and_lineage() {
        let facts = Facts::of(br#"{"serial":7,"lineage":"l","meta":{},"encrypted_data":"AAAA"}"#);
        assert_eq!((facts.serial, facts.lineage.as_str(), facts.opaque), (7, "l", true));
        assert!(Facts::of(b"\x00\x01").opaque, "what is no JSON is stored all the same");
    }
}
