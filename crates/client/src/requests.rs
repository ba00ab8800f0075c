//! What is sent to create resources.

use serde::Serialize;

/// What a new workspace is like; `None` leaves the choice to the server.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewWorkspace {
    /// Unique in its organization.
    pub name: String,
    /// Whether plans are applied without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_apply: Option<bool>,
    /// Where in the archive the engine runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// The engine's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terraform_version: Option<String>,
}

/// What a new configuration version is for.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewConfigurationVersion {
    /// Whether the end of the upload starts a run by itself.
    pub auto_queue_runs: bool,
    /// Whether it can only be planned.
    pub speculative: bool,
}

/// What a new run is to do; `None` and empty lists are not sent.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewRun {
    /// Why, in a person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether it is applied without a person; `None` is the workspace's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_apply: Option<bool>,
    /// Whether it can never be applied; `None` is the configuration version's `speculative`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_only: Option<bool>,
    /// Destroy everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_destroy: bool,
    /// Only bring the state up to date with what exists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refresh_only: bool,
    /// Plan these addresses and what they depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_addrs: Vec<String>,
    /// Replace these addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace_addrs: Vec<String>,
    /// Input variables of this run alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<RunVariable>,
    /// Ferroform's addition: carry out this in place of a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<NewExec>,
}

/// A command of the engine that a run carries out in place of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct NewExec {
    /// The command and what follows it, one word an item.
    pub arguments: Vec<String>,
    /// What the command reads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input: String,
}

/// An input variable of one run.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct RunVariable {
    /// The name.
    pub key: String,
    /// An HCL expression: text is quoted.
    pub value: String,
}

/// What a variable is set to; `None` leaves it as it is, or to the server.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VariableChange {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `terraform` or `env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<&'static str>,
    /// Whether the value is an expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hcl: Option<bool>,
    /// Whether the value can never be read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
