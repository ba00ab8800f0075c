//! The identity provider by SAML: `/admin/saml-settings`.
//!
//! Signing in by SAML is not built (`docs/adr/0009-scim.md`). The settings are here because provisioning by SCIM stands on them,
//! as on Terraform Enterprise: it can be enabled while SAML is, with a provider of a known kind. So what this server would
//! have to offer to a provider (`acs-consumer-url`, `metadata-url`) is null. The private key is sealed and never shown.
//! Source: the Admin Settings API.

use crate::admin_organizations::only_site_admins;
use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use http_api::{
    App, Cx, Data, Error, Patch, Reply, Resource, Result, Routes,
    site::{Saml, Scim},
};
use serde::Deserialize;
use serde_json::json;

/// Bytes of a certificate or a key.
const LARGEST: usize = 64 << 10;
/// Kinds of provider; `unknown` is none.
const PROVIDERS: [&str; 4] = ["okta", "entra", "saml", "unknown"];
const METHODS: [&str; 2] = ["SHA1", "SHA256"];

/// The operations on the settings.
pub fn routes() -> Routes {
    let path = "/admin/saml-settings";
    Routes::new()
        .op(Method::GET, path, "accounts.saml-settings.read", read)
        .op(Method::PATCH, path, "accounts.saml-settings.update", update)
        .op(
            Method::POST,
            "/admin/saml-settings/actions/revoke-old-certificate",
            "accounts.saml-settings.revoke-old-certificate",
            revoke,
        )
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    enabled: Option<bool>,
    debug: Option<bool>,
    authn_requests_signed: Option<bool>,
    want_assertions_signed: Option<bool>,
    team_management_enabled: Option<bool>,
    idp_cert: Patch<String>,
    certificate: Patch<String>,
    private_key: Patch<String>,
    slo_endpoint_url: Patch<String>,
    sso_endpoint_url: Patch<String>,
    attr_username: Option<String>,
    attr_groups: Option<String>,
    attr_site_admin: Option<String>,
    site_admin_role: Option<String>,
    sso_api_token_session_timeout: Option<u32>,
    signature_signing_method: Option<String>,
    signature_digest_method: Option<String>,
    provider_type: Option<String>,
}

impl Attributes {
    fn apply(self, app: &App, saml: &mut Saml) -> Result<()> {
        fn set<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }
        set(&mut saml.enabled, self.enabled);
        set(&mut saml.debug, self.debug);
        set(&mut saml.authn_requests_signed, self.authn_requests_signed);
        set(&mut saml.want_assertions_signed, self.want_assertions_signed);
        set(&mut saml.team_management_enabled, self.team_management_enabled);
        set(&mut saml.attr_username, self.attr_username);
        set(&mut saml.attr_groups, self.attr_groups);
        set(&mut saml.attr_site_admin, self.attr_site_admin);
        set(&mut saml.site_admin_role, self.site_admin_role);
        set(&mut saml.sso_api_token_session_timeout, self.sso_api_token_session_timeout);
        set(&mut saml.signature_signing_method, self.signature_signing_method);
        set(&mut saml.signature_digest_method, self.signature_digest_method);
        set(&mut saml.provider_type, self.provider_type);
        self.slo_endpoint_url.apply(&mut saml.slo_endpoint_url);
        self.sso_endpoint_url.apply(&mut saml.sso_endpoint_url);
        self.certificate.apply(&mut saml.certificate);
        let earlier = saml.idp_cert.clone();
        self.idp_cert.apply(&mut saml.idp_cert);
        if earlier != saml.idp_cert && earlier.is_some() {
            // Good until it is revoked, so that the provider may change over in its own time.
            saml.old_idp_cert = earlier;
        }
        match self.private_key {
            Patch::Absent => {}
            Patch::Null => saml.private_key = None,
            Patch::Value(key) => {
                check_pem("private-key", &key)?;
                let sealed = app.root_key.seal(&app.env, "SAML private key", key.as_bytes());
                saml.private_key = Some(STANDARD.encode(sealed));
            }
        }
        check(saml)
    }
}

fn check(saml: &Saml) -> Result<()> {
    let mut wrong = Vec::new();
    let mut refuse = |name: &str, why: String| wrong.push((name.to_owned(), why));
    for (name, pem) in [("idp-cert", &saml.idp_cert), ("certificate", &saml.certificate)] {
        pem.as_deref().map_or(Ok(()), |pem| check_pem(name, pem))?;
    }
    for (name, url) in
        [("slo-endpoint-url", &saml.slo_endpoint_url), ("sso-endpoint-url", &saml.sso_endpoint_url)]
    {
        let good = |url: &String| {
            url.parse::<axum::http::Uri>()
                .is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
        };
        if url.as_ref().is_some_and(|url| !url.is_empty() && !good(url)) {
            refuse(name, "must be an http or https URL".to_owned());
        }
    }
    let methods = [
        ("signature-signing-method", &saml.signature_signing_method),
        ("signature-digest-method", &saml.signature_digest_method),
    ];
    for (name, method) in methods {
        if !METHODS.contains(&method.as_str()) {
            refuse(name, format!("must be one of {}", METHODS.join(", ")));
        }
    }
    if !PROVIDERS.contains(&saml.provider_type.as_str()) {
        refuse("provider-type", format!("must be one of {}", PROVIDERS.join(", ")));
    }
    if saml.authn_requests_signed && (is_blank(&saml.certificate) || saml.private_key.is_none()) {
        refuse("authn-requests-signed", "needs a certificate and a private-key to sign with".to_owned());
    }
    if saml.enabled {
        for (name, value) in [("idp-cert", &saml.idp_cert), ("sso-endpoint-url", &saml.sso_endpoint_url)] {
            if is_blank(value) {
                refuse(name, "can't be blank while SAML is enabled".to_owned());
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

fn is_blank(text: &Option<String>) -> bool {
    text.as_deref().unwrap_or_default().trim().is_empty()
}

/// What looks like PEM must be whole; the API takes other texts too.
fn check_pem(name: &str, text: &str) -> Result<()> {
    if text.len() > LARGEST {
        return Err(Error::invalid(name, format!("may have at most {LARGEST} bytes")));
    }
    let Some(rest) = text.trim().strip_prefix("-----BEGIN ") else { return Ok(()) };
    let whole = rest.split_once("-----").and_then(|(label, rest)| {
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.split_whitespace().collect();
        STANDARD.decode(body).ok().filter(|bytes| !bytes.is_empty())
    });
    match whole {
        Some(_) => Ok(()),
        None => {
            Err(Error::invalid(name, "is not whole PEM: its END line is missing, or its base64 is damaged"))
        }
    }
}

async fn read(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    Ok(Reply::one(document(&cx.app.site().saml)))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let mut tx = cx.app.db.begin().await?;
    let mut saml: Saml = cx.app.hold_site(&mut tx).await?;
    data.attributes.apply(&cx.app, &mut saml)?;
    if !carries_scim(&saml) && cx.app.hold_site::<Scim>(&mut tx).await?.enabled {
        return Err(Error::Unprocessable(
            "SCIM is enabled, and needs SAML enabled with a provider-type of okta, entra or saml; \
             disable SCIM first (DELETE /admin/scim-settings)"
                .to_owned(),
        ));
    }
    cx.app.store_site(&mut tx, &saml).await?;
    tx.commit().await?;
    cx.app.remember_site(&saml);
    Ok(Reply::one(document(&saml)))
}

async fn revoke(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let saml: Saml = cx
        .app
        .change_site(|saml: &mut Saml| {
            saml.old_idp_cert = None;
            Ok(())
        })
        .await?;
    Ok(Reply::one(document(&saml)))
}

/// Whether provisioning may stand on these settings.
pub(crate) fn carries_scim(saml: &Saml) -> bool {
    saml.enabled && saml.provider_type != "unknown"
}

fn document(saml: &Saml) -> Resource {
    let attributes = json!({
        "enabled": saml.enabled,
        "debug": saml.debug,
        "authn-requests-signed": saml.authn_requests_signed,
        "want-assertions-signed": saml.want_assertions_signed,
        "team-management-enabled": saml.team_management_enabled,
        "old-idp-cert": saml.old_idp_cert,
        "idp-cert": saml.idp_cert,
        "slo-endpoint-url": saml.slo_endpoint_url,
        "sso-endpoint-url": saml.sso_endpoint_url,
        "attr-username": saml.attr_username,
        "attr-groups": saml.attr_groups,
        "attr-site-admin": saml.attr_site_admin,
        "site-admin-role": saml.site_admin_role,
        "sso-api-token-session-timeout": saml.sso_api_token_session_timeout,
        "acs-consumer-url": null,
        "metadata-url": null,
        "certificate": saml.certificate,
        "private-key": null,
        "signature-signing-method": saml.signature_signing_method,
        "signature-digest-method": saml.signature_digest_method,
        "provider-type": saml.provider_type,
    });
    Resource::new("saml-settings", "saml", &attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_pem_must_be_whole() {
        let good = "-----BEGIN CERTIFICATE-----\nAAAA\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(check_pem("idp-cert", good).is_ok());
        assert!(check_pem("idp-cert", "testCert").is_ok());
        for bad in [
            "-----BEGIN CERTIFICATE-----\nAAAA",
            "-----BEGIN X-----\n?\n-----END X-----",
            &"x".repeat(LARGEST + 1),
        ] {
            assert!(check_pem("idp-cert", bad).is_err(), "{bad:.40}");
        }
    }
}
