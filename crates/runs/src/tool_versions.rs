//! The versions of Terraform and OpenTofu that this server can run, as site admins list them.
//!
//! Those that are on the machine; what could be downloaded besides is not counted up.
//! Source: the Admin Terraform Versions API, of which this is the reading half.

use crate::jobs::Jobs;
use accounts::admin_organizations::only_site_admins;
use axum::http::Method;
use db::args;
use http_api::{Cx, Error, Reply, Resource, Result, Routes};
use kernel::Paged;
use runner::engine::Tool;
use serde_json::json;

/// The operations on versions of tools.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/admin/terraform-versions", "runs.terraform-versions.list", list_terraform)
        .op(Method::GET, "/admin/terraform-versions/{id}", "runs.terraform-versions.read", read_terraform)
        .op(Method::GET, "/admin/opentofu-versions", "runs.opentofu-versions.list", list_tofu)
        .op(Method::GET, "/admin/opentofu-versions/{id}", "runs.opentofu-versions.read", read_tofu)
}

async fn list_terraform(cx: Cx) -> Result<Reply> {
    list(cx, Tool::Terraform).await
}

async fn list_tofu(cx: Cx) -> Result<Reply> {
    list(cx, Tool::Tofu).await
}

async fn read_terraform(cx: Cx) -> Result<Reply> {
    read(cx, Tool::Terraform).await
}

async fn read_tofu(cx: Cx) -> Result<Reply> {
    read(cx, Tool::Tofu).await
}

async fn list(cx: Cx, tool: Tool) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let exact = cx.query("filter[version]").filter(|text| !text.is_empty());
    let part = cx.query("search[version]").unwrap_or_default();
    let mut found = all(&cx, tool).await?;
    found.retain(|(version, _)| exact.is_none_or(|exact| version == exact) && version.contains(part));
    let total = i64::try_from(found.len()).ok();
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let items =
        found.into_iter().skip(start).take(page.size as usize).map(|(_, document)| document).collect();
    cx.page_of(Paged { items, page, total }, &[]).await
}

async fn read(cx: Cx, tool: Tool) -> Result<Reply> {
    only_site_admins(&cx)?;
    let found = all(&cx, tool).await?;
    let one = found.into_iter().find(|(_, document)| document.id == cx.path("id"));
    cx.one(one.ok_or(Error::NotFound)?.1, &[]).await
}

/// Version and document of each, the newest first.
async fn all(cx: &Cx, tool: Tool) -> Result<Vec<(String, Resource)>> {
    let kind = if tool == Tool::Terraform { "terraform-versions" } else { "opentofu-versions" };
    let usage: Vec<(String, i64)> = cx
        .app
        .db
        .all(
            "SELECT terraform_version, COUNT(*) FROM workspaces WHERE engine = $1 GROUP BY terraform_version",
            args![tool.to_string()],
        )
        .await?;
    let mut found = Vec::new();
    for engine in cx.app.area::<Jobs>().runner.engines().installed(tool).await {
        let used =
            usage.iter().find(|(version, _)| *version == engine.version).map_or(0, |(_, count)| *count);
        let attributes = json!({
            "version": engine.version, "url": null, "sha": null, "official": true, "enabled": true, "beta": false,
            "deprecated": false, "deprecated-reason": null, "usage": used, "archs": [],
        });
        let id = format!("tool-{}", engine.version.replace(['.', '+'], "-"));
        found.push((engine.version, Resource::new(kind, id, &attributes)));
    }
    Ok(found)
}
