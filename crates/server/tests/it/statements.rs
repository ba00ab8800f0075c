//! How many statements a request takes must not depend on how many rows it shows: every reading operation of the table
//! with every include that it offers, in a house with few of everything and with many. No list of operations is kept here.
//!
//! What an operation offers to include, it says itself when it is asked for something else. Counted is what the service
//! executes for one request after everything was forgotten of who calls, so that what a memory hides is counted too.

use super::{
    acceptance::states,
    matrix::{Furnished, House, fill},
};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
};
use http_api::{Access, Operation, Statements, serve::full_path};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};
use testkit::{Api, TestServer, archive, on_both, server::ADMIN};
use tower::ServiceExt;

/// What came of one request.
struct Seen {
    status: u16,
    statements: u64,
    /// Resources in `data`, where it is a list.
    rows: Option<usize>,
    included: usize,
    json: Value,
}

/// Asks the service itself, which tells the number of statements with its answer.
async fn ask(server: &TestServer, path: &str, token: &str) -> Seen {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = server.assembled.router.clone().oneshot(request).await.unwrap();
    let statements = answer.extensions().get::<Statements>().unwrap().0;
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let count = |name: &str| json[name].as_array().map(Vec::len);
    let (rows, included) = (count("data"), count("included").unwrap_or_default());
    Seen { status, statements, rows, included, json }
}

/// The includes that an operation offers.
async fn offered(server: &TestServer, path: &str) -> Vec<String> {
    let asked = ask(server, &with(path, "include=nothing-of-this-name"), ADMIN).await;
    let said = asked.json["errors"][0]["detail"].as_str().unwrap_or_default().to_owned();
    let names = said.split_once("these can: ").map(|(_, names)| names.to_owned()).unwrap_or_default();
    names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn with(path: &str, query: &str) -> String {
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

/// The operation's path in the house, with what it requires to be asked.
fn path_of(operation: &Operation, house: &House) -> String {
    let path = full_path(operation);
    let filled = fill(&path, &house.org, &house.ids);
    let own = match operation.path {
        "/team-workspaces" => format!("filter[workspace][id]={}", house.ids["workspaces"]),
        "/team-projects" => format!("filter[project][id]={}", house.ids["projects"]),
        "/state-versions" => {
            format!("filter[organization][name]={}&filter[workspace][name]=stated", house.org)
        }
        "/workspaces/{id}/run-triggers" => "filter[run-trigger][type]=inbound".to_owned(),
        _ => String::new(),
    };
    let query = if own.is_empty() { "page[size]=100".to_owned() } else { format!("page[size]=100&{own}") };
    format!("{filled}?{query}").replace('[', "%5B").replace(']', "%5D")
}

fn related(pairs: &[(&str, &str, &str)]) -> Value {
    let named = pairs
        .iter()
        .map(|(name, kind, id)| ((*name).to_owned(), json!({ "data": { "type": kind, "id": id } })));
    Value::Object(named.collect())
}

/// One more of everything, whose name ends in `n`. `member` is the address of somebody who becomes part of it.
async fn furnish(server: &TestServer, house: &House, n: usize, member: &str) {
    let (admin, org, ids) = (server.admin(), house.org.as_str(), &house.ids);
    let (ws, of) = (ids["workspaces"].as_str(), format!("/organizations/{org}"));
    let make = async |path: &str, attributes: Value, relationships: Value| {
        let body = json!({ "data": { "attributes": attributes, "relationships": relationships } });
        admin.post(path, body).await.expect(201)
    };
    let variable = |n: usize| json!({ "key": format!("k{n}"), "value": "v", "category": "env" });
    let tag = json!({ "data": [{ "attributes": { "key": format!("tag{n}"), "value": "v" } }] });

    let project =
        make(&format!("{of}/projects"), json!({ "name": format!("project {n}") }), json!({})).await.id();
    admin.patch(&format!("/projects/{project}/tag-bindings"), tag.clone()).await.expect(200);
    let named = json!({ "name": format!("workspace{n}") });
    let in_project = related(&[("project", "projects", &project)]);
    let workspace = make(&format!("{of}/workspaces"), named, in_project).await.id();
    for workspace in [ws, &workspace] {
        admin.patch(&format!("/workspaces/{workspace}/tag-bindings"), tag.clone()).await.expect(200);
        make(&format!("/workspaces/{workspace}/vars"), variable(n), json!({})).await;
    }
    let from = related(&[("sourceable", "workspaces", &workspace)]);
    make(&format!("/workspaces/{ws}/run-triggers"), json!({}), from).await;
    let consumer = json!({ "data": [{ "type": "workspaces", "id": workspace }] });
    admin.post(&format!("/workspaces/{ws}/relationships/remote-state-consumers"), consumer).await.expect(204);

    let team = make(&format!("{of}/teams"), json!({ "name": format!("team{n}") }), json!({})).await.id();
    admin.invite(org, &format!("user{n}@example.com"), &[&team, &ids["teams"]]).await;
    make(&format!("/teams/{team}/authentication-tokens"), json!({ "description": "d" }), json!({})).await;
    let described = json!({ "description": format!("token{n}") });
    make(&format!("/teams/{}/authentication-tokens", ids["teams"]), described.clone(), json!({})).await;
    make(&format!("/users/{}/authentication-tokens", ids["users"]), described, json!({})).await;
    let read = json!({ "access": "read" });
    let to = related(&[("team", "teams", &team), ("workspace", "workspaces", ws)]);
    make("/team-workspaces", read.clone(), to).await;
    let to = related(&[("team", "teams", &team), ("project", "projects", &ids["projects"])]);
    make("/team-projects", read, to).await;

    let scopes = json!({
        "workspaces": { "data": [{ "type": "workspaces", "id": ws }, { "type": "workspaces", "id": workspace }] },
        "projects": { "data": [{ "type": "projects", "id": ids["projects"] }, { "type": "projects", "id": project }] },
    });
    let set = make(&format!("{of}/varsets"), json!({ "name": format!("set{n}") }), scopes).await.id();
    for set in [&set, &ids["varsets"]] {
        make(&format!("/varsets/{set}/relationships/vars"), variable(n), json!({})).await;
    }
    let also = json!({ "data": [{ "type": "workspaces", "id": workspace }] });
    let path = format!("/varsets/{}/relationships/workspaces", ids["varsets"]);
    admin.post(&path, also).await.expect(204);
    make(&format!("{of}/ssh-keys"), json!({ "name": format!("key{n}"), "value": "v" }), json!({})).await;
    make(&format!("{of}/reserved-tag-keys"), json!({ "key": format!("reserved{n}") }), json!({})).await;

    // A run of each workspace with what belongs to one, held back by a lock; and a state.
    admin.lock(&workspace).await;
    for workspace in [ws, &workspace] {
        let configuration = archive(&[("main.tf", super::acceptance::NOTHING)]);
        admin.uploaded(workspace, configuration).await;
        let run = [("workspace", "workspaces", workspace)];
        let variables = json!({ "variables": [{ "key": "a", "value": "\"b\"" }] });
        let run = make("/runs", variables, related(&run)).await.id();
        make(&format!("/runs/{run}/comments"), json!({ "body": "hello" }), json!({})).await;
    }
    make(&format!("/runs/{}/comments", ids["runs"]), json!({ "body": "hello" }), json!({})).await;
    make("/queries", json!({}), related(&[("workspace", "workspaces", ws)])).await;
    let serial = u32::try_from(n).unwrap() + 10;
    let stated = admin.get(&format!("{of}/workspaces/stated")).await.id();
    for workspace in [&stated, &workspace] {
        let state = states::state(serial, "l", "x");
        let body = states::inline(serial, "l", &state, json!({}));
        admin.post(&format!("/workspaces/{workspace}/state-versions"), body).await.expect(201);
    }

    let extra = format!("extra{n}");
    admin.organization(&extra).await;
    admin.invite(&extra, member, &[]).await;
    let all: Vec<Value> =
        (1..=n).map(|n| json!({ "type": "organizations", "id": format!("extra{n}") })).collect();
    let path = format!("/admin/organizations/{org}/relationships/module-consumers");
    admin.patch(&path, json!({ "data": all })).await.expect(204);
    current(server).await;
}

/// Lets every workspace name its newest run and configuration as the current ones, as if they were under way.
async fn current(server: &TestServer) {
    for sql in [
        "UPDATE workspaces SET current_run_id = (SELECT r.id FROM runs r WHERE r.workspace_id = workspaces.id
           AND r.operation <> 'query' ORDER BY r.number DESC LIMIT 1)",
        "UPDATE workspaces SET current_configuration_version_id = (SELECT c.id FROM configuration_versions c
           WHERE c.workspace_id = workspaces.id ORDER BY c.number DESC LIMIT 1)",
    ] {
        server.assembled.app.db.exec(sql, vec![]).await.unwrap();
    }
}

/// The statements of every reading operation with each include, by who asks.
async fn all(server: &TestServer, house: &House, callers: &[(&str, String)]) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    for operation in server.assembled.routes.operations() {
        if operation.access != Access::Token || operation.method != "GET" {
            continue;
        }
        let path = path_of(operation, house);
        let mut queries = vec![("-".to_owned(), path.clone())];
        for include in offered(server, &path).await {
            queries.push((include.clone(), with(&path, &format!("include={include}"))));
        }
        for (caller, token) in callers {
            for (include, path) in &queries {
                // The first warms what belongs to the process and not to the caller.
                ask(server, path, token).await;
                server.assembled.app.identities.forget();
                let one = ask(server, path, token).await;
                assert!(one.status < 500, "{path}: {}", one.json);
                if one.status == 200 {
                    seen.insert(format!("{} {include} {caller}", operation.path), one);
                }
            }
        }
    }
    seen
}

on_both! {
    async fn the_statements_of_a_request_do_not_grow_with_what_it_shows(server) {
        let house = House::build(server, 0, Furnished::Sparsely).await;
        let admin = server.admin();
        let access = json!({ "read-workspaces": true, "read-projects": true });
        let body = json!({ "data": { "attributes": { "name": "readers2", "organization-access": access } } });
        let team = admin.post(&format!("/organizations/{}/teams", house.org), body).await.expect(201).id();
        let member = token_of(server, &admin, &house, &team).await;
        let callers = [("admin", ADMIN.to_owned()), ("member", member)];
        furnish(server, &house, 1, "member@example.com").await;
        let few = all(server, &house, &callers).await;
        for n in 2..=9 {
            furnish(server, &house, n, "member@example.com").await;
        }
        let many = all(server, &house, &callers).await;
        let (mut table, mut grown) = (String::new(), Vec::new());
        for (what, many) in &many {
            let Some(few) = few.get(what) else { continue };
            if few.statements != many.statements {
                grown.push(format!("{what}: {} statements, then {}", few.statements, many.statements));
            }
            let more = |few: usize, many: usize| if few < many { "more" } else { "same" };
            let rows = few.rows.zip(many.rows).map_or("one", |(few, many)| more(few, many));
            let included = more(few.included, many.included);
            let _ = writeln!(table, "{what} {} {rows} {included}", many.statements);
        }
        assert!(grown.is_empty(), "{} of {} grow:\n{}", grown.len(), many.len(), grown.join("\n"));
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("statements", columns(&table));
        });
    }
}

on_both! {
    async fn a_permission_costs_no_statement_besides_the_row_itself_and_one_remembered_set_of_grants(server) {
        let house = House::build(server, 0, Furnished::Sparsely).await;
        let admin = server.admin();
        let theirs = admin.workspace("other0", "theirs2", json!({})).await;
        let stranger = admin.team_token("other0", "strangers2", &theirs, "admin").await;
        let (ws, run) = (&house.ids["workspaces"], &house.ids["runs"]);
        let reader = admin.team_token(&house.org, "readers2", ws, "read").await;
        let body = json!({ "data": { "attributes": { "name": "people" } } });
        let team = admin.post(&format!("/organizations/{}/teams", house.org), body).await.expect(201).id();
        let access = json!({ "data": { "attributes": { "access": "read" }, "relationships": related(&[
            ("team", "teams", &team), ("workspace", "workspaces", ws),
        ]) } });
        admin.post("/team-workspaces", access).await.expect(201);
        let member = token_of(server, &admin, &house, &team).await;
        // A run's own row names its workspace, whose row names the project that the permission depends on.
        for (path, rows) in [(format!("/api/v2/workspaces/{ws}"), 1), (format!("/api/v2/runs/{run}"), 2)] {
            ask(server, &path, &stranger).await;
            let refused = ask(server, &path, &stranger).await;
            assert_eq!((refused.status, refused.statements), (404, rows), "{path}");
            let mut warm = Vec::new();
            for token in [ADMIN, &reader, &member] {
                ask(server, &path, token).await;
                let known = ask(server, &path, token).await;
                server.assembled.app.identities.forget();
                let unknown = ask(server, &path, token).await;
                assert_eq!((known.status, unknown.status), (200, 200), "{path}");
                // Who calls; then the organization, their membership, their teams, and what those hold.
                assert!(unknown.statements - known.statements <= 5, "{path}: {}", unknown.statements);
                warm.push(known.statements);
            }
            assert!(warm.iter().all(|statements| *statements == warm[0]), "{path}: {warm:?}");
        }
    }
}

async fn token_of(server: &TestServer, admin: &Api, house: &House, team: &str) -> String {
    let name = admin.invite(&house.org, "member@example.com", &[team]).await;
    let made = accounts::tokens::create_for(&server.assembled.app, &name, "of a test", None).await;
    made.unwrap().1.expose().to_owned()
}

/// The table with its columns aligned.
fn columns(table: &str) -> String {
    let mut text =
        format!("{:<68} {:<52} {:<7} statements rows included\n", "operation", "include", "caller");
    for line in table.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [path, include, caller, statements, rows, included] = words[..] else { panic!("{line}") };
        let _ = writeln!(text, "{path:<68} {include:<52} {caller:<7} {statements:>10} {rows:<4} {included}");
    }
    text
}
