//! `ferroform workspace list` and `show`

use super::Name;
use crate::{
    desk::{self, Desk},
    failure::Failure,
    place::PlaceArgs,
    render::{
        Style,
        table::{Table, facts, one_line},
        words,
    },
};
use client::{Client, Workspace};
use kernel::Timestamp;
use serde::Serialize;
use std::path::Path;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// Only those whose names hold this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
    limit: usize,
}

/// A workspace; members may be added.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    id: &'a str,
    name: &'a str,
    organization: &'a str,
    description: Option<&'a str>,
    locked: bool,
    locked_by: Option<Holder<'a>>,
    locked_reason: Option<&'a str>,
    execution_mode: &'a str,
    engine: Option<&'a str>,
    terraform_version: &'a str,
    auto_apply: bool,
    working_directory: &'a str,
    tags: &'a [String],
    resource_count: u64,
    created_at: &'a str,
    updated_at: &'a str,
    current_run: Option<Current<'a>>,
    url: String,
}

#[derive(Serialize)]
struct Holder<'a> {
    kind: &'a str,
    id: &'a str,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Current<'a> {
    id: &'a str,
    status: &'a str,
    created_at: &'a str,
}

impl<'a> Shown<'a> {
    pub(super) fn of(workspace: &'a Workspace, organization: &'a str, base: &str) -> Self {
        let text = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
        let locked_by = workspace.locked_by.as_ref().map(|holder| Holder {
            kind: holder.kind.trim_end_matches('s'),
            id: &holder.id,
            name: holder.name.as_deref(),
        });
        let current_run = workspace.current.as_ref().map(|run| Current {
            id: run.id.as_str(),
            status: run.status.as_str(),
            created_at: &run.created_at,
        });
        Self {
            id: workspace.id.as_str(),
            name: &workspace.name,
            organization,
            description: text(&workspace.description),
            locked: workspace.locked,
            locked_by,
            locked_reason: text(&workspace.locked_reason),
            execution_mode: &workspace.execution_mode,
            engine: text(&workspace.engine),
            terraform_version: &workspace.terraform_version,
            auto_apply: workspace.auto_apply,
            working_directory: &workspace.working_directory,
            tags: &workspace.tag_names,
            resource_count: workspace.resource_count,
            created_at: &workspace.created_at,
            updated_at: &workspace.updated_at,
            current_run,
            url: format!("{}/app/{organization}/workspaces/{}", base.trim_end_matches('/'), workspace.name),
        }
    }

    fn engine(&self) -> String {
        let engine = self.engine.unwrap_or("terraform");
        format!("{engine} {}", self.terraform_version).trim_end().to_owned()
    }

    fn render(&self, style: Style, now: Timestamp) -> String {
        let holder = self
            .locked_by
            .as_ref()
            .map(|holder| format!(" by the {} {}", holder.kind, holder.name.unwrap_or(holder.id)));
        let reason = self.locked_reason.map(|reason| format!(": {}", one_line(reason, 200)));
        let lock = if self.locked {
            style.yellow(&format!("yes{}{}", holder.unwrap_or_default(), reason.unwrap_or_default()))
        } else {
            "no".to_owned()
        };
        let run = self.current_run.as_ref().map(|run| {
            format!("{} {}, {}", run.id, words::status(style, run.status), words::age(now, run.created_at))
        });
        facts(
            style,
            &[
                ("Workspace", style.bold(&format!("{}/{}", self.organization, self.name))),
                ("Id", self.id.to_owned()),
                ("Description", one_line(self.description.unwrap_or_default(), 200)),
                ("Locked", lock),
                ("Current run", run.unwrap_or_else(|| "none".to_owned())),
                ("Resources", self.resource_count.to_string()),
                ("Execution", self.execution_mode.to_owned()),
                ("Engine", self.engine()),
                ("Applies", if self.auto_apply { "by itself" } else { "when confirmed" }.to_owned()),
                ("Directory", self.working_directory.to_owned()),
                ("Tags", self.tags.join(", ")),
                ("Created", words::instant(now, self.created_at)),
                ("Changed", words::instant(now, self.updated_at)),
                ("Page", self.url.clone()),
            ],
        )
    }
}

pub(super) async fn list(
    args: &ListArgs,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    let organization = place.organization(&desk.world, Path::new("."))?;
    let found = match client.workspaces(&organization, args.search.as_deref(), args.limit).await {
        Err(error) if error.is_not_found() => {
            desk::organization(client, &organization).await?;
            return Err(error.into());
        }
        other => other?,
    };
    let base = client.base_url().as_str();
    let shown: Vec<_> = found.iter().map(|workspace| Shown::of(workspace, &organization, base)).collect();
    if shown.is_empty() && !desk.json {
        desk.note(&format!("No workspaces in {organization}, as far as the token may see."));
        return Ok(());
    }
    let now = desk.now();
    desk.answer(&shown, |style| {
        let mut table = Table::new(&["WORKSPACE", "LOCKED", "RUN", "RESOURCES", "ENGINE", "CHANGED"]);
        for workspace in &shown {
            let run = workspace.current_run.as_ref();
            table.row(vec![
                workspace.name.to_owned(),
                if workspace.locked { style.yellow("yes") } else { "no".to_owned() },
                run.map_or_else(|| style.dim("none"), |run| words::status(style, run.status)),
                workspace.resource_count.to_string(),
                workspace.engine(),
                words::age(now, workspace.updated_at),
            ]);
        }
        table.render(style)
    });
    Ok(())
}

pub(super) async fn show(
    name: &Name,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    let (organization, name) = super::named(name.name.as_deref(), place, desk)?;
    let found = match client.workspace_in_full(&organization, &name).await {
        Err(error) if error.is_not_found() => {
            desk::workspace(client, &organization, &name, desk::SEE_WORKSPACES).await?
        }
        other => other?,
    };
    let shown = Shown::of(&found, &organization, client.base_url().as_str());
    let now = desk.now();
    desk.answer(&shown, |style| shown.render(style, now));
    Ok(())
}
