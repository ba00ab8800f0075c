//! The command line against a real engine and real connections. One binary, so that it links once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod engine;
mod login;
mod push;
mod rendering;
mod server;
