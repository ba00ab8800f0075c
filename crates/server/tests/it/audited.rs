//! Every operation of the table that may change something × what it leaves in the audit trail: a reviewed snapshot.
//!
//! Each is asked by an owner with a body that it takes, where one is written here, in a house of its own. What succeeds
//! leaves exactly one entry, of this operation; what is refused leaves none. An operation that the snapshot shows as
//! refused wants a body here.

use super::{
    acceptance::states,
    matrix::{Furnished, House, fill},
};
use http_api::Access;
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};
use testkit::{Api, on_both};

fn attributes(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

fn one(kind: &str, id: &str) -> Value {
    json!({ "type": kind, "id": id })
}

/// A body that the operation takes, by its name.
fn wanted(operation: &str, ids: &BTreeMap<&'static str, String>) -> Value {
    let id = |kind: &str| ids[kind].as_str();
    let related = |attributes: Value, relations: &[(&str, &str)]| {
        let relations: serde_json::Map<String, Value> = relations
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), json!({ "data": one(kind, id(kind)) })))
            .collect();
        json!({ "data": { "attributes": attributes, "relationships": relations } })
    };
    match operation {
        "accounts.account.update" => attributes(json!({ "email": "new@example.com" })),
        "accounts.organizations.create" => attributes(json!({ "name": "made", "email": "a@example.com" })),
        "accounts.organizations.update" | "accounts.organizations.put" => {
            attributes(json!({ "email": "new@example.com" }))
        }
        "accounts.admin-subscription.set" => {
            let set = json!({ "data": one("feature-sets", "fs-enterprise") });
            json!({ "data": { "relationships": { "feature-set": set } } })
        }
        "workspaces.agent-pools.create" | "workspaces.agent-pools.update" => {
            attributes(json!({ "name": "made" }))
        }
        "accounts.token-ttl-policies.update" => {
            attributes(json!({ "token-ttl-policies": [{ "token-type": "team", "max-ttl-ms": 86_400_000 }] }))
        }
        "accounts.admin-organizations.update" => attributes(json!({ "workspace-limit": 9 })),
        "accounts.memberships.create" => attributes(json!({ "email": "somebody@example.com" })),
        "accounts.teams.create"
        | "workspaces.workspaces.create"
        | "workspaces.projects.create"
        | "workspaces.variable-sets.create" => attributes(json!({ "name": "made" })),
        "accounts.saml-settings.update" => attributes(json!({ "debug": true })),
        "accounts.scim-settings.update" => attributes(json!({ "paused": false })),
        "accounts.scim-tokens.create" => attributes(json!({ "description": "Okta" })),
        "accounts.scim-group-mappings.create" => attributes(json!({ "scim-group-id": id("scim-groups") })),
        "accounts.scim-group-mappings.update" => attributes(json!({ "scim-sync-paused": true })),
        "accounts.teams.update" => attributes(json!({ "visibility": "organization" })),
        "accounts.team-members.add" | "accounts.team-members.remove" => {
            json!({ "data": [one("users", "admin")] })
        }
        "accounts.team-memberships.add" | "accounts.team-memberships.remove" => {
            json!({ "data": [one("organization-memberships", id("organization-memberships"))] })
        }
        "accounts.user-tokens.create" | "accounts.team-tokens.create" | "accounts.agent-tokens.create" => {
            attributes(json!({ "description": "ci" }))
        }
        "workspaces.workspaces.update"
        | "workspaces.workspaces.update-by-name"
        | "workspaces.projects.update"
        | "workspaces.variable-sets.update"
        | "workspaces.variable-sets.update-by-post" => attributes(json!({ "description": "new" })),
        "workspaces.variables.create" | "workspaces.variable-sets.create-variable" => {
            attributes(json!({ "key": "made", "value": "v", "category": "terraform" }))
        }
        "workspaces.variables.update-many" => {
            json!({ "data": [{ "type": "vars", "id": id("vars"), "attributes": { "value": "new" } }] })
        }
        "workspaces.variables.update" | "workspaces.variable-sets.update-variable" => {
            attributes(json!({ "value": "new" }))
        }
        "workspaces.variable-sets.add-workspaces"
        | "workspaces.variable-sets.remove-workspaces"
        | "workspaces.tags.add-workspaces"
        | "workspaces.projects.move-workspaces" => {
            json!({ "data": [one("workspaces", id("workspaces"))] })
        }
        "workspaces.variable-sets.add-projects" | "workspaces.variable-sets.remove-projects" => {
            json!({ "data": [one("projects", id("projects"))] })
        }
        "workspaces.team-access.create" => {
            related(json!({ "access": "read" }), &[("team", "teams"), ("workspace", "workspaces")])
        }
        "workspaces.project-access.create" => {
            related(json!({ "access": "read" }), &[("team", "teams"), ("project", "projects")])
        }
        name if name.starts_with("workspaces.remote-state-consumers.") => {
            let consumers: Vec<Value> =
                ids.get("consumer").map(|id| one("workspaces", id)).into_iter().collect();
            json!({ "data": consumers })
        }
        "state.versions.rollback" => {
            let earlier = ids.get("rollback").map(|id| one("state-versions", id));
            json!({ "data": { "relationships": { "rollback-state-version": { "data": earlier } } } })
        }
        "runs.configuration-versions.create" => attributes(json!({})),
        "workspaces.team-access.update" | "workspaces.project-access.update" => {
            attributes(json!({ "access": "admin" }))
        }
        "workspaces.workspace-tags.add" => {
            json!({ "data": [{ "type": "tags", "attributes": { "name": "more" } }] })
        }
        "workspaces.workspace-tags.remove" | "workspaces.tags.delete" => {
            json!({ "data": [one("tags", id("tags"))] })
        }
        "workspaces.tag-bindings.update"
        | "workspaces.tag-bindings.add"
        | "workspaces.tag-bindings.replace"
        | "workspaces.project-tag-bindings.add"
        | "workspaces.project-tag-bindings.replace"
        | "workspaces.project-tag-bindings.update" => {
            json!({ "data": [{ "type": "tag-bindings", "attributes": { "key": "env", "value": "prod" } }] })
        }
        "state.versions.create" => states::inline(7, "m", &states::state(7, "m", "x"), json!({})),
        "runs.runs.create" => related(json!({ "plan-only": true }), &[("workspace", "workspaces")]),
        "accounts.admin-banners.create" => {
            attributes(json!({ "title": "t", "body": "b", "style": "info", "audience": "all_users" }))
        }
        "accounts.admin-banners.update" => attributes(json!({ "title": "new" })),
        "workspaces.cidr-range-lists.create" | "workspaces.cidr-range-lists.update" => {
            attributes(json!({ "name": "made" }))
        }
        "workspaces.cidr-range-lists.add-agent-pools" | "workspaces.cidr-range-lists.remove-agent-pools" => {
            json!({ "data": [one("agent-pools", id("agent-pools"))] })
        }
        "workspaces.cidr-ranges.create" => attributes(json!({ "range": "192.0.2.0/24" })),
        "workspaces.cidr-ranges.update" => attributes(json!({ "enabled": false })),
        "workspaces.ssh-keys.create" => attributes(json!({ "name": "made", "value": "planted-key" })),
        "workspaces.ssh-keys.update" => attributes(json!({ "name": "renamed" })),
        "workspaces.reserved-tag-keys.create" => {
            attributes(json!({ "key": "made", "disable-overrides": true }))
        }
        "workspaces.reserved-tag-keys.update" => attributes(json!({ "key": "renamed" })),
        "runs.comments.create" => attributes(json!({ "body": "hello" })),
        _ => json!({}),
    }
}

/// Makes what the operation needs beyond what every house has.
async fn prepare(api: &Api, operation: &str, house: &mut House) {
    let House { org, ids, .. } = house;
    let id = |kind: &str| ids[kind].clone();
    match operation {
        "accounts.team-members.remove" | "accounts.team-memberships.remove" => {
            let add = wanted("accounts.team-members.add", ids);
            api.post(&format!("/teams/{}/relationships/users", id("teams")), add).await.expect(204);
        }
        "accounts.scim-group-mappings.update" | "accounts.scim-group-mappings.delete" => {
            let link = wanted("accounts.scim-group-mappings.create", ids);
            let path = format!("/admin/teams/{}/scim-group-mapping", id("teams"));
            api.post(&path, link).await.expect(201);
        }
        "accounts.team-token.delete" => {
            api.post(&format!("/teams/{}/authentication-token", id("teams")), json!({})).await.expect(201);
        }
        "accounts.tokens.delete" => {
            let made = api
                .post(&format!("/users/{}/authentication-tokens", id("users")), json!({}))
                .await
                .expect(201);
            ids.insert("authentication-tokens", made.id());
        }
        "accounts.memberships.delete" => {
            let invite = wanted("accounts.memberships.create", ids);
            let made =
                api.post(&format!("/organizations/{org}/organization-memberships"), invite).await.expect(201);
            ids.insert("organization-memberships", made.id());
        }
        // Without the lock the run would take it.
        "workspaces.lock.lock"
        | "workspaces.workspaces.safe-delete"
        | "workspaces.workspaces.safe-delete-by-name" => {
            api.act(&format!("/runs/{}/actions/cancel", id("runs"))).await;
            api.unlock(&id("workspaces")).await;
        }
        "workspaces.variable-sets.add-workspaces" => {
            let path = format!("/varsets/{}/relationships/workspaces", id("varsets"));
            api.send(Method::DELETE, &path, Some(wanted(operation, ids))).await.expect(204);
        }
        "workspaces.variable-sets.remove-projects" => {
            let path = format!("/varsets/{}/relationships/projects", id("varsets"));
            api.post(&path, wanted(operation, ids)).await.expect(204);
        }
        "workspaces.projects.delete" => {
            let made = wanted("workspaces.projects.create", ids);
            let made = api.post(&format!("/organizations/{org}/projects"), made).await.expect(201);
            ids.insert("projects", made.id());
        }
        "workspaces.cidr-range-lists.remove-agent-pools" => {
            let path = format!("/cidr-range-lists/{}/relationships/agent-pools", id("cidr-range-lists"));
            api.post(&path, wanted(operation, ids)).await.expect(204);
        }
        "workspaces.project-access.create" => {
            api.delete(&format!("/team-projects/{}", id("team-projects"))).await.expect(204);
        }
        "workspaces.project-tag-bindings.delete" => {
            let path = format!("/projects/{}/tag-bindings", id("projects"));
            api.patch(&path, wanted("workspaces.project-tag-bindings.update", ids)).await.expect(200);
        }
        name if name.starts_with("workspaces.remote-state-consumers.") => {
            let path = format!("/workspaces/{}/relationships/remote-state-consumers", id("workspaces"));
            let other = api.workspace(org, "consumer", json!({})).await;
            ids.insert("consumer", other);
            if name.ends_with("remove") {
                api.post(&path, wanted(name, ids)).await.expect(204);
            }
        }
        "state.versions.rollback" => {
            let path = format!("/workspaces/{}/state-versions", id("workspaces"));
            let made = api.post(&path, wanted("state.versions.create", ids)).await.expect(201);
            ids.insert("rollback", made.id());
        }
        name if name.starts_with("runs.")
            && name.ends_with("-backing-data")
            && !name.contains("configuration") =>
        {
            let run = id("runs");
            let phase = if name.contains("plans") { "plans" } else { "applies" };
            api.act(&format!("/runs/{run}/actions/cancel")).await;
            if !name.contains("soft") {
                let path = format!("/{phase}/{}/actions/soft-delete-backing-data", id(phase));
                api.post(&path, json!({})).await.expect(204);
            }
        }
        "runs.configuration-versions.archive" => {
            let made = api.uploaded(&id("workspaces"), testkit::archive(&[("main.tf", "")])).await;
            api.uploaded(&id("workspaces"), testkit::archive(&[("main.tf", "")])).await;
            ids.insert("configuration-versions", made);
        }
        _ => {}
    }
}

async fn count(api: &Api) -> i64 {
    let found = api.get("/admin/audit-trail?page%5Bsize%5D=1").await.expect(200);
    found.json["pagination"]["total_count"].as_i64().unwrap()
}

/// The entry of this number, from 1.
async fn entry(api: &Api, number: i64) -> Value {
    let path = format!("/admin/audit-trail?page%5Bsize%5D=1&page%5Bnumber%5D={number}");
    api.get(&path).await.expect(200).json["data"][0].clone()
}

on_both! {
    async fn every_operation_that_changes_something_leaves_one_entry_and_a_refused_one_none(server) {
        let admin = server.admin();
        let mut table = String::new();
        let mut built = 0;
        for operation in server.assembled.routes.operations() {
            if operation.access != Access::Token || operation.method == "GET" {
                continue;
            }
            built += 1;
            let mut house = House::build(server, built, Furnished::Sparsely).await;
            prepare(&admin, operation.name, &mut house).await;
            let path = fill(operation.path, &house.org, &house.ids);
            let body = wanted(operation.name, &house.ids);
            let before = count(&admin).await;
            for caller in ["foreign", "nobody"] {
                let by = &house.callers[caller];
                let refused = by.send(operation.method.clone(), &path, Some(body.clone())).await;
                if !refused.status.is_success() {
                    assert_eq!(count(&admin).await, before, "{operation:?} refused to {caller}");
                }
            }
            let before = count(&admin).await;
            let answer = admin.send(operation.method.clone(), &path, Some(body)).await;
            let left = count(&admin).await - before;
            let word = if answer.status.is_success() { "done" } else { "refused" };
            let _ = writeln!(table, "{word:<8} {left} {}", operation.name);
            assert!(left <= 1, "{operation:?}: {left}");
            assert!(answer.status.is_success() || left == 0, "{operation:?} {}", answer.status);
            if left == 1 {
                let entry = entry(&admin, before + 1).await;
                let meta = &entry["resource"]["meta"];
                assert_eq!(meta["operation"], operation.name);
                assert_eq!(meta["status"], answer.status.as_u16());
                assert_eq!(entry["request"]["id"], answer.headers["x-request-id"].to_str().unwrap());
                for part in ["/resource/id", "/resource/type", "/auth/accessor_id", "/auth/description"] {
                    assert!(entry.pointer(part).unwrap().as_str().is_some_and(|t| !t.is_empty()), "{part}: {entry}");
                }
            }
        }
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("audited", table);
        });
    }
}
