//! When a workspace is to be destroyed by itself: at an instant that somebody set, or so long after its last apply.
//!
//! A workspace inherits the duration of its project unless it has an instant or a duration of its own. The instant is stored
//! with the workspace; who acts on it is `runs::auto_destroy`. Source: the Workspaces and Projects APIs.

use crate::workspaces::Workspace;
use db::{Tx, args};
use http_api::{Error, Result};
use kernel::{
    Timestamp,
    ids::{ProjectId, WorkspaceId},
};

const HOUR: i64 = 3600;
/// The longest duration, in hours: ten years.
const MOST_HOURS: i64 = 24 * 3650;

/// Seconds of a duration as the API writes it: `14d`, `36h`.
pub(crate) fn seconds(duration: &str) -> Option<i64> {
    let hours_each = match duration.chars().last()? {
        'd' => 24,
        'h' => 1,
        _ => return None,
    };
    let digits = &duration[..duration.len() - 1];
    let number: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let hours = number.checked_mul(hours_each)?;
    (1..=MOST_HOURS).contains(&hours).then_some(hours * HOUR)
}

/// Refuses a text that is no duration.
///
/// # Errors
/// 422 that says what one looks like.
pub(crate) fn check(duration: &str) -> Result<()> {
    match seconds(duration) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(
            "auto-destroy-activity-duration",
            "Auto destroy activity duration must be a number of days or hours, such as 14d or 36h, up to ten years",
        )),
    }
}

/// The instant that follows from a duration when something happened `now`.
pub(crate) fn after(now: Timestamp, duration: Option<&str>) -> Option<Timestamp> {
    duration.and_then(seconds).map(|seconds| now.plus_seconds(seconds))
}

/// A run of the workspace was applied: the duration begins anew, and ends when everything is destroyed. An instant that
/// passed while there was nothing to destroy does not take what was made since.
pub async fn applied(tx: &mut Tx, workspace: &WorkspaceId, destroyed: bool, now: Timestamp) -> Result<()> {
    let found: Option<(Option<Timestamp>, Option<String>)> = tx
        .one(
            "SELECT w.auto_destroy_at, CASE WHEN w.inherits_project_auto_destroy
               THEN p.auto_destroy_activity_duration ELSE w.auto_destroy_activity_duration END
             FROM workspaces w JOIN projects p ON p.id = w.project_id WHERE w.id = $1",
            args![workspace],
        )
        .await?;
    let Some((at, duration)) = found else { return Ok(()) };
    let next = match duration {
        _ if destroyed => None,
        Some(duration) => after(now, Some(&duration)),
        None => at.filter(|at| *at > now),
    };
    if next == at {
        return Ok(());
    }
    set(tx, workspace, next).await
}

/// Sets the instant.
async fn set(tx: &mut Tx, workspace: &WorkspaceId, at: Option<Timestamp>) -> Result<()> {
    tx.exec("UPDATE workspaces SET auto_destroy_at = $2 WHERE id = $1", args![workspace, at]).await.map(drop)
}

/// Takes the instant of a workspace that is held, if it is due, and sets the next. `None` when it is not due.
pub async fn take_due(tx: &mut Tx, workspace: &Workspace, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(at) = workspace.auto_destroy_at.filter(|at| *at <= now) else { return Ok(None) };
    set(tx, &workspace.id, after(now, workspace.auto_destroy_activity_duration.as_deref())).await?;
    Ok(Some(at))
}

/// The duration of a project was changed: it begins anew in the workspaces that inherit it.
pub(crate) async fn inherit(
    tx: &mut Tx,
    project: &ProjectId,
    duration: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        "UPDATE workspaces SET auto_destroy_at = $2 WHERE project_id = $1 AND inherits_project_auto_destroy = TRUE",
        args![project, after(now, duration)],
    )
    .await
    .map(drop)
}

/// Begins the duration of its project in one workspace, if it inherits it: it is new, has moved, or begins to inherit.
pub(crate) async fn inherit_one(tx: &mut Tx, workspace: &WorkspaceId, now: Timestamp) -> Result<()> {
    let found: Option<(Option<String>,)> = tx
        .one(
            "SELECT p.auto_destroy_activity_duration FROM workspaces w JOIN projects p ON p.id = w.project_id
             WHERE w.id = $1 AND w.inherits_project_auto_destroy = TRUE",
            args![workspace],
        )
        .await?;
    match found {
        Some((duration,)) => set(tx, workspace, after(now, duration.as_deref())).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_whole_days_or_hours() {
        assert_eq!(seconds("14d"), Some(14 * 86_400));
        assert_eq!(seconds("36h"), Some(36 * 3600));
        for wrong in
            ["", "d", "14", "1.5d", "-3d", "+3d", "0d", "14w", "99999999999999999999d", "4000d", "1dé"]
        {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
