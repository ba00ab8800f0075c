//! One team: who is in it, what it may do in the organization, its tokens, and where it has access.

mod access;

use super::{
    Organization, api, of, page,
    settings::Sided,
    tokens::{Token, times, times_head},
};
use crate::{
    answer::Answer,
    form::{Field, LIVES, confirm, done, expiry, settled, shown_once, tick},
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
use serde_json::{Map, Value, json};

pub(super) fn routes(table: Table) -> Table {
    let table = table
        .show("/app/{organization}/settings/teams/{team}", "web.team.show", show)
        .send("/app/{organization}/settings/teams/{team}", "web.team.update", update)
        .send("/app/{organization}/settings/teams/{team}/delete", "web.team.delete", delete)
        .send("/app/{organization}/settings/teams/{team}/access", "web.team.update-access", set_access)
        .send("/app/{organization}/settings/teams/{team}/members", "web.team-members.add", add)
        .send(
            "/app/{organization}/settings/teams/{team}/members/{user}/remove",
            "web.team-members.remove",
            remove,
        )
        .send("/app/{organization}/settings/teams/{team}/tokens", "web.team-tokens.create", make_token)
        .send(
            "/app/{organization}/settings/teams/{team}/tokens/{token}/revoke",
            "web.team-tokens.revoke",
            revoke,
        );
    access::routes(table)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Team {
    name: String,
    visibility: String,
    allow_member_token_management: bool,
    organization_access: Map<String, Value>,
    permissions: Permissions,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "the API's permissions, by their names")]
struct Permissions {
    can_destroy: bool,
    can_update_api_token: bool,
    can_update_member_token_management: bool,
    can_update_membership: bool,
    can_update_name: bool,
    can_update_organization_access: bool,
    can_update_visibility: bool,
    can_view_api_token: bool,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

/// The flags of an organization access that do something here: attribute, name, what it allows.
const FLAGS: [(&str, &str, &str); 15] = [
    (
        "manage-workspaces",
        "Manage workspaces",
        "Administer every workspace, create some in the default project, manage variable sets.",
    ),
    (
        "manage-projects",
        "Manage projects",
        "And create, change and delete projects, and move workspaces between them.",
    ),
    ("read-workspaces", "Read workspaces", "See every workspace, its runs, variables and states."),
    ("read-projects", "Read projects", "See every project and its workspaces."),
    ("manage-policies", "Manage policies", "Manage policies and policy sets; see every workspace's runs."),
    (
        "manage-policy-overrides",
        "Override policies",
        "Override policies that failed; see every workspace's runs.",
    ),
    (
        "delegate-policy-overrides",
        "Delegate policy overrides",
        "Let workspaces and projects give away the right to override.",
    ),
    ("manage-vcs-settings", "Manage VCS settings", "Manage VCS connections and SSH keys."),
    ("manage-agent-pools", "Manage agent pools", "And see every workspace."),
    ("manage-run-tasks", "Manage run tasks", "Manage what runs before and after plans."),
    ("manage-modules", "Manage modules", "Manage modules of the private registry."),
    ("manage-providers", "Manage providers", "Manage providers of the private registry."),
    ("manage-membership", "Manage membership", "Invite and remove members."),
    ("manage-teams", "Manage teams", "And manage teams, their members and tokens."),
    ("manage-organization-access", "Manage organization access", "And give teams what is on this list."),
];

const SECRET: (&str, &str, &str) = (
    "access-secret-teams",
    "Access secret teams",
    "Do the former three to secret teams too, and see what everybody may do and why.",
);

fn of_team(visit: &Visit, rest: &str) -> String {
    page(visit, &format!("/settings/teams/{}{rest}", segment(visit.path("team"))))
}

fn api_of_team(visit: &Visit, rest: &str) -> String {
    format!("/teams/{}{rest}", segment(visit.path("team")))
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let team_path = api_of_team(visit, "?include=users");
    let tokens_path = api_of_team(visit, "/authentication-tokens?page%5Bsize%5D=100");
    let (organization, found, tokens, access) = tokio::try_join!(
        of(visit),
        visit.read(&team_path),
        visit.read_if_there(&tokens_path),
        access::of_team(visit),
    )?;
    let team: Seen<Team> = found.one()?;
    let may = &team.permissions;
    let body = html! {
        (above)
        (done(visit, &[
            ("created", "The team is there. Add its members, and give it access."),
            ("saved", "The team is saved."),
            ("access", "The access is changed, and holds at once."),
            ("added", "They are in the team."),
            ("removed", "They are not in the team any more."),
            ("revoked", "The token is revoked. Whatever used it is refused from now on."),
        ]))
        (members(visit, &organization, &team, &found)?)
        (organization_access(visit, &team))
        (access.markup(visit, &organization, &team.name))
        @if may.can_view_api_token { (token_list(visit, &team, tokens.as_ref())?) }
        @if may.can_update_name || may.can_update_member_token_management { (general(visit, &team)) }
        @if may.can_destroy {
            section.panel.danger-zone {
                h2 { "Delete the team" }
                p.muted { "Its members lose what they held through it, and its tokens are refused." }
                (confirm(visit, &of_team(visit, "/delete"), "Delete", &team.name, "This cannot be undone.", "Delete the team"))
            }
        }
    };
    let mut sided = Sided::new("Teams");
    sided.title = &team.name;
    Ok(sided.answer(visit, &organization, &body))
}

fn members(visit: &Visit, organization: &Organization, team: &Seen<Team>, found: &Found) -> Result<Markup> {
    let users = found.all_included::<User>("users")?;
    let may = team.permissions.can_update_membership;
    Ok(html! {
        section.panel #members {
            h2 { "Members " span.tally { (users.len()) } }
            @if users.is_empty() { p.muted { "Nobody is in the team yet." } } @else {
                ul.rows { @for user in &users { li {
                    strong { (user.username) }
                    @if may {
                        form.end method="post" action=(of_team(visit, &format!("/members/{}/remove", segment(&user.id)))) {
                            (form_token(visit))
                            button.quiet.small-button type="submit" aria-label={ "Remove " (user.username) } { "Remove" }
                        }
                    }
                } } }
            }
            @if may {
                form.row #add-member method="post" action=(of_team(visit, "/members")) {
                    (form_token(visit))
                    div.grow { (Field::new("username", "Username")
                        .hint("A member of the organization.").input(visit)) }
                    button.quiet type="submit" { "Add member" }
                }
                @if organization.permissions.can_manage_users {
                    p.small { "Not a member of the organization yet? " a href=(page(visit, "/settings/users")) { "Invite them" } "." }
                }
            }
        }
    })
}

fn organization_access(visit: &Visit, team: &Seen<Team>) -> Markup {
    let has = |flag: &str| team.organization_access.get(flag) == Some(&Value::Bool(true));
    html! {
        section.panel #organization-access {
            h2 { "Organization access" }
            @if team.name == "owners" {
                p.muted { "Owners may do everything in the organization." }
            } @else if team.permissions.can_update_organization_access {
                form method="post" action=(of_team(visit, "/access")) {
                    (form_token(visit))
                    div.boxes.two { @for (flag, name, what) in FLAGS.iter().chain([&SECRET]) { (tick(visit, flag, name, what, has(flag))) } }
                    div.buttons { button type="submit" { "Save organization access" } }
                }
            } @else {
                @if !FLAGS.iter().chain([&SECRET]).any(|(flag, ..)| has(flag)) { p.muted { "None: it has access by project and workspace only." } }
                ul.plain { @for (_, name, what) in FLAGS.iter().chain([&SECRET]).filter(|(flag, ..)| has(flag)) {
                    li { (name) p.small { (what) } }
                } }
            }
        }
    }
}

fn token_list(visit: &Visit, team: &Seen<Team>, found: Option<&Found>) -> Result<Markup> {
    let tokens = found.map(|found| found.many::<Token>()).transpose()?.unwrap_or_default();
    Ok(html! {
        section.panel #team-tokens {
            h2 { "Tokens" }
            p.muted { "A program with a token of the team does what the team may do. Give each program its own." }
            @if !tokens.is_empty() {
                table {
                    thead { tr { th scope="col" { "Token" } (times_head()) th scope="col" { span.hidden { "Actions" } } } }
                    tbody { @for token in &tokens {
                        @let name = token.description.as_deref().unwrap_or("(no description)");
                        tr {
                            th scope="row" { (name) div.small { (token.id) } }
                            (times(visit, token))
                            td.actions { (confirm(visit, &of_team(visit, &format!("/tokens/{}/revoke", segment(&token.id))), "Revoke", name,
                                "Whatever uses it is refused at once.", "Revoke it")) }
                        }
                    } }
                }
            }
            @if team.permissions.can_update_api_token {
                form.row #new-team-token method="post" action=(of_team(visit, "/tokens")) {
                    (form_token(visit))
                    div.grow { (Field::new("description", "What it is for").input(visit)) }
                    div { (Field::new("days", "Good for").value("90").select(visit, &LIVES)) }
                    button.quiet type="submit" { "Create token" }
                }
            }
        }
    })
}

fn general(visit: &Visit, team: &Seen<Team>) -> Markup {
    let may = &team.permissions;
    html! {
        section.panel #team-settings {
            h2 { "Settings" }
            form method="post" action=(of_team(visit, "")) {
                (form_token(visit))
                @if may.can_update_name { (Field::new("name", "Name").value(&team.name).input(visit)) }
                @if may.can_update_visibility {
                    (Field::new("visibility", "Visible to").value(&team.visibility)
                        .hint("Whom a secret team is hidden from cannot give it access either.")
                        .select(visit, &[("secret", "Its members, and who manages secret teams"), ("organization", "Everybody in the organization")]))
                }
                @if may.can_update_member_token_management {
                    (tick(visit, "allow-member-token-management", "Members manage the team's tokens",
                        "Otherwise only who manages teams does.", team.allow_member_token_management))
                }
                div.buttons { button.quiet type="submit" { "Save team" } }
            }
        }
    }
}

/// Carries out a change of the team, and leads back to its page.
async fn changed(visit: &Visit, result: Result<Value>, word: &str) -> Result<Answer> {
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other(of_team(visit, &format!("?done={word}")))),
        Err(refusal) => Ok(refusal.answer(answer(visit, &refusal.note()).await?)),
    }
}

async fn update(visit: Visit) -> Result<Answer> {
    let mut attributes =
        json!({ "allow-member-token-management": !visit.field("allow-member-token-management").is_empty() });
    for name in ["name", "visibility"] {
        if !visit.field(name).is_empty() {
            attributes[name] = json!(visit.field(name).trim());
        }
    }
    let body = json!({ "data": { "type": "teams", "attributes": attributes } });
    let result = visit.change(Method::PATCH, &api_of_team(&visit, ""), &body).await;
    changed(&visit, result, "saved").await
}

async fn set_access(visit: Visit) -> Result<Answer> {
    let flags: Map<String, Value> = FLAGS
        .iter()
        .chain([&SECRET])
        .map(|(flag, ..)| ((*flag).to_owned(), json!(!visit.field(flag).is_empty())))
        .collect();
    let body = json!({ "data": { "type": "teams", "attributes": { "organization-access": flags } } });
    let result = visit.change(Method::PATCH, &api_of_team(&visit, ""), &body).await;
    changed(&visit, result, "access").await
}

async fn delete(visit: Visit) -> Result<Answer> {
    match settled(visit.change(Method::DELETE, &api_of_team(&visit, ""), &Value::Null).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "/settings/teams?done=deleted"))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn add(visit: Visit) -> Result<Answer> {
    let name = visit.field("username").trim();
    let body = json!({ "data": [{ "type": "users", "id": name }] });
    let result = visit.change(Method::POST, &api_of_team(&visit, "/relationships/users"), &body).await;
    // Who is no member is no part of what the API knows here.
    let result = result.map_err(|error| match error {
        http_api::Error::NotFound => http_api::Error::invalid(
            "username",
            format!("Nobody called {name:?} is a member of the organization"),
        ),
        error => error,
    });
    changed(&visit, result, "added").await
}

async fn remove(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": [{ "type": "users", "id": visit.path("user") }] });
    let result = visit.change(Method::DELETE, &api_of_team(&visit, "/relationships/users"), &body).await;
    changed(&visit, result, "removed").await
}

async fn make_token(visit: Visit) -> Result<Answer> {
    let description = visit.field("description").trim().to_owned();
    let body = json!({ "data": { "type": "authentication-tokens",
        "attributes": { "description": description, "expired-at": expiry(&visit) } } });
    match settled(visit.change(Method::POST, &api_of_team(&visit, "/authentication-tokens"), &body).await)? {
        Ok(made) => {
            let text = made["data"]["attributes"]["token"].as_str().unwrap_or_default();
            answer(&visit, &shown_once(&format!("the token “{description}”"), text)).await
        }
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn revoke(visit: Visit) -> Result<Answer> {
    let path = format!("/authentication-tokens/{}", segment(visit.path("token")));
    let result = visit.change(Method::DELETE, &path, &Value::Null).await;
    changed(&visit, result, "revoked").await
}
