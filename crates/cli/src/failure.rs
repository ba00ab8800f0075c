//! Why a command failed, in the words that the person needs.

use crate::connection;
use client::Client;
use std::path::PathBuf;

/// Why a command failed; a run that fails is no failure of the command that follows it.
#[derive(Debug)]
pub(crate) enum Failure {
    Connection(connection::Error),
    /// Nothing says which organization or workspace is meant.
    Unnamed {
        what: &'static str,
        option: &'static str,
        variable: &'static str,
    },
    /// Something that only this command knows: summary and detail.
    Plain(&'static str, String),
    Client(client::Error),
    /// The server does not take the token.
    BadToken {
        host: String,
        source: String,
        error: Box<client::Error>,
    },
    NoOrganization {
        organization: String,
        host: String,
    },
    NoWorkspace {
        organization: String,
        workspace: String,
        /// What to do.
        advice: &'static str,
    },
    /// The token sees the workspace and may not run anything there.
    ReadOnly(String),
    LocalExecution(String),
    NoDirectory(PathBuf),
    WorkingDirectory {
        directory: PathBuf,
        workspace: String,
        working: PathBuf,
    },
    Archive(String),
    Variable(String),
    /// The run goes on, but it cannot be followed any more.
    Lost {
        error: client::Error,
        url: String,
    },
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Client(error)
    }
}

impl From<connection::Error> for Failure {
    fn from(error: connection::Error) -> Self {
        Self::Connection(error)
    }
}

impl Failure {
    /// Names the token's source where the token was refused.
    pub(crate) fn with_token(self, client: &Client, source: &str) -> Self {
        match self {
            Self::Client(error) if error.status() == Some(401) => {
                Self::BadToken { host: client.host(), source: source.to_owned(), error: Box::new(error) }
            }
            other => other,
        }
    }

    /// Summary and detail.
    pub(crate) fn words(&self) -> (String, String) {
        let (summary, detail) = match self {
            Self::Connection(error) => ("No server to talk to", error.to_string()),
            Self::Unnamed { what, option, variable } => (
                match *what {
                    "organization" => "No organization is named",
                    _ => "No workspace is named",
                },
                format!(
                    "Say which {what} is meant: with {option}, with {variable}, or by running in a folder whose \
                     configuration names it in a cloud block."
                ),
            ),
            Self::Plain(summary, detail) => (*summary, detail.clone()),
            Self::Client(error @ client::Error::Unreachable { .. }) => (
                client_summary(error),
                format!(
                    "{error}\n\nIs the address right (--address, or FERROFORM_ADDRESS), does the server run, and is no \
                     proxy or firewall in between?"
                ),
            ),
            Self::Client(error) => (client_summary(error), error.to_string()),
            Self::BadToken { host, source, error } => (
                "The token was refused",
                format!(
                    "{host} does not accept the token from {source}: it is wrong, revoked or expired. Sign in \
                     with `ferroform login`, make a new one in the account's settings there, or with `ferroform token \
                     create` on the server.\n\n{error}"
                ),
            ),
            Self::NoOrganization { organization, host } => (
                "Organization not found",
                format!(
                    "{host} has no organization {organization:?}, or the token may not see it. Names are compared \
                     letter by letter."
                ),
            ),
            Self::NoWorkspace { organization, workspace, advice } => (
                "Workspace not found",
                format!(
                    "The organization {organization:?} has no workspace {workspace:?}, or the token may not see it. \
                     {advice}"
                ),
            ),
            Self::ReadOnly(workspace) => (
                "The token may not start runs here",
                format!(
                    "The token may read the workspace {workspace:?}, but not plan in it. Use a user's or a team's \
                     token with the permission to plan; an organization's token never has it."
                ),
            ),
            Self::LocalExecution(workspace) => (
                "The workspace runs elsewhere",
                format!(
                    "The workspace {workspace:?} has execution mode \"local\": the server keeps its state and runs \
                     nothing. Set it to \"remote\" to push to it."
                ),
            ),
            Self::NoDirectory(directory) => {
                ("No such folder", format!("{} is not a folder that can be read.", directory.display()))
            }
            Self::WorkingDirectory { directory, workspace, working } => (
                "The folder does not fit the workspace",
                format!(
                    "The workspace {workspace:?} works in {working:?} below the root of what is pushed, and {} \
                     neither holds that folder nor is it. Push the folder above it, or clear the workspace's working \
                     directory.",
                    directory.display()
                ),
            ),
            Self::Archive(reason) => ("The configuration cannot be packed", reason.clone()),
            Self::Variable(reason) => ("Bad variable", reason.clone()),
            Self::Lost { error, url } => (
                "The run cannot be followed any more",
                format!("The run goes on by itself; see {url}\n\n{error}"),
            ),
        };
        (summary.to_owned(), detail)
    }
}

fn client_summary(error: &client::Error) -> &'static str {
    match error {
        client::Error::Configuration(_) => "The connection is set up wrongly",
        client::Error::NotTerraformEnterprise { .. } => "Not a Terraform Enterprise server",
        client::Error::Unreachable { .. } => "The server cannot be reached",
        client::Error::Untrusted { .. } => "The server cannot be trusted",
        client::Error::Refused(_) => "The server refused",
        client::Error::Unexpected { .. } => "The server's answer makes no sense",
        client::Error::File { .. } => "A file cannot be read",
    }
}
