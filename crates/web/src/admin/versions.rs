//! Versions of Terraform and OpenTofu that workspaces may choose: the list, and adding one.

use super::{answer, search};
use crate::{
    answer::Answer,
    form::{Field, done, settled, tick},
    layout::form_token,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/admin/versions", "web.admin-versions.list", show).send(
        "/app/admin/versions/{tool}",
        "web.admin-versions.create",
        create,
    )
}

/// The tools: the word of the address, the name, the API's name.
pub(super) const TOOLS: [(&str, &str, &str); 2] =
    [("terraform", "Terraform", "terraform-versions"), ("opentofu", "OpenTofu", "opentofu-versions")];

/// The tool that the path names.
pub(super) fn tool(visit: &Visit) -> Result<(&'static str, &'static str, &'static str)> {
    TOOLS.into_iter().find(|(word, ..)| *word == visit.path("tool")).ok_or(Error::NotFound)
}

/// A version in the list, and on its page.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "the API's attributes, by their names")]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) official: bool,
    pub(super) deprecated: bool,
    pub(super) deprecated_reason: Option<String>,
    pub(super) beta: bool,
    pub(super) enabled: bool,
    pub(super) usage: i64,
    pub(super) url: String,
    pub(super) sha: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, &Markup::default()).await
}

async fn shown(visit: &Visit, above: &Markup) -> Result<Answer> {
    let text = |name| visit.query(name).unwrap_or_default();
    let (wanted, chosen) =
        (text("q"), if visit.path("tool").is_empty() { text("tool") } else { visit.path("tool").to_owned() });
    let number: u32 = text("page").parse().unwrap_or(1);
    let (word, name, kind) = TOOLS.into_iter().find(|(word, ..)| *word == chosen).unwrap_or(TOOLS[0]);
    let found = visit
        .read(&format!(
            "/admin/{kind}?page%5Bsize%5D=50&page%5Bnumber%5D={number}&search%5Bversion%5D={}",
            segment(&wanted)
        ))
        .await?;
    let versions = found.many::<Version>()?;
    let body = html! {
        (above)
        (done(visit, &[("deleted", "The version is gone.")]))
        nav.chips aria-label="Tool" {
            @for (other, name, _) in TOOLS {
                a.chip href={ "/app/admin/versions?tool=" (other) } aria-current=[(other == word).then_some("true")] { (name) }
            }
        }
        (search("/app/admin/versions", &wanted, "Part of a version, as 1.9", &html! { input type="hidden" name="tool" value=(word); }))
        section.panel { (table(word, &versions)) }
        (parts::pager(&format!("/app/admin/versions?tool={word}&q={}", segment(&wanted)), found.pagination()))
        section.panel {
            h2 { "Add a version of " (name) }
            p.muted { "A release of its makers comes from where the server is allowed to get engines; its checksum is in their signed \
                       list. Any other comes from its address, and is refused unless its SHA-256 is the one noted here." }
            form #new-version method="post" action={ "/app/admin/versions/" (word) } {
                (form_token(visit))
                (Field::new("version", "Version").hint("Whole, as 1.9.8 or 1.10.0-beta1.").input(visit))
                (tick(visit, "official", "A release of its makers", "Then neither address nor checksum is needed.", false))
                (Field::new("url", "Address of a zip file for linux on amd64").kind("url").optional().input(visit))
                (Field::new("sha", "SHA-256 of that file").optional().input(visit))
                div.buttons { button type="submit" { "Add version" } }
            }
        }
    };
    Ok(answer(visit, "Versions", &body))
}

fn table(word: &str, versions: &[Seen<Version>]) -> Markup {
    html! {
        @if versions.is_empty() { p.muted { "No version is like that." } } @else {
            table {
                thead { tr { th scope="col" { "Version" } th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "Workspaces" } } }
                tbody { @for version in versions { tr {
                    th scope="row" { a href=(format!("/app/admin/versions/{word}/{}", segment(&version.id))) { (version.version) } }
                    td data-name="State" { (state(version)) }
                    td data-name="From" { @if version.official { "Its makers" } @else { "Own address" } }
                    td data-name="Workspaces" { (version.usage) }
                } } }
            }
        }
    }
}

/// Whether it may be chosen, and what is said of it.
pub(super) fn state(version: &Version) -> Markup {
    html! {
        @if version.enabled { span.badge.good { "Enabled" } } @else { span.badge { "Disabled" } }
        @if version.deprecated { " " span.badge.wanted { "Deprecated" } }
        @if version.beta { " " span.badge { "Beta" } }
    }
}

async fn create(visit: Visit) -> Result<Answer> {
    let (word, _, kind) = tool(&visit)?;
    let mut attributes = json!({
        "version": visit.field("version").trim(), "official": !visit.field("official").is_empty(), "enabled": true,
    });
    for name in ["url", "sha"] {
        if !visit.field(name).trim().is_empty() {
            attributes[name] = json!(visit.field(name).trim());
        }
    }
    let body = json!({ "data": { "type": kind, "attributes": attributes } });
    match settled(visit.change(Method::POST, &format!("/admin/{kind}"), &body).await)? {
        Ok(made) => {
            let id = made["data"]["id"].as_str().unwrap_or_default();
            Ok(Answer::see_other(format!("/app/admin/versions/{word}/{}?done=added", segment(id))))
        }
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}
