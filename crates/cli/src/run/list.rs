//! `ferroform run list`

use crate::{
    desk::{self, Desk},
    failure::Failure,
    place::PlaceArgs,
    render::{
        table::{Table, one_line},
        words,
    },
};
use client::{Client, Run, RunsOf};
use serde::Serialize;
use std::path::Path;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Only runs at this status, as planned or errored (repeatable, or separated by commas)
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,

    /// Also runs that can only be planned
    #[arg(long)]
    all: bool,
}

/// A run in a list; members may be added.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    message: Option<&'a str>,
    created_at: &'a str,
    created_by: Option<&'a str>,
    is_destroy: bool,
    plan_only: bool,
    has_changes: bool,
}

impl<'a> Listed<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            id: run.id.as_str(),
            status: run.status.as_str(),
            workspace: run.workspace.as_ref().map(|workspace| workspace.name.as_str()),
            message: run.message.as_deref(),
            created_at: &run.created_at,
            created_by: run.created_by.as_ref().map(|user| user.username.as_str()),
            is_destroy: run.is_destroy,
            plan_only: run.plan_only,
            has_changes: run.has_changes,
        }
    }
}

pub(super) async fn list(
    args: &ListArgs,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    let here = Path::new(".");
    let organization = place.organization(&desk.world, here)?;
    let workspace = place.workspace_if_named(&desk.world, here);
    let status = args.status.join(",");
    let (status, plan_only) = (Some(status.as_str()).filter(|text| !text.is_empty()), args.all);
    let runs = match &workspace {
        Some(name) => {
            let found = desk::workspace(client, &organization, name, desk::SEE_WORKSPACES).await?;
            client.runs(RunsOf::Workspace { id: &found.id, status, plan_only }, args.limit).await?
        }
        None => {
            desk::organization(client, &organization).await?;
            client.runs(RunsOf::Organization { name: &organization, status, plan_only }, args.limit).await?
        }
    };
    let listed: Vec<_> = runs.iter().map(Listed::of).collect();
    if listed.is_empty() && !desk.json {
        let place = workspace.map_or(organization.clone(), |name| format!("{organization}/{name}"));
        desk.note(&format!("No runs in {place}."));
        return Ok(());
    }
    let now = desk.now();
    desk.answer(&listed, |style| {
        let mut head = vec!["RUN", "STATUS", "WORKSPACE", "BY", "CREATED", "MESSAGE"];
        head.retain(|name| workspace.is_none() || *name != "WORKSPACE");
        let mut table = Table::new(&head);
        for run in &listed {
            let mut row = vec![run.id.to_owned(), words::status(style, run.status)];
            if workspace.is_none() {
                row.push(run.workspace.unwrap_or_default().to_owned());
            }
            row.push(run.created_by.unwrap_or_default().to_owned());
            row.push(words::age(now, run.created_at));
            row.push(one_line(run.message.unwrap_or_default(), 60));
            table.row(row);
        }
        table.render(style)
    });
    Ok(())
}
