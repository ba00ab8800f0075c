//! The audit trail: what it says of a change, who reads it, and that it cannot be altered unnoticed.

use super::sign_in::Browser;
use http_api::{
    Access,
    audit::{self, verify::verify},
};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Api, Settings, TestServer, on_both};

/// The entries of an organization, as its owners see them.
pub(super) async fn trail(api: &Api, org: &str, query: &str) -> Vec<Value> {
    let found = api.get(&format!("/organizations/{org}/audit-trail{query}")).await.expect(200);
    found.json["data"].as_array().unwrap().clone()
}

fn actions(entries: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|entry| format!("{} {}", word(&entry["resource"]["type"]), word(&entry["resource"]["action"])))
        .collect()
}

async fn audit_token(api: &Api, org: &str) -> Answer {
    api.post(&format!("/organizations/{org}/authentication-token?token=audit-trails"), json!({}))
        .await
        .expect(201)
}

fn text(answer: &Answer) -> String {
    answer.attribute("token").as_str().unwrap().to_owned()
}

/// The same key of every entry.
fn each(entries: &[Value], pointer: &str) -> Vec<Value> {
    entries.iter().map(|entry| entry.pointer(pointer).cloned().unwrap_or_default()).collect()
}

on_both! {
    async fn every_change_leaves_one_entry_with_who_what_before_and_after(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let renamed = json!({ "data": { "attributes": { "description": "new" } } });
        let answered = api.patch(&format!("/workspaces/{ws}"), renamed).await.expect(200);
        api.lock(&ws).await;
        // A second lock is refused, a look changes nothing.
        api.post(&format!("/workspaces/{ws}/actions/lock"), json!({})).await.expect(409);
        api.get(&format!("/workspaces/{ws}")).await.expect(200);
        api.unlock(&ws).await;
        api.delete(&format!("/workspaces/{ws}")).await.expect(204);

        let entries = trail(&api, "acme", "").await;
        assert_eq!(
            actions(&entries),
            ["workspace create", "workspace update", "workspace lock", "workspace unlock", "workspace destroy"]
        );
        let update = &entries[1];
        assert_eq!(update["auth"]["description"], "admin");
        assert_eq!(update["resource"]["id"], json!(ws));
        assert_eq!(update["request"]["id"], answered.headers["x-request-id"].to_str().unwrap());
        let meta = &update["resource"]["meta"];
        assert_eq!(meta["operation"], "workspaces.workspaces.update");
        assert_eq!(meta["before"]["attributes"]["description"], Value::Null);
        assert_eq!(meta["after"], answered.json["data"]);
        assert_eq!(meta["token"]["kind"], "user");
        assert_eq!((&meta["address"], &meta["status"]), (&json!("127.0.0.1"), &json!(200)));
        // Nobody could read it before it was made, or after it was gone.
        assert_eq!(entries[0]["resource"]["meta"]["before"], Value::Null);
        assert_eq!(entries[4]["resource"]["meta"]["before"]["id"], json!(ws));
        assert_eq!(entries[4]["resource"]["meta"]["after"], Value::Null);
        assert_eq!(each(&entries, "/resource/meta/status"), [201, 200, 200, 200, 204].map(Value::from));
    }

    async fn what_an_update_tells_of_before_is_the_row_and_what_it_may_change_beside_it(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({ "description": "one" })).await;
        let path = format!("/workspaces/{ws}");
        let shown = api.get(&path).await.expect(200).json["data"].clone();
        api.patch(&path, json!({ "data": { "attributes": { "description": "two" } } })).await.expect(200);
        let bindings = json!({ "tag-bindings": { "data": [
            { "type": "tag-bindings", "attributes": { "key": "env", "value": "prod" } },
        ] } });
        let between = api.get(&path).await.expect(200).json["data"].clone();
        api.patch(&path, json!({ "data": { "relationships": bindings } })).await.expect(200);
        api.patch(&path, json!({ "data": { "attributes": { "name": "! nope" } } })).await.expect(422);
        let entries = trail(&api, "acme", "").await;
        assert_eq!(actions(&entries), ["workspace create", "workspace update", "workspace update"]);
        let before = |n: usize| entries[n]["resource"]["meta"]["before"].clone();
        assert_eq!(before(1)["attributes"], shown["attributes"]);
        assert_eq!(before(1)["relationships"]["vars"]["data"], Value::Null, "it cannot change them");
        assert_eq!(before(2), between, "the bindings are named");
    }

    async fn an_action_without_a_document_shows_what_became_of_its_resource(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let tags = json!({ "data": [{ "type": "tags", "attributes": { "name": "web" } }] });
        api.post(&format!("/workspaces/{ws}/relationships/tags"), tags).await.expect(204);
        let entries = trail(&api, "acme", "").await;
        let meta = &entries[1]["resource"]["meta"];
        assert_eq!(meta["before"]["attributes"]["tag-names"], json!([]));
        assert_eq!(meta["after"]["attributes"]["tag-names"], json!(["web"]));
    }

    async fn the_organizations_token_and_the_trails_token_read_it_as_the_sdk_does(server) {
        let api = server.admin();
        api.organization("acme").await;
        api.organization("other").await;
        let organization = server.with_token(&api.organization_token("acme").await);
        let ws = api.workspace("acme", "demo", json!({})).await;
        for _ in 0..3 {
            api.lock(&ws).await;
            api.unlock(&ws).await;
        }
        let all = organization.get("/organization/audit-trail").await.expect(200);
        assert_eq!(all.headers["content-type"], "application/json");
        assert_eq!(all.json["data"].as_array().unwrap().len(), 8);
        assert_eq!(all.json["pagination"]["total_count"], 8);
        let page = |n: u32| format!("/organization/audit-trail?page%5Bnumber%5D={n}&page%5Bsize%5D=4");
        let (one, two) = (organization.get(&page(1)).await, organization.get(&page(2)).await);
        assert_eq!(
            one.json["pagination"],
            json!({ "current_page": 1, "prev_page": null, "next_page": 2, "total_pages": 2, "total_count": 8 })
        );
        assert_eq!(two.json["pagination"]["next_page"], Value::Null);
        let last = two.json["data"][3]["timestamp"].as_str().unwrap();
        let since = organization.get(&format!("/organization/audit-trail?since={}", &last[..19])).await;
        assert_eq!(since.status, 400, "an instant without its offset is none");

        let made = audit_token(&api, "acme").await;
        let reader = server.with_token(&text(&made));
        let seen = reader.get("/organization/audit-trail").await.expect(200);
        assert_eq!(seen.json["pagination"]["total_count"], 9);
        assert_eq!(seen.json["data"][0]["auth"]["organization_id"], seen.json["data"][8]["auth"]["organization_id"]);
        // It can do nothing else, and is not the organization's own.
        for path in ["/account/details", "/organizations", "/organizations/acme", "/organizations/acme/audit-trail"] {
            reader.get(path).await.expect(404);
        }
        let both = ["", "?token=audit-trails"];
        let path = "/organizations/acme/authentication-token";
        assert_ne!(api.get(&format!("{path}{}", both[0])).await.id(), made.id());
        assert_eq!(api.get(&format!("{path}{}", both[1])).await.id(), made.id());
        api.delete(&format!("{path}{}", both[1])).await.expect(204);
        api.delete(&format!("{path}{}", both[1])).await.expect(404);
        api.get(path).await.expect(200);
        reader.get("/organization/audit-trail").await.expect(401);
        api.get("/organization/audit-trail").await.expect(404);
    }

    async fn the_trails_token_can_do_nothing_else(server) {
        let api = server.admin();
        api.organization("acme").await;
        let reader = server.with_token(&text(&audit_token(&api, "acme").await));
        for operation in server.assembled.routes.operations() {
            if operation.access != Access::Token || operation.name == audit::READ {
                continue;
            }
            let path = operation.path.replace("{organization}", "acme").replace(['{', '}'], "");
            let body = (operation.method != "GET").then(|| json!({}));
            reader.send(operation.method.clone(), &path, body).await.expect(404);
        }
        reader.get("/organization/audit-trail").await.expect(200);
    }

    async fn owners_and_site_admins_find_entries_by_who_what_and_when(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let team = server.with_token(&api.team_token("acme", "admins", &ws, "admin").await);
        team.lock(&ws).await;
        let all = trail(&api, "acme", "").await;
        let locked = all.last().unwrap();
        let by = |query: String| async move { actions(&trail(&server.admin(), "acme", &query).await) };
        let who = locked["auth"]["accessor_id"].as_str().unwrap();
        assert_eq!(locked["resource"]["meta"]["token"]["kind"], "team");
        assert!(!locked["auth"]["description"].as_str().unwrap().is_empty());
        assert_eq!(by(format!("?filter[actor][id]={who}")).await, ["workspace lock"]);
        assert_eq!(by(format!("?filter[resource][id]={ws}")).await, ["workspace create", "workspace lock"]);
        assert_eq!(by("?filter[resource][type]=teams".to_owned()).await, ["team create"]);
        assert_eq!(by("?filter[operation]=workspaces.lock.lock".to_owned()).await, ["workspace lock"]);
        let at = locked["timestamp"].as_str().unwrap();
        assert!(by("?until=2000-01-01T00:00:00Z".to_owned()).await.is_empty());
        assert!(by("?since=2999-01-01T00:00:00Z".to_owned()).await.is_empty());
        assert_eq!(by(format!("?since=2000-01-01T00:00:00Z&until={}", at.replace("Z", "999Z"))).await.len(), all.len());
        team.get("/organizations/acme/audit-trail").await.expect(404);

        let everything = api.get("/admin/audit-trail").await.expect(200);
        assert_eq!(actions(&everything.json["data"].as_array().unwrap()[..1]), ["organization create"]);
        team.get("/admin/audit-trail").await.expect(404);
    }

    async fn an_altered_removed_or_invented_entry_is_found(server) {
        let app = &server.assembled.app;
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        for _ in 0..3 {
            api.lock(&ws).await;
            api.unlock(&ws).await;
        }
        app.audit.flush(app).await.unwrap();
        let whole = verify(app).await.unwrap();
        assert_eq!((whole.entries, whole.broken), (8, None));
        let alter = [
            ("UPDATE audit_events SET entry = REPLACE(entry, 'admin', 'nimda') WHERE sequence = 3", 3),
            ("UPDATE audit_events SET resource_id = 'ws-other' WHERE sequence = 4", 4),
            ("DELETE FROM audit_events WHERE sequence = 5", 5),
            ("UPDATE audit_chain SET first_sequence = 2, first_previous = last_hash", 2),
            ("DELETE FROM audit_events WHERE sequence >= 7", 7),
            ("DELETE FROM audit_events WHERE sequence = 1", 1),
        ];
        for (sql, first) in alter {
            let copies = copied(server).await;
            app.db.exec(sql, vec![]).await.unwrap();
            let verdict = verify(app).await.unwrap();
            assert_eq!(verdict.broken.map(|(entry, _)| entry), Some(first), "{sql}: {verdict:?}");
            restore(server, &copies).await;
            assert_eq!(verify(app).await.unwrap().broken, None);
        }
        // Ends that were made to fit are not genuine, and what is added later does not cover it up.
        for sql in [
            "DELETE FROM audit_events WHERE sequence >= 7",
            "UPDATE audit_chain SET last_sequence = 6, last_hash = (SELECT hash FROM audit_events WHERE sequence = 6)",
        ] {
            app.db.exec(sql, vec![]).await.unwrap();
        }
        assert!(verify(app).await.unwrap().broken.unwrap().1.contains("ends"));
        api.lock(&ws).await;
        app.audit.flush(app).await.unwrap();
        assert!(verify(app).await.unwrap().broken.unwrap().1.contains("ends"));
    }

    async fn old_entries_are_removed_from_the_beginning_and_the_rest_stays_whole(server) {
        let app = &server.assembled.app;
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        app.audit.flush(app).await.unwrap();
        app.env.advance(3 * 24 * 3600 * 1_000_000);
        api.lock(&ws).await;
        app.audit.flush(app).await.unwrap();
        let removed = audit::sweep(app, app.now().plus_seconds(-24 * 3600)).await.unwrap();
        assert_eq!(removed, 2);
        let verdict = verify(app).await.unwrap();
        assert_eq!((verdict.entries, verdict.broken), (1, None));
        assert_eq!(actions(&trail(&api, "acme", "").await), ["workspace lock"]);
        api.unlock(&ws).await;
        app.audit.flush(app).await.unwrap();
        assert_eq!(verify(app).await.unwrap().entries, 2);
    }

    async fn what_an_ended_process_left_is_added_and_says_so(server) {
        let app = &server.assembled.app;
        let api = server.admin();
        api.organization("acme").await;
        app.audit.flush(app).await.unwrap();
        // As a process leaves it that is killed between its commit and its answer.
        let entry = app.db.one::<(String,)>("SELECT entry FROM audit_events", vec![]).await.unwrap().unwrap().0;
        let mut entry: Value = serde_json::from_str(&entry).unwrap();
        entry["id"] = json!("left-behind");
        let sql = "INSERT INTO audit_pending (request_id, created_at, entry) VALUES ('left-behind', 1, $1)";
        app.db.exec(sql, db::args![entry.to_string()]).await.unwrap();
        let all = api.get("/admin/audit-trail").await.expect(200);
        let last = all.json["data"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["id"], &last["resource"]["meta"]["status"]), (&json!("left-behind"), &Value::Null));
        assert_eq!(verify(app).await.unwrap().broken, None);
    }
}

type Copies = Vec<(i64, String, i64, Option<String>, Option<String>, String, String, String, String)>;

type Rest = (i64, Vec<u8>, String, String);
type Contents = (Copies, Vec<Rest>, (i64, String));

/// What the chain's tables hold, to be put back.
async fn copied(server: &TestServer) -> Contents {
    let db = &server.assembled.app.db;
    let rows = "SELECT sequence, id, created_at, organization_id, actor_id, operation, resource_type, resource_id, entry
                FROM audit_events";
    let rest = "SELECT sequence, changes, previous, hash FROM audit_events";
    let ends = "SELECT first_sequence, first_previous FROM audit_chain";
    (
        db.all(rows, vec![]).await.unwrap(),
        db.all(rest, vec![]).await.unwrap(),
        db.one(ends, vec![]).await.unwrap().unwrap(),
    )
}

async fn restore(server: &TestServer, (rows, rest, ends): &Contents) {
    let db = &server.assembled.app.db;
    db.exec("DELETE FROM audit_events", vec![]).await.unwrap();
    for (row, (_, changes, previous, hash)) in rows.iter().zip(rest) {
        let values = db::args![
            row.0,
            &row.1,
            row.2,
            row.3.clone(),
            row.4.clone(),
            &row.5,
            &row.6,
            &row.7,
            &row.8,
            changes.clone(),
            previous,
            hash
        ];
        let sql = "INSERT INTO audit_events (sequence, id, created_at, organization_id, actor_id, operation, resource_type,
                     resource_id, entry, changes, previous, hash)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        db.exec(sql, values).await.unwrap();
    }
    let sql = "UPDATE audit_chain SET first_sequence = $1, first_previous = $2";
    db.exec(sql, db::args![ends.0, &ends.1]).await.unwrap();
}

on_both! {
    async fn no_secret_is_in_the_trail(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let variable = |value: &str, sensitive: bool| json!({ "data": { "attributes": {
            "key": format!("k{sensitive}"), "value": value, "category": "terraform", "sensitive": sensitive,
        } } });
        let path = format!("/workspaces/{ws}/vars");
        let secret = api.post(&path, variable("planted-sensitive", true)).await.expect(201).id();
        api.post(&path, variable("shown-plain", false)).await.expect(201);
        let again = json!({ "data": { "attributes": { "value": "planted-again" } } });
        api.patch(&format!("{path}/{secret}"), again).await.expect(200);
        api.delete(&format!("{path}/{secret}")).await.expect(204);
        api.organization_token("acme").await;
        audit_token(&api, "acme").await;
        api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        let trail = serde_json::to_string(&trail(&api, "acme", "").await).unwrap();
        for text in ["planted-sensitive", "planted-again", ".atlasv1.", "/_object/"] {
            assert!(!trail.contains(text), "{text} in {trail}");
        }
        assert!(trail.contains("shown-plain") && trail.contains("authentication-tokens"), "{trail}");
    }

    async fn an_upload_to_a_signed_url_is_whose_url_it_was(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let id = api.uploaded(&ws, testkit::archive(&[("main.tf", "")])).await;
        let entries = trail(&api, "acme", "?filter[operation]=runs.configuration-versions.upload").await;
        assert_eq!(entries.len(), 1);
        assert_eq!((&entries[0]["resource"]["id"], &entries[0]["auth"]["description"]), (&json!(id), &json!("admin")));
    }

    async fn whom_a_proxy_names_is_in_the_trail_if_the_proxy_is_trusted(server, Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    }) {
        let api = server.admin();
        let body = json!({ "data": { "attributes": { "name": "acme", "email": "a@example.com" } } });
        let forwarded = [("x-forwarded-for", "198.51.100.7, 127.0.0.9")];
        api.send_with(Method::POST, "/organizations", Some(body), &forwarded).await.expect(201);
        let all = api.get("/admin/audit-trail").await.expect(200);
        assert_eq!(all.json["data"][0]["resource"]["meta"]["address"], "198.51.100.7");
    }

    async fn what_people_do_on_pages_is_in_the_trail(server) {
        let app = &server.assembled.app;
        accounts::people::set_password(app, "admin", &kernel::Secret::from("correct horse battery")).await.unwrap();
        let mut browser = Browser::new(&server.url, None);
        browser.sign_in("admin", "wrong horse battery").await;
        browser.sign_in("admin", "correct horse battery").await.expect(303);
        browser.get("/app/settings/tokens").await.expect(200);
        browser.send("/app/settings/tokens", &[("description", "ci"), ("days", "30")]).await.expect(200);
        browser.get("/app").await.expect(200);
        browser.send("/sign-out", &[]).await.expect(303);
        let all = server.admin().get("/admin/audit-trail").await.expect(200);
        let all = all.json["data"].as_array().unwrap();
        assert_eq!(actions(all), ["session create", "authentication_token create", "session create"]);
        let operations = ["web.sign-in.send", "web.tokens.send", "web.sign-out.send"].map(Value::from);
        assert_eq!(each(all, "/resource/meta/operation"), operations);
        assert_eq!(each(all, "/auth/description"), ["admin", "admin", "admin"].map(Value::from));
        assert_eq!(each(all, "/resource/meta/token/kind"), [Value::Null, json!("session"), json!("session")]);
        assert_eq!(all[0]["resource"]["id"], all[2]["resource"]["id"]);
    }

    async fn a_request_whose_client_goes_away_leaves_its_entry_with_its_change(server) {
        let app = &server.assembled.app;
        let api = server.admin();
        api.organization("acme").await;
        for n in 0..20 {
            let body = json!({ "data": { "attributes": { "name": format!("ws{n}") } } });
            let path = "/organizations/acme/workspaces";
            let asked = api.send(Method::POST, path, Some(body));
            // Sometimes before the commit, sometimes after it.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(n), asked).await;
        }
        let workspaces = api.get("/organizations/acme/workspaces?page%5Bsize%5D=100").await.expect(200);
        let made = workspaces.ids().len();
        let entries = trail(&api, "acme", "?filter[operation]=workspaces.workspaces.create").await;
        assert_eq!(entries.len(), made);
        assert_eq!(verify(app).await.unwrap().broken, None);
    }
}
