//! A typed client of Terraform Enterprise's public API (`/api/v2`), for the command line, the demo, and tests.
//!
//! It talks only what every Terraform Enterprise offers, so it works against any of them; what Ferroform adds (a
//! run's `waiting-for`) is optional everywhere. The contract it keeps:
//!
//! - The service is found through `/.well-known/terraform.json` (`tfe.v2`), once per client, at the first call.
//! - Only what is needed is decoded; unknown attributes and statuses never fail.
//! - Connection errors, 429 and 5xx are tried again where a repetition is harmless, with a growing pause.
//! - An error names the request, the server's own words and its request id. The token and signed URLs are in no error
//!   and no `Debug` output.
//!
//! Source: HashiCorp's API documentation and the behaviour of its official SDK. Reading order: `endpoint` (where, and
//! whom to trust), `transport` ([`Client`] and one request), `error`, `document` (JSON:API), `model` (resources) and `requests` (what creates them), then the
//! operations by noun: `organizations`, `workspaces`, `configurations`, `runs`, `state`, `login` (how a person gets a token), and `log` (following a log).

mod configurations;
mod document;
mod endpoint;
mod error;
mod log;
mod login;
mod model;
mod organizations;
mod requests;
mod runs;
mod state;
mod transport;
mod workspaces;

pub use endpoint::Endpoint;
pub use error::{Error, Problem, Refusal, Result};
pub use log::{LogFollower, Phase};
pub use login::LoginService;
pub use model::{
    Account, Actions, Apply, ConfigurationVersion, Exec, LockHolder, Organization, PhaseStatus, Plan, Run,
    RunBrief, RunEvent, RunPermissions, RunStatus, StateVersion, User, Variable, Workspace,
    WorkspacePermissions,
};
pub use requests::{NewConfigurationVersion, NewExec, NewRun, NewWorkspace, RunVariable, VariableChange};
pub use runs::RunsOf;
pub use transport::Client;
