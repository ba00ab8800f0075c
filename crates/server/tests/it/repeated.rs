//! Asking again: `ETag` with `If-None-Match`, and `Idempotency-Key`.

use http_api::idempotency;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Api, on_both};

async fn ask_if_other(api: &Api, path: &str, tag: &str) -> Answer {
    api.send_with(Method::GET, path, None, &[("if-none-match", tag)]).await
}

async fn once(api: &Api, path: &str, key: &str, body: Value) -> Answer {
    api.send_with(Method::POST, path, Some(body), &[("idempotency-key", key)]).await
}

fn named(name: &str) -> Value {
    json!({ "data": { "attributes": { "name": name } } })
}

const WORKSPACES: &str = "/organizations/acme/workspaces";

on_both! {
    async fn a_document_that_the_client_has_is_not_sent_again(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        for path in [format!("/workspaces/{ws}"), WORKSPACES.to_owned(), format!("/workspaces/{ws}/vars")] {
            let first = api.get(&path).await.expect(200);
            let tag = first.headers["etag"].to_str().unwrap().to_owned();
            assert!(tag.starts_with("W/\""), "{tag}");
            assert_eq!(first.headers["vary"], "authorization");
            let again = ask_if_other(&api, &path, &format!("\"other\", {tag}")).await.expect(304);
            assert!(again.bytes.is_empty());
            assert_eq!(again.headers["etag"], tag.as_str());
            assert!(!again.headers.contains_key("content-type"));
            ask_if_other(&api, &path, "\"other\"").await.expect(200);
        }
        let tag = api.get(&format!("/workspaces/{ws}")).await.headers["etag"].to_str().unwrap().to_owned();
        api.lock(&ws).await;
        ask_if_other(&api, &format!("/workspaces/{ws}"), &tag).await.expect(200);
        // Whoever may not see it learns nothing by its tag.
        ask_if_other(&server.anonymous(), &format!("/workspaces/{ws}"), "*").await.expect(401);
        api.get("/ping").await.expect(204);
    }

    async fn a_request_that_is_repeated_with_its_key_is_carried_out_once(server) {
        let api = server.admin();
        api.organization("acme").await;
        let first = once(&api, WORKSPACES, "one", named("demo")).await.expect(201);
        assert!(!first.headers.contains_key("idempotency-replayed"));
        let again = once(&api, WORKSPACES, "one", named("demo")).await.expect(201);
        assert_eq!((again.bytes, &again.headers["idempotency-replayed"]), (first.bytes, &"true".parse().unwrap()));
        assert_eq!(again.headers["content-type"], "application/vnd.api+json");
        let other = once(&api, WORKSPACES, "one", named("another")).await.expect(422);
        assert!(other.error().contains("another body"), "{}", other.error());
        // Another operation's and another caller's keys are others.
        once(&api, "/organizations/acme/projects", "one", named("demo")).await.expect(201);
        let owner = server.with_token(&api.organization_token("acme").await);
        once(&owner, WORKSPACES, "one", named("third")).await.expect(201);
        api.post(WORKSPACES, named("demo")).await.expect(422);
        once(&api, WORKSPACES, "", named("x")).await.expect(400);
    }

    async fn a_refused_request_leaves_its_key_free(server) {
        let api = server.admin();
        api.organization("acme").await;
        once(&api, WORKSPACES, "k", named("not a name!")).await.expect(422);
        once(&api, WORKSPACES, "k", named("demo")).await.expect(201);
    }

    async fn a_token_is_made_once_and_its_answer_rests_sealed(server) {
        let api = server.admin();
        let user = api.get("/account/details").await.id();
        let path = format!("/users/{user}/authentication-tokens");
        let body = json!({ "data": { "attributes": { "description": "ci" } } });
        let first = once(&api, &path, "t", body.clone()).await.expect(201);
        let again = once(&api, &path, "t", body).await.expect(201);
        let text = first.attribute("token").as_str().unwrap().to_owned();
        assert_eq!(again.attribute("token"), &json!(text));
        let stored: Vec<(Vec<u8>,)> =
            server.assembled.app.db.all("SELECT answer FROM idempotency_keys", vec![]).await.unwrap();
        assert_eq!(stored.len(), 1);
        assert!(!stored[0].0.windows(text.len()).any(|window| window == text.as_bytes()));
    }

    async fn an_action_without_a_document_is_answered_again_too(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let path = format!("/workspaces/{ws}/relationships/tags");
        let tags = json!({ "data": [{ "type": "tags", "attributes": { "name": "web" } }] });
        for _ in 0..2 {
            let answer = once(&api, &path, "tag", tags.clone()).await.expect(204);
            assert!(answer.bytes.is_empty());
        }
    }

    async fn of_two_at_once_one_is_carried_out(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ask = || once(&api, WORKSPACES, "same", named("demo"));
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        for answer in [&a, &b, &c] {
            assert!([201, 409].contains(&answer.status.as_u16()), "{}", answer.error());
        }
        assert!([a, b, c].iter().any(|answer| answer.status == 201));
        assert_eq!(api.get(WORKSPACES).await.ids().len(), 1);
    }

    async fn after_a_crash_between_change_and_answer_it_is_not_carried_out_again(server) {
        let api = server.admin();
        api.organization("acme").await;
        once(&api, WORKSPACES, "k", named("demo")).await.expect(201);
        let db = &server.assembled.app.db;
        // As the transaction of the change has left it.
        db.exec("UPDATE idempotency_keys SET status = NULL, answer = NULL", vec![]).await.unwrap();
        let refused = once(&api, WORKSPACES, "k", named("demo")).await.expect(409);
        assert!(refused.error().contains("was carried out"), "{}", refused.error());
    }

    async fn a_key_is_forgotten_after_a_day(server) {
        let app = &server.assembled.app;
        let api = server.admin();
        api.organization("acme").await;
        once(&api, WORKSPACES, "k", named("one")).await.expect(201);
        app.env.advance(23 * 3600 * 1_000_000);
        assert_eq!(idempotency::sweep(app).await.unwrap(), 0);
        once(&api, WORKSPACES, "k", named("two")).await.expect(422);
        app.env.advance(3600 * 1_000_000);
        once(&api, WORKSPACES, "k", named("two")).await.expect(201);
        app.env.advance(25 * 3600 * 1_000_000);
        assert_eq!(idempotency::sweep(app).await.unwrap(), 1);
    }
}
