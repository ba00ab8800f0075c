//! What people see of a log and of a plan, from what a real engine writes.

use crate::engine::Engine;
use cli::{
    render::{LogRenderer, Style, plan},
    view::PhaseName,
};

const FIRST: &str = r#"
variable "size" { default = 1 }
resource "terraform_data" "base" {
  input = { kind = "v", size = var.size, list = ["a", "b", "c"], text = "one\ntwo\n", json = jsonencode({ a = [1] }) }
}
resource "terraform_data" "each" {
  count            = 2
  input            = "plain"
  triggers_replace = var.size
  provisioner "local-exec" { command = "echo hello" }
}
resource "terraform_data" "old" { input = "goes away" }
output "id" { value = terraform_data.base.id }
output "mixed" { value = { a = [1, 2], b = "x\ny", "a b" = null } }
output "shut" {
  value     = "hunter2"
  sensitive = true
}
"#;

const SECOND: &str = r#"
variable "size" { default = 2 }
resource "terraform_data" "base" {
  input = { kind = "w", size = var.size, list = ["a", "b", "c", "d"], text = "one\nthree\n", json = jsonencode({ a = [1], b = true }) }
}
resource "terraform_data" "each" {
  count            = 2
  input            = "plain"
  triggers_replace = var.size
}
resource "terraform_data" "new" { input = ["x", { deep = [] }] }
output "id" { value = terraform_data.base.id }
output "mixed" { value = { a = [1, 2], b = "x\nz", "a b" = null } }
check "small" {
  assert {
    condition     = var.size < 2
    error_message = "The size ${var.size} is too large."
  }
}
"#;

/// Ids, durations, and the order of what happens at the same time differ from run to run.
fn steady(text: &str) -> String {
    let id = regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let duration = regex::Regex::new(r"after \d+s").unwrap();
    let unordered = regex::Regex::new(r"^(terraform_data\.|[-+~/ ]{3} terraform_data\.)").unwrap();
    let text = duration.replace_all(&id.replace_all(text, "<id>"), "after <n>s").into_owned();
    let mut lines: Vec<_> = text.lines().collect();
    lines.chunk_by_mut(|a, b| unordered.is_match(a) && unordered.is_match(b)).for_each(<[_]>::sort_unstable);
    lines.join("\n")
}

fn shown(phase: PhaseName, log: &str, document: Option<&serde_json::Value>) -> String {
    let mut renderer = LogRenderer::new(phase, Style::PLAIN);
    let mut out = renderer.feed(log.as_bytes());
    out.push_str(&renderer.finish());
    out.push_str(&renderer.planned(document));
    steady(&out)
}

/// The part of a plan that both the engine and we show: from the first resource on.
fn differences(text: &str) -> &str {
    let begin = text.find("\n  # ").unwrap_or_else(|| panic!("no resource in {text:?}"));
    let end = text.find("\nPlan: ").unwrap_or(text.len());
    text[begin..end].trim_end()
}

#[test]
fn a_plan_is_shown_as_the_engine_itself_shows_it() {
    let engine = Engine::new(FIRST);
    for configuration in [FIRST, SECOND, "terraform {}"] {
        engine.write(configuration);
        engine.print(&["plan", "-out=p", "-no-color"]);
        let own = engine.print(&["show", "-no-color", "p"]);
        let document = engine.document("p");
        // The engine's own words leave this out for values of any type, to which terraform_data's belong.
        let ours = plan::render(&document, Style::PLAIN).replace(" # forces replacement", "");
        assert_eq!(differences(&ours), differences(&own));
        let outputs = own.split_once("Changes to Outputs:\n").expect("the outputs change").1;
        assert_eq!(plan::render_outputs(&document, Style::PLAIN).trim_end(), outputs.trim_end());
        engine.run(&["apply", "p"]);
    }
}

#[test]
fn logs_of_a_first_and_a_second_run_read_well() {
    let engine = Engine::new(FIRST);
    let log = engine.print(&["plan", "-json", "-out=p"]);
    insta::assert_snapshot!("first_plan", shown(PhaseName::Plan, &log, Some(&engine.document("p"))));
    insta::assert_snapshot!("first_plan_without_document", shown(PhaseName::Plan, &log, None));
    let log = engine.print(&["apply", "-json", "p"]);
    insta::assert_snapshot!("first_apply", shown(PhaseName::Apply, &log, None));

    engine.write(SECOND);
    let log = engine.print(&["plan", "-json", "-out=p"]);
    insta::assert_snapshot!("second_plan_without_document", shown(PhaseName::Plan, &log, None));
    let log = engine.print(&["apply", "-json", "p"]);
    insta::assert_snapshot!("second_apply", shown(PhaseName::Apply, &log, None));

    let log = engine.print(&["plan", "-json", "-out=p"]);
    let nothing = shown(PhaseName::Plan, &log, Some(&engine.document("p")));
    assert!(nothing.ends_with("\nNo changes."), "{nothing}");

    let log = engine.print(&["plan", "-json", "-out=p", "-destroy"]);
    insta::assert_snapshot!("destroy_plan_without_document", shown(PhaseName::Plan, &log, None));
    let log = engine.print(&["apply", "-json", "p"]);
    let end = shown(PhaseName::Apply, &log, None);
    assert!(end.contains("Apply complete! Resources: 0 added, 0 changed, 4 destroyed."), "{end}");
}

#[test]
fn errors_are_shown_in_boxes_with_their_source() {
    let engine = Engine::new("terraform {}");
    engine.write(
        "resource \"terraform_data\" \"a\" {\n  input = var.nope\n}\noutput \"o\" {\n  value = 1 / 0\n}\n",
    );
    let log = engine.print(&["plan", "-json"]);
    insta::assert_snapshot!("errors", shown(PhaseName::Plan, &log, None));
}

#[test]
fn a_refresh_only_plan_shows_in_full_what_changed_elsewhere() {
    let document = serde_json::json!({
        "resource_changes": [],
        "resource_drift": [{
            "address": "x.a", "mode": "managed", "type": "x", "name": "a",
            "change": {"actions": ["update"], "before": {"id": "1", "n": 1}, "after": {"id": "1", "n": 2}},
        }],
    });
    insta::assert_snapshot!("drift", plan::render(&document, Style::PLAIN));
}
