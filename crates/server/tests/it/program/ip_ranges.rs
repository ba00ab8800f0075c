//! `GET /api/meta/ip-ranges`, as the option says.

use super::{Server, client, ferroform, place, words};
use serde_json::{Value, json};

#[tokio::test]
async fn the_networks_that_the_operator_names_are_told_to_who_has_not_seen_them() {
    let (_dir, data) = place();
    let options =
        ["--tls", "off", "--ip-range", "api=203.0.113.7,vcs=10.0.0.0/8", "--ip-range", "api=2001:db8::/32"];
    let server = Server::start(&data, &options);
    let path = format!("{}/api/meta/ip-ranges", server.url);
    let told = client(None).get(&path).send().await.unwrap();
    let since = told.headers()["last-modified"].to_str().unwrap().to_owned();
    let told: Value = told.json().await.unwrap();
    let expected = json!({
        "api": ["203.0.113.7/32", "2001:db8::/32"], "notifications": [], "sentinel": [], "vcs": ["10.0.0.0/8"],
    });
    assert_eq!(told, expected);
    for (seen, status) in [(since.as_str(), 304), ("Sat, 01 Jan 2000 00:00:00 GMT", 200), ("yesterday", 200)]
    {
        let again = client(None).get(&path).header("if-modified-since", seen).send().await.unwrap();
        assert_eq!(again.status(), status, "{seen}");
    }
    for wrong in ["api", "smtp=10.0.0.1", "api=example.com"] {
        let output = ferroform(&["serve", "--ip-range", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", words(&output));
    }
}
