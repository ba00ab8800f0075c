//! The server is asked to end while an apply runs.

use crate::{
    load,
    program::{Database, Program},
};

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
