//! Variable sets: where they hold, who wins, who may see and change them.

use serde_json::{Value, json};
use testkit::{Api, TestServer, archive, on_both};

async fn set(api: &Api, name: &str, attributes: Value, relationships: Value) -> String {
    let mut attributes = attributes;
    attributes["name"] = json!(name);
    let body =
        json!({ "data": { "type": "varsets", "attributes": attributes, "relationships": relationships } });
    api.post("/organizations/acme/varsets", body).await.expect(201).id()
}

fn of(kind: &str, ids: &[&str]) -> Value {
    json!({ "data": ids.iter().map(|id| json!({ "type": kind, "id": id })).collect::<Vec<_>>() })
}

async fn variable(api: &Api, set: &str, key: &str, value: &str, more: Value) -> String {
    let mut attributes = json!({ "key": key, "value": value, "category": "terraform" });
    for (name, value) in more.as_object().unwrap() {
        attributes[name] = value.clone();
    }
    let body = json!({ "data": { "type": "vars", "attributes": attributes } });
    api.post(&format!("/varsets/{set}/relationships/vars"), body).await.expect(201).id()
}

async fn of_workspace(api: &Api, ws: &str, key: &str, value: &str) {
    let body = json!({ "data": { "attributes": { "key": key, "value": value, "category": "terraform" } } });
    api.post(&format!("/workspaces/{ws}/vars"), body).await.expect(201);
}

async fn project(api: &Api, name: &str) -> String {
    let body = json!({ "data": { "type": "projects", "attributes": { "name": name } } });
    api.post("/organizations/acme/projects", body).await.expect(201).id()
}

async fn in_project(api: &Api, name: &str, project: &str) -> String {
    let ws = api.workspace("acme", name, json!({ "auto-apply": true })).await;
    api.post(&format!("/projects/{project}/relationships/workspaces"), of("workspaces", &[&ws]))
        .await
        .expect(204);
    ws
}

/// Key and value of every variable that holds.
async fn held(api: &Api, ws: &str) -> Vec<(String, String)> {
    let list = api.get(&format!("/workspaces/{ws}/all-vars")).await.expect(200);
    let text = |item: &Value, name: &str| item["attributes"][name].as_str().unwrap_or_default().to_owned();
    list.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(item, "key"), text(item, "value")))
        .collect()
}

async fn greeted(api: &Api, ws: &str, attributes: Value) -> String {
    let main = "variable \"who\" {}\nvariable \"how\" { default = \"hello\" }\noutput \"greeting\" { value = \"${var.how} ${var.who}\" }\n";
    api.uploaded(ws, archive(&[("main.tf", main)])).await;
    let run = api.run(ws, attributes).await;
    api.wait(&run, &["applied"]).await;
    let outputs = api.get(&format!("/workspaces/{ws}/current-state-version-outputs")).await;
    outputs.json["data"][0]["attributes"]["value"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_run_takes_the_variables_of_its_sets_and_the_more_specific_wins(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let network = project(&admin, "network").await;
        let ws = in_project(&admin, "demo", &network).await;
        let global = set(&admin, "everywhere", json!({ "global": true }), json!({})).await;
        variable(&admin, &global, "who", "world", json!({})).await;
        variable(&admin, &global, "how", "hi", json!({})).await;
        assert_eq!(greeted(&admin, &ws, json!({})).await, "hi world");
        let of_project = set(&admin, "of the project", json!({}), json!({ "projects": of("projects", &[&network]) })).await;
        variable(&admin, &of_project, "who", "network", json!({})).await;
        assert_eq!(greeted(&admin, &ws, json!({})).await, "hi network");
        of_workspace(&admin, &ws, "who", "workspace").await;
        assert_eq!(greeted(&admin, &ws, json!({})).await, "hi workspace");
        let own = json!({ "variables": [{ "key": "who", "value": "\"run\"" }] });
        assert_eq!(greeted(&admin, &ws, own.clone()).await, "hi run");
        let body = json!({ "data": { "attributes": { "priority": true } } });
        admin.patch(&format!("/varsets/{global}"), body).await.expect(200);
        assert_eq!(greeted(&admin, &ws, own).await, "hi world", "priority beats even the run's own");

        let list = admin.get(&format!("/workspaces/{ws}/all-vars?include=overwritten")).await;
        let who = list.json["data"].as_array().unwrap().iter().find(|v| v["attributes"]["key"] == "who").unwrap();
        assert_eq!(who["relationships"]["varset"]["data"]["id"], global.as_str());
        assert_eq!(who["relationships"]["overwritten"]["data"].as_array().unwrap().len(), 2);
        assert_eq!(list.json["included"].as_array().unwrap().len(), 2, "who is overridden is there to be seen");
    }

    async fn a_set_holds_where_it_is_put_and_nowhere_else(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let (one, two) = (project(&admin, "one").await, project(&admin, "two").await);
        let (a, b) = (in_project(&admin, "a", &one).await, in_project(&admin, "b", &two).await);
        let some = set(&admin, "some", json!({}), json!({ "workspaces": of("workspaces", &[&a]) })).await;
        variable(&admin, &some, "k", "v", json!({})).await;
        let pair = vec![("k".to_owned(), "v".to_owned())];
        assert_eq!((held(&admin, &a).await, held(&admin, &b).await), (pair.clone(), vec![]));
        let path = format!("/varsets/{some}/relationships");
        admin.post(&format!("{path}/projects"), of("projects", &[&two])).await.expect(204);
        let body = Some(of("workspaces", &[&a]));
        admin.send(reqwest::Method::DELETE, &format!("{path}/workspaces"), body).await.expect(204);
        assert_eq!((held(&admin, &a).await, held(&admin, &b).await), (vec![], pair.clone()));
        let empty = json!({ "data": { "attributes": {}, "relationships": { "projects": { "data": [] } } } });
        let shown = admin.patch(&format!("/varsets/{some}"), empty).await.expect(200);
        assert_eq!(shown.attribute("project-count"), 0);
        assert_eq!(held(&admin, &b).await, vec![]);
        let everywhere = json!({ "data": { "attributes": { "global": true } } });
        admin.patch(&format!("/varsets/{some}"), everywhere).await.expect(200);
        assert_eq!((held(&admin, &a).await, held(&admin, &b).await), (pair.clone(), pair));
        let refused = admin.post(&format!("{path}/workspaces"), of("workspaces", &[&a])).await.expect(422);
        assert!(refused.error().contains("is global"), "{}", refused.error());
        admin.delete(&format!("/varsets/{some}")).await.expect(204);
        assert_eq!(held(&admin, &a).await, vec![]);
    }

    async fn a_set_of_a_project_is_the_projects_own_affair(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let (one, two) = (project(&admin, "one").await, project(&admin, "two").await);
        let (a, b) = (in_project(&admin, "a", &one).await, in_project(&admin, "b", &two).await);
        let parent = |id: &str| json!({ "parent": { "data": { "type": "projects", "id": id } } });
        let own = set(&admin, "own", json!({}), parent(&one)).await;
        let refused = admin.post(&format!("/varsets/{own}/relationships/workspaces"), of("workspaces", &[&b])).await;
        assert!(refused.expect(422).error().contains("holds only there"));
        admin.post(&format!("/varsets/{own}/relationships/workspaces"), of("workspaces", &[&a])).await.expect(204);
        let global = json!({ "data": { "attributes": { "name": "x", "global": true }, "relationships": parent(&one) } });
        admin.post("/organizations/acme/varsets", global).await.expect(422);

        let maintainer = with_project_access(server, "maintainers", &one, "maintain").await;
        let body = json!({ "data": { "attributes": { "description": "ours" } } });
        maintainer.patch(&format!("/varsets/{own}"), body.clone()).await.expect(200);
        let writer = with_project_access(server, "writers", &one, "write").await;
        writer.get(&format!("/varsets/{own}")).await.expect(200);
        writer.patch(&format!("/varsets/{own}"), body.clone()).await.expect(404);
        let stranger = with_project_access(server, "strangers", &two, "admin").await;
        stranger.get(&format!("/varsets/{own}")).await.expect(404);
        stranger.patch(&format!("/varsets/{own}"), body).await.expect(404);
        assert_eq!(stranger.get("/organizations/acme/varsets").await.ids(), Vec::<String>::new());
        let theirs = json!({ "data": { "attributes": { "name": "mine" }, "relationships": parent(&one) } });
        stranger.post("/organizations/acme/varsets", theirs.clone()).await.expect(404);
        maintainer.post("/organizations/acme/varsets", theirs).await.expect(201);
        let of_all = json!({ "data": { "attributes": { "name": "all", "global": true } } });
        maintainer.post("/organizations/acme/varsets", of_all).await.expect(404);
    }

    async fn values_of_sets_are_seen_where_variables_are_and_secrets_nowhere(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let (a, b) = (admin.workspace("acme", "a", json!({})).await, admin.workspace("acme", "b", json!({})).await);
        let some = set(&admin, "some", json!({}), json!({ "workspaces": of("workspaces", &[&a]) })).await;
        let secret = variable(&admin, &some, "secret", "hunter2", json!({ "sensitive": true })).await;
        let reader = server.with_token(&admin.team_token("acme", "readers", &a, "read").await);
        let shown = reader.get(&format!("/varsets/{some}/relationships/vars/{secret}")).await.expect(200);
        assert!(shown.attribute("value").is_null());
        reader.delete(&format!("/varsets/{some}/relationships/vars/{secret}")).await.expect(404);
        let other = server.with_token(&admin.team_token("acme", "others", &b, "read").await);
        other.get(&format!("/varsets/{some}")).await.expect(404);
        other.get(&format!("/varsets/{some}/relationships/vars")).await.expect(404);
        other.get(&format!("/workspaces/{b}/varsets/{some}/relationships/vars")).await.expect(404);
        other.get(&format!("/workspaces/{a}/varsets")).await.expect(404);
    }

    async fn two_global_sets_cannot_give_the_same_variable(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let one = set(&admin, "one", json!({ "global": true }), json!({})).await;
        variable(&admin, &one, "k", "1", json!({})).await;
        let two = set(&admin, "two", json!({ "global": true }), json!({})).await;
        let body = json!({ "data": { "attributes": { "key": "k", "value": "2", "category": "terraform" } } });
        let refused = admin.post(&format!("/varsets/{two}/relationships/vars"), body).await.expect(422);
        assert!(refused.error().contains("\"one\""), "{}", refused.error());
        let three = set(&admin, "three", json!({ "global": false }), json!({})).await;
        variable(&admin, &three, "k", "3", json!({})).await;
        let global = json!({ "data": { "attributes": { "global": true } } });
        let refused = admin.patch(&format!("/varsets/{three}"), global).await.expect(422);
        assert!(refused.error().contains("\"k\""), "{}", refused.error());
    }

    async fn access_to_a_project_is_access_to_its_workspaces(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let (one, two) = (project(&admin, "one").await, project(&admin, "two").await);
        let (a, b) = (in_project(&admin, "a", &one).await, in_project(&admin, "b", &two).await);
        let writer = with_project_access(server, "writers", &one, "write").await;
        let shown = writer.get(&format!("/workspaces/{a}")).await.expect(200);
        assert_eq!(shown.attribute("permissions")["can-queue-apply"], true);
        assert_eq!(shown.attribute("permissions")["can-update"], false);
        writer.get(&format!("/workspaces/{b}")).await.expect(404);
        writer.get(&format!("/projects/{two}")).await.expect(404);
        writer.get(&format!("/team-projects?filter%5Bproject%5D%5Bid%5D={one}")).await.expect(404);
        let list = admin.get(&format!("/team-projects?filter%5Bproject%5D%5Bid%5D={one}")).await;
        let id = list.ids()[0].clone();
        let custom = json!({ "data": { "attributes": {
            "access": "custom",
            "project-access": { "variable-sets": "manage" },
            "workspace-access": { "runs": "read", "variables": "none" },
        } } });
        let changed = admin.patch(&format!("/team-projects/{id}"), custom).await.expect(200);
        assert_eq!(changed.attribute("workspace-access")["state-versions"], "write", "what was not named stays");
        assert_eq!(changed.attribute("project-access")["variable-sets"], "write", "one right with two names");
        writer.get(&format!("/workspaces/{a}/vars")).await.expect(404);
        writer.ask_run(&a, None, json!({})).await.expect(404);
        let fixed = json!({ "data": { "attributes": { "access": "read", "workspace-access": { "runs": "apply" } } } });
        let refused = admin.patch(&format!("/team-projects/{id}"), fixed).await.expect(422);
        assert!(refused.error().contains("read-only when access level is 'read'"), "{}", refused.error());
        admin.delete(&format!("/team-projects/{id}")).await.expect(204);
        writer.get(&format!("/workspaces/{a}")).await.expect(404);
    }
}

async fn with_project_access(server: &TestServer, team: &str, project: &str, level: &str) -> Api {
    let admin = server.admin();
    let body = json!({ "data": { "attributes": { "name": team } } });
    let team = admin.post("/organizations/acme/teams", body).await.expect(201).id();
    let body = json!({ "data": { "type": "team-projects", "attributes": { "access": level }, "relationships": {
        "team": { "data": { "type": "teams", "id": team } },
        "project": { "data": { "type": "projects", "id": project } },
    } } });
    admin.post("/team-projects", body).await.expect(201);
    let made = admin.post(&format!("/teams/{team}/authentication-token"), json!({})).await.expect(201);
    server.with_token(made.attribute("token").as_str().unwrap())
}
