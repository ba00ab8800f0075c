//! Tags of workspaces and projects: flat ones, and keys with values.
//!
//! There is one kind underneath, the *tag binding*: a key, with or without a value, on a workspace or a project. A flat tag is
//! the key of a workspace's binding, and the organization's tags are the keys that its workspaces bear; so a tag set either
//! way is seen both ways, and no client has to translate. A project's bindings hold for its workspaces too, unless the
//! workspace binds the same key: those are its *effective* bindings.
//! Flat tags are in [`flat`].
//! Source: the Workspaces, Projects and Organization Tags APIs; cli-protocol.md §1.2; semantics.md §7.

mod flat;

pub(crate) use flat::{add, related_tags};

use crate::{
    conditions::Conditions,
    projects,
    reserved_tag_keys::refuse_overrides,
    workspaces::{granted, hold},
};
use authz::perm;
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Member, Reply, Resource, Result, Routes, include::Loaders};
use kernel::ids::{OrganizationId, ProjectId, TagBindingId, TagId, WorkspaceId};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Bindings that a resource may have when they are set as bindings. Flat tags came before the limit and are not counted by it.
const MOST: usize = 10;

/// The operations on tags.
pub fn routes() -> Routes {
    let of_workspace = "/workspaces/{id}/relationships/tag-bindings";
    let of_project = "/projects/{id}/relationships/tag-bindings";
    let routes = flat::routes()
        .op(Method::GET, of_workspace, "workspaces.tag-bindings.list-related", list_of_workspace)
        .op(Method::POST, of_workspace, "workspaces.tag-bindings.add", add_to_workspace)
        .op(Method::PATCH, of_workspace, "workspaces.tag-bindings.replace", replace_of_workspace)
        .op(Method::GET, of_project, "workspaces.project-tag-bindings.list-related", list_of_project)
        .op(Method::POST, of_project, "workspaces.project-tag-bindings.add", add_to_project)
        .op(Method::PATCH, of_project, "workspaces.project-tag-bindings.replace", replace_of_project)
        .op(Method::GET, "/workspaces/{id}/tag-bindings", "workspaces.tag-bindings.list", list_of_workspace)
        .op(
            Method::PATCH,
            "/workspaces/{id}/tag-bindings",
            "workspaces.tag-bindings.update",
            bind_to_workspace,
        )
        .op(
            Method::DELETE,
            "/workspaces/{id}/tag-bindings",
            "workspaces.tag-bindings.delete",
            clear_workspace,
        )
        .op(
            Method::GET,
            "/projects/{id}/tag-bindings",
            "workspaces.project-tag-bindings.list",
            list_of_project,
        )
        .op(
            Method::PATCH,
            "/projects/{id}/tag-bindings",
            "workspaces.project-tag-bindings.update",
            bind_to_project,
        )
        .op(
            Method::DELETE,
            "/projects/{id}/tag-bindings",
            "workspaces.project-tag-bindings.delete",
            clear_project,
        );
    routes
        .op(
            Method::GET,
            "/workspaces/{id}/effective-tag-bindings",
            "workspaces.tag-bindings.list-effective",
            effective_of_workspace,
        )
        .op(
            Method::GET,
            "/projects/{id}/effective-tag-bindings",
            "workspaces.project-tag-bindings.list-effective",
            effective_of_project,
        )
}

#[derive(Clone, Debug, FromRow)]
struct Binding {
    id: TagBindingId,
    key: String,
    value: String,
    workspace_id: Option<WorkspaceId>,
    project_id: Option<ProjectId>,
}

const BINDING: &str = "SELECT b.id, b.key, b.value, b.workspace_id, b.project_id FROM tag_bindings b";

/// What bears a binding.
#[derive(Clone, Copy)]
pub(crate) enum Bearer<'a> {
    Workspace(&'a WorkspaceId),
    Project(&'a ProjectId),
}

impl Bearer<'_> {
    fn column(self) -> &'static str {
        match self {
            Self::Workspace(_) => "workspace_id",
            Self::Project(_) => "project_id",
        }
    }

    fn id(self) -> Arg {
        match self {
            Self::Workspace(id) => Arg::from(id),
            Self::Project(id) => Arg::from(id),
        }
    }
}

/// A key and its value; empty when there is none.
pub(crate) type Pair = (String, String);

fn plain(c: char) -> bool {
    c.is_alphanumeric() || "_.=+-@:/".contains(c)
}

/// Refuses a text that is no key.
///
/// # Errors
/// 422 that says what one looks like.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.chars().count() > 255 || !key.chars().all(plain) {
        return Err(Error::invalid(
            "key",
            format!("Tag {key:?} is invalid: 1 to 255 letters, numbers and _ . = + - @ : / are allowed"),
        ));
    }
    if ["hc:", "hcp:"].iter().any(|prefix| key.starts_with(prefix)) {
        return Err(Error::invalid("key", format!("Tag {key:?} is invalid: hc: and hcp: are reserved")));
    }
    Ok(())
}

fn check((key, value): &Pair) -> Result<()> {
    check_key(key)?;
    if value.chars().count() > 256 || !value.chars().all(|c| plain(c) || c == ' ') {
        let rule = "at most 256 letters, numbers, blanks and _ . = + - @ : / are allowed";
        return Err(Error::invalid("value", format!("The value of tag {key:?} is invalid: {rule}")));
    }
    Ok(())
}

/// The bindings that a list of resource objects describes: `{attributes: {key, value}}`.
pub(crate) fn pairs(list: &[Member]) -> Result<Vec<Pair>> {
    let text = |binding: &Member, name: &str| {
        binding.attributes.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let pairs: Vec<Pair> = list.iter().map(|one| (text(one, "key"), text(one, "value"))).collect();
    pairs.iter().try_for_each(check)?;
    Ok(pairs)
}

/// The bindings in the `tag-bindings` relationship of a request; `None` where there is none.
pub(crate) fn related_bindings<A>(data: &Data<A>) -> Result<Option<Vec<Pair>>> {
    let Some(list) = data.related_list("tag-bindings")? else { return Ok(None) };
    let pairs = pairs(&list)?;
    if pairs.len() > MOST {
        return Err(too_many());
    }
    Ok(Some(pairs))
}

fn too_many() -> Error {
    Error::invalid("tag-bindings", format!("Tag bindings cannot exceed {MOST} bindings per resource"))
}

/// Binds each pair, over a binding of the same key.
pub(crate) async fn bind(
    app: &App,
    tx: &mut Tx,
    organization: &OrganizationId,
    bearer: Bearer<'_>,
    pairs: &[Pair],
) -> Result<()> {
    let column = bearer.column();
    for (key, value) in pairs {
        let sql = format!(
            "INSERT INTO tag_bindings (id, organization_id, {column}, key, value, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ({column}, key) DO UPDATE SET value = excluded.value"
        );
        let id = TagBindingId::new(&app.env);
        tx.exec(
            db::AssertSqlSafe(sql),
            args![&id, organization, bearer.id(), key.as_str(), value.as_str(), app.now()],
        )
        .await?;
        if let Bearer::Workspace(_) = bearer {
            let id = TagId::new(&app.env);
            tx.exec(
                "INSERT INTO tags (id, organization_id, name, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (organization_id, name) DO NOTHING",
                args![&id, organization, key.as_str(), app.now()],
            )
            .await?;
        }
    }
    if let Bearer::Workspace(id) = bearer {
        refuse_overrides(tx, id, Some(pairs)).await?;
    }
    note_names(tx, bearer).await
}

/// Takes away those keys, or all.
pub(crate) async fn unbind(tx: &mut Tx, bearer: Bearer<'_>, keys: Option<&[String]>) -> Result<()> {
    let column = bearer.column();
    match keys {
        None => {
            let sql = format!("DELETE FROM tag_bindings WHERE {column} = $1");
            tx.exec(db::AssertSqlSafe(sql), vec![bearer.id()]).await?;
        }
        Some(keys) => {
            for key in keys {
                let sql = format!("DELETE FROM tag_bindings WHERE {column} = $1 AND key = $2");
                tx.exec(db::AssertSqlSafe(sql), args![bearer.id(), key.as_str()]).await?;
            }
        }
    }
    note_names(tx, bearer).await
}

/// Repeats a workspace's keys in its row, where its document is made from.
async fn note_names(tx: &mut Tx, bearer: Bearer<'_>) -> Result<()> {
    let Bearer::Workspace(id) = bearer else { return Ok(()) };
    let keys: Vec<(String,)> =
        tx.all("SELECT key FROM tag_bindings WHERE workspace_id = $1 ORDER BY key", args![id]).await?;
    let names: Vec<String> = keys.into_iter().map(|(key,)| key).collect();
    let names = serde_json::to_string(&names).map_err(Error::internal)?;
    tx.exec("UPDATE workspaces SET tag_names = $2 WHERE id = $1", args![id, names]).await.map(drop)
}

/// Adds what the tag filters of a list ask, of rows of `workspaces w`.
pub(crate) fn filter(cx: &Cx, conditions: &mut Conditions) {
    // A binding that the workspace bears itself, or that its project bears and the workspace does not.
    let effective = |condition: &str| {
        format!(
            "(EXISTS (SELECT 1 FROM tag_bindings b WHERE b.workspace_id = w.id AND {condition})
              OR EXISTS (SELECT 1 FROM tag_bindings b WHERE b.project_id = w.project_id AND {condition}
                AND NOT EXISTS (SELECT 1 FROM tag_bindings own WHERE own.workspace_id = w.id AND own.key = b.key)))"
        )
    };
    for name in cx.query_list("search[tags]") {
        let name = conditions.mark(name);
        conditions.require(effective(&format!("b.key = {name}")));
    }
    for name in cx.query_list("search[exclude-tags]") {
        let name = conditions.mark(name);
        conditions.require(format!("NOT {}", effective(&format!("b.key = {name}"))));
    }
    for pair in tagged(cx) {
        let bound = bound(&pair, conditions);
        conditions.require(effective(&bound));
    }
}

/// That a row of `tag_bindings b` is this pair, or has its key where no value is asked for.
pub(crate) fn bound((key, value): &Pair, conditions: &mut Conditions) -> String {
    let key = conditions.mark(key);
    if value.is_empty() {
        return format!("b.key = {key}");
    }
    let value = conditions.mark(value);
    format!("b.key = {key} AND b.value = {value}")
}

/// The pairs of `filter[tagged][i][key]` and `[value]`.
pub(crate) fn tagged(cx: &Cx) -> Vec<Pair> {
    let pairs = cx.query_pairs().iter().filter_map(|(name, key)| {
        let number = name.strip_prefix("filter[tagged][")?.strip_suffix("][key]")?;
        let value = cx.query(&format!("filter[tagged][{number}][value]")).unwrap_or_default();
        Some((key.clone(), value.to_owned()))
    });
    pairs.filter(|(key, _)| !key.is_empty()).collect()
}

fn document(binding: &Binding) -> Resource {
    let attributes = json!({ "key": binding.key, "value": binding.value });
    let (kind, id) = match (&binding.workspace_id, &binding.project_id) {
        (Some(id), _) => ("workspaces", id.to_string()),
        (None, id) => ("projects", id.as_ref().map(ToString::to_string).unwrap_or_default()),
    };
    Resource::new("tag-bindings", binding.id.as_str(), &attributes)
        .relate("targets", Linkage::Many(kind, vec![id]))
}

/// How ids of bindings that are inherited begin, so that one resource has one meaning.
const INHERITED: &str = "etb-";

fn effective_id(binding: &Binding, inherited: bool) -> String {
    let id = binding.id.as_str();
    if inherited { format!("{INHERITED}{}", id.trim_start_matches("tb-")) } else { id.to_owned() }
}

fn effective_document(binding: &Binding, inherited: bool) -> Resource {
    let attributes = json!({ "key": binding.key, "value": binding.value });
    let document = Resource::new("effective-tag-bindings", effective_id(binding, inherited), &attributes);
    match &binding.project_id {
        Some(project) if inherited => document.link("inherited-from", format!("/api/v2/projects/{project}")),
        _ => document,
    }
}

async fn of(app: &App, bearer: Bearer<'_>) -> Result<Vec<Binding>> {
    let sql = format!("{BINDING} WHERE b.{} = $1 ORDER BY b.key", bearer.column());
    app.db.all(db::AssertSqlSafe(sql), vec![bearer.id()]).await
}

/// The bindings that hold for workspaces whose ids follow, each with the workspace: its own first, then its project's.
pub(crate) const OF_WORKSPACES: &str =
    "SELECT w.id AS bearer, b.id, b.key, b.value, b.workspace_id, b.project_id, b.project_id IS NOT NULL AS inherited
     FROM workspaces w JOIN tag_bindings b ON b.workspace_id = w.id OR (b.project_id = w.project_id AND NOT EXISTS
       (SELECT 1 FROM tag_bindings own WHERE own.workspace_id = w.id AND own.key = b.key))
     WHERE w.id";
/// The same of projects, which inherit nothing.
pub(crate) const OF_PROJECTS: &str =
    "SELECT p.id AS bearer, b.id, b.key, b.value, b.workspace_id, b.project_id, FALSE AS inherited
     FROM projects p JOIN tag_bindings b ON b.project_id = p.id WHERE p.id";

/// A binding that holds for something.
#[derive(FromRow)]
struct Effective {
    bearer: String,
    inherited: bool,
    #[sqlx(flatten)]
    binding: Binding,
}

/// The effective bindings of all `bearers`, by one statement.
async fn effective(app: &App, of: &str, bearers: Vec<Arg>) -> Result<Vec<Effective>> {
    let marks: Vec<String> = (1..=bearers.len()).map(|n| format!("${n}")).collect();
    let sql = format!("{of} IN ({}) ORDER BY bearer, inherited, b.key", marks.join(", "));
    app.db.all(db::AssertSqlSafe(sql), bearers).await
}

async fn effective_list(cx: &Cx, of: &str, bearer: Arg) -> Result<Reply> {
    let bindings = effective(&cx.app, of, vec![bearer]).await?;
    let documents = bindings.iter().map(|one| effective_document(&one.binding, one.inherited)).collect();
    cx.list(documents, &[]).await
}

/// Names the effective bindings in documents of workspaces or projects, when the request includes them.
pub(crate) async fn name_effective(cx: &Cx, documents: Vec<Resource>, of: &str) -> Result<Vec<Resource>> {
    let included = cx.query("include").unwrap_or_default().replace('-', "_");
    if documents.is_empty() || !included.contains("effective_tag_bindings") {
        return Ok(documents);
    }
    let bearers = documents.iter().map(|document| Arg::from(&document.id)).collect();
    let mut ids: HashMap<String, Vec<String>> = HashMap::new();
    for one in effective(&cx.app, of, bearers).await? {
        ids.entry(one.bearer).or_default().push(effective_id(&one.binding, one.inherited));
    }
    let named = documents.into_iter().map(|document| {
        let ids = ids.remove(&document.id).unwrap_or_default();
        document.relate("effective-tag-bindings", Linkage::Many("effective-tag-bindings", ids))
    });
    Ok(named.collect())
}

/// The same of one document.
pub(crate) async fn name_effective_of_one(cx: &Cx, document: Resource, of: &str) -> Result<Resource> {
    let named = name_effective(cx, vec![document], of).await?;
    named.into_iter().next().ok_or(Error::NotFound)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    // Ids come from documents that the caller was shown, so who may see them was decided there.
    loaders.add("effective-tag-bindings", |cx, ids| async move {
        let stored =
            |id: &String| format!("tb-{}", id.trim_start_matches(INHERITED).trim_start_matches("tb-"));
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{BINDING} WHERE b.id IN ({})", marks.join(", "));
        let values = ids.iter().map(|id| Arg::from(stored(id))).collect();
        let bindings: Vec<Binding> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
        let document = |id: &String| {
            let binding = bindings.iter().find(|binding| binding.id.as_str() == stored(id))?;
            Some(effective_document(binding, id.starts_with(INHERITED)))
        };
        Ok(ids.iter().filter_map(document).collect())
    });
}

async fn list_of_workspace(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::ReadWorkspace>(&cx).await?;
    let bindings = of(&cx.app, Bearer::Workspace(&workspace.id)).await?;
    cx.list(bindings.iter().map(document).collect(), &[]).await
}

async fn effective_of_workspace(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::ReadWorkspace>(&cx).await?;
    effective_list(&cx, OF_WORKSPACES, Arg::from(&workspace.id)).await
}

async fn bind_to_workspace(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let pairs = pairs(&cx.data_list().await?)?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let bearer = Bearer::Workspace(&held.id);
    bind_within_limit(&cx.app, &mut tx, &held.organization_id, bearer, &pairs).await?;
    tx.commit().await?;
    answer(&cx, bearer, &pairs).await
}

/// Sets what the request names, as the relationship does: without an answer.
async fn add_to_workspace(cx: Cx) -> Result<Reply> {
    bind_to_workspace(cx).await.map(|_| Reply::no_content())
}

async fn add_to_project(cx: Cx) -> Result<Reply> {
    bind_to_project(cx).await.map(|_| Reply::no_content())
}

/// Sets what the request names in place of all that there is.
async fn replace_of_workspace(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let pairs = pairs(&cx.data_list().await?)?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let bearer = Bearer::Workspace(&held.id);
    unbind(&mut tx, bearer, None).await?;
    bind_within_limit(&cx.app, &mut tx, &held.organization_id, bearer, &pairs).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn replace_of_project(mut cx: Cx) -> Result<Reply> {
    let project = projects::updatable(&cx).await?;
    let pairs = pairs(&cx.data_list().await?)?;
    let mut tx = cx.app.db.begin().await?;
    let bearer = Bearer::Project(&project.id);
    unbind(&mut tx, bearer, None).await?;
    bind_within_limit(&cx.app, &mut tx, &project.organization_id, bearer, &pairs).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn bind_within_limit(
    app: &App,
    tx: &mut Tx,
    organization: &OrganizationId,
    bearer: Bearer<'_>,
    pairs: &[Pair],
) -> Result<()> {
    bind(app, tx, organization, bearer, pairs).await?;
    let sql = format!("SELECT COUNT(*) FROM tag_bindings WHERE {} = $1", bearer.column());
    let count: Option<(i64,)> = tx.one(db::AssertSqlSafe(sql), vec![bearer.id()]).await?;
    let within = count.is_none_or(|(n,)| usize::try_from(n).is_ok_and(|n| n <= MOST));
    if within { Ok(()) } else { Err(too_many()) }
}

/// The bindings just set, in the order of the request.
async fn answer(cx: &Cx, bearer: Bearer<'_>, pairs: &[Pair]) -> Result<Reply> {
    let all = of(&cx.app, bearer).await?;
    let set = pairs.iter().filter_map(|(key, _)| all.iter().find(|binding| &binding.key == key));
    cx.list(set.map(document).collect(), &[]).await
}

async fn clear_workspace(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    unbind(&mut tx, Bearer::Workspace(&held.id), None).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn list_of_project(cx: Cx) -> Result<Reply> {
    let (project, _) = projects::find(&cx, cx.path("id")).await?;
    let bindings = of(&cx.app, Bearer::Project(&project.id)).await?;
    cx.list(bindings.iter().map(document).collect(), &[]).await
}

async fn effective_of_project(cx: Cx) -> Result<Reply> {
    let (project, _) = projects::find(&cx, cx.path("id")).await?;
    effective_list(&cx, OF_PROJECTS, Arg::from(&project.id)).await
}

async fn bind_to_project(mut cx: Cx) -> Result<Reply> {
    let project = projects::updatable(&cx).await?;
    let pairs = pairs(&cx.data_list().await?)?;
    let mut tx = cx.app.db.begin().await?;
    let bearer = Bearer::Project(&project.id);
    bind_within_limit(&cx.app, &mut tx, &project.organization_id, bearer, &pairs).await?;
    tx.commit().await?;
    answer(&cx, bearer, &pairs).await
}

async fn clear_project(cx: Cx) -> Result<Reply> {
    let project = projects::updatable(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    unbind(&mut tx, Bearer::Project(&project.id), None).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}
