//! One variable of a workspace: added, changed, deleted.

use super::{At, Refusal, answered, refused, variables::Variable};
use crate::{answer::Answer, layout::form_token, serve::Table, visit::Visit};
use axum::http::Method;
use http_api::{Result, inside::Seen};
use maud::{Markup, html};
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let new = "/app/{organization}/workspaces/{workspace}/variables/new";
    let one = "/app/{organization}/workspaces/{workspace}/variables/{variable}";
    let delete = "/app/{organization}/workspaces/{workspace}/variables/{variable}/delete";
    table
        .show(new, "web.variable.new", show_new)
        .send(new, "web.variable.create", create)
        .show(one, "web.variable.show", show)
        .send(one, "web.variable.update", update)
        .send(delete, "web.variable.delete", remove)
}

/// What stands in the form.
struct Filled {
    key: String,
    value: String,
    category: String,
    description: String,
    hcl: bool,
    sensitive: bool,
    /// The value is there and never shown.
    hidden: bool,
}

impl Filled {
    fn sent(visit: &Visit) -> Self {
        Self {
            key: visit.field("key").trim().to_owned(),
            // Forms write an end of a line as two characters.
            value: visit.field("value").replace("\r\n", "\n"),
            category: visit.field("category").to_owned(),
            description: visit.field("description").trim().to_owned(),
            hcl: visit.field("hcl") == "on",
            sensitive: visit.field("sensitive") == "on",
            hidden: false,
        }
    }

    fn of(one: &Variable) -> Self {
        Self {
            key: one.key.clone(),
            value: one.value.clone().unwrap_or_default(),
            category: one.category.clone(),
            description: one.description.clone(),
            hcl: one.hcl,
            sensitive: one.sensitive,
            hidden: one.sensitive,
        }
    }

    fn attributes(&self) -> Value {
        json!({
            "key": self.key, "value": self.value, "category": self.category, "description": self.description,
            "hcl": self.hcl, "sensitive": self.sensitive,
        })
    }
}

async fn show_new(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    at.may(|held| held.can_update_variable)?;
    let empty = Filled { category: "terraform".to_owned(), ..Filled::sent(&visit) };
    Ok(new(&visit, &at, &empty, None))
}

fn new(visit: &Visit, at: &At, filled: &Filled, refusal: Option<&Refusal>) -> Answer {
    let own = at.page("/variables/new");
    let body = html! {
        (refused(refusal))
        section.panel.narrow aria-label="Variable" { (form(visit, at, &own, filled, "Add variable")) }
    };
    answered(at.within(visit, "Variables", "Add variable", &body), refusal)
}

fn form(visit: &Visit, at: &At, own: &str, filled: &Filled, words: &str) -> Markup {
    html! {
        form #variable-form method="post" action=(own) {
            (form_token(visit))
            label for="key" { "Key" }
            input #key name="key" value=(filled.key) required maxlength="128" autocomplete="off" autocapitalize="off"
                spellcheck="false" readonly[filled.hidden] autofocus[filled.key.is_empty()];
            label for="value" { "Value" }
            textarea #value name="value" rows="4" autocomplete="off" spellcheck="false"
                placeholder=[filled.hidden.then_some("Hidden; leave empty to keep it")] { "\n" (filled.value) }
            fieldset.choices {
                legend { "Category" }
                label { input type="radio" name="category" value="terraform" checked[filled.category != "env"]; " Terraform variable" }
                label { input type="radio" name="category" value="env" checked[filled.category == "env"]; " Environment variable" }
            }
            fieldset.choices {
                legend { "How it is treated" }
                label {
                    input type="checkbox" name="hcl" checked[filled.hcl] disabled[filled.hidden];
                    " HCL: the value is an expression, such as a list (Terraform variables only)"
                }
                label {
                    input type="checkbox" name="sensitive" checked[filled.sensitive] disabled[filled.hidden];
                    " Sensitive: never shown again, to nobody"
                }
            }
            label for="description" { "Description" }
            input #description name="description" value=(filled.description) maxlength="512" autocomplete="off";
            div.buttons {
                button type="submit" { (words) }
                a.button.quiet href=(at.page("/variables")) { "Cancel" }
            }
        }
    }
}

async fn create(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let filled = Filled::sent(&visit);
    let body = json!({ "data": { "type": "vars", "attributes": filled.attributes() } });
    match visit.change(Method::POST, &at.api("/vars"), &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/variables?done=saved"))),
        Err(error) => Ok(new(&visit, &at, &filled, Some(&Refusal::of(error)?))),
    }
}

/// The variable that the path names, and its path in the API.
async fn of(visit: &Visit, at: &At) -> Result<(Seen<Variable>, String)> {
    let path = at.api(&format!("/vars/{}", crate::visit::segment(visit.path("variable"))));
    Ok((visit.read(&path).await?.one()?, path))
}

async fn show(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    at.may(|held| held.can_update_variable)?;
    let (one, _) = of(&visit, &at).await?;
    Ok(edit(&visit, &at, &one, &Filled::of(&one), None))
}

fn edit(visit: &Visit, at: &At, one: &Seen<Variable>, filled: &Filled, refusal: Option<&Refusal>) -> Answer {
    let own = at.page(&format!("/variables/{}", one.id));
    let body = html! {
        (refused(refusal))
        section.panel.narrow aria-label="Variable" { (form(visit, at, &own, filled, "Save variable")) }
        section.panel.narrow aria-labelledby="delete-heading" {
            h2 #delete-heading { "Delete variable" }
            p.muted { "Runs that are made from now on do not have it. Runs that are there keep it." }
            form #delete-variable method="post" action={ (own) "/delete" } {
                (form_token(visit))
                div.buttons { button.danger type="submit" { "Delete " (one.key) } }
            }
        }
    };
    answered(at.within(visit, "Variables", &one.key, &body), refusal)
}

async fn update(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let (one, path) = of(&visit, &at).await?;
    let mut filled = Filled::sent(&visit);
    let mut attributes = filled.attributes();
    if one.sensitive {
        // What may not change is not sent by the form.
        (filled.hcl, filled.sensitive, filled.hidden) = (one.hcl, true, true);
        attributes = json!({ "description": filled.description, "category": filled.category });
        if !filled.value.is_empty() {
            attributes["value"] = json!(filled.value);
        }
        filled.value.clear();
    }
    let body = json!({ "data": { "type": "vars", "id": one.id, "attributes": attributes } });
    match visit.change(Method::PATCH, &path, &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/variables?done=saved"))),
        Err(error) => Ok(edit(&visit, &at, &one, &filled, Some(&Refusal::of(error)?))),
    }
}

async fn remove(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let (one, path) = of(&visit, &at).await?;
    match visit.change(Method::DELETE, &path, &Value::Null).await {
        Ok(_) => Ok(Answer::see_other(at.page("/variables?done=deleted"))),
        Err(error) => Ok(edit(&visit, &at, &one, &Filled::of(&one), Some(&Refusal::of(error)?))),
    }
}
