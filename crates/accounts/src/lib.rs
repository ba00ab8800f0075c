//! Who there is: users, organizations, memberships, teams and tokens.
//!
//! Reading order: [`organizations`], [`users`], [`memberships`], [`teams`], [`tokens`], [`bootstrap`] (the first site
//! admin).

pub mod bootstrap;
pub mod memberships;
pub mod organizations;
pub mod teams;
pub mod tokens;
pub mod users;

use http_api::{Routes, include::Loaders};

/// Every operation of this area.
pub fn routes() -> Routes {
    users::routes()
        .and(organizations::routes())
        .and(memberships::routes())
        .and(teams::routes())
        .and(tokens::routes())
}

/// How this area's resources are read when another document includes them.
pub fn loaders(loaders: &mut Loaders) {
    users::loaders(loaders);
    organizations::loaders(loaders);
    memberships::loaders(loaders);
    teams::loaders(loaders);
}
