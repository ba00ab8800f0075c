//! Documented operations that are another way to what is there: what they change and show is the same.

use serde_json::{Value, json};
use testkit::{Api, archive, on_both};

fn attributes(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

fn bindings(pairs: &[(&str, &str)]) -> Value {
    let one = |(key, value): &(&str, &str)| json!({ "type": "tag-bindings", "attributes": { "key": key, "value": value } });
    json!({ "data": pairs.iter().map(one).collect::<Vec<_>>() })
}

/// `key=value` of each binding.
async fn bound(api: &Api, path: &str) -> Vec<String> {
    let found = api.get(path).await.expect(200);
    let text = |binding: &Value, name: &str| binding["attributes"][name].as_str().unwrap().to_owned();
    let all = found.json["data"].as_array().unwrap().iter();
    let mut all: Vec<String> = all.map(|b| format!("{}={}", text(b, "key"), text(b, "value"))).collect();
    all.sort();
    all
}

on_both! {
    async fn tag_bindings_are_added_and_replaced_through_the_relationship(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let project = admin.get("/organizations/acme").await.related("default-project").unwrap().to_owned();
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        for of in [format!("/workspaces/{ws}"), format!("/projects/{project}")] {
            let path = format!("{of}/relationships/tag-bindings");
            admin.post(&path, bindings(&[("env", "prod"), ("team", "a")])).await.expect(204);
            admin.post(&path, bindings(&[("team", "b")])).await.expect(204);
            assert_eq!(bound(&admin, &path).await, ["env=prod", "team=b"]);
            admin.patch(&path, bindings(&[("cost", "1")])).await.expect(204);
            assert_eq!(bound(&admin, &format!("{of}/tag-bindings")).await, ["cost=1"]);
            reader.patch(&path, bindings(&[])).await.expect(404);
            admin.post(&path, bindings(&[("", "")])).await.expect(422);
        }
    }

    async fn variables_are_changed_together_or_not_at_all(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let vars = format!("/workspaces/{ws}/vars");
        let mut ids = Vec::new();
        for key in ["a", "b"] {
            let new = attributes(json!({ "key": key, "value": "old", "category": "env" }));
            ids.push(admin.post(&vars, new).await.expect(201).id());
        }
        let one = |id: &str, of: Value| json!({ "type": "vars", "id": id, "attributes": of });
        let many = format!("/workspaces/{ws}/relationships/vars");
        let values = || async {
            let found = admin.get(&vars).await.expect(200);
            let all = found.json["data"].as_array().unwrap().iter();
            all.map(|v| v["attributes"]["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let both = |second: Value| json!({ "data": [one(&ids[0], json!({ "value": "new" })), one(&ids[1], second)] });
        admin.patch(&many, both(json!({ "key": "a" }))).await.expect(422);
        assert_eq!(values().await, ["old", "old"]);
        admin.patch(&many, both(json!({ "value": "newer" }))).await.expect(204);
        assert_eq!(values().await, ["new", "newer"]);
        admin.patch(&many, json!({ "data": [one("var-none", json!({}))] })).await.expect(404);
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        reader.patch(&many, both(json!({}))).await.expect(404);
    }

    async fn a_teams_memberships_are_listed_to_who_sees_the_team(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let team = admin.team("acme", "secretive", &ws, "read").await;
        admin.invite("acme", "mona@example.com", &[&team]).await;
        admin.invite("acme", "other@example.com", &[]).await;
        let path = format!("/teams/{team}/relationships/organization-memberships");
        let all = admin.get(&path).await.expect(200);
        assert_eq!(all.json["data"].as_array().unwrap().len(), 1);
        assert_eq!(all.json["data"][0]["attributes"]["email"], "mona@example.com");
        assert!(admin.get(&format!("{path}?filter%5Bstatus%5D=active")).await.expect(200).ids().is_empty());
        assert!(admin.get(&format!("{path}?filter%5Bis_service_account%5D=true")).await.expect(200).ids().is_empty());
        server.with_token(&admin.team_token("acme", "strangers", &ws, "read").await).get(&path).await.expect(404);
    }

    async fn team_tokens_are_revoked_together_or_not_at_all(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let text = admin.team_token("acme", "one", &ws, "read").await;
        admin.team_token("acme", "two", &ws, "read").await;
        let path = "/organizations/acme/team-tokens";
        let ids = admin.get(path).await.expect(200).ids();
        let named = |ids: &[String]| {
            let one = |id: &String| json!({ "type": "authentication-tokens", "id": id });
            json!({ "data": ids.iter().map(one).collect::<Vec<_>>() })
        };
        let mut wrong = ids.clone();
        wrong.push("at-none".to_owned());
        admin.send(reqwest::Method::DELETE, path, Some(named(&wrong))).await.expect(404);
        assert_eq!(admin.get(path).await.ids().len(), 2);
        server.with_token(&text).send(reqwest::Method::DELETE, path, Some(named(&ids[..1]))).await.expect(404);
        admin.send(reqwest::Method::DELETE, path, Some(named(&ids))).await.expect(204);
        assert!(admin.get(path).await.ids().is_empty());
        server.with_token(&text).get("/account/details").await.expect(401);
    }

    async fn a_person_changes_their_password_by_the_one_they_have(server) {
        let admin = server.admin();
        let app = &server.assembled.app;
        accounts::people::set_password(app, "admin", &"the old one, long".into()).await.unwrap();
        let change = |current: &str, new: &str, again: &str| {
            attributes(json!({ "current_password": current, "password": new, "password_confirmation": again }))
        };
        let path = "/account/password";
        admin.patch(path, change("a wrong one, long", "the new one, long", "the new one, long")).await.expect(422);
        admin.patch(path, change("the old one, long", "the new one, long", "another one, long")).await.expect(422);
        admin.patch(path, change("the old one, long", "short", "short")).await.expect(422);
        let changed = admin.patch(path, change("the old one, long", "the new one, long", "the new one, long")).await;
        assert!(!String::from_utf8_lossy(&changed.expect(200).bytes).contains("the new one"));
        admin.patch(path, change("the old one, long", "a third one, long", "a third one, long")).await.expect(422);
        // Trying passwords with a token is slowed down.
        let mut refused = Vec::new();
        for _ in 0..20 {
            refused.push(admin.patch(path, change("a guess, and long", "x", "x")).await.status.as_u16());
        }
        assert!(refused.contains(&429), "{refused:?}");
    }

    async fn organizations_and_sets_are_changed_by_their_other_methods_and_runs_listed_by_query(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        admin.organization("maker").await;
        let put = admin.send(reqwest::Method::PUT, "/organizations/acme", Some(attributes(json!({ "email": "n@b.test" }))));
        assert_eq!(put.await.expect(200).attribute("email"), "n@b.test");
        let set = admin.post("/organizations/acme/varsets", attributes(json!({ "name": "a" }))).await.expect(201).id();
        let posted = admin.post(&format!("/varsets/{set}"), attributes(json!({ "name": "b" }))).await.expect(200);
        assert_eq!(posted.attribute("name"), "b");

        let consumers = json!({ "data": [{ "type": "organizations", "id": "acme" }] });
        admin.patch("/admin/organizations/maker/relationships/module-consumers", consumers).await.expect(204);
        let producers = admin.get("/organizations/acme/relationships/module-producers").await.expect(200);
        assert_eq!(producers.ids(), ["maker"]);
        assert!(admin.get("/organizations/maker/relationships/module-producers").await.expect(200).ids().is_empty());

        let ws = admin.workspace("acme", "demo", json!({})).await;
        admin.lock(&ws).await;
        admin.uploaded(&ws, archive(&[("main.tf", "")])).await;
        let run = admin.run(&ws, json!({})).await;
        let listed = admin.get(&format!("/runs?workspace_id={ws}&organization_name=acme")).await.expect(200);
        assert_eq!(listed.ids(), [run]);
        admin.get(&format!("/runs?workspace_id={ws}&organization_name=maker")).await.expect(404);
        admin.get("/runs").await.expect(400);
        let other = server.with_token(&admin.organization_token("maker").await);
        other.get(&format!("/runs?workspace_id={ws}")).await.expect(404);
    }
}
