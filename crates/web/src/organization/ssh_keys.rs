//! The organization's SSH keys, by which runs fetch modules from git.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::{Field, confirm, done, settled},
    layout::form_token,
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
        .show("/app/{organization}/settings/ssh-keys", "web.ssh-keys.list", show)
        .send("/app/{organization}/settings/ssh-keys", "web.ssh-keys.create", create)
        .send("/app/{organization}/settings/ssh-keys/{key}/delete", "web.ssh-keys.delete", delete)
}

#[derive(Deserialize)]
struct Key {
    name: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let path = api(visit, "/ssh-keys?page%5Bsize%5D=100");
    let (organization, found) = tokio::try_join!(of(visit), visit.read(&path))?;
    let keys = found.many::<Key>()?;
    let base = page(visit, "/settings/ssh-keys");
    let body = html! {
        (above)
        (done(visit, &[
            ("added", "The key is stored, sealed. Choose it in a workspace's settings."),
            ("deleted", "The key is gone. Workspaces that used it have none now."),
        ]))
        section.panel {
            p.muted { "With an SSH key a run fetches modules from private git repositories. It is chosen in the settings of a \
                       workspace. Its private part is stored sealed, and shown to nobody again." }
            @if keys.is_empty() { p { "There is no key yet." } } @else {
                table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { span.hidden { "Actions" } } } }
                    tbody { @for key in &keys { tr {
                        th scope="row" { (key.name) div.small { (key.id) } }
                        td.actions { (confirm(visit, &format!("{base}/{}/delete", segment(&key.id)), "Delete", &key.name,
                            "Runs of workspaces that use it can no longer fetch their modules.", "Delete the key")) }
                    } } }
                }
            }
        }
        section.panel {
            h2 { "Add a key" }
            form #new-ssh-key method="post" action=(base) {
                (form_token(visit))
                (Field::new("name", "Name").input(visit))
                (Field::new("value", "Private key").hint("In the form of OpenSSH or PEM, without a passphrase.").area(visit, 6))
                div.buttons { button type="submit" { "Add key" } }
            }
        }
    };
    Ok(Sided::new("SSH keys").answer(visit, &organization, &body))
}

async fn create(visit: Visit) -> Result<Answer> {
    // Keys end with a line break; browsers send two bytes for each.
    let value = visit.field("value").replace("\r\n", "\n");
    let body = json!({ "data": { "type": "ssh-keys", "attributes": { "name": visit.field("name").trim(), "value": value } } });
    match settled(visit.change(Method::POST, &api(&visit, "/ssh-keys"), &body).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "/settings/ssh-keys?done=added"))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn delete(visit: Visit) -> Result<Answer> {
    visit.change(Method::DELETE, &format!("/ssh-keys/{}", segment(visit.path("key"))), &Value::Null).await?;
    Ok(Answer::see_other(page(&visit, "/settings/ssh-keys?done=deleted")))
}
