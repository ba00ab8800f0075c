//! The members of an organization: who they are, inviting one, removing one.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::{Field, confirm, done, settled},
    layout::{form_token, moment},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::Result;
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/{organization}/settings/users", "web.members.list", show)
        .send("/app/{organization}/settings/users", "web.members.invite", invite)
        .send("/app/{organization}/settings/users/{membership}/remove", "web.members.remove", remove)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Membership {
    status: String,
    email: String,
    created_at: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Team {
    name: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let search = visit.query("q").unwrap_or_default();
    let number = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let path = api(
        visit,
        &format!(
            "/organization-memberships?include=user%2Cteams&page%5Bsize%5D=50&page%5Bnumber%5D={number}&q={}",
            segment(&search)
        ),
    );
    let teams_path = api(visit, "/teams?page%5Bsize%5D=100");
    let (organization, found, teams) =
        tokio::try_join!(of(visit), visit.read(&path), visit.read(&teams_path))?;
    let (members, users, of_members) = (
        found.many::<Membership>()?,
        found.all_included::<User>("users")?,
        found.all_included::<Team>("teams")?,
    );
    let may = organization.permissions.can_manage_users;
    let base = page(visit, "/settings/users");
    let now = visit.app.now();
    let body = html! {
        (above)
        (done(visit, &[
            ("invited", "They are invited. Who has no account yet becomes a member when they first sign in."),
            ("removed", "They are no member any more: their teams here are left, and their tokens reach nothing of it."),
        ]))
        @if may {
            section.panel {
                h2 { "Invite somebody" }
                form #invite method="post" action=(base) {
                    (form_token(visit))
                    (Field::new("email", "Email").kind("email").hint("An address without an account gets one. The operator makes a link to sign in: ferroform user link NAME.").input(visit))
                    fieldset {
                        legend { "Teams" }
                        div.boxes {
                            @for team in &teams.many::<Team>()? {
                                label.one-box {
                                    input type="checkbox" name="team" value=(team.id) checked[visit.fields("team").contains(&&*team.id)];
                                    (team.name)
                                }
                            }
                        }
                    }
                    div.buttons { button type="submit" { "Invite" } }
                }
            }
        }
        section.panel {
            form.search method="get" action=(base) role="search" {
                input type="search" name="q" value=(search) placeholder="Search by name or email" aria-label="Search by name or email" data-search;
                button.quiet type="submit" { "Search" }
            }
            @if members.is_empty() { p.muted { "Nobody is called like that." } } @else {
                table {
                    thead { tr {
                        th scope="col" { "Member" } th scope="col" { "Teams" } th scope="col" { "Status" } th scope="col" { "Since" }
                        @if may { th scope="col" { span.hidden { "Actions" } } }
                    } }
                    tbody { @for member in &members {
                        @let user = users.iter().find(|user| member.related("user") == Some(&user.id));
                        @let name = user.map_or(member.email.as_str(), |user| &user.username);
                        tr {
                            th scope="row" { (name) div.small { (member.email) } }
                            td data-name="Teams" {
                                @for (place, (_, id)) in member.all_related("teams").into_iter().enumerate() {
                                    @if let Some(team) = of_members.iter().find(|team| team.id == id) {
                                        @if place > 0 { ", " }
                                        a href=(page(visit, &format!("/settings/teams/{}", segment(id)))) { (team.name) }
                                    }
                                }
                            }
                            td data-name="Status" { @if member.status == "active" { "Active" } @else { span.badge.waiting { "Invited" } } }
                            td data-name="Since" { @if let Some(at) = Timestamp::parse(&member.created_at) { (moment(now, at)) } }
                            @if may {
                                td.actions {
                                    (confirm(visit, &format!("{base}/{}/remove", segment(&member.id)), "Remove", name,
                                        "They leave all teams of the organization and can reach nothing of it any more.", "Remove them"))
                                }
                            }
                        }
                    } }
                }
                (parts::pager(&format!("{base}?q={}", segment(&search)), found.pagination()))
            }
        }
    };
    Ok(Sided::new("Users").answer(visit, &organization, &body))
}

async fn invite(visit: Visit) -> Result<Answer> {
    let teams: Vec<_> = visit.fields("team").iter().map(|id| json!({ "type": "teams", "id": id })).collect();
    let body = json!({ "data": { "type": "organization-memberships",
        "attributes": { "email": visit.field("email").trim() }, "relationships": { "teams": { "data": teams } } } });
    match settled(visit.change(Method::POST, &api(&visit, "/organization-memberships"), &body).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "/settings/users?done=invited"))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn remove(visit: Visit) -> Result<Answer> {
    let path = format!("/organization-memberships/{}", segment(visit.path("membership")));
    match settled(visit.change(Method::DELETE, &path, &Value::Null).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "/settings/users?done=removed"))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}
