//! The server dies; the engine does not.

use crate::server::{Bench, Server, apply, job};
use runner::{Control, Outcome, Phase};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

const SLOW: &str = r#"
resource "terraform_data" "a" { input = "first" }
resource "terraform_data" "b" {
  input = terraform_data.a.output
  provisioner "local-exec" { command = "echo it has begun; until [ -e \"$TMPDIR/go\" ]; do sleep 0.02; done; echo it goes on" }
}
resource "terraform_data" "c" { input = terraform_data.b.output }
"#;

const FOLDER: &str = "RUNNER_TEST_SERVER_IN";

/// Not a test by itself: the server that is killed. It plans, applies, and says when the apply has begun.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn a_server_that_will_be_killed() {
    let folder = std::env::var_os(FOLDER).expect("started by another test");
    let (bench, server) = (Bench::at(Path::new(&folder)), Server::new(&[("main.tf", SLOW)]));
    bench.plan(job(), &server).await;
    server.log.send_modify(Vec::clear);
    std::fs::write(Path::new(&folder).join("kept"), server.kept.lock().unwrap().as_ref().unwrap()).unwrap();
    let begun = async {
        server.logged("it has begun").await;
        println!("\nbegun");
        std::future::pending::<()>().await;
    };
    tokio::join!(bench.execute(apply(job()), &server), begun);
}

/// Starts that server and kills it in the middle of the apply.
fn killed_server(folder: &Path) {
    let mut server: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::a_server_that_will_be_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begun"), "the server ended early");
    server.kill().unwrap();
    server.wait().unwrap();
}

fn server_with_kept(folder: &Path) -> Arc<Server> {
    let server = Server::new(&[("main.tf", SLOW)]);
    *server.kept.lock().unwrap() = std::fs::read(folder.join("kept")).ok();
    server
}

fn assert_all_applied(outcome: &Outcome, server: &Server) {
    assert!(matches!(outcome, Outcome::Applied { counts, .. } if counts.additions == 3), "{outcome:?}");
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 3);
    let text = server.text();
    assert!(text.starts_with("Terraform v"), "{text}");
    for part in ["(local-exec): it has begun", "(local-exec): it goes on", "Apply complete!"] {
        assert_eq!(text.matches(part).count(), 1, "{text}");
    }
}

#[tokio::test]
async fn an_apply_outlives_the_server_and_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    killed_server(dir.path());
    let (bench, server) = (Bench::at(dir.path()), server_with_kept(dir.path()));
    let leftovers = bench.runner.leftovers();
    assert_eq!(leftovers.len(), 1);
    assert!(leftovers[0].running);
    assert_eq!(leftovers[0].job.phase, Phase::Apply);
    let go_on = async {
        server.logged("it has begun").await;
        std::fs::write(bench.folder().join("apply/tmp/go"), "").unwrap();
    };
    let resumed = bench.runner.resume(apply(job()), Arc::clone(&server) as Arc<dyn Control>);
    let (outcome, ()) = tokio::join!(resumed, go_on);
    server.store(&outcome);
    assert_all_applied(&outcome, &server);

    // Until the outcome is settled it can be had again, as after a crash before it was stored.
    let again = Server::new(&[]);
    let outcome = bench.runner.resume(apply(job()), Arc::clone(&again) as Arc<dyn Control>).await;
    again.store(&outcome);
    assert_all_applied(&outcome, &again);
    bench.runner.settle(&"run-1".into()).await.unwrap();
    assert!(!bench.folder().exists());
    assert!(bench.runner.leftovers().is_empty());
}

#[tokio::test]
async fn an_apply_that_was_killed_with_the_server_fails_with_its_newest_state() {
    let dir = tempfile::tempdir().unwrap();
    killed_server(dir.path());
    let (bench, server) = (Bench::at(dir.path()), server_with_kept(dir.path()));
    let begun: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.folder().join("begun.json")).unwrap()).unwrap();
    let group =
        rustix::process::Pid::from_raw(i32::try_from(begun["mark"]["pid"].as_i64().unwrap()).unwrap())
            .unwrap();
    let leader = rustix::process::pidfd_open(group, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    // The leader is nobody's child that would be waited for here; its pidfd tells its end.
    rustix::event::poll(&mut [rustix::event::PollFd::new(&leader, rustix::event::PollFlags::IN)], None)
        .unwrap();

    assert!(!bench.runner.leftovers()[0].running);
    let outcome = bench.runner.resume(apply(job()), Arc::clone(&server) as Arc<dyn Control>).await;
    let Outcome::Failed { message, state: Some(_), .. } = &outcome else { panic!("{outcome:?}") };
    assert!(message.contains("killed in the middle of the apply"), "{message}");
    server.store(&outcome);
    assert_eq!(server.state()["resources"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn forgetting_a_leftover_ends_its_engine() {
    let dir = tempfile::tempdir().unwrap();
    killed_server(dir.path());
    let bench = Bench::at(dir.path());
    bench.runner.forget(&"run-1".into()).await.unwrap();
    assert!(!bench.folder().exists());
    assert!(bench.runner.leftovers().is_empty());
}

#[tokio::test]
async fn a_plan_waits_for_its_apply_across_servers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(&[(
        "main.tf",
        "terraform {\n  backend \"s3\" {}\n}\nresource \"terraform_data\" \"a\" {}",
    )]);
    Bench::at(dir.path()).plan(job(), &server).await;
    let bench = Bench::at(dir.path());
    assert!(bench.runner.leftovers().is_empty());
    assert_eq!(bench.runner.waiting(), ["run-1".into()]);
    assert!(bench.folder().join("warm").exists());
    let outcome = bench.execute(apply(job()), &server).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_phase_that_had_not_begun_leaves_nothing_and_is_made_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::at(dir.path());
    std::fs::create_dir_all(bench.folder().join("plan/config")).unwrap();
    assert!(bench.runner.leftovers().is_empty());
    assert!(!bench.folder().exists());
    let server = Server::new(&[("main.tf", "output \"o\" { value = 1 }")]);
    let outcome = bench.runner.resume(job(), Arc::clone(&server) as Arc<dyn Control>).await;
    assert!(matches!(outcome, Outcome::Planned(_)), "{outcome:?}");
}
