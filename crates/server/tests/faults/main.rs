//! What goes wrong around the server, and what must hold nevertheless, with the real binary and the real engine.
//!
//! - [`kills`]: `kill -9` at random moments under load, on both databases. Nothing acknowledged is lost, no run is stuck or
//!   fails because of it, no workspace stays locked by a dead run, no applied resource is missing from its state, every
//!   object is accounted for, and the stored events of every run lead to the stored run. `FERROFORM_KILLS` sets how often
//!   (10 unless set); the seed is printed, and `FERROFORM_SEED` repeats one.
//! - [`signals`]: the server is asked to end while an apply runs.
//! - [`restarts`]: Terraform's own command line, in the middle of each of its steps, while the server is killed or restarted.
//! - [`slow`]: the same command line over a link of 50 ms that loses 1 %.
//! - [`database`]: PostgreSQL crashes during a run and comes back.
//! - [`disk`]: the disk fills up and is freed again.
//! - [`clock`]: the clock jumps a day, in both directions.
//!
//! A part that this machine cannot do says `NOT RUN` and why.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]
#![expect(clippy::print_stderr, reason = "the seed and the numbers are for the person who runs the tests")]
#![expect(clippy::disallowed_methods, reason = "a server that is down has no event to wait for")]

mod api;
mod check;
mod clock;
mod cluster;
mod database;
mod disk;
mod kills;
mod link;
mod load;
mod program;
mod rest;
mod restarts;
mod signals;
mod site;
mod slow;

/// Small and repeatable; the moments need no better.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
