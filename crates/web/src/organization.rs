//! The pages of an organization.
//!
//! Reading order: [`overview`], [`workspaces`], [`projects`], then [`settings`] with what is in it. What a person may not see
//! is absent from the way to other pages, and 404 where its address is known: the API says so, not the page.

mod access;
mod audit_trail;
mod chart;
mod general;
mod overview;
mod project;
mod projects;
mod settings;
mod ssh_keys;
mod start;
mod tags;
mod team;
mod teams;
mod tokens;
mod users;
mod variable_set;
mod variable_sets;
mod workspaces;

pub(crate) use start::cloud_block;

use crate::{
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Result, inside::Seen};
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    let all = [
        overview::routes,
        workspaces::routes,
        projects::routes,
        project::routes,
        general::routes,
        teams::routes,
        team::routes,
        access::routes,
        users::routes,
        variable_sets::routes,
        variable_set::routes,
        tokens::routes,
        tags::routes,
        ssh_keys::routes,
        audit_trail::routes,
    ];
    all.into_iter().fold(table, |table, more| more(table))
}

/// An organization as its pages need it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Organization {
    pub(crate) name: String,
    pub(crate) permissions: Permissions,
}

/// What the person may do in it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "the API's permissions, by their names")]
pub(crate) struct Permissions {
    pub(crate) can_update: bool,
    pub(crate) can_destroy: bool,
    pub(crate) can_create_workspace: bool,
    pub(crate) can_create_project: bool,
    pub(crate) can_create_team: bool,
    pub(crate) can_manage_users: bool,
    pub(crate) can_manage_varsets: bool,
    pub(crate) can_read_varsets: bool,
    pub(crate) can_manage_tags: bool,
    pub(crate) can_update_api_token: bool,
    pub(crate) can_update_ssh_keys: bool,
    pub(crate) can_view_usage: bool,
    pub(crate) can_view_users: bool,
}

/// The organization that the path names.
pub(crate) async fn of(visit: &Visit) -> Result<Seen<Organization>> {
    visit.read(&api(visit, "")).await?.one()
}

/// A path of the API below the organization that the path names.
pub(crate) fn api(visit: &Visit, rest: &str) -> String {
    format!("/organizations/{}{rest}", segment(visit.path("organization")))
}

/// A path of the pages below it.
pub(crate) fn page(visit: &Visit, rest: &str) -> String {
    format!("/app/{}{rest}", segment(visit.path("organization")))
}
