//! The client side of the command line: what Terraform's own command line cannot do. It talks only the public API, so it
//! works against any Terraform Enterprise.
//!
//! `push` is the API-driven run workflow from a person's or a pipeline's side; `run`, `workspace` and `state` look at and
//! change what is there; `exec` lets the server carry out a command of the engine; `login` and `logout` keep the same credentials as Terraform.
//!
//! A command is *arguments → action → view*. Of [`push`](mod@push), `exec` and `run watch` the action says what happens as
//! [`view::Event`]s, and a view shows them to a person or, with `--json`, writes one JSON object a line. Every other
//! command has one answer ([`desk`]): text, or with `--json` one document. Everything that an action asks of its
//! surroundings (environment, terminal, answers, Ctrl-C) comes through [`world::World`], so that a test can be the person.
//!
//! Reading order: [`place`] (which server, organization, workspace), [`connection`] (whose token), [`world`], [`desk`],
//! then a command: [`args`] and [`push`](mod@push) with [`follow`] and [`view`], or [`run`], [`workspace`], [`state`],
//! [`login`]; [`render`] (logs, plans and tables), [`run_summary`]; [`manual`] (completions and man pages).

pub mod args;
pub mod connection;
mod credentials;
mod desk;
pub mod exec;
mod failure;
mod follow;
mod hcl;
pub mod login;
pub mod manual;
pub mod place;
pub mod push;
pub mod render;
pub mod run;
pub mod run_summary;
pub mod state;
mod upload;
pub mod view;
pub mod workspace;
pub mod world;

pub use args::PushArgs;
pub use push::push;
