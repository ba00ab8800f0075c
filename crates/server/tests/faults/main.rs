//! `kill -9` under load, on both databases: nothing acknowledged is lost, no run is stuck, no workspace stays locked by a
//! dead run, no applied resource is missing from its state, every object is accounted for, and the stored events of every
//! run lead to the stored run.
//!
//! The real binary is driven over HTTP from several threads and killed at random moments. `FERROFORM_KILLS` sets how often
//! (10 unless set); the seed is printed, and `FERROFORM_SEED` repeats one.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]
#![expect(clippy::print_stderr, reason = "the seed and the numbers are for the person who runs the tests")]
#![expect(clippy::disallowed_methods, reason = "a server that is down has no event to wait for")]

mod check;
mod load;
mod program;

use load::Load;
use program::{Database, Program};
use std::time::Duration;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Kills the server again and again while clients work, then lets it recover and checks everything.
fn survive(database: Database) {
    if database == Database::Postgres && std::env::var_os("FERROFORM_TEST_POSTGRES").is_none() {
        eprintln!("NOT RUN on PostgreSQL: FERROFORM_TEST_POSTGRES is not set; `cargo xtask test` sets it");
        return;
    }
    let kills = number("FERROFORM_KILLS", 10);
    let mut random = Random(number("FERROFORM_SEED", u64::from(std::process::id())));
    eprintln!("FERROFORM_SEED={} FERROFORM_KILLS={kills} {database:?}", random.0);
    let mut program = Program::new(database);
    program.start();
    let load = Load::begin(&program);
    for _ in 0..kills {
        // The moment of the kill is the experiment; there is no event to wait for.
        std::thread::sleep(Duration::from_millis(200 + random.next() % 900));
        program.kill();
        program.start();
    }
    let done = load.end();
    let report = check::through_the_api(&program, &done);
    program.stop();
    check::at_rest(&program);
    eprintln!("{database:?}: {kills} kills, {report}");
}

#[test]
fn nothing_is_lost_and_nothing_is_stuck_when_the_server_is_killed_on_sqlite() {
    survive(Database::Sqlite);
}

#[test]
fn nothing_is_lost_and_nothing_is_stuck_when_the_server_is_killed_on_postgres() {
    survive(Database::Postgres);
}

#[test]
fn an_apply_goes_on_when_the_server_is_asked_to_end_and_is_taken_up_by_the_next() {
    let mut program = Program::new(Database::Sqlite);
    program.start_with(&["--grace-period", "1s"]);
    let api = program.api();
    api.organization("acme");
    let ws = api.workspace("acme", "slow");
    let run = api.push(&ws, &load::resources(1, "sleep 4"), true).expect("the server is up");
    api.until(&run, &["applying"]);
    program.terminate();
    program.start();
    api.until(&run, &["applied"]);
    let log = api.log(&run, "apply");
    assert!(log.contains("Apply complete"), "the whole log, also of the time without a server: {log}");
}

#[test]
fn a_second_signal_ends_the_server_at_once_and_the_apply_still_goes_on() {
    let mut program = Program::new(Database::Sqlite);
    program.start_with(&["--grace-period", "1h"]);
    let api = program.api();
    api.organization("acme");
    let ws = api.workspace("acme", "slow");
    let run = api.push(&ws, &load::resources(1, "sleep 4"), true).expect("the server is up");
    api.until(&run, &["applying"]);
    program.signal_until_it_ends();
    program.start();
    api.until(&run, &["applied"]);
}

/// Small and repeatable; the moments need no better.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
