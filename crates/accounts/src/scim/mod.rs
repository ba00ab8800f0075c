//! SCIM 2.0: an identity provider keeps users and groups here, and its groups stand for teams and for site admins.
//!
//! Contract: below `/scim/v2`, RFC 7643 and 7644 as Okta and Entra ID use them, for whoever shows a SCIM token, which opens nothing
//! else. A user whom the provider deactivates is suspended: nothing of theirs works from that answer on. A team that is
//! linked to a group has the group's members, and they are members of its organization, from the answer on that changed
//! the group. Site admins switch it on, make tokens and link teams by the Admin API. Decisions: `docs/adr/0009-scim.md`.
//!
//! All writes of SCIM hold the row of its settings, so they happen one after the other, and a pause holds at once.
//!
//! Reading order: [`settings`], [`tokens`], [`links`] (for site admins); [`sync`] (what a group's members are); then the
//! protocol: [`path`] and [`filter`], [`patch`] (pure), [`resource`], [`users`], [`groups`], [`discovery`].

mod discovery;
mod filter;
mod groups;
mod links;
mod patch;
mod path;
mod resource;
mod settings;
mod sync;
mod tokens;
mod users;

use http_api::Routes;
pub(crate) use links::{refuse_by_hand, refuse_removal};

/// Every operation of SCIM and around it.
pub fn routes() -> Routes {
    tokens::routes()
        .and(links::routes())
        .and(discovery::routes())
        .and(users::routes())
        .and(groups::routes())
        .and(settings::routes())
}
