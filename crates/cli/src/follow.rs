//! A run from where it is to its end: its logs, what it waits for, the confirmation, Ctrl-C.
//!
//! Whatever is waited for, Ctrl-C is heard ([`Follow::during`]). Of a run of one's own the first one offers to cancel the
//! run and the second leaves at once; another's is left at the first. The run itself never depends on this process.

use crate::{
    failure::Failure,
    run_summary::{Changes, Outcome},
    view::{Event, PhaseName, View},
    world::Answers,
};
use client::{Client, Phase, Run};
use std::{future::Future, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// How often a run that has not begun is asked why. The first time is earlier: most begin at once.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const NEXT_LOOK: Duration = Duration::from_secs(1);
/// How often the run is looked at while a person thinks: somebody else may decide.
const WATCH: Duration = Duration::from_secs(3);
/// A run that applies by itself may look confirmable for a moment.
const GRACE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Who follows, and how.
pub(crate) struct Seat {
    pub(crate) view: View,
    pub(crate) answers: Option<Answers>,
    pub(crate) interrupts: mpsc::UnboundedReceiver<()>,
    /// Apply without asking.
    pub(crate) auto_approve: bool,
    /// Whether the run is this command's own, so that Ctrl-C is meant for it.
    pub(crate) owns_run: bool,
    /// `organization/workspace`, for questions.
    pub(crate) place: String,
}

pub(crate) struct Follow<'a> {
    seat: &'a mut Seat,
    client: Client,
    run: Run,
    url: &'a str,
    /// The last reason for waiting that was shown.
    reason: Option<String>,
    interrupted: bool,
}

/// Why following ends early.
enum Stop {
    Left,
    Failed(client::Error),
}

impl From<client::Error> for Stop {
    fn from(error: client::Error) -> Self {
        Self::Failed(error)
    }
}

/// Where a run has come to rest after its plan.
enum Rest {
    Ended,
    Confirmed,
    Confirmable,
    AwaitingOverride,
}

enum Decision {
    Apply,
    Discard,
    /// No answer will come.
    None,
    /// The run does not wait any more.
    Elsewhere,
}

impl<'a> Follow<'a> {
    pub(crate) fn new(seat: &'a mut Seat, client: Client, run: Run, url: &'a str) -> Self {
        Self { seat, client, run, url, reason: None, interrupted: false }
    }

    pub(crate) async fn finish(self) -> Result<Outcome, Failure> {
        Ok(self.finish_with_run().await?.0)
    }

    /// The same, with the run as it is in the end.
    pub(crate) async fn finish_with_run(mut self) -> Result<(Outcome, Run), Failure> {
        let (outcome, changes) = match self.follow().await {
            Ok(end) => end,
            Err(Stop::Left) => (Outcome::Left, None),
            Err(Stop::Failed(error)) => return Err(Failure::Lost { error, url: self.url.to_owned() }),
        };
        self.seat.view.show(&Event::Finished {
            outcome,
            status: self.run.status.as_str(),
            run: self.run.id.as_str(),
            url: self.url,
            changes,
        });
        Ok((outcome, self.run))
    }

    async fn follow(&mut self) -> Result<(Outcome, Option<Changes>), Stop> {
        if let Some(plan) = self.run.plan_id.clone() {
            self.log(PhaseName::Plan, Phase::Plan(plan)).await?;
        }
        if self.run.exec.is_some() {
            return Ok((self.ended().await?, None));
        }
        let mut planned = None;
        let mut shown = false;
        loop {
            let rest = self.settle().await?;
            if !std::mem::replace(&mut shown, true) {
                planned = self.show_plan().await?;
            }
            match rest {
                // It may have been confirmed, and more, before it was looked at.
                Rest::Ended if self.has_applied().await? => return self.apply().await,
                Rest::Ended => return Ok((Outcome::of(&self.run), planned)),
                Rest::AwaitingOverride => {
                    self.notice(
                        "A policy stands in the way",
                        "Somebody with the permission to override policies has to decide on the run's page.",
                    );
                    return Ok((Outcome::AwaitingConfirmation, planned));
                }
                Rest::Confirmed => return self.apply().await,
                Rest::Confirmable => match self.decide().await? {
                    Decision::Elsewhere => {}
                    Decision::Apply => self.act("apply").await?,
                    Decision::Discard => self.act("discard").await?,
                    Decision::None => return Ok((Outcome::AwaitingConfirmation, planned)),
                },
            }
        }
    }

    /// Shows a log to its end, and before it begins, why it does not.
    async fn log(&mut self, name: PhaseName, phase: Phase) -> Result<(), Stop> {
        let mut log = self.client.follow_log(phase);
        let mut begun = false;
        loop {
            let next = log.next();
            tokio::pin!(next);
            let mut look = FIRST_LOOK;
            let chunk = loop {
                tokio::select! {
                    chunk = &mut next => break chunk?,
                    () = tokio::time::sleep(look), if !begun => {
                        begun = self.look(name).await?;
                        look = NEXT_LOOK;
                    }
                    Some(()) = self.seat.interrupts.recv() => self.interrupt().await?,
                }
            };
            let Some(bytes) = chunk else { break };
            begun = true;
            self.seat.view.show(&Event::Log { phase: name, bytes: &bytes });
        }
        self.seat.view.show(&Event::LogEnd { phase: name });
        Ok(())
    }

    /// Reads the run and shows what it waits for; `true` when it has begun the phase.
    async fn look(&mut self, phase: PhaseName) -> Result<bool, Stop> {
        self.run = self.client.run(&self.run.id).await?;
        let waits = match phase {
            PhaseName::Plan => self.run.status.is_before_plan(),
            PhaseName::Apply => {
                matches!(self.run.status.as_str(), "confirmed" | "queuing_apply" | "apply_queued")
            }
        };
        if waits {
            let reason = match self.run.waiting_for() {
                Some(reason) => reason,
                None => self.guess().await?,
            };
            if self.reason.as_ref() != Some(&reason) {
                self.seat.view.show(&Event::Waiting { reason: &reason });
                self.reason = Some(reason);
            }
        }
        Ok(!waits)
    }

    /// What a run waits for on a server that does not say it.
    async fn guess(&mut self) -> Result<String, Stop> {
        let Some(id) = self.run.workspace_id.as_ref().filter(|_| self.run.status.as_str() == "pending")
        else {
            return Ok(format!("the run is {}", self.run.status.as_str().replace('_', " ")));
        };
        let workspace = self.client.workspace_by_id(id).await?;
        if let Some(holder) =
            workspace.locked_by.as_ref().filter(|holder| workspace.locked && holder.kind != "runs")
        {
            let kind = holder.kind.trim_end_matches('s');
            return Ok(format!("the workspace is locked by the {kind} {}", holder.id));
        }
        let runs = self.client.workspace_runs(id).await?;
        let older = runs.iter().skip_while(|run| run.id != self.run.id).skip(1);
        let ahead: Vec<_> = older.filter(|run| !run.status.is_final()).collect();
        Ok(match ahead.last() {
            Some(first) if ahead.len() == 1 => format!("run {} ({}) is ahead", first.id, first.status),
            Some(first) => format!("{} runs are ahead, first {} ({})", ahead.len(), first.id, first.status),
            None => match self.run.position_in_queue {
                Some(position) => format!("place {position} in the queue for a runner"),
                None => "no runner is free".to_owned(),
            },
        })
    }

    /// Waits until the run has ended, is confirmed, or needs a person.
    async fn settle(&mut self) -> Result<Rest, Stop> {
        let mut pause = FIRST_PAUSE;
        let mut confirmable_since = None;
        let mut shown = String::new();
        loop {
            let (client, id) = (self.client.clone(), self.run.id.clone());
            self.run = self.during(async move { client.run(&id).await }).await??;
            let run = &self.run;
            if run.status.is_final() {
                return Ok(Rest::Ended);
            }
            if run.status.is_confirmed() {
                return Ok(Rest::Confirmed);
            }
            if run.status.is_awaiting_override() {
                return Ok(Rest::AwaitingOverride);
            }
            if run.actions.is_confirmable {
                let since = *confirmable_since.get_or_insert_with(Instant::now);
                if !run.auto_apply || !run.permissions.can_apply || since.elapsed() > GRACE {
                    return Ok(Rest::Confirmable);
                }
            }
            let status = run.status.as_str().to_owned();
            if shown != status
                && !matches!(status.as_str(), "planning" | "planned")
                && !run.status.is_before_plan()
            {
                self.seat.view.show(&Event::Status { status: &status });
                shown = status;
            }
            self.during(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether a run that has ended came as far as its apply.
    async fn has_applied(&mut self) -> Result<bool, Stop> {
        if !matches!(self.run.status.as_str(), "applied" | "errored" | "canceled") {
            return Ok(false);
        }
        let Some(id) = self.run.apply_id.clone() else { return Ok(false) };
        let apply = self.client.apply(&id).await?;
        Ok(matches!(apply.status.as_str(), "running" | "finished" | "errored" | "canceled"))
    }

    /// Shows what the plan found, if it has found anything out.
    async fn show_plan(&mut self) -> Result<Option<Changes>, Stop> {
        let Some(id) = self.run.plan_id.clone() else { return Ok(None) };
        let plan = self.client.plan(&id).await?;
        if plan.status.as_str() != "finished" {
            return Ok(None);
        }
        let changes = Changes::of_plan(&plan);
        let document = if self.seat.view.wants_plan_document() {
            // An older server may not have it, or the token may not see it; then the log's own lines must do.
            let bytes = self.client.plan_json_redacted(&id).await.ok().flatten();
            bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        } else {
            None
        };
        let has_changes = self.run.has_changes;
        self.seat.view.show(&Event::Planned { has_changes, changes, document: document.as_ref() });
        Ok(changes)
    }

    /// What is to become of a run that waits for its confirmation.
    async fn decide(&mut self) -> Result<Decision, Stop> {
        if !self.run.permissions.can_apply {
            self.notice(
                "This token may not apply",
                "The run is planned. Somebody with the permission to apply has to confirm it on its page.",
            );
            return Ok(Decision::None);
        }
        if self.seat.auto_approve {
            return Ok(Decision::Apply);
        }
        let title = format!("Apply these changes in {}?", self.seat.place);
        loop {
            let Some(answers) = &mut self.seat.answers else { return Ok(Decision::None) };
            self.seat.view.question(&title, "  'yes' applies them, 'no' discards the run.");
            let answer = loop {
                tokio::select! {
                    answer = answers.next() => break Some(answer),
                    () = tokio::time::sleep(WATCH) => {
                        self.run = self.client.run(&self.run.id).await?;
                        if !self.run.actions.is_confirmable {
                            self.notice("Decided elsewhere", "Somebody else has confirmed or ended this run.");
                            return Ok(Decision::Elsewhere);
                        }
                    }
                    Some(()) = self.seat.interrupts.recv() => break None,
                }
            };
            let Some(answer) = answer else { return self.offer_discard().await };
            match answer.as_deref().map(str::trim) {
                Some("yes") => return Ok(Decision::Apply),
                Some("no") => return Ok(Decision::Discard),
                Some(_) => {}
                None => return Ok(Decision::None),
            }
        }
    }

    /// Ctrl-C while the run waits: there is nothing to cancel, but it can be thrown away.
    async fn offer_discard(&mut self) -> Result<Decision, Stop> {
        if !self.seat.owns_run {
            return Err(Stop::Left);
        }
        self.seat
            .view
            .question("Discard the run?", "  Only 'yes' discards it; anything else leaves it waiting.");
        let answer = self.answer().await?;
        Ok(if answer.as_deref().map(str::trim) == Some("yes") { Decision::Discard } else { Decision::None })
    }

    /// Confirms or discards. That somebody else was faster is no error: the next look tells.
    async fn act(&mut self, action: &str) -> Result<(), Stop> {
        let outcome = match action {
            "apply" => self.client.apply_run(&self.run.id, None).await,
            _ => self.client.discard_run(&self.run.id, None).await,
        };
        match outcome {
            Err(error) if error.status() == Some(409) => self.notice("Decided elsewhere", &error.to_string()),
            other => other?,
        }
        Ok(())
    }

    async fn apply(&mut self) -> Result<(Outcome, Option<Changes>), Stop> {
        let Some(id) = self.run.apply_id.clone() else { return Ok((self.ended().await?, None)) };
        self.log(PhaseName::Apply, Phase::Apply(id.clone())).await?;
        let outcome = self.ended().await?;
        Ok((outcome, Changes::of_apply(&self.client.apply(&id).await?)))
    }

    /// Waits for the run's final status, which may come a moment after the log's end.
    async fn ended(&mut self) -> Result<Outcome, Stop> {
        let mut pause = FIRST_PAUSE;
        loop {
            let (client, id) = (self.client.clone(), self.run.id.clone());
            self.run = self.during(async move { client.run(&id).await }).await??;
            if self.run.status.is_final() {
                return Ok(Outcome::of(&self.run));
            }
            self.during(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for something and hears Ctrl-C meanwhile.
    async fn during<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Ok(output),
                Some(()) = self.seat.interrupts.recv() => self.interrupt().await?,
            }
        }
    }

    /// Ctrl-C: offers to cancel the run; the second time, leaves.
    async fn interrupt(&mut self) -> Result<(), Stop> {
        if !self.seat.owns_run || std::mem::replace(&mut self.interrupted, true) {
            return Err(Stop::Left);
        }
        let (client, id) = (self.client.clone(), self.run.id.clone());
        self.run = self.unless_interrupted(async move { client.run(&id).await }).await??;
        if self.run.status.is_final() {
            return Ok(());
        }
        if !self.run.actions.is_cancelable {
            self.notice("The run cannot be canceled now", "Ctrl-C again leaves it alone.");
            return Ok(());
        }
        if self.seat.answers.is_some() && !self.seat.auto_approve {
            self.seat
                .view
                .question("Cancel the run?", "  Only 'yes' cancels it. Ctrl-C again leaves it alone.");
            if self.answer().await?.as_deref().map(str::trim) != Some("yes") {
                self.interrupted = false;
                self.notice("The run goes on", "");
                return Ok(());
            }
        }
        let (client, id) = (self.client.clone(), self.run.id.clone());
        match self.unless_interrupted(async move { client.cancel_run(&id, None).await }).await? {
            Ok(()) => {
                self.notice("Canceling", "The run is asked to stop. Ctrl-C again leaves the run alone.")
            }
            Err(error) => self.notice("The run was not canceled", &error.to_string()),
        }
        Ok(())
    }

    /// The person's answer; leaves at another Ctrl-C.
    async fn answer(&mut self) -> Result<Option<String>, Stop> {
        let Some(answers) = &mut self.seat.answers else { return Ok(None) };
        tokio::select! {
            answer = answers.next() => Ok(answer),
            Some(()) = self.seat.interrupts.recv() => Err(Stop::Left),
        }
    }

    async fn unless_interrupted<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            output = future => Ok(output),
            Some(()) = self.seat.interrupts.recv() => Err(Stop::Left),
        }
    }

    fn notice(&mut self, summary: &str, detail: &str) {
        self.seat.view.show(&Event::Notice { summary, detail });
    }
}
