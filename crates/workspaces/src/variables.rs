//! Variables: what those of a workspace (`/workspaces/{id}/vars`) and those of a set ([`crate::variable_sets`]) have in
//! common, and the operations of the former. Which of them hold in a run is decided in [`effective`].
//!
//! Every value is sealed at rest. A sensitive value is null in every answer, for everyone; only its value may change
//! later. `version-id` changes with each update, so that a run can say which value it saw.
//! Source: the Workspace Variables API; semantics.md §5.2.

pub mod effective;

pub use effective::values;

use crate::workspaces;
use authz::perm;
use axum::http::Method;
use blob::keys::DataKey;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Env, Timestamp,
    ids::{OrganizationId, VariableId, VariableSetId, WorkspaceId},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Characters of a key.
const KEY_MAX: usize = 128;
/// Bytes of a value.
const VALUE_MAX: usize = 256 << 10;
/// Characters of a description.
const DESCRIPTION_MAX: usize = 512;
/// Variables that one request may change.
const MANY: usize = 100;

#[derive(Clone, Debug, FromRow)]
pub(crate) struct Row {
    id: VariableId,
    workspace_id: Option<WorkspaceId>,
    variable_set_id: Option<VariableSetId>,
    key: String,
    value: Vec<u8>,
    category: String,
    hcl: bool,
    sensitive: bool,
    description: String,
    version_id: String,
    created_at: Timestamp,
}

const COLUMNS: &str = "id, workspace_id, variable_set_id, key, value, category, hcl, sensitive, description, version_id, created_at";

/// A variable with its value in the clear, as a run takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Value {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// `terraform` or `env`.
    pub category: String,
    /// Whether the value is an HCL expression.
    pub hcl: bool,
    /// Whether the value must never be shown.
    pub sensitive: bool,
    /// Which version of the variable this is.
    pub version_id: String,
    /// Whether it beats what the run itself gives.
    #[serde(default)]
    pub priority: bool,
}

/// Whose variables they are.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    Workspace(WorkspaceId),
    Set(VariableSetId),
}

impl Owner {
    fn column(&self) -> &'static str {
        match self {
            Self::Workspace(_) => "workspace_id",
            Self::Set(_) => "variable_set_id",
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Workspace(id) => id.as_str(),
            Self::Set(id) => id.as_str(),
        }
    }

    fn workspace(&self) -> Option<&WorkspaceId> {
        if let Self::Workspace(id) = self { Some(id) } else { None }
    }

    fn set(&self) -> Option<&VariableSetId> {
        if let Self::Set(id) = self { Some(id) } else { None }
    }
}

/// Where variables are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) organization: OrganizationId,
    pub(crate) owner: Owner,
    /// Holds in every workspace: no other such set may have the same key.
    pub(crate) is_global: bool,
}

/// The operations on variables.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/workspaces/{id}/vars", "workspaces.variables.list", list)
        .op(Method::GET, "/workspaces/{id}/all-vars", "workspaces.variables.list-all", effective::list)
        .op(Method::POST, "/workspaces/{id}/vars", "workspaces.variables.create", create)
        .op(Method::GET, "/workspaces/{id}/vars/{variable}", "workspaces.variables.read", read)
        .op(Method::PATCH, "/workspaces/{id}/vars/{variable}", "workspaces.variables.update", update)
        .op(
            Method::PATCH,
            "/workspaces/{id}/relationships/vars",
            "workspaces.variables.update-many",
            update_many,
        )
        .op(Method::DELETE, "/workspaces/{id}/vars/{variable}", "workspaces.variables.delete", delete)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("vars", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM variables WHERE id IN ({}) ORDER BY created_at, id",
            marks.join(", ")
        );
        let rows: Vec<Row> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
        let of_workspaces = rows.iter().filter_map(|row| row.workspace_id.clone());
        let workspaces = workspaces::granted_among::<perm::ReadVariables>(&cx, of_workspaces).await?;
        let mut of_sets: Vec<String> =
            rows.iter().filter_map(|row| row.variable_set_id.as_ref()).map(ToString::to_string).collect();
        of_sets.sort();
        of_sets.dedup();
        let sets = crate::variable_sets::visible_among(&cx, &of_sets).await?;
        let mut found = Vec::new();
        for row in &rows {
            let organization = match (&row.workspace_id, &row.variable_set_id) {
                (Some(id), _) => workspaces.get(id).map(|(workspace, _)| &workspace.organization_id),
                (None, Some(id)) => {
                    sets.iter().find(|(set, _)| set.id == *id).map(|(set, _)| &set.organization_id)
                }
                (None, None) => None,
            };
            if let Some(organization) = organization {
                found.push(document(&cx.app, organization, row).await?);
            }
        }
        Ok(found)
    });
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Attributes {
    key: Option<String>,
    value: Option<String>,
    category: Option<String>,
    hcl: Option<bool>,
    sensitive: Option<bool>,
    description: Option<String>,
}

impl Attributes {
    fn check(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if let Some(key) = &self.key {
            if key.trim().is_empty() {
                wrong.push(("key", "Key can't be blank".to_owned()));
            } else if key.chars().count() > KEY_MAX {
                wrong.push(("key", format!("Key is too long (maximum is {KEY_MAX} characters)")));
            } else if key.chars().any(|c| c.is_control() || c == '=') {
                wrong.push(("key", "Key must not contain control characters or =".to_owned()));
            }
        }
        if self.value.as_ref().is_some_and(|value| value.len() > VALUE_MAX) {
            wrong.push(("value", format!("Value is too long (maximum is {VALUE_MAX} bytes)")));
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
            wrong.push((
                "description",
                format!("Description is too long (maximum is {DESCRIPTION_MAX} characters)"),
            ));
        }
        if self.category.as_deref().is_some_and(|category| category != "terraform" && category != "env") {
            wrong.push(("category", "Category must be terraform or env".to_owned()));
        }
        wrong
    }
}

fn refuse(wrong: Vec<(&'static str, String)>) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(wrong.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()))
}

async fn readable(cx: &Cx) -> Result<Home> {
    Ok(home(&workspaces::granted::<perm::ReadVariables>(cx).await?.0))
}

async fn writable(cx: &Cx) -> Result<Home> {
    Ok(home(&workspaces::granted::<perm::WriteVariables>(cx).await?.0))
}

fn home(workspace: &workspaces::Workspace) -> Home {
    Home {
        organization: workspace.organization_id.clone(),
        owner: Owner::Workspace(workspace.id.clone()),
        is_global: false,
    }
}

async fn list(cx: Cx) -> Result<Reply> {
    let home = readable(&cx).await?;
    list_in(&cx, &home).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    create_in(&mut cx, &home).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let home = readable(&cx).await?;
    read_in(&cx, &home).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    update_in(&mut cx, &home).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    delete_in(&cx, &home).await
}

/// All variables of a home, oldest first.
pub(crate) async fn list_in(cx: &Cx, home: &Home) -> Result<Reply> {
    let sql =
        format!("SELECT {COLUMNS} FROM variables WHERE {} = $1 ORDER BY created_at, id", home.owner.column());
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), args![home.owner.id()]).await?;
    let mut items = Vec::new();
    for row in &rows {
        items.push(document(&cx.app, &home.organization, row).await?);
    }
    cx.list(items, &[]).await
}

/// Makes the variable that the request describes.
pub(crate) async fn create_in(cx: &mut Cx, home: &Home) -> Result<Reply> {
    let data: Data<Attributes> = cx.data().await?;
    let row = new(&cx.app, home, data.attributes).await?;
    let mut tx = cx.app.db.begin().await?;
    insert(&mut tx, home, &row).await?;
    tx.commit().await?;
    Ok(Reply::created(document(&cx.app, &home.organization, &row).await?))
}

/// A variable that is not stored yet.
///
/// # Errors
/// [`Error::Invalid`] with every attribute that is missing or wrong.
pub(crate) async fn new(app: &App, home: &Home, asked: Attributes) -> Result<Row> {
    let mut wrong = asked.check();
    if asked.key.is_none() {
        wrong.push(("key", "Key can't be blank".to_owned()));
    }
    if asked.category.is_none() {
        wrong.push(("category", "Category can't be blank".to_owned()));
    }
    refuse(wrong)?;
    let id = VariableId::new(&app.env);
    let key = app.data_key(&home.organization).await?;
    let category = asked.category.unwrap_or_default();
    Ok(Row {
        value: key.seal(&app.env, id.as_str(), asked.value.unwrap_or_default().as_bytes()),
        workspace_id: home.owner.workspace().cloned(),
        variable_set_id: home.owner.set().cloned(),
        key: asked.key.unwrap_or_default(),
        hcl: asked.hcl.unwrap_or(false) && category == "terraform",
        category,
        sensitive: asked.sensitive.unwrap_or(false),
        description: asked.description.unwrap_or_default(),
        version_id: new_version(&app.env),
        created_at: app.now(),
        id,
    })
}

/// Stores a new variable.
///
/// # Errors
/// [`Error::Invalid`] when its key is taken.
pub(crate) async fn insert(tx: &mut Tx, home: &Home, row: &Row) -> Result<()> {
    refuse_taken_key(tx, home, row).await?;
    tx.exec(
        "INSERT INTO variables (id, workspace_id, variable_set_id, key, value, category, hcl, sensitive, description,
                                version_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        args![
            &row.id,
            row.workspace_id.as_ref(),
            row.variable_set_id.as_ref(),
            &row.key,
            row.value.clone(),
            &row.category,
            row.hcl,
            row.sensitive,
            &row.description,
            &row.version_id,
            row.created_at
        ],
    )
    .await
    .map(drop)
}

/// An opaque text that no earlier version of a variable had.
fn new_version(env: &Env) -> String {
    env.base58(43)
}

async fn refuse_taken_key(tx: &mut Tx, home: &Home, row: &Row) -> Result<()> {
    let column = home.owner.column();
    let sql =
        format!("SELECT id FROM variables WHERE {column} = $1 AND category = $2 AND key = $3 AND id <> $4");
    let values = args![home.owner.id(), &row.category, &row.key, &row.id];
    let taken: Option<(String,)> = tx.one(db::AssertSqlSafe(sql), values).await?;
    if taken.is_some() {
        return Err(Error::invalid("key", "Key has already been taken"));
    }
    if home.is_global {
        let other: Option<(String,)> = tx
            .one(
                "SELECT s.name FROM variables v JOIN variable_sets s ON s.id = v.variable_set_id
                 WHERE s.organization_id = $1 AND s.global AND v.category = $2 AND v.key = $3 AND v.id <> $4",
                args![&home.organization, &row.category, &row.key, &row.id],
            )
            .await?;
        if let Some((name,)) = other {
            let text = format!("Key has already been taken by the global variable set {name:?}");
            return Err(Error::invalid("key", text));
        }
    }
    Ok(())
}

async fn find(tx: &mut Tx, owner: &Owner, id: &str) -> Result<Row> {
    let sql = format!("SELECT {COLUMNS} FROM variables WHERE {} = $1 AND id = $2", owner.column());
    tx.one(db::AssertSqlSafe(sql), args![owner.id(), id]).await?.ok_or(Error::NotFound)
}

/// The variable that the path names.
pub(crate) async fn read_in(cx: &Cx, home: &Home) -> Result<Reply> {
    let sql = format!("SELECT {COLUMNS} FROM variables WHERE {} = $1 AND id = $2", home.owner.column());
    let row: Option<Row> =
        cx.app.db.one(db::AssertSqlSafe(sql), args![home.owner.id(), cx.path("variable")]).await?;
    let row = row.ok_or(Error::NotFound)?;
    Ok(Reply::one(document(&cx.app, &home.organization, &row).await?))
}

/// Changes the variable that the path names.
pub(crate) async fn update_in(cx: &mut Cx, home: &Home) -> Result<Reply> {
    let data: Data<Attributes> = cx.data().await?;
    let seal_key = cx.app.data_key(&home.organization).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = change(&cx.app, &mut tx, home, &seal_key, cx.path("variable"), data.attributes).await?;
    tx.commit().await?;
    Ok(Reply::one(document(&cx.app, &home.organization, &row).await?))
}

/// Changes the variables that the request names, all of them or none.
async fn update_many(mut cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    let named = cx.data_list().await?;
    if named.len() > MANY {
        let text = format!("the request names {} variables; it may name {MANY}", named.len());
        return Err(Error::bad_request("bad request", text));
    }
    let seal_key = cx.app.data_key(&home.organization).await?;
    let mut tx = cx.app.db.begin().await?;
    for member in named {
        let asked = serde_json::from_value(member.attributes.into()).map_err(|e| {
            Error::Unprocessable(format!("the attributes of a variable do not have the expected shape: {e}"))
        })?;
        change(&cx.app, &mut tx, &home, &seal_key, &member.id.unwrap_or_default(), asked).await?;
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}

/// Changes a variable, as far as the request says.
async fn change(
    app: &App,
    tx: &mut Tx,
    home: &Home,
    seal_key: &DataKey,
    id: &str,
    asked: Attributes,
) -> Result<Row> {
    let mut row = find(tx, &home.owner, id).await?;
    let mut wrong = asked.check();
    if row.sensitive {
        if asked.key.as_ref().is_some_and(|key| *key != row.key) {
            wrong.push(("key", "Key cannot be updated for a sensitive variable".to_owned()));
        }
        if asked.hcl.is_some_and(|hcl| hcl != row.hcl) {
            wrong.push(("hcl", "Hcl cannot be updated for a sensitive variable".to_owned()));
        }
        if asked.sensitive == Some(false) {
            let text = "Sensitive cannot be changed to false: delete the variable and create it again";
            wrong.push(("sensitive", text.to_owned()));
        }
    }
    refuse(wrong)?;
    row.key = asked.key.unwrap_or(row.key);
    row.category = asked.category.unwrap_or(row.category);
    row.hcl = asked.hcl.unwrap_or(row.hcl) && row.category == "terraform";
    row.sensitive = asked.sensitive.unwrap_or(row.sensitive);
    row.description = asked.description.unwrap_or(row.description);
    row.version_id = new_version(&app.env);
    if let Some(value) = asked.value {
        row.value = seal_key.seal(&app.env, row.id.as_str(), value.as_bytes());
    }
    refuse_taken_key(tx, home, &row).await?;
    tx.exec(
        "UPDATE variables SET key = $2, value = $3, category = $4, hcl = $5, sensitive = $6, description = $7,
           version_id = $8 WHERE id = $1",
        args![
            &row.id,
            &row.key,
            row.value.clone(),
            &row.category,
            row.hcl,
            row.sensitive,
            &row.description,
            &row.version_id
        ],
    )
    .await?;
    Ok(row)
}

/// Deletes the variable that the path names.
pub(crate) async fn delete_in(cx: &Cx, home: &Home) -> Result<Reply> {
    let sql = format!("DELETE FROM variables WHERE {} = $1 AND id = $2", home.owner.column());
    let deleted = cx.app.db.exec(db::AssertSqlSafe(sql), args![home.owner.id(), cx.path("variable")]).await?;
    if deleted == 0 { Err(Error::NotFound) } else { Ok(Reply::no_content()) }
}

async fn open(app: &App, organization: &OrganizationId, row: &Row) -> Result<String> {
    let key = app.data_key(organization).await?;
    let value = key.open(row.id.as_str(), &row.value).map_err(Error::internal)?;
    String::from_utf8(value).map_err(Error::internal)
}

async fn document(app: &App, organization: &OrganizationId, row: &Row) -> Result<Resource> {
    let value = if row.sensitive { None } else { Some(open(app, organization, row).await?) };
    let attributes = json!({
        "key": row.key, "value": value, "category": row.category, "hcl": row.hcl, "sensitive": row.sensitive,
        "description": row.description, "created-at": row.created_at.iso8601(), "version-id": row.version_id,
    });
    let resource = Resource::new("vars", row.id.as_str(), &attributes);
    Ok(match (&row.workspace_id, &row.variable_set_id) {
        (Some(workspace), _) => resource
            .relate("workspace", Linkage::One("workspaces", workspace.to_string()))
            .relate("configurable", Linkage::One("workspaces", workspace.to_string()))
            .link("self", format!("/api/v2/workspaces/{workspace}/vars/{}", row.id)),
        (None, Some(set)) => resource
            .relate("varset", Linkage::One("varsets", set.to_string()))
            .link("self", format!("/api/v2/varsets/{set}/relationships/vars/{}", row.id)),
        (None, None) => resource,
    })
}
