//! Which server, organization and workspace are meant: one way for all commands.
//!
//! An option wins over the environment, the environment over the `cloud` block (or `remote` backend) of the folder. Of
//! the environment Ferroform's own variables win over those of the `tfe` provider, and these over Terraform's.

use crate::{credentials, failure::Failure, hcl, world::World};
use std::path::{Path, PathBuf};

const ADDRESS: [&str; 4] = ["FERROFORM_ADDRESS", "TFE_ADDRESS", "TFE_HOSTNAME", "TF_CLOUD_HOSTNAME"];
const ORGANIZATION: [&str; 3] = ["FERROFORM_ORGANIZATION", "TFE_ORGANIZATION", "TF_CLOUD_ORGANIZATION"];
const WORKSPACE: [&str; 2] = ["FERROFORM_WORKSPACE", "TF_WORKSPACE"];
/// What Terraform takes where a `cloud` block names no host.
const DEFAULT_HOST: &str = "app.terraform.io";

/// Where the server is and who asks.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ServerArgs {
    /// Server, as host:port or a URL [env: FERROFORM_ADDRESS, TFE_ADDRESS, TFE_HOSTNAME, TF_CLOUD_HOSTNAME]
    #[arg(long, visible_alias = "host", value_name = "ADDRESS", global = true, help_heading = "Where")]
    pub address: Option<String>,

    /// File that holds the token [else env: FERROFORM_TOKEN, TFE_TOKEN, TF_TOKEN_HOST; else Terraform's credentials]
    #[arg(long, value_name = "FILE", env = "FERROFORM_TOKEN_FILE", global = true, help_heading = "Where")]
    pub token_file: Option<PathBuf>,

    /// PEM certificates to trust besides the system's (which SSL_CERT_FILE replaces)
    #[arg(long, value_name = "FILE", env = "FERROFORM_CA_FILE", global = true, help_heading = "Where")]
    pub ca_file: Option<PathBuf>,
}

/// A server and a workspace on it.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct PlaceArgs {
    /// Organization [env: FERROFORM_ORGANIZATION, TFE_ORGANIZATION, TF_CLOUD_ORGANIZATION; else the folder's cloud block]
    #[arg(long, short, value_name = "NAME", global = true, help_heading = "Where")]
    pub organization: Option<String>,

    /// Workspace [env: FERROFORM_WORKSPACE, TF_WORKSPACE; else the folder's cloud block]
    #[arg(long, short, value_name = "NAME", global = true, help_heading = "Where")]
    pub workspace: Option<String>,

    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What the configuration in a folder says about where it runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Folder {
    host: Option<String>,
    organization: Option<String>,
    workspace: Option<String>,
}

impl Folder {
    /// Reads the `.tf` files of a folder. What cannot be read says nothing.
    pub(crate) fn read(directory: &Path) -> Self {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "tf"))
            .collect();
        files.sort();
        let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
        let selected = std::fs::read_to_string(directory.join(".terraform/environment")).ok();
        let selected = selected.map(|text| text.trim().to_owned()).filter(|name| !name.is_empty());
        let found =
            texts.map(|text| Self::of(&hcl::parse(&text), selected.as_deref())).find_map(|found| found);
        found.unwrap_or_default()
    }

    /// `selected` is what `terraform workspace select` has chosen.
    fn of(file: &hcl::Block, selected: Option<&str>) -> Option<Self> {
        let terraform = || file.blocks(&["terraform"]);
        let cloud = terraform().find_map(|block| block.blocks(&["cloud"]).next());
        let block =
            cloud.or_else(|| terraform().find_map(|block| block.blocks(&["backend", "remote"]).next()))?;
        let workspaces = block.blocks(&["workspaces"]).next();
        let named = |name| workspaces.and_then(|workspaces| workspaces.text(name));
        let workspace = match (named("name"), named("prefix")) {
            (Some(name), _) => Some(name.to_owned()),
            (None, Some(prefix)) => selected.map(|selected| format!("{prefix}{selected}")),
            (None, None) => selected.map(str::to_owned),
        };
        Some(Self {
            host: Some(block.text("hostname").unwrap_or(DEFAULT_HOST).to_owned()),
            organization: block.text("organization").map(str::to_owned),
            workspace: workspace.filter(|name| name != "default"),
        })
    }
}

fn chosen(
    option: Option<&str>,
    world: &World,
    names: &[&str],
    folder: impl FnOnce() -> Option<String>,
) -> Option<String> {
    let option = option.filter(|text| !text.is_empty()).map(str::to_owned);
    option.or_else(|| names.iter().find_map(|name| world.variable(name)).map(str::to_owned)).or_else(folder)
}

/// A server's address, and how it came to be meant.
pub(crate) struct Address {
    /// As it was written.
    pub(crate) text: String,
    /// Whether the person named it, by an option or in the environment. A token that belongs to no host in particular
    /// goes to no other server: a file of a configuration must not be able to send it elsewhere.
    pub(crate) is_named: bool,
}

impl ServerArgs {
    /// The server's address, or `None` when nothing names one. Where all else is silent, it is the only server that
    /// there are credentials for.
    pub(crate) fn address(&self, world: &World, folder: &Path) -> Result<Option<Address>, Failure> {
        if let Some(text) = chosen(self.address.as_deref(), world, &ADDRESS, || None) {
            return Ok(Some(Address { text, is_named: true }));
        }
        let found = match Folder::read(folder).host {
            Some(host) => Some(host),
            None => credentials::only_host(world)?,
        };
        Ok(found.map(|text| Address { text, is_named: false }))
    }
}

impl PlaceArgs {
    /// The organization that is meant.
    ///
    /// # Errors
    /// When nothing names one.
    pub(crate) fn organization(&self, world: &World, folder: &Path) -> Result<String, Failure> {
        let read = || Folder::read(folder).organization;
        chosen(self.organization.as_deref(), world, &ORGANIZATION, read).ok_or(Failure::Unnamed {
            what: "organization",
            option: "--organization",
            variable: ORGANIZATION[0],
        })
    }

    /// The workspace that is meant.
    ///
    /// # Errors
    /// When nothing names one.
    pub(crate) fn workspace(&self, world: &World, folder: &Path) -> Result<String, Failure> {
        self.workspace_if_named(world, folder).ok_or(Failure::Unnamed {
            what: "workspace",
            option: "--workspace",
            variable: WORKSPACE[0],
        })
    }

    /// The workspace that is meant, if any is.
    pub(crate) fn workspace_if_named(&self, world: &World, folder: &Path) -> Option<String> {
        chosen(self.workspace.as_deref(), world, &WORKSPACE, || Folder::read(folder).workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(main: &str, selected: Option<&str>) -> Folder {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("main.tf"), "variable \"x\" {}\n").unwrap();
        std::fs::write(directory.path().join("terraform.tf"), main).unwrap();
        if let Some(selected) = selected {
            std::fs::create_dir(directory.path().join(".terraform")).unwrap();
            std::fs::write(directory.path().join(".terraform/environment"), selected).unwrap();
        }
        Folder::read(directory.path())
    }

    fn found(host: &str, organization: &str, workspace: Option<&str>) -> Folder {
        let text = |text: &str| Some(text.to_owned());
        Folder { host: text(host), organization: text(organization), workspace: workspace.map(str::to_owned) }
    }

    #[test]
    fn a_cloud_block_names_host_organization_and_workspace() {
        let block =
            |inner: &str| format!("terraform {{\n cloud {{\n organization = \"acme\"\n {inner}\n}}\n}}\n");
        let named = block("hostname = \"tfe.example.com:8443\"\n workspaces { name = \"network\" }");
        assert_eq!(folder(&named, None), found("tfe.example.com:8443", "acme", Some("network")));
        let tagged = block("workspaces { tags = [\"app\"] }");
        assert_eq!(folder(&tagged, None), found(DEFAULT_HOST, "acme", None));
        assert_eq!(folder(&tagged, Some("app-eu\n")), found(DEFAULT_HOST, "acme", Some("app-eu")));
        // What Terraform calls its only workspace is none of the server's.
        assert_eq!(folder(&tagged, Some("default")), found(DEFAULT_HOST, "acme", None));
        assert_eq!(folder("terraform { backend \"s3\" {} }", None), Folder::default());
    }

    #[test]
    fn a_remote_backend_names_its_workspace_by_prefix_and_selection() {
        let main = r#"terraform {
          backend "remote" {
            hostname = "h"
            organization = "acme"
            workspaces { prefix = "app-" }
          }
        }"#;
        assert_eq!(folder(main, Some("eu")), found("h", "acme", Some("app-eu")));
        assert_eq!(folder(main, None), found("h", "acme", None));
    }
}
