//! The users of the installation: searched, suspended, made site admins, deleted.

use super::{answer, search};
use crate::{
    answer::Answer,
    form::{confirm, done, settled},
    layout::form_token,
    parts, people,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/admin/users", "web.admin-users.list", show).send(
        "/app/admin/users/{user}/{action}",
        "web.admin-users.act",
        act,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    username: String,
    email: String,
    is_admin: bool,
    is_suspended: bool,
}

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, &Markup::default()).await
}

async fn shown(visit: &Visit, above: &Markup) -> Result<Answer> {
    let text = |name| visit.query(name).unwrap_or_default();
    let (wanted, which) = (text("q"), text("which"));
    let number: u32 = text("page").parse().unwrap_or(1);
    let filter = match which.as_str() {
        "admins" => "&filter%5Badmin%5D=true",
        "suspended" => "&filter%5Bsuspended%5D=true",
        _ => "",
    };
    let found = visit
        .read(&format!(
            "/admin/users?page%5Bsize%5D=50&page%5Bnumber%5D={number}&q={}{filter}",
            segment(&wanted)
        ))
        .await?;
    let users = found.many::<User>()?;
    let body = html! {
        (above)
        (done(visit, &[
            ("suspend", "They are suspended: no page, no token of theirs works from now on."),
            ("unsuspend", "They are let in again."),
            ("grant_admin", "They administer the site from now on."),
            ("revoke_admin", "They are no site admin any more."),
            ("delete", "They are gone. What they have made stays, without a name."),
        ]))
        (search("/app/admin/users", &wanted, "Search by name or email", &html! {
            select name="which" aria-label="Which users" {
                @for (word, name) in [("", "All users"), ("admins", "Site admins"), ("suspended", "Suspended")] {
                    option value=(word) selected[word == which] { (name) }
                }
            }
        }))
        section.panel {
            @if users.is_empty() { p.muted { "Nobody is like that." } } @else {
                table {
                    thead { tr {
                        th scope="col" { "User" } th scope="col" { "State" } th scope="col" { "Organizations" } th scope="col" { span.hidden { "Actions" } }
                    } }
                    tbody { @for user in &users { (row(visit, user)) } }
                }
            }
        }
        section.panel {
            h2 { "New users" }
            p.muted { "People come to be by an invitation into an organization, or on the server's machine:" }
            (crate::form::copied("user-add", "ferroform user add NAME --email NAME@example.com\nferroform user link NAME"))
        }
        (parts::pager(&format!("/app/admin/users?which={}&q={}", segment(&which), segment(&wanted)), found.pagination()))
    };
    Ok(answer(visit, "Users", &body))
}

fn row(visit: &Visit, user: &Seen<User>) -> Markup {
    let base = format!("/app/admin/users/{}", segment(&user.id));
    let button = |action: &str, words: &str| {
        html! {
            form method="post" action={ (base) "/" (action) } {
                (form_token(visit))
                button.quiet.small-button type="submit" { (words) span.hidden { " " (user.username) } }
            }
        }
    };
    let own = visit.session.as_ref().is_some_and(|session| session.user_id.as_str() == user.id);
    html! {
        tr {
            th scope="row" { (user.username) @if own { span.muted { " (you)" } } div.small { (user.email) } }
            td data-name="State" {
                @if user.is_suspended { span.badge.bad { "Suspended" } } @else { span.badge.good { "Active" } }
                @if user.is_admin { " " span.badge.wanted { "Site admin" } }
            }
            td.wide data-name="Organizations" {
                (user.all_related("organizations").into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(", "))
            }
            td.actions {
                div.buttons {
                    @if user.is_suspended { (button("unsuspend", "Unsuspend")) } @else { (button("suspend", "Suspend")) }
                    @if user.is_admin { (button("revoke_admin", "Revoke admin")) } @else { (button("grant_admin", "Make admin")) }
                    @if !user.is_admin && !user.is_suspended && !own { (people::act_as(visit, &user.id, &user.username)) }
                    (confirm(visit, &format!("{base}/delete"), "Delete", &user.username,
                        "What they have made stays, without a name. This cannot be undone.", "Delete the user"))
                }
            }
        }
    }
}

const ACTIONS: [&str; 5] = ["suspend", "unsuspend", "grant_admin", "revoke_admin", "delete"];

async fn act(visit: Visit) -> Result<Answer> {
    let action = *ACTIONS.iter().find(|action| **action == visit.path("action")).ok_or(Error::NotFound)?;
    let user = segment(visit.path("user"));
    let result = match action {
        "delete" => visit.change(Method::DELETE, &format!("/admin/users/{user}"), &Value::Null).await,
        action => {
            visit.change(Method::POST, &format!("/admin/users/{user}/actions/{action}"), &Value::Null).await
        }
    };
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other(format!("/app/admin/users?done={action}"))),
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}
