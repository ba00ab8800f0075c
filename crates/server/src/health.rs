//! How the installation is, for its administrators: `/admin/health`, an addition to TFE's API.
//!
//! What `/_health_check?full=1` says, and what `ferroform doctor` looks at beside a running server: the disk, and what the
//! kernel protects against. The runner of this process is the only one yet.

use crate::{
    metrics,
    outside::{objects_can_be_listed, runner},
};
use ::runner::sandbox::Sandbox;
use accounts::admin_organizations::only_site_admins;
use axum::http::Method;
use http_api::{Cx, Reply, Resource, Result, Routes};
use kernel::Timestamp;
use serde_json::json;
use std::{path::PathBuf, time::Instant};

/// Where a server keeps its data, and since when it runs.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) data_dir: PathBuf,
    pub(crate) started: Timestamp,
}

/// Free bytes of a disk that are worth a warning.
const SCARCE: u64 = 1 << 30;

pub(crate) fn routes() -> Routes {
    Routes::new().op(Method::GET, "/admin/health", "server.admin-health.read", read)
}

async fn read(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let app = &cx.app;
    let begun = Instant::now();
    let database = app.db.ping().await.is_ok();
    let took = begun.elapsed();
    let objects = objects_can_be_listed(app.clone()).await.is_ok();
    let runner = runner(app).await;
    let queue: Option<(i64, i64)> = app
        .db
        .one(
            "SELECT COUNT(CASE WHEN lease IS NOT NULL THEN 1 END), COUNT(CASE WHEN lease IS NULL THEN 1 END)
             FROM runs WHERE job IS NOT NULL",
            vec![],
        )
        .await?;
    let (working, waiting) = queue.unwrap_or_default();
    let installation = app.area::<Installation>();
    let disk = disk(&installation.data_dir);
    let word = |ok: bool| if ok { "ok" } else { "failing" };
    let well = database && objects && runner["status"] == "ok";
    let sandbox: Vec<_> = Sandbox::support()
        .into_iter()
        .map(|part| json!({
            "name": part.name, "available": part.available, "essential": part.essential, "detail": part.detail,
        }))
        .collect();
    let attributes = json!({
        "status": word(well),
        "version": env!("CARGO_PKG_VERSION"),
        "started-at": installation.started.iso8601(),
        "memory-bytes": metrics::memory(),
        "database": {
            "status": word(database), "engine": app.db.engine(), "milliseconds": took.as_secs_f64() * 1000.0,
        },
        "objects": { "status": word(objects) },
        "disk": disk,
        "runner": runner,
        "jobs": { "working": working, "waiting": waiting },
        "sandbox": sandbox,
    });
    Ok(Reply::one(Resource::new("health", "health", &attributes)))
}

fn disk(dir: &std::path::Path) -> serde_json::Value {
    match nix::sys::statvfs::statvfs(dir) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let status = if free < SCARCE { "scarce" } else { "ok" };
            json!({
                "status": status, "free-bytes": free, "total-bytes": stat.blocks() * stat.fragment_size(),
                "directory": dir.display().to_string(),
            })
        }
        Err(error) => json!({ "status": "failing", "detail": error.to_string() }),
    }
}
