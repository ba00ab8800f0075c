//! What must not be found at rest, in logs or in answers, and what a hostile run must not reach.

use serde_json::json;
use std::path::Path;
use testkit::{TestServer, archive, on_both, server::ADMIN};

const PLANTED: [&str; 5] = [
    "planted-variable-7f3a",
    "planted-environment-9c1d",
    "planted-config-4b2e",
    "planted-state-8d5f",
    "planted-plain-1a6c",
];

/// Where any of the planted texts stands below a folder.
fn found(dir: &Path) -> Vec<String> {
    let mut hits = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                let bytes = std::fs::read(entry.path()).unwrap_or_default();
                for text in PLANTED.iter().copied().chain([ADMIN]) {
                    if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                        hits.push(format!("{text} in {}", entry.path().display()));
                    }
                }
            }
        }
    }
    hits
}

async fn planted(server: &TestServer) -> (testkit::Api, String) {
    let api = server.admin();
    api.organization("acme").await;
    let ws = api.workspace("acme", "demo", json!({})).await;
    let variables = [
        (PLANTED[0], "secret", "terraform", true),
        (PLANTED[1], "SECRET_ENV", "env", true),
        (PLANTED[4], "plain", "terraform", false),
    ];
    for (value, key, category, sensitive) in variables {
        let attributes = json!({ "key": key, "value": value, "category": category, "sensitive": sensitive });
        api.post(&format!("/workspaces/{ws}/vars"), json!({ "data": { "attributes": attributes } }))
            .await
            .expect(201);
    }
    let main = format!(
        "# {}\nvariable \"secret\" {{}}\nvariable \"plain\" {{}}\n\
         resource \"terraform_data\" \"a\" {{ input = \"{}\" }}\n\
         resource \"terraform_data\" \"b\" {{\n  input = \"${{var.secret}} ${{var.plain}}\"\n  \
         provisioner \"local-exec\" {{ command = \"echo $SECRET_ENV ${{var.secret}}\" }}\n}}",
        PLANTED[2], PLANTED[3]
    );
    api.uploaded(&ws, archive(&[("main.tf", &main)])).await;
    (api, ws)
}

on_both! {
    async fn nothing_secret_rests_in_the_data_directory_while_a_run_waits_and_after_it(server) {
        let (api, ws) = planted(server).await;
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["planned"]).await;
        server.settled().await;
        assert_eq!(found(server.dir.path()), Vec::<String>::new(), "while it waits");
        api.act(&format!("/runs/{run}/actions/apply")).await;
        api.wait(&run, &["applied"]).await;
        server.settled().await;
        assert_eq!(found(server.dir.path()), Vec::<String>::new(), "after it");
    }

    async fn sensitive_values_are_masked_in_logs_and_in_the_redacted_plan(server) {
        let (api, ws) = planted(server).await;
        let run = api.run(&ws, json!({ "auto-apply": true })).await;
        api.wait(&run, &["applied"]).await;
        for phase in ["plan", "apply"] {
            let log = api.log(&run, phase).await;
            assert!(!log.contains(PLANTED[0]) && !log.contains(PLANTED[1]), "{phase}: {log}");
        }
        assert!(api.log(&run, "apply").await.contains("local-exec"));
    }

    async fn a_hostile_run_reaches_nothing_of_the_server_or_of_other_runs(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({ "auto-apply": true })).await;
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "outside").unwrap();
        let data = server.dir.path().display().to_string();
        let attempts = [
            format!("cat {data}/root.key"),
            format!("ls {data}"),
            format!("cat {data}/ferroform.db"),
            format!("ls {data}/runs"),
            format!("cat /proc/{}/environ", std::process::id()),
            format!("cat {}/file", outside.path().display()),
            format!("touch {}/written", outside.path().display()),
            "touch /tmp/ferroform-escaped".to_owned(),
            "cat /etc/shadow".to_owned(),
            format!("kill -0 {}", std::process::id()),
            "env | grep -i ferroform".to_owned(),
        ];
        let script: String = attempts.iter().enumerate().map(|(n, attempt)| format!("if {attempt} >/dev/null 2>&1; then echo REACHED {n}; fi; ")).collect();
        let main = format!(
            "resource \"terraform_data\" \"x\" {{\n  provisioner \"local-exec\" {{\n    command = <<-E\n{script} echo done trying\nE\n  }}\n}}"
        );
        api.uploaded(&ws, archive(&[("main.tf", &main)])).await;
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["applied"]).await;
        let log = api.log(&run, "apply").await;
        // Executing: […] repeats the script; only what it printed counts.
        let printed: Vec<_> = log.lines().filter(|line| !line.contains("Executing")).collect();
        assert!(printed.iter().any(|line| line.contains("done trying")), "{log}");
        for (n, attempt) in attempts.iter().enumerate() {
            let reached = printed.iter().any(|line| line.contains(&format!("REACHED {n}\"")) || line.ends_with(&format!("REACHED {n}")));
            assert!(!reached, "{attempt} succeeded");
        }
        assert!(!outside.path().join("written").exists());
    }
}
