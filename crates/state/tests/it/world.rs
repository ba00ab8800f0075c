//! A server of accounts, workspaces and state in a temporary folder, and a caller.
//!
//! On SQLite; on PostgreSQL where `FERROFORM_TEST_POSTGRES` names a database, which all tests share.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use blob::{keys::RootKey, store::Objects};
use db::{Db, migrations};
use http_api::{App, Settings, app::Parts, include::Loaders, serve};
use kernel::{Env, Secret};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The first site admin's token.
pub(crate) const ADMIN: &str = "admin-token";
const URL: &str = "http://localhost";
static READY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) struct World {
    pub(crate) app: App,
    router: Router,
    pub(crate) organization: String,
    _dir: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The JSON, after a look at the status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The detail of the first error, after a look at the status.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        let error = self.expect(status)["errors"][0].clone();
        format!("{} {}", error["title"].as_str().unwrap(), error["detail"].as_str().unwrap_or_default())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::real();
        let db = match std::env::var("FERROFORM_TEST_POSTGRES") {
            Ok(url) => Db::postgres(&url, 4).await.unwrap(),
            Err(_) => Db::sqlite(&dir.path().join("ferroform.db"), 2).await.unwrap(),
        };
        // A shared database is made ready by one test at a time.
        let alone = READY.lock().await;
        migrations::migrate(&db, &env).await.unwrap();
        let routes = accounts::routes().and(workspaces::routes()).and(state::routes());
        let mut loaders = Loaders::default();
        accounts::loaders(&mut loaders);
        workspaces::loaders(&mut loaders);
        state::loaders(&mut loaders);
        let app = App::new(Parts {
            env: env.clone(),
            db,
            objects: Objects::open(&dir.path().join("objects")).unwrap(),
            root_key: RootKey::from_base64(&STANDARD.encode([7; 32])).unwrap(),
            settings: Settings { url: URL.to_owned(), ..settings },
            loaders,
            areas: vec![],
        });
        accounts::bootstrap::first_admin(&app, &Secret::from(ADMIN)).await.unwrap();
        drop(alone);
        let router = serve::router(&app, &routes);
        let world = Self { app, router, organization: format!("o-{}", env.base58(8)), _dir: dir };
        let body = json!({ "name": world.organization, "email": "o@example.com" });
        world.post(ADMIN, "/organizations", attributes(body)).await.expect(201);
        world
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: impl Into<Body>,
    ) -> Answer {
        let uri = path.strip_prefix(URL).map_or_else(|| format!("/api/v2{path}"), str::to_owned);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let location =
            response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Answer { status, location, body }
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(Method::GET, path, Some(token), Body::empty()).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(token), body.to_string()).await
    }

    /// `GET` of a signed URL.
    pub(crate) async fn fetch(&self, url: &str) -> Answer {
        self.call(Method::GET, url, None, Body::empty()).await
    }

    /// `PUT` to a signed URL.
    pub(crate) async fn put(&self, url: &str, body: &[u8]) -> Answer {
        self.call(Method::PUT, url, None, body.to_vec()).await
    }

    /// A new workspace.
    pub(crate) async fn workspace(&self) -> String {
        let body = attributes(json!({ "name": format!("w-{}", self.app.env.base58(8)) }));
        let made = self
            .post(ADMIN, &format!("/organizations/{}/workspaces", self.organization), body)
            .await
            .expect(201);
        id(&made)
    }

    /// A new workspace that the admin has locked.
    pub(crate) async fn locked_workspace(&self) -> String {
        let workspace = self.workspace().await;
        self.lock(ADMIN, &workspace).await;
        workspace
    }

    pub(crate) async fn lock(&self, token: &str, workspace: &str) {
        self.post(token, &format!("/workspaces/{workspace}/actions/lock"), json!({})).await.expect(200);
    }

    pub(crate) async fn unlock(&self, token: &str, workspace: &str) -> Answer {
        self.post(token, &format!("/workspaces/{workspace}/actions/unlock"), json!({})).await
    }

    pub(crate) async fn create(&self, token: &str, workspace: &str, asked: Value) -> Answer {
        self.post(token, &format!("/workspaces/{workspace}/state-versions"), attributes(asked)).await
    }

    /// Stores a state inline, as the admin.
    pub(crate) async fn store(&self, workspace: &str, serial: i64, state: &[u8]) -> Answer {
        self.create(ADMIN, workspace, inline(serial, state)).await
    }

    pub(crate) async fn current(&self, workspace: &str) -> Answer {
        self.get(ADMIN, &format!("/workspaces/{workspace}/current-state-version")).await
    }

    /// The bytes of a state version's document.
    pub(crate) async fn download(&self, version: &Value) -> Vec<u8> {
        let url = version["data"]["attributes"]["hosted-state-download-url"].as_str().unwrap();
        let answer = self.fetch(url).await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// The token of a new team with this access to the workspace.
    pub(crate) async fn team(&self, workspace: &str, access: Value) -> String {
        let organization = &self.organization;
        let name = attributes(json!({ "name": format!("t-{}", self.app.env.base58(8)) }));
        let team =
            id(&self.post(ADMIN, &format!("/organizations/{organization}/teams"), name).await.expect(201));
        let body = json!({ "data": { "attributes": access, "relationships": {
            "workspace": { "data": { "type": "workspaces", "id": workspace } },
            "team": { "data": { "type": "teams", "id": team } },
        }}});
        self.post(ADMIN, "/team-workspaces", body).await.expect(201);
        let token =
            self.post(ADMIN, &format!("/teams/{team}/authentication-token"), json!({})).await.expect(201);
        token["data"]["attributes"]["token"].as_str().unwrap().to_owned()
    }
}

/// A JSON:API body.
pub(crate) fn attributes(attributes: Value) -> Value {
    json!({ "data": { "type": "", "attributes": attributes } })
}

/// The id of a document's resource.
#[track_caller]
pub(crate) fn id(document: &Value) -> String {
    document["data"]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn md5(bytes: &[u8]) -> String {
    state::file::md5_hex(bytes)
}

/// Attributes that bring a state along.
pub(crate) fn inline(serial: i64, state: &[u8]) -> Value {
    json!({ "serial": serial, "md5": md5(state), "state": base64(state) })
}

/// A state with an output `v`, a sensitive output `secret`, and a resource.
pub(crate) fn state(serial: i64, v: &str) -> Vec<u8> {
    let state = json!({
        "version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": "lineage-1",
        "outputs": {
            "v": { "value": v, "type": "string" },
            "secret": { "value": "hunter2", "type": "string", "sensitive": true },
        },
        "resources": [{
            "module": "module.media_bucket", "mode": "managed", "type": "aws_s3_bucket", "name": "this",
            "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
            "instances": [{ "index_key": 0, "attributes": { "bucket": v } }],
        }],
    });
    serde_json::to_vec_pretty(&state).unwrap()
}
