//! Reading the audit trail: the SDK's own endpoint, and the same for owners and for site admins.
//!
//! Plain JSON, as the Audit Trails API has it; what is kept beyond that is in `resource.meta`. An organization's token and
//! its audit trail's token read the first; owners' and site admins' endpoints take filters. How entries come to be is in
//! [`http_api::audit`]. Source: the Audit Trails API; sdk-conformance.md.

use crate::{
    admin_organizations::only_site_admins,
    feature_sets::{Entitlement, entitled},
    organizations,
};
use authz::{Actor, perm};
use axum::http::Method;
use http_api::{
    Cx, Error, Reply, Result, Routes,
    audit::{
        READ,
        query::{Of, Since, page},
    },
};

/// The operations.
pub fn routes() -> Routes {
    let of_organization = "/organizations/{organization}/audit-trail";
    Routes::new()
        .op(Method::GET, "/organization/audit-trail", READ, read)
        .op(Method::GET, of_organization, "accounts.organization-audit-trail.list", of_an_organization)
        .op(Method::GET, "/admin/audit-trail", "accounts.admin-audit-trail.list", of_everything)
}

/// The trail of the organization whose token was shown.
async fn read(cx: Cx) -> Result<Reply> {
    let id = match cx.actor()? {
        Actor::Organization { id, .. } | Actor::AuditTrail { organization: id, .. } => id.clone(),
        Actor::User { .. } | Actor::Team { .. } | Actor::Scim { .. } | Actor::Run { .. } => {
            return Err(Error::NotFound);
        }
    };
    cx.admit(&id).await?;
    entitled(&organizations::by_id(&cx.app, &id).await?, Entitlement::AuditLogging, cx.app.now())?;
    Ok(Reply::json(&page(&cx, Of::Organization(&id), Since::Second).await?))
}

async fn of_an_organization(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::ReadAuditTrail, _>(organization)?;
    entitled(&granted, Entitlement::AuditLogging, cx.app.now())?;
    Ok(Reply::json(&page(&cx, Of::Organization(&granted.id), Since::Instant).await?))
}

async fn of_everything(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    Ok(Reply::json(&page(&cx, Of::Everything, Since::Instant).await?))
}
