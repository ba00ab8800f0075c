//! IP allowlists: from where the members of an organization come.

use super::sign_in::Browser;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Api, Settings, TestServer, on_both};

const HOME: &str = "198.51.100.7";
const AWAY: &str = "203.0.113.9";

/// A server behind a proxy that is believed.
fn behind_a_proxy() -> Settings {
    Settings { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Settings::default() }
}

fn attributes(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

async fn from(api: &Api, address: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    api.send_with(method, path, body, &[("x-forwarded-for", address)]).await
}

async fn get(api: &Api, address: &str, path: &str) -> Answer {
    from(api, address, Method::GET, path, None).await
}

/// An owner of the organization who is no site admin.
async fn owner(server: &TestServer) -> Api {
    let admin = server.admin();
    admin.organization("acme").await;
    let owners =
        admin.get("/organizations/acme/teams?filter%5Bnames%5D=owners").await.expect(200).ids()[0].clone();
    server.as_user("mona", "acme", &[&owners]).await
}

on_both! {
    async fn members_come_from_the_networks_of_the_lists_or_not_at_all(server, behind_a_proxy()) {
        let owner = owner(server).await;
        let admin = server.admin();
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let team = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        let token = server.with_token(&admin.organization_token("acme").await);
        admin.organization("other").await;
        let path = "/organizations/acme/cidr-range-lists";

        get(&team, HOME, path).await.expect(404);
        let list = from(&owner, HOME, Method::POST, path, Some(attributes(json!({ "name": "office" })))).await.expect(201);
        assert_eq!(list.attribute("enforcement-scope"), "organization");
        get(&owner, AWAY, path).await.expect(200);
        let ranges = format!("/cidr-range-lists/{}/relationships/cidr-ranges", list.id());
        let range = |text: &str| Some(attributes(json!({ "range": text })));
        from(&owner, HOME, Method::POST, &ranges, range("198.51.100")).await.expect(422);
        let shut_out = from(&owner, HOME, Method::POST, &ranges, range("192.0.2.0/24")).await;
        assert!(shut_out.expect(422).error().contains("This would shut you out: you come from 198.51.100.7"));
        let own = from(&owner, HOME, Method::POST, &ranges, range("198.51.100.0/24")).await.expect(201).id();
        from(&owner, HOME, Method::POST, &ranges, range("198.51.100.0/24")).await.expect(422);
        let other = from(&owner, HOME, Method::POST, &ranges, range("192.0.2.1")).await.expect(201);
        assert_eq!(other.attribute("range"), "192.0.2.1/32");

        let workspace = format!("/workspaces/{ws}");
        for api in [&owner, &team, &token] {
            get(api, HOME, &workspace).await.expect(200);
            get(api, "192.0.2.1", &workspace).await.expect(200);
            for path in [&workspace, "/organizations/acme"] {
                let refused = get(api, AWAY, path).await.expect(403);
                assert!(refused.error().contains("you come from 203.0.113.9"), "{}", refused.error());
            }
            from(api, AWAY, Method::PATCH, &workspace, Some(attributes(json!({ "description": "x" })))).await.expect(403);
        }
        get(&token, AWAY, "/organization/audit-trail").await.expect(403);
        get(&token, HOME, "/organization/audit-trail").await.expect(200);
        assert!(get(&owner, HOME, "/organizations").await.ids().contains(&"acme".to_owned()));
        assert!(!get(&owner, AWAY, "/organizations").await.expect(200).ids().contains(&"acme".to_owned()));
        get(&owner, AWAY, "/account/details").await.expect(200);
        // Who does not belong there learns nothing.
        let stranger = server.with_token(&admin.organization_token("other").await);
        get(&stranger, AWAY, "/organizations/acme").await.expect(404);

        // No change shuts out who makes it, by whatever way.
        let own = format!("/cidr-ranges/{own}");
        from(&owner, HOME, Method::DELETE, &own, None).await.expect(422);
        from(&owner, HOME, Method::PATCH, &own, Some(attributes(json!({ "enabled": false })))).await.expect(422);
        from(&owner, HOME, Method::PATCH, &own, range("10.0.0.0/8")).await.expect(422);
        get(&owner, HOME, &own).await.expect(200);
        // A site admin comes from anywhere, and helps.
        get(&admin, AWAY, &workspace).await.expect(200);
        from(&admin, AWAY, Method::DELETE, &own, None).await.expect(204);
        get(&owner, HOME, &workspace).await.expect(403);
        from(&admin, AWAY, Method::DELETE, &format!("/cidr-range-lists/{}", list.id()), None).await.expect(204);
        get(&owner, AWAY, &workspace).await.expect(200);
    }

    async fn pages_keep_to_the_lists_too(server, behind_a_proxy()) {
        let owner = owner(server).await;
        let name = owner.get("/account/details").await.attribute("username").as_str().unwrap().to_owned();
        accounts::people::set_password(&server.assembled.app, &name, &"correct horse battery".into()).await.unwrap();
        let list = json!({ "data": { "attributes": { "name": "office" }, "relationships": { "cidr-ranges": { "data": [
            { "type": "cidr-ranges", "attributes": { "range": "198.51.100.0/24" } },
        ] } } } });
        let mut browser = Browser::new(&server.url, None);
        browser.sign_in(&name, "correct horse battery").await.expect(303);
        browser.get("/app/acme/workspaces").await.expect(200);
        server.admin().post("/organizations/acme/cidr-range-lists", list).await.expect(201);
        browser.get("/app/acme/workspaces").await.expect(403);
        browser.get("/app/settings/tokens").await.expect(200);
    }

    async fn lists_of_agents_name_pools_and_hold_for_no_member(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let pool = admin.post("/organizations/acme/agent-pools", attributes(json!({ "name": "p" }))).await.expect(201).id();
        let path = "/organizations/acme/cidr-range-lists";
        admin.post(path, attributes(json!({}))).await.expect(422);
        admin.post(path, attributes(json!({ "name": "x", "enforcement-scope": "all" }))).await.expect(422);
        let list = json!({ "name": "agents", "enforcement-scope": "selected_agent_pools", "description": "d" });
        let list = admin.post(path, attributes(list)).await.expect(201).id();
        admin.post(path, attributes(json!({ "name": "agents" }))).await.expect(422);
        let one = format!("/cidr-range-lists/{list}");
        let pools = format!("{one}/relationships/agent-pools");
        let named = |id: &str| json!({ "data": [{ "type": "agent-pools", "id": id }] });
        admin.post(&pools, named("apool-none")).await.expect(422);
        admin.post(&pools, named(&pool)).await.expect(204);
        let shown = admin.get(&one).await.expect(200);
        assert_eq!(shown.json["data"]["relationships"]["agent-pools"]["data"][0]["id"], pool.as_str());
        let ranges = format!("{one}/relationships/cidr-ranges");
        let range = json!({ "range": "10.0.0.0/8", "description": "rack", "enabled": true });
        let range = admin.post(&ranges, attributes(range)).await.expect(201).id();
        assert_eq!(admin.get(&ranges).await.expect(200).ids(), [range.as_str()]);
        let token = server.with_token(&admin.organization_token("acme").await);
        token.get("/organizations/acme").await.expect(200);
        let changed = admin.patch(&format!("/cidr-ranges/{range}"), attributes(json!({ "description": null }))).await.expect(200);
        assert_eq!((changed.attribute("range"), changed.attribute("description")), (&json!("10.0.0.0/8"), &Value::Null));
        admin.send(Method::DELETE, &pools, Some(named(&pool))).await.expect(204);
        assert_eq!(admin.patch(&one, attributes(json!({ "name": "racks" }))).await.expect(200).attribute("name"), "racks");
        assert_eq!(admin.get(path).await.expect(200).ids(), [list]);
    }
}
