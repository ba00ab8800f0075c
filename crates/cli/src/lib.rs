//! The client side of the command line: `ferroform push`, the API-driven run workflow from a person's or a pipeline's
//! side. It talks only the public API, so it works against any Terraform Enterprise.
//!
//! A command is *arguments → action → view*: [`PushArgs`] is parsed by clap, [`push`](mod@push) acts and says what
//! happens as [`view::Event`]s, and a view shows them to a person or, with `--json`, writes one JSON object a line.
//! Everything that the action asks of its surroundings (environment, terminal, answers, Ctrl-C) comes through
//! [`world::World`], so that a test can be the person.
//!
//! Reading order: [`args`], [`connection`] (which server, whose token), [`world`], [`push`](mod@push), [`view`],
//! [`render`] (logs and plans as Terraform's own output looks), [`run_summary`].

pub mod args;
pub mod connection;
pub mod push;
pub mod render;
pub mod run_summary;
pub mod view;
pub mod world;

pub use args::PushArgs;
pub use push::push;
