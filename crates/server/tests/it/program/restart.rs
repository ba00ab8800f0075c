//! Terraform's own command line against a server that is killed under it and comes back: it goes on, or says what happened, and
//! either way nothing is lost and no lock stays.

use super::{PATIENCE, house::House};
use std::{
    fs,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    time::Instant,
};

/// A configuration for `acme/demo`, with a resource whose apply waits at the gate.
fn configuration(house: &House, gate: &str) -> String {
    let host = house.server.url.trim_start_matches("https://");
    format!(
        r#"
terraform {{
  cloud {{
    hostname     = "{host}"
    organization = "acme"
    workspaces {{ name = "demo" }}
  }}
}}
resource "terraform_data" "slow" {{
  provisioner "local-exec" {{ command = "echo the apply has come this far; {gate} echo and goes on" }}
}}
"#
    )
}

fn terraform(house: &House, arguments: &[&str]) -> Command {
    let engine = std::env::var_os("FERROFORM_TEST_ENGINE").unwrap_or_else(|| "terraform".into());
    let host = house.server.url.trim_start_matches("https://");
    let mut command = Command::new(engine);
    command.args(arguments).arg("-no-color").current_dir(house.folder()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", house.folder());
    command.env("CHECKPOINT_DISABLE", "1").env(format!("TF_TOKEN_{host}"), &house.token);
    command.env("SSL_CERT_FILE", house.authority()).stderr(Stdio::piped());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn initialized(house: &House, gate: &str) {
    fs::write(house.folder().join("main.tf"), configuration(house, gate)).unwrap();
    assert!(terraform(house, &["init", "-input=false"]).output().unwrap().status.success());
}

/// Reads the command's output until `text` is there.
fn until(child: &mut Child, text: &str) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&said).contains(text) {
        let read = child.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
        assert!(read > 0, "it ended without {text:?}: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The run has applied what it should, and the workspace is free.
async fn all_is_well(house: &House) {
    let begun = Instant::now();
    while house.newest_run().await["attributes"]["status"] != "applied" {
        assert!(begun.elapsed() < PATIENCE, "{}", house.newest_run().await);
        tokio::task::yield_now().await;
    }
    let workspace = house.get("/workspaces/WS").await;
    assert_eq!(workspace["data"]["attributes"]["locked"], false);
    assert_eq!(workspace["data"]["attributes"]["resource-count"], 1);
}

#[tokio::test]
async fn a_prompt_that_is_open_while_the_server_is_killed_is_answered_to_the_next() {
    let mut house = House::open(&[]).await;
    initialized(&house, "");
    let mut apply = terraform(&house, &["apply"]).spawn().unwrap();
    until(&mut apply, "Enter a value:");
    house.server.child.kill().unwrap();
    house.server.child.wait().unwrap();
    house.start_again(&[]);
    apply.stdin.as_mut().unwrap().write_all(b"yes\n").unwrap();
    let output = apply.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("and goes on") && said.contains("Apply complete!"), "{said}");
    all_is_well(&house).await;
}

#[tokio::test]
async fn an_apply_whose_log_is_cut_off_goes_on_and_the_command_line_says_so_or_sees_its_end() {
    let mut house = House::open(&[]).await;
    let fifo = house.fifo();
    initialized(&house, &format!("cat {};", fifo.display()));
    let mut apply = terraform(&house, &["apply", "-auto-approve"]).spawn().unwrap();
    until(&mut apply, "the apply has come this far");
    house.server.child.kill().unwrap();
    house.server.child.wait().unwrap();
    house.start_again(&[]);
    fs::write(&fifo, "").unwrap();
    let output = apply.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        assert!(said.contains("Apply complete!"), "{said}");
    } else {
        // The command line does not read a log again that broke off (cli-protocol.md §0).
        assert!(error.contains("Failed to read logs"), "{said}{error}");
    }
    all_is_well(&house).await;
}
