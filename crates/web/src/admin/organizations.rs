//! The organizations of the installation.

use super::{answer, search};
use crate::{
    answer::Answer,
    form::done,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::Result;
use maud::html;
use serde::Deserialize;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/admin/organizations", "web.admin-organizations.list", show)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Organization {
    name: String,
    notification_email: String,
    is_disabled: bool,
    workspace_limit: Option<i64>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    let wanted = visit.query("q").unwrap_or_default();
    let number: u32 = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let found = visit
        .read(&format!(
            "/admin/organizations?include=owners&page%5Bsize%5D=50&page%5Bnumber%5D={number}&q={}",
            segment(&wanted)
        ))
        .await?;
    let (organizations, users) = (found.many::<Organization>()?, found.all_included::<User>("users")?);
    let body = html! {
        (done(&visit, &[("deleted", "The organization is gone, with all that it had.")]))
        (search("/app/admin/organizations", &wanted, "Search by name or email", &html! {}))
        section.panel {
            @if organizations.is_empty() { p.muted { "No organization is like that." } } @else {
                table {
                    thead { tr {
                        th scope="col" { "Organization" } th scope="col" { "State" } th scope="col" { "Owners" } th scope="col" { "Most workspaces" }
                    } }
                    tbody { @for organization in &organizations { tr {
                        th scope="row" {
                            a href={ "/app/admin/organizations/" (segment(&organization.name)) } { (organization.name) }
                            div.small { (organization.notification_email) }
                        }
                        td data-name="State" { @if organization.is_disabled { span.badge.bad { "Disabled" } } @else { span.badge.good { "Open" } } }
                        td.wide data-name="Owners" {
                            @let owners = organization.all_related("owners").into_iter()
                                .filter_map(|(_, id)| users.iter().find(|user| user.id == id).map(|user| user.username.clone()));
                            (owners.collect::<Vec<_>>().join(", "))
                        }
                        td data-name="Most workspaces" { @match organization.workspace_limit { Some(most) => (most), None => "any number" } }
                    } } }
                }
            }
        }
        (parts::pager(&format!("/app/admin/organizations?q={}", segment(&wanted)), found.pagination()))
    };
    Ok(answer(&visit, "Organizations", &body))
}
