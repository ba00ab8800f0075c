//! The pages of an organization: what one sees, and what one may do.

use crate::{
    acceptance::{CHANGE, planned, run_of},
    sign_in::{self, Browser, Shown},
};
use serde_json::json;
use testkit::{Api, Gate, TestServer, on_both};

fn sees(shown: &Shown, texts: &[&str]) {
    for text in texts {
        assert!(shown.text.contains(text), "{text} is missing in {}", shown.text);
    }
}

fn sees_not(shown: &Shown, texts: &[&str]) {
    for text in texts {
        assert!(!shown.text.contains(text), "{text} is in {}", shown.text);
    }
}

/// An organization with a workspace, its owner's browser, and that of somebody who may read the workspace.
async fn house(server: &TestServer) -> (Browser, Browser, String) {
    let api = server.admin();
    api.organization("acme").await;
    let ws = api.workspace("acme", "net", json!({})).await;
    let team = api.team("acme", "readers", &ws, "read").await;
    let name = api.invite("acme", "mona@example.com", &[&team]).await;
    (sign_in::admin(server).await, sign_in::of(server, &name).await, ws)
}

/// A workspace with a tag.
async fn tagged(api: &Api, name: &str, tag: &str) {
    let ws = api.workspace("acme", name, json!({})).await;
    let tags = json!({ "data": [{ "type": "tags", "attributes": { "name": tag } }] });
    api.post(&format!("/workspaces/{ws}/relationships/tags"), tags).await.expect(204);
}

/// The id in the first address that holds what comes before it.
fn id_after(shown: &Shown, before: &str) -> String {
    let rest = &shown.text
        [shown.text.find(before).unwrap_or_else(|| panic!("{before} in {}", shown.text)) + before.len()..];
    rest[..rest.find(['"', '/', '?']).unwrap()].to_owned()
}

on_both! {
    async fn home_shows_what_needs_somebody_in_each_organization(server) {
        let api = server.admin();
        let mut browser = sign_in::admin(server).await;
        sees(&browser.get("/app").await.expect(200), &["not a member of any organization yet", "Create an organization"]);
        let refused = browser.send("/app/organizations", &[("name", "a b"), ("email", "ops@acme.test")]).await.expect(422);
        sees(&refused, &["Name can only include letters", "value=\"a b\""]);
        let made = browser.send("/app/organizations", &[("name", "acme"), ("email", "ops@acme.test")]).await.expect(303);
        sees(&browser.get(&made.location()).await.expect(200), &["The organization is there", "Make the first run"]);
        sees(&browser.get("/app").await.expect(200), &["All quiet"]);
        let ws = api.workspace("acme", "net", json!({})).await;
        planned(&api, &ws, CHANGE).await;
        sees(&browser.get("/app").await.expect(200), &["1 needs confirmation"]);
    }

    async fn a_new_organization_teaches_three_ways_to_a_run_with_its_own_names(server) {
        server.admin().organization("acme").await;
        let mut browser = sign_in::admin(server).await;
        let shown = browser.get("/app/acme").await.expect(200);
        let url = &server.assembled.app.settings.url;
        let calls = format!("{url}/api/v2/organizations/acme/workspaces");
        sees(&shown, &["organization = &quot;acme&quot;", &calls, "/app/acme/workspaces/new", "terraform login"]);
    }

    async fn the_overview_says_what_runs_waits_and_failed_and_why_it_waits(server) {
        let (mut owner, mut reader, ws) = house(server).await;
        let api = server.admin();
        let gate = Gate::new().await;
        let busy = api.workspace("acme", "busy", json!({})).await;
        let bad = api.workspace("acme", "bad", json!({})).await;
        planned(&api, &ws, CHANGE).await;
        let failed = run_of(&api, &bad, "resource \"terraform_data\" \"a\" { input = nothing.here }").await;
        api.wait(&failed, &["errored"]).await;
        run_of(&api, &busy, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        api.run(&busy, json!({ "message": "Second in line" })).await;
        let shown = owner.get("/app/acme").await.expect(200);
        sees(&shown, &["Second in line", "One run goes first", "Runs and failures, last 14 days", "100 % failed", "sse-connect"]);
        for part in ["needs-confirmation", "running", "waiting", "failed-today"] {
            sees(&shown, &[&format!("id=\"{part}\"")]);
        }
        // What one may not see is not counted either.
        sees_not(&reader.get("/app/acme").await.expect(200), &["Second in line", "busy", "100 % failed"]);
        visitor.admit().await;
    }

    async fn workspaces_are_searched_filtered_and_the_filter_is_kept_under_a_name(server) {
        let (mut owner, mut reader, ws) = house(server).await;
        let api = server.admin();
        tagged(&api, "dns", "edge").await;
        planned(&api, &ws, CHANGE).await;
        let list = "/app/acme/workspaces";
        sees(&owner.get(list).await.expect(200), &["/workspaces/net\"", "/workspaces/dns\"", "New workspace"]);
        let found = owner.get(&format!("{list}?q=dn")).await.expect(200);
        sees(&found, &["/workspaces/dns\""]);
        sees_not(&found, &["/workspaces/net\""]);
        for (filter, here, gone) in [("status=attention", "net", "dns"), ("tag=edge", "dns", "net")] {
            let found = owner.get(&format!("{list}?{filter}")).await.expect(200);
            sees(&found, &[&format!("/workspaces/{here}\"")]);
            sees_not(&found, &[&format!("/workspaces/{gone}\"")]);
        }
        let counts = owner.get(&format!("{list}?counts=1")).await.expect(200);
        sees(&counts, &["Needs attention <span class=\"tally\">1</span>", "All <span class=\"tally\">2</span>"]);
        owner.get(&format!("{list}?status=attention")).await.expect(200);
        let kept = owner.send("/app/acme/saved-filters", &[("name", "My plans"), ("query", "status=attention")]).await.expect(303);
        sees(&owner.get(&kept.location()).await.expect(200), &["My plans", "The filter is saved."]);
        sees(&owner.get(list).await.expect(200), &["My plans", "?status=attention"]);
        let other = reader.get(list).await.expect(200);
        sees_not(&other, &["My plans", "New workspace", "/workspaces/dns\""]);
        // What a form claims to be a filter becomes no other address.
        owner.get(list).await.expect(200);
        owner.send("/app/acme/saved-filters", &[("name", "x"), ("query", "evil=1")]).await.expect(404);
    }

    async fn a_project_is_made_filled_shared_changed_and_deleted(server) {
        let (mut owner, _, _) = house(server).await;
        owner.get("/app/acme/projects").await.expect(200);
        sees(&owner.send("/app/acme/projects", &[("name", "x")]).await.expect(422), &["between 3 and 40"]);
        let made = owner.send("/app/acme/projects", &[("name", "Platform"), ("description", "All of it")]).await.expect(303);
        let page = made.location().split('?').next().unwrap().to_owned();
        let shown = owner.get(&page).await.expect(200);
        sees(&shown, &["All of it", "No workspace is in this project yet", "readers"]);
        owner.send(&format!("{page}/move"), &[("workspace", "net")]).await.expect(303);
        let team = id_after(&owner.get(&page).await.expect(200), "<option value=\"team-");
        owner.send(&format!("{page}/access"), &[("team", &format!("team-{team}")), ("access", "write")]).await.expect(303);
        let shown = owner.get(&page).await.expect(200);
        sees(&shown, &["/app/acme/workspaces/net", "Write: and run them"]);
        let fields = [("name", "Base"), ("description", ""), ("default-execution-mode", "local"), ("auto-destroy", "14d")];
        owner.send(&page, &fields).await.expect(303);
        sees(&owner.get("/app/acme/projects").await.expect(200), &["Base", "Local execution", "Destroys after 14d"]);
        owner.get(&page).await.expect(200);
        sees(&owner.send(&page, &[("name", "Base"), ("auto-destroy", "soon")]).await.expect(422), &["value=\"soon\""]);
        let refused = owner.send(&format!("{page}/delete"), &[]).await.expect(403);
        sees(&refused, &["still has 1 workspace"]);
        server.admin().delete("/organizations/acme/workspaces/net").await;
        owner.get(&page).await.expect(200);
        owner.send(&format!("{page}/delete"), &[]).await.expect(303);
        owner.get(&page).await.expect(404);
    }

    async fn a_team_gets_members_access_and_tokens_and_the_matrix_says_why(server) {
        let (mut owner, _, _) = house(server).await;
        owner.get("/app/acme/settings/teams").await.expect(200);
        let made = owner.send("/app/acme/settings/teams", &[("name", "devs"), ("visibility", "secret")]).await.expect(303);
        let page = made.location().split('?').next().unwrap().to_owned();
        owner.get(&page).await.expect(200);
        sees(&owner.send(&format!("{page}/members"), &[("username", "nobody")]).await.expect(422), &["is a member of the organization"]);
        owner.send(&format!("{page}/members"), &[("username", "admin")]).await.expect(303);
        owner.get(&page).await.expect(200);
        owner.send(&format!("{page}/access"), &[("read-projects", "true")]).await.expect(303);
        owner.get(&page).await.expect(200);
        owner.send(&format!("{page}/access/workspace"), &[("workspace", "net"), ("access", "plan")]).await.expect(303);
        let shown = owner.get(&page).await.expect(200);
        sees(&shown, &["Members <span class=\"tally\">1</span>", "Plan: and start runs"]);
        let token = owner.send(&format!("{page}/tokens"), &[("description", "robot"), ("days", "30")]).await.expect(200);
        sees(&token, &["It is not shown again", ".atlasv1."]);
        let after = owner.get(&page).await.expect(200);
        sees(&after, &["robot"]);
        sees_not(&after, &[".atlasv1."]);
        let id = id_after(&after, &format!("{page}/tokens/"));
        owner.send(&format!("{page}/tokens/{id}/revoke"), &[]).await.expect(303);
        sees_not(&owner.get(&page).await.expect(200), &["robot"]);
        let matrix = owner.get("/app/acme/settings/access").await.expect(200);
        sees(&matrix, &["devs", "by organization access of the team", "read-projects"]);
    }

    async fn people_are_invited_and_removed(server) {
        let (mut owner, _, _) = house(server).await;
        owner.get("/app/acme/settings/users").await.expect(200);
        sees(&owner.send("/app/acme/settings/users", &[("email", "nonsense")]).await.expect(422), &["not a valid email", "value=\"nonsense\""]);
        owner.get("/app/acme/settings/users").await.expect(200);
        owner.send("/app/acme/settings/users", &[("email", "otto@example.com")]).await.expect(303);
        let shown = owner.get("/app/acme/settings/users?q=otto").await.expect(200);
        sees(&shown, &["otto@example.com", "Invited"]);
        let id = id_after(&shown, "/app/acme/settings/users/");
        owner.send(&format!("/app/acme/settings/users/{id}/remove"), &[]).await.expect(303);
        sees_not(&owner.get("/app/acme/settings/users").await.expect(200), &["otto@example.com"]);
    }

    async fn a_variable_set_is_made_filled_applied_and_never_shows_what_is_sensitive(server) {
        let (mut owner, _, _) = house(server).await;
        owner.get("/app/acme/settings/variable-sets").await.expect(200);
        let made = owner.send("/app/acme/settings/variable-sets", &[("name", "Cloud")]).await.expect(303);
        let page = made.location().split('?').next().unwrap().to_owned();
        owner.get(&page).await.expect(200);
        let secret = [("key", "SECRET"), ("value", "hunter2"), ("category", "env"), ("sensitive", "true")];
        owner.send(&format!("{page}/variables"), &secret).await.expect(303);
        owner.get(&page).await.expect(200);
        sees(&owner.send(&format!("{page}/variables"), &secret).await.expect(422), &["already been taken"]);
        owner.get(&page).await.expect(200);
        owner.send(&format!("{page}/scopes/workspaces"), &[("workspace", "net")]).await.expect(303);
        let shown = owner.get(&page).await.expect(200);
        sees(&shown, &["SECRET", "Sensitive", "1 workspace"]);
        sees_not(&shown, &["hunter2"]);
        let id = id_after(&shown, &format!("{page}/variables/"));
        // What is left empty of a sensitive one stays.
        let fields = [("key", "SECRET"), ("value", ""), ("category", "env"), ("sensitive", "true"), ("description", "Of the cloud")];
        owner.send(&format!("{page}/variables/{id}"), &fields).await.expect(303);
        sees(&owner.get(&page).await.expect(200), &["Of the cloud"]);
        owner.send(&format!("{page}/delete"), &[]).await.expect(303);
        owner.get(&page).await.expect(404);
    }

    async fn the_organizations_tokens_are_shown_once(server) {
        let (mut owner, mut reader, _) = house(server).await;
        let page = "/app/acme/settings/tokens";
        owner.get(page).await.expect(200);
        sees(&owner.send(&format!("{page}/organization"), &[("days", "30")]).await.expect(200), &[".atlasv1."]);
        let after = owner.get(page).await.expect(200);
        sees(&after, &["Replace token"]);
        sees_not(&after, &[".atlasv1."]);
        owner.send(&format!("{page}/organization/revoke"), &[]).await.expect(303);
        sees_not(&owner.get(page).await.expect(200), &["Replace token"]);
        owner.send(&format!("{page}/magic"), &[]).await.expect(404);
        reader.get("/app").await.expect(200);
        reader.send(&format!("{page}/organization"), &[("days", "30")]).await.expect(404);
    }

    async fn settings_are_changed_with_what_was_typed_kept_where_they_are_refused(server) {
        let (mut owner, _, _) = house(server).await;
        let page = "/app/acme/settings";
        owner.get(page).await.expect(200);
        let refused = owner.send(page, &[("name", "no spaces"), ("email", "x@acme.test"), ("default-execution-mode", "remote")]).await;
        sees(&refused.expect(422), &["Name can only include letters", "value=\"no spaces\"", "value=\"x@acme.test\""]);
        owner.get(page).await.expect(200);
        let fields = [("name", "acme2"), ("email", "x@acme.test"), ("default-execution-mode", "local"), ("session-timeout", "60"),
            ("user-tokens-enabled", "true")];
        let saved = owner.send(page, &fields).await.expect(303);
        sees(&owner.get(&saved.location()).await.expect(200), &["hold at once", "value=\"acme2\"", "value=\"60\""]);
        owner.send("/app/acme2/settings/delete", &[("confirmation", "acme")]).await.expect(422);
        owner.get("/app/acme2/settings").await.expect(200);
        owner.send("/app/acme2/settings/delete", &[("confirmation", "acme2")]).await.expect(303);
        owner.get("/app/acme2").await.expect(404);
    }

    async fn tags_reserved_keys_and_ssh_keys_come_and_go(server) {
        let (mut owner, _, _) = house(server).await;
        tagged(&server.admin(), "dns", "edge").await;
        let tags = "/app/acme/settings/tags";
        let shown = owner.get(tags).await.expect(200);
        sees(&shown, &["edge"]);
        let id = id_after(&shown, "/app/acme/settings/tags/");
        owner.send(&format!("{tags}/{id}/delete"), &[]).await.expect(303);
        sees(&owner.get(tags).await.expect(200), &["No workspace has a tag yet"]);
        let reserved = "/app/acme/settings/reserved-tag-keys";
        owner.send(reserved, &[("key", "cost-center"), ("disable-overrides", "true")]).await.expect(303);
        let shown = owner.get(tags).await.expect(200);
        sees(&shown, &["cost-center", "<span>No</span>"]);
        let id = id_after(&shown, "/app/acme/settings/reserved-tag-keys/");
        owner.send(&format!("{reserved}/{id}"), &[("disable", "")]).await.expect(303);
        sees(&owner.get(tags).await.expect(200), &["<span>Yes</span>"]);
        owner.send(&format!("{reserved}/{id}/delete"), &[]).await.expect(303);

        let keys = "/app/acme/settings/ssh-keys";
        owner.get(keys).await.expect(200);
        owner.send(keys, &[("name", "git"), ("value", "-----BEGIN KEY-----\r\nhunter2\r\n")]).await.expect(303);
        let shown = owner.get(keys).await.expect(200);
        sees(&shown, &["git"]);
        sees_not(&shown, &["hunter2"]);
        let id = id_after(&shown, "/app/acme/settings/ssh-keys/");
        owner.send(&format!("{keys}/{id}/delete"), &[]).await.expect(303);
        sees(&owner.get(keys).await.expect(200), &["There is no key yet"]);
    }

    async fn the_audit_trail_shows_the_newest_first_with_what_was_changed(server) {
        let (mut owner, _, ws) = house(server).await;
        let api = server.admin();
        api.patch(&format!("/workspaces/{ws}"), json!({ "data": { "attributes": { "description": "Before" } } })).await.expect(200);
        api.patch(&format!("/workspaces/{ws}"), json!({ "data": { "attributes": { "description": "Behind" } } })).await.expect(200);
        let page = "/app/acme/settings/audit-trail";
        let shown = owner.get(page).await.expect(200);
        sees(&shown, &["<del>Before</del>", "<ins>Behind</ins>", "ferroform audit export"]);
        let (newest, oldest) = (shown.text.find("<ins>Behind</ins>"), shown.text.rfind("organization"));
        assert!(newest < oldest, "the newest first");
        let found = owner.get(&format!("{page}?resource={ws}&operation=workspaces.workspaces.update")).await.expect(200);
        sees(&found, &["2 entries"]);
        sees(&owner.get(&format!("{page}?to=2001-01-01")).await.expect(200), &["No entry is like that"]);
    }

    async fn what_one_may_not_see_is_absent_and_its_address_is_no_page(server) {
        let (_, mut reader, _) = house(server).await;
        let settings = reader.get("/app/acme/settings").await.expect(200);
        sees(&settings, &["Owners of the organization may change its settings"]);
        sees_not(&settings, &["Save settings", "Delete the organization", ">Tokens<", ">SSH keys<", ">Audit trail<", ">Access<"]);
        for part in ["tokens", "ssh-keys", "audit-trail", "access"] {
            reader.get(&format!("/app/acme/settings/{part}")).await.expect(404);
        }
        for part in ["teams", "users", "variable-sets", "tags"] {
            let shown = reader.get(&format!("/app/acme/settings/{part}")).await.expect(200);
            sees_not(&shown, &["New team", "Invite somebody", "New variable set", "Reserve key"]);
        }
        sees_not(&reader.get("/app/acme/projects").await.expect(200), &["New project"]);
        reader.get("/app").await.expect(200);
        for (path, fields) in [
            ("/app/acme/settings/teams", &[("name", "mine")][..]),
            ("/app/acme/settings/users", &[("email", "x@example.com")][..]),
            ("/app/acme/settings/variable-sets", &[("name", "mine")][..]),
            ("/app/acme/settings/ssh-keys", &[("name", "mine"), ("value", "x")][..]),
            ("/app/acme/settings/reserved-tag-keys", &[("key", "mine")][..]),
            ("/app/acme/projects", &[("name", "mine")][..]),
            ("/app/acme/settings/delete", &[("confirmation", "acme")][..]),
        ] {
            reader.get("/app").await.expect(200);
            reader.send(path, fields).await.expect(404);
        }
        // Of another organization there is nothing at all.
        server.admin().organization("other").await;
        for path in ["", "/workspaces", "/projects", "/settings", "/settings/teams"] {
            reader.get(&format!("/app/other{path}")).await.expect(404);
        }
    }
}
