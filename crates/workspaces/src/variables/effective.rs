//! Which variables hold in a workspace, and which are overridden by whom.
//!
//! A key of a category can come from the workspace and from any set that holds in it. Their order of precedence, and why
//! one wins, is [`rank`]; a set with priority also beats what the run itself gives. Source: semantics.md §5.1.

use super::{Row, Value, document, open, readable};
use db::{FromRow, args};
use http_api::{App, Cx, Linkage, Reply, Result};
use kernel::ids::{OrganizationId, WorkspaceId};
use std::collections::BTreeMap;

/// A variable with what decides about it. Of a workspace's own all the rest is empty.
#[derive(FromRow)]
struct Candidate {
    #[sqlx(flatten)]
    row: Row,
    set_name: Option<String>,
    priority: bool,
    global: bool,
    project_owned: bool,
    by_project: bool,
    by_workspace: bool,
}

/// The place of a variable in the order of precedence: the lowest wins. The run's own variables have the places 6 and 7.
fn rank(candidate: &Candidate) -> u8 {
    let Candidate { set_name, priority, global, project_owned, by_workspace, .. } = candidate;
    if set_name.is_none() {
        return 8;
    }
    match (*priority, *global, *project_owned) {
        (true, true, _) => 1,
        // What is wider comes first among those with priority: a set that holds by its project and by its workspace has the
        // better of both places.
        (true, false, false) => 3 - u8::from(candidate.by_project),
        (true, false, true) => 5 - u8::from(candidate.by_project),
        (false, false, true) => 10 - u8::from(*by_workspace),
        (false, false, false) => 12 - u8::from(*by_workspace),
        (false, true, _) => 13,
    }
}

/// Among equals the set whose name comes first, letter by letter.
fn order(candidate: &Candidate) -> (u8, Option<&str>, &str) {
    (rank(candidate), candidate.set_name.as_deref(), candidate.row.id.as_str())
}

/// What holds and what does not, in the order of precedence for each key.
async fn candidates(
    app: &App,
    organization: &OrganizationId,
    workspace: &WorkspaceId,
) -> Result<BTreeMap<(String, String), Vec<Candidate>>> {
    let found: Vec<Candidate> = app
        .db
        .all(
            "SELECT v.id, v.workspace_id, v.variable_set_id, v.key, v.value, v.category, v.hcl, v.sensitive,
               v.description, v.version_id, v.created_at, s.name AS set_name,
               COALESCE(s.priority, FALSE) AS priority, COALESCE(s.global, FALSE) AS global,
               s.project_id IS NOT NULL AS project_owned,
               EXISTS (SELECT 1 FROM variable_set_scopes c JOIN workspaces w ON w.project_id = c.project_id
                       WHERE c.variable_set_id = s.id AND w.id = $2) AS by_project,
               EXISTS (SELECT 1 FROM variable_set_scopes c
                       WHERE c.variable_set_id = s.id AND c.workspace_id = $2) AS by_workspace
             FROM variables v LEFT JOIN variable_sets s ON s.id = v.variable_set_id
             WHERE v.workspace_id = $2 OR v.variable_set_id IN (
               SELECT g.id FROM variable_sets g WHERE g.organization_id = $1 AND g.global
               UNION SELECT c.variable_set_id FROM variable_set_scopes c WHERE c.workspace_id = $2
               UNION SELECT c.variable_set_id FROM variable_set_scopes c JOIN workspaces w ON w.project_id = c.project_id
                 WHERE w.id = $2)
             ORDER BY v.created_at, v.id",
            args![organization, workspace],
        )
        .await?;
    let mut by_key: BTreeMap<(String, String), Vec<Candidate>> = BTreeMap::new();
    for candidate in found {
        let key = (candidate.row.category.clone(), candidate.row.key.clone());
        by_key.entry(key).or_default().push(candidate);
    }
    for candidates in by_key.values_mut() {
        candidates.sort_by(|a, b| order(a).cmp(&order(b)));
    }
    Ok(by_key)
}

/// `GET /workspaces/{id}/all-vars`: the variables that hold in the workspace. One that overrides others names them as
/// `overwritten`, and they can be included.
pub(super) async fn list(cx: Cx) -> Result<Reply> {
    let home = readable(&cx).await?;
    let super::Owner::Workspace(workspace) = &home.owner else { return Err(http_api::Error::NotFound) };
    let mut items = Vec::new();
    for candidates in candidates(&cx.app, &home.organization, workspace).await?.into_values() {
        let [holds, overwritten @ ..] = candidates.as_slice() else { continue };
        let ids = overwritten.iter().map(|candidate| candidate.row.id.to_string()).collect();
        let document = document(&cx.app, &home.organization, &holds.row).await?;
        items.push(document.relate("overwritten", Linkage::Many("vars", ids)));
    }
    cx.list(items, &["overwritten"]).await
}

/// The variables that hold in a workspace as they are now, in the clear: a run freezes them when it is made.
pub async fn values(app: &App, organization: &OrganizationId, workspace: &WorkspaceId) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    for candidates in candidates(app, organization, workspace).await?.into_values() {
        let Some(Candidate { row, priority, .. }) = candidates.into_iter().next() else { continue };
        values.push(Value {
            value: open(app, organization, &row).await?,
            key: row.key,
            category: row.category,
            hcl: row.hcl,
            sensitive: row.sensitive,
            version_id: row.version_id,
            priority,
        });
    }
    Ok(values)
}

/// The sets that hold in a workspace.
pub(crate) const SETS_OF_WORKSPACE: &str = "(s.global OR EXISTS (SELECT 1 FROM variable_set_scopes c
   WHERE c.variable_set_id = s.id AND (c.workspace_id = {w} OR c.project_id = (SELECT project_id FROM workspaces WHERE id = {w}))))";

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{
        Timestamp,
        ids::{VariableId, VariableSetId},
    };

    fn of_set(name: &str, flags: [bool; 5]) -> Candidate {
        let [priority, global, project_owned, by_project, by_workspace] = flags;
        Candidate {
            row: Row {
                id: VariableId::from(name),
                workspace_id: None,
                variable_set_id: Some(VariableSetId::from(name)),
                key: "k".into(),
                value: vec![],
                category: "env".into(),
                hcl: false,
                sensitive: false,
                description: String::new(),
                version_id: String::new(),
                created_at: Timestamp::from_micros(0),
            },
            set_name: Some(name.into()),
            priority,
            global,
            project_owned,
            by_project,
            by_workspace,
        }
    }

    #[test]
    fn the_fifteen_places_are_those_of_the_documentation() {
        let own = Candidate { set_name: None, ..of_set("own", [false; 5]) };
        let mut all = [
            of_set("13 global", [false, true, false, false, false]),
            of_set("12 project", [false, false, false, true, false]),
            of_set("11 workspace", [false, false, false, false, true]),
            of_set("10 project, owned by it", [false, false, true, true, false]),
            of_set("09 workspace, owned by its project", [false, false, true, false, true]),
            own,
            of_set("05 priority, workspace, owned by its project", [true, false, true, false, true]),
            of_set("04 priority, project, owned by it", [true, false, true, true, false]),
            of_set("03 priority, workspace", [true, false, false, false, true]),
            of_set("02 priority, project", [true, false, false, true, false]),
            of_set("01 priority, global", [true, true, false, false, false]),
        ];
        all.sort_by(|a, b| order(a).cmp(&order(b)));
        let ranks: Vec<u8> = all.iter().map(rank).collect();
        assert_eq!(ranks, [1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]);
        for candidate in &all {
            let said = candidate.set_name.as_deref().map_or(8, |name| name[..2].parse().unwrap());
            assert_eq!(rank(candidate), said);
        }
    }

    #[test]
    fn a_set_that_holds_twice_has_the_better_place() {
        assert_eq!(rank(&of_set("a", [true, false, false, true, true])), 2);
        assert_eq!(rank(&of_set("a", [false, false, false, true, true])), 11);
    }

    #[test]
    fn among_equals_the_name_decides_by_code_points() {
        let mut sets = ["b", "Z", "a"].map(|name| of_set(name, [false, false, false, false, true]));
        sets.sort_by(|a, b| order(a).cmp(&order(b)));
        assert_eq!(sets.map(|set| set.set_name.unwrap()), ["Z", "a", "b"]);
    }
}
