//! IP allowlists: `/organizations/{organization}/cidr-range-lists`, `/cidr-range-lists/{id}`, `/cidr-ranges/{id}`.
//!
//! A list names networks. Where an organization has lists whose scope is `organization` with enabled ranges in them, its
//! members and its own and its teams' tokens come from those networks or not at all ([`http_api::auth::Networks`]); site
//! admins and runs come from anywhere. No change is made that would shut out who makes it. Lists whose scope are agent pools
//! say where agents may come from, and hold once agents can connect to this server.
//! Only owners see and change lists. Source: openapi.json, `ip-allowlists`.

use accounts::organizations;
use authz::{InOrganization, perm};
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{
    Cx, Data, Error, Linkage, Patch, Reply, Resource, Result, Routes, auth::Networks, origin::Network,
};
use kernel::{
    Paged, Timestamp,
    ids::{CidrRangeId, CidrRangeListId, OrganizationId},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// Of members and tokens; of all agents; of the agents of some pools.
const SCOPES: [&str; 3] = ["organization", "all_agent_pools", "selected_agent_pools"];

#[derive(Clone, Debug, FromRow)]
struct List {
    id: CidrRangeListId,
    organization_id: OrganizationId,
    organization: String,
    name: String,
    description: String,
    enforcement_scope: String,
    updated_at: Timestamp,
}

const LISTS: &str =
    "SELECT l.id, l.organization_id, o.name AS organization, l.name, l.description, l.enforcement_scope,
    l.updated_at FROM cidr_range_lists l JOIN organizations o ON o.id = l.organization_id";

#[derive(Clone, Debug, FromRow)]
struct Range {
    id: CidrRangeId,
    list_id: CidrRangeListId,
    organization_id: OrganizationId,
    organization: String,
    network: String,
    description: Option<String>,
    enabled: bool,
    updated_at: Timestamp,
}

const RANGES: &str =
    "SELECT r.id, r.list_id, l.organization_id, o.name AS organization, r.network, r.description, r.enabled,
    r.updated_at FROM cidr_ranges r JOIN cidr_range_lists l ON l.id = r.list_id
    JOIN organizations o ON o.id = l.organization_id";

impl InOrganization for List {
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

impl InOrganization for Range {
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

/// The operations on lists and their ranges.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/cidr-range-lists";
    let ranges = "/cidr-range-lists/{id}/relationships/cidr-ranges";
    let pools = "/cidr-range-lists/{id}/relationships/agent-pools";
    Routes::new()
        .op(Method::GET, all, "workspaces.cidr-range-lists.list", list)
        .op(Method::POST, all, "workspaces.cidr-range-lists.create", create)
        .op(Method::GET, "/cidr-range-lists/{id}", "workspaces.cidr-range-lists.read", read)
        .op(Method::PATCH, "/cidr-range-lists/{id}", "workspaces.cidr-range-lists.update", update)
        .op(Method::DELETE, "/cidr-range-lists/{id}", "workspaces.cidr-range-lists.delete", delete)
        .op(Method::POST, pools, "workspaces.cidr-range-lists.add-agent-pools", add_pools)
        .op(Method::DELETE, pools, "workspaces.cidr-range-lists.remove-agent-pools", remove_pools)
        .op(Method::GET, ranges, "workspaces.cidr-ranges.list", list_ranges)
        .op(Method::POST, ranges, "workspaces.cidr-ranges.create", create_range)
        .op(Method::GET, "/cidr-ranges/{id}", "workspaces.cidr-ranges.read", read_range)
        .op(Method::PATCH, "/cidr-ranges/{id}", "workspaces.cidr-ranges.update", update_range)
        .op(Method::DELETE, "/cidr-ranges/{id}", "workspaces.cidr-ranges.delete", delete_range)
}

/// The list of the path, for an owner.
async fn owned_list(cx: &Cx) -> Result<List> {
    let sql = format!("{LISTS} WHERE l.id = $1");
    let list: List =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    let grants = cx.grants(&list.organization_id).await?;
    Ok(grants.prove_organization::<perm::UpdateOrganization, _>(list)?.into_inner())
}

/// The range of the path, for an owner.
async fn owned_range(cx: &Cx) -> Result<Range> {
    let sql = format!("{RANGES} WHERE r.id = $1");
    let range: Range =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    let grants = cx.grants(&range.organization_id).await?;
    Ok(grants.prove_organization::<perm::UpdateOrganization, _>(range)?.into_inner())
}

/// A transaction in which nobody else changes the lists of the organization.
async fn begin(cx: &Cx, organization: &OrganizationId) -> Result<Tx> {
    let mut tx = cx.app.db.begin().await?;
    tx.exec("UPDATE organizations SET settings = settings WHERE id = $1", args![organization]).await?;
    Ok(tx)
}

/// Commits a change, unless the caller would be shut out by it.
async fn commit(cx: &Cx, mut tx: Tx, organization: &OrganizationId) -> Result<()> {
    if Networks::bind(cx.actor()?) {
        let sql = format!("SELECT {} FROM organizations WHERE id = $1", Networks::SQL);
        let sql = sql.replace("$organization", "organizations.id");
        let found: Option<(Option<String>,)> = tx.one(db::AssertSqlSafe(sql), args![organization]).await?;
        let networks = Networks::parse(found.and_then(|(text,)| text).as_deref())?;
        if !networks.has(cx.address) {
            let from =
                cx.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
            return Err(Error::Unprocessable(format!(
                "This would shut you out: you come from {from}, which would be in no enabled range of the organization's \
                 lists. Add a range with it first"
            )));
        }
    }
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(())
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::UpdateOrganization, _>(organization)?;
    let page = cx.page();
    let sql = "SELECT COUNT(*) FROM cidr_range_lists WHERE organization_id = $1";
    let total: Option<(i64,)> = cx.app.db.one(sql, args![&organization.id]).await?;
    let sql = format!("{LISTS} WHERE l.organization_id = $1 ORDER BY l.name LIMIT $2 OFFSET $3");
    let rows: Vec<List> =
        cx.app.db.all(db::AssertSqlSafe(sql), args![&organization.id, page.limit(), page.offset()]).await?;
    let items = documents(&cx, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    name: Option<String>,
    description: Option<String>,
    enforcement_scope: Option<String>,
}

impl Attributes {
    fn apply(self, list: &mut List) -> Result<()> {
        list.name = self.name.unwrap_or_else(|| list.name.clone());
        list.description = self.description.unwrap_or_else(|| list.description.clone());
        list.enforcement_scope = self.enforcement_scope.unwrap_or_else(|| list.enforcement_scope.clone());
        if list.name.trim().is_empty() || list.name.chars().count() > 90 {
            return Err(Error::invalid("name", "Name must have between 1 and 90 characters"));
        }
        if !SCOPES.contains(&list.enforcement_scope.as_str()) {
            let why = format!("Enforcement scope must be one of {}", SCOPES.join(", "));
            return Err(Error::invalid("enforcement-scope", why));
        }
        Ok(())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct RangeAttributes {
    range: Option<String>,
    description: Patch<String>,
    enabled: Option<bool>,
}

impl RangeAttributes {
    fn apply(self, range: &mut Range) -> Result<()> {
        if let Some(text) = self.range {
            let network: Network = text
                .trim()
                .parse()
                .map_err(|why| Error::invalid("range", format!("Range {text:?}: {why}")))?;
            range.network = network.to_string();
        }
        if range.network.is_empty() {
            return Err(Error::invalid("range", "Range can't be blank"));
        }
        self.description.apply(&mut range.description);
        range.enabled = self.enabled.unwrap_or(range.enabled);
        Ok(())
    }
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::UpdateOrganization, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    let (ranges, pools) = (data.related_list("cidr-ranges")?, data.related_list("agent-pools")?);
    let mut list = List {
        id: CidrRangeListId::new(&cx.app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        name: String::new(),
        description: String::new(),
        enforcement_scope: SCOPES[0].to_owned(),
        updated_at: cx.app.now(),
    };
    data.attributes.apply(&mut list)?;
    let mut tx = begin(&cx, &list.organization_id).await?;
    refuse_name(&mut tx, &list).await?;
    tx.exec(
        "INSERT INTO cidr_range_lists (id, organization_id, name, description, enforcement_scope, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        args![
            &list.id,
            &list.organization_id,
            &list.name,
            &list.description,
            &list.enforcement_scope,
            list.updated_at
        ],
    )
    .await?;
    for member in ranges.unwrap_or_default() {
        let attributes: RangeAttributes = serde_json::from_value(json!(member.attributes))
            .map_err(|e| Error::Unprocessable(format!("a range does not have the expected shape: {e}")))?;
        let mut range = new_range(&cx, &list);
        attributes.apply(&mut range)?;
        insert_range(&mut tx, &range).await?;
    }
    name_pools(&mut tx, &list, pools.into_iter().flatten().filter_map(|member| member.id).collect()).await?;
    commit(&cx, tx, &list.organization_id).await?;
    Ok(Reply::created(document(&cx, &list).await?))
}

async fn refuse_name(tx: &mut Tx, list: &List) -> Result<()> {
    let sql = "SELECT id FROM cidr_range_lists WHERE organization_id = $1 AND name = $2 AND id <> $3";
    let taken: Option<(String,)> = tx.one(sql, args![&list.organization_id, &list.name, &list.id]).await?;
    if taken.is_some() { Err(Error::invalid("name", "Name has already been taken")) } else { Ok(()) }
}

async fn read(cx: Cx) -> Result<Reply> {
    let list = owned_list(&cx).await?;
    Ok(Reply::one(document(&cx, &list).await?))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut list = owned_list(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    data.attributes.apply(&mut list)?;
    list.updated_at = cx.app.now();
    let mut tx = begin(&cx, &list.organization_id).await?;
    refuse_name(&mut tx, &list).await?;
    tx.exec(
        "UPDATE cidr_range_lists SET name = $2, description = $3, enforcement_scope = $4, updated_at = $5 WHERE id = $1",
        args![&list.id, &list.name, &list.description, &list.enforcement_scope, list.updated_at],
    )
    .await?;
    commit(&cx, tx, &list.organization_id).await?;
    Ok(Reply::one(document(&cx, &list).await?))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let list = owned_list(&cx).await?;
    let mut tx = begin(&cx, &list.organization_id).await?;
    tx.exec("DELETE FROM cidr_range_lists WHERE id = $1", args![&list.id]).await?;
    commit(&cx, tx, &list.organization_id).await?;
    Ok(Reply::no_content())
}

async fn pools_of_request(cx: &mut Cx) -> Result<Vec<String>> {
    Ok(cx.data_list().await?.into_iter().filter_map(|member| member.id).collect())
}

async fn name_pools(tx: &mut Tx, list: &List, pools: Vec<String>) -> Result<()> {
    if !pools.is_empty() && list.enforcement_scope != "selected_agent_pools" {
        return Err(Error::invalid(
            "agent-pools",
            "Agent pools belong to a list whose enforcement scope is selected_agent_pools",
        ));
    }
    for pool in pools {
        let sql = "SELECT id FROM agent_pools WHERE id = $1 AND organization_id = $2";
        let found: Option<(String,)> = tx.one(sql, args![&pool, &list.organization_id]).await?;
        if found.is_none() {
            let why = format!("{pool:?} is not among the organization's agent pools");
            return Err(Error::invalid("agent-pools", why));
        }
        let sql = "INSERT INTO cidr_range_list_agent_pools (list_id, agent_pool_id) VALUES ($1, $2)
             ON CONFLICT DO NOTHING";
        tx.exec(sql, args![&list.id, &pool]).await?;
    }
    Ok(())
}

async fn add_pools(mut cx: Cx) -> Result<Reply> {
    let list = owned_list(&cx).await?;
    let pools = pools_of_request(&mut cx).await?;
    let mut tx = begin(&cx, &list.organization_id).await?;
    name_pools(&mut tx, &list, pools).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn remove_pools(mut cx: Cx) -> Result<Reply> {
    let list = owned_list(&cx).await?;
    let pools = pools_of_request(&mut cx).await?;
    let mut tx = begin(&cx, &list.organization_id).await?;
    for pool in pools {
        let sql = "DELETE FROM cidr_range_list_agent_pools WHERE list_id = $1 AND agent_pool_id = $2";
        tx.exec(sql, args![&list.id, &pool]).await?;
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn list_ranges(cx: Cx) -> Result<Reply> {
    let list = owned_list(&cx).await?;
    let page = cx.page();
    let sql = "SELECT COUNT(*) FROM cidr_ranges WHERE list_id = $1";
    let total: Option<(i64,)> = cx.app.db.one(sql, args![&list.id]).await?;
    let sql = format!("{RANGES} WHERE r.list_id = $1 ORDER BY r.created_at, r.id LIMIT $2 OFFSET $3");
    let rows: Vec<Range> =
        cx.app.db.all(db::AssertSqlSafe(sql), args![&list.id, page.limit(), page.offset()]).await?;
    let items = rows.iter().map(range_document).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

fn new_range(cx: &Cx, list: &List) -> Range {
    Range {
        id: CidrRangeId::new(&cx.app.env),
        list_id: list.id.clone(),
        organization_id: list.organization_id.clone(),
        organization: list.organization.clone(),
        network: String::new(),
        description: None,
        enabled: true,
        updated_at: cx.app.now(),
    }
}

async fn refuse_network(tx: &mut Tx, range: &Range) -> Result<()> {
    let sql = "SELECT id FROM cidr_ranges WHERE list_id = $1 AND network = $2 AND id <> $3";
    let there: Option<(String,)> = tx.one(sql, args![&range.list_id, &range.network, &range.id]).await?;
    if there.is_some() { Err(Error::invalid("range", "Range is already in the list")) } else { Ok(()) }
}

async fn insert_range(tx: &mut Tx, range: &Range) -> Result<()> {
    refuse_network(tx, range).await?;
    tx.exec(
        "INSERT INTO cidr_ranges (id, list_id, network, description, enabled, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        args![
            &range.id,
            &range.list_id,
            &range.network,
            range.description.clone(),
            range.enabled,
            range.updated_at
        ],
    )
    .await
    .map(drop)
}

async fn create_range(mut cx: Cx) -> Result<Reply> {
    let list = owned_list(&cx).await?;
    let data: Data<RangeAttributes> = cx.data().await?;
    let mut range = new_range(&cx, &list);
    data.attributes.apply(&mut range)?;
    let mut tx = begin(&cx, &list.organization_id).await?;
    insert_range(&mut tx, &range).await?;
    commit(&cx, tx, &list.organization_id).await?;
    Ok(Reply::created(range_document(&range)))
}

async fn read_range(cx: Cx) -> Result<Reply> {
    Ok(Reply::one(range_document(&owned_range(&cx).await?)))
}

async fn update_range(mut cx: Cx) -> Result<Reply> {
    let mut range = owned_range(&cx).await?;
    let data: Data<RangeAttributes> = cx.data().await?;
    data.attributes.apply(&mut range)?;
    range.updated_at = cx.app.now();
    let mut tx = begin(&cx, &range.organization_id).await?;
    refuse_network(&mut tx, &range).await?;
    tx.exec(
        "UPDATE cidr_ranges SET network = $2, description = $3, enabled = $4, updated_at = $5 WHERE id = $1",
        args![&range.id, &range.network, range.description.clone(), range.enabled, range.updated_at],
    )
    .await?;
    commit(&cx, tx, &range.organization_id).await?;
    Ok(Reply::one(range_document(&range)))
}

async fn delete_range(cx: Cx) -> Result<Reply> {
    let range = owned_range(&cx).await?;
    let mut tx = begin(&cx, &range.organization_id).await?;
    tx.exec("DELETE FROM cidr_ranges WHERE id = $1", args![&range.id]).await?;
    commit(&cx, tx, &range.organization_id).await?;
    Ok(Reply::no_content())
}

async fn document(cx: &Cx, list: &List) -> Result<Resource> {
    documents(cx, std::slice::from_ref(list)).await?.pop().ok_or(Error::NotFound)
}

/// Lists with their ranges and pools, by one statement for each.
async fn documents(cx: &Cx, lists: &[List]) -> Result<Vec<Resource>> {
    let mut ranges = members(
        cx,
        lists,
        "SELECT list_id, id FROM cidr_ranges WHERE list_id IN ({}) ORDER BY created_at, id",
    )
    .await?;
    let sql = "SELECT list_id, agent_pool_id FROM cidr_range_list_agent_pools WHERE list_id IN ({})
      ORDER BY agent_pool_id";
    let mut pools = members(cx, lists, sql).await?;
    let shown = lists.iter().map(|list| {
        let attributes = json!({
            "name": list.name, "description": list.description, "enforcement-scope": list.enforcement_scope,
            "updated-at": list.updated_at.iso8601(),
        });
        let id = list.id.as_str();
        Resource::new("cidr-range-lists", id, &attributes)
            .relate("organization", Linkage::One("organizations", list.organization.clone()))
            .relate("agent-pools", Linkage::Many("agent-pools", pools.remove(id).unwrap_or_default()))
            .relate("cidr-ranges", Linkage::Many("cidr-ranges", ranges.remove(id).unwrap_or_default()))
            .link("self", format!("/api/v2/cidr-range-lists/{id}"))
    });
    Ok(shown.collect())
}

/// What `sql` finds for each list: rows of the list's id and the other's.
async fn members(cx: &Cx, lists: &[List], sql: &str) -> Result<HashMap<String, Vec<String>>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    if lists.is_empty() {
        return Ok(found);
    }
    let marks: Vec<String> = (1..=lists.len()).map(|n| format!("${n}")).collect();
    let sql = sql.replace("{}", &marks.join(", "));
    let values = lists.iter().map(|list| Arg::from(&list.id)).collect();
    for (list, id) in cx.app.db.all::<(String, String)>(db::AssertSqlSafe(sql), values).await? {
        found.entry(list).or_default().push(id);
    }
    Ok(found)
}

fn range_document(range: &Range) -> Resource {
    let attributes = json!({
        "range": range.network, "description": range.description, "enabled": range.enabled,
        "updated-at": range.updated_at.iso8601(),
    });
    Resource::new("cidr-ranges", range.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", range.organization.clone()))
        .relate("cidr-range-list", Linkage::One("cidr-range-lists", range.list_id.to_string()))
        .link("self", format!("/api/v2/cidr-ranges/{}", range.id))
}
