//! An organization at a glance, and the health of the installation.

use crate::acceptance::{CHANGE, planned, run_of, workspace};
use serde_json::{Value, json};
use testkit::{Gate, on_both};

const FAILING: &str = "resource \"terraform_data\" \"a\" { input = nothing.of_that_name }";

on_both! {
    async fn the_runs_of_an_organization_are_counted_by_where_they_stand(server) {
        let (api, first) = workspace(server, json!({})).await;
        let gate = Gate::new().await;
        let [second, third] = [api.workspace("acme", "second", json!({})).await, api.workspace("acme", "third", json!({})).await];
        planned(&api, &first, CHANGE).await;
        let failed = run_of(&api, &second, FAILING).await;
        api.wait(&failed, &["errored"]).await;
        run_of(&api, &third, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        let waiting = api.run(&third, json!({})).await;
        let found = api.get("/organizations/acme/run-statistics").await.expect(200);
        let counts = ["running", "waiting", "needs-confirmation", "errored-today"].map(|name| found.attribute(name).as_i64());
        assert_eq!(counts, [Some(1), Some(1), Some(1), Some(1)], "{}", found.json);
        let days = found.attribute("days").as_array().unwrap();
        assert_eq!(days.len(), 14);
        let today = &days[13];
        assert_eq!((&today["ended"], &today["errored"]), (&json!(1), &json!(1)));
        assert!(today["average-seconds"].as_f64().is_some_and(|s| s > 0.0), "{today}");
        assert_eq!(found.attribute("average-seconds"), &today["average-seconds"]);
        assert_eq!((&days[0]["ended"], &days[0]["average-seconds"]), (&json!(0), &Value::Null));

        // The queue says why a run waits.
        let queue = api.get("/organizations/acme/runs/queue").await.expect(200);
        let listed = queue.json["data"].as_array().unwrap().iter().find(|run| run["id"] == waiting.as_str()).unwrap();
        assert_eq!(listed["attributes"]["waiting-for"]["type"], "run-ahead", "{listed}");
        let one = api.get(&format!("/runs/{waiting}")).await.expect(200);
        assert_eq!(&listed["attributes"]["waiting-for"], one.attribute("waiting-for"));

        let standing = api.get("/organizations/acme/workspace-statistics").await.expect(200);
        assert_eq!((standing.attribute("total"), standing.attribute("without-run")), (&json!(3), &json!(0)));
        let by = standing.attribute("by-current-run-status");
        assert_eq!((&by["planned"], &by["errored"]), (&json!(1), &json!(1)), "{by}");
        visitor.admit().await;
    }

    async fn only_what_one_may_see_is_counted(server) {
        let (api, seen) = workspace(server, json!({})).await;
        let hidden = api.workspace("acme", "hidden", json!({})).await;
        planned(&api, &seen, CHANGE).await;
        planned(&api, &hidden, CHANGE).await;
        let reader = server.with_token(&api.team_token("acme", "readers", &seen, "read").await);
        for (caller, expected) in [(&api, 2), (&reader, 1)] {
            let runs = caller.get("/organizations/acme/run-statistics").await.expect(200);
            assert_eq!(runs.attribute("needs-confirmation"), expected);
            let workspaces = caller.get("/organizations/acme/workspace-statistics").await.expect(200);
            assert_eq!(workspaces.attribute("total"), expected);
        }
        api.organization("other").await;
        let elsewhere = api.workspace("other", "theirs", json!({})).await;
        let stranger = server.with_token(&api.team_token("other", "strangers", &elsewhere, "admin").await);
        stranger.get("/organizations/acme/run-statistics").await.expect(404);
        stranger.get("/organizations/acme/workspace-statistics").await.expect(404);
    }

    async fn runs_are_listed_from_an_instant_on(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let old = planned(&api, &ws, CHANGE).await;
        api.act(&format!("/runs/{old}/actions/discard")).await;
        server.assembled.app.env.advance(3_600_000_000);
        let new = planned(&api, &ws, CHANGE).await;
        let from = api.get(&format!("/runs/{new}")).await.attribute("created-at").as_str().unwrap().to_owned();
        assert_eq!(api.get(&format!("/organizations/acme/runs?filter[from]={from}")).await.expect(200).ids(), [new]);
        api.get("/organizations/acme/runs?filter[from]=yesterday").await.expect(400);
    }

    async fn site_admins_see_how_the_installation_is(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let health = api.get("/admin/health").await.expect(200);
        assert_eq!(health.attribute("status"), "ok", "{}", health.json);
        assert_eq!(health.attribute("database")["status"], "ok");
        assert!(health.attribute("disk")["free-bytes"].as_u64().is_some_and(|free| free > 0));
        assert!(health.attribute("runner")["capacity"].as_u64().is_some_and(|n| n > 0));
        let parts: Vec<_> = health.attribute("sandbox").as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
        assert!(parts.contains(&json!("files")), "{parts:?}");
        let owner = server.with_token(&api.team_token("acme", "readers", &ws, "admin").await);
        owner.get("/admin/health").await.expect(404);
    }
}
