//! Deleting old data as the organizations' and workspaces' policies want: the bytes of state versions and of configuration
//! versions.
//!
//! Never of what is current, nor of what an unfinished run needs. A workspace's policy goes before its organization's, also
//! when it forbids deleting. Rows stay, and say that their bytes are gone. By no policy, exports of plans live for an hour,
//! and what was deleted of plans and applies for now for some days ([`backing_data`]).
//! Source: the Data Retention Policies API.

use crate::{backing_data, configuration_versions, plan_exports, runs};
use accounts::retention::DataRetention;
use db::{FromRow, args};
use http_api::{App, Error, Result};
use kernel::{
    Timestamp,
    ids::{ConfigurationVersionId, WorkspaceId},
};
use workspaces::workspaces::hold;

const DAY: i64 = 24 * 3600;

/// Deletes all that is old enough now.
pub async fn sweep(app: &App) -> Result<()> {
    plan_exports::expire(app).await?;
    backing_data::expire(app).await?;
    let policies: Vec<(String,)> = app
        .db
        .all(
            "SELECT data_retention FROM organizations WHERE data_retention IS NOT NULL
             UNION SELECT data_retention FROM workspaces WHERE data_retention IS NOT NULL",
            vec![],
        )
        .await?;
    for (policy,) in policies {
        let days = DataRetention::parse(Some(&policy)).and_then(|policy| policy.delete_older_than_n_days);
        let Some(days) = days else { continue };
        let before = app.now().plus_seconds(-days.saturating_mul(DAY));
        let states = state::backing_data::expire(app, &policy, before).await?;
        let configurations = expire_configurations(app, &policy, before).await?;
        if states + configurations > 0 {
            tracing::info!(
                states,
                configurations,
                days,
                "deleted data that was older than a policy keeps it"
            );
        }
    }
    Ok(())
}

#[derive(FromRow)]
struct Old {
    id: ConfigurationVersionId,
    workspace_id: WorkspaceId,
}

/// Versions that may be deleted by age: neither current nor in use by an unfinished run.
const EXPIRED: &str =
    "SELECT v.id, v.workspace_id FROM configuration_versions v JOIN workspaces w ON w.id = v.workspace_id
    JOIN organizations o ON o.id = w.organization_id
  WHERE COALESCE(w.data_retention, o.data_retention) = $1 AND v.created_at < $2
    AND v.status IN ('uploaded', 'backing_data_soft_deleted')
    AND (w.current_configuration_version_id IS NULL OR w.current_configuration_version_id <> v.id)
    AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.configuration_version_id = v.id AND r.final = FALSE)";

async fn expire_configurations(app: &App, policy: &str, before: Timestamp) -> Result<usize> {
    let mut deleted = 0;
    loop {
        let sql = format!("{EXPIRED} ORDER BY v.created_at LIMIT 500");
        let old: Vec<Old> = app.db.all(db::AssertSqlSafe(sql), args![policy, before]).await?;
        let found = old.len();
        for old in old {
            let mut tx = app.db.begin().await?;
            match hold(&mut tx, &old.workspace_id).await {
                Err(Error::NotFound) => continue,
                other => other.map(drop)?,
            }
            // A run may use it, or the policy be another, since.
            let sql = format!("{EXPIRED} AND v.id = $3");
            let still: Option<Old> = tx.one(db::AssertSqlSafe(sql), args![policy, before, &old.id]).await?;
            if still.is_some() {
                let mut version = configuration_versions::in_tx(&mut tx, &old.id).await?;
                let blobs = [version.blob_id.take(), version.deleted_blob_id.take()];
                runs::delete_blobs(&mut tx, blobs).await?;
                version.reach(configuration_versions::PERMANENTLY_DELETED, app.now());
                version.store(&mut tx).await?;
                tx.commit().await?;
                deleted += 1;
            }
        }
        if found < 500 {
            return Ok(deleted);
        }
    }
}
