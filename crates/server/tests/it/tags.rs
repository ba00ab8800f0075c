//! Tags and projects: set flat or as pairs, seen both ways, inherited, filtered by.

use serde_json::{Value, json};
use testkit::{Api, on_both};

fn bindings(pairs: &[(&str, &str)]) -> Value {
    let list: Vec<Value> = pairs
        .iter()
        .map(|(key, value)| json!({ "type": "tag-bindings", "attributes": { "key": key, "value": value } }))
        .collect();
    json!({ "data": list })
}

fn flat(names: &[&str]) -> Value {
    let list: Vec<Value> =
        names.iter().map(|name| json!({ "type": "tags", "attributes": { "name": name } })).collect();
    json!({ "data": list })
}

async fn project(api: &Api, name: &str) -> String {
    let body = json!({ "data": { "type": "projects", "attributes": { "name": name } } });
    api.post("/organizations/acme/projects", body).await.expect(201).id()
}

async fn names(api: &Api, query: &str) -> Vec<String> {
    let list = api.get(&format!("/organizations/acme/workspaces?{query}")).await.expect(200);
    let all = list.json["data"].as_array().unwrap();
    all.iter().map(|one| one["attributes"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn effective(api: &Api, workspace: &str) -> Vec<(String, String, bool)> {
    let list = api.get(&format!("/workspaces/{workspace}/effective-tag-bindings")).await.expect(200);
    let all = list.json["data"].as_array().unwrap();
    let text = |one: &Value, name: &str| one["attributes"][name].as_str().unwrap().to_owned();
    all.iter().map(|one| (text(one, "key"), text(one, "value"), one.get("links").is_some())).collect()
}

on_both! {
    async fn a_flat_tag_is_a_binding_without_a_value_and_a_binding_is_a_flat_tag(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "app", json!({})).await;
        api.post(&format!("/workspaces/{ws}/relationships/tags"), flat(&["web"])).await.expect(204);
        let set = api.patch(&format!("/workspaces/{ws}/tag-bindings"), bindings(&[("env", "prod")])).await.expect(200);
        assert_eq!(set.json["data"][0]["attributes"], json!({ "key": "env", "value": "prod" }));
        let shown = api.get(&format!("/workspaces/{ws}")).await.expect(200);
        assert_eq!(*shown.attribute("tag-names"), json!(["env", "web"]));
        let listed = api.get(&format!("/workspaces/{ws}/tag-bindings")).await.expect(200);
        assert_eq!(listed.json["data"].as_array().unwrap().len(), 2);
        api.post(&format!("/workspaces/{ws}/relationships/tags"), flat(&["env"])).await.expect(204);
        assert!(effective(&api, &ws).await.contains(&("env".into(), "prod".into(), false)), "its value stays");
        api.send(axum::http::Method::DELETE, &format!("/workspaces/{ws}/relationships/tags"), Some(flat(&["web", "none"])))
            .await.expect(204);
        assert_eq!(*api.get(&format!("/workspaces/{ws}")).await.attribute("tag-names"), json!(["env"]));
        api.delete(&format!("/workspaces/{ws}/tag-bindings")).await.expect(204);
        assert_eq!(*api.get(&format!("/workspaces/{ws}")).await.attribute("tag-names"), json!([]));
    }

    async fn workspaces_are_found_by_all_tags_asked_for_and_not_by_those_excluded(server) {
        let api = server.admin();
        api.organization("acme").await;
        for (name, tags) in [("one", vec![("env", "prod"), ("web", "")]), ("two", vec![("env", "dev"), ("web", "")])] {
            let body = json!({ "data": {
                "type": "workspaces", "attributes": { "name": name },
                "relationships": { "tag-bindings": bindings(&tags) },
            } });
            api.post("/organizations/acme/workspaces", body).await.expect(201);
        }
        api.workspace("acme", "bare", json!({})).await;
        assert_eq!(names(&api, "search[tags]=env,web").await, ["one", "two"]);
        assert_eq!(names(&api, "search[tags]=env,none").await, [""; 0]);
        assert_eq!(names(&api, "search[exclude-tags]=web").await, ["bare"]);
        assert_eq!(names(&api, "filter[tagged][0][key]=env&filter[tagged][0][value]=dev").await, ["two"]);
        assert_eq!(names(&api, "filter[tagged][0][key]=env&filter[tagged][0][value]=").await, ["one", "two"]);
        let ws = api.workspace("acme", "equal", json!({})).await;
        api.patch(&format!("/workspaces/{ws}/tag-bindings"), bindings(&[("a=b", "c")])).await.expect(200);
        assert_eq!(names(&api, "filter[tagged][0][key]=a%3Db&filter[tagged][0][value]=c").await, ["equal"]);
        assert_eq!(names(&api, "filter[tagged][0][key]=a&filter[tagged][0][value]=b%3Dc").await, [""; 0]);
    }

    async fn a_project_lends_its_bindings_to_its_workspaces_unless_they_bind_the_same_key(server) {
        let api = server.admin();
        api.organization("acme").await;
        let project = project(&api, "Platform team").await;
        api.patch(&format!("/projects/{project}/tag-bindings"), bindings(&[("cost", "42"), ("env", "dev")])).await.expect(200);
        let body = json!({ "data": {
            "type": "workspaces", "attributes": { "name": "app" },
            "relationships": {
                "project": { "data": { "type": "projects", "id": project } },
                "tag-bindings": bindings(&[("env", "prod")]),
            },
        } });
        let ws = api.post("/organizations/acme/workspaces", body).await.expect(201).id();
        let expected = [("env".into(), "prod".into(), false), ("cost".into(), "42".into(), true)];
        assert_eq!(effective(&api, &ws).await, expected);
        assert_eq!(names(&api, "filter[tagged][0][key]=cost").await, ["app"]);
        assert_eq!(names(&api, "filter[tagged][0][key]=env&filter[tagged][0][value]=dev").await, [""; 0]);
        let read = api.get(&format!("/workspaces/{ws}?include=effective_tag_bindings")).await.expect(200);
        assert_eq!(read.json["included"].as_array().unwrap().len(), 2);
        api.workspace("acme", "bare", json!({})).await;
        let list = api.get("/organizations/acme/workspaces?include=effective_tag_bindings").await.expect(200);
        let named = |n: usize| list.json["data"][n]["relationships"]["effective-tag-bindings"]["data"].clone();
        assert_eq!((named(0).as_array().unwrap().len(), named(1)), (2, json!([])), "each names its own");
        let inherited = list.json["included"].as_array().unwrap().iter().filter(|one| one.get("links").is_some());
        assert_eq!(inherited.count(), 1);
        let projects = api.get("/organizations/acme/projects?q=platform&include=effective_tag_bindings").await;
        assert_eq!(projects.expect(200).json["included"].as_array().unwrap().len(), 2);
    }

    async fn a_resource_has_at_most_ten_bindings_and_a_refused_request_sets_none(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "app", json!({})).await;
        let keys: Vec<String> = (0..11).map(|n| format!("key{n}")).collect();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
        let path = format!("/workspaces/{ws}/tag-bindings");
        assert!(api.patch(&path, bindings(&pairs)).await.expect(422).error().contains("10 bindings"));
        assert_eq!(api.get(&path).await.expect(200).json["data"], json!([]));
        api.patch(&path, bindings(&[("no good", "")])).await.expect(422);
        api.patch(&path, bindings(&[("hc:mine", "")])).await.expect(422);
    }

    async fn the_tags_of_an_organization_are_those_that_its_workspaces_bear(server) {
        let api = server.admin();
        api.organization("acme").await;
        let (one, two) = (api.workspace("acme", "one", json!({})).await, api.workspace("acme", "two", json!({})).await);
        api.post(&format!("/workspaces/{one}/relationships/tags"), flat(&["a", "b"])).await.expect(204);
        let tags = api.get("/organizations/acme/tags").await.expect(200);
        assert_eq!(tags.json["data"][0]["attributes"]["instance-count"], 1);
        let id = tags.ids()[0].clone();
        let body = json!({ "data": [{ "type": "workspaces", "id": two }] });
        api.post(&format!("/tags/{id}/relationships/workspaces"), body).await.expect(204);
        assert_eq!(names(&api, "search[tags]=a").await, ["one", "two"]);
        let found = api.get(&format!("/organizations/acme/tags?filter[exclude][taggable][id]={two}")).await.expect(200);
        assert_eq!(found.json["data"][0]["attributes"]["name"], "b");
        let body = json!({ "data": [{ "type": "tags", "id": id }] });
        api.send(axum::http::Method::DELETE, "/organizations/acme/tags", Some(body)).await.expect(204);
        assert_eq!(names(&api, "search[tags]=a").await, [""; 0]);
        assert_eq!(api.get("/organizations/acme/tags").await.json["data"].as_array().unwrap().len(), 1);
    }

    async fn a_project_is_made_renamed_filled_emptied_and_deleted(server) {
        let api = server.admin();
        api.organization("acme").await;
        let id = project(&api, "Platform team").await;
        let body = json!({ "data": { "type": "projects", "attributes": { "name": "Platform team" } } });
        assert!(api.post("/organizations/acme/projects", body).await.expect(422).error().contains("taken"));
        let body = json!({ "data": { "type": "projects", "attributes": { "name": "! / nope" } } });
        assert!(api.post("/organizations/acme/projects", body).await.expect(422).error().contains("Name may only contain"));
        let body = json!({ "data": { "attributes": { "name": "Co", "description": "ours" } } });
        api.patch(&format!("/projects/{id}"), body).await.expect(422);
        let body = json!({ "data": { "attributes": { "name": "Core team", "description": "ours" } } });
        let changed = api.patch(&format!("/projects/{id}"), body).await.expect(200);
        assert_eq!(*changed.attribute("description"), json!("ours"));
        let ws = api.workspace("acme", "app", json!({})).await;
        let body = json!({ "data": [{ "type": "workspaces", "id": ws }] });
        api.post(&format!("/projects/{id}/relationships/workspaces"), body).await.expect(204);
        assert_eq!(api.get(&format!("/workspaces/{ws}")).await.related("project"), Some(id.as_str()));
        assert!(api.delete(&format!("/projects/{id}")).await.expect(403).error().contains("1 workspace"));
        api.delete(&format!("/workspaces/{ws}")).await.expect(204);
        api.delete(&format!("/projects/{id}")).await.expect(204);
        api.get(&format!("/projects/{id}")).await.expect(404);
        let found = api.get("/organizations/acme/projects?q=default").await.expect(200);
        assert!(api.delete(&format!("/projects/{}", found.ids()[0])).await.expect(422).error().contains("default"));
    }

    async fn who_sees_one_workspace_sees_its_project_and_no_other(server) {
        let api = server.admin();
        api.organization("acme").await;
        let hidden = project(&api, "Hidden things").await;
        let ws = api.workspace("acme", "app", json!({})).await;
        let token = api.team_token("acme", "readers", &ws, "read").await;
        let reader = server.with_token(&token);
        let seen = reader.get("/organizations/acme/projects").await.expect(200);
        assert_eq!(seen.json["data"].as_array().unwrap().len(), 1);
        reader.get(&format!("/projects/{hidden}")).await.expect(404);
        reader.patch(&format!("/projects/{hidden}/tag-bindings"), bindings(&[("a", "b")])).await.expect(404);
        reader.patch(&format!("/workspaces/{ws}/tag-bindings"), bindings(&[("a", "b")])).await.expect(404);
    }
}
