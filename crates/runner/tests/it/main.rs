//! Phases on the real engine from `PATH`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod cancel;
mod plan_apply;
mod resume;
mod server;
mod variables;
