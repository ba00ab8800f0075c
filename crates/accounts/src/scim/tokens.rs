//! Tokens of identity providers: `/admin/scim-tokens`. They are good for 29 to 365 days.

use crate::{
    admin_organizations::only_site_admins,
    tokens::{self, NewToken, Owner},
    users,
};
use axum::http::Method;
use db::{Tx, args};
use http_api::{App, Cx, Data, Error, Reply, Result, Routes};
use kernel::{Timestamp, ids::UserId};
use serde::Deserialize;

const DAY: i64 = 24 * 3600;
const SHORTEST: i64 = 29 * DAY;
const LONGEST: i64 = 365 * DAY;
/// A client's clock may be ahead.
const TOLERANCE: i64 = 60;
/// The synthetic user behind all of them.
const PROVIDER: &str = "user-scim";

/// The operations on the tokens.
pub(super) fn routes() -> Routes {
    let (list, one) = ("/admin/scim-tokens", "/admin/scim-tokens/{id}");
    Routes::new()
        .op(Method::GET, list, "accounts.scim-tokens.list", index)
        .op(Method::POST, list, "accounts.scim-tokens.create", create)
        .op(Method::GET, one, "accounts.scim-tokens.read", read)
        .op(Method::DELETE, one, "accounts.scim-tokens.delete", delete)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    description: String,
    expired_at: Option<String>,
}

fn expiry(asked: Option<&str>, now: Timestamp) -> Result<Timestamp> {
    let Some(text) = asked else { return Ok(now.plus_seconds(LONGEST)) };
    let at = Timestamp::parse(text).ok_or_else(|| {
        Error::invalid("expired-at", "Expired at must be an ISO 8601 date and time with an offset")
    })?;
    if at < now.plus_seconds(SHORTEST) || at > now.plus_seconds(LONGEST + TOLERANCE) {
        return Err(Error::invalid("expired-at", "Expired at must be between 29 and 365 days in the future"));
    }
    Ok(at)
}

async fn index(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let found = tokens::of_scim(&cx.app, None).await?;
    cx.list(found.iter().map(|token| tokens::document(token, None)).collect(), &["created_by"]).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let description = data.attributes.description.trim().to_owned();
    if description.is_empty() {
        return Err(Error::invalid("description", "Description can't be blank"));
    }
    let expires_at = expiry(data.attributes.expired_at.as_deref(), cx.app.now())?;
    if !cx.app.site().scim.enabled {
        return Err(Error::Unprocessable("SCIM is not enabled; enable it first".to_owned()));
    }
    let text = tokens::generate(&cx.app);
    let mut tx = cx.app.db.begin().await?;
    let new = NewToken {
        owner: Owner::Scim(provider(&cx.app, &mut tx).await?),
        single: false,
        description,
        created_by: Some(cx.actor()?.user_id().clone()),
        expires_at: Some(expires_at),
    };
    let id = tokens::insert(&cx.app, &mut tx, new, &text).await?;
    tx.commit().await?;
    let token = tokens::of_scim(&cx.app, Some(id.as_str())).await?.pop().ok_or(Error::NotFound)?;
    Ok(Reply::created(tokens::document(&token, Some(text.expose()))))
}

async fn provider(app: &App, tx: &mut Tx) -> Result<UserId> {
    let id = UserId::from(PROVIDER);
    let known: Option<(UserId,)> = tx.one("SELECT id FROM users WHERE id = $1", args![&id]).await?;
    if let Some((id,)) = known {
        return Ok(id);
    }
    // People choose their names, so that a fixed one could be taken.
    let username = format!("api-scim-{}", app.env.base58(8));
    users::insert(tx, &id, &username, "", false, true, app.now()).await
}

async fn read(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let token = tokens::of_scim(&cx.app, Some(cx.path("id"))).await?.pop().ok_or(Error::NotFound)?;
    cx.one(tokens::document(&token, None), &["created_by"]).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let token = tokens::of_scim(&cx.app, Some(cx.path("id"))).await?.pop().ok_or(Error::NotFound)?;
    tokens::revoke(&cx.app, &token.id).await?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lasts_between_29_and_365_days() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(expiry(None, now).unwrap(), Timestamp::parse("2027-01-01T00:00:00Z").unwrap());
        for good in ["2026-01-30T00:00:00Z", "2027-01-01T00:00:59Z"] {
            assert!(expiry(Some(good), now).is_ok(), "{good}");
        }
        for bad in ["2026-01-29T23:59:59Z", "2027-01-02T00:00:00Z", "soon"] {
            assert!(expiry(Some(bad), now).is_err(), "{bad}");
        }
    }
}
