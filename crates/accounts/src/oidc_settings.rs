//! The keys that sign identity tokens: published for whoever verifies them, rotated and trimmed by site admins.
//!
//! Discovery is at its usual place below the server's address, which is also the issuer's name: clouds ask there. Source: the
//! Admin Settings API; OpenID Connect Discovery 1.0; RFC 7517.

use crate::admin_organizations::only_site_admins;
use axum::http::Method;
use http_api::{Cx, Reply, Result, Routes, signing};
use serde_json::json;

/// Where the keys are.
const KEYS: &str = "/.well-known/jwks";

/// The operations on signing keys.
pub fn routes() -> Routes {
    Routes::new()
        .public(
            Method::GET,
            "/.well-known/openid-configuration",
            "accounts.openid-configuration.read",
            configuration,
        )
        .public(Method::GET, KEYS, "accounts.jwks.read", keys)
        .op(
            Method::POST,
            "/admin/oidc-settings/actions/rotate-key",
            "accounts.oidc-settings.rotate-key",
            rotate,
        )
        .op(Method::POST, "/admin/oidc-settings/actions/trim-key", "accounts.oidc-settings.trim-key", trim)
}

async fn configuration(cx: Cx) -> Result<Reply> {
    Ok(Reply::json(&json!({
        "issuer": cx.app.settings.url,
        "jwks_uri": cx.app.url(KEYS),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [signing::ALGORITHM],
        "scopes_supported": ["openid"],
        "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf"],
    })))
}

async fn keys(cx: Cx) -> Result<Reply> {
    Ok(Reply::json(&signing::published(&cx.app).await?))
}

async fn rotate(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    signing::rotate(&cx.app).await?;
    Ok(Reply::no_content())
}

async fn trim(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    signing::trim(&cx.app).await?;
    Ok(Reply::no_content())
}
