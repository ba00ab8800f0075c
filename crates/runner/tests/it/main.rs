//! Phases on the real engine from `PATH`.

mod cancel;
mod plan_apply;
mod resume;
mod server;
mod variables;
