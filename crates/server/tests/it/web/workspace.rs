//! The pages of a workspace.

use crate::sign_in::{self, Browser, Shown};
use serde_json::json;
use testkit::{TestServer, archive, on_both};

const CONFIGURATION: &str = r#"
variable "zone" { default = "a" }
resource "terraform_data" "net" { input = { zone = var.zone } }
module "app" { source = "./app" }
output "zone" { value = var.zone }
output "key" {
  value     = "hunter2"
  sensitive = true
}
"#;
const MODULE: &str = "resource \"terraform_data\" \"server\" { count = 2 }\n";
const README: &str =
    "# Network\n\nOf the **platform** team. <script>alert(1)</script> [bad](javascript:alert(1))\n";

const BASE: &str = "/app/acme/workspaces/net";

/// A folder as a browser sends it: below its own name.
fn folder() -> Vec<(&'static str, &'static str, &'static [u8])> {
    vec![
        ("folder", "infra/main.tf", CONFIGURATION.as_bytes()),
        ("folder", "infra/app/main.tf", MODULE.as_bytes()),
        ("folder", "infra/README.md", README.as_bytes()),
        ("folder", "infra/.terraformignore", b"private.txt\n"),
        ("folder", "infra/private.txt", b"keep me here"),
        ("archive", "", b""),
    ]
}

/// The last part of where the browser is sent.
fn led_to(shown: &Shown) -> String {
    shown.location().rsplit('/').next().unwrap().to_owned()
}

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

/// A workspace whose configuration came from the browser, with one applied run; the browser, the workspace and the run.
async fn applied(server: &TestServer) -> (Browser, String, String) {
    let api = server.admin();
    api.organization("acme").await;
    let workspace = api.workspace("acme", "net", json!({})).await;
    let mut browser = sign_in::admin(server).await;
    browser.get(&format!("{BASE}/runs/new")).await.expect(200);
    let fields = [("configuration", "folder"), ("kind", "plan_and_apply"), ("message", "First network")];
    let run = browser.send_files(&format!("{BASE}/runs/new"), &fields, &folder()).await.expect(303);
    let run = led_to(&run);
    api.wait(&run, &["planned"]).await;
    api.act(&format!("/runs/{run}/actions/apply")).await;
    api.wait(&run, &["applied"]).await;
    (browser, workspace, run)
}

on_both! {
    async fn a_new_workspace_teaches_three_ways_to_its_first_run_with_its_own_names(server) {
        server.admin().organization("acme").await;
        let mut browser = sign_in::admin(server).await;
        sees(&browser.get("/app/acme/workspaces/new").await.expect(200), &["New workspace", "Default Project"]);
        let refused = browser.send("/app/acme/workspaces/new", &[("name", "not a name"), ("tags", "env=prod")]).await;
        sees(&refused.expect(422), &["Name can only include letters", "value=\"not a name\"", "env=prod"]);
        let fields = [("name", "net"), ("description", "All networks"), ("execution-mode", ""), ("tags", "env=prod\nweb")];
        let made = browser.send("/app/acme/workspaces/new", &fields).await.expect(303);
        let shown = browser.get(&made.location()).await.expect(200);
        let id = server.admin().get("/organizations/acme/workspaces/net").await.id();
        let calls = format!("/api/v2/workspaces/{id}/configuration-versions");
        let host = server.assembled.app.settings.url.split_once("://").unwrap().1;
        sees(&shown, &["The workspace is made", "All networks", "env=prod", "Upload and start a run", "terraform init", &calls]);
        sees(&shown, &[&format!("hostname     = &quot;{host}&quot;"), "organization = &quot;acme&quot;", "name = &quot;net&quot;"]);
    }

    async fn a_folder_from_the_browser_becomes_a_run_and_fills_the_overview(server) {
        let (mut browser, workspace, run) = applied(server).await;
        let api = server.admin();
        let shown = browser.get(BASE).await.expect(200);
        sees(&shown, &["First network", "terraform_data.net", "module.app.terraform_data.server[1]", "3 resources"]);
        sees(&shown, &["<h3>Network</h3>", "<strong>platform</strong>", "&lt;script&gt;", "Sensitive, hidden"]);
        sees_not(&shown, &["hunter2", "javascript:", "<script>"]);
        let found = browser.get(&format!("{BASE}?q=MODULE.app")).await.expect(200);
        sees(&found, &["module.app.terraform_data.server[0]"]);
        sees_not(&found, &[">terraform_data.net<"]);
        let all = api.get(&format!("/workspaces/{workspace}/resources?q=net")).await.expect(200);
        assert_eq!(all.ids().len(), 1);
        // What an underscore stands for is an underscore.
        assert!(api.get(&format!("/workspaces/{workspace}/resources?q=a_p")).await.expect(200).ids().is_empty());

        let runs = browser.get(&format!("{BASE}/runs?status=applied&q=first")).await.expect(200);
        sees(&runs, &["First network", "Applied", &run]);
        sees(&browser.get(&format!("{BASE}/runs?status=errored")).await.expect(200), &["No run is like that"]);
    }

    async fn what_is_ignored_stays_at_home_and_an_archive_is_taken_as_it_is(server) {
        let (mut browser, workspace, _) = applied(server).await;
        let api = server.admin();
        let kept = archive(&[("main.tf", "check \"private\" {\n  assert {\n    condition     = !fileexists(\"${path.module}/private.txt\")\n    error_message = \"it came along\"\n  }\n}\n")]);
        browser.get(&format!("{BASE}/runs/new")).await.expect(200);
        let fields = [("configuration", "archive"), ("kind", "plan_only")];
        let files: [(&str, &str, &[u8]); 2] = [("folder", "", b""), ("archive", "config.tar.gz", &kept)];
        let run = led_to(&browser.send_files(&format!("{BASE}/runs/new"), &fields, &files).await.expect(303));
        let planned = api.wait(&run, &["planned_and_finished"]).await;
        assert_eq!(*planned.attribute("plan-only"), json!(true));

        let mut guarded = folder();
        let guard = "check \"p\" {\n  assert {\n    condition     = !fileexists(\"${path.module}/private.txt\")\n    error_message = \"it came along\"\n  }\n}\n";
        guarded.push(("folder", "infra/guard.tf", guard.as_bytes()));
        browser.get(&format!("{BASE}/runs/new")).await.expect(200);
        let fields = [("configuration", "folder"), ("kind", "plan_only")];
        let run = led_to(&browser.send_files(&format!("{BASE}/runs/new"), &fields, &guarded).await.expect(303));
        api.wait(&run, &["planned_and_finished"]).await;
        assert!(!api.log(&run, "plan").await.contains("it came along"));

        // On the configuration that is there: replace one, with a variable of this run.
        browser.get(&format!("{BASE}/runs/new")).await.expect(200);
        let fields = [
            ("configuration", "current"), ("kind", "plan_and_apply"), ("replace", "terraform_data.net"),
            ("variables", "zone = \"b\""),
        ];
        let run = led_to(&browser.send_files(&format!("{BASE}/runs/new"), &fields, &[]).await.expect(303));
        let planned = api.wait(&run, &["planned"]).await;
        assert_eq!(*planned.attribute("replace-addrs"), json!(["terraform_data.net"]));
        assert_eq!(planned.attribute("variables")[0]["value"], "\"b\"");
        assert_eq!(api.get(&format!("/workspaces/{workspace}")).await.related("current-run"), Some(run.as_str()));
    }

    async fn an_upload_that_cannot_be_is_refused_in_words_and_makes_no_run(server) {
        let api = server.admin();
        api.organization("acme").await;
        let workspace = api.workspace("acme", "net", json!({})).await;
        let mut browser = sign_in::admin(server).await;
        let path = format!("{BASE}/runs/new");
        browser.get(&path).await.expect(200);
        let broken: [(&str, &str, &[u8]); 1] = [("archive", "a.tar.gz", b"this is no archive")];
        let fields = [("configuration", "archive"), ("message", "Keep these words")];
        let shown = browser.send_files(&path, &fields, &broken).await.expect(422);
        sees(&shown, &["gzip", "value=\"Keep these words\"", "role=\"alert\""]);
        let outside: [(&str, &str, &[u8]); 1] = [("folder", "infra/../../../tmp/x.tf", b"")];
        let shown = browser.send_files(&path, &[("configuration", "folder")], &outside).await.expect(422);
        sees(&shown, &["is not the path of a file in a folder"]);
        let nothing: [(&str, &str, &[u8]); 1] = [("folder", "", b"")];
        let shown = browser.send_files(&path, &[("configuration", "folder")], &nothing).await.expect(422);
        sees(&shown, &["Choose the folder or the archive"]);
        let shown = browser.send_files(&path, &[("configuration", "current"), ("variables", "what")], &[]).await;
        sees(&shown.expect(422), &["write it as name", "what</textarea>"]);
        assert!(api.get(&format!("/workspaces/{workspace}/runs")).await.ids().is_empty());
        // What was refused hides nothing that can be used.
        let usable = api.uploaded(&workspace, archive(&[("main.tf", "")])).await;
        browser.get(&path).await.expect(200);
        browser.send_files(&path, &[("configuration", "archive")], &broken).await.expect(422);
        sees(&browser.get(&path).await.expect(200), &["The current one", &usable]);

        // A form with files holds its token like any other, and before its files.
        browser.get("/app/settings/tokens").await.expect(200);
        for token in ["", "0"] {
            let fields = [("token-of-form", token), ("configuration", "folder")];
            let mut stranger = sign_in::admin(server).await;
            stranger.send_files(&path, &fields, &folder()).await.expect(403);
        }
    }

    async fn the_lock_is_taken_with_a_reason_given_back_and_taken_away(server) {
        let api = server.admin();
        api.organization("acme").await;
        let workspace = api.workspace("acme", "net", json!({})).await;
        let mut browser = sign_in::admin(server).await;
        browser.get(BASE).await.expect(200);
        let done = browser.send(&format!("{BASE}/lock"), &[("reason", "moving <house>")]).await.expect(303);
        let shown = browser.get(&done.location()).await.expect(200);
        sees(&shown, &["Locked", "By admin", "moving &lt;house&gt;", "Unlock workspace"]);
        sees_not(&shown, &["Force unlock"]);
        let again = browser.send(&format!("{BASE}/lock"), &[]).await.expect(409);
        sees(&again, &["already locked by User admin"]);
        browser.send(&format!("{BASE}/unlock"), &[]).await.expect(303);
        assert_eq!(*api.get(&format!("/workspaces/{workspace}")).await.attribute("locked"), json!(false));

        let team = api.team("acme", "writers", &workspace, "write").await;
        let bob = server.as_user("bob", "acme", &[&team]).await;
        bob.lock(&workspace).await;
        let shown = browser.get(BASE).await.expect(200);
        sees(&shown, &["By bob", "Force unlock workspace"]);
        browser.send(&format!("{BASE}/force-unlock"), &[]).await.expect(303);
        assert_eq!(*api.get(&format!("/workspaces/{workspace}")).await.attribute("locked"), json!(false));
    }

    async fn variables_are_kept_and_one_sees_which_of_a_name_wins(server) {
        let api = server.admin();
        api.organization("acme").await;
        let workspace = api.workspace("acme", "net", json!({})).await;
        for (set, priority) in [("Everywhere", false), ("Law", true)] {
            let key = if priority { "law" } else { "zone" };
            let body = json!({ "data": { "type": "varsets",
                "attributes": { "name": set, "global": true, "priority": priority },
                "relationships": { "vars": { "data": [
                    { "type": "vars", "attributes": { "key": key, "value": "of the set", "category": "terraform" } },
                ] } } } });
            api.post("/organizations/acme/varsets", body).await.expect(201);
        }
        let mut browser = sign_in::admin(server).await;
        let new = format!("{BASE}/variables/new");
        browser.get(&new).await.expect(200);
        for (key, value) in [("zone", "own"), ("law", "broken")] {
            browser.send(&new, &[("key", key), ("value", value), ("category", "terraform")]).await.expect(303);
        }
        let secret = [("key", "TOKEN"), ("value", "hunter2"), ("category", "env"), ("sensitive", "on"), ("description", "of the cloud")];
        browser.send(&new, &secret).await.expect(303);
        let taken = browser.send(&new, &[("key", "zone"), ("value", "typed"), ("category", "terraform")]).await.expect(422);
        sees(&taken, &["Key has already been taken", "typed"]);
        let shown = browser.get(&format!("{BASE}/variables")).await.expect(200);
        sees(&shown, &["Sensitive, write-only", "of the cloud", "Overridden by This workspace", "Overridden by Set “Law”"]);
        sees_not(&shown, &["hunter2"]);
        assert_eq!(shown.text.matches("<tr class=\"overridden\"").count(), 2, "{}", shown.text);

        let all = api.get(&format!("/workspaces/{workspace}/vars")).await;
        let id = &all.ids()[2];
        let one = format!("{BASE}/variables/{id}");
        sees_not(&browser.get(&one).await.expect(200), &["hunter2"]);
        browser.send(&one, &[("key", "TOKEN"), ("value", ""), ("category", "env"), ("description", "still there")]).await.expect(303);
        let kept = api.get(&format!("/workspaces/{workspace}/vars/{id}")).await;
        assert_eq!((kept.attribute("sensitive"), kept.attribute("description")), (&json!(true), &json!("still there")));
        browser.get(&one).await.expect(200);
        browser.send(&format!("{one}/delete"), &[]).await.expect(303);
        api.get(&format!("/workspaces/{workspace}/vars/{id}")).await.expect(404);
    }

    async fn states_are_compared_downloaded_and_come_back(server) {
        let (mut browser, workspace, run) = applied(server).await;
        let api = server.admin();
        let second = api.uploaded(&workspace, archive(&[
            ("main.tf", &CONFIGURATION.replace("default = \"a\"", "default = \"b\"").replace("hunter2", "hunter3")),
            ("app/main.tf", &MODULE.replace("= 2", "= 1")),
        ])).await;
        let applied = api.ask_run(&workspace, Some(&second), json!({ "auto-apply": true, "message": "Move it" })).await.expect(201).id();
        api.wait(&applied, &["applied"]).await;
        let list = "/state-versions?filter[organization][name]=acme&filter[workspace][name]=net";
        let states = api.get(list).await.ids();
        let (new, old) = (states.first().unwrap().clone(), states.last().unwrap().clone());
        sees(&browser.get(&format!("{BASE}/states")).await.expect(200), &[&new, &old, "Current", "Move it", "First network"]);
        let one = browser.get(&format!("{BASE}/states/{old}")).await.expect(200);
        sees(&one, &["First network", "Roll back to this state", "Sensitive, hidden"]);
        sees_not(&one, &["hunter"]);
        assert!(one.text.contains(&run));
        let file = browser.get(&format!("{BASE}/states/{old}/download")).await.expect(200);
        assert!(file.text.contains("\"lineage\"") && file.header("content-disposition").contains("net-"));

        let shown = browser.get(&format!("{BASE}/states/compare?from={old}&to={new}")).await.expect(200);
        sees(&shown, &["0 added, 1 changed, 1 removed; 2 outputs differ", "input.zone", "module.app.terraform_data.server[1]"]);
        sees_not(&shown, &["hunter"]);
        let sure = browser.get(&format!("{BASE}/states/{old}/rollback")).await.expect(200);
        sees(&sure, &["1 added, 1 changed, 0 removed", "no state is lost"]);
        let back = browser.send(&format!("{BASE}/states/{old}/rollback"), &[]).await.expect(303);
        sees(&browser.get(&back.location()).await.expect(200), &["has this state again", "Current"]);
        let now = browser.get(BASE).await.expect(200);
        sees(&now, &["3 resources", "Unlocked"]);
    }

    async fn who_may_only_read_is_shown_no_button_and_refused_what_is_behind_it(server) {
        let (_, workspace, _) = applied(server).await;
        let api = server.admin();
        let team = api.team("acme", "readers", &workspace, "read").await;
        let name = api.invite("acme", "rita@example.com", &[&team]).await;
        let mut rita = sign_in::of(server, &name).await;
        for (page, hidden) in [
            ("", &["Start new run", "/lock\"", "force-unlock"][..]),
            ("/runs", &["Start new run"]),
            ("/variables", &["Add variable"]),
            ("/settings", &["Save settings", "Move workspace"]),
            ("/settings/remote-state", &["Save settings"]),
            ("/settings/run-triggers", &["Add run trigger"]),
            ("/settings/ssh-key", &["Save settings"]),
            ("/settings/data-retention", &["Save settings"]),
            ("/settings/destruction", &["Queue destroy plan", "Save settings", "Delete workspace"]),
            ("/settings/access", &["Add team"]),
        ] {
            sees_not(&rita.get(&format!("{BASE}{page}")).await.expect(200), hidden);
        }
        for page in ["/runs/new", "/variables/new"] {
            rita.get(&format!("{BASE}{page}")).await.expect(404);
        }
        let state = api.get(&format!("/workspaces/{workspace}/current-state-version")).await.id();
        rita.get(&format!("{BASE}/states/{state}/rollback")).await.expect(404);
        rita.get(BASE).await.expect(200);
        let team = format!("/settings/access/{}", api.get(&format!("/team-workspaces?filter[workspace][id]={workspace}")).await.ids()[0]);
        for action in [
            "/lock", "/unlock", "/force-unlock", "/runs/new", "/variables/new", "/settings", "/settings/project",
            "/settings/remote-state", "/settings/ssh-key", "/settings/data-retention", "/settings/destruction",
            "/settings/destruction/destroy", "/settings/access", &team,
        ] {
            let fields = [("name", "net"), ("key", "x"), ("category", "env"), ("configuration", "current"), ("level", "admin")];
            rita.get(BASE).await.expect(200);
            rita.send(&format!("{BASE}{action}"), &fields).await.expect(404);
        }
        rita.get(BASE).await.expect(200);
        rita.send(&format!("{BASE}/settings/destruction/delete"), &[("confirm-name", "net"), ("how", "force")]).await.expect(404);
        assert_eq!(*api.get(&format!("/workspaces/{workspace}")).await.attribute("locked"), json!(false));
    }

    async fn settings_are_saved_and_what_is_refused_stays_in_the_form(server) {
        let api = server.admin();
        api.organization("acme").await;
        let workspace = api.workspace("acme", "net", json!({})).await;
        api.workspace("acme", "source", json!({})).await;
        let mut browser = sign_in::admin(server).await;
        let page = format!("{BASE}/settings");
        browser.get(&page).await.expect(200);
        let fields = |version: &'static str| [
            ("name", "net"), ("description", "Changed"), ("engine", "terraform"), ("terraform-version", version),
            ("execution-mode", "local"), ("auto-apply", "on"), ("tags", "team=platform"), ("working-directory", "prod"),
        ];
        let refused = browser.send(&page, &fields("nonsense")).await.expect(422);
        sees(&refused, &["Terraform version is not a version", "value=\"nonsense\"", "value=\"Changed\"", "team=platform"]);
        browser.send(&page, &fields("1.11.4")).await.expect(303);
        let now = api.get(&format!("/workspaces/{workspace}")).await;
        assert_eq!((now.attribute("execution-mode"), now.attribute("auto-apply")), (&json!("local"), &json!(true)));
        assert_eq!((now.attribute("tag-names"), now.attribute("working-directory")), (&json!(["team"]), &json!("prod")));
        let mut inherited = fields("1.11.4");
        inherited[4].1 = "";
        browser.send(&page, &inherited).await.expect(303);
        let now = api.get(&format!("/workspaces/{workspace}")).await;
        assert_eq!(now.attribute("setting-overwrites")["execution-mode"], json!(false));

        let triggers = format!("{page}/run-triggers");
        browser.get(&triggers).await.expect(200);
        sees(&browser.send(&triggers, &[("source", "nowhere")]).await.expect(422), &["There is no workspace"]);
        browser.send(&triggers, &[("source", "source")]).await.expect(303);
        sees(&browser.get(&triggers).await.expect(200), &["/app/acme/workspaces/source"]);
        let sharing = format!("{page}/remote-state");
        browser.send(&sharing, &[("sharing", "some"), ("names", "source\n")]).await.expect(303);
        sees(&browser.get(&sharing).await.expect(200), &["source</textarea>"]);
        let retention = format!("{page}/data-retention");
        sees(&browser.send(&retention, &[("kind", "delete"), ("days", "0")]).await.expect(422), &["between 1 and 3650"]);
        browser.send(&retention, &[("kind", "delete"), ("days", "30")]).await.expect(303);
        sees(&browser.get(&retention).await.expect(200), &["value=\"30\""]);
        let destruction = format!("{page}/destruction");
        browser.send(&destruction, &[("allow-destroy-plan", "on"), ("when", "after"), ("after", "14d")]).await.expect(303);
        let now = api.get(&format!("/workspaces/{workspace}")).await;
        assert_eq!(*now.attribute("auto-destroy-activity-duration"), json!("14d"));

        let delete = format!("{destruction}/delete");
        sees(&browser.send(&delete, &[("confirm-name", "other"), ("how", "safe")]).await.expect(422), &["Nothing was deleted"]);
        let gone = browser.send(&delete, &[("confirm-name", "net"), ("how", "safe")]).await.expect(303);
        assert_eq!(gone.location(), "/app/acme/workspaces");
        api.get(&format!("/workspaces/{workspace}")).await.expect(404);
    }

    async fn team_access_says_what_a_team_may_do_and_why(server) {
        let api = server.admin();
        api.organization("acme").await;
        let workspace = api.workspace("acme", "net", json!({})).await;
        let team = api.team("acme", "developers", &workspace, "read").await;
        let project = api.get(&format!("/workspaces/{workspace}")).await.related("project").unwrap().to_owned();
        let body = json!({ "data": { "type": "team-projects", "attributes": { "access": "write" }, "relationships": {
            "team": { "data": { "type": "teams", "id": team } }, "project": { "data": { "type": "projects", "id": project } } } } });
        api.post("/team-projects", body).await.expect(201);
        let none = json!({ "data": { "type": "teams", "attributes": { "name": "guests" } } });
        let guests = api.post("/organizations/acme/teams", none).await.expect(201).id();
        let mut browser = sign_in::admin(server).await;
        let page = format!("{BASE}/settings/access");
        let shown = browser.get(&page).await.expect(200);
        sees(&shown, &["developers", "Project: write", "Workspace: read", "<strong>Write</strong>", "Owners may do everything"]);
        browser.send(&page, &[("team", &guests), ("level", "plan")]).await.expect(303);
        let id = api.get(&format!("/team-workspaces?filter[workspace][id]={workspace}")).await.ids()[1].clone();
        sees(&browser.get(&page).await.expect(200), &["Workspace: plan"]);
        browser.send(&format!("{page}/{id}"), &[("level", "admin")]).await.expect(303);
        sees(&browser.get(&page).await.expect(200), &["Workspace: admin"]);
        browser.send(&format!("{page}/{id}/delete"), &[]).await.expect(303);
        sees_not(&browser.get(&page).await.expect(200), &["Workspace: admin"]);
    }
}
