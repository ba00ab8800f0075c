//! What an organization has set: as stored, and as a request may change it.

use http_api::Patch;
use serde::{Deserialize, Serialize};

/// The value of `collaborator-auth-policy` that asks a second factor of every member.
pub(crate) const TWO_FACTOR_MANDATORY: &str = "two_factor_mandatory";

/// The attributes that only the API reads; stored as one JSON document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Settings {
    pub(super) collaborator_auth_policy: String,
    pub(super) session_timeout: Option<i64>,
    pub(super) session_remember: Option<i64>,
    pub(super) cost_estimation_enabled: bool,
    pub(super) send_passing_statuses_for_untriggered_speculative_plans: bool,
    pub(super) aggregated_commit_status_enabled: bool,
    pub(super) speculative_plan_management_enabled: bool,
    pub(super) allow_force_delete_workspaces: bool,
    pub(super) assessments_enforced: bool,
    pub(super) default_execution_mode: String,
    pub(super) owners_team_saml_role_id: Option<String>,
    pub(super) stacks_enabled: bool,
    pub(super) user_tokens_enabled: bool,
    pub(super) max_ttl_enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            collaborator_auth_policy: "password".to_owned(),
            session_timeout: None,
            session_remember: None,
            cost_estimation_enabled: false,
            send_passing_statuses_for_untriggered_speculative_plans: false,
            aggregated_commit_status_enabled: true,
            speculative_plan_management_enabled: true,
            allow_force_delete_workspaces: false,
            assessments_enforced: false,
            default_execution_mode: "remote".to_owned(),
            owners_team_saml_role_id: None,
            stacks_enabled: false,
            user_tokens_enabled: true,
            max_ttl_enabled: false,
        }
    }
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Attributes {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) collaborator_auth_policy: Option<String>,
    pub(super) session_timeout: Patch<i64>,
    pub(super) session_remember: Patch<i64>,
    pub(super) cost_estimation_enabled: Option<bool>,
    pub(super) send_passing_statuses_for_untriggered_speculative_plans: Option<bool>,
    pub(super) aggregated_commit_status_enabled: Option<bool>,
    pub(super) speculative_plan_management_enabled: Option<bool>,
    pub(super) allow_force_delete_workspaces: Option<bool>,
    pub(super) assessments_enforced: Option<bool>,
    pub(super) default_execution_mode: Option<String>,
    pub(super) default_agent_pool_id: Option<String>,
    pub(super) owners_team_saml_role_id: Patch<String>,
    pub(super) stacks_enabled: Option<bool>,
    pub(super) user_tokens_enabled: Option<bool>,
    pub(super) max_ttl_enabled: Option<bool>,
}

impl Attributes {
    pub(super) fn apply(self, settings: &mut Settings) {
        fn set<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }
        set(&mut settings.collaborator_auth_policy, self.collaborator_auth_policy);
        self.session_timeout.apply(&mut settings.session_timeout);
        self.session_remember.apply(&mut settings.session_remember);
        set(&mut settings.cost_estimation_enabled, self.cost_estimation_enabled);
        set(
            &mut settings.send_passing_statuses_for_untriggered_speculative_plans,
            self.send_passing_statuses_for_untriggered_speculative_plans,
        );
        set(&mut settings.aggregated_commit_status_enabled, self.aggregated_commit_status_enabled);
        set(&mut settings.speculative_plan_management_enabled, self.speculative_plan_management_enabled);
        set(&mut settings.allow_force_delete_workspaces, self.allow_force_delete_workspaces);
        set(&mut settings.assessments_enforced, self.assessments_enforced);
        self.owners_team_saml_role_id.apply(&mut settings.owners_team_saml_role_id);
        set(&mut settings.stacks_enabled, self.stacks_enabled);
        set(&mut settings.user_tokens_enabled, self.user_tokens_enabled);
        set(&mut settings.max_ttl_enabled, self.max_ttl_enabled);
    }

    pub(super) fn check(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        if let Some(Err(message)) = self.name.as_deref().map(check_name) {
            wrong.push(("name".to_owned(), message));
        }
        if self.email.as_ref().is_some_and(|email| !email.contains('@')) {
            wrong.push(("email".to_owned(), "Email is not a valid email address".to_owned()));
        }
        let policies = ["password", TWO_FACTOR_MANDATORY];
        if self.collaborator_auth_policy.as_ref().is_some_and(|policy| !policies.contains(&policy.as_str())) {
            let why = format!("Collaborator auth policy must be one of {}", policies.join(", "));
            wrong.push(("collaborator-auth-policy".to_owned(), why));
        }
        for (name, minutes) in
            [("session-timeout", &self.session_timeout), ("session-remember", &self.session_remember)]
        {
            if matches!(minutes, Patch::Value(..1)) {
                wrong.push((name.to_owned(), "must be at least 1 (minute), or null".to_owned()));
            }
        }
        wrong
    }
}

/// Letters, digits, hyphens and underscores, 3 to 40 of them; the sentence says what is wrong.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("Name can't be blank".to_owned());
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err("Name can only include letters, numbers, -, and _".to_owned());
    }
    if name.len() < 3 || name.len() > 40 {
        return Err("Name must have between 3 and 40 characters".to_owned());
    }
    Ok(())
}
