//! The pages of a run.

use crate::sign_in::{self, Browser, admin};
use serde_json::json;
use testkit::{Api, TestServer, archive, on_both};

const FIRST: &str = r#"
    variable "token" {
      default   = "hunter2"
      sensitive = true
    }
    resource "terraform_data" "network" { input = { region = "west", zones = ["a", "b"] } }
    resource "terraform_data" "secret" { input = var.token }
    module "app" {
      source  = "./app"
      network = terraform_data.network.id
    }
    output "region" { value = terraform_data.network.output.region }
"#;

const APP: &str = r#"
    variable "network" {}
    resource "terraform_data" "server" {
      count = 2
      input = { name = "web-${count.index}", network = var.network }
    }
"#;

/// A workspace `demo` of `acme` with [`FIRST`], or what is made of it.
async fn configured(admin: &Api, ws: Option<&str>, change: impl Fn(String) -> String) -> String {
    let ws = match ws {
        Some(ws) => ws.to_owned(),
        None => {
            admin.organization("acme").await;
            admin.workspace("acme", "demo", json!({})).await
        }
    };
    let files = [("main.tf", change(FIRST.to_owned())), ("app/main.tf", APP.to_owned())];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    admin.uploaded(&ws, archive(&files)).await;
    ws
}

/// A run of that configuration whose plan waits, and where its page is.
async fn planned(admin: &Api) -> (String, String, String) {
    let ws = configured(admin, None, |main| main).await;
    let run = admin.run(&ws, json!({ "message": "Make the network" })).await;
    admin.wait(&run, &["planned"]).await;
    let page = page(&run);
    (ws, run, page)
}

fn page(run: &str) -> String {
    format!("/app/acme/workspaces/demo/runs/{run}")
}

/// The browser of somebody in a team that holds `level` in a workspace.
async fn member(server: &TestServer, ws: &str, level: &str) -> Browser {
    let admin = server.admin();
    let team = admin.team("acme", level, ws, level).await;
    let address = format!("{level}@example.com");
    let username = admin.invite("acme", &address, &[&team]).await;
    sign_in::of(server, &username).await
}

/// A page's text without marks, each word apart.
fn text(html: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => (inside, plain) = (true, plain + " "),
            '>' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    let plain = plain.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(html: &str, all: &[&str]) {
    let text = text(html);
    for part in all {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

on_both! {
    async fn a_plan_is_read_by_resource_and_confirmed_with_a_comment(server) {
        let api = server.admin();
        let (ws, run, page) = planned(&api).await;
        let mut browser = admin(server).await;
        let shown = browser.get(&page).await.expect(200).text;
        says(&shown, &["Make the network", "Needs confirmation", "+4", "~0", "−0", "Confirm & apply", "Discard run"]);
        says(&shown, &["Root module 2", "+ terraform_data.network will be created", "module.app 2", "terraform_data.server[1]"]);
        says(&shown, &["region (known after apply)", "admin started the run"]);
        assert!(shown.contains("**4 to add, 0 to change, 0 to destroy**"), "it can be copied as Markdown");
        assert!(!shown.contains("web-0"), "attributes are loaded when they are asked for");
        let again = browser.get(&format!("{page}?without=work")).await.expect(200).text;
        assert!(shown.contains("id=\"work\" data-part=\"plan\""), "{shown}");
        assert!(!again.contains("id=\"work\""), "a plan that is shown is not asked for again");

        let opened = browser.get(&format!("{page}/plan/module.app.terraform_data.server%5B0%5D")).await.expect(200).text;
        says(&opened, &["module.app.terraform_data.server[0]", "+ name \"web-0\"", "+ network (known after apply)"]);
        let secret = browser.get(&format!("{page}/plan/terraform_data.secret")).await.expect(200).text;
        says(&secret, &["+ input (sensitive)"]);
        assert!(!secret.contains("hunter2"));
        browser.get(&format!("{page}/plan/terraform_data.none")).await.expect(404);

        let filtered = browser.get(&format!("{page}?q=SERVER&action=create&type=terraform_data")).await.expect(200).text;
        says(&filtered, &["terraform_data.server[0]"]);
        assert!(!filtered.contains("Root module"));
        says(&browser.get(&format!("{page}?action=delete")).await.text, &["No change is like that"]);

        let to = browser.send(&format!("{page}/apply"), &[("comment", "Looks <right>")]).await.expect(303).location();
        assert_eq!(to, page);
        api.wait(&run, &["applied"]).await;
        let shown = browser.get(&page).await.expect(200).text;
        says(&shown, &["Applied", "admin confirmed the plan", "Looks <right>", "Apply log"]);
        assert!(!shown.contains("run-actions"), "nothing is to be done any more");

        let region = |main: String| main.replace("west", "east").replace("[\"a\", \"b\"]", "[\"b\"]");
        configured(&api, Some(&ws), region).await;
        let next = api.run(&ws, json!({})).await;
        api.wait(&next, &["planned"]).await;
        let change = browser.get(&format!("{}/plan/terraform_data.network", self::page(&next))).await.expect(200).text;
        says(&change, &["~ region \"west\" → \"east\"", "- \"a\" 1 unchanged element", "will be updated in-place"]);
        assert!(!change.contains("&quot;b&quot; "), "what stays is counted");
    }

    async fn who_may_only_read_has_no_buttons_and_is_refused(server) {
        let api = server.admin();
        let (ws, run, page) = planned(&api).await;
        let mut reader = member(server, &ws, "read").await;
        let shown = reader.get(&page).await.expect(200).text;
        says(&shown, &["Needs confirmation", "terraform_data.network"]);
        assert!(!shown.contains("Confirm &amp; apply") && !shown.contains("run-actions"));
        assert!(!shown.contains("comment-form"), "who may not plan may not comment");
        for action in ["apply", "discard", "cancel", "force-cancel", "comment"] {
            let refused = reader.send(&format!("{page}/{action}"), &[("comment", "Mine")]).await;
            assert!([403, 404].contains(&refused.status.as_u16()), "{action}: {}", refused.text);
        }
        assert_eq!(api.status(&run).await, "planned");
        assert!(!reader.get(&page).await.text.contains("Mine"));
        let mut planner = member(server, &ws, "plan").await;
        planner.get(&page).await.expect(200);
        let done = planner.send(&format!("{page}/comment"), &[("comment", "Why Tuesday?")]).await.expect(303);
        says(&planner.get(&done.location()).await.expect(200).text, &["plan", "commented", "Why Tuesday?"]);
        let empty = planner.send(&format!("{page}/comment"), &[("comment", " ")]).await.expect(422);
        says(&empty.text, &["can't be blank"]);
    }

    async fn who_was_too_late_sees_what_happened_instead(server) {
        let api = server.admin();
        let (_, run, page) = planned(&api).await;
        let mut browser = admin(server).await;
        browser.get(&page).await.expect(200);
        api.act(&format!("/runs/{run}/actions/discard")).await;
        let late = browser.send(&format!("{page}/apply"), &[("comment", "Go")]).await.expect(409).text;
        says(&late, &["Nothing was done", "Discarded", "admin discarded the run"]);
        assert!(!late.contains("run-actions"));
        browser.send(&format!("{page}/sing"), &[]).await.expect(404);
    }

    async fn a_run_that_failed_says_why_before_all_else(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({ "auto-apply": true })).await;
        let failing = "resource \"terraform_data\" \"x\" {
            provisioner \"local-exec\" { command = \"echo no such bucket >&2; exit 3\" }
        }";
        api.uploaded(&ws, archive(&[("main.tf", failing)])).await;
        let run = api.run(&ws, json!({ "auto-apply": true })).await;
        api.wait(&run, &["errored"]).await;
        let mut browser = admin(server).await;
        let shown = browser.get(&page(&run)).await.expect(200).text;
        says(&shown, &["Errored", "The run failed", "Error: local-exec provisioner error", "exit status 3", "Whole log"]);
        assert!(shown.find("local-exec provisioner error") < shown.find("Resources"), "first of all");

        let log = browser.get(&format!("{}/log?phase=apply", page(&run))).await.expect(200).text;
        says(&log, &["no such bucket", "Plain file"]);
        assert!(log.contains("id=\"L1\"") && log.contains("class=\"b k1\""), "colours are classes: {log}");
        let found = browser.get(&format!("{}/log?phase=apply&q=NO+SUCH+bucket", page(&run))).await.expect(200).text;
        says(&found, &["have that.", "no such bucket"]);
        assert!(found.contains("<mark>no such bucket</mark>") && found.contains("data-line"));
        says(&browser.get(&format!("{}/log?phase=apply&q=xyzzy", page(&run))).await.text, &["No line has that."]);
        let chunk = browser.get(&format!("{}/log/lines?phase=apply&from=0", page(&run))).await.expect(200).text;
        assert!(chunk.starts_with("<div class=\"chunk n") && !chunk.contains("<html"));
        let events = browser.get(&format!("{}/log/follow?phase=apply&from=0", page(&run))).await.expect(200);
        assert_eq!(events.header("content-type"), "text/event-stream");
        assert!(events.text.starts_with("event: lines\ndata: <div class=\"chunk"), "{}", events.text);
        assert!(events.text.ends_with("event: done\ndata:\n\n"), "{}", events.text);
    }

    async fn a_long_log_comes_in_pages_of_lines(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({ "auto-apply": true })).await;
        let chatty = "resource \"terraform_data\" \"x\" {
            provisioner \"local-exec\" { command = \"seq 1 1800\" }
        }";
        api.uploaded(&ws, archive(&[("main.tf", chatty)])).await;
        let run = api.run(&ws, json!({ "auto-apply": true })).await;
        api.wait(&run, &["applied"]).await;
        let mut browser = admin(server).await;
        let log = format!("{}/log?phase=apply", page(&run));
        let shown = browser.get(&log).await.expect(200).text;
        says(&shown, &["Lines 251 to 500", "Lines 1501 to 1750"]);
        assert!(shown.contains("id=\"L250\"") && !shown.contains("id=\"L251\""));
        let there = browser.get(&format!("{log}&line=1234#L1234")).await.expect(200).text;
        assert!(there.contains("id=\"L1234\"") && !there.contains("id=\"L2\""));
        says(&there, &["Lines 1 to 250"]);
        let raw = browser.get(&format!("{log}&raw=1")).await.expect(200).text;
        says(&raw, &["{\"@level\":\"info\""]);
        assert!(!shown.contains("@level"), "what is printed for programs is shown for people");
    }

    async fn what_changes_is_drawn_with_what_it_refers_to(server) {
        let api = server.admin();
        let (.., page) = planned(&api).await;
        let mut browser = admin(server).await;
        let shown = browser.get(&format!("{page}/graph")).await.expect(200).text;
        says(&shown, &["module.app.terraform_data.server refers to terraform_data.network", "2 create · module.app"]);
        assert!(shown.contains("<svg") && shown.contains("class=\"node create\"") && shown.contains("class=\"edge\""));
        let less = browser.get(&format!("{page}/graph?q=secret")).await.expect(200).text;
        assert!(!less.contains("class=\"edge\"") && less.contains("terraform_data.secret"));
    }

    async fn a_run_that_waits_says_what_for(server) {
        let api = server.admin();
        let ws = configured(&api, None, |main| main).await;
        api.lock(&ws).await;
        let run = api.run(&ws, json!({})).await;
        let mut browser = admin(server).await;
        let shown = browser.get(&page(&run)).await.expect(200).text;
        says(&shown, &["Pending", "Waiting. The workspace is locked by user admin", "Cancel run"]);
        let log = browser.get(&format!("{}/log", page(&run))).await.expect(200).text;
        says(&log, &["There is no log"]);
        let graph = browser.get(&format!("{}/graph", page(&run))).await.expect(200).text;
        says(&graph, &["There is no plan yet"]);
        browser.get(&page(&run)).await.expect(200);
        browser.send(&format!("{}/cancel", page(&run)), &[]).await.expect(303);
        api.wait(&run, &["canceled"]).await;
        says(&browser.get(&page(&run)).await.text, &["Canceled"]);
    }

    async fn an_operation_shows_its_command_and_offers_its_file(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let import = "import {\n to = terraform_data.found\n id = \"abc\"\n}\n";
        let speculative = json!({ "speculative": true, "auto-queue-runs": false });
        let (version, url) = api.configuration(&ws, speculative).await;
        api.put(&url, archive(&[("import.tf", import)])).await.expect(200);
        let arguments = json!({ "exec": { "arguments": ["plan", "-generate-config-out=made.tf"] } });
        let run = api.ask_run(&ws, Some(&version), arguments).await.expect(201).id();
        api.wait(&run, &["planned_and_finished"]).await;
        let mut browser = admin(server).await;
        let shown = browser.get(&page(&run)).await.expect(200).text;
        says(&shown, &["Operation", "terraform plan -generate-config-out=made.tf", "Download made.tf"]);
        let file = browser.get(&format!("{}/file", page(&run))).await.expect(200);
        assert!(file.header("content-disposition").contains("made.tf"));
        assert!(file.text.contains("resource \"terraform_data\" \"found\""), "{}", file.text);
    }
}
