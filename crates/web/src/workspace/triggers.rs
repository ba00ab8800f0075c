//! Run triggers: the workspaces whose applies start runs in this one, and those in which applies here start runs.

use super::{At, Named, Refusal, member, settings};
use crate::{
    answer::Answer,
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Found};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings/run-triggers";
    let one = "/app/{organization}/workspaces/{workspace}/settings/run-triggers/{trigger}/delete";
    table.show(path, "web.run-triggers.show", show).send(path, "web.run-triggers.create", create).send(
        one,
        "web.run-triggers.delete",
        remove,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Trigger {
    workspace_name: String,
    sourceable_name: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let list = |kind: &str| {
        at.api(&format!("/run-triggers?filter%5Brun-trigger%5D%5Btype%5D={kind}&page%5Bsize%5D=100"))
    };
    let (inbound, outbound) = (list("inbound"), list("outbound"));
    let others = format!("/organizations/{}/workspaces?page%5Bsize%5D=100", segment(&at.organization));
    let (inbound, outbound, others) =
        tokio::try_join!(visit.read(&inbound), visit.read(&outbound), visit.read(&others))?;
    let outbound = outbound.many::<Trigger>()?;
    // The API asks for a permission that its document does not name; who may change the settings has it.
    let may = at.workspace.permissions.can_update;
    let body = html! {
        section.panel aria-labelledby="inbound-heading" {
            h2 #inbound-heading { "Started by" }
            p.muted { "When a run of one of these workspaces is applied, a run starts here." }
            (sources(visit, &at, &inbound, may)?)
            @if may { (form(visit, &at, &others)?) }
        }
        section.panel aria-labelledby="outbound-heading" {
            h2 #outbound-heading { "Starts" }
            @if outbound.is_empty() { p.muted { "Applies here start no runs elsewhere." } } @else {
                p.muted { "An apply here starts a run in each of these." }
                ul.plain { @for one in &outbound { li {
                    a href=(super::page(&at.organization, &one.workspace_name, "")) { (one.workspace_name) }
                } } }
            }
        }
    };
    Ok(settings::beside(visit, &at, "Run triggers", refusal, &body))
}

fn sources(visit: &Visit, at: &At, found: &Found, may: bool) -> Result<Markup> {
    let all = found.many::<Trigger>()?;
    Ok(html! {
        @if all.is_empty() { p.muted { "There are none." } } @else {
            ul.plain { @for one in &all { li.line {
                a href=(super::page(&at.organization, &one.sourceable_name, "")) { (one.sourceable_name) }
                @if may {
                    form method="post" action=(at.page(&format!("/settings/run-triggers/{}/delete", one.id))) {
                        (form_token(visit))
                        button.quiet.small type="submit" { "Remove" span.hidden { " " (one.sourceable_name) } }
                    }
                }
            } } }
        }
    })
}

fn form(visit: &Visit, at: &At, others: &Found) -> Result<Markup> {
    let others = others.many::<Named>()?;
    Ok(html! {
        form.row #trigger-form method="post" action=(at.page("/settings/run-triggers")) {
            (form_token(visit))
            div.grow {
                label for="source" { "Workspace" }
                input #source name="source" list="workspaces" required autocomplete="off" value=(visit.field("source"));
                datalist #workspaces {
                    @for one in others.iter().filter(|one| one.id != at.workspace.id) { option value=(one.name) {} }
                }
            }
            button type="submit" { "Add run trigger" }
        }
    })
}

async fn create(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let name = visit.field("source").trim().to_owned();
    let Some(source) = settings::workspace_named(&visit, &at.organization, &name).await? else {
        let refusal = Refusal::saying(format!("There is no workspace {name:?} that you may see."));
        return page(&visit, Some(&refusal)).await;
    };
    let body = json!({ "data": {
        "type": "run-triggers", "relationships": { "sourceable": member("workspaces", &source) },
    } });
    match visit.change(Method::POST, &at.api("/run-triggers"), &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/settings/run-triggers?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

async fn remove(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let path = format!("/run-triggers/{}", segment(visit.path("trigger")));
    let found = visit.read(&path).await?.one::<Trigger>()?;
    if found.related("workspace") != Some(&at.workspace.id) {
        return Err(Error::NotFound);
    }
    match visit.change(Method::DELETE, &path, &Value::Null).await {
        Ok(_) => Ok(Answer::see_other(at.page("/settings/run-triggers?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}
