//! State through the public API: the real router, database and objects, in one process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outputs;
mod permissions;
mod resources;
mod rollback;
mod store;
mod upload;
mod versions;
mod world;
