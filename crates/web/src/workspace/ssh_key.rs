//! The key with which runs fetch modules from private repositories.

use super::{At, Named, Refusal, settings};
use crate::{
    answer::Answer,
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::Result;
use maud::html;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings/ssh-key";
    table.show(path, "web.workspace-ssh-key.show", show).send(path, "web.workspace-ssh-key.assign", assign)
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let path = format!("/organizations/{}/ssh-keys?page%5Bsize%5D=100", segment(&at.organization));
    let keys = visit.read_if_there(&path).await?.map(|found| found.many::<Named>()).transpose()?;
    let current = at.workspace.related("ssh-key");
    let body = html! {
        section.panel aria-labelledby="key-heading" {
            h2 #key-heading { "SSH key" }
            p.muted { "Runs use it to fetch modules from repositories that need one." }
            @match &keys {
                None => {
                    p { @match current { Some(id) => { "Key " code { (id) } }, None => "No key" } }
                    p.muted { "Which keys the organization has is for those to see who manage its SSH keys." }
                }
                Some(keys) if keys.is_empty() => p { "The organization has no SSH keys yet." },
                Some(keys) => {
                    form.row #ssh-key-form method="post" action=(at.page("/settings/ssh-key")) {
                        (form_token(visit))
                        div.grow {
                            label for="key" { "Key" }
                            select #key name="key" disabled[!at.workspace.permissions.can_update] {
                                option value="" selected[current.is_none()] { "None" }
                                @for key in keys { option value=(key.id) selected[current == Some(key.id.as_str())] { (key.name) } }
                            }
                        }
                        @if at.workspace.permissions.can_update { button type="submit" { "Save settings" } }
                    }
                }
            }
        }
    };
    Ok(settings::beside(visit, &at, "SSH key", refusal, &body))
}

async fn assign(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let id = match visit.field("key") {
        "" => Value::Null,
        id => json!(id),
    };
    let body = json!({ "data": { "type": "workspaces", "attributes": { "id": id } } });
    match visit.change(Method::PATCH, &at.api("/relationships/ssh-key"), &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/settings/ssh-key?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}
