//! The first page of a workspace: its newest run, what its state holds, and how it is set.

use super::{At, Named, Refusal, User, answered, done, engine, mode, readme, refused, runs};
use crate::{
    answer::Answer,
    layout::{Frame, form_token, framed, moment},
    live::{self, Watch},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{
    Result,
    inside::{Found, Seen},
};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}", "web.workspace.show", show)
}

/// A managed resource of the current state.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Resource {
    address: String,
    module: String,
    provider_type: String,
    updated_at: String,
}

/// An output of a state.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Output {
    name: String,
    sensitive: bool,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Markdown {
    raw_markdown: String,
}

#[derive(Deserialize)]
struct Binding {
    key: String,
    value: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

/// The page, with what was refused of its forms.
pub(super) async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "current_run,project,locked_by,readme,effective_tag_bindings").await?;
    let newest: Option<Seen<runs::Run>> = match at.workspace.related("current-run") {
        Some(id) => at.found.included("runs", id)?,
        None => None,
    };
    let has_state = at.workspace.related("current-state-version").is_some();
    if newest.is_none() && !has_state {
        return empty(visit, &at, refusal).await;
    }
    let search = visit.query("q").unwrap_or_default();
    // As the API writes addresses.
    let asked = search.to_lowercase().replace("module.", "");
    let page: u32 = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let resources =
        at.api(&format!("/resources?page%5Bsize%5D=50&page%5Bnumber%5D={page}&q={}", segment(&asked)));
    let outputs = at.api("/current-state-version-outputs");
    let outputs = async {
        if has_state && at.workspace.permissions.can_read_state_outputs {
            return visit.read_if_there(&outputs).await;
        }
        Ok(None)
    };
    let (resources, outputs) = tokio::try_join!(visit.read(&resources), outputs)?;
    let outputs = outputs.map(|found| found.many::<Output>()).transpose()?;
    let now = visit.app.now();
    let latest = html! { (latest(&at, newest.as_ref(), now)) };
    let lock = lock(visit, &at)?;
    let state = html! {
        (resource_table(&at, &resources, &search, now)?)
        (output_panel(&at, outputs.as_deref()))
    };
    let parts = html! {
        div.split {
            div.main {
                (live::part(visit, "latest-run", &latest))
                (search_box(&at, &search))
                (live::part(visit, "current-state", &state))
                (readme_panel(&at)?)
            }
            aside aria-label="About this workspace" {
                (live::part(visit, "lock", &lock))
                (facts(&at)?)
            }
        }
    };
    framed_page(visit, &at, refusal, &live::follow(visit, Watch::Workspace(&at.workspace.id), &parts))
}

/// What a workspace shows in which nothing has happened yet.
async fn empty(visit: &Visit, at: &At, refusal: Option<&Refusal>) -> Result<Answer> {
    let parts = html! {
        div.split {
            div.main {
                (live::part(visit, "latest-run", &super::empty::ways(visit, at)))
                (readme_panel(at)?)
            }
            aside aria-label="About this workspace" {
                (live::part(visit, "lock", &lock(visit, at)?))
                (facts(at)?)
            }
        }
    };
    framed_page(visit, at, refusal, &live::follow(visit, Watch::Workspace(&at.workspace.id), &parts))
}

fn framed_page(visit: &Visit, at: &At, refusal: Option<&Refusal>, body: &Markup) -> Result<Answer> {
    let frame = Frame { actions: at.start(), ..Frame::new(at.area(), "Overview", &at.workspace.name) };
    let body = html! {
        (done(visit, &[
            ("locked", "The workspace is locked. New runs wait until it is unlocked."),
            ("unlocked", "The workspace is unlocked."),
            ("created", "The workspace is made."),
            ("moved", "The settings are saved."),
        ]))
        (refused(refusal))
        @if let Some(text) = at.workspace.description.as_deref().filter(|text| !text.is_empty()) {
            p.lead { (text) }
        }
        (body)
    };
    Ok(answered(Answer::page(framed(visit, &frame, &body)), refusal))
}

fn latest(at: &At, run: Option<&Seen<runs::Run>>, now: Timestamp) -> Markup {
    html! {
        section.panel aria-labelledby="latest-run-heading" {
            div.titled {
                h2 #latest-run-heading { "Latest run" }
                a href=(at.page("/runs")) { "All runs" }
            }
            @match run {
                None => p.muted { "There is no run yet; the state was written from elsewhere." },
                Some(run) => {
                    div.latest {
                        (parts::badge(&run.status))
                        a.strong href=(at.page(&format!("/runs/{}", run.id))) { (run.message) }
                        span.muted {
                            (runs::operation(&run.operation))
                            @if let Some(at) = Timestamp::parse(&run.created_at) { " · " (moment(now, at)) }
                        }
                    }
                    @if let Some(waiting) = &run.waiting_for { p.muted { (waiting.message) } }
                    @if run.actions.is_confirmable && run.permissions.can_apply {
                        div.buttons {
                            a.button href=(at.page(&format!("/runs/{}", run.id))) { "Review and confirm" }
                        }
                    }
                }
            }
        }
    }
}

fn search_box(at: &At, search: &str) -> Markup {
    let own = at.page("");
    html! {
        form.search method="get" action=(own) role="search" {
            input type="search" name="q" value=(search) placeholder="Filter resources by address, type or module"
                aria-label="Filter resources by address, type or module" data-search
                hx-get=(own) hx-trigger="input changed delay:150ms" hx-select="#current-state"
                hx-target="#current-state" hx-swap="outerHTML" hx-push-url="true";
        }
    }
}

fn resource_table(at: &At, found: &Found, search: &str, now: Timestamp) -> Result<Markup> {
    let all = found.many::<Resource>()?;
    let base = format!("{}?q={}", at.page(""), segment(search));
    let total = at.workspace.resource_count;
    Ok(html! {
        section.panel aria-labelledby="resources-heading" {
            div.titled {
                h2 #resources-heading { "Resources" }
                span.muted { (parts::count(total, "resource", "resources")) }
            }
            @if all.is_empty() && search.is_empty() {
                p.muted { "The current state manages no resources." }
            } @else if all.is_empty() {
                p.muted { "No resource has “" (search) "” in its address." }
            } @else {
                table.dense.resources {
                    thead { tr {
                        th scope="col" { "Address" } th scope="col" { "Type" } th scope="col" { "Module" }
                        th scope="col" { "Changed" }
                    } }
                    tbody { @for resource in &all { tr {
                        th scope="row" { code { (engine_address(&resource.address, &resource.module)) } }
                        td data-name="Type" { (resource.provider_type) }
                        td data-name="Module" { (resource.module) }
                        td data-name="Changed" {
                            @if let Some(at) = Timestamp::parse(&resource.updated_at) { (moment(now, at)) }
                        }
                    } } }
                }
                (parts::pager(&base, found.pagination()))
            }
        }
    })
}

/// An address as the engine writes it, of one as the API does, which leaves the word `module` out.
pub(super) fn engine_address(address: &str, module: &str) -> String {
    let Some(rest) = address.strip_prefix(module).filter(|_| module != "root" && !module.is_empty()) else {
        return address.to_owned();
    };
    let (mut out, mut inside) = ("module.".to_owned(), false);
    for c in module.chars() {
        out.push(c);
        match c {
            // A dot in an index separates nothing.
            '"' => inside = !inside,
            '.' if !inside => out.push_str("module."),
            _ => {}
        }
    }
    out + rest
}

fn output_panel(at: &At, outputs: Option<&[Seen<Output>]>) -> Markup {
    html! {
        section.panel aria-labelledby="outputs-heading" {
            h2 #outputs-heading { "Outputs" }
            @match outputs {
                None if !at.workspace.permissions.can_read_state_outputs => {
                    p.muted { "You may not read the outputs of this workspace." }
                }
                None | Some([]) => p.muted { "The current state has no outputs." },
                Some(outputs) => (output_table(outputs)),
            }
        }
    }
}

/// Outputs of a state. Sensitive ones are named only.
pub(super) fn output_table(outputs: &[Seen<Output>]) -> Markup {
    html! {
        table.dense {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } } }
            tbody { @for output in outputs { tr {
                th scope="row" { code { (output.name) } }
                td.wide data-name="Value" {
                    @if output.sensitive { span.muted { "Sensitive, hidden" } } @else { code.whole { (text_of(&output.value)) } }
                }
            } } }
        }
    }
}

/// A value as one reads it: a string without its quotes.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        other => other.to_string(),
    }
}

fn readme_panel(at: &At) -> Result<Markup> {
    let id = at.workspace.related("readme");
    let text = id.map(|id| at.found.included::<Markdown>("workspace-readme", id)).transpose()?.flatten();
    Ok(html! {
        @if let Some(text) = text {
            section.panel aria-labelledby="readme-heading" {
                h2 #readme-heading { "README" }
                div.prose { (readme::markup(&text.raw_markdown)) }
            }
        }
    })
}

/// Who holds the lock and why, and what one may do about it.
fn lock(visit: &Visit, at: &At) -> Result<Markup> {
    let (workspace, held) = (&at.workspace, &at.workspace.permissions);
    let holder = holder(at)?;
    let by_run = holder.as_ref().is_some_and(|holder| holder.kind == "runs");
    let mine =
        visit.user().is_ok_and(|user| holder.as_ref().is_some_and(|holder| holder.id == user.as_str()));
    Ok(html! {
        section.panel.told #lock-panel aria-labelledby="lock-heading" {
            h2 #lock-heading { @if workspace.locked { "Locked" } @else { "Unlocked" } }
            @if let Some(holder) = &holder {
                p { "By " (holder.words) "." }
                @if !workspace.locked_reason.is_empty() { blockquote { (workspace.locked_reason) } }
                @if by_run { p.small { "It is unlocked when that run ends." } }
            } @else {
                p.muted { "A new run takes the lock while it works." }
            }
            @if !workspace.locked && held.can_lock {
                details.plain {
                    summary { "Lock workspace" }
                    form method="post" action=(at.page("/lock")) {
                        (form_token(visit))
                        label for="lock-reason" { "Reason" }
                        input #lock-reason name="reason" maxlength="255" autocomplete="off" value=(visit.field("reason"));
                        button type="submit" { "Lock workspace" }
                    }
                }
            }
            @if workspace.locked && !by_run && held.can_unlock && mine {
                form method="post" action=(at.page("/unlock")) {
                    (form_token(visit))
                    button.quiet type="submit" { "Unlock workspace" }
                }
            }
            @if workspace.locked && !by_run && held.can_force_unlock && !mine {
                details.plain {
                    summary { "Force unlock" }
                    form method="post" action=(at.page("/force-unlock")) {
                        (form_token(visit))
                        p.small { "Whoever holds the lock may be working on the state right now. Ask them first." }
                        button.danger type="submit" { "Force unlock workspace" }
                    }
                }
            }
        }
    })
}

struct Holder {
    kind: &'static str,
    id: String,
    words: Markup,
}

fn holder(at: &At) -> Result<Option<Holder>> {
    let Some((kind, id)) = at.workspace.all_related("locked-by").into_iter().next() else { return Ok(None) };
    let words = match kind {
        "runs" => html! { "run " a href=(at.page(&format!("/runs/{id}"))) { (id) } },
        "teams" => {
            let team = at.found.included::<Named>(kind, id)?;
            html! { "team " (team.map_or_else(|| id.to_owned(), |team| team.attributes.name)) }
        }
        _ => {
            let user = at.found.included::<User>(kind, id)?;
            html! { (user.map_or_else(|| id.to_owned(), |user| user.attributes.username)) }
        }
    };
    Ok(Some(Holder { kind, id: id.to_owned(), words }))
}

/// How the workspace is set.
fn facts(at: &At) -> Result<Markup> {
    let workspace = &at.workspace;
    let project = workspace.related("project").unwrap_or_default();
    let project = at.found.included::<Named>("projects", project)?;
    let tags = at.found.all_included::<Binding>("effective-tag-bindings")?;
    let directory = workspace.working_directory.as_deref().filter(|text| !text.is_empty());
    Ok(html! {
        section.panel aria-labelledby="about-heading" {
            h2 #about-heading { "About" }
            dl.about {
                dt { "ID" } dd { code { (workspace.id) } }
                @if let Some(project) = &project { dt { "Project" } dd { (project.name) } }
                dt { "Execution mode" } dd { (mode(&workspace.execution_mode)) }
                dt { (engine(&workspace.engine)) } dd { (workspace.terraform_version) }
                @if let Some(directory) = directory { dt { "Working directory" } dd { code { (directory) } } }
                dt { "Auto-apply" } dd { @if workspace.auto_apply { "On" } @else { "Off" } }
                @if let Some(at) = &workspace.auto_destroy_at { dt { "Destroyed at" } dd { (at) } }
                @if !tags.is_empty() {
                    dt { "Tags" }
                    dd { ul.tags { @for tag in &tags { li { (tag.key) @if !tag.value.is_empty() { "=" (tag.value) } } } } }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::engine_address;

    #[test]
    fn an_address_gets_the_word_module_back() {
        let address = |address, module| engine_address(address, module);
        assert_eq!(address("t.n[0]", "root"), "t.n[0]");
        assert_eq!(address("a.t.n[0]", "a"), "module.a.t.n[0]");
        assert_eq!(address("a[\"x.y\"].b.t.n", "a[\"x.y\"].b"), "module.a[\"x.y\"].module.b.t.n");
    }
}
