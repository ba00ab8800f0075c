//! From a configuration to its state and back to nothing.

use crate::server::{Bench, Server, apply, holding, job, variable};
use runner::{Counts, Outcome};

const CONFIG: &str = r#"
terraform {
  cloud {
    organization = "elsewhere"
    workspaces { name = "other" }
  }
}
variable "input" { default = "one" }
resource "terraform_data" "a" { input = var.input }
output "workspace" { value = terraform.workspace }
"#;

#[tokio::test]
async fn a_plan_is_applied_and_planned_again_without_changes() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", CONFIG)]));
    let plan = bench.plan(job(), &server).await;
    assert!(plan.has_changes);
    assert_eq!(plan.counts, Counts { additions: 1, ..Counts::default() });
    assert_eq!(plan.engine_version, "1.11.4");
    let redacted: serde_json::Value = serde_json::from_slice(&plan.redacted_json).unwrap();
    assert!(redacted["resource_changes"][0]["address"] == "terraform_data.a", "{redacted}");
    let text = server.text();
    let preamble = "Terraform v1.11.4\non linux_amd64\nInitializing plugins and modules...\n";
    let rest = text.strip_prefix(preamble).unwrap_or_else(|| panic!("{text}"));
    assert!(rest.contains("terraform_data.a will be created"), "{text}");
    assert!(!text.contains("Initializing the backend"), "{text}");
    assert!(!text.contains(bench.root.to_str().unwrap()), "{text}");

    server.log.send_modify(Vec::clear);
    let outcome = bench.execute(apply(job()), &server).await;
    let Outcome::Applied { state: Some(_), counts } = outcome else {
        panic!("{outcome:?}\n{}", server.text())
    };
    assert_eq!(counts.additions, 1);
    assert!(server.text().starts_with(preamble));
    // Both blocks that ask for another backend are overridden, and the name is the workspace's.
    assert_eq!(server.state()["outputs"]["workspace"]["value"], "prod-1");
    assert!(!bench.folder().exists(), "the work directory is left");

    let again = bench.plan(job(), &server).await;
    assert!(!again.has_changes);
    assert_eq!(again.counts, Counts::default());

    let mut destroy = job();
    destroy.destroy = true;
    let outcome = bench.run(destroy, &server).await;
    assert!(matches!(outcome, Outcome::Applied { counts, .. } if counts.destructions == 1), "{outcome:?}");
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn an_output_alone_is_a_change() {
    let server = Server::new(&[("main.tf", "output \"o\" { value = 1 }")]);
    assert!(Bench::new().plan(job(), &server).await.has_changes);
}

#[tokio::test]
async fn structured_output_is_lines_of_json_after_the_preamble() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", CONFIG)]));
    let mut job = job();
    job.structured_output = true;
    let outcome = bench.run(job, &server).await;
    assert!(matches!(outcome, Outcome::Applied { counts, .. } if counts.additions == 1), "{outcome:?}");
    for line in server.text().lines().skip(3) {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"));
    }
}

#[tokio::test]
async fn another_runner_applies_what_this_one_planned() {
    let server = Server::new(&[("sub/main.tf", CONFIG)]);
    let mut job = job();
    job.working_directory = "./sub/".into();
    Bench::new().plan(job.clone(), &server).await;
    let outcome = Bench::new().execute(apply(job), &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}\n{}", server.text());
}

#[tokio::test]
async fn a_plan_only_run_keeps_nothing() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", CONFIG)]));
    let mut job = job();
    job.plan_only = true;
    assert!(bench.plan(job, &server).await.kept.is_none());
    assert!(!bench.folder().exists());
}

#[tokio::test]
async fn options_reach_the_engine() {
    let config = r#"
resource "terraform_data" "a" { input = "a" }
resource "terraform_data" "b" { input = "b" }
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let mut only = job();
    only.targets = vec!["terraform_data.a".into()];
    let outcome = bench.run(only, &server).await;
    assert!(matches!(outcome, Outcome::Applied { counts, .. } if counts.additions == 1), "{outcome:?}");
    let mut replace = job();
    replace.replace = vec!["terraform_data.a".into()];
    let counts = bench.plan(replace, &server).await.counts;
    assert_eq!((counts.additions, counts.destructions), (2, 1));
}

#[tokio::test]
async fn files_in_one_folder_are_named_with_both_ways_out() {
    let (bench, server) = (Bench::new(), Server::new(&[("web/app/main.tf", CONFIG), ("web/app/x.txt", "")]));
    let outcome = bench.execute(job(), &server).await;
    let Outcome::Failed { message, .. } = outcome else { panic!("{outcome:?}") };
    assert!(message.starts_with("Setup failed: "), "{message}");
    assert!(message.contains("tar -C web/app -zcf") && message.contains("working-directory to \"web/app\""));
    assert!(server.text().contains(&message), "{}", server.text());
    assert!(!bench.folder().exists());

    let mut inside = job();
    inside.working_directory = "web/app".into();
    assert!(bench.plan(inside, &server).await.has_changes);
    let mut wrong = job();
    wrong.working_directory = "app".into();
    let outcome = bench.execute(wrong, &server).await;
    assert!(matches!(outcome, Outcome::Failed { message, .. } if message.contains("\"web/app\"")));
    let mut out = job();
    out.working_directory = "../x".into();
    let outcome = bench.execute(out, &server).await;
    assert!(matches!(outcome, Outcome::Failed { message, .. } if message.contains("leaves the archive")));
}

#[tokio::test]
async fn an_empty_archive_fails_in_the_engines_words_and_can_destroy() {
    let (bench, server) = (Bench::new(), Server::new(&[]));
    let outcome = bench.execute(job(), &server).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(server.text().contains("No configuration files"), "{}", server.text());
    let full = Server::new(&[("main.tf", CONFIG)]);
    bench.run(job(), &full).await;
    server.state.lock().unwrap().clone_from(&full.state.lock().unwrap());
    let outcome = bench.execute(job(), &server).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "an empty archive would end everything: {outcome:?}");
    let mut destroy = job();
    destroy.destroy = true;
    let outcome = bench.run(destroy, &server).await;
    assert!(matches!(outcome, Outcome::Applied { counts, .. } if counts.destructions == 1), "{outcome:?}");
}

#[tokio::test]
async fn a_broken_archive_is_refused_with_the_reason() {
    let mut server = Server::new(&[]);
    std::sync::Arc::get_mut(&mut server).unwrap().archive = b"not gzip at all".to_vec();
    let outcome = Bench::new().execute(job(), &server).await;
    let Outcome::Failed { message, .. } = outcome else { panic!("{outcome:?}") };
    assert!(message.starts_with("Setup failed: failed unpacking terraform config: "), "{message}");
}

#[tokio::test]
async fn a_failed_init_shows_its_output() {
    let config = r#"terraform { required_version = ">= 99" }"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let outcome = bench.execute(job(), &server).await;
    assert!(
        matches!(&outcome, Outcome::Failed { message, .. } if message.starts_with("init failed")),
        "{outcome:?}"
    );
    assert!(server.text().contains("Unsupported Terraform Core version"), "{}", server.text());
    assert!(!bench.folder().exists());
}

#[tokio::test]
async fn strays_of_the_archive_are_not_taken_for_the_runs_own() {
    let backend = r#"{"version":3,"backend":{"type":"s3","config":{"bucket":"b"},"hash":1}}"#;
    let files = [
        ("main.tf", CONFIG),
        ("terraform.tfvars", "input = \"from a file that TFE ignores\"\n"),
        ("terraform.tfstate", "{\"version\": 4, \"serial\": 7, \"lineage\": \"foreign\"}"),
        (
            "terraform.tfstate.d/prod-1/terraform.tfstate",
            "{\"version\": 4, \"serial\": 7, \"lineage\": \"foreign\"}",
        ),
        (".terraform/terraform.tfstate", backend),
        (".terraform/environment", "staging"),
    ];
    let (bench, server) = (Bench::new(), Server::new(&files));
    let outcome = bench.run(job(), &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}\n{}", server.text());
    assert_eq!(server.state()["resources"][0]["instances"][0]["attributes"]["input"]["value"], "one");
    assert_ne!(server.state()["lineage"], "foreign");
}

#[tokio::test]
async fn sensitive_values_are_masked_in_the_log_and_do_not_rest_on_disk() {
    let config = r#"
variable "secret" {}
resource "terraform_data" "a" { input = var.secret }
output "o" { value = "is ${var.secret}" }
"#;
    for structured in [false, true] {
        let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
        let mut job = job();
        job.structured_output = structured;
        job.variables = vec![variable("secret", "hunter2 \"quoted\"\nline-two-of-it")];
        job.variables[0].sensitive = true;
        let plan = bench.plan(job.clone(), &server).await;
        assert!(String::from_utf8_lossy(&plan.plan_json).contains("hunter2"));
        for left in ["hunter2", "line-two"] {
            assert!(!server.text().contains(left), "{}", server.text());
            assert_eq!(holding(&bench.root, left), Vec::<std::path::PathBuf>::new());
        }
        server.log.send_modify(Vec::clear);
        let outcome = bench.execute(apply(job), &server).await;
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
        assert!(
            !server.text().contains("hunter2") && !server.text().contains("line-two"),
            "{}",
            server.text()
        );
        assert!(server.text().contains("(sensitive value)"), "{}", server.text());
        assert!(server.state().to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_snapshot_is_taken_before_the_apply_ends() {
    let config = r#"
resource "terraform_data" "a" { input = "first" }
resource "terraform_data" "b" {
  input = terraform_data.a.output
  provisioner "local-exec" { command = "until [ -e \"$TMPDIR/go\" ]; do sleep 0.02; done" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    bench.plan(job(), &server).await;
    let go = bench.folder().join("apply/tmp/go");
    let watching = async {
        let mut snapshots = server.snapshots.subscribe();
        let first = snapshots.wait_for(|snapshots| !snapshots.is_empty()).await.unwrap()[0].clone();
        std::fs::write(go, "").unwrap();
        first
    };
    let (outcome, first) = tokio::join!(bench.execute(apply(job()), &server), watching);
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    let first: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(first["resources"].as_array().unwrap().len(), 1);
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_apply_hands_over_what_was_applied() {
    let config = r#"
resource "terraform_data" "a" { input = "first" }
resource "terraform_data" "b" {
  input = terraform_data.a.output
  provisioner "local-exec" { command = "exit 3" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let outcome = bench.run(job(), &server).await;
    assert!(
        matches!(&outcome, Outcome::Failed { message, .. } if message == "apply failed with exit code 1"),
        "{outcome:?}"
    );
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 2);
    assert!(server.text().contains("exit status 3"));
}

#[tokio::test]
async fn imports_get_configuration_when_that_is_allowed() {
    let config = "import {\n  to = terraform_data.found\n  id = \"abc\"\n}\n";
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let mut generating = job();
    generating.allow_config_generation = true;
    let plan = bench.plan(generating, &server).await;
    assert!(plan.generated_configuration);
    assert_eq!(plan.counts.imports, 1);
    let outcome = bench.execute(job(), &server).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn the_state_is_found_again_whatever_the_workspace_is_called_and_wherever_it_starts() {
    for (workspace, backend) in
        [("default", ""), ("tmp", ""), ("config", "terraform {\n  backend \"s3\" {}\n}\n")]
    {
        let text = format!(
            "{backend}{}",
            "resource \"terraform_data\" \"a\" {}\noutput \"w\" { value = terraform.workspace }\n"
        );
        let (bench, server) = (Bench::new(), Server::new(&[("a/b/main.tf", &text)]));
        let mut job = job();
        job.workspace = workspace.into();
        job.working_directory = "a/b".into();
        for additions in [1, 0] {
            let outcome = bench.run(job.clone(), &server).await;
            assert!(
                matches!(outcome, Outcome::Applied { counts, .. } if counts.additions == additions),
                "{workspace}: {outcome:?}\n{}",
                server.text()
            );
        }
        assert_eq!(server.state()["outputs"]["w"]["value"], workspace);
    }
}
