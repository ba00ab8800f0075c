//! The audit trail of an organization: who has changed what, newest first, with what it was before and after.
//!
//! The API gives entries oldest first; this page begins with its last page.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::copied,
    layout::moment,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Error, Result};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/settings/audit-trail", "web.audit-trail.show", show)
}

/// Entries of a page.
const SIZE: i64 = 50;

#[derive(Deserialize)]
struct Trail {
    data: Vec<Entry>,
    pagination: Pages,
}

#[derive(Deserialize)]
struct Pages {
    total_pages: i64,
    total_count: i64,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    auth: Auth,
    #[serde(default)]
    resource: Resource,
}

#[derive(Default, Deserialize)]
struct Auth {
    accessor_id: Option<String>,
    description: Option<String>,
}

#[derive(Default, Deserialize)]
struct Resource {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    action: String,
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    sequence: i64,
    operation: String,
    method: String,
    path: String,
    status: Value,
    address: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
}

/// What is looked for: field of the form, the API's parameter, its name.
const FILTERS: [(&str, &str, &str); 4] = [
    ("actor", "filter[actor][id]", "User id"),
    ("type", "filter[resource][type]", "Resource type, as workspaces"),
    ("resource", "filter[resource][id]", "Resource id"),
    ("operation", "filter[operation]", "Operation, as workspaces.workspaces.update"),
];

async fn show(visit: Visit) -> Result<Answer> {
    let organization = of(&visit).await?;
    if !organization.permissions.can_view_usage {
        return Err(Error::NotFound);
    }
    let text = |name: &str| visit.query(name).unwrap_or_default();
    let mut asked = String::new();
    for (field, parameter, _) in FILTERS {
        if !text(field).is_empty() {
            asked.push_str(&format!("&{}={}", segment(parameter), segment(&text(field))));
        }
    }
    for (field, parameter, end) in [("from", "since", "T00:00:00Z"), ("to", "until", "T23:59:59.999Z")] {
        if text(field).len() == 10 {
            asked.push_str(&format!("&{parameter}={}{end}", segment(&text(field))));
        }
    }
    let number: i64 = text("page").parse().unwrap_or(1).max(1);
    let trail = newest(&visit, &asked, number).await?;
    let address = {
        let fields = FILTERS.iter().map(|(field, ..)| *field).chain(["from", "to"]);
        let parts = fields
            .filter(|field| !text(field).is_empty())
            .map(|field| format!("{field}={}&", segment(&text(field))));
        format!("{}?{}", page(&visit, "/settings/audit-trail"), parts.collect::<String>())
    };
    let body = html! {
        section.panel {
            p.muted { "Everything that was changed, by whom, from where; each entry is chained to the one before it, so that none can be taken out unseen." }
            (filters(&visit))
            @if trail.data.is_empty() { p { "No entry is like that." } } @else {
                p.small { (trail.pagination.total_count) " entries" }
                ol.trail { @for entry in trail.data.iter().rev() { (row(&visit, entry)) } }
                nav.pager aria-label="Pages of the list" {
                    @if number > 1 { a rel="prev" href={ (address) "page=" (number - 1) } { "‹ Newer" } } @else { span {} }
                    span.muted { "Page " (number) " of " (trail.pagination.total_pages.max(1)) }
                    @if number < trail.pagination.total_pages { a rel="next" href={ (address) "page=" (number + 1) } { "Older ›" } } @else { span {} }
                }
            }
        }
        section.panel {
            h2 { "Export it" }
            p { "All entries as lines of JSON, for another system; and whether the chain is whole:" }
            (copied("audit-export", "ferroform audit export > audit.jsonl\nferroform audit verify"))
        }
    };
    Ok(Sided::new("Audit trail").answer(&visit, &organization, &body))
}

/// A page of the trail counted from its end. What is added meanwhile moves nothing but the newest page.
async fn newest(visit: &Visit, asked: &str, number: i64) -> Result<Trail> {
    let first = read(visit, asked, 1).await?;
    let wanted = first.pagination.total_pages - number + 1;
    if wanted <= 1 { Ok(first) } else { read(visit, asked, wanted).await }
}

async fn read(visit: &Visit, asked: &str, number: i64) -> Result<Trail> {
    let path = api(visit, &format!("/audit-trail?page%5Bsize%5D={SIZE}&page%5Bnumber%5D={number}{asked}"));
    serde_json::from_slice(&visit.bytes(&path).await?).map_err(Error::internal)
}

fn filters(visit: &Visit) -> Markup {
    let text = |name: &str| visit.query(name).unwrap_or_default();
    html! {
        form.list-filters #audit-filter method="get" action=(page(visit, "/settings/audit-trail")) {
            @for (field, _, name) in FILTERS {
                input name=(field) value=(text(field)) placeholder=(name) aria-label=(name) autocomplete="off" spellcheck="false";
            }
            label.inline-label { "From " input type="date" name="from" value=(text("from")); }
            label.inline-label { "To " input type="date" name="to" value=(text("to")); }
            button.quiet type="submit" { "Filter" }
        }
    }
}

fn row(visit: &Visit, entry: &Entry) -> Markup {
    let meta = &entry.resource.meta;
    let failed = meta.status.as_u64().is_some_and(|status| status >= 400);
    html! {
        li id={ "entry-" (entry.id) } {
            details.reveal {
                summary {
                    strong { (entry.auth.description.as_deref().unwrap_or("Nobody")) }
                    " " (entry.resource.action.replace('_', " ")) " "
                    span { (entry.resource.kind) @if let Some(id) = &entry.resource.id { " " code { (id) } } }
                    @if failed { " " span.badge.bad { "Refused" } }
                    span.muted.when { @if let Some(at) = Timestamp::parse(&entry.timestamp) { (moment(visit.app.now(), at)) } }
                }
                (changes(meta.before.as_ref(), meta.after.as_ref()))
                dl.entry-facts {
                    dt { "When" } dd { (entry.timestamp) }
                    @if let Some(id) = &entry.auth.accessor_id { dt { "Who" } dd { code { (id) } } }
                    @if let Some(address) = &meta.address { dt { "From" } dd { code { (address) } } }
                    dt { "Request" } dd { code { (meta.method) " " (meta.path) } " → " (meta.status) }
                    dt { "Operation" } dd { code { (meta.operation) } }
                    dt { "Entry" } dd { (meta.sequence) " · " code { (entry.id) } }
                }
            }
        }
    }
}

/// What was changed, attribute by attribute.
fn changes(before: Option<&Value>, after: Option<&Value>) -> Markup {
    let (mut was, mut is) = (Map::new(), Map::new());
    flatten("", before.unwrap_or(&Value::Null), &mut was);
    flatten("", after.unwrap_or(&Value::Null), &mut is);
    let mut names: Vec<&String> =
        was.keys().chain(is.keys()).filter(|name| was.get(*name) != is.get(*name)).collect();
    names.sort();
    names.dedup();
    // What says only which resource it is stands above already.
    names.retain(|name| !["id", "type"].contains(&name.as_str()) && !name.starts_with("links."));
    html! {
        @if !names.is_empty() {
            table.was-is {
                thead { tr { th scope="col" { "Attribute" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody { @for name in names { tr {
                    th scope="row" { (name.strip_prefix("attributes.").unwrap_or(name)) }
                    td data-name="Before" { @if let Some(value) = was.get(name) { del { (shown(value)) } } }
                    td data-name="After" { @if let Some(value) = is.get(name) { ins { (shown(value)) } } }
                } } }
            }
        }
    }
}

/// A document as a flat list of its values, by their paths.
fn flatten(at: &str, value: &Value, into: &mut Map<String, Value>) {
    match value {
        Value::Null if at.is_empty() => {}
        Value::Object(members) => {
            for (name, value) in members {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                flatten(&path, value, into);
            }
        }
        value => {
            into.insert(at.to_owned(), value.clone());
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
