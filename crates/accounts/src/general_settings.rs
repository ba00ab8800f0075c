//! The general settings of the installation: `/admin/general-settings`. They hold at once, without a restart.
//!
//! Where site admins need a second factor, those without one are refused all of `/admin`, by the API and on pages
//! (`http/src/cx.rs`); nobody can ask that who has none. Those that would do nothing on this server are shown as they are and cannot be set. Source: the Admin Settings API.

use crate::admin_organizations::only_site_admins;
use axum::http::Method;
use http_api::{
    App, Cx, Data, Error, Patch, Reply, Resource, Result, Routes,
    auth::has_second_factor,
    site::{self, General},
};
use serde::Deserialize;
use serde_json::json;

/// The operations on the general settings.
pub fn routes() -> Routes {
    Routes::new().op(Method::GET, "/admin/general-settings", "accounts.general-settings.read", read).op(
        Method::PATCH,
        "/admin/general-settings",
        "accounts.general-settings.update",
        update,
    )
}

/// What a request may set; null is as the server's operator has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    limit_user_organization_creation: Option<bool>,
    api_rate_limiting_enabled: Patch<bool>,
    api_rate_limit: Patch<u32>,
    send_passing_statuses_for_untriggered_speculative_plans: Option<bool>,
    default_remote_state_access: Option<bool>,
    require_two_factor_for_admins: Option<bool>,
    apply_timeout: Patch<String>,
    plan_timeout: Patch<String>,
}

impl Attributes {
    fn apply(self, general: &mut General) -> Result<()> {
        fn set(to: &mut bool, value: Option<bool>) {
            *to = value.unwrap_or(*to);
        }
        set(&mut general.limit_user_organization_creation, self.limit_user_organization_creation);
        set(&mut general.default_remote_state_access, self.default_remote_state_access);
        set(&mut general.require_two_factor_for_admins, self.require_two_factor_for_admins);
        set(
            &mut general.send_passing_statuses_for_untriggered_speculative_plans,
            self.send_passing_statuses_for_untriggered_speculative_plans,
        );
        self.api_rate_limiting_enabled.apply(&mut general.api_rate_limiting_enabled);
        self.api_rate_limit.apply(&mut general.api_rate_limit);
        self.apply_timeout.apply(&mut general.apply_timeout);
        self.plan_timeout.apply(&mut general.plan_timeout);
        if general.api_rate_limit == Some(0) {
            let text =
                "API rate limit must be 1 or more; set api-rate-limiting-enabled to false for no limit";
            return Err(Error::invalid("api-rate-limit", text));
        }
        let spans = [("apply-timeout", &general.apply_timeout), ("plan-timeout", &general.plan_timeout)];
        for (name, span) in spans {
            span.as_deref().map_or(Ok(()), |span| site::check_span(name, span))?;
        }
        Ok(())
    }
}

async fn read(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    Ok(Reply::one(document(&cx.app, &cx.app.site().general)))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    if data.attributes.require_two_factor_for_admins == Some(true)
        && !has_second_factor(&cx.app, cx.actor()?.user_id()).await?
    {
        // Else nobody might be left who could take it back.
        let text =
            "Turn two-factor authentication on for yourself first: without it you would be refused too";
        return Err(Error::invalid("require-two-factor-for-admins", text));
    }
    let general = cx.app.change_site(|general| data.attributes.apply(general)).await?;
    Ok(Reply::one(document(&cx.app, &general)))
}

fn document(app: &App, general: &General) -> Resource {
    let operator = &app.settings;
    let span = |own: &Option<String>, seconds| own.clone().unwrap_or_else(|| site::span(seconds));
    let apply = span(&general.apply_timeout, operator.apply_timeout_seconds);
    let plan = span(&general.plan_timeout, operator.plan_timeout_seconds);
    let attributes = json!({
        "limit-user-organization-creation": general.limit_user_organization_creation,
        "api-rate-limiting-enabled": general.requests_per_second(operator).is_some(),
        "api-rate-limit": general.rate_limit(operator),
        "send-passing-statuses-for-untriggered-speculative-plans":
            general.send_passing_statuses_for_untriggered_speculative_plans,
        "default-remote-state-access": general.default_remote_state_access,
        "require-two-factor-for-admins": general.require_two_factor_for_admins,
        "apply-timeout": apply,
        "plan-timeout": plan,
        "terraform-build-worker-apply-timeout": apply,
        "terraform-build-worker-plan-timeout": plan,
        // As this server is, and nobody can change yet.
        "allow-speculative-plans-on-pull-requests-from-forks": false,
        "fair-run-queuing-enabled": true,
        "limit-organizations-per-user": false,
        "default-organizations-per-user-ceiling": null,
        "limit-workspaces-per-organization": false,
        "default-workspaces-per-organization-ceiling": null,
    });
    Resource::new("general-settings", "general", &attributes)
}
