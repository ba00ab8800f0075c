//! Who may do what, and why.

use serde_json::{Value, json};
use testkit::{Answer, Api, on_both};

/// What a row of the matrix says of a target.
fn cell<'a>(matrix: &'a Answer, row: &str, target: &str) -> &'a Value {
    let rows = matrix.json["data"].as_array().unwrap();
    let row =
        rows.iter().find(|one| one["attributes"]["name"] == row).unwrap_or_else(|| panic!("{}", matrix.json));
    let targets = row["attributes"]["targets"].as_array().unwrap();
    targets.iter().find(|one| one["name"] == target).unwrap_or_else(|| panic!("{row}"))
}

fn sources(cell: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let reasons = cell["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| (text(&reason["source"]), text(&reason["team"]))).collect()
}

async fn on_project(api: &Api, team: &str, project: &str, access: &str) {
    let body = json!({ "data": { "attributes": { "access": access }, "relationships": {
        "team": { "data": { "type": "teams", "id": team } },
        "project": { "data": { "type": "projects", "id": project } },
    } } });
    api.post("/team-projects", body).await.expect(201);
}

on_both! {
    async fn the_matrix_says_what_each_may_do_and_by_which_grants(server) {
        let api = server.admin();
        api.organization("acme").await;
        let project = api.get("/organizations/acme").await.related("default-project").unwrap().to_owned();
        let (net, _) = (api.workspace("acme", "net", json!({})).await, api.workspace("acme", "dns", json!({})).await);
        let planners = api.team("acme", "planners", &net, "plan").await;
        on_project(&api, &planners, &project, "read").await;
        let flags = json!({ "data": { "attributes": { "name": "auditors", "organization-access": { "read-workspaces": true } } } });
        let auditors = api.post("/organizations/acme/teams", flags).await.expect(201).id();
        let mona = api.invite("acme", "mona@example.com", &[&planners, &auditors]).await;

        let teams = api.get(&format!("/organizations/acme/effective-access?filter[project][id]={project}")).await.expect(200);
        assert_eq!(cell(&teams, "owners", "net")["level"], "owner");
        assert_eq!(cell(&teams, "planners", "net")["level"], "plan");
        assert_eq!(cell(&teams, "planners", "dns")["level"], "read");
        let why = sources(cell(&teams, "planners", "net"));
        assert_eq!(why, [("project-access".to_owned(), "planners".to_owned()), ("workspace-access".to_owned(), "planners".to_owned())]);

        let people = "/organizations/acme/effective-access?filter[subject]=users";
        let users = api.get(&format!("{people}&filter[project][id]={project}")).await.expect(200);
        assert_eq!(cell(&users, &mona, "net")["level"], "plan");
        let why = cell(&users, &mona, "dns");
        assert_eq!(why["level"], "read");
        assert_eq!(sources(why).len(), 2, "{why}");
        let flags = &why["reasons"].as_array().unwrap().iter().find(|r| r["team"] == "auditors").unwrap()["because-of"];
        assert_eq!(flags, &json!(["read-workspaces"]));
        let projects = api.get(people).await.expect(200);
        assert_eq!(cell(&projects, &mona, "Default Project")["level"], "read");
        assert_eq!(cell(&projects, "admin", "Default Project")["level"], "owner");
        api.get("/organizations/acme/effective-access?filter[subject]=dogs").await.expect(400);
    }

    async fn what_the_matrix_says_is_what_requests_may_do(server) {
        let api = server.admin();
        api.organization("acme").await;
        let project = api.get("/organizations/acme").await.related("default-project").unwrap().to_owned();
        let net = api.workspace("acme", "net", json!({})).await;
        for level in ["read", "plan", "write", "admin"] {
            let token = api.team_token("acme", level, &net, level).await;
            let matrix = api.get(&format!("/organizations/acme/effective-access?filter[project][id]={project}")).await;
            let said = cell(&matrix, level, "net");
            assert_eq!(said["level"], level);
            let held = server.with_token(&token).get(&format!("/workspaces/{net}")).await.expect(200);
            assert_eq!(&said["permissions"], held.attribute("permissions"), "{level}");
        }
    }

    async fn who_may_not_see_secret_teams_may_not_ask(server) {
        let api = server.admin();
        api.organization("acme").await;
        let net = api.workspace("acme", "net", json!({})).await;
        let admins = server.with_token(&api.team_token("acme", "admins", &net, "admin").await);
        admins.get("/organizations/acme/effective-access").await.expect(404);
    }

    async fn the_access_of_one_team_is_listed_wherever_it_is(server) {
        let api = server.admin();
        api.organization("acme").await;
        let project = api.get("/organizations/acme").await.related("default-project").unwrap().to_owned();
        let net = api.workspace("acme", "net", json!({})).await;
        let other = api.workspace("acme", "other", json!({})).await;
        let team = api.team("acme", "devs", &net, "write").await;
        api.team("acme", "ops", &other, "write").await;
        on_project(&api, &team, &project, "read").await;
        let workspaces = api.get(&format!("/team-workspaces?filter[team][id]={team}&include=workspace")).await.expect(200);
        assert_eq!(workspaces.ids().len(), 1);
        assert_eq!(workspaces.json["included"][0]["attributes"]["name"], "net");
        let projects = api.get(&format!("/team-projects?filter[team][id]={team}")).await.expect(200);
        assert_eq!(projects.ids().len(), 1);
        // Who administers one workspace sees the teams of that one alone.
        let admins = server.with_token(&api.team_token("acme", "admins", &other, "admin").await);
        admins.get(&format!("/team-workspaces?filter[team][id]={team}")).await.expect(404);
        api.patch(&format!("/teams/{team}"), json!({ "data": { "attributes": { "visibility": "organization" } } })).await.expect(200);
        assert!(admins.get(&format!("/team-workspaces?filter[team][id]={team}")).await.expect(200).ids().is_empty());
        assert!(admins.get(&format!("/team-projects?filter[team][id]={team}")).await.expect(200).ids().is_empty());
    }
}
