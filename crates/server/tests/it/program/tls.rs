//! Certificates as clients see them.

use super::{PATIENCE, Server, client, house::House, place, status, words};
use nix::sys::signal::Signal;
use std::{fs, path::Path, time::Duration};

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

#[test]
fn the_leaf_is_verified_by_openssl_with_the_published_authority() {
    let (_dir, data) = place();
    assert!(Server::start(&data, &[]).stop().success());
    let verify = |more: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        command.args(["verify", "-x509_strict", "-purpose", "sslserver"]).args(more).arg("-CAfile");
        command.arg(data.join("ca.pem")).arg(data.join("tls/leaf.pem"));
        command.output().map(|output| (output.status.success(), words(&output)))
    };
    let Ok((true, _)) = verify(&["-verify_hostname", "localhost"]) else {
        panic!("{:?}", verify(&["-verify_hostname", "localhost"]));
    };
    assert!(verify(&["-verify_ip", "127.0.0.1"]).unwrap().0);
    assert!(!verify(&["-verify_hostname", "elsewhere.test"]).unwrap().0);
}

#[tokio::test]
async fn terraform_itself_finds_the_server_by_ca_pem() {
    let house = House::open(&[]).await;
    let host = house.server.url.strip_prefix("https://").unwrap();
    let main = format!(
        "terraform {{\n  cloud {{\n    hostname = \"{host}\"\n    organization = \"acme\"\n    \
         workspaces {{\n      name = \"demo\"\n    }}\n  }}\n}}\n"
    );
    fs::write(house.folder().join("main.tf"), main).unwrap();
    let init = |authority: Option<&Path>, token: &str| {
        let engine = std::env::var_os("FERROFORM_TEST_ENGINE").unwrap_or_else(|| "terraform".into());
        let mut command = std::process::Command::new(engine);
        command.args(["init", "-no-color", "-input=false"]).current_dir(house.folder()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", house.folder());
        command.env("CHECKPOINT_DISABLE", "1").env(format!("TF_TOKEN_{host}"), token);
        if let Some(authority) = authority {
            command.env("SSL_CERT_FILE", authority);
        }
        let output = command.output().unwrap();
        (output.status.success(), words(&output))
    };
    let (ok, said) = init(None, &house.token);
    assert!(!ok && said.contains("certificate"), "{said}");
    let (ok, said) = init(Some(&house.authority()), "wrong");
    assert!(!ok && said.contains("unauthorized"), "{said}");
    let (ok, said) = init(Some(&house.authority()), &house.token);
    assert!(ok && said.contains("has been successfully initialized"), "{said}");
}

/// A leaf of the data directory's own authority that has `days` left, in place of the one that is there.
fn age(data: &Path, days: u64) {
    let read = |file: &str| fs::read_to_string(data.join(file)).unwrap();
    let authority = rcgen::KeyPair::from_pem(&read("tls/ca-key.pem")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("tls/ca.pem"), authority).unwrap();
    let now = kernel::Env::real().now().micros() / 1_000_000;
    let at = |seconds: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap())
    };
    let before = x509(&read("tls/leaf.pem"));
    let mut params = rcgen::CertificateParams::new(before.names).unwrap();
    (params.not_before, params.not_after) = (at(now - 86_400), at(now) + Duration::from_secs(days * 86_400));
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap().pem() + &key.serialize_pem();
    fs::write(data.join("tls/leaf.pem"), leaf).unwrap();
}

fn x509(pem: &str) -> ferroform::tls::Facts {
    ferroform::tls::Facts::of(pem).unwrap()
}

#[tokio::test]
async fn a_leaf_that_ends_soon_is_renewed_by_a_start_and_by_a_running_server() {
    let (_dir, data) = place();
    assert!(Server::start(&data, &[]).stop().success());
    let days =
        || x509(&fs::read_to_string(data.join("tls/leaf.pem")).unwrap()).days_left(kernel::Env::real().now());
    age(&data, 60);
    let server = Server::start(&data, &[]);
    assert!(days() < 61, "two thirds of a life are enough");
    age(&data, 10);
    server.signal(Signal::SIGHUP);
    server.says("certificates again");
    let begun = std::time::Instant::now();
    while days() < 80 {
        assert!(begun.elapsed() < PATIENCE, "it is not renewed: {} days", days());
        std::thread::yield_now();
    }
    let trusting = client(Some(&data.join("ca.pem")));
    assert_eq!(status(&trusting, format!("{}/_health_check", server.url)).await, 200);
    assert!(server.stop().success());
    age(&data, 10);
    let server = Server::start(&data, &[]);
    assert!(days() > 80);
    assert_eq!(status(&trusting, format!("{}/_health_check", server.url)).await, 200);
}
