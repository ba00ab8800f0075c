//! Operations through the API: `import`, `state mv`, `console` and others as runs (ADR 6), on the real engine.

use serde_json::{Value, json};
use testkit::{Answer, Api, Gate, TestServer, archive, on_both};

const MAIN: &str = "
    variable \"who\" {}
    resource \"terraform_data\" \"a\" { input = \"hello ${var.who}\" }
    output \"greeting\" { value = terraform_data.a.output }
    output \"hidden\" {
      value     = \"hunter2\"
      sensitive = true
    }
";

/// A workspace in which [`MAIN`] is applied.
async fn applied(admin: &Api) -> String {
    admin.organization("acme").await;
    let ws = admin.workspace("acme", "demo", json!({ "auto-apply": true })).await;
    let who = json!({ "data": { "attributes": { "key": "who", "value": "you", "category": "terraform" } } });
    admin.post(&format!("/workspaces/{ws}/vars"), who).await.expect(201);
    admin.uploaded(&ws, archive(&[("main.tf", MAIN)])).await;
    let run = admin.run(&ws, json!({})).await;
    admin.wait(&run, &["applied"]).await;
    ws
}

fn exec(line: &str) -> Value {
    json!({ "exec": { "arguments": line.split(' ').collect::<Vec<_>>() } })
}

/// Carries an operation out to its end and gives the run.
async fn done(api: &Api, ws: &str, attributes: Value) -> Answer {
    let run = api.ask_run(ws, None, attributes).await.expect(201).id();
    api.wait(&run, &["planned_and_finished"]).await
}

async fn printed(api: &Api, ws: &str, line: &str) -> String {
    let run = done(api, ws, exec(line)).await.id();
    api.log(&run, "plan").await
}

async fn serial(api: &Api, ws: &str) -> i64 {
    let state = api.get(&format!("/workspaces/{ws}/current-state-version")).await;
    state.attribute("serial").as_i64().unwrap()
}

async fn limited(server: &TestServer, ws: &str, name: &str, level: &str) -> Api {
    server.with_token(&server.admin().team_token("acme", name, ws, level).await)
}

on_both! {
    async fn states_are_changed_where_the_configuration_names_a_cloud_as_the_command_lines_do(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "network", json!({ "auto-apply": true })).await;
        let main = "
            terraform {
              cloud {
                organization = \"acme\"
                workspaces { name = \"network\" }
              }
            }
            resource \"terraform_data\" \"a\" {}
        ";
        admin.uploaded(&ws, archive(&[("main.tf", main)])).await;
        let run = admin.run(&ws, json!({})).await;
        admin.wait(&run, &["applied"]).await;
        let before = serial(&admin, &ws).await;
        done(&admin, &ws, exec("state mv terraform_data.a terraform_data.b")).await;
        assert!(printed(&admin, &ws, "state list").await.contains("terraform_data.b"));
        done(&admin, &ws, exec("state rm terraform_data.b")).await;
        assert_eq!(serial(&admin, &ws).await, before + 2);
    }

    async fn an_operation_is_a_run_with_the_workspaces_variables_and_state(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        let before = serial(&admin, &ws).await;

        let moved = done(&admin, &ws, exec("state mv terraform_data.a terraform_data.b")).await;
        let document = moved.json["data"]["attributes"].clone();
        assert_eq!(document["operation"], "exec");
        assert_eq!(document["message"], "state mv terraform_data.a terraform_data.b");
        assert_eq!(document["exec"]["arguments"][3], "terraform_data.b");
        assert_eq!(document["has-changes"], false);
        assert!(printed(&admin, &ws, "state list").await.contains("terraform_data.b"));
        assert_eq!(serial(&admin, &ws).await, before + 1);
        let state = admin.get(&format!("/workspaces/{ws}/current-state-version")).await;
        assert_eq!(state.related("run"), Some(moved.id().as_str()), "the state says which run made it");

        printed(&admin, &ws, "output -json greeting").await;
        assert_eq!(serial(&admin, &ws).await, before + 1, "what only reads stores no state");
        let workspace = admin.get(&format!("/workspaces/{ws}")).await;
        assert_eq!(workspace.attribute("locked"), false);
    }

    async fn a_console_reads_its_input_knows_variables_and_sees_the_state(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        let console = json!({ "exec": {
            "arguments": ["console"],
            "input": "\"${upper(var.who)} ${terraform_data.a.output}\"\n",
        } });
        let run = done(&admin, &ws, console).await.id();
        let log = admin.log(&run, "plan").await;
        assert!(log.contains("\"YOU hello you\""), "{log}");
        let shown = admin.get(&format!("/runs/{run}")).await.json.to_string();
        assert!(!shown.contains("upper"), "what was read is not shown: {shown}");
    }

    async fn generated_configuration_comes_back_as_a_file(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        let import = "import {\n to = terraform_data.found\n id = \"abc\"\n}\n";
        let speculative = json!({ "speculative": true, "auto-queue-runs": false });
        let (version, url) = admin.configuration(&ws, speculative).await;
        admin.put(&url, archive(&[("main.tf", MAIN), ("import.tf", import)])).await.expect(200);
        let line = exec("plan -generate-config-out=made.tf");
        let run = admin.ask_run(&ws, Some(&version), line).await.expect(201).id();
        let run = admin.wait(&run, &["planned_and_finished"]).await;
        assert_eq!(run.attribute("exec")["file"], "made.tf");
        let file = admin.get(&format!("/runs/{}/exec-file", run.id())).await.expect(200);
        let text = String::from_utf8(file.bytes).unwrap();
        assert!(text.contains("resource \"terraform_data\" \"found\""), "{text}");
        let current = admin.get(&format!("/workspaces/{ws}")).await;
        assert_ne!(current.related("current-configuration-version"), Some(version.as_str()));
    }

    async fn what_fails_says_so_and_leaves_the_state_and_the_lock(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        let before = serial(&admin, &ws).await;
        let run = admin.ask_run(&ws, None, exec("import terraform_data.none id")).await.expect(201).id();
        let run = admin.wait(&run, &["errored"]).await;
        assert_eq!(run.attribute("error-message"), "import failed with exit code 1");
        assert!(admin.log(&run.id(), "plan").await.contains("does not exist in the configuration"));
        admin.get(&format!("/runs/{}/exec-file", run.id())).await.expect(404);
        assert_eq!(serial(&admin, &ws).await, before);
        assert_eq!(admin.get(&format!("/workspaces/{ws}")).await.attribute("locked"), false);
    }

    async fn an_operation_waits_for_its_turn_and_the_lock(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        admin.lock(&ws).await;
        let run = admin.ask_run(&ws, None, exec("state list")).await.expect(201).id();
        let waiting = admin.get(&format!("/runs/{run}")).await;
        assert_eq!(waiting.attribute("status"), "pending");
        assert!(waiting.attribute("waiting-for")["message"].to_string().contains("locked by"));
        admin.unlock(&ws).await;
        admin.wait(&run, &["planned_and_finished"]).await;

        let gate = Gate::new().await;
        let (version, url) = admin.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        admin.put(&url, archive(&[("main.tf", &gate.configuration())])).await.expect(200);
        let holder = admin.ask_run(&ws, Some(&version), json!({})).await.expect(201).id();
        let visitor = gate.visitor().await;
        let behind = admin.ask_run(&ws, None, exec("state rm terraform_data.a")).await.expect(201).id();
        assert_eq!(admin.status(&behind).await, "pending", "behind {holder}");
        admin.act(&format!("/runs/{behind}/actions/discard")).await;
        assert_eq!(admin.status(&behind).await, "discarded");
        visitor.admit().await;
    }

    async fn who_may_not_read_the_state_sees_no_output_of_operations(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        let run = done(&admin, &ws, exec("output -raw hidden")).await;
        let plan = run.related("plan").unwrap();
        assert!(admin.get(&format!("/plans/{plan}")).await.attribute("log-read-url").is_string());

        let custom = json!({ "access": "custom", "runs": "plan", "state-versions": "read-outputs" });
        let token = admin.team_token("acme", "narrow", &ws, "read").await;
        let access = admin.get(&format!("/team-workspaces?filter%5Bworkspace%5D%5Bid%5D={ws}")).await.ids();
        for id in access {
            let body = json!({ "data": { "attributes": custom } });
            admin.patch(&format!("/team-workspaces/{id}"), body).await.expect(200);
        }
        let narrow = server.with_token(&token);
        let shown = narrow.get(&format!("/plans/{plan}")).await.expect(200);
        assert!(shown.attribute("log-read-url").is_null(), "{}", shown.json);
        narrow.get(&format!("/runs/{}/exec-file", run.id())).await.expect(404);
        narrow.ask_run(&ws, None, exec("state list")).await.expect(403);
    }

    async fn what_changes_the_state_asks_for_the_right_to_apply(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        let planner = limited(server, &ws, "planners", "plan").await;
        let refused = planner.ask_run(&ws, None, exec("taint terraform_data.a")).await.expect(403);
        assert!(refused.error().contains("applying runs and writing states"), "{}", refused.error());
        done(&planner, &ws, exec("state list")).await;
        let writer = limited(server, &ws, "writers", "write").await;
        done(&writer, &ws, exec("taint terraform_data.a")).await;
        let reader = limited(server, &ws, "readers", "read").await;
        reader.ask_run(&ws, None, exec("state list")).await.expect(404);
        let organization = server.with_token(&admin.organization_token("acme").await);
        organization.ask_run(&ws, None, exec("state list")).await.expect(404);
    }

    async fn a_command_line_that_is_not_allowed_makes_no_run(server) {
        let admin = server.admin();
        let ws = applied(&admin).await;
        for (line, why) in [
            ("apply", "make a run"),
            ("import -state=/etc/passwd a b", "locked by the run"),
            ("plan", "-generate-config-out=FILE"),
            ("state mv a", "takes 2 operands"),
        ] {
            let refused = admin.ask_run(&ws, None, exec(line)).await.expect(422);
            assert!(refused.error().contains(why), "{line}: {}", refused.error());
        }
        let both = json!({ "exec": { "arguments": ["state", "list"] }, "is-destroy": true });
        let refused = admin.ask_run(&ws, None, both).await.expect(422);
        assert!(refused.error().contains("cannot be combined"), "{}", refused.error());
        let input = json!({ "exec": { "arguments": ["state", "list"], "input": "x" } });
        assert!(admin.ask_run(&ws, None, input).await.expect(422).error().contains("reads nothing"));
        let runs = admin.get(&format!("/workspaces/{ws}/runs?filter%5Boperation%5D=exec")).await;
        assert!(runs.ids().is_empty());
    }
}
