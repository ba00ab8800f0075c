//! What site admins set for the whole installation: general settings, texts of their own on the pages, and the
//! identity provider that keeps users and groups here.
//!
//! Stored as JSON in the table `settings`, and remembered: a change made by this process holds at once, one made by another
//! node when the memory is older than [`MEMORY`]. Source: the Admin Settings API.

use crate::{
    App, Settings,
    auth::MEMORY,
    banner::{self, Banner},
};
use db::{Db, Tx, args};
use kernel::{Error, Result, Timestamp, ids::ScimGroupId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    num::NonZeroU32,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The limit that is shown while there is none: TFE's.
pub const USUAL_RATE_LIMIT: u32 = 30;
const LOCK: &str = "no holder of this lock panics";

/// The general settings. What is `None` is as the server's operator has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct General {
    /// Only site admins make organizations.
    pub limit_user_organization_creation: bool,
    /// Whether callers are limited at all.
    pub api_rate_limiting_enabled: Option<bool>,
    /// Requests that a caller may make in a second.
    pub api_rate_limit: Option<u32>,
    /// The default of a new organization's attribute of this name.
    pub send_passing_statuses_for_untriggered_speculative_plans: bool,
    /// Whether the state of a new workspace may be read by all others of its organization, unless its maker says otherwise.
    pub default_remote_state_access: bool,
    /// Whether site admins need a second factor for what only they may do.
    pub require_two_factor_for_admins: bool,
    /// How long an apply may take, as `24h`, where its organization says nothing.
    pub apply_timeout: Option<String>,
    /// How long a plan may take, likewise.
    pub plan_timeout: Option<String>,
}

impl General {
    /// Requests that a caller may make in a second; `None` for any number.
    pub fn requests_per_second(&self, operator: &Settings) -> Option<NonZeroU32> {
        let enabled = self.api_rate_limiting_enabled.unwrap_or(operator.requests_per_second.is_some());
        if enabled { NonZeroU32::new(self.rate_limit(operator)) } else { None }
    }

    /// The limit, whether it is in force or not.
    pub fn rate_limit(&self, operator: &Settings) -> u32 {
        self.api_rate_limit.or(operator.requests_per_second.map(NonZeroU32::get)).unwrap_or(USUAL_RATE_LIMIT)
    }
}

/// Texts for the pages; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Customization {
    /// Whom to write to for help.
    pub support_email_address: String,
    /// On the page to sign in.
    pub login_help: String,
    /// Under every page.
    pub footer: String,
    /// On pages that say that something went wrong.
    pub error: String,
    /// For who is in no organization yet.
    pub new_user: String,
}

/// The identity provider by SAML. Signing in by it is not built: the settings are kept because provisioning by SCIM stands on
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are the attributes of the Admin Settings API, by their names")]
pub struct Saml {
    pub enabled: bool,
    pub debug: bool,
    pub authn_requests_signed: bool,
    pub want_assertions_signed: bool,
    pub team_management_enabled: bool,
    pub old_idp_cert: Option<String>,
    pub idp_cert: Option<String>,
    pub slo_endpoint_url: Option<String>,
    pub sso_endpoint_url: Option<String>,
    pub attr_username: String,
    pub attr_groups: String,
    pub attr_site_admin: String,
    pub site_admin_role: String,
    pub sso_api_token_session_timeout: u32,
    pub certificate: Option<String>,
    /// Sealed by the root key, in base64.
    pub private_key: Option<String>,
    pub signature_signing_method: String,
    pub signature_digest_method: String,
    pub provider_type: String,
}

impl Default for Saml {
    fn default() -> Self {
        let sha = "SHA256".to_owned();
        Self {
            enabled: false,
            debug: false,
            authn_requests_signed: false,
            want_assertions_signed: false,
            team_management_enabled: false,
            old_idp_cert: None,
            idp_cert: None,
            slo_endpoint_url: None,
            sso_endpoint_url: None,
            attr_username: "Username".to_owned(),
            attr_groups: "MemberOf".to_owned(),
            attr_site_admin: "SiteAdmin".to_owned(),
            site_admin_role: "site-admins".to_owned(),
            sso_api_token_session_timeout: 14 * 24 * 3600,
            certificate: None,
            private_key: None,
            signature_signing_method: sha.clone(),
            signature_digest_method: sha,
            provider_type: "unknown".to_owned(),
        }
    }
}

/// Provisioning of users and groups by SCIM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Scim {
    /// Whether the identity provider may read and write here.
    pub enabled: bool,
    /// Whether it may only read for now.
    pub paused: bool,
    /// The group whose members are site admins.
    pub site_admin_group: Option<ScimGroupId>,
}

/// A group of settings, stored under a name.
pub trait Group: Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static {
    /// The name.
    const NAME: &'static str;
    /// Where it is remembered.
    fn of(known: &mut Known) -> &mut Self;
}

impl Group for General {
    const NAME: &'static str = "general-settings";
    fn of(known: &mut Known) -> &mut Self {
        &mut known.general
    }
}

impl Group for Customization {
    const NAME: &'static str = "customization-settings";
    fn of(known: &mut Known) -> &mut Self {
        &mut known.customization
    }
}

impl Group for Saml {
    const NAME: &'static str = "saml-settings";
    fn of(known: &mut Known) -> &mut Self {
        &mut known.saml
    }
}

impl Group for Scim {
    const NAME: &'static str = "scim-settings";
    fn of(known: &mut Known) -> &mut Self {
        &mut known.scim
    }
}

/// All groups, as they were at some instant.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The general settings.
    pub general: General,
    /// Texts for the pages.
    pub customization: Customization,
    /// The identity provider.
    pub saml: Saml,
    /// Provisioning by it.
    pub scim: Scim,
    /// What is to be said on every page, now or later.
    pub banner: Option<Banner>,
    read_at: Timestamp,
    /// Counts changes by this process.
    changes: u64,
}

/// The memory of the settings.
#[derive(Debug, Default)]
pub struct Site {
    known: RwLock<Arc<Known>>,
    reading: AtomicBool,
}

impl Site {
    fn known(&self) -> Arc<Known> {
        self.known.read().expect(LOCK).clone()
    }

    fn remember(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write().expect(LOCK);
        let mut next = Known::clone(&known);
        change(&mut next);
        *known = Arc::new(next);
    }

    async fn read(&self, db: &Db, now: Timestamp) -> Result<()> {
        let changes = self.known().changes;
        let rows: Vec<(String, String)> = db
            .all(
                "SELECT name, value FROM settings WHERE name IN ($1, $2, $3, $4)",
                args![General::NAME, Customization::NAME, Saml::NAME, Scim::NAME],
            )
            .await?;
        fn take<G: Group>(known: &mut Known, value: &str) -> Result<()> {
            *G::of(known) = serde_json::from_str(value).map_err(Error::internal)?;
            Ok(())
        }
        let banner = banner::current(db).await?;
        let mut found = Known { read_at: now, changes, banner, ..Known::default() };
        for (name, value) in rows {
            match name.as_str() {
                General::NAME => take::<General>(&mut found, &value)?,
                Customization::NAME => take::<Customization>(&mut found, &value)?,
                Saml::NAME => take::<Saml>(&mut found, &value)?,
                _ => take::<Scim>(&mut found, &value)?,
            }
        }
        self.remember(|known| {
            // What was changed meanwhile is newer than what was read.
            if known.changes == changes {
                *known = found;
            }
        });
        Ok(())
    }
}

impl App {
    /// The settings as far as they are known. Costs no statement: what is old is read again beside the caller.
    pub fn site(&self) -> Arc<Known> {
        let (known, now) = (self.site.known(), self.now());
        let fresh = now.since(known.read_at) < MEMORY && known.read_at <= now;
        if !fresh && !self.site.reading.swap(true, Ordering::SeqCst) {
            let app = self.clone();
            tokio::spawn(async move {
                let read = app.read_site().await;
                app.site.reading.store(false, Ordering::SeqCst);
                if let Err(error) = read {
                    tracing::warn!(%error, "the settings of site admins could not be read; what was known of them holds");
                }
            });
        }
        known
    }

    /// Reads the settings: at boot, before anything is decided by them.
    pub async fn read_site(&self) -> Result<()> {
        self.site.read(&self.db, self.now()).await
    }

    /// Changes a group of settings; what `change` refuses is not changed. Holds at once.
    pub async fn change_site<G: Group>(&self, change: impl FnOnce(&mut G) -> Result<()>) -> Result<G> {
        let mut tx = self.db.begin().await?;
        let mut group: G = self.hold_site(&mut tx).await?;
        change(&mut group)?;
        self.store_site(&mut tx, &group).await?;
        tx.commit().await?;
        self.remember_site(&group);
        Ok(group)
    }

    /// A group of settings as it is stored, which nobody else changes until the transaction ends.
    pub async fn hold_site<G: Group>(&self, tx: &mut Tx) -> Result<G> {
        // The row is the lock, by a statement that both engines understand as one.
        tx.exec(
            "INSERT INTO settings (name, value) VALUES ($1, '{}') ON CONFLICT (name) DO UPDATE SET value = settings.value",
            args![G::NAME],
        )
        .await?;
        let stored: Option<(String,)> =
            tx.one("SELECT value FROM settings WHERE name = $1", args![G::NAME]).await?;
        serde_json::from_str(&stored.ok_or(Error::NotFound)?.0).map_err(Error::internal)
    }

    /// Stores a group that is held. Whoever does must say [`App::remember_site`] after the commit.
    pub async fn store_site<G: Group>(&self, tx: &mut Tx, group: &G) -> Result<()> {
        let value = serde_json::to_string(group).map_err(Error::internal)?;
        tx.exec("UPDATE settings SET value = $2 WHERE name = $1", args![G::NAME, value]).await.map(drop)
    }

    /// Shows a stored banner at once, or no more.
    pub fn remember_banner(&self, banner: Option<Banner>) {
        self.site.remember(|known| {
            known.banner = banner;
            known.changes += 1;
        });
    }

    /// Makes a stored group hold at once.
    pub fn remember_site<G: Group>(&self, group: &G) {
        self.site.remember(|known| {
            G::of(known).clone_from(group);
            known.changes += 1;
        });
    }
}

/// Seconds of a span such as `45s`, `30m`, `2h` or `1h30m`; `None` when it is no span, or none at all.
pub fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    // A year: what is longer is a mistake, and must fit into instants.
    (number.is_empty() && (1..=366 * 24 * 3600).contains(&total)).then_some(total)
}

/// Refuses a text that is no span.
///
/// # Errors
/// 422 for the attribute.
pub fn check_span(attribute: &str, text: &str) -> Result<()> {
    match seconds(text) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(attribute, "must be a span of time such as 45s, 30m, 2h or 1h30m")),
    }
}

/// A number of seconds as such a span.
pub fn span(seconds: u64) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_and_written() {
        for (text, expected) in [("45s", 45), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("24h", 86_400)] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "2", "h", "2d", "-1h", "0s", "99999999h", "1 h"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!((span(7200), span(5400), span(59)), ("2h".to_owned(), "90m".to_owned(), "59s".to_owned()));
    }
}
