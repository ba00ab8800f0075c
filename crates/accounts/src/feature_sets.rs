//! Feature sets and subscriptions: what site admins allow an organization.
//!
//! Contract: an organization may use what this server has ([`BUILT`]) *and* its feature set grants; nothing that is not built
//! is ever shown as an entitlement. An organization that nobody has said anything of has the widest set and no ceiling. A
//! subscription that has ended grants what [`FREE`] does. What is withheld answers 404 with the reason in `detail`, and
//! what was made before stays.
//!
//! `runs-ceiling` is how many runs of the organization are carried out at a time (`runs::queue`), `contract-user-limit` how
//! many members it may have. The other numbers are a contract's and are kept as they are.
//! Source: the Feature Sets and Subscriptions APIs; sdk-conformance.md §1.2; semantics.md §6.5 (404 without an entitlement).

use crate::{
    admin_organizations::only_site_admins,
    organizations::{self, Organization, SELECT},
};
use axum::http::Method;
use db::args;
use http_api::{Cx, Data, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{Paged, Timestamp, ids::OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A feature that may be withheld from an organization and that this server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entitlement {
    /// Reading the audit trail. It is kept in any case.
    AuditLogging,
    /// Runs on this server.
    Operations,
    /// Signing in by an external provider, where the operator has named one.
    Sso,
    /// States on this server.
    StateStorage,
    /// Teams beside the owners.
    Teams,
}

impl Entitlement {
    /// Its name in entitlement and feature sets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuditLogging => "audit-logging",
            Self::Operations => "operations",
            Self::Sso => "sso",
            Self::StateStorage => "state-storage",
            Self::Teams => "teams",
        }
    }
}

/// What this server has of [`NAMES`].
const BUILT: &[Entitlement] = &[
    Entitlement::AuditLogging,
    Entitlement::Operations,
    Entitlement::Sso,
    Entitlement::StateStorage,
    Entitlement::Teams,
];

/// Everything that the API knows as an entitlement which is there or not.
const NAMES: &[&str] = &[
    "agents",
    "assessments",
    "audit-logging",
    "change-requests",
    "configuration-designer",
    "cost-estimation",
    "global-run-tasks",
    "module-tests-generation",
    "no-code-modules",
    "operations",
    "policy-enforcement",
    "private-module-registry",
    "private-policy-agents",
    "private-run-tasks",
    "private-vcs",
    "run-tasks",
    "self-serve-billing",
    "sentinel",
    "sso",
    "state-storage",
    "teams",
    "usage-reporting",
    "vcs-integrations",
];

/// Everything that the API knows as a limit of an entitlement; this server has none of what they count.
const LIMITS: &[&str] = &[
    "policy-limit",
    "policy-mandatory-enforcement-limit",
    "policy-set-limit",
    "run-task-limit",
    "run-task-mandatory-enforcement-limit",
    "run-task-workspace-limit",
    "versioned-policy-set-limit",
];

/// What a feature set grants.
#[derive(Debug, PartialEq, Eq)]
enum Grants {
    Everything,
    These(&'static [&'static str]),
}

/// What a site admin can allow an organization.
#[derive(Debug, PartialEq, Eq)]
pub struct FeatureSet {
    id: &'static str,
    identifier: &'static str,
    /// What people call it.
    pub name: &'static str,
    description: &'static str,
    grants: Grants,
    /// Runs at a time, where the subscription does not say.
    runs_ceiling: Option<u32>,
}

impl FeatureSet {
    fn grants(&self, name: &str) -> bool {
        match self.grants {
            Grants::Everything => true,
            Grants::These(names) => names.contains(&name),
        }
    }
}

/// The widest: what an organization has of whom nobody has said anything.
const WIDEST: FeatureSet = FeatureSet {
    id: "fs-enterprise",
    identifier: "enterprise",
    name: "Enterprise",
    description: "Everything that this server has, without a ceiling",
    grants: Grants::Everything,
    runs_ceiling: None,
};

/// The narrowest: what is left when a subscription has ended.
const FREE: FeatureSet = FeatureSet {
    id: "fs-free",
    identifier: "free",
    name: "Free",
    description: "Runs and states for the owners of the organization, one run at a time",
    grants: Grants::These(&[
        "operations",
        "private-module-registry",
        "sso",
        "state-storage",
        "vcs-integrations",
    ]),
    runs_ceiling: Some(1),
};

/// All of them, the widest first.
const FEATURE_SETS: &[FeatureSet] = &[
    WIDEST,
    FeatureSet {
        id: "fs-business",
        identifier: "business",
        name: "Business",
        description: "Everything that this server has, ten runs at a time",
        grants: Grants::Everything,
        runs_ceiling: Some(10),
    },
    FeatureSet {
        id: "fs-standard-entitlement",
        identifier: "standard_entitlement",
        name: "Standard (entitlement)",
        description: "Teams and the audit trail, three runs at a time",
        grants: Grants::These(&[
            "agents",
            "audit-logging",
            "cost-estimation",
            "operations",
            "policy-enforcement",
            "private-module-registry",
            "run-tasks",
            "sentinel",
            "sso",
            "state-storage",
            "teams",
            "vcs-integrations",
        ]),
        runs_ceiling: Some(3),
    },
    FREE,
];

fn feature_set(id: &str) -> Option<&'static FeatureSet> {
    FEATURE_SETS.iter().find(|set| set.id == id)
}

/// An organization's subscription, as stored and as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Subscription {
    /// The id of its feature set; the widest if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_set: Option<String>,
    runs_ceiling: Option<u32>,
    agents_ceiling: Option<u32>,
    contract_start_at: Option<String>,
    end_at: Option<String>,
    contract_user_limit: Option<i64>,
    contract_apply_limit: Option<i64>,
    contract_managed_resources_limit: Option<i64>,
}

impl Subscription {
    /// The subscription as stored; nothing there is the widest feature set.
    pub fn parse(stored: Option<&str>) -> Self {
        stored.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn chosen(&self) -> &'static FeatureSet {
        self.feature_set.as_deref().and_then(feature_set).unwrap_or(&WIDEST)
    }

    /// When it ends; never, if none.
    pub fn ends(&self) -> Option<Timestamp> {
        Timestamp::parse(self.end_at.as_deref()?)
    }

    /// Whether it has ended.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends().is_some_and(|end| end <= now)
    }

    /// The feature set that holds now.
    pub fn feature_set(&self, now: Timestamp) -> &'static FeatureSet {
        if self.has_ended(now) { &FREE } else { self.chosen() }
    }

    /// The short name of the feature set that holds now.
    pub fn plan(&self, now: Timestamp) -> &'static str {
        self.feature_set(now).identifier
    }

    /// How many runs may be carried out at a time; any number, if none.
    pub fn runs_ceiling(&self, now: Timestamp) -> Option<u32> {
        if self.has_ended(now) { FREE.runs_ceiling } else { self.runs_ceiling.or(self.chosen().runs_ceiling) }
    }

    /// How many members the organization may have; any number, if none.
    pub fn user_limit(&self) -> Option<i64> {
        self.contract_user_limit
    }

    /// Whether the organization may use a feature.
    pub fn entitles(&self, to: Entitlement, now: Timestamp) -> bool {
        BUILT.contains(&to) && self.feature_set(now).grants(to.name())
    }

    fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        let mut say = |attribute: &str, text: &str| wrong.push((attribute.to_owned(), text.to_owned()));
        if self.runs_ceiling == Some(0) {
            say("runs-ceiling", "Runs ceiling must be 1 or more, or null for the feature set's own");
        }
        for (name, date) in [("contract-start-at", &self.contract_start_at), ("end-at", &self.end_at)] {
            if date.as_deref().is_some_and(|date| Timestamp::parse(date).is_none()) {
                say(name, "must be an ISO 8601 date and time with an offset");
            }
        }
        let limits = [
            ("contract-user-limit", self.contract_user_limit),
            ("contract-apply-limit", self.contract_apply_limit),
            ("contract-managed-resources-limit", self.contract_managed_resources_limit),
        ];
        for (name, limit) in limits {
            if limit.is_some_and(|limit| limit < 0) {
                say(name, "must be 0 or more, or null for none");
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }

    fn document(&self, organization: &Organization, now: Timestamp) -> Resource {
        let mut attributes = json!(self);
        if let Value::Object(attributes) = &mut attributes {
            attributes.remove("feature-set");
            attributes.insert("is-active".to_owned(), json!(!self.has_ended(now)));
            attributes.insert("start-at".to_owned(), json!(self.contract_start_at));
            attributes.insert("is-public-free-tier".to_owned(), json!(self.feature_set(now) == &FREE));
            attributes.insert("is-self-serve-trial".to_owned(), json!(false));
        }
        Resource::new("subscriptions", id_of(&organization.id), &attributes)
            .relate("organization", Linkage::One("organizations", organization.name.clone()))
            .relate("feature-set", Linkage::One("feature-sets", self.chosen().id.to_owned()))
            .link("self", format!("/api/v2/organizations/{}/subscription", organization.name))
    }
}

/// An organization has one subscription, whose id follows from its own.
pub(crate) fn id_of(organization: &OrganizationId) -> String {
    organization.as_str().replacen("org-", "sub-", 1)
}

/// Lets through what the organization is entitled to.
///
/// # Errors
/// [`Error::NotEntitled`], which says what is missing and who can change it. Ask only for callers who see the organization.
pub fn entitled(organization: &Organization, to: Entitlement, now: Timestamp) -> Result<()> {
    let subscription = organization.subscription();
    if subscription.entitles(to, now) {
        return Ok(());
    }
    let why = if subscription.has_ended(now) { ", because its subscription has ended" } else { "" };
    Err(Error::NotEntitled(format!(
        "Organization {} is not entitled to {}: its feature set is {}{why}. A site admin can give it another one.",
        organization.name,
        to.name(),
        subscription.feature_set(now).name,
    )))
}

/// What the organization may use. Features that this server does not have are false, so that no client waits for them.
pub(crate) fn entitlement_set(organization: &Organization, now: Timestamp) -> Resource {
    let subscription = organization.subscription();
    let set = subscription.feature_set(now);
    let mut attributes = Map::new();
    for name in NAMES {
        let built = BUILT.iter().any(|entitlement| entitlement.name() == *name);
        attributes.insert((*name).to_owned(), json!(built && set.grants(name)));
    }
    for name in LIMITS {
        attributes.insert((*name).to_owned(), Value::Null);
    }
    attributes.insert("user-limit".to_owned(), json!(subscription.user_limit()));
    Resource::new("entitlement-sets", organization.id.to_string(), &attributes)
}

/// The operations on feature sets and subscriptions.
pub fn routes() -> Routes {
    let of_organization = "/admin/organizations/{organization}/subscription";
    Routes::new()
        .op(Method::GET, "/admin/feature-sets", "accounts.admin-feature-sets.list", list_for_admins)
        .op(Method::GET, "/feature-sets", "accounts.feature-sets.list", list)
        .op(
            Method::GET,
            "/organizations/{organization}/feature-sets",
            "accounts.organization-feature-sets.list",
            list_of_organization,
        )
        .op(Method::GET, of_organization, "accounts.admin-subscription.read", read_for_admins)
        .op(Method::POST, of_organization, "accounts.admin-subscription.set", set)
        .op(
            Method::GET,
            "/organizations/{organization}/subscription",
            "accounts.organization-subscription.read",
            read_of_organization,
        )
        .op(Method::GET, "/subscriptions/{id}", "accounts.subscriptions.read", read)
}

pub(crate) fn loaders(loaders: &mut http_api::include::Loaders) {
    loaders.add("feature-sets", |_, ids| async move {
        Ok(ids.iter().filter_map(|id| feature_set(id)).map(document).collect())
    });
}

/// A feature set with what it grants of what this server has.
fn document(set: &FeatureSet) -> Resource {
    let mut attributes = Map::new();
    for name in NAMES {
        let built = BUILT.iter().any(|entitlement| entitlement.name() == *name);
        attributes.insert((*name).to_owned(), json!(built && set.grants(name)));
    }
    for name in LIMITS {
        attributes.insert((*name).to_owned(), Value::Null);
    }
    attributes.insert("default-runs-ceiling".to_owned(), json!(set.runs_ceiling));
    attributes.insert("identifier".to_owned(), json!(set.identifier));
    attributes.insert("name".to_owned(), json!(set.name));
    attributes.insert("description".to_owned(), json!(set.description));
    attributes.insert("is-current".to_owned(), json!(true));
    attributes.insert("is-free-tier".to_owned(), json!(set == &FREE));
    Resource::new("feature-sets", set.id, &attributes)
}

async fn page(cx: &Cx) -> Result<Reply> {
    let wanted = cx.query("q").map(str::to_lowercase).unwrap_or_default();
    let found: Vec<&FeatureSet> =
        FEATURE_SETS.iter().filter(|set| set.name.to_lowercase().contains(&wanted)).collect();
    let page = cx.page();
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let items = found.into_iter().skip(start).take(page.size as usize).map(document).collect();
    cx.page_of(Paged { items, page, total: Some(total) }, &[]).await
}

async fn list_for_admins(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    page(&cx).await
}

async fn list(cx: Cx) -> Result<Reply> {
    cx.actor()?;
    page(&cx).await
}

/// Any organization may be given any of them.
async fn list_of_organization(cx: Cx) -> Result<Reply> {
    organizations::find(&cx, cx.path("organization")).await?;
    page(&cx).await
}

async fn answer(cx: &Cx, organization: &Organization) -> Result<Reply> {
    let document = organization.subscription().document(organization, cx.app.now());
    cx.one(document, &["feature_set", "organization"]).await
}

async fn read_of_organization(cx: Cx) -> Result<Reply> {
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    answer(&cx, &organization).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let sql = "SELECT name FROM organizations WHERE id = $1";
    let id = cx.path("id").replacen("sub-", "org-", 1);
    let (name,): (String,) = cx.app.db.one(sql, args![id]).await?.ok_or(Error::NotFound)?;
    let (organization, _) = organizations::find(&cx, &name).await?;
    answer(&cx, &organization).await
}

async fn found_by_admin(cx: &Cx) -> Result<Organization> {
    only_site_admins(cx)?;
    let sql = format!("{SELECT} WHERE name = $1");
    cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("organization")]).await?.ok_or(Error::NotFound)
}

async fn read_for_admins(cx: Cx) -> Result<Reply> {
    let organization = found_by_admin(&cx).await?;
    answer(&cx, &organization).await
}

/// Gives the organization a subscription in place of the one that it has.
async fn set(mut cx: Cx) -> Result<Reply> {
    let mut organization = found_by_admin(&cx).await?;
    let data: Data<Subscription> = cx.data().await?;
    let named = data.related("feature-set").map(str::to_owned);
    let mut subscription = data.attributes;
    subscription.check()?;
    let named = named.ok_or_else(|| Error::invalid("feature-set", "Feature set can't be blank"))?;
    if feature_set(&named).is_none() {
        return Err(Error::invalid(
            "feature-set",
            "Feature set does not exist: GET /api/v2/admin/feature-sets lists them",
        ));
    }
    subscription.feature_set = Some(named);
    let stored = serde_json::to_string(&subscription).map_err(Error::internal)?;
    let sql = "UPDATE organizations SET subscription = $2, version = version + 1 WHERE id = $1";
    cx.app.db.exec(sql, args![&organization.id, stored.as_str()]).await?;
    organization.subscription = Some(stored);
    // More runs may be allowed at a time now.
    cx.app.pulse();
    Ok(Reply::created(subscription.document(&organization, cx.app.now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(0).plus_seconds(seconds)
    }

    fn of(set: &FeatureSet) -> Subscription {
        Subscription { feature_set: Some(set.id.to_owned()), ..Subscription::default() }
    }

    #[test]
    fn nothing_said_grants_everything_that_is_built_without_a_ceiling() {
        let silent = Subscription::parse(None);
        assert!(BUILT.iter().all(|entitlement| silent.entitles(*entitlement, at(0))));
        assert_eq!((silent.runs_ceiling(at(0)), silent.user_limit()), (None, None));
        assert_eq!(silent.plan(at(0)), "enterprise");
    }

    #[test]
    fn a_subscription_that_has_ended_grants_what_is_free() {
        let ending = Subscription {
            end_at: Some("1970-01-01T00:01:00Z".to_owned()),
            runs_ceiling: Some(7),
            ..of(&WIDEST)
        };
        assert!(ending.entitles(Entitlement::Teams, at(59)));
        assert_eq!(ending.runs_ceiling(at(59)), Some(7));
        assert!(!ending.entitles(Entitlement::Teams, at(60)));
        assert!(ending.entitles(Entitlement::Operations, at(60)));
        assert_eq!(ending.runs_ceiling(at(60)), FREE.runs_ceiling);
    }

    #[test]
    fn every_feature_set_grants_runs_and_states_and_is_known_by_its_id() {
        for set in FEATURE_SETS {
            assert_eq!(feature_set(set.id), Some(set));
            assert!(set.grants("operations") && set.grants("state-storage"), "{}", set.name);
            if let Grants::These(names) = set.grants {
                assert!(names.iter().all(|name| NAMES.contains(name)), "{}", set.name);
            }
        }
        assert!(BUILT.iter().all(|entitlement| NAMES.contains(&entitlement.name())));
    }

    #[test]
    fn the_subscriptions_own_ceiling_goes_before_the_feature_sets() {
        assert_eq!(of(&FREE).runs_ceiling(at(0)), Some(1));
        assert_eq!(Subscription { runs_ceiling: Some(4), ..of(&FREE) }.runs_ceiling(at(0)), Some(4));
    }
}
