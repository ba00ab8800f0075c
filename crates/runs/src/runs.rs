//! Runs as stored, and how an event changes one: the only writer of the table `runs`.
//!
//! [`advance`] takes [`crate::life::step`]'s verdict and puts the event, the row and the effects on the workspace into
//! the caller's transaction; what concerns processes is done after the commit, by [`After::perform`]. The workspace's
//! row is held throughout, so that two events of one workspace never interleave.

use crate::{
    jobs::Jobs,
    life::{self, Effect, Event, Job, Status},
    run_triggers, statistics,
};
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Error, Result, changes::Change};
use kernel::{
    Timestamp,
    ids::{
        ApplyId, BlobId, CommentId, ConfigurationVersionId, OrganizationId, PlanId, RunEventId, RunId,
        StateVersionId, UserId, WorkspaceId,
    },
};
use runner::Signal;
use serde::{Deserialize, Serialize};
use workspaces::{Workspace, lock, variables};

/// A run as stored, decoded.
#[derive(Clone, Debug)]
pub struct Run {
    /// The columns that are not JSON.
    pub row: Row,
    /// The facts that the rules decide on.
    pub life: life::Run,
    /// What else was asked for.
    pub options: Options,
    /// What came of it.
    pub results: Results,
}

/// The columns of `runs`, but for the sealed variables.
#[derive(Clone, Debug, FromRow)]
#[expect(
    missing_docs,
    reason = "the columns are documented where they are made, in migrations/0001_initial.sql"
)]
pub struct Row {
    pub id: RunId,
    pub organization_id: OrganizationId,
    pub workspace_id: WorkspaceId,
    pub number: i64,
    pub configuration_version_id: ConfigurationVersionId,
    life: String,
    options: String,
    pub source: String,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub plan_id: PlanId,
    pub apply_id: ApplyId,
    results: String,
    pub plan_log_id: Option<BlobId>,
    pub plan_json_id: Option<BlobId>,
    pub plan_redacted_id: Option<BlobId>,
    pub kept_id: Option<BlobId>,
    pub apply_log_id: Option<BlobId>,
    pub snapshot_id: Option<BlobId>,
    pub state_version_id: Option<StateVersionId>,
    pub lease: Option<String>,
    pub queued_at: Option<Timestamp>,
    pub triggering_run_id: Option<RunId>,
}

/// All columns of [`Row`].
pub const COLUMNS: &str = "id, organization_id, workspace_id, number, configuration_version_id, life, options, source,
    created_by, created_at, updated_at, plan_id, apply_id, results, plan_log_id, plan_json_id, plan_redacted_id, kept_id,
    apply_log_id, snapshot_id, state_version_id, lease, queued_at, triggering_run_id";

/// What was asked of a run and concerns the engine or the reader, not the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Why the run was made.
    pub message: String,
    /// Whether the plan refreshes first.
    pub refresh: bool,
    /// Only these addresses.
    pub target_addrs: Vec<String>,
    /// Replace these addresses.
    pub replace_addrs: Vec<String>,
    /// The engine's version, where the run has its own.
    pub terraform_version: String,
    /// `allow-empty-apply` as asked, which may be unset.
    pub allow_empty_apply: Option<bool>,
    /// Whether the engine may write configuration for imports.
    pub allow_config_generation: bool,
    /// Whether the engine logs everything.
    pub debugging_mode: bool,
    /// The command line of an operation.
    pub exec: Option<Vec<String>>,
    /// Whether the run has variables of its own, which are sealed elsewhere.
    pub has_variables: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// What the apply did, by the engine's own count.
    pub applied: Option<life::Counts>,
    /// Whether the plan wrote configuration for imports.
    pub generated_configuration: bool,
    /// The engine that planned, as `1.11.4`.
    pub engine_version: Option<String>,
    /// Under which the runner keeps the schemas of the plan's providers for a while.
    pub schemas_key: Option<String>,
    /// Whether the logs are JSON lines.
    pub structured_output: bool,
    /// Whether the final state could not be made current and is kept as an errored state.
    pub errored_state: bool,
}

/// The variables of a run as they were when it was made, in the clear. Stored sealed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Variables {
    /// Of the workspace.
    pub workspace: Vec<variables::Value>,
    /// Of the run itself, as HCL literals.
    pub run: Vec<(String, String)>,
    /// What an operation reads.
    #[serde(default)]
    pub input: String,
}

impl Row {
    /// The columns of a run that is about to be made.
    #[expect(clippy::too_many_arguments, reason = "each is a column of the row, and there is one caller")]
    pub fn new(
        id: RunId,
        workspace: &Workspace,
        number: i64,
        configuration: ConfigurationVersionId,
        source: &str,
        created_by: UserId,
        phases: (PlanId, ApplyId),
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            organization_id: workspace.organization_id.clone(),
            workspace_id: workspace.id.clone(),
            number,
            configuration_version_id: configuration,
            life: String::new(),
            options: String::new(),
            source: source.to_owned(),
            created_by,
            created_at: now,
            updated_at: now,
            plan_id: phases.0,
            apply_id: phases.1,
            results: String::new(),
            plan_log_id: None,
            plan_json_id: None,
            plan_redacted_id: None,
            kept_id: None,
            apply_log_id: None,
            snapshot_id: None,
            state_version_id: None,
            lease: None,
            queued_at: None,
            triggering_run_id: None,
        }
    }
}

impl Run {
    /// Decodes a row.
    pub fn decode(row: Row) -> Result<Self> {
        Ok(Self {
            life: serde_json::from_str(&row.life).map_err(Error::internal)?,
            options: serde_json::from_str(&row.options).map_err(Error::internal)?,
            results: serde_json::from_str(&row.results).map_err(Error::internal)?,
            row,
        })
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.row.id
    }
}

/// The run of an id, read without a lock.
pub async fn by_id(app: &App, id: &str) -> Result<Run> {
    let row: Row = app
        .db
        .one(db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM runs WHERE id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)?;
    Run::decode(row)
}

/// The run of an id inside a transaction that holds its workspace's row.
pub async fn in_tx(tx: &mut Tx, id: &RunId) -> Result<Run> {
    let row: Row = tx
        .one(db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM runs WHERE id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)?;
    Run::decode(row)
}

/// The runs of a workspace that have not ended, oldest first.
pub async fn open_in_tx(tx: &mut Tx, workspace: &WorkspaceId) -> Result<Vec<Run>> {
    let rows: Vec<Row> = tx
        .all(
            db::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM runs WHERE workspace_id = $1 AND final = FALSE ORDER BY number"
            )),
            args![workspace],
        )
        .await?;
    rows.into_iter().map(Run::decode).collect()
}

/// What is to be done once the transaction is committed. Losing it delays and never loses: the scheduler looks by
/// itself, and a runner asks what the row says.
#[derive(Debug, Default)]
#[must_use = "perform it after the commit"]
pub struct After {
    wake: bool,
    signals: Vec<(RunId, Signal)>,
    changed: Vec<Change>,
    forget: Vec<RunId>,
}

impl After {
    /// Joins what another change of the same transaction wants.
    pub fn and(&mut self, other: Self) {
        self.wake |= other.wake;
        self.signals.extend(other.signals);
        self.changed.extend(other.changed);
        self.forget.extend(other.forget);
    }

    /// Tells processes, readers and the scheduler.
    pub fn perform(self, app: &App) {
        let jobs = app.area::<Jobs>();
        for (run, signal) in &self.signals {
            jobs.signal(run, *signal);
        }
        for change in self.changed {
            if let Some(run) = &change.run {
                jobs.changed(run);
            }
            app.changes.tell(change);
        }
        for run in self.forget {
            jobs.forget(&run);
        }
        if self.wake {
            app.pulse();
        }
    }
}

/// Lets `event` happen to `run`, in a transaction that holds the workspace's row.
///
/// # Errors
/// 409 `transition not allowed` when the rules refuse; then nothing was written.
pub async fn advance(
    app: &App,
    tx: &mut Tx,
    run: &mut Run,
    event: &Event,
    actor: Option<&UserId>,
) -> Result<After> {
    let now = run.life.instant(app.now());
    let (next, effects) = life::step(&run.life, event, now)?;
    run.life = next;
    run.row.updated_at = now;
    carry_out(app, tx, run, event, effects, actor, now).await
}

/// Stores a new run with its first event. The caller holds the workspace's row and has filled the rest of `run`.
pub async fn insert(
    app: &App,
    tx: &mut Tx,
    run: &mut Run,
    creation: life::Creation,
    sealed_variables: Vec<u8>,
) -> Result<After> {
    let now = run.row.created_at;
    let (life, effects) = life::create(&creation, now);
    run.life = life;
    // From now on it waits; by this, and not by when it was made, because a clock can be set back.
    run.row.queued_at = Some(app.area::<Jobs>().queued_at(app.now()));
    let row = &run.row;
    tx.exec(
        "INSERT INTO runs (id, organization_id, workspace_id, number, configuration_version_id, status, operation, final,
           life, message, options, variables, source, created_by, created_at, updated_at, plan_id, apply_id, results, version,
           triggering_run_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, $8, $17, $9, $10, $11, $12, $13, $13, $14, $15, $16, 1, $18)",
        args![
            &row.id,
            &row.organization_id,
            &row.workspace_id,
            row.number,
            &row.configuration_version_id,
            run.life.status.as_str(),
            life::operation(&run.life),
            encode(&run.life)?,
            encode(&run.options)?,
            sealed_variables,
            &row.source,
            &row.created_by,
            row.created_at,
            &row.plan_id,
            &row.apply_id,
            encode(&run.results)?,
            &run.options.message,
            row.triggering_run_id.as_ref()
        ],
    )
    .await?;
    let by = creation.created_by.clone();
    carry_out(app, tx, run, &Event::Queued(creation), effects, Some(&by), now).await
}

fn encode(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

async fn carry_out(
    app: &App,
    tx: &mut Tx,
    run: &mut Run,
    event: &Event,
    effects: Vec<Effect>,
    actor: Option<&UserId>,
    now: Timestamp,
) -> Result<After> {
    let id = run.row.id.clone();
    let change = Change {
        organization: run.row.organization_id.clone(),
        workspace: run.row.workspace_id.clone(),
        run: Some(id.clone()),
    };
    let mut after = After { changed: vec![change], ..After::default() };
    for effect in effects {
        match effect {
            Effect::RunEvent { action, description } => {
                insert_event(app, tx, &id, event, action, description, actor, now).await?;
            }
            Effect::LockWorkspace => lock::take_for_run(tx, &run.row.workspace_id, &id).await?,
            Effect::UnlockWorkspace => lock::release_for_run(tx, &run.row.workspace_id, &id).await?,
            Effect::BecomeCurrentRun => become_current(tx, &run.row.workspace_id, &id, now).await?,
            Effect::MakeConfigurationCurrent => make_configuration_current(tx, run).await?,
            Effect::QueueJob(_) => {
                run.row.queued_at = Some(app.area::<Jobs>().queued_at(app.now()));
                run.row.lease = None;
                after.wake = true;
            }
            Effect::SignalCancel => after.signals.push((id.clone(), Signal::Cancel)),
            Effect::SignalKill => after.signals.push((id.clone(), Signal::Kill)),
            Effect::WakeQueue => after.wake = true,
            Effect::DropWorkDirectory => after.forget.push(id.clone()),
        }
    }
    store(tx, run).await?;
    if matches!(event, Event::ApplyFinished) && run.life.status == Status::Applied {
        after.wake |= run_triggers::note(tx, run, now).await?;
        workspaces::auto_destroy::applied(tx, &run.row.workspace_id, run.life.options.is_destroy, now)
            .await?;
    }
    Ok(after)
}

/// Writes everything that may change of a run. The lease goes with the job.
async fn store(tx: &mut Tx, run: &mut Run) -> Result<()> {
    let job = run.life.job().map(|job| match job {
        Job::Plan => "plan",
        Job::Apply => "apply",
    });
    if job.is_none() {
        run.row.lease = None;
    }
    let row = &run.row;
    tx.exec(
        "UPDATE runs SET status = $2, final = $3, life = $4, results = $5, updated_at = $6, plan_log_id = $7,
           plan_json_id = $8, plan_redacted_id = $9, kept_id = $10, apply_log_id = $11, snapshot_id = $12,
           state_version_id = $13, job = $14, lease = $15, queued_at = $16, worked_ms = $17,
           version = version + 1
         WHERE id = $1",
        args![
            &row.id,
            run.life.status.as_str(),
            run.life.is_final(),
            encode(&run.life)?,
            encode(&run.results)?,
            row.updated_at,
            row.plan_log_id.as_ref(),
            row.plan_json_id.as_ref(),
            row.plan_redacted_id.as_ref(),
            row.kept_id.as_ref(),
            row.apply_log_id.as_ref(),
            row.snapshot_id.as_ref(),
            row.state_version_id.as_ref(),
            job,
            row.lease.clone(),
            row.queued_at,
            run.life.is_final().then(|| statistics::worked_ms(&run.life, row.updated_at))
        ],
    )
    .await
    .map(drop)
}

#[expect(clippy::too_many_arguments, reason = "the columns of one row; a struct would be used once")]
async fn insert_event(
    app: &App,
    tx: &mut Tx,
    run: &RunId,
    event: &Event,
    action: &str,
    description: Option<String>,
    actor: Option<&UserId>,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        "INSERT INTO run_events (id, run_id, number, action, description, actor_id, event, created_at)
         SELECT $1, $2, COALESCE(MAX(number), 0) + 1, $3, $4, $5, $6, $7 FROM run_events WHERE run_id = $2",
        args![&RunEventId::new(&app.env), run, action, description, actor, encode(event)?, now],
    )
    .await
    .map(drop)
}

async fn become_current(tx: &mut Tx, workspace: &WorkspaceId, run: &RunId, now: Timestamp) -> Result<()> {
    tx.exec(
        "UPDATE workspaces SET current_run_id = $2, latest_change_at = $3 WHERE id = $1",
        args![workspace, run, now],
    )
    .await
    .map(drop)
}

/// A provisional configuration becomes current when its run is confirmed, unless a newer one is already.
async fn make_configuration_current(tx: &mut Tx, run: &Run) -> Result<()> {
    tx.exec(
        "UPDATE workspaces SET current_configuration_version_id = $2 WHERE id = $1 AND NOT EXISTS (
           SELECT 1 FROM configuration_versions c JOIN configuration_versions own ON own.id = $2
           WHERE c.id = workspaces.current_configuration_version_id AND c.number > own.number)",
        args![&run.row.workspace_id, &run.row.configuration_version_id],
    )
    .await
    .map(drop)
}

/// Adds a comment by itself, with the event that the API shows for it: it changes nothing of the run.
pub async fn comment(app: &App, tx: &mut Tx, run: &RunId, body: &str, by: &UserId) -> Result<CommentId> {
    let id = RunEventId::new(&app.env);
    tx.exec(
        "INSERT INTO run_events (id, run_id, number, action, description, actor_id, event, created_at)
         SELECT $1, $2, COALESCE(MAX(number), 0) + 1, 'commented', NULL, $3, $4, $5 FROM run_events WHERE run_id = $2",
        args![&id, run, by, NOT_OF_LIFE, app.now()],
    )
    .await?;
    comment_on_newest(app, tx, run, body, by).await
}

/// What stands for the event of something that happened to a run and not in its life.
pub const NOT_OF_LIFE: &str = "null";

/// Adds a comment that accompanies an action, to the event of the action.
pub async fn comment_on_newest(
    app: &App,
    tx: &mut Tx,
    run: &RunId,
    body: &str,
    by: &UserId,
) -> Result<CommentId> {
    let id = CommentId::new(&app.env);
    let now = app.now();
    let event: Option<(RunEventId,)> = tx
        .one("SELECT id FROM run_events WHERE run_id = $1 ORDER BY number DESC LIMIT 1", args![run])
        .await?;
    let event = event.map(|(id,)| id).ok_or(Error::NotFound)?;
    tx.exec(
        "INSERT INTO comments (id, run_id, run_event_id, body, user_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        args![&id, run, &event, body, by, now],
    )
    .await?;
    Ok(id)
}

/// Deletes objects that a run no longer needs, in the caller's transaction.
pub async fn delete_blobs(tx: &mut Tx, ids: impl IntoIterator<Item = Option<BlobId>>) -> Result<()> {
    for id in ids.into_iter().flatten() {
        tx.exec("DELETE FROM blobs WHERE id = $1", vec![Arg::from(&id)]).await?;
    }
    Ok(())
}
