//! The organization's own tokens: the one that sets it up, and the one that reads its audit trail; and those of its teams.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::{Field, LIVES, confirm, done, expiry, settled, shown_once},
    layout::{form_token, moment},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/{organization}/settings/tokens", "web.organization-tokens.show", show)
        .send("/app/{organization}/settings/tokens/{kind}", "web.organization-tokens.create", create)
        .send("/app/{organization}/settings/tokens/{kind}/revoke", "web.organization-tokens.revoke", revoke)
}

/// When a token was made, used and ends.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Token {
    pub(super) created_at: String,
    pub(super) last_used_at: Option<String>,
    pub(super) expired_at: Option<String>,
    pub(super) description: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    name: String,
}

/// The organization's tokens: how the API and the address call them, the name, what it is for.
const KINDS: [(&str, &str, &str); 2] = [
    (
        "organization",
        "Organization token",
        "For automation that sets the organization up: it manages teams, projects, workspaces and variables, and can start no run.",
    ),
    ("audit-trails", "Audit trail token", "For a program that reads the audit trail, and nothing else."),
];

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let organization = of(visit).await?;
    if !organization.permissions.can_update_api_token {
        return Err(Error::NotFound);
    }
    let number = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let paths = [
        api(visit, "/authentication-token?token=organization"),
        api(visit, "/authentication-token?token=audit-trails"),
        api(visit, &format!("/team-tokens?include=team&page%5Bsize%5D=50&page%5Bnumber%5D={number}")),
        api(visit, "/teams?page%5Bsize%5D=100"),
    ];
    let (own, audit, of_teams, teams) = tokio::try_join!(
        visit.read_if_there(&paths[0]),
        visit.read_if_there(&paths[1]),
        visit.read(&paths[2]),
        visit.read(&paths[3]),
    )?;
    let (tokens, teams) = (of_teams.many::<Token>()?, teams.many::<Team>()?);
    let found = [own, audit];
    let body = html! {
        (above)
        (done(visit, &[("revoked", "The token is revoked. Whatever used it is refused from now on.")]))
        @for ((kind, name, what), found) in KINDS.iter().zip(&found) {
            @let token = found.as_ref().map(|found| found.one::<Token>()).transpose()?;
            (one(visit, kind, name, what, token.as_ref()))
        }
        section.panel {
            h2 { "Team tokens" }
            p.muted { "A team's token does what the team may do. It is made on the page of its team." }
            @if tokens.is_empty() { p { "No team has a token." } } @else {
                table {
                    thead { tr { th scope="col" { "Token" } th scope="col" { "Team" } (times_head()) } }
                    tbody { @for token in &tokens { tr {
                        th scope="row" { (token.description.as_deref().unwrap_or("Team token")) div.small { (token.id) } }
                        td data-name="Team" {
                            @if let Some(id) = token.related("team") {
                                a href=(page(visit, &format!("/settings/teams/{}", segment(id)))) {
                                    (teams.iter().find(|team| team.id == id).map_or(id, |team| &team.name))
                                }
                            }
                        }
                        (times(visit, token))
                    } } }
                }
                (parts::pager(visit.uri.path(), of_teams.pagination()))
            }
        }
    };
    Ok(Sided::new("Tokens").answer(visit, &organization, &body))
}

/// The heads of [`times`].
pub(super) fn times_head() -> Markup {
    html! { th scope="col" { "Made" } th scope="col" { "Last used" } th scope="col" { "Ends" } }
}

/// When a token was made and used, and when it ends.
pub(super) fn times(visit: &Visit, token: &Token) -> Markup {
    let now = visit.app.now();
    let at = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    html! {
        td data-name="Made" { @if let Some(made) = Timestamp::parse(&token.created_at) { (moment(now, made)) } }
        td data-name="Last used" { @match at(&token.last_used_at) { Some(used) => (moment(now, used)), None => "never" } }
        td data-name="Ends" {
            @match at(&token.expired_at) {
                None => "never",
                Some(end) if end <= now => span.ended { "ended" },
                Some(end) => (moment(now, end)),
            }
        }
    }
}

fn one(visit: &Visit, kind: &str, name: &str, what: &str, token: Option<&Seen<Token>>) -> Markup {
    let base = page(visit, &format!("/settings/tokens/{kind}"));
    html! {
        section.panel id={ "token-" (kind) } {
            h2 { (name) }
            p.muted { (what) }
            @if let Some(token) = token {
                table {
                    thead { tr { th scope="col" { "Token" } (times_head()) th scope="col" { span.hidden { "Actions" } } } }
                    tbody { tr {
                        th scope="row" { (name) div.small { (token.id) } }
                        (times(visit, token))
                        td.actions { (confirm(visit, &format!("{base}/revoke"), "Revoke", name, "Whatever uses it is refused at once.", "Revoke it")) }
                    } }
                }
            }
            form.row method="post" action=(base) {
                (form_token(visit))
                div { (Field::new("days", "Good for").of(kind).value("90").select(visit, &LIVES)) }
                button.quiet type="submit" {
                    @if token.is_some() { "Replace token" } @else { "Create token" }
                }
            }
            @if token.is_some() { p.small { "A new one takes the place of this one, which is then refused." } }
        }
    }
}

fn kind(visit: &Visit) -> Result<(&'static str, &'static str)> {
    let found = KINDS.iter().find(|(kind, ..)| *kind == visit.path("kind"));
    found.map(|(kind, name, _)| (*kind, *name)).ok_or(Error::NotFound)
}

async fn create(visit: Visit) -> Result<Answer> {
    let (kind, name) = kind(&visit)?;
    let body = json!({ "data": { "type": "authentication-tokens", "attributes": { "expired-at": expiry(&visit) } } });
    let path = api(&visit, &format!("/authentication-token?token={kind}"));
    match settled(visit.change(Method::POST, &path, &body).await)? {
        Ok(made) => {
            let text = made["data"]["attributes"]["token"].as_str().unwrap_or_default();
            answer(&visit, &shown_once(&format!("the {}", name.to_lowercase()), text)).await
        }
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn revoke(visit: Visit) -> Result<Answer> {
    let (kind, _) = kind(&visit)?;
    let path = api(&visit, &format!("/authentication-token?token={kind}"));
    visit.change(Method::DELETE, &path, &Value::Null).await?;
    Ok(Answer::see_other(page(&visit, "/settings/tokens?done=revoked")))
}
