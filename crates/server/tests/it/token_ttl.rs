//! How long tokens may live in an organization.

use serde_json::{Value, json};
use testkit::{Api, on_both};

const HOUR: i64 = 3_600_000;

fn policies(kinds: &[(&str, i64)]) -> Value {
    let all: Vec<Value> =
        kinds.iter().map(|(kind, ms)| json!({ "token-type": kind, "max-ttl-ms": ms })).collect();
    json!({ "data": { "type": "organization-token-ttl-policies", "attributes": { "token-ttl-policies": all } } })
}

async fn set(api: &Api, kinds: &[(&str, i64)]) {
    api.patch("/organizations/acme/token-ttl-policies", policies(kinds)).await.expect(200);
}

fn expiring(at: &str) -> Value {
    json!({ "data": { "attributes": { "expired-at": at } } })
}

on_both! {
    async fn every_kind_of_token_has_a_policy_and_the_usual_is_two_years(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let path = "/organizations/acme/token-ttl-policies";
        let told = async || {
            let list = admin.get(path).await.expect(200);
            let all = list.json["data"].as_array().unwrap().clone();
            let of = |one: &Value| (one["attributes"]["token-type"].clone(), one["attributes"]["max-ttl-ms"].clone());
            all.iter().map(of).collect::<Vec<_>>()
        };
        let usual = json!(63_113_904_000_i64);
        let kinds = ["organization", "team", "user", "audit_trails"];
        assert_eq!(told().await, kinds.map(|kind| (json!(kind), usual.clone())));
        set(&admin, &[("team", HOUR), ("user", 2 * HOUR)]).await;
        let expected = [usual.clone(), json!(HOUR), json!(2 * HOUR), usual];
        assert_eq!(told().await.into_iter().map(|(_, ms)| ms).collect::<Vec<_>>(), expected);
        for (kind, ms) in [("metrics", HOUR), ("team", 0), ("team", i64::MAX)] {
            admin.patch(path, policies(&[(kind, ms)])).await.expect(422);
        }
        admin.patch(path, policies(&[])).await.expect(422);
        let member = server.as_user("mona", "acme", &[]).await;
        member.get(path).await.expect(403);
        member.patch(path, policies(&[("team", HOUR)])).await.expect(403);
    }

    async fn no_token_of_an_organization_or_a_team_is_made_that_outlives_its_policy(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let team = admin.post("/organizations/acme/teams", json!({ "data": { "attributes": { "name": "ci" } } })).await;
        let team = team.expect(201).id();
        let kinds = [("organization", HOUR), ("team", 2 * HOUR), ("audit_trails", 3 * HOUR)];
        set(&admin, &kinds).await;
        assert_eq!(*admin.get("/organizations/acme").await.attribute("max-ttl-enabled"), json!(true));
        let places = [
            "/organizations/acme/authentication-token".to_owned(),
            format!("/teams/{team}/authentication-token"),
            "/organizations/acme/authentication-token?token=audit-trails".to_owned(),
        ];
        for (place, (kind, ms)) in places.iter().zip(kinds) {
            let made = admin.post(place, json!({})).await.expect(201);
            let instant = |name: &str| {
                kernel::Timestamp::parse(made.attribute(name).as_str().unwrap()).unwrap().micros() / 1000
            };
            let life = instant("expired-at") - instant("created-at");
            assert!((ms - 2000..=ms + 2000).contains(&life), "{kind}: {life}");
            let refused = admin.post(place, expiring("2099-01-01T00:00:00Z")).await.expect(422);
            assert!(refused.error().contains("at the latest"), "{}", refused.error());
            admin.post(place, json!({ "data": { "attributes": { "expired-at": null } } })).await.expect(422);
        }
        let off = json!({ "data": { "attributes": { "max-ttl-enabled": false } } });
        admin.patch("/organizations/acme", off).await.expect(200);
        admin.post(&places[0], expiring("2099-01-01T00:00:00Z")).await.expect(201);
    }

    async fn tokens_that_exist_end_as_if_they_had_been_made_under_the_policy(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let organization = server.with_token(&admin.organization_token("acme").await);
        server.assembled.app.env.advance(2 * HOUR * 1000);
        organization.get("/organizations/acme").await.expect(200);
        set(&admin, &[("organization", 3 * HOUR), ("team", HOUR)]).await;
        organization.get("/organizations/acme").await.expect(200);
        set(&admin, &[("organization", HOUR)]).await;
        organization.get("/organizations/acme").await.expect(401);
    }

    async fn a_persons_token_reaches_an_organization_only_while_it_is_young_enough_for_it(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        admin.organization("other").await;
        let mona = server.as_user("mona", "acme", &[]).await;
        server.assembled.app.env.advance(2 * HOUR * 1000);
        set(&admin, &[("user", 3 * HOUR)]).await;
        mona.get("/organizations/acme").await.expect(200);
        assert_eq!(mona.get("/organizations").await.ids(), ["acme"]);
        server.assembled.app.env.advance(2 * HOUR * 1000);
        let refused = mona.get("/organizations/acme").await.expect(403);
        assert!(refused.error().contains("make a new one"), "{}", refused.error());
        assert!(mona.get("/organizations").await.expect(200).ids().is_empty(), "the rest goes on");
        let id = mona.get("/account/details").await.expect(200).id();
        let fresh = mona.post(&format!("/users/{id}/authentication-tokens"), json!({})).await.expect(201);
        let fresh = server.with_token(fresh.attribute("token").as_str().unwrap());
        fresh.get("/organizations/acme").await.expect(200);
        admin.get("/organizations/other").await.expect(200);
    }
}
