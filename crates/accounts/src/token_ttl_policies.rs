//! How long tokens may live in an organization: `/organizations/:name/token-ttl-policies`.
//!
//! While the organization's setting `max-ttl-enabled` is true (storing a policy makes it so), no token of the organization,
//! of its teams or of its audit trail outlives its policy: one that asks for more is refused, one that asks for nothing gets
//! what there is, and those that exist end as if they had been made under it. A person's token belongs to no organization:
//! it lives on, but reaches this one only while it is not older than the policy says (`http/src/auth.rs`).
//! A kind without a policy of its own has the usual two years.
//! Source: go-tfe's OrganizationTokenTTLPolicies and its tests; the resource `tfe_org_max_token_ttl_policy`.

use crate::organizations::{self, Organization};
use authz::{Granted, perm};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{Cx, Data, Error, Reply, Resource, Result, Routes, auth::USUAL_TTL_MS};
use kernel::{Timestamp, ids::OrganizationId};
use serde::Deserialize;
use serde_json::json;

/// The kinds of tokens, as policies name them.
const KINDS: [&str; 4] = ["organization", "team", "user", "audit_trails"];
/// The shortest and the longest that a policy may say: an hour, and a hundred years.
const SPAN_MS: std::ops::RangeInclusive<i64> = 3_600_000..=3_155_695_200_000;

/// The operations on policies.
pub fn routes() -> Routes {
    let path = "/organizations/{organization}/token-ttl-policies";
    Routes::new().op(Method::GET, path, "accounts.token-ttl-policies.list", list).op(
        Method::PATCH,
        path,
        "accounts.token-ttl-policies.update",
        update,
    )
}

#[derive(Clone, Debug, FromRow)]
struct Policy {
    token_type: String,
    max_ttl_ms: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    token_type: String,
    max_ttl_ms: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    token_ttl_policies: Vec<Asked>,
}

impl Asked {
    fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid("token-ttl-policies", why));
        if !KINDS.contains(&self.token_type.as_str()) {
            return refuse(format!("Token type {:?} is not one of {}", self.token_type, KINDS.join(", ")));
        }
        if !SPAN_MS.contains(&self.max_ttl_ms) {
            return refuse(format!(
                "Max ttl ms must be between {} (an hour) and {} (a hundred years)",
                SPAN_MS.start(),
                SPAN_MS.end()
            ));
        }
        Ok(())
    }
}

/// The organization of the path, for its owners; other members are told that it is not theirs to do.
async fn owned(cx: &Cx) -> Result<Granted<perm::ManageOrganizationToken, Organization>> {
    let (organization, grants) = organizations::find(cx, cx.path("organization")).await?;
    grants.prove_organization(organization).map_err(|_| {
        Error::Forbidden(
            "Only the owners of an organization see and set how long its tokens may live".to_owned(),
        )
    })
}

async fn list(cx: Cx) -> Result<Reply> {
    let organization = owned(&cx).await?;
    let stored = cx.app.db.all(STORED, args![&organization.id]).await?;
    cx.list(documents(&organization, &stored), &[]).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let organization = owned(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let asked = data.attributes.token_ttl_policies;
    if asked.is_empty() {
        return Err(Error::invalid("token-ttl-policies", "Token ttl policies can't be blank"));
    }
    asked.iter().try_for_each(Asked::check)?;
    let now = cx.app.now();
    let mut tx = cx.app.db.begin().await?;
    organizations::enable_max_ttl(&mut tx, &organization.id).await?;
    for policy in &asked {
        tx.exec(
            "INSERT INTO token_ttl_policies (organization_id, token_type, max_ttl_ms, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (organization_id, token_type) DO UPDATE SET max_ttl_ms = excluded.max_ttl_ms,
               updated_at = excluded.updated_at",
            args![&organization.id, &policy.token_type, policy.max_ttl_ms, now],
        )
        .await?;
    }
    shorten(&mut tx, &organization.id).await?;
    let stored = tx.all(STORED, args![&organization.id]).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    cx.list(documents(&organization, &stored), &[]).await
}

const STORED: &str = "SELECT token_type, max_ttl_ms, created_at, updated_at FROM token_ttl_policies
    WHERE organization_id = $1";

/// One of every kind, those that nobody has set included.
fn documents(organization: &Organization, stored: &[Policy]) -> Vec<Resource> {
    let of = |kind: &str| {
        let usual = || Policy {
            token_type: kind.to_owned(),
            max_ttl_ms: USUAL_TTL_MS,
            created_at: organization.created_at,
            updated_at: organization.created_at,
        };
        stored.iter().find(|policy| policy.token_type == kind).cloned().unwrap_or_else(usual)
    };
    KINDS
        .iter()
        .map(|kind| {
            let policy = of(kind);
            let attributes = json!({
                "token-type": policy.token_type, "max-ttl-ms": policy.max_ttl_ms,
                "created-at": policy.created_at.iso8601(), "updated-at": policy.updated_at.iso8601(),
            });
            // An organization has one of each kind, so its own id and the kind name it.
            let id = organization.id.as_str().replacen("org-", "ttlp-", 1);
            Resource::new("organization-token-ttl-policies", format!("{id}-{kind}"), &attributes)
        })
        .collect()
}

/// Ends every token of the organization, of its teams and of its audit trail where it would have ended had it been made
/// under the policies of now. The caller has switched them on.
pub(crate) async fn shorten(tx: &mut Tx, organization: &OrganizationId) -> Result<()> {
    for kind in KINDS.iter().filter(|kind| **kind != "user") {
        let micros = stored_ms(tx, organization, kind).await?.saturating_mul(1000);
        tx.exec(
            "UPDATE tokens SET expires_at = created_at + $3
             WHERE organization_id = $1 AND kind = $2 AND (expires_at IS NULL OR expires_at > created_at + $3)",
            args![organization, kind.replace('_', "-"), micros],
        )
        .await?;
    }
    Ok(())
}

async fn stored_ms(tx: &mut Tx, organization: &OrganizationId, kind: &str) -> Result<i64> {
    let sql = "SELECT max_ttl_ms FROM token_ttl_policies WHERE organization_id = $1 AND token_type = $2";
    let stored: Option<(i64,)> = tx.one(sql, args![organization, kind]).await?;
    Ok(stored.map_or(USUAL_TTL_MS, |(ms,)| ms))
}

/// When a token of this kind (as tokens name it) that is made now ends at the latest; at any time, if none. Holds the
/// organization, so that no policy changes beside the token that the caller makes.
pub(crate) async fn latest_end(
    tx: &mut Tx,
    organization: &OrganizationId,
    kind: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    if !organizations::hold_max_ttl(tx, organization).await? {
        return Ok(None);
    }
    let ms = stored_ms(tx, organization, &kind.replace('-', "_")).await?;
    Ok(Some(Timestamp::from_micros(now.micros().saturating_add(ms.saturating_mul(1000)))))
}
