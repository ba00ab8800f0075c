//! `ferroform doctor`: what a start with these options would find, and what to do where it is not well.

use crate::{
    boot,
    commands::say,
    options::ServeOptions,
    report::{self, Check, Verdict},
};
use kernel::Env;
use runner::{
    engine::{Engines, Origin},
    sandbox::Sandbox,
};
use serde_json::json;
use std::process::ExitCode;

/// `ferroform doctor`
#[derive(clap::Args, Clone, Debug)]
pub struct DoctorArgs {
    /// One JSON document on standard output: a list of {name, verdict, detail}
    #[arg(long)]
    json: bool,
    /// As for `serve`: what is to be checked.
    #[command(flatten)]
    serve: ServeOptions,
}

/// Runs `doctor`; a failure among the checks is the exit code 1.
pub async fn doctor(args: DoctorArgs) -> ExitCode {
    let checks = checks(&args.serve).await;
    if args.json {
        say(&json!(checks).to_string());
    } else {
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        for Check { name, verdict, detail } in &checks {
            let indented = detail.replace('\n', &format!("\n{:width$}", "", width = width + 8));
            say(&format!("{:<5} {name:<width$}  {indented}", verdict.word()));
        }
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn checks(options: &ServeOptions) -> Vec<Check> {
    let now = Env::real().now();
    let mut checks = vec![report::data_dir(options), report::disk(options)];
    checks.push(report::address(options).await);
    checks.push(report::database(options).await);
    checks.extend(report::certificates(options, now));
    checks.extend(engines(options).await);
    checks.extend(sandbox(options));
    checks
}

async fn engines(options: &ServeOptions) -> Vec<Check> {
    let engines = Engines::new(boot::engine_config(options, &options.data_dir));
    let findings = engines.explain().await;
    let found = findings.iter().any(|finding| finding.chosen);
    let mut checks: Vec<_> = findings
        .into_iter()
        .map(|finding| {
            let verdict = if finding.chosen { Verdict::Ok } else { Verdict::Note };
            let subject = if finding.subject.is_empty() { String::new() } else { finding.subject + ": " };
            let name = format!("engine {}", finding.place);
            let later = finding.chosen && finding.place == Origin::Downloaded;
            let outcome = if later { "OpenTofu: the first run downloads it" } else { &finding.outcome };
            Check { name, verdict, detail: format!("{subject}{outcome}") }
        })
        .collect();
    if !found && let Err(error) = engines.default_engine().await {
        let verdict = if options.runners == Some(0) { Verdict::Note } else { Verdict::Fail };
        checks.push(Check { name: "engine".to_owned(), verdict, detail: error.to_string() });
    }
    checks
}

fn sandbox(options: &ServeOptions) -> impl Iterator<Item = Check> {
    Sandbox::support().into_iter().map(|support| {
        let verdict = match (support.available, options.require_sandbox && support.essential) {
            (true, _) => Verdict::Ok,
            (false, true) => Verdict::Fail,
            (false, false) => Verdict::Warn,
        };
        Check { name: format!("sandbox {}", support.name), verdict, detail: support.detail }
    })
}
