//! Reads: one workspace by name under load, and lists in organizations of different size.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use xtask::lifeline::Lifeline;

use crate::Setting;
use crate::handler;
use crate::load::{Load, get};
use crate::measure::{Bar, Report, Times};
use crate::through::{document, text};

const CLIENTS: usize = 16;
const REQUESTS: usize = 20_000;
const SMALL: usize = 10_000;
const LARGE: usize = 100_000;
const LISTS: usize = 500;

/// One, then many.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    one(setting, report)?;
    many(setting, report)
}

fn one(setting: &Setting, report: &mut Report) -> Result<()> {
    let workspace = setting.through.workspace("read")?;
    let token = team_token(setting, &workspace)?;
    let path = "/api/v2/organizations/bench/workspaces/read";
    let ours = Load::new(setting.server.url(), &get(path, &token))?;
    let mut process = Command::new(std::env::current_exe().context("this program has no path")?);
    process.arg(handler::ARGUMENT);
    let mut bare = Lifeline::start(process)?;
    let theirs = Load::new(&bare.line()?, &get(path, handler::TOKEN))?;
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    // Turns, and the first of each only warms up.
    for turn in 0..6 {
        let rates = (ours.rate(CLIENTS, REQUESTS)?, theirs.rate(CLIENTS, REQUESTS)?);
        if turn > 0 {
            our_rates.push(rates.0);
            their_rates.push(rates.1);
        }
    }
    let (ours, theirs) = (median(our_rates), median(their_rates));
    let from = format!("{ours:.0} / {theirs:.0} requests a second, {CLIENTS} clients");
    report.row("GET workspace by name ÷ a bare axum handler", ours / theirs, "×", from, Bar::AtLeast(0.8));
    Ok(())
}

/// The token of a new team that may read `workspace`.
fn team_token(setting: &Setting, workspace: &str) -> Result<String> {
    let api = setting.through.api();
    let team =
        api.post("/api/v2/organizations/bench/teams", &document("teams", &json!({ "name": "readers" })))?;
    let team = text(&team, "/data/id")?;
    let access = json!({ "data": {
        "type": "team-workspaces",
        "attributes": { "access": "read" },
        "relationships": {
            "team": { "data": { "type": "teams", "id": team } },
            "workspace": { "data": { "type": "workspaces", "id": workspace } },
        },
    } });
    api.post("/api/v2/team-workspaces", &access)?;
    let token = api.post(&format!("/api/v2/teams/{team}/authentication-token"), &json!({}))?;
    text(&token, "/data/attributes/token")
}

/// The same page of 100 in a small and a large organization, in turns.
fn many(setting: &Setting, report: &mut Report) -> Result<()> {
    let small = filled(setting, "small", SMALL)?;
    let large = filled(setting, "large", LARGE)?;
    let (mut of_small, mut of_large) = (Times::default(), Times::default());
    for _ in 0..LISTS {
        of_small.once(|| small.once())?;
        of_large.once(|| large.once())?;
    }
    let (p99, p99_large) = (of_small.quantile(0.99), of_large.quantile(0.99));
    let from = format!("p99 {:.1} ms / {:.1} ms, {LISTS} lists each", p99_large * 1e3, p99 * 1e3);
    let what = format!("list 100 of {LARGE} ÷ of {SMALL} workspaces, p99");
    report.row(&what, p99_large / p99, "×", from, Bar::AtMost(1.3));
    Ok(())
}

/// Makes an organization with that many workspaces; the load that lists a page of it.
fn filled(setting: &Setting, organization: &str, workspaces: usize) -> Result<Load> {
    let api = setting.through.api();
    let attributes = json!({ "name": organization, "email": "bench@example.com" });
    api.post("/api/v2/organizations", &document("organizations", &attributes))?;
    let path = format!("/api/v2/organizations/{organization}/workspaces");
    let make = |number: usize| {
        let body = document("workspaces", &json!({ "name": format!("workspace-{number:06}") }));
        api.post(&path, &body).map(drop)
    };
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..CLIENTS)
            .map(|first| scope.spawn(move || (first..workspaces).step_by(CLIENTS).try_for_each(make)))
            .collect();
        makers.into_iter().try_for_each(|maker| maker.join().expect("a maker does not panic"))
    })?;
    let list = format!("{path}?page%5Bsize%5D=100&page%5Bnumber%5D=50");
    Load::new(setting.server.url(), &get(&list, &setting.server.token()?))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
