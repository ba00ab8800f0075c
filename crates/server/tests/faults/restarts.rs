//! Terraform's own command line against a server that goes away in the middle of a step and comes back at once: it finishes
//! as if nothing had happened, or says what happened; nothing is lost, no lock stays, and a second try succeeds.
//!
//! The moment is that of an event: a request on the way to the server or its answer on the way back
//! ([`crate::link`]), or a line in the terminal.

use crate::{
    link::Point::{self, Answer, Body, Request, Sent},
    program::Database,
    site::{Fault, Site, answer, until, words},
};
use std::{fs, process::Output};

/// A resource that is quickly there.
const QUICK: &str = "resource \"terraform_data\" \"it\" { input = \"here\" }\n";

/// The command line does not read a log again that broke off (cli-protocol.md §0).
const LOGS: &str = "Failed to read logs";

/// Does it on both databases at once: most of the time a command line sleeps.
fn on_both(test: fn(Database, Fault), fault: Fault) {
    std::thread::scope(|scope| {
        scope.spawn(move || test(Database::Sqlite, fault));
        if std::env::var_os("FERROFORM_TEST_POSTGRES").is_some() {
            scope.spawn(move || test(Database::Postgres, fault));
        } else {
            eprintln!(
                "NOT RUN on PostgreSQL: FERROFORM_TEST_POSTGRES is not set; `cargo xtask test` sets it"
            );
        }
    });
}

/// A command line has succeeded, or one of these is why not.
fn well(what: &str, output: &Output, reasons: &[&str]) {
    let said = words(output);
    let reason = reasons.iter().find(|reason| said.contains(**reason));
    let excused = reason.is_some() && said.contains("Error: ");
    eprintln!("{what}: {}", if output.status.success() { "finished" } else { reason.unwrap_or(&"?") });
    assert!(output.status.success() || excused, "{what}: {said}");
}

/// The server goes away at `point` of the request; the output of the command.
fn during(site: &mut Site, arguments: &[&str], request: (&'static str, &'static str, Point)) -> Output {
    let held = site.link.hold(request.0, request.1, request.2);
    let child = site.terraform(arguments).spawn().unwrap();
    // Or it would wait for somebody to read what it says.
    let output = std::thread::spawn(|| child.wait_with_output().unwrap());
    site.strike(Some(held));
    output.join().unwrap()
}

fn init(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    site.write(QUICK);
    for (path, point, reasons) in [
        // Until it knows the organization, the command line asks once.
        ("/.well-known/terraform.json", Request, &["Failed to request discovery document"][..]),
        ("/entitlement-set", Request, &["Failed to read organization \"acme\""]),
        ("/organizations/acme/workspaces/demo", Request, &[]),
        ("/organizations/acme/workspaces/demo", Answer, &[]),
    ] {
        let output = during(&mut site, &["init", "-input=false"], ("GET", path, point));
        well(&format!("{database:?} {fault:?} {path} {point:?}"), &output, reasons);
        let again = site.terraform(&["init", "-input=false"]).output().unwrap();
        assert!(again.status.success(), "{}", words(&again));
        fs::remove_dir_all(site.folder().join(".terraform")).unwrap();
    }
}

fn upload(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    fs::write(site.folder().join("noise"), crate::api::noise(300_000, 1)).unwrap();
    for (turn, request) in [
        ("POST", "/configuration-versions", Answer),
        ("PUT", "/_object/configuration-versions/", Body(100_000)),
        ("POST", "/runs", Request),
        // The command line asks for another run of the same. Here that one finds nothing to do.
        ("POST", "/runs", Answer),
    ]
    .into_iter()
    .enumerate()
    {
        let value = format!("turn{turn}");
        site.initialize(&QUICK.replace("here", &value));
        let output = during(&mut site, &["apply", "-auto-approve"], request);
        well(&format!("{database:?} {fault:?} {request:?}"), &output, &[]);
        site.wait_for_rest();
        assert!(site.state().contains(&value), "{}", site.state());
        assert_eq!(site.workspace()["locked"], false);
    }
    site.a_second_try_succeeds();
}

fn plan_log(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    let engine = site.program.dir.path().join("terraform");
    // A plan that waits at the gate.
    let text = format!(
        "#!/bin/sh\nfor word; do\n  case $word in plan) {};; esac\ndone\nexec {} \"$@\"\n",
        site.gate(),
        crate::site::engine().display()
    );
    fs::write(&engine, text).unwrap();
    fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    site.start_again_with("--engine", engine.to_str().unwrap());
    site.initialize(QUICK);
    let held = site.link.hold("GET", "/_object/logs/", Sent);
    let child = site.terraform(&["plan"]).spawn().unwrap();
    site.strike(Some(held));
    site.open_gate();
    let output = child.wait_with_output().unwrap();
    well(&format!("{database:?} {fault:?} plan log"), &output, &[LOGS]);
    site.wait_for_rest();
    let again = site.terraform(&["apply", "-auto-approve"]).spawn().unwrap();
    site.open_gate();
    let output = again.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert!(site.state().contains("terraform_data"));
}

fn prompt(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    site.initialize(QUICK);
    let mut child = site.terraform(&["apply"]).spawn().unwrap();
    until(&mut child, "Enter a value:");
    site.strike(None);
    answer(&mut child, "yes");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && words(&output).contains("Apply complete!"), "{}", words(&output));

    // The server has made the run, and the command line does not know: it asks again.
    site.write("resource \"terraform_data\" \"it\" { input = \"anew\" }\n");
    let held = site.link.hold("POST", "/runs", Answer);
    let mut child = site.terraform(&["apply"]).spawn().unwrap();
    site.strike(Some(held));
    until(&mut child, "Enter a value:");
    answer(&mut child, "yes");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && words(&output).contains("Apply complete!"), "{}", words(&output));

    // The server has taken the answer, and the command line does not know.
    site.write("resource \"terraform_data\" \"it\" { input = \"there\" }\n");
    let held = site.link.hold("POST", "/actions/apply", Answer);
    let mut child = site.terraform(&["apply"]).spawn().unwrap();
    until(&mut child, "Enter a value:");
    answer(&mut child, "yes");
    site.strike(Some(held));
    let output = child.wait_with_output().unwrap();
    well(&format!("{database:?} {fault:?} prompt"), &output, &["cannot be confirmed"]);
    site.wait_for_rest();
    assert!(site.state().contains("there"), "{}", site.state());
    site.a_second_try_succeeds();
}

/// A resource whose apply waits at the gate.
fn slow(site: &Site) -> String {
    let waits = format!("echo this far; {}; echo and on", site.gate());
    format!(
        "resource \"terraform_data\" \"slow\" {{\n  provisioner \"local-exec\" {{ command = \"{waits}\" }}\n}}\n"
    )
}

fn apply_log(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    site.initialize(&slow(&site));
    let mut child = site.terraform(&["apply", "-auto-approve"]).spawn().unwrap();
    until(&mut child, "this far");
    site.strike(None);
    site.open_gate();
    let output = child.wait_with_output().unwrap();
    well(&format!("{database:?} {fault:?} apply log"), &output, &[LOGS]);
    site.wait_for_rest();
    assert!(site.state().contains("\"slow\""), "{}", site.state());
    site.a_second_try_succeeds();
}

fn apply_that_ends_in_the_grace_period(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    site.start_again_with("--grace-period", "1h");
    site.initialize(&slow(&site));
    let mut child = site.terraform(&["apply", "-auto-approve"]).spawn().unwrap();
    until(&mut child, "this far");
    site.ask_to_end();
    site.open_gate();
    site.follow_up();
    let output = child.wait_with_output().unwrap();
    let said = words(&output);
    assert!(output.status.success() && said.contains("and on") && said.contains("Apply complete!"), "{said}");
    site.a_second_try_succeeds();
}

fn state_upload(database: Database, fault: Fault) {
    let mut site = Site::open(database, fault);
    site.run_locally();
    // Large enough to be under way for a while.
    fs::write(site.folder().join("large"), "x".repeat(200_000)).unwrap();
    site.initialize(
        "variable \"i\" {}\nresource \"terraform_data\" \"it\" { input = \"${var.i}${file(\"large\")}\" }\n",
    );
    for (turn, request) in [
        ("POST", "/actions/lock", Answer),
        ("POST", "/state-versions", Request),
        ("POST", "/state-versions", Answer),
        ("PUT", "/_object/state-uploads/", Body(100_000)),
        ("PUT", "/_object/state-uploads/", Answer),
        ("POST", "/actions/unlock", Answer),
    ]
    .into_iter()
    .enumerate()
    {
        let value = format!("turn{turn}-");
        let variable = format!("-var=i={value}");
        let apply = ["apply", "-auto-approve", &variable];
        let output = during(&mut site, &apply, request);
        // Of a request that was granted and whose answer was lost, the command line asks again, and is refused.
        let reasons: &[&str] = match request.1 {
            "/actions/lock" => &["workspace already locked (lock ID: \"acme/demo\")"],
            "/actions/unlock" => &["workspace already unlocked"],
            _ => &[],
        };
        well(&format!("{database:?} {fault:?} {request:?}"), &output, reasons);
        if site.workspace()["locked"] == true {
            assert!(words(&output).contains("already locked"), "a lock stays, and nobody says so");
            let output = site.terraform(&["force-unlock", "-force", "acme/demo"]).output().unwrap();
            assert!(output.status.success(), "{}", words(&output));
        } else {
            assert!(site.state().contains(&value), "what was applied is not in the state");
        }
        assert!(!site.folder().join("errored.tfstate").exists());
        if !output.status.success() {
            let again = site.terraform(&apply).output().unwrap();
            assert!(again.status.success(), "{}", words(&again));
            assert!(site.state().contains(&value));
        }
        assert_eq!(site.workspace()["locked"], false);
    }
}

macro_rules! rows {
    ($($name:ident: $test:ident, $fault:ident;)*) => {$(
        #[test]
        fn $name() {
            on_both($test, Fault::$fault);
        }
    )*};
}

rows! {
    an_init_whose_server_is_killed_goes_on_or_says_so: init, Kill;
    an_init_whose_server_is_restarted_goes_on_or_says_so: init, Term;
    an_upload_whose_server_is_killed_goes_on: upload, Kill;
    an_upload_whose_server_is_restarted_goes_on: upload, Term;
    a_plan_whose_server_is_killed_goes_on: plan_log, Kill;
    a_plan_whose_server_is_restarted_goes_on: plan_log, Term;
    a_prompt_is_answered_to_the_server_after_one_that_was_killed: prompt, Kill;
    a_prompt_is_answered_to_the_server_after_one_that_was_restarted: prompt, Term;
    an_apply_whose_server_is_killed_goes_on: apply_log, Kill;
    an_apply_whose_server_is_restarted_goes_on: apply_log, Term;
    an_apply_that_ends_within_the_grace_period_is_followed_to_its_end: apply_that_ends_in_the_grace_period, Term;
    a_state_arrives_although_the_server_is_killed: state_upload, Kill;
    a_state_arrives_although_the_server_is_restarted: state_upload, Term;
}
