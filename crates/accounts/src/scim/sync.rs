//! What the members of a group are: the members of teams and their organizations, and site admins.
//!
//! Each function brings what it names in line with the groups as they are, whatever it was before: it is repeated without
//! harm. The caller holds the settings of SCIM, forgets identities after the commit, and calls nothing of this while
//! SCIM is paused.

use crate::people;
use db::{FromRow, Tx, args};
use http_api::{App, Error, Result, site::Scim};
use kernel::ids::{MembershipId, OrganizationId, ScimGroupId, TeamId, UserId};

/// The group of this id, if there is one.
pub(super) async fn group_of(tx: &mut Tx, id: &str) -> Result<Option<ScimGroupId>> {
    let found: Option<(ScimGroupId,)> = tx.one("SELECT id FROM scim_groups WHERE id = $1", args![id]).await?;
    Ok(found.map(|(id,)| id))
}

/// Everything that a group stands for.
pub(super) async fn group(app: &App, tx: &mut Tx, scim: &Scim, id: &ScimGroupId) -> Result<()> {
    if scim.site_admin_group.as_ref() == Some(id) {
        return site_admins(tx, scim).await;
    }
    let sql = "SELECT team_id FROM scim_team_links WHERE group_id = $1 ORDER BY team_id";
    let teams: Vec<(TeamId,)> = tx.all(sql, args![id]).await?;
    for (id,) in teams {
        team(app, tx, &id).await?;
    }
    Ok(())
}

/// All teams that are linked.
pub(super) async fn all_teams(app: &App, tx: &mut Tx) -> Result<()> {
    let teams: Vec<(TeamId,)> =
        tx.all("SELECT team_id FROM scim_team_links ORDER BY team_id", vec![]).await?;
    for (id,) in teams {
        team(app, tx, &id).await?;
    }
    Ok(())
}

/// A team, unless its link is paused or there is none.
pub(super) async fn team(app: &App, tx: &mut Tx, id: &TeamId) -> Result<()> {
    #[derive(FromRow)]
    struct Link {
        group_id: ScimGroupId,
        organization_id: OrganizationId,
    }
    let sql = "SELECT l.group_id, t.organization_id FROM scim_team_links l JOIN teams t ON t.id = l.team_id
        WHERE l.team_id = $1 AND l.paused = FALSE";
    let Some(Link { group_id: group, organization_id: organization }) = tx.one(sql, args![id]).await? else {
        return Ok(());
    };
    tx.exec(
        "DELETE FROM team_members WHERE team_id = $1
         AND user_id NOT IN (SELECT user_id FROM scim_group_members WHERE group_id = $2)",
        args![id, &group],
    )
    .await?;
    let sql = "SELECT m.user_id FROM scim_group_members m WHERE m.group_id = $1 AND NOT EXISTS
        (SELECT 1 FROM organization_memberships o WHERE o.organization_id = $2 AND o.user_id = m.user_id)";
    let strangers: Vec<(UserId,)> = tx.all(sql, args![&group, &organization]).await?;
    for (user,) in strangers {
        // Somebody may be inviting them at this moment.
        tx.exec(
            "INSERT INTO organization_memberships (id, organization_id, user_id, status, created_at, scim)
             VALUES ($1, $2, $3, 'active', $4, TRUE) ON CONFLICT DO NOTHING",
            args![&MembershipId::new(&app.env), &organization, &user, app.now()],
        )
        .await?;
    }
    // Who was invited needs no invitation any more.
    tx.exec(
        "UPDATE organization_memberships SET status = 'active' WHERE organization_id = $1 AND status <> 'active'
         AND user_id IN (SELECT user_id FROM scim_group_members WHERE group_id = $2)",
        args![&organization, &group],
    )
    .await?;
    tx.exec(
        "INSERT INTO team_members (team_id, user_id)
         SELECT t.id, m.user_id FROM teams t JOIN scim_group_members m ON m.group_id = $2 WHERE t.id = $1
         ON CONFLICT DO NOTHING",
        args![id, &group],
    )
    .await?;
    // Memberships that a group gave end with the last team.
    tx.exec(
        "DELETE FROM organization_memberships WHERE organization_id = $1 AND scim = TRUE AND user_id NOT IN
           (SELECT m.user_id FROM team_members m JOIN teams t ON t.id = m.team_id WHERE t.organization_id = $1)",
        args![&organization],
    )
    .await?;
    tx.exec("UPDATE scim_team_links SET updated_at = $2 WHERE team_id = $1", args![id, app.now()])
        .await
        .map(drop)
}

/// Site admins: those of the group become so, and those who were so by the group alone are so no more.
///
/// # Errors
/// [`Error::Unprocessable`] when nobody would be left.
pub(super) async fn site_admins(tx: &mut Tx, scim: &Scim) -> Result<()> {
    people::hold_admins(tx).await?;
    let group = scim.site_admin_group.as_ref();
    let members = "(SELECT user_id FROM scim_group_members WHERE group_id = $1)";
    for sql in [
        format!(
            "UPDATE scim_users SET site_admin = TRUE WHERE user_id IN {members}
             AND user_id IN (SELECT id FROM users WHERE site_admin = FALSE)"
        ),
        format!("UPDATE users SET site_admin = TRUE WHERE site_admin = FALSE AND id IN {members}"),
        format!(
            "UPDATE users SET site_admin = FALSE WHERE id IN
               (SELECT user_id FROM scim_users WHERE site_admin = TRUE) AND id NOT IN {members}"
        ),
        format!(
            "UPDATE scim_users SET site_admin = FALSE WHERE site_admin = TRUE AND user_id NOT IN {members}"
        ),
    ] {
        tx.exec(db::AssertSqlSafe(sql), args![group]).await?;
    }
    let left: Option<(UserId,)> = tx
        .one(
            "SELECT id FROM users WHERE site_admin = TRUE AND suspended = FALSE AND service = FALSE LIMIT 1",
            vec![],
        )
        .await?;
    left.map(drop).ok_or_else(|| {
        Error::Unprocessable("this would leave no site admin; make another one first".to_owned())
    })
}
