//! Asking again: `ETag` with `If-None-Match`.

use reqwest::Method;
use serde_json::json;
use testkit::{Answer, Api, on_both};

async fn ask_if_other(api: &Api, path: &str, tag: &str) -> Answer {
    api.send_with(Method::GET, path, None, &[("if-none-match", tag)]).await
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
}
