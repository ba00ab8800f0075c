//! The first site admin: made on the first start, so that an empty installation can be used at once.

use crate::{
    tokens::{self, NewToken, Owner},
    users,
};
use db::args;
use http_api::App;
use kernel::{Result, Secret, ids::UserId};

/// The username of the first site admin.
pub const ADMIN: &str = "admin";

/// Whether the installation has users already, so that no first admin is to be made.
pub async fn is_initialized(app: &App) -> Result<bool> {
    let found: Option<(String,)> =
        app.db.one("SELECT id FROM users WHERE service = FALSE LIMIT 1", args![]).await?;
    Ok(found.is_some())
}

/// Makes the site admin [`ADMIN`] with `token`. Does nothing when there are users already, as on every later start.
pub async fn first_admin(app: &App, token: &Secret) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let found: Option<(String,)> =
        tx.one("SELECT id FROM users WHERE service = FALSE LIMIT 1", args![]).await?;
    if found.is_some() {
        return Ok(());
    }
    let id = UserId::new(&app.env);
    users::insert(&mut tx, &id, ADMIN, "admin@localhost.localdomain", true, false, app.now()).await?;
    let new = NewToken {
        owner: Owner::User(id),
        single: false,
        description: "first site admin".to_owned(),
        created_by: None,
        expires_at: None,
    };
    tokens::insert(app, &mut tx, new, token).await?;
    tx.commit().await
}

/// The name of the setting that holds the server's address.
const URL: &str = "url";

/// Keeps the address that clients use, for commands beside the server, which do not get its options.
pub async fn remember_url(app: &App) -> Result<()> {
    if remembered_url(app).await?.as_ref() == Some(&app.settings.url) {
        return Ok(());
    }
    let sql = "INSERT INTO settings (name, value) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    app.db.exec(sql, args![URL, &app.settings.url]).await.map(drop)
}

/// The address that clients use, as the server was started last.
pub async fn remembered_url(app: &App) -> Result<Option<String>> {
    let found: Option<(String,)> =
        app.db.one("SELECT value FROM settings WHERE name = $1", args![URL]).await?;
    Ok(found.map(|(url,)| url))
}
