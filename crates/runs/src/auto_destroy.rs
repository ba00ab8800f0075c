//! Destroying workspaces whose time has come: a destroy run that applies without asking, made by the system.
//!
//! The instant is taken from the workspace in the transaction that makes the run, so that each is acted on once. Where no run
//! can be made, or there is nothing to destroy, a line in the server's log says so. When it comes: `workspaces::auto_destroy`.

use crate::{
    create::{self, NewRun},
    life::Asked,
    run_triggers::usable_configuration,
    runs::{After, Options, Variables},
};
use db::args;
use http_api::{App, Error, Result};
use kernel::{
    Timestamp,
    ids::{UserId, WorkspaceId},
};
use workspaces::{Workspace, auto_destroy::take_due, workspaces as table, workspaces::hold};

/// The `source` of a run that the system makes.
pub const SOURCE: &str = "tfe-infrastructure-lifecycle";

/// Acts on every workspace that is due and has something to destroy.
pub async fn sweep(app: &App) -> Result<()> {
    let due: Vec<(WorkspaceId,)> = app
        .db
        .all(
            "SELECT id FROM workspaces WHERE auto_destroy_at <= $1 AND resource_count > 0
             ORDER BY auto_destroy_at LIMIT 100",
            args![app.now()],
        )
        .await?;
    for (id,) in due {
        match destroy(app, &id).await {
            // Deleted since.
            Ok(()) | Err(Error::NotFound) => {}
            // It stays due, and others must not wait for it.
            Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => {
                tracing::error!(workspace = %id, %error, "a workspace that is due could not be looked at; trying again");
            }
            Err(error) => {
                let mut tx = app.db.begin().await?;
                let held = hold(&mut tx, &id).await?;
                take_due(&mut tx, &held, app.now()).await?;
                tx.commit().await?;
                tracing::warn!(workspace = %id, %error, "a workspace is due to be destroyed and cannot be");
            }
        }
    }
    Ok(())
}

async fn destroy(app: &App, id: &WorkspaceId) -> Result<()> {
    let workspace = table::by_id(app, id.as_str()).await?.ok_or(Error::NotFound)?;
    let configuration = usable_configuration(app, &workspace)
        .await?
        .map_err(|why| Error::Unprocessable(format!("no run can be made, because {why}")))?;
    let variables = create::freeze(app, &workspace, Variables::default()).await?;
    let by = system_user(app, &workspace).await?;
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, id).await?;
    let Some(at) = take_due(&mut tx, &held, app.now()).await? else { return Ok(()) };
    let new = NewRun {
        configuration: &configuration,
        asked: Asked { is_destroy: Some(true), auto_apply: Some(true), ..Asked::default() },
        options: Options {
            message: message(&held, at),
            refresh: true,
            terraform_version: held.terraform_version.clone(),
            ..Options::default()
        },
        source: SOURCE,
        json_lines: true,
        created_by: by,
        // Who set the time may apply here.
        may_apply: true,
        variables,
        triggered_by: None,
    };
    let (run, after): (_, After) = create::queue(app, &mut tx, &held, new).await?;
    tx.commit().await?;
    tracing::info!(workspace = %id, run = %run.id(), "a workspace is due: its resources are destroyed");
    after.perform(app);
    Ok(())
}

fn message(workspace: &Workspace, at: Timestamp) -> String {
    match &workspace.auto_destroy_activity_duration {
        Some(duration) => format!("Destroyed automatically: nothing was applied for {duration}"),
        None => format!("Destroyed automatically: it was scheduled for {}", at.rfc3339()),
    }
}

/// Who makes what nobody asks for: the synthetic user of the organization.
async fn system_user(app: &App, workspace: &Workspace) -> Result<UserId> {
    let sql = "SELECT service_user_id FROM organizations WHERE id = $1";
    let found: Option<(UserId,)> = app.db.one(sql, args![&workspace.organization_id]).await?;
    found.map(|(id,)| id).ok_or(Error::NotFound)
}
