//! Who may do what.

use super::{CHANGE, planned, states, workspace};
use serde_json::json;
use testkit::{archive, on_both};

on_both! {
    async fn a18_a_plan_token_plans_but_its_run_rests_unapplied(server) {
        let (admin, ws) = workspace(server, json!({ "auto-apply": true })).await;
        let team = server.with_token(&admin.team_token("acme", "planners", &ws, "plan").await);
        let (_, url) = team.configuration(&ws, json!({})).await;
        team.put(&url, archive(&[("main.tf", CHANGE)])).await.expect(200);
        let run = team.get(&format!("/workspaces/{ws}/runs")).await.ids()[0].clone();
        team.wait(&run, &["planned"]).await;
        team.post(&format!("/runs/{run}/actions/apply"), json!({})).await.expect(404);
        assert_eq!(admin.get(&format!("/runs/{run}")).await.attribute("status"), "planned");
        admin.act(&format!("/runs/{run}/actions/apply")).await;
        admin.wait(&run, &["applied"]).await;
    }

    async fn a19_a_read_token_makes_nothing(server) {
        let (admin, ws) = workspace(server, json!({})).await;
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let team = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        team.ask_run(&ws, None, json!({})).await.expect(404);
        let body = json!({ "data": { "type": "configuration-versions" } });
        team.post(&format!("/workspaces/{ws}/configuration-versions"), body).await.expect(404);
        assert!(admin.get(&format!("/workspaces/{ws}/runs")).await.ids().is_empty());
        assert_eq!(admin.get(&format!("/workspaces/{ws}/configuration-versions")).await.ids().len(), 1);
        team.get(&format!("/workspaces/{ws}")).await.expect(200);
    }

    async fn a20_an_organization_token_makes_no_runs_configurations_or_states(server) {
        let (admin, ws) = workspace(server, json!({})).await;
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let token = server.with_token(&admin.organization_token("acme").await);
        token.ask_run(&ws, None, json!({})).await.expect(404);
        let body = json!({ "data": { "type": "configuration-versions" } });
        token.post(&format!("/workspaces/{ws}/configuration-versions"), body).await.expect(404);
        admin.lock(&ws).await;
        let state = states::inline(1, "l", &states::state(1, "l", "x"), json!({}));
        token.post(&format!("/workspaces/{ws}/state-versions"), state.clone()).await.expect(404);
        assert!(admin.get(&format!("/workspaces/{ws}/runs")).await.ids().is_empty());
        assert_eq!(admin.get(&format!("/workspaces/{ws}/configuration-versions")).await.ids().len(), 1);
        admin.get(&format!("/workspaces/{ws}/current-state-version")).await.expect(404);
        admin.post(&format!("/workspaces/{ws}/state-versions"), state).await.expect(201);
        // Although it may do other things.
        token.workspace("acme", "made-by-the-organization", json!({})).await;
    }

    async fn a21_without_a_valid_token_every_call_is_401_and_a_foreign_one_sees_nothing(server) {
        let (admin, ws) = workspace(server, json!({})).await;
        let run = planned(&admin, &ws, CHANGE).await;
        for api in [server.anonymous(), server.with_token("garbage")] {
            let refused = api.get(&format!("/runs/{run}")).await.expect(401);
            assert_eq!(refused.json["errors"][0]["title"], "unauthorized");
            assert_eq!(refused.json["errors"][0]["status"], "401");
        }
        admin.organization("other").await;
        let foreign = admin.workspace("other", "theirs", json!({})).await;
        let stranger = server.with_token(&admin.team_token("other", "strangers", &foreign, "admin").await);
        let absent = stranger.get("/runs/run-0000000000000000").await.expect(404);
        let hidden = stranger.get(&format!("/runs/{run}")).await.expect(404);
        assert_eq!(absent.json, hidden.json, "absent and forbidden look alike");
        assert_eq!(stranger.get("/organizations/acme").await.expect(404).json, absent.json);
    }

    async fn a_revoked_or_expired_token_is_refused_at_once(server) {
        let (admin, _) = workspace(server, json!({})).await;
        let me = admin.get("/account/details").await.id();
        let path = format!("/users/{me}/authentication-tokens");
        let made = admin.post(&path, json!({ "data": { "attributes": { "description": "ci" } } })).await.expect(201);
        let token = server.with_token(made.attribute("token").as_str().unwrap());
        token.get("/account/details").await.expect(200);
        admin.delete(&format!("/authentication-tokens/{}", made.id())).await.expect(204);
        token.get("/account/details").await.expect(401);
        let expiry = server.assembled.app.now().plus_seconds(60).iso8601();
        let short = json!({ "data": { "attributes": { "description": "short", "expired-at": expiry } } });
        let made = admin.post(&path, short).await.expect(201);
        let token = server.with_token(made.attribute("token").as_str().unwrap());
        token.get("/account/details").await.expect(200);
        server.assembled.app.env.advance(61_000_000);
        token.get("/account/details").await.expect(401);
    }

    async fn an_invited_person_is_a_member_once_they_have_a_token(server) {
        let (admin, ws) = workspace(server, json!({})).await;
        let team = admin.team("acme", "readers", &ws, "read").await;
        let username = admin.invite("acme", "bob@example.com", &[&team]).await;
        let members = "/organizations/acme/organization-memberships?filter%5Bemail%5D=bob@example.com";
        let status = || async { admin.get(members).await.expect(200).json["data"][0]["attributes"]["status"].clone() };
        assert_eq!(status().await, "invited");
        let (_, token) = accounts::tokens::create_for(&server.assembled.app, &username, "laptop", None).await.unwrap();
        assert_eq!(status().await, "active");
        let bob = server.with_token(token.expose());
        bob.get(&format!("/workspaces/{ws}")).await.expect(200);
        admin.organization("other").await;
        bob.get("/organizations/other").await.expect(404);
        admin.invite("other", "bob@example.com", &[]).await;
        bob.get("/organizations/other").await.expect(200);
    }

    async fn access_that_is_taken_away_is_gone_at_once(server) {
        let (admin, ws) = workspace(server, json!({})).await;
        let team = server.with_token(&admin.team_token("acme", "writers", &ws, "write").await);
        team.get(&format!("/workspaces/{ws}")).await.expect(200);
        let access = admin.get(&format!("/team-workspaces?filter%5Bworkspace%5D%5Bid%5D={ws}")).await.expect(200);
        admin.delete(&format!("/team-workspaces/{}", access.ids()[0])).await.expect(204);
        team.get(&format!("/workspaces/{ws}")).await.expect(404);
    }
}
