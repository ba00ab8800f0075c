//! `ferroform state rollback`: an earlier version becomes the current one, as a copy with the next serial.

use super::{At, show::Listed};
use crate::{desk::Desk, failure::Failure};
use client::StateVersion;
use serde_json::json;
use statefile::Differences;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct RollbackArgs {
    /// Id (sv-…) or serial of the version that is to come back
    #[arg(value_name = "VERSION")]
    version: String,

    /// Do it without asking
    #[arg(long, help_heading = "How")]
    auto_approve: bool,
}

pub(super) async fn rollback(args: &RollbackArgs, at: &At, desk: &mut Desk) -> Result<(), Failure> {
    let (current, to) = (at.current().await?, at.version(&args.version).await?);
    if current.id == to.id {
        let detail = format!("{} (serial {}) is the current version already.", to.id, to.serial);
        return Err(Failure::Plain("Nothing to roll back", detail));
    }
    if !args.auto_approve {
        confirm(at, desk, &current, &to).await?;
    }
    // What was locked has to be unlocked.
    let held = desk.hold();
    let locks = lock(at, &to).await?;
    let outcome = at.client.roll_back_state(&at.workspace.id, &to.id).await;
    let unlocked = if locks { at.client.unlock_workspace(&at.workspace.id, false).await.err() } else { None };
    drop(held);
    if let Some(error) = unlocked {
        let detail = format!(
            "{} is still locked; `ferroform workspace unlock {}` unlocks it. {error}",
            at.name(),
            at.workspace.name
        );
        desk.warn("The workspace was not unlocked", &detail);
    }
    let new = outcome?;
    let document = json!({"rolled_back_to": Listed::of(&to), "current": Listed::of(&new)});
    desk.answer(&document, |style| {
        format!(
            "{} The state of {} is that of serial {} again: {} (serial {}).\nNothing but the state has changed; a plan \
             shows how it differs from what exists.",
            style.green("Rolled back."),
            at.name(),
            to.serial,
            new.id,
            new.serial
        )
    });
    Ok(())
}

async fn confirm(at: &At, desk: &mut Desk, current: &StateVersion, to: &StateVersion) -> Result<(), Failure> {
    if desk.world.answers.is_some() && !desk.json {
        let (before, after) = (at.file(current).await?, at.file(to).await?);
        let summary = Differences::between(&before, &after).summary();
        desk.say(&format!(
            "From serial {} to serial {}, resources: {summary}.\nSee `ferroform state diff {} {}`.",
            current.serial, to.serial, current.serial, to.serial
        ));
    }
    let title = format!("Roll the state of {} back to serial {}?", at.name(), to.serial);
    match desk.confirm(&title, "Only 'yes' does; nothing but the state changes.").await {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Plain("Not rolled back", "The state is as it was.".to_owned())),
        None => Err(Failure::Plain(
            "A rollback has to be confirmed",
            "There is nobody to ask: use --auto-approve to do it all the same.".to_owned(),
        )),
    }
}

/// Takes the lock, unless the token's user holds it: then it stays theirs. `true` when it was taken.
async fn lock(at: &At, to: &StateVersion) -> Result<bool, Failure> {
    let reason = format!("rolling the state back to serial {}", to.serial);
    let error = match at.client.lock_workspace(&at.workspace.id, Some(&reason)).await {
        Ok(_) => return Ok(true),
        Err(error) if error.status() == Some(409) => error,
        Err(error) if error.is_not_found() => {
            let detail = format!(
                "A rollback takes the lock of {} and writes its state, and the token may not. Use the token of somebody \
                 who may.",
                at.name()
            );
            return Err(Failure::Plain("The token may not do this", detail));
        }
        Err(error) => return Err(error.into()),
    };
    let now = at.client.workspace_in_full(&at.organization, &at.workspace.name).await?;
    let me = at.client.account().await?;
    match now.locked_by {
        Some(holder) if holder.id == me.id.as_str() => Ok(false),
        Some(holder) => Err(Failure::Plain(
            "The workspace is locked",
            format!(
                "{} is locked by the {holder}; a rollback needs the lock. Wait, or see `ferroform workspace unlock`.",
                at.name()
            ),
        )),
        None => Err(error.into()),
    }
}
