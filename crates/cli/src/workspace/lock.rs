//! `ferroform workspace lock` and `unlock`

use super::{Name, show::Shown};
use crate::{desk::Desk, failure::Failure, place::PlaceArgs};
use client::Client;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct LockArgs {
    #[command(flatten)]
    name: Name,

    /// Why, for the people who find it locked
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct UnlockArgs {
    #[command(flatten)]
    name: Name,

    /// Take the lock from whoever holds it; a run's lock ends only with the run
    #[arg(long)]
    force: bool,
}

pub(super) async fn lock(
    args: &LockArgs,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    change(&args.name, place, desk, client, Change::Lock(args.reason.as_deref())).await
}

pub(super) async fn unlock(
    args: &UnlockArgs,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    change(&args.name, place, desk, client, Change::Unlock { force: args.force }).await
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Lock(Option<&'a str>),
    Unlock { force: bool },
}

async fn change(
    name: &Name,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
    change: Change<'_>,
) -> Result<(), Failure> {
    let workspace = super::find(name.name.as_deref(), place, desk, client).await?;
    let (organization, _) = super::named(name.name.as_deref(), place, desk)?;
    let outcome = match change {
        Change::Lock(reason) => client.lock_workspace(&workspace.id, reason).await,
        Change::Unlock { force } => client.unlock_workspace(&workspace.id, force).await,
    };
    match outcome {
        Ok(_) => {}
        Err(error) if matches!(error.status(), Some(403 | 404)) => {
            let detail = format!(
                "The token may see the workspace {:?}, but may not {} it. Use a user's or a team's token with the \
                 permission to; an organization's token never holds a lock.\n\n{error}",
                workspace.name,
                match change {
                    Change::Lock(_) => "lock",
                    Change::Unlock { force: false } => "unlock",
                    Change::Unlock { force: true } => "force-unlock",
                }
            );
            return Err(Failure::Plain("The token may not do this", detail));
        }
        Err(error) if error.status() == Some(409) => {
            return Err(conflict(&organization, &workspace.name, client, change, error).await);
        }
        Err(error) => return Err(error.into()),
    }
    let now = client.workspace_in_full(&organization, &workspace.name).await?;
    let shown = Shown::of(&now, &organization, client.base_url().as_str());
    desk.answer(&shown, |style| {
        let name = style.bold(&format!("{organization}/{}", now.name));
        if now.locked { format!("{name} is locked.") } else { format!("{name} is unlocked.") }
    });
    Ok(())
}

/// Who stands in the way, and what to do.
async fn conflict(
    organization: &str,
    name: &str,
    client: &Client,
    change: Change<'_>,
    error: client::Error,
) -> Failure {
    let Ok(now) = client.workspace_in_full(organization, name).await else { return error.into() };
    let by_run = now.locked_by.as_ref().is_some_and(|holder| holder.kind == "runs");
    let holder = now.locked_by.as_ref().map_or("somebody".to_owned(), |holder| format!("the {holder}"));
    let reason = now.locked_reason.filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let (summary, what) = match change {
        Change::Lock(_) => ("The workspace is locked already", "Wait, or ask them to unlock it"),
        Change::Unlock { .. } if !now.locked => {
            return Failure::Plain(
                "The workspace is not locked",
                format!("Nobody holds the lock of {name:?}."),
            );
        }
        Change::Unlock { force: false } => {
            ("The lock is somebody else's", "Ask them, or take it with --force")
        }
        Change::Unlock { force: true } => ("The lock cannot be taken", "Ask them"),
    };
    let id = now.locked_by.as_ref().map(|holder| holder.id.as_str()).unwrap_or_default();
    let what = if by_run {
        format!(
            "It ends with the run: see `ferroform run show {id}`; `ferroform run discard` or `cancel` ends it early"
        )
    } else {
        what.to_owned()
    };
    Failure::Plain(summary, format!("{name:?} is locked by {holder}{reason}. {what}."))
}
