//! How a run is made: by `POST /runs`, or by the upload of a configuration that queues its run.
//!
//! Everything a run depends on is frozen here: the configuration version, the workspace's and the run's variables, the
//! options. Source: semantics.md §1.6, §2, §3.

use crate::{
    configuration_versions::{self, ConfigurationVersion},
    document,
    life::{Asked, Circumstances, Creation},
    operations,
    runs::{self, After, Options, Results, Row, Run, Variables},
};
use authz::{RunsLevel, WorkspacePermissions, perm};
use db::{Tx, args};
use http_api::{App, Cx, Data, Error, Reply, Result};
use kernel::ids::{ApplyId, ConfigurationVersionId, PlanId, RunId, UserId, WorkspaceId};
use serde::Deserialize;
use workspaces::{Workspace, variables, workspaces::hold};

/// The message of a run whose maker gave none.
pub const DEFAULT_MESSAGE: &str = "Queued manually via the Terraform Enterprise API";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Attributes {
    message: Option<String>,
    auto_apply: Option<bool>,
    plan_only: Option<bool>,
    terraform_version: Option<String>,
    save_plan: Option<bool>,
    is_destroy: Option<bool>,
    refresh_only: Option<bool>,
    refresh: Option<bool>,
    allow_empty_apply: Option<bool>,
    target_addrs: Option<Vec<String>>,
    replace_addrs: Option<Vec<String>>,
    /// Terraform before 1.4 puts a null in front for each of them.
    variables: Option<Vec<Option<RunVariable>>>,
    allow_config_generation: Option<bool>,
    debugging_mode: Option<bool>,
    exec: Option<Exec>,
}

/// A command to be carried out in place of a plan: [`crate::operations`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Exec {
    arguments: Vec<String>,
    input: String,
}

/// Terraform before 1.4 begins the names with capitals.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RunVariable {
    #[serde(alias = "Key")]
    pub(crate) key: String,
    #[serde(default, alias = "Value")]
    pub(crate) value: String,
}

impl Attributes {
    fn asked(&self) -> Asked {
        Asked {
            plan_only: self.plan_only,
            save_plan: self.save_plan,
            is_destroy: self.is_destroy,
            refresh_only: self.refresh_only,
            refresh: self.refresh,
            allow_empty_apply: self.allow_empty_apply,
            auto_apply: self.auto_apply,
            terraform_version: self.terraform_version.clone().filter(|version| !version.is_empty()),
            exec: self.exec.is_some(),
            query: false,
            replaces: self.replace_addrs.as_ref().is_some_and(|addresses| !addresses.is_empty()),
        }
    }
}

/// All that a new run needs besides its workspace.
pub struct NewRun<'a> {
    /// The configuration to work on.
    pub configuration: &'a ConfigurationVersion,
    /// What was asked and concerns the rules.
    pub asked: Asked,
    /// What was asked and concerns the engine.
    pub options: Options,
    /// Where it comes from: `tfe-api`, `tfe-configuration-version`, `terraform+cloud`, …
    pub source: &'a str,
    /// Whether its logs may be JSON lines, where the workspace wants them.
    pub json_lines: bool,
    /// Who made it.
    pub created_by: UserId,
    /// Whether they may apply.
    pub may_apply: bool,
    /// The frozen variables, sealed for this id.
    pub variables: Sealed,
    /// The run whose apply triggered it.
    pub triggered_by: Option<RunId>,
}

/// A run's id with its variables, sealed for it. Made before the transaction, which must not wait for anything else.
pub struct Sealed {
    id: RunId,
    variables: Vec<u8>,
}

/// Freezes the variables of a workspace as they are now, with what is the run's `own`.
pub async fn freeze(app: &App, workspace: &Workspace, own: Variables) -> Result<Sealed> {
    let id = RunId::new(&app.env);
    let workspace_values = variables::values(app, &workspace.organization_id, &workspace.id).await?;
    let plain =
        serde_json::to_vec(&Variables { workspace: workspace_values, ..own }).map_err(Error::internal)?;
    let key = app.data_key(&workspace.organization_id).await?;
    Ok(Sealed { variables: key.seal(&app.env, id.as_str(), &plain), id })
}

/// Makes a run. The caller holds the workspace's row.
///
/// # Errors
/// 422 with every attribute that is wrong.
pub async fn queue(app: &App, tx: &mut Tx, workspace: &Workspace, new: NewRun<'_>) -> Result<(Run, After)> {
    let met = Circumstances {
        speculative: new.configuration.speculative,
        provisional: new.configuration.provisional,
        allow_destroy_plan: workspace.allow_destroy_plan,
        auto_apply: workspace.auto_apply,
        creator_may_apply: new.may_apply,
    };
    let options = new.asked.options(&met).map_err(Error::Invalid)?;
    let newest: Option<(Option<i64>,)> =
        tx.one("SELECT MAX(number) FROM runs WHERE workspace_id = $1", args![&workspace.id]).await?;
    let creation = Creation { options, created_by: new.created_by.clone() };
    let (life, _) = crate::life::create(&creation, app.now());
    let mut row = Row::new(
        new.variables.id,
        workspace,
        newest.and_then(|(n,)| n).unwrap_or(0) + 1,
        new.configuration.id.clone(),
        new.source,
        new.created_by,
        (PlanId::new(&app.env), ApplyId::new(&app.env)),
        app.now(),
    );
    row.triggering_run_id = new.triggered_by;
    let structured_output = workspace.structured_run_output_enabled && new.json_lines;
    let results = Results { structured_output, ..Results::default() };
    let mut run = Run { row, life, options: new.options, results };
    let after = runs::insert(app, tx, &mut run, creation, new.variables.variables).await?;
    if workspace.lock_kind.as_deref() != Some("run") && run.life.waits_its_turn() {
        // Who is first in line is current, waiting or not: whoever looks at the workspace next finds the run that was just
        // made; while a person holds the lock the command line looks for a pending current run to say so; and of a run
        // that waits for a runner it counts everything down to the current one as before it.
        tx.exec(
            "UPDATE workspaces SET current_run_id = $2, latest_change_at = $3 WHERE id = $1 AND NOT EXISTS
               (SELECT 1 FROM runs WHERE id = workspaces.current_run_id AND final = FALSE)",
            args![&workspace.id, run.id(), run.row.created_at],
        )
        .await?;
    }
    Ok((run, after))
}

/// `POST /runs`.
pub(crate) async fn create(mut cx: Cx) -> Result<Reply> {
    let data: Data<Attributes> = cx.data().await?;
    let workspace =
        data.related("workspace").ok_or_else(|| Error::invalid("workspace", "Workspace can't be blank"))?;
    let (workspace, grants) =
        workspaces::workspaces::granted_by_id::<perm::QueuePlan>(&cx, workspace).await?;
    let held = grants.workspace(&workspace.id, &workspace.project_id);
    let may_apply = held.runs >= RunsLevel::Apply;
    if let Some(exec) = &data.attributes.exec {
        permit(exec, &held)?;
    }
    let configuration = match data.related("configuration-version") {
        Some(id) => given_configuration(&cx, id, &workspace).await?,
        None => latest_configuration(&cx.app, &workspace).await?,
    };
    if configuration.status != "uploaded" {
        return Err(Error::Unprocessable(format!(
            "invalid run parameters: configuration version {} is {}; a run needs one that is uploaded",
            configuration.id, configuration.status
        )));
    }
    let asked = data.attributes;
    let run_variables = asked.variables.as_deref().unwrap_or_default();
    let run_variables: Vec<(String, String)> =
        run_variables.iter().flatten().map(|v| (v.key.clone(), v.value.clone())).collect();
    let app = cx.app.clone();
    let input = asked.exec.as_ref().map(|exec| exec.input.clone()).unwrap_or_default();
    let shown = asked.variables.is_some().then(|| run_variables.clone());
    let own = Variables { run: run_variables, input, ..Variables::default() };
    let variables = freeze(&app, &workspace, own).await?;
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    if held.execution_mode == "local" {
        return Err(Error::Unprocessable(
            "This workspace's execution mode is local: its runs happen on your machine. Set it to remote to run here."
                .to_owned(),
        ));
    }
    let new = NewRun {
        configuration: &configuration,
        asked: asked.asked(),
        options: Options {
            message: asked.message.clone().unwrap_or_else(|| match &asked.exec {
                Some(exec) => exec.arguments.join(" "),
                None => DEFAULT_MESSAGE.to_owned(),
            }),
            refresh: asked.refresh.unwrap_or(true),
            target_addrs: asked.target_addrs.clone().unwrap_or_default(),
            replace_addrs: asked.replace_addrs.clone().unwrap_or_default(),
            terraform_version: asked
                .terraform_version
                .clone()
                .filter(|version| !version.is_empty())
                .unwrap_or_else(|| held.terraform_version.clone()),
            allow_empty_apply: asked.allow_empty_apply,
            allow_config_generation: asked.allow_config_generation.unwrap_or(false),
            debugging_mode: asked.debugging_mode.unwrap_or(false),
            exec: asked.exec.as_ref().map(|exec| exec.arguments.clone()),
            has_variables: shown.as_ref().is_some_and(|list| !list.is_empty()),
        },
        source: source(&cx),
        // Of other commands than `plan` the output is text, whatever the workspace likes.
        json_lines: reads_json_lines(&cx) && asked.exec.is_none(),
        created_by: cx.actor()?.user_id().clone(),
        may_apply,
        variables,
        triggered_by: None,
    };
    if let Some(run) = repeated(&mut tx, &new).await? {
        drop(tx);
        let links = document::Related::of_new(&app, &run, shown).await?;
        let document = document::run(&app, &run, &held, &grants, links);
        return cx.created(document, document::INCLUDES).await;
    }
    let (run, after) = queue(&app, &mut tx, &held, new).await?;
    tx.commit().await?;
    after.perform(&app);
    let links = document::Related::of_new(&app, &run, shown).await?;
    let document = document::run(&app, &run, &held, &grants, links);
    cx.created(document, document::INCLUDES).await
}

/// The run that a command line asks for a second time because the answer to the first was lost: it uploads a configuration
/// version for each of its commands and asks again by itself. A second run would wait for the first, and the person
/// for both.
async fn repeated(tx: &mut Tx, new: &NewRun<'_>) -> Result<Option<Run>> {
    if !new.source.starts_with("terraform") {
        return Ok(None);
    }
    let found: Option<(RunId,)> = tx
        .one(
            "SELECT id FROM runs WHERE configuration_version_id = $1 AND created_by = $2 AND final = FALSE
             ORDER BY number DESC LIMIT 1",
            args![&new.configuration.id, &new.created_by],
        )
        .await?;
    let Some((id,)) = found else { return Ok(None) };
    let run = runs::in_tx(tx, &id).await?;
    Ok(Some(run).filter(|run| run.options == new.options && run.row.source == new.source))
}

/// Whether the caller may have this operation carried out.
fn permit(exec: &Exec, held: &WorkspacePermissions) -> Result<()> {
    let allowed = operations::parse(&exec.arguments).map_err(|why| Error::invalid("exec.arguments", why))?;
    if let Err(missing) = allowed.permitted(held) {
        return Err(Error::Forbidden(format!(
            "`{}` needs the right of {missing} in this workspace",
            allowed.operation.command.join(" ")
        )));
    }
    if exec.input.len() > operations::INPUT_BYTES {
        let most = operations::INPUT_BYTES >> 10;
        return Err(Error::invalid("exec.input", format!("is larger than {most} KiB")));
    }
    if !exec.input.is_empty() && !allowed.reads_input {
        return Err(Error::invalid(
            "exec.input",
            format!("must be empty: `{}` reads nothing", allowed.operation.command.join(" ")),
        ));
    }
    Ok(())
}

fn source(cx: &Cx) -> &'static str {
    match cx.header("x-terraform-integration") {
        Some("cloud") => "terraform+cloud",
        _ if cx.header("terraform-version").is_some() => "terraform",
        _ => "tfe-api",
    }
}

/// Whether the client can show a log of JSON lines. The `remote` backend prints them as they are, and so did the `cloud`
/// block before 1.4; their runs print text. cli-protocol.md §2.1.
fn reads_json_lines(cx: &Cx) -> bool {
    let Some(version) = cx.header("terraform-version") else { return true };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    cx.header("x-terraform-integration") == Some("cloud") && version >= (1, 4)
}

/// A configuration version that the request names. Of another workspace it may be if it is of the same organization and
/// the caller may read that workspace's runs.
pub(crate) async fn given_configuration(
    cx: &Cx,
    id: &str,
    workspace: &Workspace,
) -> Result<ConfigurationVersion> {
    let (version, of, _) = configuration_versions::granted::<perm::ReadRun>(cx, id).await?;
    if of.organization_id != workspace.organization_id {
        return Err(Error::NotFound);
    }
    Ok(version)
}

/// The workspace's current configuration, or the newest usable one while the current still waits for its upload.
pub(crate) async fn latest_configuration(app: &App, workspace: &Workspace) -> Result<ConfigurationVersion> {
    let current = workspace.current_configuration_version_id.as_ref();
    if let Some(version) = find(app, current).await?.filter(|version| version.status == "uploaded") {
        return Ok(version);
    }
    let newest = newest_uploaded(app, &workspace.id).await?;
    if let Some(version) = find(app, newest.as_ref()).await? {
        return Ok(version);
    }
    find(app, current)
        .await?
        .ok_or_else(|| Error::Unprocessable("Configuration version is missing".to_owned()))
}

async fn find(app: &App, id: Option<&ConfigurationVersionId>) -> Result<Option<ConfigurationVersion>> {
    match id {
        Some(id) => configuration_versions::by_id(app, id.as_str()).await.map(Some),
        None => Ok(None),
    }
}

async fn newest_uploaded(app: &App, workspace: &WorkspaceId) -> Result<Option<ConfigurationVersionId>> {
    let found: Option<(ConfigurationVersionId,)> = app
        .db
        .one(
            "SELECT id FROM configuration_versions WHERE workspace_id = $1 AND status = 'uploaded'
               AND speculative = FALSE AND provisional = FALSE ORDER BY number DESC LIMIT 1",
            args![workspace],
        )
        .await?;
    Ok(found.map(|(id,)| id))
}
