//! An organization at a glance: how many of its runs are where, what became of those of the last days, and how its
//! workspaces stand. Additions to TFE's API, for pages and dashboards.
//!
//! Only what the caller may see is counted. Each document is made by one or two statements that an index answers without
//! the rows themselves; a run notes how long it was worked on when it ends ([`worked_ms`]).

use crate::{
    document::{Filter, visible_only},
    life::{self, Status},
};
use accounts::organizations;
use authz::Grants;
use axum::http::Method;
use db::FromRow;
use http_api::{Cx, Reply, Resource, Result, Routes};
use kernel::{Timestamp, ids::OrganizationId};
use serde_json::json;
use workspaces::conditions::Conditions;

/// Days that are looked back, today included.
const DAYS: i64 = 14;
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// The operations.
pub fn routes() -> Routes {
    let of_workspaces = "/organizations/{organization}/workspace-statistics";
    Routes::new()
        .op(Method::GET, "/organizations/{organization}/run-statistics", "runs.run-statistics.read", runs)
        .op(Method::GET, of_workspaces, "runs.workspace-statistics.read", workspaces)
}

/// Milliseconds that runners have worked for a run: its plan and its apply, without what it waited for between. Of a phase
/// without an end it counts until `now`.
pub fn worked_ms(run: &life::Run, now: Timestamp) -> i64 {
    let phases = [&run.plan.status_timestamps, &run.apply.status_timestamps];
    let worked = phases.into_iter().filter_map(|reached| {
        let started = *reached.get("started-at")?;
        let ends = ["finished-at", "errored-at", "canceled-at"];
        let ended = ends.iter().find_map(|key| reached.get(*key)).copied().unwrap_or(now);
        i64::try_from(ended.since(started).as_millis()).ok()
    });
    worked.sum()
}

/// Where a run that has not ended stands, for who looks at all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Running,
    Waiting,
    NeedsConfirmation,
    Saved,
}

fn standing(status: &str) -> Standing {
    match Status::parse(status) {
        Some(
            Status::Pending
            | Status::Queuing
            | Status::PlanQueued
            | Status::Confirmed
            | Status::QueuingApply
            | Status::ApplyQueued,
        ) => Standing::Waiting,
        Some(Status::Planned | Status::CostEstimated | Status::PolicyChecked | Status::PolicyOverride) => {
            Standing::NeedsConfirmation
        }
        Some(Status::PlannedAndSaved) => Standing::Saved,
        _ => Standing::Running,
    }
}

/// The runs `r` of an organization that the caller may see, and of which this holds.
fn of_runs(organization: &OrganizationId, grants: &Grants, condition: &str) -> Filter {
    let mut filter = Filter { conditions: vec![condition.to_owned()], values: vec![] };
    filter.add("r.organization_id = {}", organization);
    visible_only(&mut filter, grants);
    filter
}

#[derive(FromRow)]
struct Ended {
    day: i64,
    status: String,
    runs: i64,
    timed: i64,
    worked: i64,
    longest: i64,
}

/// What became of the runs of one day.
#[derive(Default)]
struct Day {
    ended: i64,
    errored: i64,
    timed: i64,
    worked: i64,
    longest: i64,
}

async fn runs(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let open = of_runs(&organization.id, &grants, "r.final = FALSE");
    let sql = format!(
        "SELECT r.status, COUNT(*) FROM runs r WHERE {} GROUP BY r.status",
        open.conditions.join(" AND ")
    );
    let open: Vec<(String, i64)> = cx.app.db.all(db::AssertSqlSafe(sql), open.values).await?;
    let count = |what| -> i64 { open.iter().filter(|(s, _)| standing(s) == what).map(|(_, n)| n).sum() };
    let today = cx.app.now().micros().div_euclid(DAY_MICROS);
    let first = today - DAYS + 1;
    let days = days(&cx, &organization.id, &grants, first).await?;
    let all = days.iter().fold((0, 0), |(timed, worked), day| (timed + day.timed, worked + day.worked));
    let shown: Vec<_> = (first..)
        .zip(&days)
        .map(|(number, day)| {
            json!({
                "date": Timestamp::from_micros(number * DAY_MICROS).iso8601()[..10],
                "ended": day.ended,
                "errored": day.errored,
                "average-seconds": average(day.timed, day.worked),
                "longest-seconds": (day.timed > 0).then_some(day.longest as f64 / 1000.0),
            })
        })
        .collect();
    let attributes = json!({
        "running": count(Standing::Running),
        "waiting": count(Standing::Waiting),
        "needs-confirmation": count(Standing::NeedsConfirmation),
        "saved-plans": count(Standing::Saved),
        "errored-today": days.last().map_or(0, |day| day.errored),
        "average-seconds": average(all.0, all.1),
        "days": shown,
    });
    Ok(Reply::one(Resource::new("run-statistics", organization.name.as_str(), &attributes)))
}

fn average(timed: i64, worked: i64) -> Option<f64> {
    (timed > 0).then(|| (worked as f64 / timed as f64).round() / 1000.0)
}

/// The days from `first` until today, by when their runs were made.
async fn days(cx: &Cx, organization: &OrganizationId, grants: &Grants, first: i64) -> Result<Vec<Day>> {
    let mut ended = of_runs(organization, grants, "r.final = TRUE");
    ended.add("r.created_at >= {}", Timestamp::from_micros(first * DAY_MICROS));
    // What of a run no runner has worked on says nothing about how long runs take.
    let sql = format!(
        "SELECT r.created_at / CAST({DAY_MICROS} AS BIGINT) AS day, r.status, COUNT(*) AS runs,
           COUNT(CASE WHEN r.worked_ms > 0 THEN 1 END) AS timed,
           CAST(COALESCE(SUM(r.worked_ms), 0) AS BIGINT) AS worked,
           CAST(COALESCE(MAX(r.worked_ms), 0) AS BIGINT) AS longest
         FROM runs r WHERE {} GROUP BY r.created_at / CAST({DAY_MICROS} AS BIGINT), r.status",
        ended.conditions.join(" AND ")
    );
    let rows: Vec<Ended> = cx.app.db.all(db::AssertSqlSafe(sql), ended.values).await?;
    let mut days: Vec<Day> = (0..DAYS).map(|_| Day::default()).collect();
    for row in rows {
        let place = usize::try_from(row.day - first).ok();
        // A clock that was set back leaves runs of tomorrow.
        let Some(day) = place.and_then(|place| days.get_mut(place)) else { continue };
        day.ended += row.runs;
        day.timed += row.timed;
        day.worked += row.worked;
        day.longest = day.longest.max(row.longest);
        if Status::parse(&row.status) == Some(Status::Errored) {
            day.errored += row.runs;
        }
    }
    Ok(days)
}

/// Workspaces by the status of their current run.
async fn workspaces(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let mut conditions = Conditions::of("w.organization_id", &organization.id);
    if let Some(visible) = conditions.visible(&grants) {
        conditions.require(visible);
    }
    let sql = format!(
        "SELECT COALESCE(r.status, '') AS status, COUNT(*), COUNT(w.lock_kind) FROM workspaces w
         LEFT JOIN runs r ON r.id = w.current_run_id WHERE {} GROUP BY COALESCE(r.status, '')",
        conditions.text()
    );
    let rows: Vec<(String, i64, i64)> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
    let by: serde_json::Map<String, serde_json::Value> = rows
        .iter()
        .filter(|(status, ..)| !status.is_empty())
        .map(|(status, count, _)| (status.clone(), json!(count)))
        .collect();
    let attributes = json!({
        "total": rows.iter().map(|(_, count, _)| count).sum::<i64>(),
        "locked": rows.iter().map(|(.., locked)| locked).sum::<i64>(),
        "without-run": rows.iter().filter(|(s, ..)| s.is_empty()).map(|(_, count, _)| count).sum::<i64>(),
        "by-current-run-status": by,
    });
    Ok(Reply::one(Resource::new("workspace-statistics", organization.name.as_str(), &attributes)))
}
