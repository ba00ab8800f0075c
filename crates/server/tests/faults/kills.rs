//! `kill -9` under load.

use crate::{
    Random,
    check::Checker,
    load::Load,
    program::{Database, Program},
    rest,
};
use std::time::{Duration, Instant};

/// Kills between two looks at everything that was promised so far.
const LOOK: u64 = 10;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Kills the server again and again while clients work, and checks everything: now and then, and after the last recovery.
fn survive(database: Database) {
    if database == Database::Postgres && std::env::var_os("FERROFORM_TEST_POSTGRES").is_none() {
        eprintln!("NOT RUN on PostgreSQL: FERROFORM_TEST_POSTGRES is not set; `cargo xtask test` sets it");
        return;
    }
    let begun = Instant::now();
    let kills = number("FERROFORM_KILLS", 10);
    let mut random = Random(number("FERROFORM_SEED", u64::from(std::process::id())));
    eprintln!("FERROFORM_SEED={} FERROFORM_KILLS={kills} {database:?}", random.0);
    let mut program = Program::new(database);
    program.start();
    let mut load = Load::begin(&program);
    let mut checker = Checker::default();
    let mut orphans = 0;
    for kill in 1..=kills {
        // The moment of the kill is the experiment; there is no event to wait for.
        std::thread::sleep(Duration::from_millis(200 + random.next() % 900));
        program.kill();
        let look = kill % LOOK == LOOK / 2;
        if look {
            rest::nobody_is_connected(&program);
            orphans = rest::agrees_with_itself(&program);
        }
        program.start();
        if look {
            checker.meanwhile(&program.api(), &load.promises);
        }
        if load.has_failed() {
            break;
        }
    }
    load.end();
    let report = checker.afterwards(&program, &load.promises);
    program.terminate();
    orphans = orphans.max(rest::agrees_with_itself(&program));
    rest::comes_clean(&mut program);
    rest::agrees_with_itself(&program);
    let seconds = begun.elapsed().as_secs();
    eprintln!("{database:?}: {kills} kills in {seconds} s, {report}, at most {orphans} files without a row");
}

#[test]
fn nothing_is_lost_and_nothing_is_stuck_when_the_server_is_killed_on_sqlite() {
    survive(Database::Sqlite);
}

#[test]
fn nothing_is_lost_and_nothing_is_stuck_when_the_server_is_killed_on_postgres() {
    survive(Database::Postgres);
}
