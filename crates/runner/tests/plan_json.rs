//! The redacted plan and its counts, from plans that the real engine made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use runner::plan_json::{redact, summary};
use serde_json::Value;
use std::{path::Path, process::Command};

/// A configuration in a directory of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(configuration: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(configuration);
        folder.terraform(&["init", "-input=false"]);
        folder
    }

    fn write(&self, configuration: &str) {
        std::fs::write(self.0.path().join("main.tf"), configuration).unwrap();
    }

    fn terraform(&self, arguments: &[&str]) -> Vec<u8> {
        terraform(self.0.path(), arguments)
    }

    fn apply(&self) {
        self.terraform(&["apply", "-input=false", "-auto-approve"]);
    }

    /// The plan as `show -json` prints it.
    fn plan(&self, arguments: &[&str]) -> Vec<u8> {
        self.terraform(&[&["plan", "-input=false", "-out=tfplan"], arguments].concat());
        self.terraform(&["show", "-json", "tfplan"])
    }

    fn redacted(&self, plan: &[u8]) -> (String, Value) {
        let document = redact(plan, &self.terraform(&["providers", "schema", "-json"])).unwrap();
        let text = String::from_utf8(document).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }
}

fn terraform(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("terraform")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .env("CHECKPOINT_DISABLE", "1")
        .output()
        .expect("these tests need terraform on PATH");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The `change` of the resource at an address.
fn change<'a>(document: &'a Value, address: &str) -> &'a Value {
    let changes = document["resource_changes"].as_array().unwrap();
    &changes.iter().find(|change| change["address"] == address).unwrap()["change"]
}

const SECRETS: &str = r#"
variable "password" {
  default   = "hunter2-password"
  sensitive = true
}
resource "terraform_data" "one" {
  input = {
    user     = "bob"
    password = var.password
    list     = ["open", var.password, { deep = var.password, number = 12345678901234567890123 }]
    true     = "a key that looks like a mark"
  }
}
output "secret" {
  value     = var.password
  sensitive = true
}
output "plain" {
  value = "open"
}
"#;

#[test]
fn sensitive_values_are_replaced_wherever_they_are_nested_and_nothing_else_is() {
    let folder = Folder::new(SECRETS);
    let plan = folder.plan(&[]);
    assert!(String::from_utf8_lossy(&plan).contains("hunter2"), "the plan itself has the secret");
    let (text, document) = folder.redacted(&plan);
    assert!(!text.contains("hunter2"), "{text}");

    let input = &change(&document, "terraform_data.one")["after"]["input"];
    assert_eq!(input["user"], "bob");
    assert_eq!(input["list"][0], "open");
    assert_eq!(input["true"], "a key that looks like a mark");
    assert!(text.contains("12345678901234567890123"), "numbers are passed on exactly");
    assert_eq!(input["password"], input["list"][1], "the same secret looks the same");
    assert_eq!(input["password"].as_str().unwrap().len(), 64);
    assert_eq!(document["output_changes"]["plain"]["after"], "open");
    assert_eq!(document["output_changes"]["secret"]["after_sensitive"], true);
    assert_eq!(document["output_changes"]["secret"]["after"].as_str().unwrap().len(), 64);
}

#[test]
fn a_changed_secret_looks_changed_and_an_unchanged_one_does_not() {
    let folder = Folder::new(SECRETS);
    folder.apply();
    folder.write(&SECRETS.replace("user     = \"bob\"", "user     = \"eve\""));
    let (_, document) = folder.redacted(&folder.plan(&[]));
    let same = change(&document, "terraform_data.one");
    assert_eq!(same["before"]["input"]["password"], same["after"]["input"]["password"]);

    let (text, document) = folder.redacted(&folder.plan(&["-var=password=hunter3"]));
    let changed = change(&document, "terraform_data.one");
    assert_ne!(changed["before"]["input"]["password"], changed["after"]["input"]["password"]);
    // The engine itself does not mark what a provider copied: `output` shows the value here as it does in its own diff.
    let input = &changed["before"]["input"];
    assert!(!input.to_string().contains("hunter"), "{text}");
}

#[test]
fn a_wholly_sensitive_resource_input_is_one_opaque_string() {
    let folder = Folder::new(
        r#"
        resource "terraform_data" "one" { input = sensitive({ a = "hunter2", b = ["hunter2"] }) }
        resource "terraform_data" "none" { input = sensitive(null) }
        "#,
    );
    let (text, document) = folder.redacted(&folder.plan(&[]));
    assert!(!text.contains("hunter"), "{text}");
    assert!(change(&document, "terraform_data.one")["after"]["input"].is_string());
    assert!(change(&document, "terraform_data.none")["after"]["input"].is_null(), "there is nothing to hide");
}

#[test]
fn the_document_has_the_fields_and_only_the_schemas_that_the_command_line_needs() {
    let folder = Folder::new(SECRETS);
    let (_, document) = folder.redacted(&folder.plan(&[]));
    let fields: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "output_changes",
            "plan_format_version",
            "provider_format_version",
            "provider_schemas",
            "relevant_attributes",
            "resource_changes",
            // Ours, for the picture of what depends on what.
            "resource_dependencies",
            "resource_drift",
        ]
    );
    assert_eq!(document["plan_format_version"], "1.2");
    let schemas = &document["provider_schemas"]["terraform.io/builtin/terraform"];
    assert!(schemas["resource_schemas"]["terraform_data"]["block"]["attributes"]["input"].is_object());
    assert!(schemas.get("data_source_schemas").is_none(), "no data source occurs");
}

#[test]
fn a_replaced_resource_counts_as_one_added_and_one_destroyed() {
    let configuration = r#"resource "terraform_data" "one" { triggers_replace = ["a"] }
                           resource "terraform_data" "two" { input = "a" }"#;
    let folder = Folder::new(configuration);
    let created = summary(&folder.plan(&[])).unwrap();
    assert_eq!((created.has_changes, created.additions, created.destructions), (true, 2, 0));
    folder.apply();
    let nothing = summary(&folder.plan(&[])).unwrap();
    assert_eq!(nothing, runner::plan_json::Summary::default());
    folder.write(&configuration.replace("\"a\"", "\"b\""));
    let plan = folder.plan(&[]);
    let replaced = summary(&plan).unwrap();
    assert_eq!((replaced.additions, replaced.changes, replaced.destructions), (1, 1, 1));
    let (_, document) = folder.redacted(&plan);
    let paths = &change(&document, "terraform_data.one")["replace_paths"];
    assert_eq!(paths.to_string(), r#"[["triggers_replace"]]"#);
    let destroyed = summary(&folder.plan(&["-destroy"])).unwrap();
    assert_eq!((destroyed.additions, destroyed.destructions), (0, 2));
}

#[test]
fn imports_moves_and_forgotten_resources_are_told_apart() {
    let folder = Folder::new(
        r#"resource "terraform_data" "old" { input = 1 }
           resource "terraform_data" "gone" { input = 1 }"#,
    );
    folder.apply();
    folder.write(
        r#"
        resource "terraform_data" "new" { input = 1 }
        moved {
          from = terraform_data.old
          to   = terraform_data.new
        }
        removed {
          from = terraform_data.gone
          lifecycle { destroy = false }
        }
        "#,
    );
    let plan = folder.plan(&[]);
    let moved = summary(&plan).unwrap();
    assert_eq!((moved.has_changes, moved.additions, moved.changes, moved.destructions), (true, 0, 0, 0));
    let (text, _) = folder.redacted(&plan);
    assert!(text.contains(r#""previous_address":"terraform_data.old""#), "{text}");
    folder.apply();

    folder.write(
        r#"
        resource "terraform_data" "new" { input = 1 }
        import {
          to = terraform_data.imported
          id = "abc"
        }
        "#,
    );
    let plan = folder.plan(&["-generate-config-out=generated.tf"]);
    let imported = summary(&plan).unwrap();
    assert_eq!((imported.has_changes, imported.imports, imported.additions), (true, 1, 0));
    assert!(imported.generated_configuration);
    let (_, document) = folder.redacted(&plan);
    let change = change(&document, "terraform_data.imported");
    assert_eq!(change["importing"]["id"], "abc");
    assert!(change["generated_config"].as_str().unwrap().contains("terraform_data"));
}

#[test]
fn a_refresh_only_plan_has_changes_when_the_engine_calls_it_applyable() {
    let folder = Folder::new(r#"resource "terraform_data" "old" { input = 1 }"#);
    folder.apply();
    assert!(!summary(&folder.plan(&["-refresh-only"])).unwrap().has_changes);
    folder.write(
        r#"resource "terraform_data" "new" { input = 1 }
           moved {
             from = terraform_data.old
             to   = terraform_data.new
           }"#,
    );
    let plan = folder.plan(&["-refresh-only"]);
    assert!(!summary(&plan).unwrap().has_changes, "a move alone is not applied by it");
    let (_, document) = folder.redacted(&plan);
    assert_eq!(document["resource_drift"][0]["previous_address"], "terraform_data.old");
    assert!(
        document["provider_schemas"]["terraform.io/builtin/terraform"].is_object(),
        "drift needs its schema too"
    );

    folder.write(
        r#"resource "terraform_data" "old" { input = 1 }
           output "new" { value = 1 }"#,
    );
    assert!(summary(&folder.plan(&["-refresh-only"])).unwrap().has_changes);
}

#[test]
fn a_plan_that_only_reads_data_says_so_and_needs_the_data_sources_schema() {
    let folder = Folder::new(
        r#"
        resource "terraform_data" "one" { input = "x" }
        data "terraform_remote_state" "other" {
          backend = "local"
          config  = { path = terraform_data.one.output }
        }
        "#,
    );
    let (_, document) = folder.redacted(&folder.plan(&[]));
    let schemas = &document["provider_schemas"]["terraform.io/builtin/terraform"];
    assert!(schemas["data_source_schemas"]["terraform_remote_state"]["block"].is_object());
}

/// What this machine's engine cannot be made to produce, in the form that its source documents.
#[test]
fn drift_deferred_changes_and_actions_are_redacted_and_get_a_schema_even_when_none_is_known() {
    let resource = |name: &str| {
        serde_json::json!({
            "address": name, "mode": "managed", "type": name, "provider_name": "example.com/a/b",
            "change": {"actions": ["update"], "before": {"x": "hunter2"}, "after": {"x": [1, "hunter2"]},
                       "before_sensitive": {"x": true}, "after_sensitive": {"x": [false, true]}},
        })
    };
    let plan = serde_json::json!({
        "format_version": "1.2",
        "resource_drift": [resource("drifted")],
        "deferred_changes": [{"reason": "resource_config_unknown", "resource_change": resource("deferred")}],
        "action_invocations": [{"type": "act", "provider_name": "example.com/a/b", "config_values": {"x": "hunter2"},
                                "config_sensitive": {"x": true}}],
    });
    let plan = plan.to_string().into_bytes();
    let text = String::from_utf8(redact(&plan, br#"{"format_version":"1.0"}"#).unwrap()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["deferred_changes"][0]["resource_change"]["change"]["after"]["x"][0], 1);
    let schemas = &document["provider_schemas"]["example.com/a/b"];
    for (kind, name) in
        [("resource_schemas", "drifted"), ("resource_schemas", "deferred"), ("action_schemas", "act")]
    {
        assert!(schemas[kind][name]["block"].is_object(), "{kind} {name}");
    }
    assert!(summary(&plan).unwrap().has_changes, "drift is what a refresh-only plan applies");
}

#[test]
fn what_is_no_plan_is_refused_without_quoting_it() {
    for text in ["", "hunter2", "{\"format_version\":", "[]", "{}"] {
        let error = summary(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("cannot be read") && !error.contains("hunter2"), "{error}");
    }
    assert!(redact(b"{\"resource_changes\":{}}", b"{}").is_err());
    assert!(redact(b"{}", b"[]").unwrap_err().to_string().contains("schemas"));
}
