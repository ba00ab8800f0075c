//! Certificates as clients see them.

use super::{Server, client, place, status};
use nix::sys::signal::Signal;
use std::{fs, path::Path};

#[tokio::test]
async fn a_client_with_ca_pem_connects_by_every_name_also_after_a_restart() {
    let (_dir, data) = place();
    let server = Server::start(&data, &["--url", "https://tfe.example.test"]);
    assert_eq!(server.url, "https://tfe.example.test");
    assert!(server.stop().success());
    let server = Server::start(&data, &[]);
    let trusting = client(Some(&data.join("ca.pem")));
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/_health_check", server.port());
        let answer = trusting.get(url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    }
    assert!(server.stop().success());
    let again = Server::start(&data, &[]);
    assert_eq!(status(&trusting, format!("{}/_health_check", again.url)).await, 200);
}

#[tokio::test]
async fn the_host_of_the_url_is_a_name_of_the_certificate() {
    let (_dir, data) = place();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (listen, url) = (address.to_string(), "https://tfe.example.test");
    let _server = Server::start(&data, &["--listen", &listen, "--url", url]);
    let pem = fs::read(data.join("ca.pem")).unwrap();
    let resolved = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .resolve("tfe.example.test", address)
        .build()
        .unwrap();
    let health = format!("{url}:{}/_health_check", address.port());
    assert_eq!(status(&resolved, health).await, 200);
}

/// A server's own leaf and authority, as the files of an operator.
fn files(dir: &Path, name: &str) -> (String, std::path::PathBuf) {
    let data = dir.join(name);
    assert!(Server::start(&data, &[]).stop().success());
    let leaf = data.join("tls/leaf.pem").to_str().unwrap().to_owned();
    (leaf, data.join("ca.pem"))
}

#[tokio::test]
async fn files_of_the_operator_are_read_again_on_a_hangup() {
    let (dir, data) = place();
    let ((one, _), (other, authority)) = (files(dir.path(), "one"), files(dir.path(), "other"));
    let server = Server::start(&data, &["--tls", &format!("{one},{one}")]);
    let health = format!("{}/_health_check", server.url);
    client(Some(&authority)).get(&health).send().await.unwrap_err();
    fs::copy(&other, &one).unwrap();
    server.signal(Signal::SIGHUP);
    server.says("certificates again");
    // The line is written before the files are read.
    while client(Some(&authority)).get(&health).send().await.is_err() {}
    fs::write(&one, "broken").unwrap();
    server.signal(Signal::SIGHUP);
    server.says("the former ones stay in use");
    assert_eq!(status(&client(Some(&authority)), health).await, 200);
}

#[tokio::test]
async fn a_hangup_does_not_end_a_server_without_tls() {
    let (_dir, data) = place();
    let server = Server::start(&data, &["--tls", "off"]);
    server.signal(Signal::SIGHUP);
    server.says("certificates again");
    assert_eq!(status(&client(None), format!("{}/_health_check", server.url)).await, 200);
}
