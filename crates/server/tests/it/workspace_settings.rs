//! What workspaces inherit, when they are destroyed by themselves, and what an organization reserves.

use super::acceptance::CHANGE;
use serde_json::{Value, json};
use testkit::{Api, TestServer, archive, on_both};

const DAY: i64 = 24 * 3600 * 1_000_000;

fn attributes(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

async fn project(api: &Api, name: &str) -> String {
    api.post("/organizations/acme/projects", attributes(json!({ "name": name }))).await.expect(201).id()
}

async fn set(api: &Api, ws: &str, wanted: Value) -> testkit::Answer {
    api.patch(&format!("/workspaces/{ws}"), attributes(wanted)).await
}

async fn moved(api: &Api, project: &str, ws: &str) {
    let body = json!({ "data": [{ "type": "workspaces", "id": ws }] });
    api.post(&format!("/projects/{project}/relationships/workspaces"), body).await.expect(204);
}

async fn mode(api: &Api, ws: &str) -> String {
    let shown = api.get(&format!("/workspaces/{ws}")).await.expect(200);
    shown.attribute("execution-mode").as_str().unwrap().to_owned()
}

async fn made(api: &Api, ws: &str) {
    api.uploaded(ws, archive(&[("main.tf", CHANGE)])).await;
    let run = api.run(ws, json!({ "auto-apply": true })).await;
    api.wait(&run, &["applied"]).await;
}

async fn runs(api: &Api, ws: &str) -> Vec<String> {
    api.get(&format!("/workspaces/{ws}/runs")).await.expect(200).ids()
}

async fn sweep(server: &TestServer) {
    runs::auto_destroy::sweep(&server.assembled.app).await.unwrap();
}

on_both! {
    async fn a_workspace_works_as_its_project_does_and_that_as_its_organization(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let network = project(&admin, "network").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        moved(&admin, &network, &ws).await;
        let organization = |mode: &str| admin.patch("/organizations/acme", attributes(json!({ "default-execution-mode": mode })));
        organization("local").await.expect(200);
        assert_eq!(mode(&admin, &ws).await, "local");
        let shown = admin.get(&format!("/projects/{network}")).await;
        assert_eq!(shown.attribute("default-execution-mode"), "local");
        let own = attributes(json!({ "default-execution-mode": "remote" }));
        let shown = admin.patch(&format!("/projects/{network}"), own).await.expect(200);
        assert_eq!(shown.attribute("setting-overwrites")["default-execution-mode"], true);
        assert_eq!(mode(&admin, &ws).await, "remote");
        let shown = set(&admin, &ws, json!({ "operations": false })).await.expect(200);
        assert_eq!(shown.attribute("execution-mode"), "local");
        assert_eq!(shown.attribute("setting-overwrites")["execution-mode"], true);
        organization("remote").await.expect(200);
        assert_eq!(mode(&admin, &ws).await, "local", "its own wish");
        let back = set(&admin, &ws, json!({ "setting-overwrites": { "execution-mode": false } })).await.expect(200);
        assert_eq!(back.attribute("execution-mode"), "remote");
        let none = attributes(json!({ "setting-overwrites": { "default-execution-mode": false } }));
        admin.patch(&format!("/projects/{network}"), none).await.expect(200);
        organization("local").await.expect(200);
        assert_eq!(mode(&admin, &ws).await, "local");
        admin.ask_run(&ws, None, json!({})).await.expect(422);
    }

    async fn a_state_is_shared_with_the_project_or_with_all_and_not_with_both(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({ "project-remote-state": true })).await;
        let both = json!({ "project-remote-state": true, "global-remote-state": true });
        let refused = set(&admin, &ws, both).await.expect(422);
        assert!(refused.error().contains("cannot be enabled when global"), "{}", refused.error());
        let all = set(&admin, &ws, json!({ "global-remote-state": true })).await.expect(200);
        assert_eq!(all.attribute("project-remote-state"), false);
        set(&admin, &ws, json!({ "project-remote-state": true })).await.expect(422);
    }

    async fn a_workspace_that_is_due_is_destroyed_once(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        made(&admin, &ws).await;
        let at = server.assembled.app.now().plus_seconds(3 * 3600).iso8601();
        let shown = set(&admin, &ws, json!({ "auto-destroy-at": at })).await.expect(200);
        assert_eq!(shown.attribute("auto-destroy-at"), at.as_str());
        assert_eq!(set(&admin, &ws, json!({})).await.attribute("auto-destroy-at"), at.as_str());
        sweep(server).await;
        assert_eq!(runs(&admin, &ws).await.len(), 1, "not yet");
        server.assembled.app.env.advance(DAY);
        tokio::join!(sweep(server), sweep(server));
        let all = runs(&admin, &ws).await;
        assert_eq!(all.len(), 2);
        let run = admin.wait(&all[0], &["applied"]).await;
        assert_eq!((run.attribute("is-destroy"), run.attribute("source")), (&json!(true), &json!("tfe-infrastructure-lifecycle")));
        assert!(run.attribute("message").as_str().unwrap().contains("was scheduled for"));
        let shown = admin.get(&format!("/workspaces/{ws}")).await;
        assert_eq!((shown.attribute("resource-count"), shown.attribute("auto-destroy-at")), (&json!(0), &Value::Null));
        sweep(server).await;
        assert_eq!(runs(&admin, &ws).await.len(), 2);
    }

    async fn a_duration_begins_anew_with_each_apply_and_is_the_projects_unless_it_is_its_own(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let network = project(&admin, "network").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        moved(&admin, &network, &ws).await;
        admin.patch(&format!("/projects/{network}"), attributes(json!({ "auto-destroy-activity-duration": "14x" }))).await.expect(422);
        admin.patch(&format!("/projects/{network}"), attributes(json!({ "auto-destroy-activity-duration": "2d" }))).await.expect(200);
        let shown = admin.get(&format!("/workspaces/{ws}")).await;
        assert_eq!(shown.attribute("auto-destroy-activity-duration"), "2d");
        let first = shown.attribute("auto-destroy-at").as_str().unwrap().to_owned();
        server.assembled.app.env.advance(DAY);
        made(&admin, &ws).await;
        let next = admin.get(&format!("/workspaces/{ws}")).await.attribute("auto-destroy-at").as_str().unwrap().to_owned();
        assert!(next > first, "{first} {next}");
        let own = set(&admin, &ws, json!({ "auto-destroy-activity-duration": "30d" })).await.expect(200);
        assert_eq!(own.attribute("inherits-project-auto-destroy"), false);
        admin.patch(&format!("/projects/{network}"), attributes(json!({ "auto-destroy-activity-duration": "1h" }))).await.expect(200);
        server.assembled.app.env.advance(3 * DAY);
        sweep(server).await;
        assert_eq!(runs(&admin, &ws).await.len(), 1);
        let both = json!({ "auto-destroy-activity-duration": "30d", "auto-destroy-at": "2030-01-01T00:00:00Z" });
        set(&admin, &ws, both).await.expect(422);
        let off = set(&admin, &ws, json!({ "auto-destroy-activity-duration": null })).await.expect(200);
        assert_eq!(off.attribute("auto-destroy-at"), &Value::Null);
        let back = set(&admin, &ws, json!({ "inherits-project-auto-destroy": true })).await.expect(200);
        assert_eq!(back.attribute("auto-destroy-activity-duration"), "1h");
        server.assembled.app.env.advance(DAY);
        sweep(server).await;
        let all = runs(&admin, &ws).await;
        assert_eq!(all.len(), 2);
        admin.wait(&all[0], &["applied"]).await;
        assert_eq!(admin.get(&format!("/workspaces/{ws}")).await.attribute("auto-destroy-at"), &Value::Null);
    }

    async fn a_reserved_key_of_the_project_cannot_be_overridden(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let network = project(&admin, "network").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let binding = |value: &str| json!({ "data": [{ "type": "tag-bindings", "attributes": { "key": "cost", "value": value } }] });
        let reserve = |key: &str| admin.post(
            "/organizations/acme/reserved-tag-keys",
            attributes(json!({ "key": key, "disable-overrides": true })),
        );
        let id = reserve("cost").await.expect(201).id();
        assert!(reserve("cost").await.expect(422).error().ends_with("Key has already been taken"));
        assert!(reserve("a b").await.expect(422).error().ends_with("Key is invalid"));
        admin.patch(&format!("/projects/{network}/tag-bindings"), binding("7")).await.expect(200);
        admin.patch(&format!("/workspaces/{ws}/tag-bindings"), binding("8")).await.expect(200);
        let body = json!({ "data": [{ "type": "workspaces", "id": ws }] });
        let into = format!("/projects/{network}/relationships/workspaces");
        assert!(admin.post(&into, body.clone()).await.expect(422).error().contains("\"cost\" is reserved"));
        admin.delete(&format!("/workspaces/{ws}/tag-bindings")).await.expect(204);
        admin.post(&into, body).await.expect(204);
        let refused = admin.patch(&format!("/workspaces/{ws}/tag-bindings"), binding("8")).await.expect(422);
        assert!(refused.error().contains("\"cost\" is reserved"), "{}", refused.error());
        let flat = json!({ "data": [{ "type": "tags", "attributes": { "name": "cost" } }] });
        admin.post(&format!("/workspaces/{ws}/relationships/tags"), flat).await.expect(422);
        let allow = attributes(json!({ "disable-overrides": false }));
        admin.patch(&format!("/reserved-tag-keys/{id}"), allow).await.expect(200);
        admin.patch(&format!("/workspaces/{ws}/tag-bindings"), binding("8")).await.expect(200);
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "admin").await);
        assert_eq!(reader.get("/organizations/acme/reserved-tag-keys").await.expect(200).ids(), [id.as_str()]);
        reader.delete(&format!("/reserved-tag-keys/{id}")).await.expect(404);
        admin.delete(&format!("/reserved-tag-keys/{id}")).await.expect(204);
    }

    async fn a_workspace_names_its_variables_its_outputs_and_how_many_runs_it_had(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "zebra", json!({})).await;
        admin.workspace("acme", "ant", json!({})).await;
        made(&admin, &ws).await;
        let variable = attributes(json!({ "key": "k", "value": "v", "category": "env" }));
        let variable = admin.post(&format!("/workspaces/{ws}/vars"), variable).await.expect(201).id();
        let shown = admin.get(&format!("/workspaces/{ws}?include=outputs")).await.expect(200);
        assert_eq!(shown.json["data"]["relationships"]["vars"]["data"][0]["id"], variable.as_str());
        assert_eq!(shown.attribute("workspace-kpis-runs-count"), 1);
        let output = &shown.json["included"][0];
        assert_eq!((&output["type"], &output["attributes"]["value"]), (&json!("workspace-outputs"), &json!("x")));
        let list = admin.get("/organizations/acme/workspaces").await;
        assert_eq!(list.json["data"][0]["attributes"]["name"], "zebra", "the oldest first");
        let list = admin.get("/organizations/acme/workspaces?sort=name&include=vars").await;
        assert_eq!(list.json["data"][0]["attributes"]["name"], "ant");
        assert_eq!(list.json["included"][0]["id"], variable.as_str());
    }

    async fn a_run_shows_its_variables_and_a_comment_is_an_event(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        admin.lock(&ws).await;
        let variables = json!([{ "key": "who", "value": "\"world\"" }]);
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let run = admin.ask_run(&ws, None, json!({ "variables": variables })).await.expect(201);
        assert_eq!(run.attribute("variables"), &variables);
        assert!(!run.json["data"]["relationships"]["run-events"]["data"].as_array().unwrap().is_empty());
        let id = run.id();
        assert_eq!(admin.get(&format!("/runs/{id}")).await.attribute("variables"), &variables);
        assert_eq!(admin.get(&format!("/workspaces/{ws}/runs")).await.json["data"][0]["attributes"]["variables"], variables);
        let sql = "SELECT options FROM runs";
        let (options,): (String,) = server.assembled.app.db.one(sql, vec![]).await.unwrap().unwrap();
        assert!(!options.contains("world"), "they are sealed");
        admin.post(&format!("/runs/{id}/comments"), attributes(json!({ "body": "why?" }))).await.expect(201);
        let events = admin.get(&format!("/runs/{id}/run-events?include=actor,comment")).await;
        let event = events.json["data"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(event["attributes"]["action"], "commented");
        let bodies: Vec<_> = events.json["included"].as_array().unwrap().iter().map(|i| i["attributes"]["body"].clone()).collect();
        assert!(bodies.contains(&json!("why?")));
        let plain = admin.ask_run(&ws, None, json!({})).await.expect(201);
        assert_eq!(plain.attribute("variables"), &Value::Null);
    }
}
