//! `ferroform run apply`, `discard` and `cancel`

use super::RunId;
use crate::{desk::Desk, failure::Failure, render::words};
use client::{Client, Run};
use serde_json::json;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct ActArgs {
    #[command(flatten)]
    run: RunId,

    /// Why, for the people who see the run
    #[arg(long, short, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    act: ActArgs,

    /// Kill a run that was canceled and has not stopped; what its engine was doing is lost
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Apply,
    Discard,
    Cancel,
    ForceCancel,
}

impl Action {
    /// What has been asked for.
    fn done(self) -> &'static str {
        match self {
            Self::Apply => "Confirmed",
            Self::Discard => "Discarded",
            Self::Cancel => "Asked to stop",
            Self::ForceCancel => "Killed",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Apply => "confirmed",
            Self::Discard => "discarded",
            Self::Cancel => "canceled",
            Self::ForceCancel => "killed",
        }
    }

    fn is_allowed(self, run: &Run) -> bool {
        match self {
            Self::Apply => run.permissions.can_apply,
            Self::Discard => run.permissions.can_discard,
            Self::Cancel | Self::ForceCancel => run.permissions.can_cancel,
        }
    }

    /// When it is possible.
    fn when(self, run: &Run) -> String {
        let force = || match &run.force_cancel_available_at {
            Some(at) => format!("It was canceled, and can be killed from {at} on."),
            None => format!("Only a canceled run can be killed: first `ferroform run cancel {}`.", run.id),
        };
        match self {
            Self::Apply => "Only a planned run that waits for its confirmation can be confirmed.".to_owned(),
            Self::Discard => {
                "Only a run that waits can be discarded; one that works can be canceled.".to_owned()
            }
            Self::Cancel if run.actions.is_discardable => {
                format!("It only waits; throw it away with `ferroform run discard {}`.", run.id)
            }
            Self::Cancel if run.force_cancel_available_at.is_some() => {
                format!("It was asked to stop already. {}", force().replace("It was canceled, and", "It"))
            }
            Self::Cancel => "Only a run that has not ended can be canceled.".to_owned(),
            Self::ForceCancel if run.status.is_final() => "It has ended.".to_owned(),
            Self::ForceCancel => force(),
        }
    }
}

pub(super) async fn cancel(args: &CancelArgs, desk: &mut Desk, client: &Client) -> Result<(), Failure> {
    let action = if args.force { Action::ForceCancel } else { Action::Cancel };
    act(action, &args.act, desk, client).await
}

pub(super) async fn act(
    action: Action,
    args: &ActArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    let id = args.run.run.as_str().into();
    let comment = args.comment.as_deref();
    let outcome = match action {
        Action::Apply => client.apply_run(&id, comment).await,
        Action::Discard => client.discard_run(&id, comment).await,
        Action::Cancel => client.cancel_run(&id, comment).await,
        Action::ForceCancel => client.force_cancel_run(&id, comment).await,
    };
    if let Err(error) = outcome {
        return Err(refused(action, client, &args.run.run, error).await);
    }
    let run = client.run(&id).await?;
    desk.answer(&json!({"id": run.id, "status": run.status.as_str()}), |style| {
        let line = format!(
            "{} {}, which is now {}.",
            action.done(),
            run.id,
            words::status(style, run.status.as_str())
        );
        match action {
            Action::Apply | Action::Cancel if !run.status.is_final() => {
                format!("{line}\nFollow it with `ferroform run watch {}`.", run.id)
            }
            _ => line,
        }
    });
    Ok(())
}

/// Why an action was refused, as the run itself tells.
async fn refused(action: Action, client: &Client, id: &str, error: client::Error) -> Failure {
    if !matches!(error.status(), Some(403 | 404 | 409)) {
        return error.into();
    }
    let run = match super::find(client, id).await {
        Ok(run) => run,
        Err(failure) => return failure,
    };
    if !action.is_allowed(&run) {
        let detail = format!(
            "The token may see {id}, but the run cannot be {} with it. Use the token of somebody who may.",
            action.verb()
        );
        return Failure::Plain("The token may not do this", detail);
    }
    if error.status() == Some(409) {
        let detail = format!("{id} is {}. {}", run.status, action.when(&run));
        let summary = match action {
            Action::Apply => "The run cannot be confirmed now",
            Action::Discard => "The run cannot be discarded now",
            Action::Cancel => "The run cannot be canceled now",
            Action::ForceCancel => "The run cannot be killed now",
        };
        return Failure::Plain(summary, detail);
    }
    error.into()
}
