//! Runs: their life, their place in the queue, what they work on and what comes of them.
//!
//! Reading order: [`life`] (what may happen to one run), [`queue`] (which run is next), [`runs`] (how an event is
//! stored), [`create`] (how a run is made), `operations` (runs that are no plans), [`scheduler`] (who decides when),
//! [`jobs`] and [`executor`] (who does the work), `identity` (how a run proves who it is), then the resources of the API:
//! [`configuration_versions`], [`document`], [`actions`], [`plans`], [`backing_data`], [`events`], [`comments`], [`logs`],
//! [`run_triggers`], [`auto_destroy`], [`retention`], [`plan_exports`], [`queries`], [`readme`], [`admin_runs`],
//! [`statistics`].

pub mod actions;
pub mod admin_runs;
pub mod auto_destroy;
pub mod backing_data;
pub mod comments;
pub mod configuration_versions;
pub mod create;
pub mod document;
pub mod events;
pub mod executor;
mod identity;
pub mod jobs;
pub mod life;
pub mod logs;
mod operations;
pub mod plan_exports;
pub mod plans;
pub mod queries;
pub mod queue;
pub mod readme;
pub mod retention;
pub mod run_triggers;
pub mod runs;
pub mod scheduler;
pub mod statistics;
pub mod upload;

use http_api::{Routes, include::Loaders};

/// Every operation of this area.
pub fn routes() -> Routes {
    configuration_versions::routes()
        .and(upload::routes())
        .and(document::routes())
        .and(actions::routes())
        .and(plans::routes())
        .and(backing_data::routes())
        .and(logs::routes())
        .and(events::routes())
        .and(comments::routes())
        .and(run_triggers::routes())
        .and(plan_exports::routes())
        .and(queries::routes())
        .and(admin_runs::routes())
        .and(statistics::routes())
}

/// How this area's resources are read when another document includes them.
pub fn loaders(loaders: &mut Loaders) {
    configuration_versions::loaders(loaders);
    document::loaders(loaders);
    plans::loaders(loaders);
    events::loaders(loaders);
    comments::loaders(loaders);
    readme::loaders(loaders);
}
