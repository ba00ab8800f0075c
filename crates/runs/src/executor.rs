//! Who does the work: hands a claimed job to the runner, gives it what it asks for, and stores what comes of it.
//!
//! The outcome of a phase, its objects and the run's next status are one transaction. Only after its commit the log's end
//! becomes readable and the runner clears its directory; a crash in between finds the directory again ([`recover`]) and
//! comes to the same outcome. What is reported for a run that ended meanwhile changes nothing, except that a state which
//! the engine wrote is never thrown away.

mod recovery;

pub use recovery::{recover, stop_orphans};

use crate::{
    configuration_versions,
    identity::{self, Bearer, Identity},
    jobs::Jobs,
    life::{self, Counts, Event},
    logs::{self, LiveLog},
    operations,
    runs::{self, Run, Variables},
};
use accounts::admin_organizations::AdminSettings;
use bytes::Bytes;
use db::args;
use http_api::{
    App, Error, Result,
    blobs::{self, NewBlob},
};
use kernel::{
    Timestamp,
    ids::{BlobId, OrganizationId, RunId, StateVersionId},
};
use runner::{
    Boxed, Category, Control, ControlError, Job, Outcome, Phase, PlanArtifacts, Signal,
    engine::{Archive, Tool},
};
use state::store::{self, NewState, Origin};
use std::{
    io::Read,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::watch;
use workspaces::{
    Workspace, projects, ssh_keys,
    tool_versions::{self, Arch, Rules},
    workspaces::hold,
};

/// The message of a phase that ended on a signal which nobody asked for here.
const STOPPED: &str = "The run's process was stopped from outside of Ferroform.";

/// A name for one runner's work on one phase, so that late reports are told apart. It begins with the machine's boot, by
/// which [`recover`] knows whether files can have been lost since.
pub fn new_lease(app: &App) -> String {
    format!("{}.{}", boot(app), app.env.base58(16))
}

/// What this boot of the machine is called; where that cannot be known, something that no later process will say.
fn boot(app: &App) -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if id.trim().is_empty() { format!("unknown-{}", app.env.base58(16)) } else { id.trim().to_owned() }
    })
}

/// Begins a claimed job, beside the caller.
pub fn start(app: &App, run: Run) {
    spawn(app, run, false);
}

fn spawn(app: &App, run: Run, resumed: bool) {
    let jobs = app.area::<Jobs>();
    // Before anything else, so that a cancel that comes now is heard. One that came before it, [`job`] finds in the row.
    let signals = jobs.begin(run.id());
    let phase = if run.life.job() == Some(life::Job::Apply) { Phase::Apply } else { Phase::Plan };
    let phase_id = match phase {
        Phase::Plan => run.row.plan_id.to_string(),
        Phase::Apply => run.row.apply_id.to_string(),
    };
    // Before readers are told of the change, so that they find it.
    let log = jobs.log(&phase_id);
    let app = app.clone();
    tokio::spawn(async move {
        let id = run.id().clone();
        if let Err(error) = work(&app, run, phase, &phase_id, &log, signals, resumed).await {
            tracing::error!(run = %id, %error, "a job's outcome could not be stored; it is taken up again at the next start");
        }
        app.area::<Jobs>().end(&id);
        app.pulse();
    });
}

async fn work(
    app: &App,
    run: Run,
    phase: Phase,
    phase_id: &str,
    log: &Arc<LiveLog>,
    signals: watch::Receiver<Signal>,
    resumed: bool,
) -> Result<()> {
    let job = stubborn(app, || job(app, &run, phase)).await?;
    let control = Arc::new(Server {
        app: app.clone(),
        run: run.id().clone(),
        lease: job.lease.clone(),
        organization: run.row.organization_id.clone(),
        log: log.clone(),
        signals,
    });
    let runner = app.area::<Jobs>().runner.clone();
    tracing::debug!(run = %run.id(), ?phase, resumed, "handing a phase to the runner");
    let outcome =
        if resumed { runner.resume(job, control).await } else { runner.execute(job, control).await };
    tracing::debug!(run = %run.id(), ?phase, "the runner is done with a phase");
    if phase == Phase::Apply && !matches!(outcome, Outcome::Applied { .. }) {
        let_be_read(app, &run, log).await;
    }
    let finished = Finished { run: &run, phase, phase_id, log, outcome: &outcome };
    let stored = match stubborn(app, || finished.store(app)).await {
        // The run is gone, with its workspace: nothing is left to keep.
        Err(Error::NotFound) => {
            app.area::<Jobs>().finish_log(phase_id);
            return runner.forget(run.id()).await.map_err(Error::internal);
        }
        other => other?,
    };
    app.area::<Jobs>().finish_log(phase_id);
    let settled = if stored.ended { runner.forget(run.id()).await } else { runner.settle(run.id()).await };
    settled.map_err(Error::internal)
}

/// How long the command line takes at most to open an apply's log. It looks at its run a second after it made it, and at an
/// errored run neither shows the plan nor opens the log: a failure that came faster would be swallowed.
const OPENING: Duration = Duration::from_secs(3);

/// Waits until somebody reads the log of an apply that has failed, when a command line waits for it.
async fn let_be_read(app: &App, run: &Run, log: &LiveLog) {
    if !run.row.source.starts_with("terraform") {
        return;
    }
    tokio::select! {
        () = log.opened() => {}
        () = tokio::time::sleep(OPENING) => {}
        () = app.closing() => {}
    }
}

/// Tries again while the database or the disk is away, until the server closes: work that is done must not be lost.
async fn stubborn<T, F: Future<Output = Result<T>>>(app: &App, mut attempt: impl FnMut() -> F) -> Result<T> {
    let mut pause = Duration::from_millis(100);
    loop {
        match attempt().await {
            Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => {
                tracing::warn!(%error, "storing a job's outcome failed; trying again");
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
                    () = app.closing() => return Err(error),
                }
            }
            other => return other,
        }
    }
}

/// A run's variables for the runner, and with them the run's own token for this host, unless the user gave one.
fn with_own_token(
    app: &App,
    run: &Run,
    until: Timestamp,
    given: Vec<workspaces::variables::Value>,
) -> Vec<runner::Variable> {
    let url = &app.settings.url;
    let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
    let key = format!("TF_TOKEN_{}", host.strip_suffix(":443").unwrap_or(host));
    let encoded = key.replace('.', "_").replace('-', "__");
    let theirs = given.iter().any(|v| v.category == "env" && (v.key == key || v.key == encoded));
    let own = (!theirs).then(|| runner::Variable {
        value: http_api::auth::run_token(app, run.id(), until),
        key,
        category: Category::Env,
        hcl: false,
        sensitive: true,
        priority: false,
    });
    let given = given.into_iter().map(|v| runner::Variable {
        key: v.key,
        value: kernel::Secret::new(v.value),
        category: if v.category == "env" { Category::Env } else { Category::Terraform },
        hcl: v.hcl,
        sensitive: v.sensitive,
        priority: v.priority,
    });
    own.into_iter().chain(given).collect()
}

/// All that the runner is told.
async fn job(app: &App, run: &Run, phase: Phase) -> Result<Job> {
    let workspace =
        workspaces::workspaces::by_id(app, run.row.workspace_id.as_str()).await?.ok_or(Error::NotFound)?;
    let (sealed, life, admin): (Vec<u8>, String, String) = app
        .db
        .one(
            "SELECT r.variables, r.life, o.admin_settings FROM runs r
             JOIN organizations o ON o.id = r.organization_id WHERE r.id = $1",
            args![run.id()],
        )
        .await?
        .ok_or(Error::NotFound)?;
    let life: life::Run = serde_json::from_str(&life).map_err(Error::internal)?;
    if life.cancel.is_some() {
        app.area::<Jobs>().signal(run.id(), Signal::Cancel);
    }
    let key = app.data_key(&run.row.organization_id).await?;
    let plain = key.open(run.id().as_str(), &sealed).map_err(Error::internal)?;
    let mut variables: Variables = serde_json::from_slice(&plain).map_err(Error::internal)?;
    let admin: AdminSettings = serde_json::from_str(&admin).map_err(Error::internal)?;
    let seconds = match phase {
        Phase::Plan => admin.plan_seconds(app),
        Phase::Apply => admin.apply_seconds(app),
    };
    // Of when the phase began and not of now: whoever takes the phase up after a restart must know the tokens that its engine
    // has, to hide them in the log.
    let began = match phase {
        Phase::Plan => &life.plan,
        Phase::Apply => &life.apply,
    };
    let since = began.status_timestamps.get("started-at").copied().unwrap_or_else(|| app.now());
    let until = since.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000));
    let version = Some(run.options.terraform_version.clone()).filter(|version| version != "latest");
    let Rules { refused, deprecated, own } = tool_versions::rules(app, &workspace.engine).await?;
    let own = own.into_iter().find(|(own, _)| version.as_ref() == Some(own));
    let project = projects::name_of(app, &workspace.project_id).await?;
    let bearer = Bearer {
        organization: (workspace.organization_id.as_str(), &workspace.organization),
        project: (workspace.project_id.as_str(), &project),
        workspace: (workspace.id.as_str(), &workspace.name),
        run: run.id(),
        phase,
        lease: run.row.lease.as_deref().unwrap_or_default(),
        since,
        until,
    };
    let (identity, unprepared) = match identity::provide(app, &bearer, &variables.workspace).await? {
        Ok(identity) => (identity, None),
        Err(why) => (Identity::default(), Some(why)),
    };
    variables.workspace.retain(|variable| !identity::is_asking(variable));
    let mut given = with_own_token(app, run, until, variables.workspace);
    given.extend(identity.variables);
    Ok(Job {
        run: run.id().clone(),
        phase,
        lease: run.row.lease.clone().unwrap_or_default(),
        organization: workspace.organization.clone(),
        workspace: workspace.name.clone(),
        workspace_id: workspace.id.clone(),
        project,
        configuration_version: run.row.configuration_version_id.clone(),
        tool: if workspace.engine == "tofu" { Tool::Tofu } else { Tool::Terraform },
        own: own.map(|(_, archs)| archs.into_iter().map(archive).collect()),
        version,
        refused,
        deprecated,
        operation: operation(run, variables.input)?,
        working_directory: workspace.working_directory.clone(),
        structured_output: run.results.structured_output,
        destroy: run.life.options.is_destroy,
        refresh_only: run.life.options.refresh_only,
        refresh: run.options.refresh,
        targets: run.options.target_addrs.clone(),
        replace: run.options.replace_addrs.clone(),
        allow_config_generation: run.options.allow_config_generation,
        debugging: run.options.debugging_mode,
        plan_only: run.life.options.plan_only,
        variables: given,
        files: identity.files,
        unprepared,
        run_variables: variables.run,
        ssh_key: ssh_keys::value_of(app, &workspace.id).await?,
        timeout: Duration::from_secs(seconds),
    })
}

fn archive(arch: Arch) -> Archive {
    Archive { url: arch.url, sha256: arch.sha, platform: format!("{}_{}", arch.os, arch.arch) }
}

/// What an operation's run is to do. Its command line was found allowed when the run was made.
fn operation(run: &Run, input: String) -> Result<Option<runner::Operation>> {
    let Some(words) = &run.options.exec else { return Ok(None) };
    let allowed = operations::parse(words).map_err(Error::internal)?;
    Ok(Some(runner::Operation { input: kernel::Secret::new(input), ..allowed.operation }))
}

/// How the runner reaches this server: in the same process, straight to the store.
struct Server {
    app: App,
    run: RunId,
    lease: String,
    organization: OrganizationId,
    log: Arc<LiveLog>,
    signals: watch::Receiver<Signal>,
}

impl Server {
    /// What the runner needs before a phase can begin. It gets no answer where there is none because the server ends: the
    /// phase has not begun, does not hold the server up, and is taken up by the next start. A unprepared would fail the run.
    async fn unless_ending<T>(
        &self,
        answer: impl Future<Output = Result<T>>,
    ) -> std::result::Result<T, ControlError> {
        match answer.await {
            Err(Error::Unavailable(_)) if self.app.is_closing() => {
                self.app.area::<Jobs>().end(&self.run);
                std::future::pending().await
            }
            answer => Ok(answer?),
        }
    }
}

impl Control for Server {
    fn configuration<'a>(&'a self, job: &'a Job) -> Boxed<'a, Result<Box<dyn Read + Send>, ControlError>> {
        Box::pin(self.unless_ending(async move {
            let version =
                configuration_versions::by_id(&self.app, job.configuration_version.as_str()).await?;
            let blob =
                version.blob_id.ok_or_else(|| Error::internal("the configuration version has no content"))?;
            blobs::open(&self.app, &blob).await
        }))
    }

    fn state<'a>(&'a self, job: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>> {
        Box::pin(self.unless_ending(store::current(&self.app, &job.workspace_id)))
    }

    fn kept<'a>(&'a self, job: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>> {
        Box::pin(self.unless_ending(async move {
            match runs::by_id(&self.app, job.run.as_str()).await?.row.kept_id {
                Some(blob) => blobs::read(&self.app, &blob).await.map(Some),
                None => Ok(None),
            }
        }))
    }

    fn log(&self, _: &Job, chunk: Bytes) {
        self.log.append(&chunk, self.app.settings.log_bytes);
    }

    fn log_restart(&self, _: &Job) {
        self.log.restart();
    }

    fn snapshot<'a>(&'a self, _: &'a Job, state: Vec<u8>) -> Boxed<'a, Result<(), ControlError>> {
        Box::pin(async move {
            let blob = blobs::write(&self.app, &self.organization, "state-snapshot", state).await?;
            let mut tx = self.app.db.begin().await?;
            let before: Option<(Option<BlobId>,)> = tx
                .one(
                    "SELECT snapshot_id FROM runs WHERE id = $1 AND lease = $2",
                    args![&self.run, &self.lease],
                )
                .await?;
            // A run that ended meanwhile keeps what it had.
            let Some((before,)) = before else { return Ok(()) };
            let id = blob.insert(&mut tx, self.app.now()).await?;
            tx.exec("UPDATE runs SET snapshot_id = $2 WHERE id = $1", args![&self.run, &id]).await?;
            runs::delete_blobs(&mut tx, [before]).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    fn signals(&self, _: &Job) -> watch::Receiver<Signal> {
        self.signals.clone()
    }
}

/// A phase whose process has ended.
struct Finished<'a> {
    run: &'a Run,
    phase: Phase,
    phase_id: &'a str,
    log: &'a Arc<LiveLog>,
    outcome: &'a Outcome,
}

/// What became of the run.
struct Stored {
    ended: bool,
}

/// Objects of a phase, written before the transaction that names them.
#[derive(Default)]
struct Objects {
    plan_json: Option<NewBlob>,
    redacted: Option<NewBlob>,
    kept: Option<NewBlob>,
    log: Option<NewBlob>,
    state: Option<NewState>,
}

impl Finished<'_> {
    async fn store(&self, app: &App) -> Result<Stored> {
        let objects = self.write_objects(app).await?;
        tracing::debug!(run = %self.run.id(), "a phase's objects are written");
        let mut tx = app.db.begin().await?;
        let workspace = hold(&mut tx, &self.run.row.workspace_id).await?;
        let mut run = runs::in_tx(&mut tx, self.run.id()).await?;
        let mine = run.row.lease == self.run.row.lease && run.life.has_process();
        if !mine {
            self.keep_what_is_late(app, tx, &workspace, run, objects).await?;
            return Ok(Stored { ended: true });
        }
        let superfluous = self.attach(app, &mut tx, &workspace, &mut run, objects).await?;
        let event = self.event(&run);
        let after = runs::advance(app, &mut tx, &mut run, &event, None).await?;
        runs::delete_blobs(&mut tx, superfluous).await?;
        tx.commit().await?;
        tracing::debug!(run = %self.run.id(), status = run.life.status.as_str(), "a phase's outcome is stored");
        after.perform(app);
        Ok(Stored { ended: run.life.is_final() })
    }

    fn event(&self, run: &Run) -> Event {
        match (self.outcome, self.phase) {
            (Outcome::Planned(plan), _) => {
                Event::PlanFinished { has_changes: plan.has_changes, counts: counts(plan.counts) }
            }
            (Outcome::Operated(operated), _) => match &operated.failure {
                None => Event::PlanFinished { has_changes: false, counts: Counts::default() },
                Some(message) => Event::PlanFailed { message: message.clone() },
            },
            (Outcome::Applied { .. }, _) => Event::ApplyFinished,
            (Outcome::Canceled { .. }, _) if run.life.cancel.is_some() => Event::WorkerStopped,
            (Outcome::Canceled { .. }, Phase::Plan) => Event::PlanFailed { message: STOPPED.to_owned() },
            (Outcome::Canceled { .. }, Phase::Apply) => Event::ApplyFailed { message: STOPPED.to_owned() },
            (Outcome::Failed { message, .. }, Phase::Plan) => Event::PlanFailed { message: message.clone() },
            (Outcome::Failed { message, .. }, Phase::Apply) => {
                Event::ApplyFailed { message: message.clone() }
            }
        }
    }

    fn plan(&self) -> Option<&PlanArtifacts> {
        match self.outcome {
            Outcome::Planned(plan) => Some(plan),
            Outcome::Failed { plan, .. } => plan.as_deref(),
            _ => None,
        }
    }

    fn state(&self) -> Option<&Vec<u8>> {
        match self.outcome {
            Outcome::Applied { state, .. }
            | Outcome::Failed { state, .. }
            | Outcome::Canceled { state, .. } => state.as_ref(),
            Outcome::Operated(operated) => operated.state.as_ref(),
            Outcome::Planned(_) => None,
        }
    }

    /// The state that is to be stored. Of what an operation left, only one that it changed.
    async fn new_state(&self, app: &App) -> Result<Option<Vec<u8>>> {
        let state = match self.state() {
            Some(state) => Some(state.clone()),
            None => self.snapshot(app).await?,
        };
        if self.phase == Phase::Plan
            && state.is_some()
            && store::current(app, &self.run.row.workspace_id).await? == state
        {
            return Ok(None);
        }
        Ok(state)
    }

    /// The file that an operation made.
    fn file(&self) -> Option<&Vec<u8>> {
        match self.outcome {
            Outcome::Operated(operated) => operated.file.as_ref(),
            _ => None,
        }
    }

    /// Writes the objects side by side; small ones cost no file.
    async fn write_objects(&self, app: &App) -> Result<Objects> {
        let organization = &self.run.row.organization_id;
        let put = |kind: &'static str, content: Option<Vec<u8>>| async move {
            match content {
                Some(content) => blobs::write(app, organization, kind, content).await.map(Some),
                None => Ok(None),
            }
        };
        let plan = self.plan();
        let applyable = plan.is_some_and(|plan| plan.has_changes) || self.run.life.options.allow_empty_apply;
        let kept = plan.and_then(|plan| plan.kept.clone()).filter(|_| applyable);
        let kept = kept.or_else(|| self.file().cloned());
        let log = logs::store(app, organization, self.log);
        let state = async {
            match self.new_state(app).await? {
                Some(state) => store::prepare(app, organization, state).await.map(Some),
                None => Ok(None),
            }
        };
        let (plan_json, redacted, kept, log, state) = tokio::try_join!(
            put("plan-json", plan.map(|plan| plan.plan_json.clone()).filter(|json| !json.is_empty())),
            put(
                "plan-redacted-json",
                plan.map(|plan| plan.redacted_json.clone()).filter(|json| !json.is_empty())
            ),
            put("kept-plan", kept),
            log,
            state
        )?;
        Ok(Objects { plan_json, redacted, kept, log: Some(log), state })
    }

    /// What the engine had handed over, for an apply that left no whole state: a full disk tears the file.
    async fn snapshot(&self, app: &App) -> Result<Option<Vec<u8>>> {
        if self.phase == Phase::Plan {
            return Ok(None);
        }
        match runs::by_id(app, self.run.id().as_str()).await?.row.snapshot_id {
            Some(blob) => blobs::read(app, &blob).await.map(Some),
            None => Ok(None),
        }
    }

    /// Names the objects in the row; returns those that the row no longer needs.
    async fn attach(
        &self,
        app: &App,
        tx: &mut db::Tx,
        workspace: &Workspace,
        run: &mut Run,
        objects: Objects,
    ) -> Result<Vec<Option<BlobId>>> {
        let log = insert(app, tx, objects.log).await?;
        match self.phase {
            Phase::Plan => {
                run.row.plan_log_id = log;
                run.row.plan_json_id = insert(app, tx, objects.plan_json).await?;
                run.row.plan_redacted_id = insert(app, tx, objects.redacted).await?;
                run.row.kept_id = insert(app, tx, objects.kept).await?;
                if let Some(plan) = self.plan() {
                    run.results.generated_configuration = plan.generated_configuration;
                    run.results.engine_version = Some(plan.engine_version.clone());
                    run.results.schemas_key = Some(plan.schemas_key.clone());
                }
                if let Outcome::Operated(operated) = self.outcome {
                    run.results.engine_version = Some(operated.engine_version.clone());
                }
                if let Some(state) = objects.state {
                    run.row.state_version_id = Some(append(app, tx, workspace, run, state).await?);
                }
                Ok(vec![])
            }
            Phase::Apply => {
                run.row.apply_log_id = log;
                if let Outcome::Applied { counts: applied, .. } = self.outcome {
                    run.results.applied = Some(counts(*applied));
                }
                if let Some(state) = objects.state {
                    run.row.state_version_id = Some(append(app, tx, workspace, run, state).await?);
                }
                Ok(vec![run.row.kept_id.take(), run.row.snapshot_id.take()])
            }
        }
    }

    /// The run ended while its process was being stopped. Its log is kept for reading; a state that the engine wrote
    /// becomes current if nobody has written one since, and is kept as an errored state otherwise.
    async fn keep_what_is_late(
        &self,
        app: &App,
        mut tx: db::Tx,
        workspace: &Workspace,
        mut run: Run,
        objects: Objects,
    ) -> Result<()> {
        let id = run.id().clone();
        let (column, taken) = match self.phase {
            Phase::Plan => ("plan_log_id", run.row.plan_log_id.is_some()),
            Phase::Apply => ("apply_log_id", run.row.apply_log_id.is_some()),
        };
        // A plan that was queued again gets its log from whoever makes it.
        let taken = taken || !run.life.is_final();
        if let (false, Some(log)) = (taken, insert(app, &mut tx, objects.log).await?) {
            let sql = format!("UPDATE runs SET {column} = $2 WHERE id = $1");
            tx.exec(db::AssertSqlSafe(sql), args![&id, &log]).await?;
        }
        if let (Phase::Apply, Some(state), None) = (self.phase, objects.state, &run.row.state_version_id) {
            let newer: Option<(String,)> = tx
                .one("SELECT id FROM runs WHERE workspace_id = $1 AND number > $2 AND status IN ('applying', 'applied') LIMIT 1", args![
                    &workspace.id,
                    run.row.number
                ])
                .await?;
            if newer.is_none() {
                let version = append(app, &mut tx, workspace, &run, state).await?;
                tx.exec("UPDATE runs SET state_version_id = $2 WHERE id = $1", args![&id, &version]).await?;
            } else {
                let blob = state.blob.insert(&mut tx, app.now()).await?;
                run.results.errored_state = true;
                let results = serde_json::to_string(&run.results).map_err(Error::internal)?;
                tx.exec(
                    "UPDATE runs SET snapshot_id = $2, results = $3 WHERE id = $1",
                    args![&id, &blob, results],
                )
                .await?;
            }
        }
        tx.commit().await?;
        tracing::info!(run = %id, phase = self.phase_id, "a phase was reported after its run had ended");
        Ok(())
    }
}

async fn insert(app: &App, tx: &mut db::Tx, blob: Option<NewBlob>) -> Result<Option<BlobId>> {
    match blob {
        Some(blob) => blob.insert(tx, app.now()).await.map(Some),
        None => Ok(None),
    }
}

async fn append(
    app: &App,
    tx: &mut db::Tx,
    workspace: &Workspace,
    run: &Run,
    state: NewState,
) -> Result<StateVersionId> {
    let origin = Origin {
        serial: state.facts.serial,
        lineage: state.facts.lineage.clone(),
        run: Some(run.id().clone()),
        created_by: run.life.confirmed_by.clone().unwrap_or_else(|| run.row.created_by.clone()),
    };
    store::append(app, tx, workspace, state, &origin).await
}

fn counts(counts: runner::Counts) -> Counts {
    Counts {
        additions: counts.additions,
        changes: counts.changes,
        destructions: counts.destructions,
        imports: counts.imports,
    }
}
