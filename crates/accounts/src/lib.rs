//! Who there is: users, organizations, memberships, teams and tokens; and how people sign in.
//!
//! Reading order: [`organizations`], [`users`], [`memberships`], [`teams`], [`tokens`], [`token_ttl_policies`],
//! [`bootstrap`] (the first site admin); then [`passwords`], [`sign_in`], [`two_factor`], [`external`], [`sessions`], [`authorizations`] (`terraform login`), [`people`],
//! [`admin_organizations`], [`admin_users`], [`impersonation`], [`general_settings`], [`customization_settings`], [`banners`],
//! [`oidc_settings`], [`saml_settings`], [`scim`] (what an identity provider keeps here), [`audit_trail`].

pub mod admin_organizations;
pub mod admin_users;
pub mod audit_trail;
pub mod authorizations;
mod backoff;
pub mod banners;
pub mod bootstrap;
pub mod cookies;
pub mod customization_settings;
pub mod execution;
pub mod external;
pub mod feature_sets;
pub mod general_settings;
pub mod impersonation;
pub mod memberships;
pub mod oidc_settings;
pub mod organizations;
pub mod passwords;
pub mod people;
pub mod retention;
pub mod saml_settings;
pub mod scim;
pub mod sessions;
pub mod sign_in;
pub mod teams;
pub mod token_ttl_policies;
pub mod tokens;
pub mod two_factor;
pub mod users;

use http_api::{Routes, include::Loaders};

/// What this area keeps in memory: boot installs one.
#[derive(Debug, Default)]
pub struct SignIns {
    backoff: backoff::Backoff,
    hashing: passwords::Hashing,
    provider: Option<external::provider::Provider>,
}

impl SignIns {
    /// With an external provider that people may sign in by, or without one.
    pub fn new(provider: Option<external::provider::Provider>) -> Self {
        Self { provider, ..Self::default() }
    }
}

/// Every operation of this area.
pub fn routes() -> Routes {
    users::routes()
        .and(organizations::routes())
        .and(admin_organizations::routes())
        .and(feature_sets::routes())
        .and(admin_users::routes())
        .and(impersonation::routes())
        .and(general_settings::routes())
        .and(customization_settings::routes())
        .and(banners::routes())
        .and(oidc_settings::routes())
        .and(saml_settings::routes())
        .and(scim::routes())
        .and(memberships::routes())
        .and(teams::routes())
        .and(tokens::routes())
        .and(token_ttl_policies::routes())
        .and(audit_trail::routes())
        .and(authorizations::routes())
}

/// How this area's resources are read when another document includes them.
pub fn loaders(loaders: &mut Loaders) {
    users::loaders(loaders);
    organizations::loaders(loaders);
    feature_sets::loaders(loaders);
    memberships::loaders(loaders);
    teams::loaders(loaders);
}
