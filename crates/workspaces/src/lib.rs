//! Workspaces, their locks, their variables, and which teams may do what in them.
//!
//! Reading order: [`workspaces`], [`lock`], [`variables`], [`variable_sets`], [`team_access`], [`projects`],
//! [`project_access`], [`effective_access`], [`tags`], [`reserved_tag_keys`], [`remote_state`], [`ssh_keys`],
//! [`agent_pools`], [`cidr_range_lists`], [`auto_destroy`], [`data_retention`], [`saved_filters`]; then
//! [`tool_versions`], [`admin_workspaces`].

pub mod admin_workspaces;
pub mod agent_pools;
pub mod auto_destroy;
pub mod cidr_range_lists;
pub mod conditions;
pub mod data_retention;
pub mod effective_access;
pub mod lock;
pub mod project_access;
pub mod projects;
pub mod remote_state;
pub mod reserved_tag_keys;
pub mod saved_filters;
pub mod ssh_keys;
pub mod tags;
pub mod team_access;
pub mod tool_versions;
pub mod variable_sets;
pub mod variables;
pub mod workspaces;

pub use workspaces::Workspace;

use http_api::{Routes, include::Loaders};

/// Every operation of this area.
pub fn routes() -> Routes {
    workspaces::routes()
        .and(lock::routes())
        .and(variables::routes())
        .and(variable_sets::routes())
        .and(team_access::routes())
        .and(projects::routes())
        .and(project_access::routes())
        .and(effective_access::routes())
        .and(tags::routes())
        .and(reserved_tag_keys::routes())
        .and(remote_state::routes())
        .and(saved_filters::routes())
        .and(ssh_keys::routes())
        .and(agent_pools::routes())
        .and(cidr_range_lists::routes())
        .and(data_retention::routes())
        .and(tool_versions::routes())
        .and(admin_workspaces::routes())
}

/// How this area's resources are read when another document includes them.
pub fn loaders(loaders: &mut Loaders) {
    workspaces::loaders(loaders);
    variables::loaders(loaders);
    variable_sets::loaders(loaders);
    projects::loaders(loaders);
    tags::loaders(loaders);
    agent_pools::loaders(loaders);
}
