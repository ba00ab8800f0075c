//! Agent pools: who may use which, what settings inherit, and that runs wait for agents and not for this server.

use super::acceptance::CHANGE;
use serde_json::{Value, json};
use testkit::{Answer, Api, archive, on_both};

async fn pool(api: &Api, name: &str, attributes: Value, relations: Value) -> String {
    let mut attributes = attributes;
    attributes["name"] = json!(name);
    let body =
        json!({ "data": { "type": "agent-pools", "attributes": attributes, "relationships": relations } });
    api.post("/organizations/acme/agent-pools", body).await.expect(201).id()
}

fn members(kind: &str, ids: &[&str]) -> Value {
    json!({ "data": ids.iter().map(|id| json!({ "type": kind, "id": id })).collect::<Vec<_>>() })
}

fn attributes(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

async fn set(api: &Api, path: &str, of: Value) -> Answer {
    api.patch(path, attributes(of)).await
}

/// Of the organization, with its pool.
async fn default_to(api: &Api, mode: &str, pool: Option<&str>) -> Answer {
    let relations =
        pool.map(|id| json!({ "default-agent-pool": { "data": { "type": "agent-pools", "id": id } } }));
    let body = json!({ "data": { "attributes": { "default-execution-mode": mode },
        "relationships": relations.unwrap_or(json!({})) } });
    api.patch("/organizations/acme", body).await
}

fn executes(of: &Answer) -> (String, Option<String>) {
    let of = if of.json["data"]["type"] == "workspaces" {
        (of.attribute("execution-mode"), of.related("agent-pool"))
    } else {
        (of.attribute("default-execution-mode"), of.related("default-agent-pool"))
    };
    (of.0.as_str().unwrap().to_owned(), of.1.map(str::to_owned))
}

on_both! {
    async fn mode_and_pool_go_together_and_come_from_the_project_or_the_organization(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ours = pool(&admin, "ours", json!({}), json!({})).await;
        let other = pool(&admin, "other", json!({}), json!({})).await;
        let project = admin.post("/organizations/acme/projects", attributes(json!({ "name": "network" }))).await.id();
        let place = json!({ "project": { "data": { "type": "projects", "id": project } } });
        let body = json!({ "data": { "attributes": { "name": "demo" }, "relationships": place } });
        let ws = admin.post("/organizations/acme/workspaces", body).await.expect(201).id();
        let (of_project, of_ws) = (format!("/projects/{project}"), format!("/workspaces/{ws}"));
        let agent = |id: &str| ("agent".to_owned(), Some(id.to_owned()));
        let remote = || ("remote".to_owned(), None);

        for (mode, pool, said) in [
            ("agent", None, "must be specified when using 'agent' execution mode"),
            ("local", Some(ours.as_str()), "must not be specified unless using 'agent' execution mode"),
            ("agent", Some("apool-none"), "does not exist in this organization"),
        ] {
            let refused = default_to(&admin, mode, pool).await.expect(422);
            assert!(refused.error().contains(said), "{}", refused.error());
        }
        assert_eq!(executes(&default_to(&admin, "agent", Some(&ours)).await.expect(200)), agent(&ours));
        assert_eq!(executes(&admin.get(&of_project).await), agent(&ours));
        assert_eq!(executes(&admin.get(&of_ws).await), agent(&ours));

        let own = json!({ "default-execution-mode": "agent", "default-agent-pool-id": other });
        assert_eq!(executes(&set(&admin, &of_project, own).await.expect(200)), agent(&other));
        assert_eq!(executes(&admin.get(&of_ws).await), agent(&other));
        let one_only = json!({ "setting-overwrites": { "execution-mode": true, "agent-pool": false } });
        set(&admin, &of_ws, one_only).await.expect(422);
        let alone = set(&admin, &of_ws, json!({ "execution-mode": "remote" })).await.expect(200);
        assert_eq!((executes(&alone), &alone.attribute("setting-overwrites")["agent-pool"]), (remote(), &json!(true)));
        let given_back = json!({ "setting-overwrites": { "execution-mode": false, "agent-pool": false } });
        assert_eq!(executes(&set(&admin, &of_ws, given_back).await.expect(200)), agent(&other));
        let given_back = json!({ "setting-overwrites": { "default-execution-mode": false } });
        assert_eq!(executes(&set(&admin, &of_project, given_back).await.expect(200)), agent(&ours));
        assert_eq!(executes(&default_to(&admin, "remote", None).await.expect(200)), remote());
        assert_eq!(executes(&admin.get(&of_ws).await), remote());
    }

    async fn a_run_for_agents_waits_says_for_whom_and_begins_here_once_the_mode_is_remote(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let pool = pool(&admin, "ours", json!({}), json!({})).await;
        let ws = admin.workspace("acme", "demo", json!({ "execution-mode": "agent", "agent-pool-id": pool })).await;
        let aside = admin.workspace("acme", "aside", json!({})).await;
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        admin.uploaded(&aside, archive(&[("main.tf", CHANGE)])).await;
        let waiting = admin.run(&ws, json!({})).await;
        let speculative = admin.run(&ws, json!({ "plan-only": true })).await;
        // The scheduler has looked at all of them.
        let here = admin.run(&aside, json!({ "plan-only": true })).await;
        admin.wait(&here, &["planned_and_finished"]).await;
        for run in [&waiting, &speculative] {
            let found = admin.get(&format!("/runs/{run}")).await;
            assert_eq!(found.attribute("status"), "pending");
            assert_eq!(found.attribute("waiting-for")["type"], "agent");
            assert_eq!(found.attribute("waiting-for")["pool"], pool);
            let said = found.attribute("waiting-for")["message"].as_str().unwrap();
            assert!(said.contains("ours") && said.contains("no agent connected"), "{said}");
        }
        let named = admin.get("/organizations/acme/runs?filter%5Bagent_pool_names%5D=ours").await.expect(200);
        assert_eq!(named.ids(), std::slice::from_ref(&waiting));
        let others = admin.get("/organizations/acme/runs?filter%5Bagent_pool_names%5D=others").await.expect(200);
        assert!(others.ids().is_empty());
        set(&admin, &format!("/workspaces/{ws}"), json!({ "execution-mode": "remote" })).await.expect(200);
        admin.wait(&waiting, &["planned"]).await;
        admin.wait(&speculative, &["planned_and_finished"]).await;
        // A confirmed apply waits likewise.
        let again = json!({ "execution-mode": "agent", "agent-pool-id": pool });
        set(&admin, &format!("/workspaces/{ws}"), again).await.expect(200);
        admin.act(&format!("/runs/{waiting}/actions/apply")).await;
        let here = admin.run(&aside, json!({ "plan-only": true })).await;
        admin.wait(&here, &["planned_and_finished"]).await;
        let found = admin.get(&format!("/runs/{waiting}")).await;
        assert_eq!(found.attribute("status"), "apply_queued");
        assert_eq!(found.attribute("waiting-for")["type"], "agent");
        admin.act(&format!("/runs/{waiting}/actions/cancel")).await;
    }

    async fn a_pool_is_for_those_it_allows_and_stays_while_it_is_in_use(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let (ws, other) =
            (admin.workspace("acme", "demo", json!({})).await, admin.workspace("acme", "other", json!({})).await);
        let project = admin.get("/organizations/acme").await.related("default-project").unwrap().to_owned();
        let narrow = json!({ "organization-scoped": false });
        let few = pool(&admin, "few", narrow.clone(), json!({ "allowed-workspaces": members("workspaces", &[&ws]) })).await;
        let by_project = json!({ "allowed-projects": members("projects", &[&project]),
            "excluded-workspaces": members("workspaces", &[&other]) });
        let most = pool(&admin, "most", narrow, by_project).await;
        let wish = |pool: &str| json!({ "execution-mode": "agent", "agent-pool-id": pool });
        let refused = set(&admin, &format!("/workspaces/{other}"), wish(&few)).await.expect(422);
        assert!(refused.error().contains("few is not for this workspace"), "{}", refused.error());
        set(&admin, &format!("/workspaces/{other}"), wish(&most)).await.expect(422);
        set(&admin, &format!("/workspaces/{ws}"), wish(&most)).await.expect(200);
        set(&admin, &format!("/workspaces/{ws}"), wish(&few)).await.expect(200);
        let filter = "/organizations/acme/agent-pools?filter%5Ballowed_workspaces%5D%5Bname%5D";
        assert_eq!(admin.get(&format!("{filter}=demo")).await.expect(200).ids(), [few.clone(), most.clone()]);
        assert!(admin.get(&format!("{filter}=other")).await.expect(200).ids().is_empty());
        let included = admin.get(&format!("/agent-pools/{few}?include=workspaces")).await.expect(200);
        assert_eq!(included.json["included"][0]["id"], ws);

        let refused = admin.delete(&format!("/agent-pools/{few}")).await.expect(422);
        assert!(refused.error().contains("in use by workspace demo"), "{}", refused.error());
        // It is taken from the workspace that uses it: its runs go on to say so.
        let emptied = json!({ "data": { "relationships": { "allowed-workspaces": { "data": [] } } } });
        admin.patch(&format!("/agent-pools/{few}"), emptied).await.expect(200);
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let run = admin.run(&ws, json!({})).await;
        let said = admin.get(&format!("/runs/{run}")).await.attribute("waiting-for")["message"].to_string();
        assert!(said.contains("does not allow this workspace"), "{said}");
        set(&admin, &format!("/workspaces/{ws}"), json!({ "execution-mode": "local" })).await.expect(200);
        admin.delete(&format!("/agent-pools/{few}")).await.expect(204);
        admin.get(&format!("/agent-pools/{few}")).await.expect(404);
    }

    async fn pools_are_seen_by_who_manages_or_may_choose_them_and_agents_tokens_open_nothing_else(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let id = pool(&admin, "ours", json!({}), json!({})).await;
        let taken = attributes(json!({ "name": "ours" }));
        admin.post("/organizations/acme/agent-pools", taken).await.expect(422);
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        for path in ["/organizations/acme/agent-pools".to_owned(), format!("/agent-pools/{id}")] {
            reader.get(&path).await.expect(404);
        }
        let tokens = format!("/agent-pools/{id}/authentication-tokens");
        reader.post(&tokens, attributes(json!({ "description": "x" }))).await.expect(404);
        admin.post(&tokens, attributes(json!({}))).await.expect(422);
        let made = admin.post(&tokens, attributes(json!({ "description": "rack 1" }))).await.expect(201);
        assert_eq!(made.attribute("expired-at"), &Value::Null);
        let text = made.attribute("token").as_str().unwrap().to_owned();
        server.with_token(&text).get("/account/details").await.expect(401);
        let listed = admin.get(&tokens).await.expect(200);
        assert_eq!((listed.ids(), &listed.json["meta"]["pagination"]["total-count"]), (vec![made.id()], &json!(1)));
        let own = format!("/authentication-tokens/{}", made.id());
        reader.get(&own).await.expect(404);
        assert_eq!(admin.get(&own).await.expect(200).attribute("token"), &Value::Null);
        admin.delete(&own).await.expect(204);
        admin.delete(&own).await.expect(404);
        admin.delete(&format!("/agent-pools/{id}")).await.expect(204);
        admin.delete("/organizations/acme").await.expect(204);
    }
}
