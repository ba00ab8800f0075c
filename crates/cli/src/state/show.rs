//! `ferroform state list` and `show`

use super::At;
use crate::{
    desk::Desk,
    failure::Failure,
    render::{
        table::{Table, facts},
        value::hcl,
        words,
    },
};
use client::StateVersion;
use serde::Serialize;
use serde_json::Value;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// Id (sv-…) or serial
    #[arg(value_name = "VERSION", default_value = "current")]
    version: String,
}

/// A state version; members may be added.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    pub(super) id: &'a str,
    pub(super) serial: u64,
    status: &'a str,
    created_at: &'a str,
    created_by: Option<&'a str>,
    run: Option<&'a str>,
    size: Option<u64>,
    lineage: Option<&'a str>,
    terraform_version: Option<&'a str>,
}

impl<'a> Listed<'a> {
    pub(super) fn of(version: &'a StateVersion) -> Self {
        Self {
            id: version.id.as_str(),
            serial: version.serial,
            status: &version.status,
            created_at: &version.created_at,
            created_by: version.created_by.as_ref().map(|user| user.username.as_str()),
            run: version.run_id.as_ref().map(|id| id.as_str()),
            size: version.size,
            lineage: version.lineage.as_deref(),
            terraform_version: version.terraform_version.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    version: Listed<'a>,
    outputs: Vec<Output<'a>>,
    resources: Vec<Resource<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    /// Null when sensitive.
    value: &'a Value,
    sensitive: bool,
}

#[derive(Serialize)]
struct Resource<'a> {
    address: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    mode: &'static str,
    provider: &'a str,
    tainted: bool,
}

pub(super) async fn list(args: &ListArgs, at: &At, desk: &mut Desk) -> Result<(), Failure> {
    let versions = at.versions(args.limit).await?;
    let listed: Vec<_> = versions.iter().map(Listed::of).collect();
    if listed.is_empty() && !desk.json {
        desk.note(&format!("{} has no state yet.", at.name()));
        return Ok(());
    }
    let now = desk.now();
    desk.answer(&listed, |style| {
        let mut table = Table::new(&["SERIAL", "VERSION", "STATUS", "SIZE", "BY", "RUN", "CREATED"]);
        for version in &listed {
            table.row(vec![
                version.serial.to_string(),
                version.id.to_owned(),
                match version.status {
                    "finalized" => style.green(version.status),
                    other => style.yellow(other),
                },
                version.size.map(words::size).unwrap_or_default(),
                version.created_by.unwrap_or_default().to_owned(),
                version.run.unwrap_or_default().to_owned(),
                words::age(now, version.created_at),
            ]);
        }
        table.render(style)
    });
    Ok(())
}

pub(super) async fn show(args: &ShowArgs, at: &At, desk: &mut Desk) -> Result<(), Failure> {
    let version = at.version(&args.version).await?;
    let file = at.file(&version).await?;
    let outputs = file.outputs.iter().map(|(name, output)| Output {
        name,
        value: if output.sensitive { &Value::Null } else { &output.value },
        sensitive: output.sensitive,
    });
    let resources = file.resources.iter().map(|(address, resource)| Resource {
        address,
        kind: &resource.kind,
        mode: if resource.is_data { "data" } else { "managed" },
        provider: &resource.provider,
        tainted: resource.is_tainted,
    });
    let shown =
        Shown { version: Listed::of(&version), outputs: outputs.collect(), resources: resources.collect() };
    let now = desk.now();
    desk.answer(&shown, |style| {
        let version = &shown.version;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let mut parts = vec![facts(
            style,
            &[
                ("State", style.bold(version.id)),
                ("Serial", version.serial.to_string()),
                ("Lineage", text(version.lineage)),
                ("Status", version.status.to_owned()),
                ("Created", words::instant(now, version.created_at)),
                ("By", text(version.created_by)),
                ("Run", text(version.run)),
                ("Engine", text(version.terraform_version)),
                ("Size", version.size.map(words::size).unwrap_or_default()),
            ],
        )];
        if !shown.outputs.is_empty() {
            let line = |output: &Output<'_>| {
                let value =
                    if output.sensitive { "(sensitive value)".to_owned() } else { hcl(output.value, 2) };
                format!("  {} = {value}", output.name)
            };
            let lines: Vec<_> = shown.outputs.iter().map(line).collect();
            parts.push(format!("{}\n{}", style.bold("Outputs"), lines.join("\n")));
        }
        if !shown.resources.is_empty() {
            let mut table = Table::new(&["RESOURCE", "PROVIDER", ""]);
            for resource in &shown.resources {
                let tainted = if resource.tainted { style.yellow("tainted") } else { String::new() };
                table.row(vec![resource.address.to_owned(), resource.provider.to_owned(), tainted]);
            }
            parts.push(table.render(style));
        }
        parts.join("\n\n")
    });
    Ok(())
}
