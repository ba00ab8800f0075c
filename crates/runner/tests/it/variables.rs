//! Variables of a run, friendly and hostile.

use crate::server::{Bench, Server, apply, job, variable};
use runner::{Category, Outcome, Variable};
use serde_json::Value;

#[tokio::test]
async fn run_variables_beat_workspace_variables_and_automatic_files() {
    let config = r#"
variable "a" { default = "default" }
variable "b" { default = "default" }
variable "c" { default = "default" }
variable "d" { default = "default" }
variable "list" { type = list(string) }
variable "TFC_RUN_ID" {}
variable "TFC_WORKSPACE_SLUG" {}
output "all" { value = [var.a, var.b, var.c, var.d] }
output "facts" { value = [var.TFC_RUN_ID, var.TFC_WORKSPACE_SLUG] }
output "list" { value = var.list }
"#;
    let files = [
        ("main.tf", config),
        ("zzz.auto.tfvars", "a = \"auto\"\nb = \"auto\"\nc = \"auto\"\n"),
        ("terraform.tfvars", "d = \"file\"\n"),
    ];
    let (bench, server) = (Bench::new(), Server::new(&files));
    let mut job = job();
    job.variables =
        vec![variable("a", "workspace"), variable("b", "workspace"), variable("list", "[\"x\",\n\"y\"]")];
    job.variables[2].hcl = true;
    job.run_variables = vec![("a".into(), "\"run\"".into())];
    let outcome = bench.run(job, &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}\n{}", server.text());
    let outputs = server.state()["outputs"].clone();
    assert_eq!(outputs["all"]["value"], serde_json::json!(["run", "workspace", "auto", "default"]));
    assert_eq!(outputs["facts"]["value"], serde_json::json!(["run-1", "org/prod-1"]));
    assert_eq!(outputs["list"]["value"], serde_json::json!(["x", "y"]));
}

#[tokio::test]
async fn hostile_names_and_values_are_only_text() {
    let hostile =
        "'\"`$(touch $TMPDIR/owned)`\n${file(\"/etc/passwd\")} %{ if true } $HOME \\ ; rm -rf ~ # */";
    let config = r#"
variable "v" {}
variable "V" {}
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "printf '%s' \"$HOSTILE\" >\"$TMPDIR/seen\"; ls \"$TMPDIR\"" }
}
output "v" { value = var.v }
output "V" { value = var.V }
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let mut job = job();
    let env = |key: &str, value: &str| {
        let mut variable = variable(key, value);
        variable.category = Category::Env;
        variable
    };
    job.variables = vec![
        variable("v", hostile),
        variable(hostile, hostile),
        env("HOSTILE", hostile),
        env("TF_VAR_V", hostile),
        env("bad name$(touch x)", hostile),
        env("TF_WORKSPACE", "other"),
    ];
    job.targets = vec!["terraform_data.a; touch owned".into()];
    let outcome = bench.execute(job.clone(), &server).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    job.targets.clear();
    let outcome = bench.run(job, &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}\n{}", server.text());
    assert_eq!(server.state()["outputs"]["v"]["value"], hostile);
    assert_eq!(server.state()["outputs"]["V"]["value"], hostile);
    let text = server.text();
    assert!(text.contains("seen") && !text.contains("owned\n"), "{text}");
    assert!(text.contains("\"TF_WORKSPACE\" was left out"), "{text}");
}

#[tokio::test]
async fn a_run_variable_that_is_no_expression_fails_in_the_engines_words() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", "variable \"a\" {}")]));
    let mut job = job();
    job.run_variables = vec![("a".into(), "Hello, World!".into())];
    let outcome = bench.execute(job, &server).await;
    assert!(matches!(outcome, Outcome::Failed { .. }));
    assert!(server.text().contains("Unexpected comma after argument"), "{}", server.text());
}

#[tokio::test]
async fn an_expression_cannot_set_another_variable() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", "variable \"a\" {}")]));
    let mut job = job();
    job.variables = vec![variable("a", "1\nother = 2")];
    job.variables[0].hcl = true;
    let outcome = bench.execute(job, &server).await;
    assert!(
        matches!(&outcome, Outcome::Failed { message, .. } if message.contains("variable \"a\" is not one HCL")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn ephemeral_variables_are_given_to_the_apply_again() {
    let config = r#"
variable "password" {
  type      = string
  ephemeral = true
}
variable "plain" {}
resource "terraform_data" "a" {
  input = var.plain
  provisioner "local-exec" { command = "test \"${var.password}\" = hunter2" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let mut job = job();
    job.variables =
        vec![variable("password", "hunter2"), variable("plain", "p"), variable("undeclared", "u")];
    let outcome = bench.run(job, &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}\n{}", server.text());
    assert!(!server.text().contains("undeclared"), "{}", server.text());
}

#[tokio::test]
async fn the_servers_environment_is_not_the_runs() {
    let config = r#"
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "env" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let mut job = job();
    for key in ["code", "phase", "engine", "init"] {
        job.variables.push(Variable { category: Category::Env, ..variable(key, "the user's") });
    }
    bench.plan(job.clone(), &server).await;
    let outcome = bench.execute(apply(job), &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }));
    let text = server.text();
    assert!(!text.contains("CARGO_"), "{text}");
    for key in ["code", "phase", "engine", "init"] {
        assert!(text.contains(&format!("{key}=the user's")), "{text}");
    }
    assert!(text.contains("TFC_PROJECT_NAME=Default Project"), "{text}");
    let _: Value = server.state();
}
