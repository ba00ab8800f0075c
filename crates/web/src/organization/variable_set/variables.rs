//! The variables of a set: seen, added, changed, deleted. The value of a sensitive one is shown to nobody.

use super::{api_of_set, changed, of_set};
use crate::{
    answer::Answer,
    form::Field,
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{
    Result,
    inside::{Found, Seen},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    let one = "/app/{organization}/settings/variable-sets/{set}/variables/{variable}";
    table
        .send(
            "/app/{organization}/settings/variable-sets/{set}/variables",
            "web.set-variables.create",
            create,
        )
        .send(one, "web.set-variables.update", update)
        .send(
            "/app/{organization}/settings/variable-sets/{set}/variables/{variable}/delete",
            "web.set-variables.delete",
            delete,
        )
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    value: Option<String>,
    category: String,
    hcl: bool,
    sensitive: bool,
    description: Option<String>,
}

const CATEGORIES: [(&str, &str); 2] = [("terraform", "Terraform variable"), ("env", "Environment variable")];

pub(super) fn markup(visit: &Visit, found: &Found, may: bool) -> Result<Markup> {
    let variables = found.many::<Variable>()?;
    Ok(html! {
        section.panel #variables {
            h2 { "Variables " span.tally { (variables.len()) } }
            @if variables.is_empty() { p.muted { "The set has no variables yet." } } @else {
                table.variables {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "Category" } @if may { th scope="col" { span.hidden { "Actions" } } } } }
                    tbody { @for variable in &variables { (row(visit, variable, may)) } }
                }
            }
            @if may {
                details.reveal #new-variable open[!visit.field("key").is_empty() && visit.path("variable").is_empty()] {
                    summary { "Add variable" }
                    form method="post" action=(of_set(visit, "/variables")) { (form_token(visit)) (fields(visit, "new", None)) }
                }
            }
        }
    })
}

fn row(visit: &Visit, variable: &Seen<Variable>, may: bool) -> Markup {
    let base = of_set(visit, &format!("/variables/{}", segment(&variable.id)));
    html! {
        tr {
            th scope="row" {
                code { (variable.key) }
                @if let Some(text) = variable.description.as_deref().filter(|text| !text.is_empty()) { div.note-of { (text) } }
            }
            td.value data-name="Value" {
                @if variable.sensitive { span.badge { "Sensitive" } } @else { code { (variable.value.as_deref().unwrap_or_default()) } }
                @if variable.hcl { " " span.badge { "HCL" } }
            }
            td data-name="Category" { (if variable.category == "env" { "Environment" } else { "Terraform" }) }
            @if may {
                td.actions {
                    details.reveal.side-by {
                        summary { "Edit" span.hidden { " " (variable.key) } }
                        form method="post" action=(base) { (form_token(visit)) (fields(visit, &variable.id, Some(variable))) }
                        form method="post" action={ (base) "/delete" } {
                            (form_token(visit))
                            button.danger.small-button type="submit" { "Delete “" (variable.key) "”" }
                        }
                    }
                }
            }
        }
    }
}

fn fields(visit: &Visit, form: &str, variable: Option<&Variable>) -> Markup {
    let text = |of: fn(&Variable) -> &str| variable.map_or("", of);
    let is = |of: fn(&Variable) -> bool| variable.is_some_and(of);
    html! {
        (Field::new("key", "Key").of(form).value(text(|v| &v.key)).input(visit))
        (Field::new("value", "Value").of(form).value(text(|v| v.value.as_deref().unwrap_or_default())).optional()
            .hint(if is(|v| v.sensitive) { "It is sensitive and not shown. What is left empty stays as it is." } else { "" }).area(visit, 2))
        (Field::new("category", "Category").of(form).value(text(|v| &v.category)).select(visit, &CATEGORIES))
        (Field::new("description", "Description").of(form).value(text(|v| v.description.as_deref().unwrap_or_default())).optional().input(visit))
        div.boxes {
            label.one-box { input type="checkbox" name="hcl" value="true" checked[visit.ticked("hcl", is(|v| v.hcl))]; "HCL: a list, a map, a number" }
            label.one-box { input type="checkbox" name="sensitive" value="true" checked[visit.ticked("sensitive", is(|v| v.sensitive))]; "Sensitive: shown to nobody again" }
        }
        div.buttons { button type="submit" { @if variable.is_some() { "Save variable" } @else { "Add variable" } } }
    }
}

fn asked(visit: &Visit) -> Value {
    let mut attributes = json!({
        "key": visit.field("key").trim(), "category": visit.field("category"), "description": visit.field("description"),
        "hcl": !visit.field("hcl").is_empty(), "sensitive": !visit.field("sensitive").is_empty(),
    });
    let value = visit.field("value").replace("\r\n", "\n");
    let keeps = !visit.path("variable").is_empty() && attributes["sensitive"] == true && value.is_empty();
    if !keeps {
        attributes["value"] = json!(value);
    }
    json!({ "data": { "type": "vars", "attributes": attributes } })
}

async fn create(visit: Visit) -> Result<Answer> {
    let result = visit.change(Method::POST, &api_of_set(&visit, "/relationships/vars"), &asked(&visit)).await;
    changed(&visit, result, "variable").await
}

fn of_variable(visit: &Visit) -> String {
    api_of_set(visit, &format!("/relationships/vars/{}", segment(visit.path("variable"))))
}

async fn update(visit: Visit) -> Result<Answer> {
    let result = visit.change(Method::PATCH, &of_variable(&visit), &asked(&visit)).await;
    changed(&visit, result, "variable").await
}

async fn delete(visit: Visit) -> Result<Answer> {
    let result = visit.change(Method::DELETE, &of_variable(&visit), &Value::Null).await;
    changed(&visit, result, "variable").await
}
