//! The server's clock jumps a day, in both directions, while runs go on.
//!
//! In the test's own process, because only there the server's clock can be moved: `kernel::Env::advance`.

use kernel::ids::OrganizationId;
use serde_json::{Value, json};
use std::{io::Read, time::Duration};
use testkit::{Api, Gate, Settings, TestServer, archive, on_both};

const DAY: i64 = 24 * 3600 * 1_000_000;

fn jump(server: &TestServer, micros: i64) {
    server.assembled.app.env.advance(micros);
}

async fn workspace(api: &Api, name: &str) -> String {
    api.workspace("acme", name, json!({ "auto-apply": true })).await
}

async fn run_of(api: &Api, workspace: &str, main: &str) -> String {
    let version = api.uploaded(workspace, archive(&[("main.tf", main)])).await;
    api.ask_run(workspace, Some(&version), json!({})).await.expect(201).id()
}

/// The instants of a run in the order of its life never go back.
async fn goes_forward(api: &Api, run: &str) {
    let found = api.get(&format!("/runs/{run}")).await.expect(200);
    let reached = found.attribute("status-timestamps");
    let order = [
        "plan-queueable",
        "queuing",
        "plan-queued",
        "planning",
        "planned",
        "confirmed",
        "apply-queued",
        "applying",
        "applied",
    ];
    let times: Vec<&str> =
        order.iter().filter_map(|status| reached[format!("{status}-at")].as_str()).collect();
    assert!(times.len() > 5 && times.is_sorted(), "{reached:#}");
    let (created, updated) = (found.attribute("created-at"), found.attribute("updated-at"));
    assert!(created.as_str() <= updated.as_str(), "{created} {updated}");
    let events = api.get(&format!("/runs/{run}/run-events")).await.expect(200);
    let times: Vec<&Value> = events.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["attributes"]["created-at"])
        .collect();
    let times: Vec<&str> = times.into_iter().map(|time| time.as_str().unwrap()).collect();
    let newest_first = times.iter().rev().is_sorted();
    assert!(times.len() > 5 && (times.is_sorted() || newest_first), "{times:?}");
}

on_both! {
    async fn a_run_is_applied_while_the_clock_jumps_and_its_instants_never_go_back(server) {
        let api = server.admin();
        api.organization("acme").await;
        let gate = Gate::new().await;
        for (name, micros) in [("back", -DAY), ("forward", DAY), ("again", DAY), ("home", -DAY)] {
            let ws = workspace(&api, name).await;
            let run = run_of(&api, &ws, &gate.configuration()).await;
            let visitor = gate.visitor().await;
            jump(server, micros);
            // Whatever counts time looks at it now, and a plan's two hours have not passed.
            server.assembled.app.pulse();
            runs::scheduler::pass(&server.assembled.app).await.unwrap();
            assert_eq!(api.status(&run).await, "planning");
            visitor.admit().await;
            let found = api.wait(&run, &["applied"]).await;
            assert!(found.attribute("error-message").is_null());
            goes_forward(&api, &run).await;
            let found = api.get(&format!("/workspaces/{ws}")).await.expect(200);
            assert_eq!(*found.attribute("locked"), json!(false));
        }
    }

    async fn a_clock_that_is_set_back_lets_no_run_overtake_another(server, Settings { runners: 1, ..Settings::default() }) {
        let api = server.admin();
        api.organization("acme").await;
        let first = Gate::new().await;
        let (second, third) = (Gate::new().await, Gate::new().await);
        let mut workspaces = vec![];
        for name in ["a", "b", "c"] {
            workspaces.push(workspace(&api, name).await);
        }
        run_of(&api, &workspaces[0], &first.configuration()).await;
        let busy = first.visitor().await;
        let earlier = run_of(&api, &workspaces[1], &second.configuration()).await;
        assert_eq!(api.status(&earlier).await, "pending");
        jump(server, -DAY);
        let later = run_of(&api, &workspaces[2], &third.configuration()).await;
        assert_eq!(api.status(&later).await, "pending");
        // Also in one workspace.
        let behind = run_of(&api, &workspaces[1], "").await;
        busy.admit().await;
        tokio::select! {
            visitor = second.visitor() => visitor.admit().await,
            _ = third.visitor() => panic!("the later run was planned first"),
        }
        api.wait(&earlier, &["applied"]).await;
        third.visitor().await.admit().await;
        api.wait(&later, &["applied"]).await;
        api.wait(&behind, &["applied", "planned_and_finished"]).await;
    }

    async fn a_token_neither_dies_early_nor_comes_back_when_the_clock_is_set_back(server) {
        let api = server.admin();
        api.organization("acme").await;
        let name = api.invite("acme", "a@example.com", &[]).await;
        let app = &server.assembled.app;
        let (_, token) = accounts::tokens::create_for(app, &name, "for two days", Some(2)).await.unwrap();
        let user = server.with_token(token.expose());
        for micros in [0, -DAY, DAY, DAY] {
            jump(server, micros);
            user.get("/account/details").await.expect(200);
        }
        jump(server, DAY);
        user.get("/account/details").await.expect(401);
        jump(server, -2 * DAY);
        user.get("/account/details").await.expect(401);
        app.identities.forget();
        user.get("/account/details").await.expect(401);
        api.get("/account/details").await.expect(200);
    }

    async fn a_run_that_does_not_stop_can_be_stopped_by_force_after_the_clock_was_set_back(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = workspace(&api, "stubborn").await;
        let gate = Gate::new().await;
        let run = run_of(&api, &ws, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        api.act(&format!("/runs/{run}/actions/cancel")).await;
        api.wait_for_log(&run, "plan", "Interrupt received").await;
        api.post(&format!("/runs/{run}/actions/force-cancel"), json!({})).await.expect(409);
        jump(server, -DAY);
        let found = api.get(&format!("/runs/{run}")).await.expect(200);
        assert_eq!(found.attribute("actions")["is-force-cancelable"], true);
        api.act(&format!("/runs/{run}/actions/force-cancel")).await;
        visitor.gone().await;
        let found = api.wait(&run, &["canceled"]).await;
        let reached = found.attribute("status-timestamps");
        assert!(reached["planning-at"].as_str() <= reached["canceled-at"].as_str(), "{reached}");
    }

    async fn an_object_that_is_being_stored_is_not_swept_away_by_a_clock_that_jumps(server) {
        let api = server.admin();
        let app = &server.assembled.app;
        api.organization("acme").await;
        let (id,): (OrganizationId,) =
            app.db.one("SELECT id FROM organizations", vec![]).await.unwrap().unwrap();
        let content = vec![7; 100_000];
        let blob = http_api::blobs::write(app, &id, "state", content.clone()).await.unwrap();
        let abandoned = http_api::blobs::write(app, &id, "state", content.clone()).await.unwrap();
        let hour = Duration::from_secs(3600);
        // As if the server had been started just before these were written.
        jump(server, -60_000_000);
        let mut running = http_api::blobs::Sweeper::new(app);
        jump(server, 60_000_000);
        for micros in [DAY, -2 * DAY, 2 * DAY] {
            jump(server, micros);
            assert_eq!(running.sweep(app, hour).await.unwrap(), 0);
        }
        let mut tx = app.db.begin().await.unwrap();
        let named = blob.insert(&mut tx, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        // Seen for long enough, or older than the process: gone, unless a row names it.
        assert_eq!(running.sweep(app, Duration::ZERO).await.unwrap(), 1);
        let mut read = Vec::new();
        http_api::blobs::open(app, &named).await.unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        drop(abandoned);
    }
}
