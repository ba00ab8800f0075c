//! Start new run: what it does, on which configuration, and that configuration from the browser where it is not here yet.
//!
//! A folder is saved as it arrives and packed as the command line packs it, `.terraformignore` included; an archive goes on
//! as it is. Both are then uploaded by the API's own steps: a configuration version, its upload, a run.

use super::{At, Refusal, answered, member, overview::engine_address, refused};
use crate::{
    answer::Answer,
    files::{self, Files, Most, Saved},
    layout::{form_token, moment},
    serve::Table,
    visit::Visit,
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/runs/new";
    table.show(path, "web.run.new", show).send_files(path, "web.run.create", create)
}

/// What a run may be: its name, its words, what it means.
const KINDS: [(&str, &str, &str); 5] = [
    ("plan_and_apply", "Plan and apply", "Plans, and applies when somebody confirms."),
    ("plan_only", "Plan only", "Shows what would change. Can never be applied."),
    ("refresh_only", "Refresh state", "Brings the state up to what exists; changes nothing else."),
    ("destroy", "Destroy", "Plans to destroy all resources."),
    (
        "empty_apply",
        "Allow empty apply",
        "Applies although nothing changes, as after an upgrade of the engine.",
    ),
];

/// Resources to choose from; of more one writes the addresses.
const CHOICES: usize = 300;

#[derive(Deserialize)]
struct Resource {
    address: String,
    module: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Configuration {
    status: String,
    speculative: bool,
    provisional: bool,
    created_at: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "current_configuration_version").await?;
    at.may(|held| held.can_queue_run)?;
    let current = at.workspace.related("current-configuration-version");
    let current: Option<Seen<Configuration>> =
        current.map(|id| at.found.included("configuration-versions", id)).transpose()?.flatten();
    let uploaded = match current {
        // The API falls back to the newest that can be used, too.
        Some(current) if current.status != "uploaded" => newest_uploaded(visit, &at).await?,
        current => current,
    };
    let addresses = addresses(visit, &at).await?;
    let body =
        html! { div #new-run { (refused(refusal)) (form(visit, &at, uploaded.as_ref(), &addresses)) } };
    Ok(answered(at.within(visit, "Runs", "Start new run", &body), refusal))
}

async fn newest_uploaded(visit: &Visit, at: &At) -> Result<Option<Seen<Configuration>>> {
    let found = visit.read(&at.api("/configuration-versions?page%5Bsize%5D=100")).await?;
    let usable = |one: &Seen<Configuration>| one.status == "uploaded" && !one.speculative && !one.provisional;
    Ok(found.many::<Configuration>()?.into_iter().find(usable))
}

async fn addresses(visit: &Visit, at: &At) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for page in 1.. {
        let found =
            visit.read(&at.api(&format!("/resources?page%5Bsize%5D=100&page%5Bnumber%5D={page}"))).await?;
        all.extend(found.many::<Resource>()?.iter().map(|one| engine_address(&one.address, &one.module)));
        if !found.pagination().more || all.len() >= CHOICES {
            break;
        }
    }
    Ok(all)
}

fn form(visit: &Visit, at: &At, current: Option<&Seen<Configuration>>, addresses: &[String]) -> Markup {
    let own = at.page("/runs/new");
    html! {
        form #new-run-form method="post" action=(own) enctype="multipart/form-data" data-upload
            hx-post=(own) hx-encoding="multipart/form-data" hx-target="#new-run" hx-select="#new-run" hx-swap="outerHTML"
            hx-disabled-elt="find button[type=submit]" {
            (form_token(visit))
            section.panel aria-labelledby="run-heading" {
                h2 #run-heading { "Run" }
                div.field {
                    label for="message" { "Reason for starting the run" }
                    input #message name="message" value=(visit.field("message")) maxlength="512" autocomplete="off"
                        placeholder="Shown in the list of runs";
                }
                (kinds(visit, at))
            }
            (options(visit, at, addresses))
            (configuration(visit, current))
            div.buttons {
                button #start type="submit" { "Start run" }
                a.button.quiet href=(at.page("/runs")) { "Cancel" }
                progress aria-label="Upload" hidden value="0" max="1" {}
            }
        }
    }
}

fn kinds(visit: &Visit, at: &At) -> Markup {
    let held = &at.workspace.permissions;
    let chosen = match visit.field("kind") {
        "" if !held.can_queue_apply => "plan_only",
        "" => "plan_and_apply",
        sent => sent,
    };
    let offered = |kind: &str| match kind {
        "destroy" => held.can_queue_destroy && at.workspace.allow_destroy_plan,
        _ => true,
    };
    html! {
        fieldset.choices {
            legend { "Run type" }
            @for (kind, words, about) in KINDS.iter().filter(|(kind, ..)| offered(kind)) {
                label {
                    input type="radio" name="kind" value=(kind) checked[*kind == chosen];
                    span { (words) span.small { (about) } }
                }
            }
        }
    }
}

fn options(visit: &Visit, at: &At, addresses: &[String]) -> Markup {
    let touched =
        ["target", "replace", "addresses", "variables"].iter().any(|name| !visit.field(name).is_empty());
    let choose = |name: &str, label: &str| {
        let ticked = visit.fields(name);
        let list = format!("{name}-list");
        html! {
            fieldset.picker {
                legend { (label) }
                @if addresses.is_empty() {
                    p.muted { "The state has no resources to choose from." }
                } @else {
                    input type="search" placeholder="Search" aria-label={ "Search resources to " (name) } data-filter={ "#" (list) };
                    ul.ticks id=(list) {
                        @for address in addresses {
                            li { label {
                                input type="checkbox" name=(name) value=(address) checked[ticked.contains(&address.as_str())];
                                code { (address) }
                            } }
                        }
                    }
                }
            }
        }
    };
    html! {
        details.panel.options #run-options open[touched] {
            summary { "Options: replace or target resources, variables of this run" }
            div.pair {
                (choose("replace", "Replace: make these anew"))
                (choose("target", "Target: plan these and what they need only"))
            }
            div.field {
                label for="addresses" { "Other addresses to target, one a line" }
                textarea #addresses name="addresses" rows="2" spellcheck="false" { "\n" (visit.field("addresses")) }
            }
            div.field {
                label for="variables" { "Variables of this run" }
                p.small { "One a line, as " code { "name = \"value\"" } ", the value in HCL. They win over the workspace's." }
                textarea #variables name="variables" rows="3" spellcheck="false" { "\n" (visit.field("variables")) }
            }
            @if at.workspace.resource_count > i64::try_from(CHOICES).unwrap_or(i64::MAX) {
                p.small { "The first " (CHOICES) " of " (at.workspace.resource_count) " resources are offered." }
            }
        }
    }
}

fn configuration(visit: &Visit, current: Option<&Seen<Configuration>>) -> Markup {
    let chosen = match (visit.field("configuration"), current) {
        ("folder" | "", None) => "folder",
        ("", Some(_)) => "current",
        (sent, _) => sent,
    };
    let most = files::size(visit.app.settings.upload_bytes);
    html! {
        section.panel aria-labelledby="configuration-heading" {
            h2 #configuration-heading { "Configuration" }
            fieldset.choices {
                legend.hidden { "Which configuration" }
                @if let Some(current) = current {
                    label {
                        input type="radio" name="configuration" value="current" checked[chosen == "current"];
                        span {
                            "The current one"
                            span.small {
                                code { (current.id) }
                                @if let Some(at) = Timestamp::parse(&current.created_at) { ", " (moment(visit.app.now(), at)) }
                            }
                        }
                    }
                } @else {
                    p.muted { "This workspace has no configuration yet. Upload one." }
                }
                label {
                    input type="radio" name="configuration" value="folder" checked[chosen == "folder"];
                    span { "Upload a folder" span.small { "What " code { ".terraformignore" } " says is left out" } }
                }
                label {
                    input type="radio" name="configuration" value="archive" checked[chosen == "archive"];
                    span { "Upload an archive" span.small { code { ".tar.gz" } " of the folder's content" } }
                }
                // After all choices: a form's files come last, and what stands behind the first is not read.
                input #folder type="file" name="folder" webkitdirectory multiple aria-label="Folder";
                input #archive type="file" name="archive" accept=".gz,.tgz,application/gzip" aria-label="Archive";
            }
            p.small { "At most " (most) " when packed." }
        }
    }
}

async fn create(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let made = match started(&visit, &at).await {
        Ok(run) => run,
        Err(error) => return page(&visit, Some(&Refusal::of(error)?)).await,
    };
    Ok(Answer::lead(&visit, at.page(&format!("/runs/{made}"))))
}

/// Makes the run that the form describes; its id.
async fn started(visit: &Visit, at: &At) -> Result<String> {
    let mut relationships = json!({ "workspace": member("workspaces", &at.workspace.id) });
    let attributes = attributes(visit)?;
    if visit.field("configuration") != "current" {
        at.may(|held| held.can_queue_run)?;
        let speculative = visit.field("kind") == "plan_only";
        let version = upload(visit, at, speculative).await?;
        relationships["configuration-version"] = member("configuration-versions", &version);
    }
    let body =
        json!({ "data": { "type": "runs", "attributes": attributes, "relationships": relationships } });
    let answer = visit.change(Method::POST, "/runs", &body).await?;
    id_of(&answer)
}

fn id_of(answer: &Value) -> Result<String> {
    answer["data"]["id"].as_str().map(str::to_owned).ok_or_else(|| Error::internal("the API made nothing"))
}

fn attributes(visit: &Visit) -> Result<Value> {
    let kind = visit.field("kind");
    let mut targets = visit.fields("target");
    targets.extend(visit.field("addresses").lines().map(str::trim).filter(|line| !line.is_empty()));
    let message = visit.field("message").trim();
    let message = if message.is_empty() { "Triggered via the browser" } else { message };
    let mut attributes = json!({
        "message": message,
        "plan-only": kind == "plan_only",
        "refresh-only": kind == "refresh_only",
        "is-destroy": kind == "destroy",
        "target-addrs": targets,
        "replace-addrs": visit.fields("replace"),
    });
    if kind == "empty_apply" {
        attributes["allow-empty-apply"] = json!(true);
    }
    let variables = variables(visit.field("variables"))?;
    if !variables.is_empty() {
        attributes["variables"] = json!(variables);
    }
    Ok(attributes)
}

/// `name = value` line by line, the value as an expression.
fn variables(text: &str) -> Result<Vec<Value>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
                Ok(json!({ "key": key.trim(), "value": value.trim() }))
            }
            _ => Err(Error::Unprocessable(format!(
                "The variable {line:?} cannot be read: write it as name = \"value\", one a line."
            ))),
        })
        .collect()
}

/// Saves, packs and uploads what came with the form; the id of the configuration version.
async fn upload(visit: &Visit, at: &At, speculative: bool) -> Result<String> {
    let files = visit.take_files().ok_or_else(nothing_chosen)?;
    let folder = tokio::task::spawn_blocking(tempfile::tempdir).await.map_err(Error::internal)?;
    let folder = folder.map_err(Error::internal)?;
    let archive = folder.path().join("archive.tar.gz");
    let saved = save(visit, files, folder.path(), &archive).await?;
    if saved.files == 0 {
        return Err(nothing_chosen());
    }
    let body = json!({ "data": { "type": "configuration-versions", "attributes": {
        "auto-queue-runs": false, "speculative": speculative,
    } } });
    let version = visit.change(Method::POST, &at.api("/configuration-versions"), &body).await?;
    let url = version["data"]["attributes"]["upload-url"].as_str().unwrap_or_default().to_owned();
    visit.upload(&url, files::body_of(&archive).await?).await.map_err(explained)?;
    // Removing a folder of many files takes a while.
    tokio::task::spawn_blocking(move || drop(folder)).await.map_err(Error::internal)?;
    id_of(&version)
}

/// The API says what is wrong with an archive in the words of those who make archives.
fn explained(error: Error) -> Error {
    match error {
        Error::Unprocessable(why) => Error::Unprocessable(format!(
            "This is no configuration that can be taken ({why}). An archive must be a .tar.gz of the folder's content."
        )),
        other => other,
    }
}

fn nothing_chosen() -> Error {
    Error::Unprocessable("Choose the folder or the archive to upload.".to_owned())
}

async fn save(visit: &Visit, files: Files, folder: &Path, archive: &Path) -> Result<Saved> {
    let limits =
        slug::Limits { compressed_bytes: visit.app.settings.upload_bytes, ..slug::Limits::default() };
    if visit.field("configuration") == "archive" {
        let most = Most { bytes: limits.compressed_bytes, files: 1 };
        let to = PathBuf::from("archive.tar.gz");
        return files.save("archive", folder, most, |_| Ok(to.clone())).await;
    }
    let most = Most { bytes: limits.expanded_bytes, files: limits.entries };
    let root = folder.join("root");
    let saved = files.save("folder", &root, most, files::below_folder).await?;
    if saved.files > 0 {
        let (from, to) = (root, archive.to_owned());
        let packed =
            tokio::task::spawn_blocking(move || pack(&from, &to)).await.map_err(Error::internal)??;
        if packed > limits.compressed_bytes {
            return Err(Error::TooLarge(format!(
                "The folder is {} when packed, and at most {} may be uploaded. Leave out what a run does not need by a \
                 .terraformignore file.",
                files::size(packed),
                files::size(limits.compressed_bytes)
            )));
        }
    }
    Ok(saved)
}

/// Packs a folder; the bytes of the archive.
fn pack(from: &Path, to: &Path) -> Result<u64> {
    let file = std::fs::File::create_new(to).map_err(Error::internal)?;
    slug::pack(from, std::io::BufWriter::new(file)).map_err(Error::internal)?;
    Ok(to.metadata().map_err(Error::internal)?.len())
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn variables_are_read_line_by_line() {
        let read = variables("a = \"x = y\"\n\n b=[1, 2] \n").unwrap();
        assert_eq!(read[0]["key"], "a");
        assert_eq!(read[0]["value"], "\"x = y\"");
        assert_eq!(read[1]["value"], "[1, 2]");
        for wrong in ["a", "= 1", "a ="] {
            assert!(variables(wrong).is_err(), "{wrong}");
        }
    }
}
