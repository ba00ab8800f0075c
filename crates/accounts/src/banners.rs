//! What site admins tell everybody: `/admin/banners`, and `/banners/active` for who wants to show it.
//!
//! One banner is there at a time: a new one takes the former away, which is kept. With a schedule it appears and goes by
//! itself, without one it appears at once. Its body may have emphasis and links ([`http_api::banner::sanitized`]), nothing
//! else. Every page shows it above all else (`web/src/layout.rs`); to who is not signed in only where it is for all.
//! Source: openapi.json, `admin-banners`.

use crate::admin_organizations::only_site_admins;
use axum::http::Method;
use db::{Tx, args};
use http_api::{
    Cx, Data, Error, Patch, Reply, Resource, Result, Routes, audit,
    banner::{Banner, COLUMNS, sanitized},
};
use kernel::{Timestamp, ids::BannerId};
use serde::Deserialize;
use serde_json::json;

/// Characters of a title and of a body at most.
const MOST: (usize, usize) = (100, 255);
const STYLES: [&str; 3] = ["info", "warning", "critical"];
const AUDIENCES: [&str; 2] = ["all_users", "authenticated_only"];

/// The operations on banners.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/banners/active", "accounts.banners.active", active)
        .op(Method::POST, "/admin/banners", "accounts.admin-banners.create", create)
        .op(Method::PATCH, "/admin/banners/{id}", "accounts.admin-banners.update", update)
        .telling_before()
        .op(Method::DELETE, "/admin/banners/{id}", "accounts.admin-banners.delete", deactivate)
        .telling_before()
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    title: Option<String>,
    body: Option<String>,
    style: Option<String>,
    audience: Option<String>,
    scheduled_publish_at: Patch<String>,
    scheduled_expire_at: Patch<String>,
    timezone: Patch<String>,
}

/// A name such as `Europe/Berlin` or `UTC`. Nothing here is reckoned by it.
fn is_timezone(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits)
}

impl Attributes {
    fn apply(self, banner: &mut Banner, now: Timestamp) -> Result<()> {
        let mut wrong: Vec<(String, String)> = Vec::new();
        let mut say = |attribute: &str, text: String| wrong.push((attribute.to_owned(), text));
        banner.title = self.title.unwrap_or_else(|| banner.title.clone());
        if let Some(body) = self.body {
            banner.body = sanitized(&body);
        }
        banner.style = self.style.unwrap_or_else(|| banner.style.clone());
        banner.audience = self.audience.unwrap_or_else(|| banner.audience.clone());
        for (name, text, most) in [("title", &banner.title, MOST.0), ("body", &banner.body, MOST.1)] {
            if text.trim().is_empty() {
                say(name, "can't be blank".to_owned());
            } else if text.chars().count() > most {
                say(name, format!("is too long (maximum is {most} characters)"));
            }
        }
        if !STYLES.contains(&banner.style.as_str()) {
            say("style", format!("must be one of {}", STYLES.join(", ")));
        }
        if !AUDIENCES.contains(&banner.audience.as_str()) {
            say("audience", format!("must be one of {}", AUDIENCES.join(", ")));
        }
        let times = [
            ("scheduled-publish-at", self.scheduled_publish_at, &mut banner.publish_at),
            ("scheduled-expire-at", self.scheduled_expire_at, &mut banner.expire_at),
        ];
        for (name, asked, to) in times {
            match asked {
                Patch::Absent => {}
                Patch::Null => *to = None,
                Patch::Value(text) => match Timestamp::parse(&text) {
                    Some(at) => *to = Some(at),
                    None => say(name, "must be an ISO 8601 date and time with an offset".to_owned()),
                },
            }
        }
        self.timezone.apply(&mut banner.timezone);
        if banner.timezone.as_deref().is_some_and(|name| !is_timezone(name)) {
            say("timezone", "must be the name of a time zone, such as Europe/Berlin or UTC".to_owned());
        }
        match (banner.publish_at, banner.expire_at, &banner.timezone) {
            (None, None, None) => banner.published_at = banner.published_at.or(Some(now)),
            (Some(from), Some(to), Some(_)) => {
                // What was there already stays as old as it is.
                banner.published_at = banner.published_at.filter(|_| from <= now);
                if from >= to {
                    say("scheduled-expire-at", "must be after scheduled-publish-at".to_owned());
                }
            }
            _ => say(
                "scheduled-publish-at",
                "scheduled-publish-at, scheduled-expire-at and timezone are given together or not at all"
                    .to_owned(),
            ),
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }
}

async fn create(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let now = cx.app.now();
    let mut banner = Banner {
        id: BannerId::new(&cx.app.env),
        title: String::new(),
        body: String::new(),
        style: String::new(),
        audience: String::new(),
        publish_at: None,
        expire_at: None,
        timezone: None,
        published_at: None,
        deactivated_at: None,
        created_at: now,
    };
    data.attributes.apply(&mut banner, now)?;
    let mut tx = cx.app.db.begin().await?;
    tx.exec("UPDATE admin_banners SET deactivated_at = $1 WHERE deactivated_at IS NULL", args![now]).await?;
    tx.exec(
        "INSERT INTO admin_banners (id, title, body, style, audience, publish_at, expire_at, timezone, published_at,
           created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            &banner.id,
            &banner.title,
            &banner.body,
            &banner.style,
            &banner.audience,
            banner.publish_at,
            banner.expire_at,
            banner.timezone.clone(),
            banner.published_at,
            now
        ],
    )
    .await?;
    tx.commit().await?;
    cx.app.remember_banner(Some(banner.clone()));
    Ok(Reply::created(document(&banner, now)))
}

/// The banner of the path, in a transaction in which nobody else changes it; the audit trail is told how it was.
async fn held(cx: &Cx) -> Result<(Tx, Banner)> {
    only_site_admins(cx)?;
    let mut tx = cx.app.db.begin().await?;
    let id = cx.path("id");
    tx.exec("UPDATE admin_banners SET title = title WHERE id = $1", args![id]).await?;
    let sql = format!("SELECT {COLUMNS} FROM admin_banners WHERE id = $1");
    let banner: Banner = tx.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)?;
    audit::before(&document(&banner, cx.app.now()));
    Ok((tx, banner))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let (mut tx, mut banner) = held(&cx).await?;
    let now = cx.app.now();
    data.attributes.apply(&mut banner, now)?;
    tx.exec(
        "UPDATE admin_banners SET title = $2, body = $3, style = $4, audience = $5, publish_at = $6, expire_at = $7,
           timezone = $8, published_at = $9 WHERE id = $1",
        args![
            &banner.id,
            &banner.title,
            &banner.body,
            &banner.style,
            &banner.audience,
            banner.publish_at,
            banner.expire_at,
            banner.timezone.clone(),
            banner.published_at
        ],
    )
    .await?;
    tx.commit().await?;
    if banner.deactivated_at.is_none() {
        cx.app.remember_banner(Some(banner.clone()));
    }
    Ok(Reply::one(document(&banner, now)))
}

async fn deactivate(cx: Cx) -> Result<Reply> {
    let (mut tx, banner) = held(&cx).await?;
    if banner.deactivated_at.is_none() {
        let sql = "UPDATE admin_banners SET deactivated_at = $2 WHERE id = $1";
        tx.exec(sql, args![&banner.id, cx.app.now()]).await?;
        tx.commit().await?;
        cx.app.remember_banner(None);
    }
    Ok(Reply::no_content())
}

/// What everybody who has a token is told now.
async fn active(cx: Cx) -> Result<Reply> {
    cx.actor()?;
    let (site, now) = (cx.app.site(), cx.app.now());
    let banner = site.banner.as_ref().filter(|banner| banner.is_shown(now, true)).ok_or(Error::NotFound)?;
    Ok(Reply::one(document(banner, now)))
}

fn document(banner: &Banner, now: Timestamp) -> Resource {
    let time = |at: Option<Timestamp>| at.map(Timestamp::iso8601);
    let attributes = json!({
        "title": banner.title, "body": banner.body, "style": banner.style, "audience": banner.audience,
        "scheduled-publish-at": time(banner.publish_at), "scheduled-expire-at": time(banner.expire_at),
        "timezone": banner.timezone, "published-at": time(banner.since(now)),
        "deactivated-at": time(banner.gone(now)),
    });
    Resource::new("admin-banners", banner.id.as_str(), &attributes)
}
