//! Variables of a workspace: `/workspaces/{id}/vars`.
//!
//! Every value is sealed at rest. A sensitive value is null in every answer, for everyone; only its value may change
//! later. `version-id` changes with each update, so that a run can say which value it saw.
//! Source: the Workspace Variables API; semantics.md §5.2.

use crate::workspaces;
use authz::perm;
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Env, Timestamp,
    ids::{OrganizationId, VariableId, WorkspaceId},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Characters of a key.
const KEY_MAX: usize = 128;
/// Bytes of a value.
const VALUE_MAX: usize = 256 << 10;
/// Characters of a description.
const DESCRIPTION_MAX: usize = 512;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: VariableId,
    workspace_id: WorkspaceId,
    key: String,
    value: Vec<u8>,
    category: String,
    hcl: bool,
    sensitive: bool,
    description: String,
    version_id: String,
    created_at: Timestamp,
}

const COLUMNS: &str =
    "id, workspace_id, key, value, category, hcl, sensitive, description, version_id, created_at";

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
}

/// The operations on variables.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/workspaces/{id}/vars", "workspaces.variables.list", list)
        // With those of variable sets, once there are any.
        .op(Method::GET, "/workspaces/{id}/all-vars", "workspaces.variables.list-all", list)
        .op(Method::POST, "/workspaces/{id}/vars", "workspaces.variables.create", create)
        .op(Method::GET, "/workspaces/{id}/vars/{variable}", "workspaces.variables.read", read)
        .op(Method::PATCH, "/workspaces/{id}/vars/{variable}", "workspaces.variables.update", update)
        .op(Method::DELETE, "/workspaces/{id}/vars/{variable}", "workspaces.variables.delete", delete)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("vars", |cx, ids| async move {
        let mut found = Vec::new();
        for id in ids {
            let row: Option<Row> = cx
                .app
                .db
                .one(db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM variables WHERE id = $1")), args![&id])
                .await?;
            let Some(row) = row else { continue };
            let access =
                workspaces::granted_by_id::<perm::ReadVariables>(&cx, row.workspace_id.as_str()).await;
            if let Ok((workspace, _)) = access {
                found.push(document(&cx.app, &workspace.organization_id, &row).await?);
            }
        }
        Ok(found)
    });
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
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

async fn list(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::granted::<perm::ReadVariables>(&cx).await?;
    let rows = all(&cx.app, &workspace.id).await?;
    let mut items = Vec::new();
    for row in &rows {
        items.push(document(&cx.app, &workspace.organization_id, row).await?);
    }
    cx.list(items, &[]).await
}

async fn all(app: &App, workspace: &WorkspaceId) -> Result<Vec<Row>> {
    app.db
        .all(
            db::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM variables WHERE workspace_id = $1 ORDER BY created_at, id"
            )),
            args![workspace],
        )
        .await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::granted::<perm::WriteVariables>(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let asked = data.attributes;
    let mut wrong = asked.check();
    if asked.key.is_none() {
        wrong.push(("key", "Key can't be blank".to_owned()));
    }
    if asked.category.is_none() {
        wrong.push(("category", "Category can't be blank".to_owned()));
    }
    refuse(wrong)?;
    let id = VariableId::new(&cx.app.env);
    let key = cx.app.data_key(&workspace.organization_id).await?;
    let category = asked.category.unwrap_or_default();
    let row = Row {
        value: key.seal(&cx.app.env, id.as_str(), asked.value.unwrap_or_default().as_bytes()),
        workspace_id: workspace.id.clone(),
        key: asked.key.unwrap_or_default(),
        hcl: asked.hcl.unwrap_or(false) && category == "terraform",
        category,
        sensitive: asked.sensitive.unwrap_or(false),
        description: asked.description.unwrap_or_default(),
        version_id: new_version(&cx.app.env),
        created_at: cx.app.now(),
        id,
    };
    let mut tx = cx.app.db.begin().await?;
    refuse_taken_key(&mut tx, &row).await?;
    tx.exec(
        "INSERT INTO variables (id, workspace_id, key, value, category, hcl, sensitive, description, version_id,
                                created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            &row.id,
            &row.workspace_id,
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
    .await?;
    tx.commit().await?;
    Ok(Reply::created(document(&cx.app, &workspace.organization_id, &row).await?))
}

/// An opaque text that no earlier version of a variable had.
fn new_version(env: &Env) -> String {
    env.base58(43)
}

async fn refuse_taken_key(tx: &mut Tx, row: &Row) -> Result<()> {
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM variables WHERE workspace_id = $1 AND category = $2 AND key = $3 AND id <> $4",
            args![&row.workspace_id, &row.category, &row.key, &row.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("key", "Key has already been taken")) } else { Ok(()) }
}

async fn find(tx: &mut Tx, workspace: &WorkspaceId, id: &str) -> Result<Row> {
    tx.one(
        db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM variables WHERE workspace_id = $1 AND id = $2")),
        args![workspace, id],
    )
    .await?
    .ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::granted::<perm::ReadVariables>(&cx).await?;
    let row: Row = cx
        .app
        .db
        .one(
            db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM variables WHERE workspace_id = $1 AND id = $2")),
            args![&workspace.id, cx.path("variable")],
        )
        .await?
        .ok_or(Error::NotFound)?;
    Ok(Reply::one(document(&cx.app, &workspace.organization_id, &row).await?))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::granted::<perm::WriteVariables>(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let asked = data.attributes;
    let seal_key = cx.app.data_key(&workspace.organization_id).await?;
    let mut tx = cx.app.db.begin().await?;
    let mut row = find(&mut tx, &workspace.id, cx.path("variable")).await?;
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
    row.version_id = new_version(&cx.app.env);
    if let Some(value) = asked.value {
        row.value = seal_key.seal(&cx.app.env, row.id.as_str(), value.as_bytes());
    }
    refuse_taken_key(&mut tx, &row).await?;
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
    tx.commit().await?;
    Ok(Reply::one(document(&cx.app, &workspace.organization_id, &row).await?))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::granted::<perm::WriteVariables>(&cx).await?;
    let deleted = cx
        .app
        .db
        .exec(
            "DELETE FROM variables WHERE workspace_id = $1 AND id = $2",
            args![&workspace.id, cx.path("variable")],
        )
        .await?;
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
    let workspace = || row.workspace_id.to_string();
    Ok(Resource::new("vars", row.id.as_str(), &attributes)
        .relate("workspace", Linkage::One("workspaces", workspace()))
        .relate("configurable", Linkage::One("workspaces", workspace()))
        .link("self", format!("/api/v2/workspaces/{}/vars/{}", row.workspace_id, row.id)))
}

/// The variables of a workspace as they are now, in the clear: a run freezes them when it is made.
pub async fn values(app: &App, organization: &OrganizationId, workspace: &WorkspaceId) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    for row in all(app, workspace).await? {
        values.push(Value {
            value: open(app, organization, &row).await?,
            key: row.key,
            category: row.category,
            hcl: row.hcl,
            sensitive: row.sensitive,
            version_id: row.version_id,
        });
    }
    Ok(values)
}
