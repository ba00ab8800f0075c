//! The tags of an organization, and the keys that it has set aside.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::{Field, confirm, done, settled, tick},
    layout::form_token,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::Result;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/{organization}/settings/tags", "web.tags.list", show)
        .send("/app/{organization}/settings/tags/{tag}/delete", "web.tags.delete", delete)
        .send("/app/{organization}/settings/reserved-tag-keys", "web.reserved-tag-keys.create", reserve)
        .send("/app/{organization}/settings/reserved-tag-keys/{key}", "web.reserved-tag-keys.update", update)
        .send(
            "/app/{organization}/settings/reserved-tag-keys/{key}/delete",
            "web.reserved-tag-keys.delete",
            free,
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Tag {
    name: String,
    instance_count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Reserved {
    key: String,
    disable_overrides: bool,
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let number = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let paths = [
        api(visit, &format!("/tags?page%5Bsize%5D=50&page%5Bnumber%5D={number}")),
        api(visit, "/reserved-tag-keys?page%5Bsize%5D=100"),
    ];
    let (organization, tags, reserved) =
        tokio::try_join!(of(visit), visit.read(&paths[0]), visit.read(&paths[1]))?;
    let may = organization.permissions;
    let base = page(visit, "/settings");
    let (shown, keys) = (tags.many::<Tag>()?, reserved.many::<Reserved>()?);
    let body = html! {
        (above)
        (done(visit, &[
            ("deleted", "The tag is gone from all workspaces."),
            ("reserved", "The key is reserved."),
            ("changed", "The reserved key is changed."),
            ("freed", "The key is not reserved any more. Tags that have it stay."),
        ]))
        section.panel {
            h2 { "Tags" }
            p.muted { "Tags group workspaces: in the list of workspaces, and in cloud blocks that name a tag in place of a workspace. \
                       They are given in a workspace's settings, and come to be with their first use." }
            @if shown.is_empty() { p { "No workspace has a tag yet." } } @else {
                table {
                    thead { tr { th scope="col" { "Tag" } th scope="col" { "Workspaces" } th scope="col" { span.hidden { "Actions" } } } }
                    tbody { @for tag in &shown { tr {
                        th scope="row" { a href=(page(visit, &format!("/workspaces?tag={}", segment(&tag.name)))) { (tag.name) } }
                        td data-name="Workspaces" { (tag.instance_count) }
                        td.actions { @if may.can_manage_tags {
                            (confirm(visit, &format!("{base}/tags/{}/delete", segment(&tag.id)), "Delete", &tag.name,
                                "All workspaces lose it.", "Delete the tag"))
                        } }
                    } } }
                }
                (parts::pager(visit.uri.path(), tags.pagination()))
            }
        }
        section.panel {
            h2 { "Reserved tag keys" }
            p.muted { "A reserved key is one that the organization means something by, as “cost-center”. It can be kept from \
                       being overridden: then a workspace has the value that its project gives." }
            @if keys.is_empty() { p { "No key is reserved." } } @else {
                table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Workspaces may override it" } th scope="col" { span.hidden { "Actions" } } } }
                    tbody { @for key in &keys { tr {
                        th scope="row" { (key.key) }
                        td data-name="Overrides" {
                            @if may.can_create_project {
                                form.inline method="post" action=(format!("{base}/reserved-tag-keys/{}", segment(&key.id))) {
                                    (form_token(visit))
                                    input type="hidden" name="disable" value=(if key.disable_overrides { "" } else { "true" });
                                    span { @if key.disable_overrides { "No" } @else { "Yes" } }
                                    button.quiet.small-button type="submit" { @if key.disable_overrides { "Allow" } @else { "Forbid" } }
                                }
                            } @else if key.disable_overrides { "No" } @else { "Yes" }
                        }
                        td.actions { @if may.can_create_project {
                            (confirm(visit, &format!("{base}/reserved-tag-keys/{}/delete", segment(&key.id)), "Free", &key.key,
                                "Workspaces may override it, and nobody is told that it means something.", "Free the key"))
                        } }
                    } } }
                }
            }
            @if may.can_create_project {
                form #new-reserved-tag-key method="post" action={ (base) "/reserved-tag-keys" } {
                    (form_token(visit))
                    (Field::new("key", "Key").input(visit))
                    (tick(visit, "disable-overrides", "Workspaces may not override what their project gives", "", false))
                    div.buttons { button type="submit" { "Reserve key" } }
                }
            }
        }
    };
    Ok(Sided::new("Tags").answer(visit, &organization, &body))
}

async fn delete(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": [{ "type": "tags", "id": visit.path("tag") }] });
    visit.change(Method::DELETE, &api(&visit, "/tags"), &body).await?;
    Ok(Answer::see_other(page(&visit, "/settings/tags?done=deleted")))
}

async fn reserve(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "reserved-tag-keys", "attributes": {
        "key": visit.field("key").trim(), "disable-overrides": !visit.field("disable-overrides").is_empty() } } });
    match settled(visit.change(Method::POST, &api(&visit, "/reserved-tag-keys"), &body).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "/settings/tags?done=reserved"))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn update(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "reserved-tag-keys", "attributes": { "disable-overrides": !visit.field("disable").is_empty() } } });
    let path = format!("/reserved-tag-keys/{}", segment(visit.path("key")));
    visit.change(Method::PATCH, &path, &body).await?;
    Ok(Answer::see_other(page(&visit, "/settings/tags?done=changed")))
}

async fn free(visit: Visit) -> Result<Answer> {
    visit
        .change(Method::DELETE, &format!("/reserved-tag-keys/{}", segment(visit.path("key"))), &Value::Null)
        .await?;
    Ok(Answer::see_other(page(&visit, "/settings/tags?done=freed")))
}
