//! The examples of `docs/api.md`, executed as they stand there, one after the other.

use std::process::Command;
use testkit::{on_both, server::ADMIN};

const PAGE: &str = include_str!("../../../../docs/api.md");

/// The blocks of code of the page. What is expected is part of them: `jq -e` fails where it does not hold.
fn blocks() -> Vec<&'static str> {
    PAGE.split("```bash\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block)
        .collect()
}

on_both! {
    async fn every_example_of_the_page_about_the_api_works(server) {
        let mut script = String::from("set -eu\n");
        for (number, block) in blocks().iter().enumerate() {
            // Of the mistakes `api` itself fails, and what it prints is looked at.
            script.push_str(&format!("echo \"block {number}\" >&2\n{block}\n"));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(folder.path()).env("URL", &server.url).env("TOKEN", ADMIN);
        let output = tokio::task::spawn_blocking(move || bash.output()).await.unwrap().expect("bash is installed");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(blocks().len() > 8);
    }
}
