//! The server through its public API, on both databases, with the real engine.
//!
//! Each statement A01–A40 of the behaviour's specification is a test named after its sentence, in [`acceptance`].
//! The binary itself (options, signals, certificates, commands) is in [`program`].

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod acceptance;
mod admin;
mod administration;
mod agent_pools;
mod allowlists;
mod audit;
mod audited;
mod banners;
mod documented;
mod effective_access;
mod examples;
mod exec;
mod feature_sets;
mod identity;
mod matrix;
mod organizations;
mod overview;
mod program;
mod queries;
mod remote_state;
mod repeated;
mod retention;
mod saved_filters;
mod scim;
mod secrets;
mod seed;
mod sign_in;
mod ssh_keys;
mod statements;
mod tags;
mod token_ttl;
mod triggers;
mod variable_sets;
mod web;
mod workspace_settings;
