//! Stopping a phase: on the server's wish, by force, and because its time is up.

use crate::server::{Bench, Server, apply, job};
use runner::{Outcome, Signal};
use std::time::Duration;

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
        // Printed a moment before the command is started, which is when an engine is easiest to confuse.
        server.logged("Executing").await;
        server.signal.send_replace(Signal::Cancel);
    };
    let (outcome, ()) = tokio::join!(bench.execute(apply(job()), &server), cancel);
    let Outcome::Canceled { forced: false, state: Some(_) } = outcome else { panic!("{outcome:?}") };
    assert!(server.text().contains("Interrupt received"), "{}", server.text());
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 2, "{}", server.text());
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
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", SLOW_APPLY)]));
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

#[tokio::test]
async fn a_plan_is_canceled_while_it_waits_for_the_network() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!(
        "data \"terraform_remote_state\" \"slow\" {{\n  backend = \"http\"\n  config = {{ address = \"http://{address}\", \
         retry_max = 0 }}\n}}\n"
    );
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", &config)]));
    let cancel = async {
        let connection = listener.accept().await.unwrap();
        server.signal.send_replace(Signal::Cancel);
        server.logged("Interrupt received").await;
        // Only now is it answered, by hanging up.
        drop(connection);
    };
    let (outcome, ()) = tokio::join!(bench.execute(job(), &server), cancel);
    assert!(matches!(outcome, Outcome::Canceled { forced: false, state: None }), "{outcome:?}");
    assert!(!bench.folder().exists());
}

#[tokio::test]
async fn a_run_that_prints_without_pause_can_be_killed() {
    let config = r#"
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "yes it has begun" }
}
"#;
    let (bench, server) = (Bench::new(), Server::new(&[("main.tf", config)]));
    bench.plan(job(), &server).await;
    let kill = async {
        server.logged("it has begun").await;
        server.signal.send_replace(Signal::Kill);
    };
    let (outcome, ()) = tokio::join!(bench.execute(apply(job()), &server), kill);
    assert!(matches!(outcome, Outcome::Canceled { forced: true, .. }), "{outcome:?}");
}
