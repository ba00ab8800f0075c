//! What every handler and background task may use: one cheap handle.

use crate::{
    audit::Trail,
    auth::Identities,
    changes::Changes,
    idempotency::Keys,
    include::Loaders,
    limit::Limit,
    origin::{Network, Ranges},
    signing::Signing,
    site::Site,
};
use blob::{
    keys::{DataKey, RootKey},
    signed::{Signer, TokenHasher},
    store::Objects,
};
use db::{Db, args};
use kernel::{Env, Error, Result, Timestamp, ids::OrganizationId};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    num::NonZeroU32,
    ops::Deref,
    sync::{Arc, RwLock},
};
use tokio::sync::watch;

/// The server's parts, shared by reference.
#[derive(Clone)]
pub struct App(Arc<Inner>);

impl Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// Limits and names that the operator chose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that clients use, without a trailing slash: `https://host[:port]`.
    pub url: String,
    /// The networks of [`crate::origin::Ranges`], as the operator has said.
    pub ranges: Ranges,
    /// Bytes of a configuration archive as uploaded.
    pub upload_bytes: u64,
    /// Bytes of a JSON request body, except those that carry a state.
    pub json_body_bytes: usize,
    /// Bytes of a state, inline or uploaded.
    pub state_bytes: usize,
    /// Requests that a user, or an address without a token, may make in a second, unless site admins say otherwise;
    /// `None` for any number.
    pub requests_per_second: Option<NonZeroU32>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether changes are kept in the audit trail; without it one can measure what it costs.
    pub audited: bool,
    /// Days that entries of the audit trail are kept; `None` for ever.
    pub audit_days: Option<NonZeroU32>,
    /// Seconds that a signed URL of a stored object is good for.
    pub signed_url_seconds: i64,
    /// Bytes of the log of a plan or an apply; what comes after is dropped.
    pub log_bytes: usize,
    /// Seconds that a plan may take.
    pub plan_timeout_seconds: u64,
    /// Seconds that an apply may take.
    pub apply_timeout_seconds: u64,
    /// Seconds from a cancel request until a force-cancel is allowed.
    pub force_cancel_cool_off_seconds: i64,
    /// Seconds without a request after which a browser is signed out.
    pub session_idle_seconds: i64,
    /// Seconds after which a browser is signed out in any case.
    pub session_seconds: i64,
    /// `terraform login` asks for a token that was made on a page, instead of opening a browser that hands it one.
    pub pasted_tokens: bool,
    /// The engine of a workspace that names none: `terraform` or `tofu`.
    pub default_engine: String,
    /// The version of a workspace that names none; `latest` where no engine was found at boot.
    pub default_terraform_version: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "https://localhost:8443".to_owned(),
            ranges: Ranges::default(),
            upload_bytes: 100 << 20,
            json_body_bytes: 4 << 20,
            state_bytes: 256 << 20,
            requests_per_second: None,
            trusted_proxies: Vec::new(),
            audited: true,
            audit_days: None,
            signed_url_seconds: 25 * 3600,
            log_bytes: 64 << 20,
            plan_timeout_seconds: 2 * 3600,
            apply_timeout_seconds: 24 * 3600,
            force_cancel_cool_off_seconds: 60,
            session_idle_seconds: 24 * 3600,
            session_seconds: 14 * 24 * 3600,
            pasted_tokens: false,
            default_engine: "terraform".to_owned(),
            default_terraform_version: "latest".to_owned(),
        }
    }
}

/// See [`App`].
pub struct Inner {
    /// Clock and randomness.
    pub env: Env,
    /// The database.
    pub db: Db,
    /// Stored objects.
    pub objects: Objects,
    /// Seals the organizations' data keys.
    pub root_key: RootKey,
    /// Makes and checks the secret part of signed URLs.
    pub signer: Signer,
    /// Turns a token into what is stored of it.
    pub hasher: TokenHasher,
    /// What the operator chose.
    pub settings: Settings,
    /// Who calls, remembered for moments.
    pub identities: Identities,
    /// How often they have called in this second.
    pub limit: Limit,
    /// What site admins have set; see [`App::site`].
    pub(crate) site: Site,
    /// Keys of identity tokens.
    pub(crate) signing: Signing,
    /// What was changed, until it is in the audit trail.
    pub audit: Trail,
    /// Requests with an `Idempotency-Key`.
    pub idempotency: Keys,
    /// Tells pages that are open.
    pub changes: Changes,
    /// How an included resource of each type is read.
    pub loaders: Loaders,
    /// Counts changes that may let a run proceed; see [`App::pulse`].
    pulse: watch::Sender<u64>,
    closing: watch::Sender<bool>,
    data_keys: RwLock<HashMap<OrganizationId, Arc<DataKey>>>,
    areas: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

/// The parts of an [`App`] that are made before it.
pub struct Parts {
    /// See [`Inner::env`].
    pub env: Env,
    /// See [`Inner::db`].
    pub db: Db,
    /// See [`Inner::objects`].
    pub objects: Objects,
    /// See [`Inner::root_key`].
    pub root_key: RootKey,
    /// See [`Inner::settings`].
    pub settings: Settings,
    /// See [`Inner::loaders`].
    pub loaders: Loaders,
    /// Parts that one area keeps for itself, by type.
    pub areas: Vec<Box<dyn Any + Send + Sync>>,
}

impl App {
    /// Joins the parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { env, db, objects, root_key, settings, loaders, areas } = parts;
        Self(Arc::new(Inner {
            signer: Signer::new(root_key.derive("signed-urls")),
            hasher: TokenHasher::new(root_key.derive("api-tokens")),
            changes: Changes::new(&env),
            env,
            db,
            objects,
            audit: Trail::new(&root_key),
            idempotency: Keys::new(&root_key),
            root_key,
            limit: Limit::default(),
            site: Site::default(),
            signing: Signing::default(),
            settings,
            identities: Identities::default(),
            loaders,
            pulse: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            data_keys: RwLock::default(),
            areas: areas.into_iter().map(|part| ((*part).type_id(), part)).collect(),
        }))
    }

    /// The part that an area gave at boot.
    pub fn area<T: 'static>(&self) -> &T {
        self.areas
            .get(&TypeId::of::<T>())
            .and_then(|part| part.downcast_ref())
            .expect("boot installs the part of every area whose routes it serves")
    }

    /// Wakes whoever decides what runs next: call after committing a change that may let a run proceed (a run was made,
    /// a workspace was unlocked or deleted). A lost wake-up delays, it never loses: the scheduler also looks by itself.
    pub fn pulse(&self) {
        self.pulse.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Completes when the server begins to shut down: whoever holds a request open answers it then.
    pub async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as this handle, so waiting cannot fail.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Whether the shutdown has begun.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Begins the shutdown.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits for pulses.
    pub fn pulses(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// The key that seals an organization's secrets and objects.
    pub async fn data_key(&self, organization: &OrganizationId) -> Result<Arc<DataKey>> {
        if let Some(key) = self.data_keys.read().expect("no holder of this lock panics").get(organization) {
            return Ok(key.clone());
        }
        let (sealed,): (Vec<u8>,) = self
            .db
            .one("SELECT data_key FROM organizations WHERE id = $1", args![organization])
            .await?
            .ok_or(Error::NotFound)?;
        let key = Arc::new(DataKey::open_sealed(&self.root_key, &sealed).map_err(Error::internal)?);
        self.data_keys
            .write()
            .expect("no holder of this lock panics")
            .insert(organization.clone(), key.clone());
        Ok(key)
    }

    /// The absolute URL of a path of ours.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.url)
    }

    /// A signed URL `<url>/_object/<purpose>/<token>` for one object, good for `seconds`.
    pub fn signed_url(&self, purpose: &'static str, id: &str, seconds: i64) -> String {
        let token = self.signer.sign(purpose, id, self.now().plus_seconds(seconds));
        self.url(&format!("/_object/{purpose}/{token}"))
    }

    /// The id that a signed URL's token names, if it is genuine, of this purpose and not expired.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise: a forged URL and an absent object look alike.
    pub fn verify_signed(&self, purpose: &'static str, token: &str) -> Result<String> {
        self.signer.verify(token, purpose, self.now()).ok_or(Error::NotFound)
    }
}
