//! Mock data for Sentinel, from a plan's JSON: one file for each import that policies of Terraform Enterprise use, and the
//! configuration that names them.
//!
//! The files are Sentinel source: assignments of literals, of which JSON is a subset. What the imports hold, and how, is
//! in the documentation of `tfplan/v2`, `tfconfig/v2`, `tfstate/v2` and `tfrun`.

use crate::runs::Run;
use flate2::{Compression, write::GzEncoder};
use http_api::{App, Error, Result};
use serde_json::{Map, Value, json};
use std::io;
use workspaces::{Workspace, projects};

/// `import`, its file, and what the configuration calls it.
const IMPORTS: [(&str, &str); 4] = [
    ("tfconfig/v2", "mock-tfconfig-v2.sentinel"),
    ("tfplan/v2", "mock-tfplan-v2.sentinel"),
    ("tfstate/v2", "mock-tfstate-v2.sentinel"),
    ("tfrun", "mock-tfrun.sentinel"),
];

/// What `tfrun` says of a run.
pub(super) async fn about(app: &App, run: &Run, workspace: &Workspace) -> Result<Map<String, Value>> {
    let about = json!({
        "id": run.id(), "created_at": run.row.created_at.iso8601(), "message": run.options.message,
        "commit_sha": null, "is_destroy": run.life.options.is_destroy, "refresh": run.options.refresh,
        "refresh_only": run.life.options.refresh_only, "replace_addrs": run.options.replace_addrs,
        "speculative": run.life.options.plan_only, "target_addrs": run.options.target_addrs,
        "project": { "id": workspace.project_id, "name": projects::name_of(app, &workspace.project_id).await? },
        "variables": {},
        "organization": { "name": workspace.organization },
        "workspace": {
            "id": workspace.id, "name": workspace.name, "description": workspace.description,
            "execution_mode": workspace.execution_mode, "auto_apply": workspace.auto_apply,
            "working_directory": workspace.working_directory, "vcs_repo": null,
        },
        "cost_estimate": null,
    });
    match about {
        Value::Object(about) => Ok(about),
        _ => Err(Error::internal("an object literal is an object")),
    }
}

/// The whole bundle: a tar.gz.
///
/// # Errors
/// [`Error::Internal`] when the plan's JSON is none.
pub(super) fn bundle(plan_json: &[u8], about: &Map<String, Value>) -> Result<Vec<u8>> {
    let plan: Value = serde_json::from_slice(plan_json).map_err(Error::internal)?;
    let contents = [config(&plan), plan_v2(&plan), state(&plan), about.clone()];
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut add = |name: &str, text: &str| -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes())
    };
    let mut configuration = String::new();
    for ((import, file), content) in IMPORTS.iter().zip(contents) {
        configuration
            .push_str(&format!("mock \"{import}\" {{\n  module {{\n    source = \"{file}\"\n  }}\n}}\n\n"));
        add(file, &source(&content)).map_err(Error::internal)?;
    }
    add("sentinel.hcl", configuration.trim_end()).map_err(Error::internal)?;
    tar.into_inner().and_then(GzEncoder::finish).map_err(Error::internal)
}

/// Assignments of literals.
fn source(content: &Map<String, Value>) -> String {
    let assignments = content.iter().map(|(name, value)| {
        let literal = serde_json::to_string_pretty(value).expect("a JSON value is written as JSON");
        format!("{name} = {literal}\n")
    });
    assignments.collect::<Vec<_>>().join("\n")
}

fn plan_v2(plan: &Value) -> Map<String, Value> {
    let changes = |name: &str| by(plan[name].as_array(), |item| address(item).map(|key| (key, item.clone())));
    let outputs = plan["output_changes"].as_object().map(|outputs| {
        outputs.iter().map(|(name, change)| (name.clone(), json!({ "name": name, "change": change })))
    });
    let mut found = Map::new();
    found.insert("terraform_version".to_owned(), plan["terraform_version"].clone());
    found.insert("variables".to_owned(), variables(&plan["variables"]));
    found.insert("planned_values".to_owned(), values(&plan["planned_values"]));
    found.insert("resource_changes".to_owned(), Value::Object(changes("resource_changes")));
    found.insert("resource_drift".to_owned(), Value::Object(changes("resource_drift")));
    let outputs: Map<String, Value> = outputs.into_iter().flatten().collect();
    found.insert("output_changes".to_owned(), Value::Object(outputs));
    found.insert("raw".to_owned(), plan.clone());
    found
}

fn state(plan: &Value) -> Map<String, Value> {
    let prior = &plan["prior_state"];
    let mut found = Map::new();
    found.insert("terraform_version".to_owned(), prior["terraform_version"].clone());
    if let Value::Object(known) = values(&prior["values"]) {
        found.extend(known);
    }
    found
}

/// `outputs` and `resources` of a set of values: the resources of all modules by their addresses.
fn values(values: &Value) -> Value {
    let outputs = values["outputs"].as_object().into_iter().flatten().map(|(name, output)| {
        let mut output = output.clone();
        output["name"] = json!(name);
        (name.clone(), output)
    });
    let outputs: Map<String, Value> = outputs.collect();
    let mut resources = Map::new();
    gather(&values["root_module"], &mut resources);
    json!({ "outputs": outputs, "resources": resources })
}

fn gather(module: &Value, into: &mut Map<String, Value>) {
    for resource in module["resources"].as_array().into_iter().flatten() {
        if let Some(key) = address(resource) {
            let mut resource = resource.clone();
            resource["module_address"] = module.get("address").cloned().unwrap_or_else(|| json!(""));
            into.insert(key, resource);
        }
    }
    for child in module["child_modules"].as_array().into_iter().flatten() {
        gather(child, into);
    }
}

fn variables(given: &Value) -> Value {
    let given = given.as_object().into_iter().flatten();
    let all: Map<String, Value> = given
        .map(|(name, variable)| (name.clone(), json!({ "name": name, "value": variable["value"] })))
        .collect();
    Value::Object(all)
}

fn address(item: &Value) -> Option<String> {
    let address = item["address"].as_str()?;
    // Deposed objects share the address of the one that took their place.
    Some(match item["deposed"].as_str() {
        Some(deposed) => format!("{address} ({deposed})"),
        None => address.to_owned(),
    })
}

fn by(items: Option<&Vec<Value>>, entry: impl Fn(&Value) -> Option<(String, Value)>) -> Map<String, Value> {
    items.into_iter().flatten().filter_map(entry).collect()
}

fn config(plan: &Value) -> Map<String, Value> {
    let configuration = &plan["configuration"];
    let mut found = Map::new();
    for name in ["resources", "provisioners", "variables", "outputs", "module_calls"] {
        found.insert(name.to_owned(), json!({}));
    }
    found.insert(
        "providers".to_owned(),
        configuration.get("provider_config").cloned().unwrap_or_else(|| json!({})),
    );
    describe(&configuration["root_module"], "", &mut found);
    found
}

/// Adds what a module's configuration has, under keys that begin with the module's address.
fn describe(module: &Value, path: &str, found: &mut Map<String, Value>) {
    let key = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}:{name}") };
    let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut put = |kind: &str, key: String, mut value: Value| {
        value["module_address"] = json!(path);
        found[kind][key] = value;
    };
    for resource in module["resources"].as_array().into_iter().flatten() {
        let at = within(resource["address"].as_str().unwrap_or_default());
        for (index, provisioner) in resource["provisioners"].as_array().into_iter().flatten().enumerate() {
            let mut value = provisioner.clone();
            value["index"] = json!(index);
            value["resource_address"] = json!(at);
            value["config"] = value["expressions"].take();
            put("provisioners", format!("{at}:{index}"), value);
        }
        let mut value = resource.clone();
        value["address"] = json!(at);
        value["config"] = value["expressions"].take();
        for (theirs, ours) in [("count_expression", "count"), ("for_each_expression", "for_each")] {
            value[ours] = resource.get(theirs).cloned().unwrap_or_else(|| json!({}));
        }
        put("resources", at, value);
    }
    for kind in ["variables", "outputs"] {
        for (name, value) in module[kind].as_object().into_iter().flatten() {
            let mut value = value.clone();
            value["name"] = json!(name);
            put(kind, key(name), value);
        }
    }
    let mut calls = Vec::new();
    for (name, call) in module["module_calls"].as_object().into_iter().flatten() {
        let mut value = call.clone();
        let inner = value.as_object_mut().and_then(|value| value.remove("module")).unwrap_or(Value::Null);
        value["name"] = json!(name);
        value["config"] = value["expressions"].take();
        put("module_calls", key(name), value);
        calls.push((within(&format!("module.{name}")), inner));
    }
    for (at, inner) in calls {
        describe(&inner, &at, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_of_all_modules_stand_under_their_addresses() {
        let plan = json!({
            "terraform_version": "1.11.4",
            "planned_values": { "outputs": { "o": { "sensitive": false, "value": 1 } }, "root_module": {
                "resources": [{ "address": "a.b" }],
                "child_modules": [{ "address": "module.m", "resources": [{ "address": "module.m.a.c" }] }],
            } },
            "resource_changes": [{ "address": "a.b", "change": { "actions": ["create"] } }],
            "configuration": { "root_module": {
                "resources": [{ "address": "a.b", "expressions": { "x": {} } }],
                "module_calls": { "m": { "source": "./m", "module": { "resources": [{ "address": "a.c" }] } } },
            } },
        });
        let found = plan_v2(&plan);
        assert_eq!(found["planned_values"]["resources"]["module.m.a.c"]["module_address"], "module.m");
        assert_eq!(found["planned_values"]["outputs"]["o"]["name"], "o");
        assert_eq!(found["resource_changes"]["a.b"]["change"]["actions"][0], "create");
        let found = config(&plan);
        assert_eq!(found["resources"]["module.m.a.c"]["module_address"], "module.m");
        assert!(found["resources"]["a.b"]["config"]["x"].is_object());
        assert_eq!(found["module_calls"]["m"]["source"], "./m");
        assert!(source(&found).contains("module_calls = {\n"));
    }
}
