//! The resources as this client sees them.
//!
//! Names are the API's, with underscores. An attribute that a server leaves out takes its default, so that an older
//! or a stricter server can be spoken to.

use crate::document::{FromResource, Resource};
use kernel::{
    Secret,
    ids::{
        ApplyId, ConfigurationVersionId, PlanId, RunEventId, RunId, StateVersionId, UserId, VariableId,
        WorkspaceId,
    },
};
use serde::Deserialize;
use serde_json::Value;

/// Declares a resource: public fields read from attributes of the same name, after its typed id.
macro_rules! resource {
    (
        $(#[$doc:meta])* $name:ident, $(#[$id_doc:meta])* $id:ty,
        attributes { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
        relations { $($(#[$rel_doc:meta])* $rel:ident: $rel_type:ty = $read:expr,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $(#[$id_doc])*
            pub id: $id,
            $($(#[$field_doc])* pub $field: $type,)*
            $($(#[$rel_doc])* pub $rel: $rel_type,)*
        }

        impl FromResource for $name {
            fn from_resource(resource: &Resource, included: &[Resource]) -> serde_json::Result<Self> {
                #[derive(Deserialize)]
                #[serde(rename_all = "kebab-case")]
                struct Attributes { $(#[serde(default, deserialize_with = "null_is_default")] $field: $type,)* }
                let attributes: Attributes = resource.attributes()?;
                let _ = (&attributes, included);
                $(let read: fn(&Resource, &[Resource]) -> serde_json::Result<$rel_type> = $read;
                  let $rel = read(resource, included)?;)*
                Ok(Self { id: resource.id.clone().into(), $($field: attributes.$field,)* $($rel,)* })
            }
        }
    };
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

fn related<T: From<String>>(resource: &Resource, name: &str) -> serde_json::Result<Option<T>> {
    Ok(resource.related(name).map(|(_, id)| id.to_owned().into()))
}

fn included<T: FromResource>(
    resource: &Resource,
    name: &str,
    all: &[Resource],
) -> serde_json::Result<Option<T>> {
    resource.follow(name, all).map(|found| T::from_resource(found, all)).transpose()
}

resource! {
    /// Whose token this is; a team's or an organization's token belongs to a synthetic user.
    Account,
    /// The user.
    UserId,
    attributes {
        /// Unique on the server.
        username: String,
        /// Absent for service accounts.
        email: Option<String>,
        /// Whether the user stands for a team or an organization.
        is_service_account: bool,
    }
    relations {}
}

resource! {
    /// Somebody, or something that acts like somebody.
    User,
    /// The user.
    UserId,
    attributes {
        /// Unique on the server.
        username: String,
    }
    relations {}
}

resource! {
    /// An organization.
    Organization,
    /// Its name, which the API calls its id.
    String,
    attributes {
        /// The same name.
        name: String,
        /// Its contact address.
        email: Option<String>,
    }
    relations {}
}

resource! {
    /// A workspace.
    Workspace,
    /// Stable across renames.
    WorkspaceId,
    attributes {
        /// Unique in its organization.
        name: String,
        /// What it is for, in a person's words.
        description: Option<String>,
        /// Whether runs are held back.
        locked: bool,
        /// Why, in the words of whoever locked it.
        locked_reason: Option<String>,
        /// When it was made, as ISO 8601.
        created_at: String,
        /// When it was last changed, as ISO 8601.
        updated_at: String,
        /// Managed resources in its state.
        resource_count: u64,
        /// Its flat tags.
        tag_names: Vec<String>,
        /// Ferroform's addition: `terraform` or `tofu`.
        engine: Option<String>,
        /// Whether plans are applied without a person.
        auto_apply: bool,
        /// `remote`, `local` or `agent`.
        execution_mode: String,
        /// Where in the archive the engine runs; empty is the root.
        working_directory: String,
        /// The engine's version or constraint.
        terraform_version: String,
        /// Whether logs are the engine's JSON lines.
        structured_run_output_enabled: bool,
        /// Present when configurations come from a repository.
        vcs_repo: Option<Value>,
        /// What the token may do here.
        permissions: WorkspacePermissions,
    }
    relations {
        /// The run that holds the workspace or is next.
        current_run: Option<RunId> = |r, _| related(r, "current-run"),
        /// Who holds the lock.
        locked_by: Option<LockHolder> = |r, all| {
            Ok(r.related("locked-by").map(|(kind, id)| LockHolder {
                kind: kind.to_owned(),
                id: id.to_owned(),
                name: r.follow("locked-by", all).and_then(name_of),
            }))
        },
        /// The organization's name.
        organization: Option<String> = |r, _| related(r, "organization"),
        /// What its current run is at, where it was asked to be included.
        current: Option<RunBrief> = |r, all| included(r, "current-run", all),
    }
}

/// Who holds a workspace's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// `users`, `teams` or `runs`.
    pub kind: String,
    /// The holder's id.
    pub id: String,
    /// The user's or team's name, where the holder was asked to be included.
    pub name: Option<String>,
}

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.trim_end_matches('s'), self.name.as_ref().unwrap_or(&self.id))
    }
}

/// What people call a user or a team.
fn name_of(resource: &Resource) -> Option<String> {
    #[derive(Deserialize)]
    struct Names {
        username: Option<String>,
        name: Option<String>,
    }
    let names: Names = resource.attributes().ok()?;
    names.username.or(names.name)
}

/// What a token may do in a workspace. What the server does not say is taken as allowed: it will refuse by itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WorkspacePermissions {
    /// Start plans.
    pub can_queue_run: bool,
    /// Confirm applies.
    pub can_queue_apply: bool,
}

impl Default for WorkspacePermissions {
    fn default() -> Self {
        Self { can_queue_run: true, can_queue_apply: true }
    }
}

resource! {
    /// A workspace variable.
    Variable,
    /// The variable.
    VariableId,
    attributes {
        /// The name.
        key: String,
        /// `None` when sensitive.
        value: Option<String>,
        /// `terraform` or `env`.
        category: String,
        /// Whether the value is an expression instead of text.
        hcl: bool,
        /// Whether the value can never be read back.
        sensitive: bool,
        /// What it is for, in a person's words.
        description: Option<String>,
    }
    relations {}
}

resource! {
    /// An uploaded configuration.
    ConfigurationVersion,
    /// The configuration version.
    ConfigurationVersionId,
    attributes {
        /// `pending`, `fetching`, `uploaded`, `archived`, `errored` and others.
        status: String,
        /// Why it is `errored`.
        error_message: Option<String>,
        /// Where to put the archive; only in the answer to its creation. Whoever has it can upload.
        upload_url: Option<Secret>,
        /// Whether it can only be planned.
        speculative: bool,
    }
    relations {}
}

resource! {
    /// A run.
    Run,
    /// The run.
    RunId,
    attributes {
        /// Where it is in its life.
        status: RunStatus,
        /// Why it was started, in a person's words.
        message: Option<String>,
        /// Whether the plan found anything to do; meaningful once planned.
        has_changes: bool,
        /// Whether it destroys everything.
        is_destroy: bool,
        /// Whether it can never be applied.
        plan_only: bool,
        /// Whether it is applied without a person.
        auto_apply: bool,
        /// What its state allows.
        actions: Actions,
        /// What the token allows.
        permissions: RunPermissions,
        /// Ferroform's addition: what a pending run waits for. See [`Run::waiting_for`].
        waiting_for: Value,
        /// Place among the organization's waiting runs, where the server says so.
        position_in_queue: Option<u32>,
        /// When it was made, as ISO 8601.
        created_at: String,
        /// What made it: `tfe-api`, `tfe-ui`, `terraform+cloud` and others.
        source: String,
        /// Why it failed, where the server says so.
        error_message: Option<String>,
        /// The engine's version.
        terraform_version: Option<String>,
        /// From when on a run that does not heed its cancel can be killed, as ISO 8601; absent before it was canceled.
        force_cancel_available_at: Option<String>,
        /// When it came to each status, by `<status>-at`.
        status_timestamps: Value,
        /// Ferroform's addition: the operation that it carries out in place of a plan.
        exec: Option<Exec>,
    }
    relations {
        /// Its workspace.
        workspace_id: Option<WorkspaceId> = |r, _| related(r, "workspace"),
        /// Its configuration.
        configuration_version_id: Option<ConfigurationVersionId> = |r, _| related(r, "configuration-version"),
        /// Its plan.
        plan_id: Option<PlanId> = |r, _| related(r, "plan"),
        /// Its apply.
        apply_id: Option<ApplyId> = |r, _| related(r, "apply"),
        /// The plan itself, where it was asked to be included.
        plan: Option<Plan> = |r, all| included(r, "plan", all),
        /// The apply itself, where it was asked to be included.
        apply: Option<Apply> = |r, all| included(r, "apply", all),
        /// The workspace itself, where it was asked to be included.
        workspace: Option<Workspace> = |r, all| included(r, "workspace", all),
        /// Who made it, where it was asked to be included.
        created_by: Option<User> = |r, all| included(r, "created-by", all),
    }
}

resource! {
    /// What a run is at, as far as the list of workspaces tells.
    RunBrief,
    /// The run.
    RunId,
    attributes {
        /// Where it is in its life.
        status: RunStatus,
        /// When it was made, as ISO 8601.
        created_at: String,
    }
    relations {}
}

resource! {
    /// Something that happened to a run.
    RunEvent,
    /// The event.
    RunEventId,
    attributes {
        /// What: `created`, `confirmed`, `changed_task_enforcements` and others.
        action: String,
        /// In the server's words.
        description: Option<String>,
        /// When, as ISO 8601.
        created_at: String,
    }
    relations {
        /// Who did it; nobody where the server did.
        actor: Option<User> = |r, all| included(r, "actor", all),
    }
}

/// An operation that a run carries out in place of a plan.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Exec {
    /// The engine's command line.
    pub arguments: Vec<String>,
    /// The name of the file that it made, once it has: [`crate::Client::exec_file`].
    #[serde(default)]
    pub file: Option<String>,
}

impl Run {
    /// What a pending run waits for, in words; `None` when the server does not say.
    ///
    /// The attribute is text, or an object whose `message` (or `description`, `detail`, `reason`) is text; of any
    /// other object the members are listed.
    pub fn waiting_for(&self) -> Option<String> {
        match &self.waiting_for {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Object(members) => {
                let named = ["message", "description", "detail", "reason"];
                let text = named.iter().find_map(|name| members.get(*name).and_then(Value::as_str));
                text.map(str::to_owned).or_else(|| {
                    let listed: Vec<_> = members
                        .iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(name, value)| match value {
                            Value::String(text) => format!("{name} {text}"),
                            other => format!("{name} {other}"),
                        })
                        .collect();
                    (!listed.is_empty()).then(|| listed.join(", "))
                })
            }
            _ => None,
        }
    }
}

/// Where a run is in its life. Open: a status of a later server is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct RunStatus(String);

impl RunStatus {
    /// As the API spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the run has ended and will never change again.
    pub fn is_final(&self) -> bool {
        matches!(
            self.as_str(),
            "applied"
                | "discarded"
                | "errored"
                | "canceled"
                | "planned_and_finished"
                | "policy_soft_failed"
                | "assessed"
        )
    }

    /// Whether the plan has not started yet.
    pub fn is_before_plan(&self) -> bool {
        matches!(
            self.as_str(),
            "pending"
                | "fetching"
                | "fetching_completed"
                | "pre_plan_running"
                | "pre_plan_completed"
                | "queuing"
                | "plan_queued"
                | "pre_plan_awaiting_decision"
        )
    }

    /// Whether the run has been confirmed, by a person or by itself, or is beyond that.
    pub fn is_confirmed(&self) -> bool {
        matches!(
            self.as_str(),
            "confirmed"
                | "pre_apply_running"
                | "pre_apply_completed"
                | "queuing_apply"
                | "apply_queued"
                | "applying"
                | "post_apply_running"
                | "post_apply_completed"
                | "applied"
        )
    }

    /// Whether somebody has to overrule a policy before the run can go on.
    pub fn is_awaiting_override(&self) -> bool {
        matches!(
            self.as_str(),
            "policy_override" | "post_plan_awaiting_decision" | "pre_plan_awaiting_decision"
        )
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a run's state allows, whoever asks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Actions {
    /// It waits for its confirmation.
    pub is_confirmable: bool,
    /// It can be thrown away instead.
    pub is_discardable: bool,
    /// It can be stopped.
    pub is_cancelable: bool,
    /// It was asked to stop and did not; it can be killed.
    pub is_force_cancelable: bool,
}

/// What the token allows on a run.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RunPermissions {
    /// Confirm.
    pub can_apply: bool,
    /// Throw away.
    pub can_discard: bool,
    /// Stop.
    pub can_cancel: bool,
}

resource! {
    /// The plan of a run.
    Plan,
    /// The plan.
    PlanId,
    attributes {
        /// How far it is.
        status: PhaseStatus,
        /// Whether it found anything to do; `None` until finished.
        has_changes: Option<bool>,
        /// Resources to add; `None` until finished.
        resource_additions: Option<u64>,
        /// Resources to change; `None` until finished.
        resource_changes: Option<u64>,
        /// Resources to destroy; `None` until finished.
        resource_destructions: Option<u64>,
        /// Resources to import; `None` until finished, or from older servers.
        resource_imports: Option<u64>,
        /// Where the log is read. Whoever has it can read the log.
        log_read_url: Option<Secret>,
    }
    relations {}
}

resource! {
    /// The apply of a run.
    Apply,
    /// The apply.
    ApplyId,
    attributes {
        /// How far it is.
        status: PhaseStatus,
        /// Resources added; `None` until finished.
        resource_additions: Option<u64>,
        /// Resources changed; `None` until finished.
        resource_changes: Option<u64>,
        /// Resources destroyed; `None` until finished.
        resource_destructions: Option<u64>,
        /// Resources imported; `None` until finished, or from older servers.
        resource_imports: Option<u64>,
        /// Where the log is read. Whoever has it can read the log.
        log_read_url: Option<Secret>,
    }
    relations {}
}

/// How far a plan or an apply is. Open, as [`RunStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct PhaseStatus(String);

impl PhaseStatus {
    /// As the API spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has ended, or will never begin (`unreachable`).
    pub fn is_terminal(&self) -> bool {
        matches!(self.as_str(), "finished" | "errored" | "canceled" | "unreachable")
    }
}

resource! {
    /// A version of a workspace's state.
    StateVersion,
    /// The state version.
    StateVersionId,
    attributes {
        /// Counts up with each change of the state.
        serial: u64,
        /// `pending`, `finalized`, `discarded` and others; empty from older servers.
        status: String,
        /// Where the state is read. Whoever has it can read the state on some servers.
        hosted_state_download_url: Option<Secret>,
        /// Where the state as `terraform show -json` prints it is read, if it is stored.
        hosted_json_state_download_url: Option<Secret>,
        /// When it was stored, as ISO 8601.
        created_at: String,
        /// Bytes of the state, where the server says so.
        size: Option<u64>,
        /// The state's lineage.
        lineage: Option<String>,
        /// The engine that wrote it.
        terraform_version: Option<String>,
    }
    relations {
        /// The run that made it.
        run_id: Option<RunId> = |r, _| related(r, "run"),
        /// Who made it, where it was asked to be included.
        created_by: Option<User> = |r, all| included(r, "created-by", all),
    }
}
