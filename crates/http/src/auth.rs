//! Who calls, and what they hold in an organization.
//!
//! A token is looked up by its keyed hash (one indexed read) and remembered for moments, as are the grants of a
//! caller in an organization, so that an ordinary request costs no statement but its own. A change of tokens or of
//! access made by this process forgets both at once ([`Identities::forget`]); one made by another process (the
//! `token` command, a second node) is seen when the memory is older than [`MEMORY`].

use crate::{App, origin::Network};
use authz::{Actor, Grants, OrganizationAccess, ProjectAccess, TeamAccess, WorkspacePermissions};
use db::{Arg, AssertSqlSafe, FromRow, args};
use kernel::{
    Error, Result, Secret, Timestamp,
    ids::{OrganizationId, ProjectId, RunId, TeamId, TokenId, UserId, WorkspaceId},
};
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long another process's revocation may go unseen.
pub const MEMORY: Duration = Duration::from_secs(5);
/// Entries kept of each kind; beyond that all are forgotten, which costs a read each.
const CAPACITY: usize = 20_000;
/// `last-used-at` is written at most once in this time for each token.
const USE_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Remembered<T> {
    value: T,
    epoch: u64,
    at: Timestamp,
}

type Memory<K, T> = Mutex<HashMap<K, Remembered<T>>>;

/// How the token of a run begins.
const RUN_TOKEN: &str = "ferroform-run.";

/// A token with which what runs in a run calls this server. It is signed and stored nowhere, and ends with the run, or at
/// `until`. The same two give the same token.
pub fn run_token(app: &App, run: &RunId, until: Timestamp) -> Secret {
    Secret::new(format!("{RUN_TOKEN}{}", app.signer.sign("run-token", run.as_str(), until)))
}

/// The run that a signed token stands for. Always read, never remembered: the token must be dead when the run has ended.
async fn run_actor(app: &App, signed: &str) -> Result<Actor> {
    #[derive(FromRow)]
    struct Row {
        workspace_id: WorkspaceId,
        organization_id: OrganizationId,
        created_by: UserId,
    }
    let id = app.signer.verify(signed, "run-token", app.now()).ok_or(Error::Unauthorized)?;
    let sql = "SELECT workspace_id, organization_id, created_by FROM runs WHERE id = $1 AND final = FALSE";
    let row: Row = app.db.one(sql, args![&id]).await?.ok_or(Error::Unauthorized)?;
    Ok(Actor::Run {
        token: TokenId::from(id.as_str()),
        id: RunId::from(id),
        workspace: row.workspace_id,
        organization: row.organization_id,
        creator: row.created_by,
    })
}

/// The memory of callers and of their grants.
#[derive(Default)]
pub struct Identities {
    epoch: AtomicU64,
    tokens: Memory<String, (Arc<Actor>, Option<Timestamp>)>,
    grants: Memory<(String, OrganizationId), Held>,
    expired: Expired,
}

/// What a caller holds in an organization, and from where its members may come.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) grants: Arc<Grants>,
    pub(crate) networks: Networks,
}

/// From where an organization lets its members in; from everywhere, if it names no network.
#[derive(Clone, Debug, Default)]
pub struct Networks(Arc<[Network]>);

impl Networks {
    /// The networks of enabled ranges of an organization, as texts with spaces between; `$organization` stands for its id.
    pub const SQL: &'static str = "(SELECT string_agg(r.network, ' ') FROM cidr_ranges r
       JOIN cidr_range_lists l ON l.id = r.list_id
       WHERE l.organization_id = $organization AND l.enforcement_scope = 'organization' AND r.enabled)";

    /// As [`Networks::SQL`] finds them.
    ///
    /// # Errors
    /// [`Error::Internal`] when one is no network: none is stored that is not.
    pub fn parse(found: Option<&str>) -> Result<Self> {
        let parse = |text: &str| text.parse().map_err(Error::internal);
        found.unwrap_or_default().split_whitespace().map(parse).collect::<Result<Arc<[_]>>>().map(Self)
    }

    /// Whether one may come from there. Where nobody knows from where, it is not from there.
    pub fn has(&self, address: Option<IpAddr>) -> bool {
        self.0.is_empty() || address.is_some_and(|address| self.0.iter().any(|network| network.has(address)))
    }

    /// Whether they hold for an actor: not for site admins, who can set right what an organization's owners did by mistake, nor
    /// for runs, which come from where they are carried out.
    pub fn bind(actor: &Actor) -> bool {
        !actor.is_site_admin() && !matches!(actor, Actor::Run { .. } | Actor::Scim { .. })
    }

    pub(crate) fn admit(&self, actor: &Actor, address: Option<IpAddr>) -> Result<()> {
        if !Self::bind(actor) || self.has(address) {
            return Ok(());
        }
        let from = address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
        Err(Error::Forbidden(format!(
            "This organization lets its members in from some networks only (IP allowlists), and you come from {from}. \
             Come from one of them, or ask an owner of the organization to add yours"
        )))
    }
}

/// Tokens that were seen expired, by their hash. A clock that is set back does not revive them.
#[derive(Default)]
struct Expired {
    any: AtomicBool,
    hashes: Mutex<HashSet<String>>,
}

impl Expired {
    fn note(&self, hash: &str) {
        self.hashes.lock().expect("no holder of this lock panics").insert(hash.to_owned());
        self.any.store(true, Ordering::SeqCst);
    }

    fn has(&self, hash: &str) -> bool {
        self.any.load(Ordering::SeqCst)
            && self.hashes.lock().expect("no holder of this lock panics").contains(hash)
    }
}

#[derive(FromRow)]
struct TokenRow {
    id: TokenId,
    kind: String,
    user_id: UserId,
    team_id: Option<TeamId>,
    organization_id: Option<OrganizationId>,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    username: String,
    site_admin: bool,
}

impl Identities {
    /// Forgets everything: call after committing a change of tokens, teams, memberships or access.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller that a bearer token stands for.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it is unknown, revoked or expired.
    pub async fn authenticate(&self, app: &App, token: &str) -> Result<Arc<Actor>> {
        if let Some(signed) = token.strip_prefix(RUN_TOKEN) {
            return run_actor(app, signed).await.map(Arc::new);
        }
        let hash = app.hasher.hash(token);
        let now = app.now();
        let epoch = self.epoch.load(Ordering::SeqCst);
        let (actor, expires_at) = match recall(&self.tokens, &hash, epoch, now) {
            Some(known) => known,
            None => {
                let row: TokenRow = app
                    .db
                    .one(
                        "SELECT t.id, t.kind, t.user_id, t.team_id, t.organization_id, t.expires_at, t.last_used_at,
                                u.username, u.site_admin
                         FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1 AND u.suspended = FALSE",
                        args![&hash],
                    )
                    .await?
                    .ok_or(Error::Unauthorized)?;
                note_use(app, &row, now);
                let known = (Arc::new(row.actor()?), row.expires_at);
                remember(&self.tokens, hash.clone(), Remembered { value: known.clone(), epoch, at: now });
                known
            }
        };
        let Some(expires_at) = expires_at else { return Ok(actor) };
        if expires_at <= now {
            self.expired.note(&hash);
        }
        if self.expired.has(&hash) { Err(Error::Unauthorized) } else { Ok(actor) }
    }

    /// What `actor` holds in `organization`; nothing, if they are strangers.
    pub(crate) async fn held(&self, app: &App, actor: &Actor, organization: &OrganizationId) -> Result<Held> {
        let key = (actor.token().to_string(), organization.clone());
        let now = app.now();
        let epoch = self.epoch.load(Ordering::SeqCst);
        if let Some(held) = recall(&self.grants, &key, epoch, now) {
            return Ok(held);
        }
        let mut loaded = load(app, actor, std::slice::from_ref(organization)).await?;
        // Not "absent": the client is told that another kind of token is wanted, as TFE does.
        let held = loaded.pop().ok_or(Error::Unauthorized)?;
        remember(&self.grants, key, Remembered { value: held.clone(), epoch, at: now });
        Ok(held)
    }

    /// Remembers what `actor` holds in each of several organizations, by as many statements as for one: before a list
    /// asks for each.
    pub async fn prepare(&self, app: &App, actor: &Actor, organizations: &[OrganizationId]) -> Result<()> {
        let (now, epoch) = (app.now(), self.epoch.load(Ordering::SeqCst));
        let key = |id: &OrganizationId| (actor.token().to_string(), id.clone());
        let unknown = organizations.iter().filter(|id| recall(&self.grants, &key(id), epoch, now).is_none());
        let mut unknown: Vec<OrganizationId> = unknown.cloned().collect();
        unknown.sort();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        for held in load(app, actor, &unknown).await? {
            let key = key(&held.grants.organization);
            remember(&self.grants, key, Remembered { value: held, epoch, at: now });
        }
        Ok(())
    }
}

fn recall<K: Hash + Eq, T: Clone>(memory: &Memory<K, T>, key: &K, epoch: u64, now: Timestamp) -> Option<T> {
    let memory = memory.lock().expect("no holder of this lock panics");
    let found = memory.get(key)?;
    // A clock that jumped back makes an entry look new for ever; `since` is zero then, so compare both ways.
    let fresh = now.since(found.at) < MEMORY && found.at <= now;
    (found.epoch == epoch && fresh).then(|| found.value.clone())
}

fn remember<K: Hash + Eq, T>(memory: &Memory<K, T>, key: K, value: Remembered<T>) {
    let mut memory = memory.lock().expect("no holder of this lock panics");
    if memory.len() >= CAPACITY {
        memory.clear();
    }
    memory.insert(key, value);
}

/// Writes `last-used-at` beside the request, not in it.
fn note_use(app: &App, row: &TokenRow, now: Timestamp) {
    if row.last_used_at.is_some_and(|at| at <= now && now.since(at) < USE_INTERVAL) {
        return;
    }
    let (app, id) = (app.clone(), row.id.clone());
    tokio::spawn(async move {
        let written = app.db.exec("UPDATE tokens SET last_used_at = $2 WHERE id = $1", args![&id, now]).await;
        if let Err(error) = written {
            tracing::warn!(%error, "last-used-at of a token was not written");
        }
    });
}

impl TokenRow {
    fn actor(&self) -> Result<Actor> {
        let token = self.id.clone();
        match (self.kind.as_str(), &self.team_id, &self.organization_id) {
            ("user", ..) => Ok(Actor::User {
                id: self.user_id.clone(),
                username: self.username.clone(),
                site_admin: self.site_admin,
                token,
                session: false,
            }),
            ("team", Some(id), Some(organization)) => Ok(Actor::Team {
                id: id.clone(),
                organization: organization.clone(),
                service_user: self.user_id.clone(),
                token,
            }),
            ("organization", _, Some(id)) => {
                Ok(Actor::Organization { id: id.clone(), service_user: self.user_id.clone(), token })
            }
            ("scim", ..) => Ok(Actor::Scim { service_user: self.user_id.clone(), token }),
            ("audit-trails", _, Some(id)) => {
                Ok(Actor::AuditTrail { organization: id.clone(), service_user: self.user_id.clone(), token })
            }
            // Agents speak another protocol, which is not there yet (semantics.md §6.4).
            ("agent", ..) => Err(Error::Unauthorized),
            _ => Err(Error::internal(format!("token {token} has no owner of its kind"))),
        }
    }
}

/// A team of the caller's.
#[derive(FromRow)]
struct TeamRow {
    organization_id: OrganizationId,
    name: String,
    access: String,
}

/// A team's access to a workspace or to a project.
#[derive(FromRow)]
struct AccessRow {
    organization_id: OrganizationId,
    workspace_id: Option<WorkspaceId>,
    project_id: Option<ProjectId>,
    access: String,
}

/// A flag in a document of settings.
fn flag(settings: &str, name: &str) -> Option<bool> {
    serde_json::from_str::<serde_json::Value>(settings).ok()?.get(name)?.as_bool()
}

/// Whether a person signs in with a second factor: one that this server asks for, or whatever an external provider asks, if
/// they have no other way in.
pub async fn has_second_factor(app: &App, user: &UserId) -> Result<bool> {
    let sql = "SELECT id FROM users u WHERE id = $1
               AND (id IN (SELECT user_id FROM two_factors WHERE verified_at IS NOT NULL)
                 OR (id IN (SELECT user_id FROM external_identities) AND id NOT IN (SELECT user_id FROM passwords)))";
    let found: Option<(UserId,)> = app.db.one(sql, args![user]).await?;
    Ok(found.is_some())
}

/// Refuses administration to a site admin without a second factor, where site admins have said so.
///
/// # Errors
/// [`Error::Forbidden`], which says why. Who is no site admin is refused elsewhere.
pub async fn admit_to_administration(app: &App, actor: &Actor) -> Result<()> {
    let asked = app.site().general.require_two_factor_for_admins && actor.is_site_admin();
    if !asked || has_second_factor(app, actor.user_id()).await? {
        return Ok(());
    }
    Err(Error::Forbidden(
        "On this server site admins need two-factor authentication for administration \
         (require-two-factor-for-admins); turn it on in your account settings"
            .to_owned(),
    ))
}

/// Refuses a member without a second factor, where the organization asks one of everybody. Of several organizations those
/// that do so are left out: asked for by itself, each says why.
async fn refuse_one_factor(
    app: &App,
    actor: &Actor,
    strict: &[OrganizationId],
    all: &mut Vec<Grants>,
    alone: bool,
) -> Result<()> {
    let Actor::User { id, .. } = actor else { return Ok(()) };
    let asks = |grants: &Grants| grants.member && strict.contains(&grants.organization);
    if !all.iter().any(asks) || has_second_factor(app, id).await? {
        return Ok(());
    }
    if alone {
        let why = "This organization requires two-factor authentication; turn it on in your account settings";
        return Err(Error::Forbidden(why.to_owned()));
    }
    all.retain(|grants| !asks(grants));
    Ok(())
}

/// A text in a document of settings.
fn text(settings: &str, name: &str) -> Option<String> {
    Some(serde_json::from_str::<serde_json::Value>(settings).ok()?.get(name)?.as_str()?.to_owned())
}

/// Milliseconds that a token may live where policies are in force and none is set for its kind: two years.
pub const USUAL_TTL_MS: i64 = 63_113_904_000;

/// Refuses a person's token that is older than the organization lets them be. A browser's session is no token.
async fn refuse_old_token(app: &App, actor: &Actor, organization: &OrganizationId) -> Result<()> {
    let found: Option<(Timestamp, Option<i64>)> = app
        .db
        .one(
            "SELECT t.created_at, p.max_ttl_ms FROM tokens t LEFT JOIN token_ttl_policies p
               ON p.organization_id = $1 AND p.token_type = 'user' WHERE t.id = $2 AND t.kind = 'user'",
            args![organization, actor.token()],
        )
        .await?;
    let Some((made, most)) = found else { return Ok(()) };
    let most = most.unwrap_or(USUAL_TTL_MS).saturating_mul(1000);
    if made.micros().saturating_add(most) > app.now().micros() {
        return Ok(());
    }
    Err(Error::Forbidden(
        "This token is older than tokens of users may be in this organization (token-ttl-policies); make a new one"
            .to_owned(),
    ))
}

/// What a run may do: in its own workspace, and in those that share their state with it. Source: the documentation of
/// `terraform_remote_state` and of remote state sharing; cli-protocol.md §5.
async fn of_a_run(
    app: &App,
    workspace: &WorkspaceId,
    organization: &OrganizationId,
) -> Result<HashMap<WorkspaceId, WorkspacePermissions>> {
    let shared: Vec<(WorkspaceId,)> = app
        .db
        .all(
            "SELECT w.id FROM workspaces w WHERE w.organization_id = $1 AND (w.global_remote_state
               OR (w.project_remote_state AND w.project_id = (SELECT project_id FROM workspaces WHERE id = $2))
               OR w.id IN (SELECT workspace_id FROM remote_state_consumers WHERE consumer_id = $2))",
            args![organization, workspace],
        )
        .await?;
    let mut held: HashMap<_, _> =
        shared.into_iter().map(|(id,)| (id, WorkspacePermissions::SHARED_STATE)).collect();
    held.insert(workspace.clone(), WorkspacePermissions::OWN_RUN);
    Ok(held)
}

/// Reads the grants of an actor in organizations: their teams, then what those teams hold. At most four indexed reads,
/// however many organizations there are. Those that take no users' tokens are left out for users.
async fn load(app: &App, actor: &Actor, organizations: &[OrganizationId]) -> Result<Vec<Held>> {
    let mut networks = HashMap::new();
    let all = load_grants(app, actor, organizations, &mut networks).await?;
    let held = |grants: Grants| {
        let networks = networks.remove(&grants.organization).unwrap_or_default();
        Held { grants: Arc::new(grants), networks }
    };
    Ok(all.into_iter().map(held).collect())
}

async fn load_grants(
    app: &App,
    actor: &Actor,
    organizations: &[OrganizationId],
    networks: &mut HashMap<OrganizationId, Networks>,
) -> Result<Vec<Grants>> {
    let mut all = Vec::new();
    for id in organizations {
        let mut grants = Grants::none(id.clone());
        grants.kind = actor.kind();
        grants.site_admin = actor.is_site_admin();
        all.push(grants);
    }
    let sql = format!(
        "SELECT id, settings, admin_settings, {} FROM organizations WHERE id IN ({{}})",
        Networks::SQL.replace("$organization", "organizations.id")
    );
    let settings: Vec<(OrganizationId, String, String, Option<String>)> =
        of_organizations(app, &sql, vec![], organizations).await?;
    let by_token = matches!(actor, Actor::User { session: false, .. });
    let (mut open, mut strict) = (Vec::new(), Vec::new());
    for (id, settings, admin_settings, found) in settings {
        networks.insert(id.clone(), Networks::parse(found.as_deref())?);
        if by_token && flag(&settings, "user-tokens-enabled") == Some(false) {
            all.retain(|grants| grants.organization != id);
            continue;
        }
        if by_token && flag(&settings, "max-ttl-enabled") == Some(true) {
            if organizations.len() > 1 {
                // Asked for by itself, it says why it refuses.
                all.retain(|grants| grants.organization != id);
                continue;
            }
            refuse_old_token(app, actor, &id).await?;
        }
        if text(&settings, "collaborator-auth-policy").as_deref() == Some("two_factor_mandatory") {
            strict.push(id.clone());
        }
        let Some(grants) = all.iter_mut().find(|grants| grants.organization == id) else { continue };
        grants.allow_force_delete = flag(&settings, "allow-force-delete-workspaces") == Some(true);
        // Closed to everybody but site admins, who need no membership.
        if flag(&admin_settings, "is-disabled") != Some(true) {
            open.push(id);
        }
    }
    join(app, actor, &open, &mut all).await?;
    refuse_one_factor(app, actor, &strict, &mut all, organizations.len() == 1).await?;
    let members: Vec<OrganizationId> =
        all.iter().filter(|grants| grants.member).map(|grants| grants.organization.clone()).collect();
    let (teams, accesses) = match actor {
        Actor::User { id, .. } if !members.is_empty() => (
            of_organizations(
                app,
                "SELECT t.organization_id, t.name, t.access FROM teams t JOIN team_members m ON m.team_id = t.id
                 WHERE m.user_id = $1 AND t.organization_id IN ({})",
                args![id],
                &members,
            )
            .await?,
            of_organizations(
                app,
                "SELECT t.organization_id, a.workspace_id, a.project_id, a.access FROM team_access a
                 JOIN team_members m ON m.team_id = a.team_id JOIN teams t ON t.id = a.team_id
                 WHERE m.user_id = $1 AND t.organization_id IN ({})",
                args![id],
                &members,
            )
            .await?,
        ),
        Actor::Team { id, .. } if !members.is_empty() => (
            app.db.all("SELECT organization_id, name, access FROM teams WHERE id = $1", args![id]).await?,
            app.db
                .all(
                    "SELECT t.organization_id, a.workspace_id, a.project_id, a.access FROM team_access a
                     JOIN teams t ON t.id = a.team_id WHERE a.team_id = $1",
                    args![id],
                )
                .await?,
        ),
        _ => return Ok(all),
    };
    for grants in &mut all {
        sum_up(grants, &teams, &accesses)?;
    }
    Ok(all)
}

/// Says where the actor belongs to, of these organizations; and what a run may do, which has no teams.
async fn join(app: &App, actor: &Actor, open: &[OrganizationId], all: &mut [Grants]) -> Result<()> {
    let places: Vec<OrganizationId> = all.iter().map(|grants| grants.organization.clone()).collect();
    let of = |id: &OrganizationId| places.iter().position(|place| place == id && open.contains(id));
    match actor {
        Actor::Organization { id, .. } | Actor::Team { organization: id, .. } => {
            if let Some(own) = of(id) {
                all[own].member = true;
            }
        }
        // It reads the trail, which needs no grant, and nothing else.
        Actor::AuditTrail { .. } => {}
        // It keeps users and groups, which belong to no organization.
        Actor::Scim { .. } => {}
        Actor::Run { workspace, organization, .. } => {
            if let Some(own) = of(organization) {
                all[own].member = true;
                all[own].workspaces = of_a_run(app, workspace, organization).await?;
            }
        }
        Actor::User { id, .. } if !open.is_empty() => {
            let members: Vec<(OrganizationId,)> = of_organizations(
                app,
                "SELECT organization_id FROM organization_memberships
                 WHERE user_id = $1 AND status = 'active' AND organization_id IN ({})",
                args![id],
                open,
            )
            .await?;
            for (id,) in members {
                if let Some(own) = of(&id) {
                    all[own].member = true;
                }
            }
        }
        Actor::User { .. } => {}
    }
    Ok(())
}

/// Rows of a statement with the marks of organizations at `{}`, after `values`.
async fn of_organizations<T: db::Row>(
    app: &App,
    sql: &str,
    mut values: Vec<Arg>,
    organizations: &[OrganizationId],
) -> Result<Vec<T>> {
    let marks: Vec<String> = (1..=organizations.len()).map(|n| format!("${}", values.len() + n)).collect();
    values.extend(organizations.iter().map(Arg::from));
    app.db.all(AssertSqlSafe(sql.replace("{}", &marks.join(", "))), values).await
}

/// Adds up what the actor's teams hold in one organization.
fn sum_up(grants: &mut Grants, teams: &[TeamRow], accesses: &[AccessRow]) -> Result<()> {
    for team in teams.iter().filter(|team| team.organization_id == grants.organization) {
        grants.owner |= team.name == "owners";
        let access: OrganizationAccess = serde_json::from_str(&team.access).map_err(Error::internal)?;
        grants.access = grants.access.union(access);
    }
    for row in accesses.iter().filter(|row| row.organization_id == grants.organization) {
        if let Some(workspace) = &row.workspace_id {
            let access: TeamAccess = serde_json::from_str(&row.access).map_err(Error::internal)?;
            let held = grants.workspaces.entry(workspace.clone()).or_default();
            *held = held.union(access.permissions());
        } else if let Some(project) = &row.project_id {
            let access: ProjectAccess = serde_json::from_str(&row.access).map_err(Error::internal)?;
            let held = grants.projects.entry(project.clone()).or_default();
            *held = held.union(access.permissions());
        }
    }
    Ok(())
}
