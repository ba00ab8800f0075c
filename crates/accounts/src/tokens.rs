//! API tokens of users, teams and organizations, and the tokens of agents.
//!
//! A token is 256 random bits, shown once, when it is made; what is stored is its keyed hash. It expires after two years
//! unless the request says otherwise, and can be revoked, which the server sees at once. Team and organization have one
//! *single* token each, which the next replaces; teams may have more that carry a description.
//! Source: the User, Team and Organization Token APIs; semantics.md §6.4.

use crate::{
    feature_sets::{Entitlement, entitled},
    memberships, organizations, teams, token_ttl_policies,
};
use authz::{Actor, perm};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Error, Linkage, Patch, Reply, Resource, Result, Routes, audit};
use kernel::{
    Secret, Timestamp,
    ids::{AgentPoolId, OrganizationId, TeamId, TokenId, UserId},
};
use serde::Deserialize;
use serde_json::json;

/// Calendar years that a token is good for when nobody says.
const DEFAULT_LIFE_YEARS: i16 = 2;

/// A token as stored, without its text, which is nowhere.
#[derive(Clone, Debug, FromRow)]
pub struct Token {
    /// Its id, which is no secret.
    pub id: TokenId,
    kind: String,
    user_id: UserId,
    team_id: Option<TeamId>,
    organization_id: Option<OrganizationId>,
    agent_pool_id: Option<AgentPoolId>,
    /// Free text.
    pub description: String,
    created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; never, if none.
    pub expires_at: Option<Timestamp>,
    /// About when it was used last; never, if none.
    pub last_used_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, kind, user_id, team_id, organization_id, agent_pool_id, description, created_by, created_at, expires_at, last_used_at";

/// Whose token to make.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A person.
    User(UserId),
    /// A team; with its organization and synthetic user.
    Team(TeamId, OrganizationId, UserId),
    /// An organization; with its synthetic user.
    Organization(OrganizationId, UserId),
    /// Whoever reads an organization's audit trail; with the organization's synthetic user.
    AuditTrail(OrganizationId, UserId),
    /// An identity provider that keeps users and groups by SCIM; its synthetic user.
    Scim(UserId),
    /// The agents of a pool; with the organization and its synthetic user.
    Agents(AgentPoolId, OrganizationId, UserId),
}

impl Owner {
    fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Team(..) => "team",
            Self::Organization(..) => "organization",
            Self::AuditTrail(..) => "audit-trails",
            Self::Scim(..) => "scim",
            Self::Agents(..) => "agent",
        }
    }
}

/// The operations on tokens.
pub fn routes() -> Routes {
    let organization = "/organizations/{organization}/authentication-token";
    Routes::new()
        .op(Method::GET, "/users/{id}/authentication-tokens", "accounts.user-tokens.list", list_user)
        .op(Method::POST, "/users/{id}/authentication-tokens", "accounts.user-tokens.create", create_user)
        .op(Method::GET, "/authentication-tokens/{id}", "accounts.tokens.read", read)
        .op(Method::DELETE, "/authentication-tokens/{id}", "accounts.tokens.delete", delete)
        .op(Method::GET, organization, "accounts.organization-token.read", read_organization)
        .op(Method::POST, organization, "accounts.organization-token.create", create_organization)
        .op(Method::DELETE, organization, "accounts.organization-token.delete", delete_organization)
        .op(Method::GET, "/teams/{id}/authentication-token", "accounts.team-token.read", read_team)
        .op(Method::POST, "/teams/{id}/authentication-token", "accounts.team-token.create", create_team)
        .op(Method::DELETE, "/teams/{id}/authentication-token", "accounts.team-token.delete", delete_team)
        .op(Method::GET, "/teams/{id}/authentication-tokens", "accounts.team-tokens.list", list_team)
        .op(
            Method::POST,
            "/teams/{id}/authentication-tokens",
            "accounts.team-tokens.create",
            create_team_described,
        )
        .op(Method::GET, "/agent-pools/{id}/authentication-tokens", "accounts.agent-tokens.list", list_agent)
        .op(
            Method::POST,
            "/agent-pools/{id}/authentication-tokens",
            "accounts.agent-tokens.create",
            create_agent,
        )
        .op(
            Method::GET,
            "/organizations/{organization}/team-tokens",
            "accounts.team-tokens.list-organization",
            list_teams,
        )
        .op(
            Method::DELETE,
            "/organizations/{organization}/team-tokens",
            "accounts.team-tokens.delete-many",
            delete_teams,
        )
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    description: Option<String>,
    expired_at: Patch<String>,
}

impl Attributes {
    /// When the token ends, which is not after `latest`, if there is a policy.
    fn expires_at(&self, now: Timestamp, latest: Option<Timestamp>) -> Result<Option<Timestamp>> {
        let too_late = |latest: Timestamp| {
            let why = "Expired at exceeds how long tokens of this kind may live in this organization";
            Error::invalid("expired-at", format!("{why}: until {} at the latest", latest.iso8601()))
        };
        match (&self.expired_at, latest) {
            (Patch::Absent, _) => {
                let usual = now.plus_years(DEFAULT_LIFE_YEARS);
                Ok(Some(latest.map_or(usual, |latest| usual.min(latest))))
            }
            (Patch::Null, None) => Ok(None),
            (Patch::Null, Some(latest)) => Err(too_late(latest)),
            (Patch::Value(text), _) => match Timestamp::parse(text) {
                Some(at) if at > now => match latest {
                    Some(latest) if at > latest => Err(too_late(latest)),
                    _ => Ok(Some(at)),
                },
                Some(_) => Err(Error::invalid("expired-at", "Expired at must be in the future")),
                None => Err(Error::invalid(
                    "expired-at",
                    "Expired at must be an ISO 8601 date and time with an offset",
                )),
            },
        }
    }
}

/// A new token's text: random, in the form that TFE's have.
pub fn generate(app: &App) -> Secret {
    // 58^49 > 2^256: the part after the dots alone carries the strength.
    Secret::new(format!("{}.atlasv1.{}", app.env.base58(14), app.env.base58(67)))
}

/// What a token is made with.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose it is.
    pub owner: Owner,
    /// Replaces the one *single* token of a team or an organization.
    pub single: bool,
    /// Free text.
    pub description: String,
    /// Who made it, unless the system did.
    pub created_by: Option<UserId>,
    /// When it ends; never, if none.
    pub expires_at: Option<Timestamp>,
}

/// Stores a token; its text is given back to be shown once, or was preset by the operator.
pub async fn insert(app: &App, tx: &mut Tx, new: NewToken, text: &Secret) -> Result<TokenId> {
    let id = TokenId::new(&app.env);
    audit::resource("authentication-tokens", id.as_str());
    let kind = new.owner.kind();
    let (user, team, organization) = match &new.owner {
        Owner::Agents(_, organization, user) => (user, None, Some(organization)),
        Owner::User(user) => {
            // Whoever exchanges a code for a token has shown no token.
            audit::actor(user);
            (user, None, None)
        }
        Owner::Team(team, organization, user) => (user, Some(team), Some(organization)),
        Owner::Organization(organization, user) | Owner::AuditTrail(organization, user) => {
            (user, None, Some(organization))
        }
        Owner::Scim(user) => (user, None, None),
    };
    let pool = match &new.owner {
        Owner::Agents(pool, ..) => Some(pool),
        _ => None,
    };
    if new.single {
        tx.exec("DELETE FROM tokens WHERE kind = $1 AND user_id = $2 AND single = TRUE", args![kind, user])
            .await?;
    }
    tx.exec(
        "INSERT INTO tokens (id, kind, hash, user_id, team_id, organization_id, single, description, created_by,
                             created_at, expires_at, agent_pool_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            &id,
            kind,
            app.hasher.hash(text.expose()),
            user,
            team,
            organization,
            new.single,
            new.description,
            new.created_by.as_ref(),
            app.now(),
            new.expires_at,
            pool
        ],
    )
    .await?;
    Ok(id)
}

async fn make(mut cx: Cx, owner: Owner, single: bool) -> Result<Reply> {
    let attributes: Attributes = cx.optional_attributes().await?;
    let description = attributes.description.clone().unwrap_or_default();
    if !single && description.is_empty() && !matches!(owner, Owner::User(_)) {
        return Err(Error::invalid("description", "Description can't be blank"));
    }
    let text = generate(&cx.app);
    let now = cx.app.now();
    let mut tx = cx.app.db.begin().await?;
    let agents = matches!(owner, Owner::Agents(..));
    let latest = match &owner {
        Owner::User(_) | Owner::Scim(_) | Owner::Agents(..) => None,
        Owner::Team(_, id, _) | Owner::Organization(id, _) | Owner::AuditTrail(id, _) => {
            token_ttl_policies::latest_end(&mut tx, id, owner.kind(), now).await?
        }
    };
    let new = NewToken {
        owner,
        single,
        description,
        created_by: Some(cx.actor()?.user_id().clone()),
        // Agents stay until somebody takes them away.
        expires_at: match (agents, &attributes.expired_at) {
            (true, Patch::Absent) => None,
            _ => attributes.expires_at(now, latest)?,
        },
    };
    let id = insert(&cx.app, &mut tx, new, &text).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    let token = by_id(&cx.app, id.as_str()).await?;
    Ok(Reply::created(document(&token, Some(text.expose()))))
}

async fn by_id(app: &App, id: &str) -> Result<Token> {
    app.db
        .one(db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM tokens WHERE id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)
}

/// The user of the path, who must be the caller: only people manage their own tokens.
fn own_user(cx: &Cx) -> Result<UserId> {
    match cx.actor()? {
        Actor::User { id, .. } if id.as_str() == cx.path("id") => Ok(id.clone()),
        _ => Err(Error::NotFound),
    }
}

/// A person's own tokens, oldest first.
pub async fn of_user(app: &App, user: &UserId) -> Result<Vec<Token>> {
    let sql =
        format!("SELECT {COLUMNS} FROM tokens WHERE user_id = $1 AND kind = 'user' ORDER BY created_at, id");
    app.db.all(db::AssertSqlSafe(sql), args![user]).await
}

/// Makes a person a token of their own.
pub async fn create_own(
    app: &App,
    user: &UserId,
    description: &str,
    expires_at: Option<Timestamp>,
) -> Result<(TokenId, Secret)> {
    let new = NewToken {
        owner: Owner::User(user.clone()),
        single: false,
        description: description.to_owned(),
        created_by: Some(user.clone()),
        expires_at,
    };
    let text = generate(app);
    let mut tx = app.db.begin().await?;
    let id = insert(app, &mut tx, new, &text).await?;
    tx.commit().await?;
    Ok((id, text))
}

/// Revokes one of a person's own tokens.
///
/// # Errors
/// [`Error::NotFound`] when they have none of this id.
pub async fn revoke_own(app: &App, user: &UserId, id: &str) -> Result<()> {
    let sql = "DELETE FROM tokens WHERE id = $1 AND user_id = $2 AND kind = 'user'";
    audit::resource("authentication-tokens", id);
    let gone = app.db.exec(sql, args![id, user]).await?;
    app.identities.forget();
    if gone == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// The tokens of identity providers, or the one of an id, oldest first.
pub(crate) async fn of_scim(app: &App, id: Option<&str>) -> Result<Vec<Token>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens WHERE kind = 'scim' AND ($1 IS NULL OR id = $1) ORDER BY created_at, id"
    );
    app.db.all(db::AssertSqlSafe(sql), args![id]).await
}

async fn list_user(cx: Cx) -> Result<Reply> {
    let tokens = of_user(&cx.app, &own_user(&cx)?).await?;
    let page = cx.page();
    let total = i64::try_from(tokens.len()).unwrap_or(i64::MAX);
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let items = tokens.iter().skip(start).take(page.size as usize).map(|t| document(t, None)).collect();
    cx.page_of(kernel::Paged { items, page, total: Some(total) }, &["created_by"]).await
}

async fn create_user(cx: Cx) -> Result<Reply> {
    let user = own_user(&cx)?;
    make(cx, Owner::User(user), false).await
}

/// A token that the caller manages.
async fn find(cx: &Cx, id: &str) -> Result<Token> {
    let token = by_id(&cx.app, id).await?;
    let allowed = match (&token.team_id, &token.organization_id) {
        (None, Some(_)) if token.agent_pool_id.is_some() => {
            let pool = token.agent_pool_id.as_ref().map(AgentPoolId::as_str).unwrap_or_default();
            manages_pool(cx, pool).await.is_ok()
        }
        (Some(team), _) => manages_team(cx, team.as_str()).await.is_ok(),
        (None, Some(organization)) => {
            let name = organizations::name_of(&cx.app, organization).await?;
            owned(cx, &name).await.is_ok()
        }
        (None, None) if token.kind == "scim" => cx.actor()?.is_site_admin(),
        (None, None) => matches!(cx.actor()?, Actor::User { id, .. } if *id == token.user_id),
    };
    if allowed { Ok(token) } else { Err(Error::NotFound) }
}

async fn read(cx: Cx) -> Result<Reply> {
    let token = find(&cx, cx.path("id")).await?;
    cx.one(document(&token, None), &["created_by"]).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let token = find(&cx, cx.path("id")).await?;
    revoke(&cx.app, &token.id).await?;
    Ok(Reply::no_content())
}

/// Revokes a token: the next request with it is refused.
pub async fn revoke(app: &App, id: &TokenId) -> Result<()> {
    app.db.exec("DELETE FROM tokens WHERE id = $1", args![id]).await?;
    app.identities.forget();
    Ok(())
}

/// The organization of the path, whose tokens only owners manage; with `token=audit-trails` that of its audit trail.
async fn owned(cx: &Cx, name: &str) -> Result<Owner> {
    let (organization, grants) = organizations::find(cx, name).await?;
    let granted = grants.prove_organization::<perm::ManageOrganizationToken, _>(organization)?;
    let (id, user) = (granted.id.clone(), granted.service_user_id.clone());
    match cx.query("token").unwrap_or_default() {
        "" | "organization" => Ok(Owner::Organization(id, user)),
        "audit-trails" => {
            entitled(&granted, Entitlement::AuditLogging, cx.app.now())?;
            Ok(Owner::AuditTrail(id, user))
        }
        other => Err(Error::bad_request(
            "bad request",
            format!(
                "there is no token of the kind {other}; leave the parameter out, or say token=audit-trails"
            ),
        )),
    }
}

/// The team of an id, whose tokens its members and team managers manage.
async fn manages_team(cx: &Cx, id: &str) -> Result<Owner> {
    let (team, grants) = teams::find(cx, id).await?;
    let own = teams::own_among(cx, std::slice::from_ref(&team.id)).await?;
    if grants.manages_team_tokens(teams::facts(&team, !own.is_empty())) {
        return Ok(Owner::Team(team.id, team.organization_id, team.service_user_id));
    }
    Err(Error::NotFound)
}

async fn single(app: &App, owner: &Owner) -> Result<Token> {
    let user = match owner {
        Owner::User(user)
        | Owner::Team(_, _, user)
        | Owner::Organization(_, user)
        | Owner::AuditTrail(_, user)
        | Owner::Scim(user) => user,
        // Agents' tokens are many.
        Owner::Agents(..) => return Err(Error::NotFound),
    };
    app.db
        .one(
            db::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM tokens WHERE user_id = $1 AND kind = $2 AND single = TRUE"
            )),
            args![user, owner.kind()],
        )
        .await?
        .ok_or(Error::NotFound)
}

async fn read_single(cx: Cx, owner: Owner) -> Result<Reply> {
    let token = single(&cx.app, &owner).await?;
    cx.one(document(&token, None), &["created_by"]).await
}

async fn delete_single(cx: Cx, owner: Owner) -> Result<Reply> {
    let token = single(&cx.app, &owner).await?;
    revoke(&cx.app, &token.id).await?;
    Ok(Reply::no_content())
}

async fn read_organization(cx: Cx) -> Result<Reply> {
    let owner = owned(&cx, cx.path("organization")).await?;
    read_single(cx, owner).await
}

async fn create_organization(cx: Cx) -> Result<Reply> {
    let owner = owned(&cx, cx.path("organization")).await?;
    make(cx, owner, true).await
}

async fn delete_organization(cx: Cx) -> Result<Reply> {
    let owner = owned(&cx, cx.path("organization")).await?;
    delete_single(cx, owner).await
}

async fn read_team(cx: Cx) -> Result<Reply> {
    let owner = manages_team(&cx, cx.path("id")).await?;
    read_single(cx, owner).await
}

async fn create_team(cx: Cx) -> Result<Reply> {
    let owner = manages_team(&cx, cx.path("id")).await?;
    make(cx, owner, true).await
}

async fn delete_team(cx: Cx) -> Result<Reply> {
    let owner = manages_team(&cx, cx.path("id")).await?;
    delete_single(cx, owner).await
}

async fn create_team_described(cx: Cx) -> Result<Reply> {
    let owner = manages_team(&cx, cx.path("id")).await?;
    make(cx, owner, false).await
}

async fn list_team(cx: Cx) -> Result<Reply> {
    manages_team(&cx, cx.path("id")).await?;
    let tokens: Vec<Token> = cx
        .app
        .db
        .all(
            db::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM tokens WHERE team_id = $1 ORDER BY created_at, id"
            )),
            args![cx.path("id")],
        )
        .await?;
    cx.list(tokens.iter().map(|t| document(t, None)).collect(), &["created_by"]).await
}

/// The pool of an id, whose agents' tokens those manage who manage pools.
async fn manages_pool(cx: &Cx, id: &str) -> Result<Owner> {
    let sql =
        "SELECT o.name FROM agent_pools a JOIN organizations o ON o.id = a.organization_id WHERE a.id = $1";
    let (name,): (String,) = cx.app.db.one(sql, args![id]).await?.ok_or(Error::NotFound)?;
    let (organization, grants) = organizations::find(cx, &name).await?;
    let organization = grants.prove_organization::<perm::ManageAgentPools, _>(organization)?;
    Ok(Owner::Agents(id.into(), organization.id.clone(), organization.service_user_id.clone()))
}

async fn create_agent(cx: Cx) -> Result<Reply> {
    let owner = manages_pool(&cx, cx.path("id")).await?;
    make(cx, owner, false).await
}

async fn list_agent(cx: Cx) -> Result<Reply> {
    manages_pool(&cx, cx.path("id")).await?;
    let page = cx.page();
    let count = "SELECT COUNT(*) FROM tokens WHERE agent_pool_id = $1";
    let total: Option<(i64,)> = cx.app.db.one(count, args![cx.path("id")]).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens WHERE agent_pool_id = $1 ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    let values = args![cx.path("id"), page.limit(), page.offset()];
    let tokens: Vec<Token> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = tokens.iter().map(|token| document(token, None)).collect();
    cx.page_of(kernel::Paged { items, page, total: total.map(|(n,)| n) }, &["created_by"]).await
}

/// The tokens of an organization's teams, as far as the caller manages them.
async fn list_teams(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let teams = teams::all_of(&cx.app, &organization.id).await?;
    let wanted = cx.query("q").map(str::to_lowercase).unwrap_or_default();
    let ids: Vec<_> = teams.iter().map(|team| team.id.clone()).collect();
    let own = teams::own_among(&cx, &ids).await?;
    let managed = teams.iter().filter(|team| {
        team.name.to_lowercase().contains(&wanted)
            && grants.manages_team_tokens(teams::facts(team, own.contains(&team.id)))
    });
    let managed: Vec<db::Arg> = managed.map(|team| db::Arg::from(&team.id)).collect();
    let page = cx.page();
    let marks: Vec<String> = (1..=managed.len()).map(|n| format!("${n}")).collect();
    let condition =
        format!("team_id IN ({})", if marks.is_empty() { "NULL".to_owned() } else { marks.join(", ") });
    let count = format!("SELECT COUNT(*) FROM tokens WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), managed.clone()).await?;
    let order = match cx.query("sort").unwrap_or_default() {
        "expired-at" => "expires_at IS NULL, expires_at, id",
        "-expired-at" => "expires_at IS NOT NULL, expires_at DESC, id",
        "created-at" => "created_at, id",
        _ => "created_at DESC, id",
    };
    let (limit, offset) = (page.limit(), page.offset());
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens WHERE {condition} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
    );
    let tokens: Vec<Token> = cx.app.db.all(db::AssertSqlSafe(sql), managed).await?;
    let items = tokens.iter().map(|token| document(token, None)).collect();
    cx.page_of(kernel::Paged { items, page, total: total.map(|(n,)| n) }, &["created_by", "team"]).await
}

/// Revokes the team tokens that the request names, all of them or none.
async fn delete_teams(mut cx: Cx) -> Result<Reply> {
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let mut named = Vec::new();
    for member in cx.data_list().await? {
        let token = by_id(&cx.app, &member.id.unwrap_or_default()).await?;
        let team = token.team_id.filter(|_| token.organization_id.as_ref() == Some(&organization.id));
        manages_team(&cx, team.ok_or(Error::NotFound)?.as_str()).await?;
        named.push(token.id);
    }
    let mut tx = cx.app.db.begin().await?;
    for id in &named {
        tx.exec("DELETE FROM tokens WHERE id = $1", args![id]).await?;
    }
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

pub(crate) fn document(token: &Token, text: Option<&str>) -> Resource {
    let attributes = json!({
        "created-at": token.created_at.iso8601(),
        "last-used-at": token.last_used_at.map(Timestamp::iso8601),
        "expired-at": token.expires_at.map(Timestamp::iso8601),
        "description": Some(&token.description).filter(|text| !text.is_empty()),
        "token": text,
    });
    let resource = Resource::new("authentication-tokens", token.id.as_str(), &attributes)
        .relate("created-by", Linkage::maybe("users", token.created_by.as_ref().map(UserId::as_str)));
    match (&token.team_id, token.kind.as_str()) {
        (_, "agent") => resource.relate(
            "agent-pool",
            Linkage::maybe("agent-pools", token.agent_pool_id.as_ref().map(AgentPoolId::as_str)),
        ),
        (Some(team), _) => resource.relate("team", Linkage::One("teams", team.to_string())),
        (None, "user") => resource.relate("user", Linkage::One("users", token.user_id.to_string())),
        _ => resource,
    }
}

/// One line of `ferroform token list`.
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    /// The token's id.
    pub id: TokenId,
    /// `user`, `team`, `organization`, `audit-trails`, `scim` or `agent`.
    pub kind: String,
    /// The user it acts as.
    pub username: String,
    /// Free text.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; never, if none.
    pub expires_at: Option<Timestamp>,
    /// About when it was used last; never, if none.
    pub last_used_at: Option<Timestamp>,
}

/// All tokens of the installation, for its operator.
pub async fn list_all(app: &App) -> Result<Vec<Listed>> {
    app.db
        .all(
            "SELECT t.id, t.kind, u.username, t.description, t.created_at, t.expires_at, t.last_used_at
             FROM tokens t JOIN users u ON u.id = t.user_id ORDER BY t.created_at, t.id",
            vec![],
        )
        .await
}

/// Makes a token for a user by name, for the operator. With it the user has accepted all invitations.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user.
pub async fn create_for(
    app: &App,
    username: &str,
    description: &str,
    days: Option<i64>,
) -> Result<(TokenId, Secret)> {
    let mut tx = app.db.begin().await?;
    let found: Option<(UserId,)> =
        tx.one("SELECT id FROM users WHERE username = $1 AND service = FALSE", args![username]).await?;
    let (user,) = found.ok_or(Error::NotFound)?;
    memberships::accept_all(&mut tx, &user).await?;
    let text = generate(app);
    let now = app.now();
    let expires_at = match days {
        Some(days) => now.plus_seconds(days.saturating_mul(24 * 3600)),
        None => now.plus_years(DEFAULT_LIFE_YEARS),
    };
    let new = NewToken {
        owner: Owner::User(user),
        single: false,
        description: description.to_owned(),
        created_by: None,
        expires_at: Some(expires_at),
    };
    let id = insert(app, &mut tx, new, &text).await?;
    tx.commit().await?;
    app.identities.forget();
    Ok((id, text))
}
