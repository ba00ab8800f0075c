//! The project's own commands, and the real parts that tests and benchmarks stand on.
//!
//! `cargo xtask` answers "how do I test, show, or measure this?" with one command that needs nothing but Rust, a C
//! compiler and the package registries. Whatever it starts (a PostgreSQL, a server) ends with it, however it ends.
//!
//! Reading order: [`lifeline`] (why nothing is left behind), [`postgres`], [`server`], [`engines`], then the commands
//! [`test`], [`demo`], [`bench`], [`browser`] and [`conformance`], which tell what they do through [`steps`].
#![expect(clippy::print_stdout, reason = "these are terminal commands; what they print is what they are for")]

pub mod api;
pub mod bench;
pub mod browser;
pub mod build;
pub mod conformance;
pub mod demo;
pub mod engines;
pub mod lifeline;
pub mod places;
pub mod postgres;
pub mod schemathesis;
pub mod server;
pub mod steps;
pub mod table;
pub mod test;
