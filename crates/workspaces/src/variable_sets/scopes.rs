//! Where a variable set holds: `/varsets/{id}/relationships/workspaces` and `/projects`.

use super::{Attributes, Set, manageable};
use authz::Grants;
use axum::http::Method;
use db::{Tx, args};
use http_api::{Cx, Data, Error, Member, Reply, Result, Routes};
use kernel::ids::{ProjectId, WorkspaceId};

/// A kind of scope: its column, and how a request calls it.
#[derive(Clone, Copy)]
enum Kind {
    Workspaces,
    Projects,
}

pub(super) fn routes() -> Routes {
    let (workspaces, projects) =
        ("/varsets/{id}/relationships/workspaces", "/varsets/{id}/relationships/projects");
    Routes::new()
        .op(Method::POST, workspaces, "workspaces.variable-sets.add-workspaces", |cx| {
            add(cx, Kind::Workspaces)
        })
        .op(Method::DELETE, workspaces, "workspaces.variable-sets.remove-workspaces", |cx| {
            remove(cx, Kind::Workspaces)
        })
        .op(Method::POST, projects, "workspaces.variable-sets.add-projects", |cx| add(cx, Kind::Projects))
        .op(Method::DELETE, projects, "workspaces.variable-sets.remove-projects", |cx| {
            remove(cx, Kind::Projects)
        })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Workspaces => "workspaces",
            Self::Projects => "projects",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Workspaces => "workspace_id",
            Self::Projects => "project_id",
        }
    }
}

/// What a request gives as the whole of a set's scopes; `None` leaves them.
pub(super) struct Asked {
    workspaces: Option<Vec<String>>,
    projects: Option<Vec<String>>,
}

pub(super) fn asked(data: &Data<Attributes>) -> Result<Asked> {
    let list = |name| {
        data.related_list(name)
            .map(|list| list.map(|list| list.into_iter().filter_map(|member| member.id).collect()))
    };
    Ok(Asked { workspaces: list("workspaces")?, projects: list("projects")? })
}

/// Brings the scopes of a set to what was asked. A global set holds everywhere and has none.
pub(super) async fn replace(tx: &mut Tx, set: &Set, grants: &Grants, asked: Asked) -> Result<()> {
    for (kind, ids) in [(Kind::Workspaces, asked.workspaces), (Kind::Projects, asked.projects)] {
        if ids.is_some() || set.global {
            let sql = format!(
                "DELETE FROM variable_set_scopes WHERE variable_set_id = $1 AND {} IS NOT NULL",
                kind.column()
            );
            tx.exec(db::AssertSqlSafe(sql), args![&set.id]).await?;
        }
        for id in ids.into_iter().flatten() {
            put(tx, set, grants, kind, &id).await?;
        }
    }
    Ok(())
}

/// Lets a set hold in one more place, where it does not already.
async fn put(tx: &mut Tx, set: &Set, grants: &Grants, kind: Kind, id: &str) -> Result<()> {
    if set.global {
        let text = format!(
            "Variable set is global and holds in every workspace; it cannot be given {}",
            kind.name()
        );
        return Err(Error::invalid(kind.name(), text));
    }
    let (seen, project) = match kind {
        Kind::Workspaces => {
            let found: Option<(WorkspaceId, ProjectId)> = tx
                .one(
                    "SELECT id, project_id FROM workspaces WHERE id = $1 AND organization_id = $2",
                    args![id, &set.organization_id],
                )
                .await?;
            let (workspace, project) = found.ok_or(Error::NotFound)?;
            (grants.workspace(&workspace, &project).visible(), project)
        }
        Kind::Projects => {
            let found: Option<(ProjectId,)> = tx
                .one(
                    "SELECT id FROM projects WHERE id = $1 AND organization_id = $2",
                    args![id, &set.organization_id],
                )
                .await?;
            (true, found.ok_or(Error::NotFound)?.0)
        }
    };
    if !seen {
        return Err(Error::NotFound);
    }
    if set.project_id.as_ref().is_some_and(|owner| *owner != project) {
        let text = "Variable set is owned by a project and holds only there";
        return Err(Error::invalid(kind.name(), text));
    }
    let column = kind.column();
    let sql = format!(
        "INSERT INTO variable_set_scopes (variable_set_id, {column}) SELECT $1, $2
         WHERE NOT EXISTS (SELECT 1 FROM variable_set_scopes WHERE variable_set_id = $1 AND {column} = $2)"
    );
    tx.exec(db::AssertSqlSafe(sql), args![&set.id, id]).await.map(drop)
}

fn ids(list: Vec<Member>) -> impl Iterator<Item = String> {
    list.into_iter().filter_map(|member| member.id)
}

async fn add(mut cx: Cx, kind: Kind) -> Result<Reply> {
    let (set, grants) = manageable(&cx).await?;
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    for id in ids(list) {
        put(&mut tx, &set, &grants, kind, &id).await?;
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn remove(mut cx: Cx, kind: Kind) -> Result<Reply> {
    let (set, _) = manageable(&cx).await?;
    if set.global {
        let text = format!(
            "Variable set is global and holds in every workspace; {} cannot be taken from it",
            kind.name()
        );
        return Err(Error::invalid(kind.name(), text));
    }
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    let sql =
        format!("DELETE FROM variable_set_scopes WHERE variable_set_id = $1 AND {} = $2", kind.column());
    for id in ids(list) {
        tx.exec(db::AssertSqlSafe(sql.clone()), args![&set.id, id]).await?;
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}
