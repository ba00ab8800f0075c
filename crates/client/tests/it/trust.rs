//! TLS: whom the client trusts, and what it says when it does not.

use crate::server::{TOKEN, discovery};
use axum::{Router, routing::get};
use client::{Client, Endpoint, Error};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use std::{io::Write, sync::Arc};
use tokio_rustls::{TlsAcceptor, rustls};

/// An authority of its own, and a server with a certificate from it for the given names.
async fn serve(names: &[&str]) -> (String, tempfile::NamedTempFile) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let app = discovery().route("/api/v2/ping", get(|| async {}));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us ends the handshake; the next may.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(authority.pem().as_bytes()).unwrap();
    (format!("https://localhost:{port}"), ca)
}

fn trusting(address: &str, ca: Option<&tempfile::NamedTempFile>) -> Client {
    let mut endpoint = Endpoint::new(address, TOKEN.into());
    endpoint.ca_file = ca.map(|file| file.path().to_owned());
    Client::new(endpoint).unwrap()
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_named_and_only_then() {
    let (address, ca) = serve(&["localhost"]).await;
    let error = trusting(&address, None).ping().await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("signed by an authority that this machine does not know"), "{text}");
    assert!(text.contains("--ca-file or SSL_CERT_FILE"), "{text}");
    trusting(&address, Some(&ca)).ping().await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (address, ca) = serve(&["tfe.example.com"]).await;
    let text = trusting(&address, Some(&ca)).ping().await.unwrap_err().to_string();
    assert!(text.contains("certificate is for another host name"), "{text}");
}

#[tokio::test]
async fn a_port_that_speaks_plain_http_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new()).await });
    let text = trusting(&format!("https://{address}"), None).ping().await.unwrap_err().to_string();
    assert!(text.contains("does not speak TLS on this port"), "{text}");
}

#[test]
fn a_certificate_file_that_holds_none_is_refused() {
    let mut endpoint = Endpoint::new("https://tfe.example.com", TOKEN.into());
    endpoint.ca_file = Some(tempfile::NamedTempFile::new().unwrap().path().to_owned());
    let error = Client::new(endpoint.clone()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read "), "{error}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    endpoint.ca_file = Some(empty.path().to_owned());
    let error = Client::new(endpoint).unwrap_err().to_string();
    assert!(error.ends_with("holds no PEM certificate"), "{error}");
}
