//! Stopping a phase: on the server's wish, by force, and because its time is up.

use crate::server::{Bench, Server, apply, job};
use runner::{Outcome, Signal};
use std::time::Duration;

/// A plan that takes until somebody ends it.
const SLOW_PLAN: &str = r#"
data "external" "never" { program = ["true"] }
"#;

const SLOW_APPLY: &str = r#"
resource "terraform_data" "a" { input = "first" }
resource "terraform_data" "b" {
  input = terraform_data.a.output
  provisioner "local-exec" { command = "echo it has begun; exec sleep 1000" }
}
"#;

fn processes_of(bench: &Bench) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(cwd) = std::fs::read_link(entry.path().join("cwd")) else { continue };
        if cwd.starts_with(&bench.root) {
            found.push(std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default());
        }
    }
    found
}

#[tokio::test]
async fn a_canceled_apply_hands_over_what_was_applied() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", SLOW_APPLY)]));
    bench.plan(job(), &server).await;
    let cancel = async {
        server.logged("it has begun").await;
        server.signal.send_replace(Signal::Cancel);
    };
    let (outcome, ()) = tokio::join!(bench.execute(apply(job()), &server), cancel);
    let Outcome::Canceled { forced: false, state: Some(_) } = outcome else { panic!("{outcome:?}") };
    assert!(server.text().contains("Interrupt received"), "{}", server.text());
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 2);
    assert_eq!(processes_of(&bench), Vec::<String>::new());
    assert!(!bench.folder().exists());
}

#[tokio::test]
async fn a_killed_apply_hands_over_the_last_complete_state() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", SLOW_APPLY)]));
    bench.plan(job(), &server).await;
    let kill = async {
        server.logged("it has begun").await;
        server.signal.send_replace(Signal::Kill);
    };
    let (outcome, ()) = tokio::join!(bench.execute(apply(job()), &server), kill);
    assert!(matches!(outcome, Outcome::Canceled { forced: true, state: Some(_) }), "{outcome:?}");
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 1);
    assert_eq!(processes_of(&bench), Vec::<String>::new());
}

#[tokio::test]
async fn an_apply_that_takes_too_long_is_stopped_by_force_after_the_grace() {
    // It survives the interrupt, and its child too.
    let config = r#"
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "trap '' INT; echo it has begun; (sleep 1000 & wait) & wait; sleep 1000" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    bench.plan(job(), &server).await;
    let mut job = apply(job());
    job.timeout = Duration::from_millis(700);
    let outcome = bench.execute(job, &server).await;
    assert!(
        matches!(&outcome, Outcome::Failed { message, .. } if message == "apply timed out after 700ms"),
        "{outcome:?}"
    );
    assert!(server.text().contains("timed out"), "{}", server.text());
    assert_eq!(processes_of(&bench), Vec::<String>::new());
}

#[tokio::test]
async fn a_phase_that_is_canceled_before_it_starts_starts_nothing() {
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", SLOW_PLAN)]));
    server.signal.send_replace(Signal::Cancel);
    let outcome = bench.execute(job(), &server).await;
    assert!(matches!(outcome, Outcome::Canceled { forced: false, state: None }), "{outcome:?}");
    assert!(!bench.folder().exists());
}

#[tokio::test]
async fn what_a_run_leaves_running_in_its_group_is_killed() {
    let config = r#"
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "sleep 1000 >/dev/null 2>&1 </dev/null &" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    let outcome = bench.run(job(), &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(processes_of(&bench), Vec::<String>::new());
}
