//! `--rate-limit`

use super::{client, house::House, words};
use axum::http::HeaderMap;

async fn ask(house: &House, path: &str, token: &str) -> (u16, HeaderMap, String) {
    let answer =
        client(None).get(format!("{}{path}", house.server.url)).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
}

/// Asks until it was too often.
async fn until_refused(house: &House, token: &str) -> (HeaderMap, String) {
    for _ in 0..1000 {
        let (status, headers, body) = ask(house, "/api/v2/account/details", token).await;
        if status == 429 {
            return (headers, body);
        }
    }
    panic!("a thousand requests are answered as if there were no limit");
}

#[tokio::test]
async fn beyond_the_limit_a_request_is_refused_with_the_time_to_wait() {
    // Enough for the house to be made in one second.
    let house = House::open(&["--tls", "off", "--rate-limit", "5"]).await;
    let (headers, body) = until_refused(&house, &house.token).await;
    assert_eq!(
        (&headers["x-ratelimit-limit"], &headers["x-ratelimit-remaining"]),
        (&"5".parse().unwrap(), &"0".parse().unwrap())
    );
    let reset: f64 = headers["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!(reset > 0.0 && reset <= 1.0, "seconds to wait: {reset}");
    assert_eq!(headers["retry-after"], "1");
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&error["errors"][0]["status"], &error["errors"][0]["title"]),
        (&"429".into(), &"Too many requests".into())
    );

    // A wrong token counts for its address.
    until_refused(&house, "wrong").await;
    // Health is not the API's.
    for _ in 0..20 {
        assert_eq!(ask(&house, "/_health_check", "").await.0, 200);
    }
}

#[tokio::test]
async fn the_sdk_is_told_a_tight_limit_alone_and_push_keeps_to_it() {
    let usual = House::open_with(&["--tls", "off"], |command| {
        command.env_remove("FERROFORM_RATE_LIMIT");
    });
    let usual = usual.await;
    let (_, headers, _) = ask(&usual, "/api/v2/account/details", &usual.token).await;
    assert_eq!(headers["x-ratelimit-limit"], "30");
    let (_, headers, _) = ask(&usual, "/api/v2/ping", &usual.token).await;
    assert!(!headers.contains_key("x-ratelimit-limit"), "{headers:?}");
    until_refused(&usual, &usual.token).await;
    let house = House::open(&["--tls", "off", "--rate-limit", "0"]).await;
    let (status, headers, _) = ask(&house, "/api/v2/ping", &house.token).await;
    assert_eq!(status, 204);
    assert!(!headers.keys().any(|name| name.as_str().contains("ratelimit")), "{headers:?}");

    let house = House::open(&["--tls", "off", "--rate-limit", "4"]).await;
    let (_, headers, _) = ask(&house, "/api/v2/ping", &house.token).await;
    assert_eq!(headers["x-ratelimit-limit"], "4");
    let output = house.push("resource \"terraform_data\" \"a\" {}", &["--auto-approve"]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
}
