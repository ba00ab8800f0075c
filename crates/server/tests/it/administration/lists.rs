//! Workspaces and runs of all organizations.

use super::super::acceptance::{CHANGE, planned, run_of};
use serde_json::json;
use testkit::{Gate, on_both};

on_both! {
    async fn workspaces_of_all_organizations_are_listed_searched_sorted_and_deleted(server) {
        let api = server.admin();
        api.organization("acme").await;
        api.organization("other").await;
        let first = api.workspace("acme", "beta", json!({})).await;
        let second = api.workspace("other", "alpha", json!({})).await;
        let quiet = api.workspace("other", "gamma", json!({})).await;
        let older = planned(&api, &second, CHANGE).await;
        let newer = planned(&api, &first, CHANGE).await;
        let all = api.get("/admin/workspaces?include=organization,current_run").await.expect(200);
        assert_eq!(all.ids(), [first.clone(), second.clone(), quiet.clone()], "what changed last comes first");
        assert_eq!(all.json["meta"]["pagination"]["total-count"], 3);
        let included: Vec<_> =
            all.json["included"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        for id in ["acme", "other", older.as_str(), newer.as_str()] {
            assert!(included.contains(&id), "{id}: {included:?}");
        }
        let by = async |sort: &str| api.get(&format!("/admin/workspaces?sort={sort}")).await.expect(200).ids();
        assert_eq!(by("name").await, [second.clone(), first.clone(), quiet.clone()]);
        assert_eq!(by("-name").await, [quiet.clone(), first.clone(), second.clone()]);
        assert_eq!(by("current-run.created-at").await, [second.clone(), first.clone(), quiet.clone()]);
        assert_eq!(by("-current-run.created-at").await, [first.clone(), second.clone(), quiet.clone()]);
        let found = api.get("/admin/workspaces?q=ALPH").await.expect(200);
        assert_eq!((found.ids(), &found.json["meta"]["pagination"]["total-count"]), (vec![second.clone()], &json!(1)));
        api.act(&format!("/runs/{older}/actions/discard")).await;
        let discarded = "/admin/workspaces?filter[current_run][status]=discarded,applied";
        assert_eq!(api.get(discarded).await.expect(200).ids(), [second.as_str()]);
        assert_eq!(api.get("/admin/workspaces?page[size]=1&page[number]=3&sort=name").await.ids(), [quiet]);
        let one = api.get(&format!("/admin/workspaces/{first}?include=organization.owners")).await.expect(200);
        assert_eq!((one.attribute("name"), one.attribute("locked")), (&json!("beta"), &json!(true)));
        assert!(one.json["included"].as_array().unwrap().iter().any(|one| one["type"] == "users"));
        api.delete(&format!("/admin/workspaces/{first}")).await.expect(204);
        api.get(&format!("/admin/workspaces/{first}")).await.expect(404);
        api.get(&format!("/workspaces/{first}")).await.expect(404);
    }

    async fn runs_of_all_organizations_are_listed_and_filtered(server) {
        let api = server.admin();
        api.organization("acme").await;
        api.organization("other").await;
        let one = api.workspace("acme", "one", json!({})).await;
        let two = api.workspace("other", "two", json!({})).await;
        let first = planned(&api, &one, CHANGE).await;
        let between = api.get(&format!("/runs/{first}")).await.attribute("created-at").as_str().unwrap().to_owned();
        let second = planned(&api, &two, CHANGE).await;
        let waiting = api.run(&two, json!({})).await;
        let ids = async |query: &str| api.get(&format!("/admin/runs?{query}")).await.expect(200).ids();
        assert_eq!(ids("").await, [waiting.clone(), second.clone(), first.clone()], "the newest first");
        assert_eq!(ids("filter[status]=pending").await, [waiting.as_str()]);
        assert_eq!(ids("filter[status]=pending,planned").await.len(), 3);
        assert!(ids("filter[status]=applied").await.is_empty());
        assert_eq!(ids(&format!("q={first}")).await, [first.as_str()]);
        assert_eq!(ids("q=two").await, [waiting.clone(), second.clone()]);
        assert_eq!(ids("q=acme").await, [first.as_str()]);
        assert!(ids("q=%25").await.is_empty());
        // Attributes have milliseconds, rows more.
        assert!(!ids(&format!("filter[to]={between}")).await.contains(&second));
        assert_eq!(ids(&format!("filter[from]={between}")).await.len(), 3);
        assert!(ids("filter[from]=2100-01-01T00:00:00%2B02:00").await.is_empty());
        api.get("/admin/runs?filter[from]=yesterday").await.expect(400);
        let path = "/admin/runs?include=workspace.organization.owners&page[size]=2";
        let included = api.get(path).await.expect(200).json["included"].as_array().unwrap().clone();
        let kinds: Vec<_> = included.iter().map(|one| one["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["workspaces", "organizations", "users"], "each once");
        api.get("/admin/runs?include=workpsace").await.expect(400);
    }

    async fn a_site_admin_cancels_by_force_at_once_whatever_a_run_does(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let gate = Gate::new().await;
        let planning = run_of(&api, &ws, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        let pending = api.run(&ws, json!({})).await;
        for run in [&pending, &planning] {
            let comment = json!({ "comment": "a misclick" });
            api.post(&format!("/admin/runs/{run}/actions/force-cancel"), comment).await.expect(202);
            let found = api.get(&format!("/runs/{run}")).await.expect(200);
            assert_eq!(*found.attribute("status"), json!("canceled"));
            assert!(found.related("canceled-by").is_some());
        }
        visitor.gone().await;
        let comments = api.get(&format!("/runs/{pending}/comments")).await.expect(200);
        assert_eq!(comments.json["data"][0]["attributes"]["body"], "a misclick");
        let planned = planned(&api, &ws, CHANGE).await;
        api.act(&format!("/admin/runs/{planned}/actions/force-cancel")).await;
        assert_eq!(api.status(&planned).await, "canceled");
        api.post(&format!("/admin/runs/{planned}/actions/force-cancel"), json!({})).await.expect(409);
        api.post("/admin/runs/nonexisting/actions/force-cancel", json!({})).await.expect(404);
    }
}
