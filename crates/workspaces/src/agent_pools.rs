//! Agent pools: `/organizations/{organization}/agent-pools`, `/agent-pools/{id}`.
//!
//! A pool is what a setting names whose execution mode is `agent` ([`accounts::execution`]): all workspaces may, or only some
//! and those of some projects, and none that is excluded. Agents themselves are not there yet: a run of such a workspace is
//! made, waits, and says so; this server's own runner never takes it. Pools are seen by those who manage them and by those
//! who create workspaces. Their agents' tokens are in [`accounts::tokens`]. Source: the Agent Pools API; semantics.md §6.3.

use crate::conditions::Conditions;
use accounts::organizations;
use authz::{Grants, InOrganization, OrganizationPermission, perm};
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{AgentPoolId, OrganizationId},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

#[derive(Clone, Debug, FromRow)]
struct Pool {
    id: AgentPoolId,
    organization_id: OrganizationId,
    organization: String,
    name: String,
    organization_scoped: bool,
    created_at: Timestamp,
}

impl InOrganization for Pool {
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

const SELECT: &str =
    "SELECT a.id, a.organization_id, o.name AS organization, a.name, a.organization_scoped, a.created_at
  FROM agent_pools a JOIN organizations o ON o.id = a.organization_id";

const INCLUDES: &[&str] = &["workspaces"];

/// A list of a pool: the relation, the type of its members, its table, and the column that names a member.
struct Named {
    relation: &'static str,
    kind: &'static str,
    table: &'static str,
    column: &'static str,
    members: &'static str,
}

const NAMED: [Named; 3] = [
    Named {
        relation: "allowed-workspaces",
        kind: "workspaces",
        table: "agent_pool_allowed_workspaces",
        column: "workspace_id",
        members: "workspaces",
    },
    Named {
        relation: "allowed-projects",
        kind: "projects",
        table: "agent_pool_allowed_projects",
        column: "project_id",
        members: "projects",
    },
    Named {
        relation: "excluded-workspaces",
        kind: "workspaces",
        table: "agent_pool_excluded_workspaces",
        column: "workspace_id",
        members: "workspaces",
    },
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    name: Option<String>,
    organization_scoped: Option<bool>,
}

/// The operations on agent pools.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/agent-pools";
    Routes::new()
        .op(Method::GET, all, "workspaces.agent-pools.list", list)
        .op(Method::POST, all, "workspaces.agent-pools.create", create)
        .op(Method::GET, "/agent-pools/{id}", "workspaces.agent-pools.read", read)
        .op(Method::PATCH, "/agent-pools/{id}", "workspaces.agent-pools.update", update)
        .op(Method::DELETE, "/agent-pools/{id}", "workspaces.agent-pools.delete", delete)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("agent-pools", |cx, ids| async move {
        let mut conditions = Conditions::none();
        let marks = conditions.marks(ids);
        conditions.require(format!("a.id IN ({marks})"));
        let sql = format!("{SELECT} WHERE {}", conditions.text());
        let rows: Vec<Pool> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
        let mut seen = Vec::new();
        for row in rows {
            if sees(&*cx.grants(&row.organization_id).await?) {
                seen.push(row);
            }
        }
        documents(&cx.app, &seen).await
    });
}

/// Whether one sees the pools of the organization.
fn sees(grants: &Grants) -> bool {
    grants.allows(OrganizationPermission::ManageAgentPools)
        || grants.allows(OrganizationPermission::CreateWorkspace)
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    if !sees(&grants) {
        return Err(Error::NotFound);
    }
    let page = cx.page();
    let mut conditions = Conditions::of("a.organization_id", &organization.id);
    if let Some(text) = cx.query("q").filter(|text| !text.is_empty()) {
        conditions.contains("a.name", text);
    }
    if let Some(name) = cx.query("filter[allowed_workspaces][name]").filter(|name| !name.is_empty()) {
        let mark = conditions.marks([name]);
        conditions.require(format!(
            "EXISTS (SELECT 1 FROM workspaces w WHERE w.organization_id = a.organization_id AND w.name = {mark}
               AND w.id NOT IN (SELECT workspace_id FROM agent_pool_excluded_workspaces WHERE agent_pool_id = a.id)
               AND (a.organization_scoped
                 OR w.id IN (SELECT workspace_id FROM agent_pool_allowed_workspaces WHERE agent_pool_id = a.id)
                 OR w.project_id IN (SELECT project_id FROM agent_pool_allowed_projects WHERE agent_pool_id = a.id)))"
        ));
    }
    if let Some(name) = cx.query("filter[allowed_projects][name]").filter(|name| !name.is_empty()) {
        let mark = conditions.marks([name]);
        conditions.require(format!(
            "EXISTS (SELECT 1 FROM projects p WHERE p.organization_id = a.organization_id AND p.name = {mark}
               AND (a.organization_scoped
                 OR p.id IN (SELECT project_id FROM agent_pool_allowed_projects WHERE agent_pool_id = a.id)))"
        ));
    }
    let (condition, values) = (conditions.text(), conditions.values());
    let sql = format!("SELECT COUNT(*) FROM agent_pools a WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    let order = match cx.query("sort").unwrap_or_default() {
        "-name" => "a.name DESC",
        "created-at" => "a.created_at, a.id",
        "-created-at" => "a.created_at DESC, a.id DESC",
        _ => "a.name",
    };
    let (limit, offset) = (page.limit(), page.offset());
    let sql = format!("{SELECT} WHERE {condition} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
    let rows: Vec<Pool> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = documents(&cx.app, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

/// Pools with their lists, by one statement for each list.
async fn documents(app: &App, pools: &[Pool]) -> Result<Vec<Resource>> {
    let using = "SELECT agent_pool_id, id FROM workspaces WHERE agent_pool_id IN ({}) ORDER BY name";
    let mut users = members(app, pools, using).await?;
    let mut lists = Vec::new();
    for named in &NAMED {
        let Named { table, column, .. } = named;
        let sql = format!(
            "SELECT agent_pool_id, {column} FROM {table} WHERE agent_pool_id IN ({{}}) ORDER BY {column}"
        );
        lists.push((named, members(app, pools, &sql).await?));
    }
    let mut shown = Vec::new();
    for pool in pools {
        let id = pool.id.as_str();
        let mut document = document(pool)
            .relate("workspaces", Linkage::Many("workspaces", users.remove(id).unwrap_or_default()));
        for (named, members) in &mut lists {
            let list = members.remove(id).unwrap_or_default();
            document = document.relate(named.relation, Linkage::Many(named.kind, list));
        }
        shown.push(document);
    }
    Ok(shown)
}

/// What `sql` finds for each pool: rows of the pool's id and the other's.
async fn members(app: &App, pools: &[Pool], sql: &str) -> Result<HashMap<String, Vec<String>>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    if pools.is_empty() {
        return Ok(found);
    }
    let marks: Vec<String> = (1..=pools.len()).map(|n| format!("${n}")).collect();
    let sql = sql.replace("{}", &marks.join(", "));
    let values = pools.iter().map(|pool| Arg::from(&pool.id)).collect();
    for (pool, id) in app.db.all::<(String, String)>(db::AssertSqlSafe(sql), values).await? {
        found.entry(pool).or_default().push(id);
    }
    Ok(found)
}

fn document(pool: &Pool) -> Resource {
    let own = format!("/api/v2/agent-pools/{}", pool.id);
    let attributes = json!({
        "name": pool.name,
        "created-at": pool.created_at.iso8601(),
        "organization-scoped": pool.organization_scoped,
        // No agent can connect to this server yet.
        "agent-count": 0,
    });
    Resource::new("agent-pools", pool.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", pool.organization.clone()))
        .relate("authentication-tokens", Linkage::Link(format!("{own}/authentication-tokens")))
        .link("self", own)
}

async fn by_id(cx: &Cx) -> Result<(Pool, std::sync::Arc<Grants>)> {
    let sql = format!("{SELECT} WHERE a.id = $1");
    let pool: Pool =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    let grants = cx.grants(&pool.organization_id).await?;
    if sees(&grants) { Ok((pool, grants)) } else { Err(Error::NotFound) }
}

async fn manageable(cx: &Cx) -> Result<Pool> {
    let (pool, grants) = by_id(cx).await?;
    Ok(grants.prove_organization::<perm::ManageAgentPools, _>(pool)?.into_inner())
}

async fn read(cx: Cx) -> Result<Reply> {
    let (pool, _) = by_id(&cx).await?;
    let document = documents(&cx.app, std::slice::from_ref(&pool)).await?.pop().ok_or(Error::NotFound)?;
    cx.one(document, INCLUDES).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::ManageAgentPools, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    let pool = Pool {
        id: AgentPoolId::new(&cx.app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        name: data.attributes.name.clone().unwrap_or_default(),
        organization_scoped: data.attributes.organization_scoped.unwrap_or(true),
        created_at: cx.app.now(),
    };
    let mut tx = cx.app.db.begin().await?;
    refuse_name(&mut tx, &pool).await?;
    tx.exec(
        "INSERT INTO agent_pools (id, organization_id, name, organization_scoped, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        args![&pool.id, &pool.organization_id, pool.name.as_str(), pool.organization_scoped, pool.created_at],
    )
    .await?;
    name_members(&mut tx, &pool, &data).await?;
    tx.commit().await?;
    let document = documents(&cx.app, std::slice::from_ref(&pool)).await?.pop().ok_or(Error::NotFound)?;
    cx.created(document, INCLUDES).await
}

async fn refuse_name(tx: &mut Tx, pool: &Pool) -> Result<()> {
    if pool.name.trim().is_empty() || pool.name.chars().count() > 90 {
        return Err(Error::invalid("name", "Name must have between 1 and 90 characters"));
    }
    let sql = "SELECT id FROM agent_pools WHERE organization_id = $1 AND name = $2 AND id <> $3";
    let taken: Option<(String,)> =
        tx.one(sql, args![&pool.organization_id, pool.name.as_str(), &pool.id]).await?;
    if taken.is_some() { Err(Error::invalid("name", "Name has already been taken")) } else { Ok(()) }
}

/// Replaces each list that the request has.
async fn name_members(tx: &mut Tx, pool: &Pool, data: &Data<Attributes>) -> Result<()> {
    for Named { relation, table, column, members, .. } in &NAMED {
        let Some(list) = data.related_list(relation)? else { continue };
        let sql = format!("DELETE FROM {table} WHERE agent_pool_id = $1");
        tx.exec(db::AssertSqlSafe(sql), args![&pool.id]).await?;
        for member in list {
            let id = member.id.unwrap_or_default();
            let sql = format!("SELECT id FROM {members} WHERE id = $1 AND organization_id = $2");
            let found: Option<(String,)> =
                tx.one(db::AssertSqlSafe(sql), args![id.as_str(), &pool.organization_id]).await?;
            if found.is_none() {
                return Err(Error::invalid(
                    *relation,
                    format!("{id:?} is not among the organization's {members}"),
                ));
            }
            let sql = format!(
                "INSERT INTO {table} (agent_pool_id, {column}) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            );
            tx.exec(db::AssertSqlSafe(sql), args![&pool.id, id]).await?;
        }
    }
    Ok(())
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut pool = manageable(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    if let Some(name) = &data.attributes.name {
        pool.name.clone_from(name);
    }
    pool.organization_scoped = data.attributes.organization_scoped.unwrap_or(pool.organization_scoped);
    let mut tx = cx.app.db.begin().await?;
    refuse_name(&mut tx, &pool).await?;
    tx.exec(
        "UPDATE agent_pools SET name = $2, organization_scoped = $3 WHERE id = $1",
        args![&pool.id, pool.name.as_str(), pool.organization_scoped],
    )
    .await?;
    name_members(&mut tx, &pool, &data).await?;
    tx.commit().await?;
    let document = documents(&cx.app, std::slice::from_ref(&pool)).await?.pop().ok_or(Error::NotFound)?;
    cx.one(document, INCLUDES).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let pool = manageable(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let uses: Vec<(String, String)> = tx
        .all(
            "SELECT 'organization' AS kind, name FROM organizations WHERE default_agent_pool_id = $1
             UNION ALL SELECT 'project', name FROM projects WHERE default_agent_pool_id = $1
             UNION ALL SELECT 'workspace', name FROM workspaces WHERE agent_pool_id = $1 LIMIT 4",
            args![&pool.id],
        )
        .await?;
    if !uses.is_empty() {
        let mut named: Vec<String> =
            uses.iter().take(3).map(|(kind, name)| format!("{kind} {name}")).collect();
        if uses.len() > 3 {
            named.push("others".to_owned());
        }
        return Err(Error::Unprocessable(format!(
            "Agent pool {} is in use by {}: give them another pool or execution mode first",
            pool.name,
            named.join(", ")
        )));
    }
    tx.exec("DELETE FROM agent_pools WHERE id = $1", args![&pool.id]).await?;
    tx.commit().await?;
    // Its agents' tokens went with it.
    cx.app.identities.forget();
    Ok(Reply::no_content())
}
