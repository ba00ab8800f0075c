//! Signing in with a browser, and `terraform login`.
//!
//! [`Browser`] keeps cookies and sends forms as a browser does: with the hidden fields of the page that it shows, and with
//! the origin of that page.

mod authorization;
mod external;
mod impersonation;
mod pages;
mod sessions;
pub(crate) mod terraform;
mod two_factor;

use reqwest::{Method, StatusCode, header::HeaderMap};
use std::{collections::BTreeMap, path::Path};
use testkit::TestServer;

/// What admin signs in with.
pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: BTreeMap<String, String>,
    /// The page that is shown.
    page: String,
}

pub(super) struct Shown {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Shown {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Where the browser is sent.
    #[track_caller]
    pub(super) fn location(&self) -> String {
        self.headers.get("location").unwrap_or_else(|| panic!("{}", self.text)).to_str().unwrap().to_owned()
    }

    /// The header's values, one a line.
    pub(super) fn header(&self, name: &str) -> String {
        let values: Vec<_> = self.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
        values.join("\n")
    }
}

impl Browser {
    /// Without cookies, at a server that is trusted by `authority`.
    pub(super) fn new(base: &str, authority: Option<&Path>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates =
            authority.map(|file| reqwest::Certificate::from_pem(&std::fs::read(file).unwrap()).unwrap());
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(testkit::server::PATIENCE)
            .tls_certs_only(certificates)
            .build()
            .unwrap();
        Self { http, base: base.to_owned(), cookies: BTreeMap::new(), page: String::new() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Shown {
        self.ask(Method::GET, path, None, &[]).await
    }

    /// Sends the shown page's form, with these fields filled in.
    pub(super) async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let base = self.base.clone();
        self.send_from(&base, path, fields).await
    }

    /// The same form, but from a page of another origin.
    pub(super) async fn send_from(&mut self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Shown {
        let mut all = hidden(&self.page);
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.ask(Method::POST, path, Some(&all), &[("origin", origin)]).await
    }

    /// Sends the shown page's form with files: of each the field, the name with its path, and the content.
    pub(super) async fn send_files(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        files: &[(&str, &str, &[u8])],
    ) -> Shown {
        const BOUNDARY: &str = "----of-a-test";
        let mut all = hidden(&self.page);
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut body = Vec::new();
        for (name, value) in &all {
            let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
        }
        for (field, name, content) in files {
            let disposition = format!("form-data; name=\"{field}\"; filename=\"{name}\"");
            let head = format!("--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n");
            body.extend_from_slice(
                format!("{head}Content-Type: application/octet-stream\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let origin = self.base.clone();
        self.ask_with(Method::POST, path, Some((kind, body)), &[("origin", &origin)]).await
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        form: Option<&[(String, String)]>,
        headers: &[(&str, &str)],
    ) -> Shown {
        let body =
            form.map(|form| ("application/x-www-form-urlencoded".to_owned(), encode(form).into_bytes()));
        self.ask_with(method, path, body, headers).await
    }

    /// Asks with a body of a media type.
    async fn ask_with(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(String, Vec<u8>)>,
        headers: &[(&str, &str)],
    ) -> Shown {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self.http.request(method, &url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if url.starts_with(&self.base) && !self.cookies.is_empty() {
            let all: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", all.join("; "));
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all("set-cookie") {
            let (pair, attributes) = line.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = response.text().await.unwrap();
        if !text.is_empty() && url.starts_with(&self.base) {
            self.page = text.clone();
        }
        Shown { status, headers, text }
    }

    /// Signs in with a name and a password.
    pub(super) async fn sign_in(&mut self, name: &str, password: &str) -> Shown {
        self.get("/sign-in").await.expect(200);
        self.send("/sign-in", &[("name", name), ("password", password)]).await
    }
}

/// The hidden fields of a page's forms; of fields of one name the last.
fn hidden(page: &str) -> Vec<(String, String)> {
    let mut fields = BTreeMap::new();
    for tag in page.split("<input type=\"hidden\"").skip(1) {
        let tag = &tag[..tag.find('>').unwrap()];
        let attribute = |name: &str| {
            let rest = &tag[tag.find(&format!(" {name}=\"")).unwrap() + name.len() + 3..];
            rest[..rest.find('"').unwrap()].replace("&amp;", "&")
        };
        fields.insert(attribute("name"), attribute("value"));
    }
    fields.into_iter().collect()
}

fn encode(form: &[(String, String)]) -> String {
    let mut url = reqwest::Url::parse("http://x").unwrap();
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}

/// The value of a parameter of a URL.
fn parameter(url: &str, name: &str) -> String {
    let url = reqwest::Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(n, _)| n == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

/// A browser of a server's admin, who has [`PASSWORD`].
pub(super) async fn admin(server: &TestServer) -> Browser {
    of(server, "admin").await
}

/// A browser of a person whom the server knows, who has [`PASSWORD`].
pub(super) async fn of(server: &TestServer, name: &str) -> Browser {
    accounts::people::set_password(&server.assembled.app, name, &PASSWORD.into()).await.unwrap();
    let mut browser = Browser::new(&server.url, None);
    browser.sign_in(name, PASSWORD).await.expect(303);
    browser
}
