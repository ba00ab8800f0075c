//! Runs Terraform or OpenTofu for one phase of a run: unpacks the configuration, hands over state and variables, starts
//! the engine in a sandbox, follows its log, watches its state, and collects what is left.
//!
//! The contract:
//! - The engine outlives the server. Everything a phase is and does is in its work directory (`workdir`), so that a
//!   server that was killed finds its phases again ([`Runner::leftovers`]) and finishes them ([`Runner::resume`]).
//! - An outcome can be had again until the server says that it is stored ([`Runner::settle`]).
//! - Nothing that belongs to a run's process group is running when [`Runner::execute`] returns.
//! - Values of sensitive variables leave the runner only inside states and plans, never in logs or messages, and rest on disk
//!   only while the engine works.
//! - No step polls: the log and the state are followed by inotify, the engine's end is a readable pidfd.
//!
//! Reading order: [`job`], `phase`, `workdir`, `script`, `process`, then `variables`, `mask`, `tail`, `pack`;
//! [`engine`] and [`sandbox`] say which program runs and what it may do, [`plan_json`] describes its plan.

pub mod engine;
pub mod job;
pub mod outbound;
pub mod plan_json;
pub mod sandbox;
pub mod schemas;

mod collect;
mod folder;
mod hcl;
mod launch;
mod layout;
mod mask;
mod pack;
mod phase;
mod process;
mod runner;
mod script;
mod steps;
mod tail;
mod variables;
mod watch;
mod workdir;

pub use job::{
    Boxed, Category, Control, ControlError, Counts, FOLDER, Job, Operated, Operation, Outcome, Phase,
    PlanArtifacts, SecretFile, Signal, Variable,
};
pub use runner::{Leftover, Runner, RunnerConfig};
