//! What a request may set of a workspace: checked, and carried over.

use super::Workspace;
use crate::auto_destroy;
use accounts::execution::{self, Execution, OF_WORKSPACES};
use http_api::{Error, Patch, Result};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// The attributes that only the API reads; stored as one JSON document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Settings {
    pub(super) auto_apply_run_trigger: bool,
    pub(super) queue_all_runs: bool,
    pub(super) speculative_enabled: bool,
    pub(super) file_triggers_enabled: bool,
    pub(super) trigger_prefixes: Vec<String>,
    pub(super) trigger_patterns: Vec<String>,
    pub(super) assessments_enabled: bool,
    pub(super) environment: String,
    pub(super) source: String,
    pub(super) source_name: Option<String>,
    pub(super) source_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_apply_run_trigger: false,
            queue_all_runs: false,
            speculative_enabled: true,
            file_triggers_enabled: true,
            trigger_prefixes: vec![],
            trigger_patterns: vec![],
            assessments_enabled: false,
            environment: "default".to_owned(),
            source: "tfe-api".to_owned(),
            source_name: None,
            source_url: None,
        }
    }
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Attributes {
    pub(super) name: Option<String>,
    pub(super) description: Patch<String>,
    pub(super) auto_apply: Option<bool>,
    pub(super) auto_apply_run_trigger: Option<bool>,
    pub(super) allow_destroy_plan: Option<bool>,
    pub(super) execution_mode: Option<String>,
    pub(super) agent_pool_id: Option<String>,
    pub(super) operations: Option<bool>,
    pub(super) engine: Option<String>,
    pub(super) terraform_version: Option<String>,
    pub(super) working_directory: Patch<String>,
    pub(super) structured_run_output_enabled: Option<bool>,
    pub(super) global_remote_state: Option<bool>,
    pub(super) project_remote_state: Option<bool>,
    pub(super) queue_all_runs: Option<bool>,
    pub(super) speculative_enabled: Option<bool>,
    pub(super) file_triggers_enabled: Option<bool>,
    pub(super) trigger_prefixes: Option<Vec<String>>,
    pub(super) trigger_patterns: Option<Vec<String>>,
    pub(super) assessments_enabled: Option<bool>,
    pub(super) source_name: Patch<String>,
    pub(super) source_url: Patch<String>,
    pub(super) setting_overwrites: Overwrites,
    pub(super) auto_destroy_at: Patch<String>,
    pub(super) auto_destroy_activity_duration: Patch<String>,
    pub(super) inherits_project_auto_destroy: Option<bool>,
}

/// Which settings are the workspace's own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Overwrites {
    pub(super) execution_mode: Option<bool>,
    pub(super) agent_pool: Option<bool>,
}

impl Attributes {
    /// Every attribute that is wrong, each with a sentence.
    pub(super) fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        if let Some(name) = &self.name {
            if name.is_empty() || name.len() > 90 {
                wrong.push(("name", "Name must have between 1 and 90 characters"));
            } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                wrong.push(("name", "Name can only include letters, numbers, -, and _"));
            }
        }
        if self.engine.as_deref().is_some_and(|engine| engine != "terraform" && engine != "tofu") {
            wrong.push(("engine", "Engine must be terraform or tofu"));
        }
        if self.terraform_version.as_deref().is_some_and(|version| !is_version(version)) {
            wrong.push((
                "terraform-version",
                "Terraform version is not a version, a version constraint or \"latest\"",
            ));
        }
        if let Patch::Value(directory) = &self.working_directory
            && (directory.starts_with('/') || directory.split('/').any(|part| part == ".."))
        {
            wrong.push((
                "working-directory",
                "Working directory must be a relative path inside the configuration",
            ));
        }
        if let Patch::Value(at) = &self.auto_destroy_at
            && Timestamp::parse(at).is_none()
        {
            wrong.push((
                "auto-destroy-at",
                "Auto destroy at must be an ISO 8601 date and time with an offset",
            ));
        }
        if let (Patch::Value(_), Patch::Value(_)) =
            (&self.auto_destroy_at, &self.auto_destroy_activity_duration)
        {
            wrong.push((
                "auto-destroy-at",
                "Auto destroy at and auto destroy activity duration cannot both be set: ask for one of them",
            ));
        }
        if self.project_remote_state == Some(true) && self.global_remote_state == Some(true) {
            wrong.push(("project-remote-state", BOTH_SHARINGS));
        }
        if let Patch::Value(duration) = &self.auto_destroy_activity_duration {
            auto_destroy::check(duration)?;
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::Invalid(
            wrong.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
        ))
    }

    /// Carries the request over to a workspace. What it inherits is right only after it was stored and read again.
    ///
    /// # Errors
    /// 422 for an execution mode and an agent pool that do not go together.
    pub(super) fn apply(
        self,
        workspace: &mut Workspace,
        settings: &mut Settings,
        now: Timestamp,
    ) -> Result<()> {
        fn set<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }
        set(&mut workspace.name, self.name);
        self.description.apply(&mut workspace.description);
        set(&mut workspace.auto_apply, self.auto_apply);
        set(&mut workspace.allow_destroy_plan, self.allow_destroy_plan);
        // `operations` is the older form of the execution mode.
        let mode = self
            .execution_mode
            .or_else(|| self.operations.map(|on| if on { "remote" } else { "local" }.to_owned()));
        let said = execution::overwrites(
            self.setting_overwrites.execution_mode,
            self.setting_overwrites.agent_pool,
        )?;
        // A mode that is named is its own.
        let own = if mode.is_some() { Some(true) } else { said };
        let holds =
            Execution { mode: workspace.execution_mode.clone(), pool: workspace.agent_pool_id.clone() };
        let before = workspace.overwrites_execution_mode.then(|| holds.clone());
        let asked = execution::Asked { mode, pool: self.agent_pool_id, own };
        let after = execution::settle(before, holds, asked, OF_WORKSPACES)?;
        workspace.overwrites_execution_mode = after.is_some();
        if let Some(after) = after {
            (workspace.execution_mode, workspace.agent_pool_id) = (after.mode, after.pool);
        }
        set(&mut workspace.engine, self.engine);
        set(&mut workspace.terraform_version, self.terraform_version);
        self.working_directory.apply_or(&mut workspace.working_directory, String::new());
        set(&mut workspace.structured_run_output_enabled, self.structured_run_output_enabled);
        set(&mut workspace.global_remote_state, self.global_remote_state);
        // Sharing with all takes the place of sharing with the project.
        let with_project =
            self.project_remote_state.or(self.global_remote_state.filter(|all| *all).map(|_| false));
        set(&mut workspace.project_remote_state, with_project);
        set(&mut settings.auto_apply_run_trigger, self.auto_apply_run_trigger);
        set(&mut settings.queue_all_runs, self.queue_all_runs);
        set(&mut settings.speculative_enabled, self.speculative_enabled);
        set(&mut settings.file_triggers_enabled, self.file_triggers_enabled);
        set(&mut settings.trigger_prefixes, self.trigger_prefixes);
        set(&mut settings.trigger_patterns, self.trigger_patterns);
        set(&mut settings.assessments_enabled, self.assessments_enabled);
        self.source_name.apply(&mut settings.source_name);
        self.source_url.apply(&mut settings.source_url);
        let (at, duration) = (self.auto_destroy_at, self.auto_destroy_activity_duration);
        let own = matches!(at, Patch::Value(_)) || matches!(duration, Patch::Value(_));
        let inherited = workspace.inherits_project_auto_destroy;
        workspace.inherits_project_auto_destroy =
            self.inherits_project_auto_destroy.unwrap_or(workspace.inherits_project_auto_destroy && !own);
        if inherited && !workspace.inherits_project_auto_destroy {
            // What was the project's does not stay.
            workspace.auto_destroy_at = None;
            workspace.auto_destroy_activity_duration = None;
        }
        match (at, duration) {
            (Patch::Value(at), _) => {
                workspace.auto_destroy_at = Timestamp::parse(&at);
                workspace.auto_destroy_activity_duration = None;
            }
            (_, Patch::Value(duration)) => {
                workspace.auto_destroy_at = auto_destroy::after(now, Some(&duration));
                workspace.auto_destroy_activity_duration = Some(duration);
            }
            (Patch::Null, _) | (_, Patch::Null) => {
                workspace.auto_destroy_at = None;
                workspace.auto_destroy_activity_duration = None;
            }
            (Patch::Absent, Patch::Absent) => {}
        }
        Ok(())
    }
}

pub(super) const BOTH_SHARINGS: &str =
    "Project remote state cannot be enabled when global remote state sharing is enabled";

/// `1.11.4`, `1.6.0-beta1`, `~> 1.9.0`, `>= 1.5, < 2.0` or `latest`.
fn is_version(text: &str) -> bool {
    text == "latest"
        || text.split(',').all(|part| {
            let number = part.trim().trim_start_matches(['~', '>', '<', '=', '!']).trim();
            let core = number.split(['-', '+']).next().unwrap_or_default();
            !core.is_empty()
                && core.split('.').count() <= 3
                && core.split('.').all(|n| n.parse::<u32>().is_ok())
        })
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn versions_constraints_and_latest_are_accepted() {
        for text in ["1.11.4", "0.10.0", "1.6.0-beta1", "~> 1.9.0", ">= 1.5, < 2.0", "latest"] {
            assert!(is_version(text), "{text}");
        }
        for text in ["nonexisting", "", "1.x", "1.2.3.4"] {
            assert!(!is_version(text), "{text}");
        }
    }
}
