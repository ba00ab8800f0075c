//! The client against real connections to small servers that behave as Terraform Enterprises do, or as they should not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod exchange;
mod logs;
mod server;
mod trust;
