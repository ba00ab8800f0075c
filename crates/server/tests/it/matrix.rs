//! Every operation of the table × every kind of caller: a reviewed snapshot. No list of operations is kept here.
//!
//! Each operation is asked with ids that exist, a body that is empty, and each token. Its answer's status says whether the
//! caller gets past authorization: 401 and 404 are refusals, anything else is the operation's own answer to a poor request.

use super::{
    acceptance::{CHANGE, planned, run_of, states},
    scim,
};
use http_api::{Access, Operation, serve::full_path};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write};
use testkit::{Api, TestServer, archive, on_both};

/// Who asks, from the least to the most that they may do.
const CALLERS: [&str; 6] = ["nobody", "foreign", "read", "plan", "organization", "owner"];

/// An organization with one of everything, and the callers' tokens.
pub(super) struct House {
    pub(super) org: String,
    /// Ids for the parameters of paths, by what stands before them.
    pub(super) ids: BTreeMap<&'static str, String>,
    pub(super) callers: BTreeMap<&'static str, Api>,
}

impl House {
    pub(super) async fn build(server: &TestServer, number: u32, furnished: Furnished) -> Self {
        let admin = server.admin();
        let (org, other) = (format!("acme{number}"), format!("other{number}"));
        admin.organization(&org).await;
        let ws = admin.workspace(&org, "demo", json!({})).await;
        admin.organization(&other).await;
        let theirs = admin.workspace(&other, "theirs", json!({})).await;
        let callers = BTreeMap::from([
            ("nobody", server.anonymous()),
            ("foreign", server.with_token(&admin.team_token(&other, "strangers", &theirs, "admin").await)),
            ("read", server.with_token(&admin.team_token(&org, "readers", &ws, "read").await)),
            ("plan", server.with_token(&admin.team_token(&org, "planners", &ws, "plan").await)),
            ("organization", server.with_token(&admin.organization_token(&org).await)),
            ("owner", admin.clone()),
        ]);
        let mut ids = resources(&admin, &org, &ws).await;
        ids.extend(run(&admin, &ws, furnished).await);
        ids.extend(applied(&admin, &org, furnished).await);
        ids.extend(scim::fixtures(server).await);
        ids.insert("plan-exports", export(server, &admin, &ids, furnished).await);
        Self { org, ids, callers }
    }
}

/// How the runs and states of a house were made.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Furnished {
    /// By the engine: there is something to read in everything.
    Really,
    /// By requests alone, which is quick: whoever may change it gets past authorization just the same.
    Sparsely,
}

/// What needs neither a run nor a state.
async fn resources(admin: &Api, org: &str, ws: &str) -> BTreeMap<&'static str, String> {
    let variable = json!({ "data": { "attributes": { "key": "k", "value": "v", "category": "env" } } });
    let access = admin.get(&format!("/team-workspaces?filter%5Bworkspace%5D%5Bid%5D={ws}")).await;
    let organization = admin.get(&format!("/organizations/{org}")).await;
    let memberships = admin.get(&format!("/organizations/{org}/organization-memberships")).await;
    let bystanders = json!({ "data": { "attributes": { "name": "bystanders" } } });
    let team = admin.post(&format!("/organizations/{org}/teams"), bystanders).await.expect(201);
    let variable = admin.post(&format!("/workspaces/{ws}/vars"), variable).await.expect(201);
    let tags = json!({ "data": [{ "type": "tags", "attributes": { "name": "web" } }] });
    admin.post(&format!("/workspaces/{ws}/relationships/tags"), tags).await.expect(204);
    let (set, set_variable) = variable_set(admin, org, ws).await;
    let project = organization.related("default-project").unwrap().to_owned();
    let on_project = json!({ "data": { "attributes": { "access": "read" }, "relationships": {
        "team": { "data": { "type": "teams", "id": team.id() } },
        "project": { "data": { "type": "projects", "id": project } },
    } } });
    let on_project = admin.post("/team-projects", on_project).await.expect(201);
    let key = json!({ "data": { "attributes": { "name": "git", "value": "v" } } });
    let key = admin.post(&format!("/organizations/{org}/ssh-keys"), key).await.expect(201);
    let reserved = json!({ "data": { "attributes": { "key": "cost" } } });
    let reserved = admin.post(&format!("/organizations/{org}/reserved-tag-keys"), reserved).await.expect(201);
    let source = admin.workspace(org, "source", json!({})).await;
    let trigger = json!({ "data": { "relationships": {
        "sourceable": { "data": { "type": "workspaces", "id": source } },
    } } });
    let trigger = admin.post(&format!("/workspaces/{ws}/run-triggers"), trigger).await.expect(201);
    let pool = json!({ "data": { "attributes": { "name": "spare" } } });
    let pool = admin.post(&format!("/organizations/{org}/agent-pools"), pool).await.expect(201);
    let banner = json!({ "data": { "attributes": {
        "title": "t", "body": "b", "style": "info", "audience": "authenticated_only",
    } } });
    let banner = admin.post("/admin/banners", banner).await.expect(201);
    // Of agents, so that it stands in nobody's way here.
    let ranges = json!({ "data": { "attributes": { "name": "some", "enforcement-scope": "selected_agent_pools" },
        "relationships": { "cidr-ranges": { "data": [{ "type": "cidr-ranges", "attributes": { "range": "10.0.0.0/8" } }] } } } });
    let ranges = admin.post(&format!("/organizations/{org}/cidr-range-lists"), ranges).await.expect(201);
    let range =
        ranges.json["data"]["relationships"]["cidr-ranges"]["data"][0]["id"].as_str().unwrap().to_owned();
    let terraform = admin.get("/admin/terraform-versions").await.expect(200).ids()[0].clone();
    let tofu = admin.get("/admin/opentofu-versions").await.expect(200).ids()[0].clone();
    BTreeMap::from([
        ("ssh-keys", key.id()),
        ("reserved-tag-keys", reserved.id()),
        ("run-triggers", trigger.id()),
        ("varsets", set),
        ("varset-vars", set_variable),
        ("team-projects", on_project.id()),
        ("workspaces", ws.to_owned()),
        ("tags", admin.get(&format!("/organizations/{org}/tags")).await.ids()[0].clone()),
        ("users", admin.get("/account/details").await.id()),
        ("vars", variable.id()),
        ("team-workspaces", access.ids()[0].clone()),
        ("projects", project),
        ("organization-memberships", memberships.ids()[0].clone()),
        ("teams", team.id()),
        ("authentication-tokens", "at-0000000000000000".to_owned()),
        ("saved-filters", "sf-0000000000000000".to_owned()),
        ("agent-pools", pool.id()),
        ("cidr-range-lists", ranges.id()),
        ("cidr-ranges", range),
        ("banners", banner.id()),
        ("subscriptions", organization.related("subscription").unwrap().to_owned()),
        ("terraform-versions", terraform),
        ("opentofu-versions", tofu),
    ])
}

/// A variable set that holds in the workspace, and its variable.
async fn variable_set(admin: &Api, org: &str, ws: &str) -> (String, String) {
    let set = json!({ "data": { "attributes": { "name": "some" }, "relationships": {
        "workspaces": { "data": [{ "type": "workspaces", "id": ws }] },
    } } });
    let set = admin.post(&format!("/organizations/{org}/varsets"), set).await.expect(201).id();
    let variable = json!({ "data": { "attributes": { "key": "k", "value": "v", "category": "env" } } });
    let variable = admin.post(&format!("/varsets/{set}/relationships/vars"), variable).await.expect(201);
    (set, variable.id())
}

/// A run, and what comes with it.
async fn run(admin: &Api, ws: &str, furnished: Furnished) -> BTreeMap<&'static str, String> {
    let run = match furnished {
        Furnished::Really => planned(admin, ws, CHANGE).await,
        Furnished::Sparsely => {
            admin.lock(ws).await;
            run_of(admin, ws, CHANGE).await
        }
    };
    let found = admin.get(&format!("/runs/{run}")).await;
    let related = |name: &str| found.related(name).unwrap().to_owned();
    let comment = json!({ "data": { "attributes": { "body": "hello" } } });
    let comment = admin.post(&format!("/runs/{run}/comments"), comment).await.expect(201);
    let events = admin.get(&format!("/runs/{run}/run-events")).await;
    let query = json!({ "data": { "relationships": {
        "workspace": { "data": { "type": "workspaces", "id": ws } },
    } } });
    let query = admin.post("/queries", query).await.expect(201).id();
    if furnished == Furnished::Really {
        admin.wait(&query, &["errored", "planned_and_finished"]).await;
    }
    BTreeMap::from([
        ("queries", query),
        ("plans", related("plan")),
        ("applies", related("apply")),
        ("configuration-versions", related("configuration-version")),
        ("comments", comment.id()),
        ("run-events", events.ids()[0].clone()),
        ("runs", run),
    ])
}

/// A state with an output, in a workspace of its own.
async fn applied(admin: &Api, org: &str, furnished: Furnished) -> BTreeMap<&'static str, String> {
    let ws = admin.workspace(org, "stated", json!({ "auto-apply": true })).await;
    match furnished {
        Furnished::Really => {
            admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
            let run = admin.run(&ws, json!({})).await;
            admin.wait(&run, &["applied"]).await;
        }
        Furnished::Sparsely => {
            admin.lock(&ws).await;
            let body = states::inline(1, "l", &states::state(1, "l", "x"), json!({}));
            admin.post(&format!("/workspaces/{ws}/state-versions"), body).await.expect(201);
        }
    }
    let state = admin.get(&format!("/workspaces/{ws}/current-state-version?include=outputs")).await;
    let output = state.json["included"][0]["id"].as_str().unwrap().to_owned();
    BTreeMap::from([("state-versions", state.id()), ("state-version-outputs", output)])
}

/// An export of the run's plan. Where no engine has planned, there is only its row.
async fn export(
    server: &TestServer,
    admin: &Api,
    ids: &BTreeMap<&'static str, String>,
    furnished: Furnished,
) -> String {
    if furnished == Furnished::Really {
        let body = json!({ "data": {
            "attributes": { "data-type": "sentinel-mock-bundle-v0" },
            "relationships": { "plan": { "data": { "type": "plans", "id": ids["plans"] } } },
        } });
        return admin.post("/plan-exports", body).await.expect(201).id();
    }
    let id = format!("pe-{}", ids["runs"]);
    let sql = "INSERT INTO plan_exports (id, run_id, data_type, status, created_at) VALUES ($1, $2, 'x', 'finished', 1)";
    server.assembled.app.db.exec(sql, db::args![id.as_str(), ids["runs"].as_str()]).await.unwrap();
    id
}

/// The path with its parameters filled in: `{organization}` and `{name}` by name, others by what stands before them.
pub(super) fn fill(path: &str, org: &str, ids: &BTreeMap<&'static str, String>) -> String {
    let mut filled: Vec<String> = Vec::new();
    let parts: Vec<&str> = path.split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        filled.push(match *part {
            "{organization}" => org.to_owned(),
            "{name}" => "demo".to_owned(),
            "{variable}" if path.contains("/varsets/") => ids["varset-vars"].clone(),
            "{variable}" => ids["vars"].clone(),
            "{varset}" => ids["varsets"].clone(),
            parameter if parameter.starts_with('{') => {
                ids.get(parts[index - 1]).cloned().unwrap_or_else(|| panic!("no fixture for {path}"))
            }
            plain => plain.to_owned(),
        });
    }
    filled.join("/")
}

on_both! {
    async fn every_operation_answers_every_caller_as_reviewed(server) {
        let shared = House::build(server, 0, Furnished::Really).await;
        let mut table = format!("{:<84}", "");
        for caller in CALLERS {
            let _ = write!(table, " {caller:>12}");
        }
        table.push('\n');
        let mut built = 0;
        for operation in server.assembled.routes.operations() {
            if operation.access != Access::Token {
                continue;
            }
            let _ = write!(table, "{:<6} {:<77}", operation.method.as_str(), operation.path);
            for caller in CALLERS {
                // Who may do it takes away what the next caller would need, so they get a house of their own.
                let own = if destructive(operation) && (caller == "organization" || caller == "owner") {
                    built += 1;
                    Some(House::build(server, built, Furnished::Sparsely).await)
                } else {
                    None
                };
                let house = own.as_ref().unwrap_or(&shared);
                let body = (operation.method != "GET").then(|| json!({}));
                let path = fill(operation.path, &house.org, &house.ids);
                let answer = house.callers[caller].send(operation.method.clone(), &path, body).await;
                let word = match answer.status.as_u16() {
                    401 => "401",
                    403 => "403",
                    404 => "404",
                    500.. => panic!("{operation:?} by {caller}: {}", answer.error()),
                    _ => "yes",
                };
                let _ = write!(table, " {word:>12}");
            }
            table.push('\n');
        }
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("operations", table);
        });
    }

    async fn every_operation_refuses_who_shows_no_token_or_an_unknown_one(server) {
        for operation in server.assembled.routes.operations() {
            if operation.access != Access::Token {
                continue;
            }
            let path = full_path(operation).replace("/api/v2", "").replace(['{', '}'], "");
            for api in [server.anonymous(), server.with_token("unknown")] {
                let body = (operation.method != "GET").then(|| json!({}));
                let refused = api.send(operation.method.clone(), &path, body).await.expect(401);
                assert_eq!(refused.json["errors"][0]["title"], "unauthorized", "{operation:?}");
            }
        }
    }

    async fn every_operation_on_something_absent_is_404_or_asks_for_more(server) {
        let admin = server.admin();
        for operation in server.assembled.routes.operations() {
            if operation.access != Access::Token || !operation.path.contains('{') {
                continue;
            }
            let path = operation.path.replace(['{', '}'], "");
            let body = (operation.method != "GET").then(|| json!({ "data": { "attributes": {} } }));
            let status = admin.send(operation.method.clone(), &path, body).await.status.as_u16();
            assert!([404, 422].contains(&status), "{operation:?} answered {status}");
        }
    }
}

/// Whether a permitted call changes what exists although its body is empty.
fn destructive(operation: &Operation) -> bool {
    operation.method == "DELETE"
        || (operation.method == "POST"
            && (operation.path.contains("/actions/") || operation.path.ends_with("authentication-token")))
}
