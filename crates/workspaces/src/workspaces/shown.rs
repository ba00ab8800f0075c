//! A workspace as the API shows it.

use super::{Settings, Workspace};
use crate::tags;
use accounts::retention::DataRetention;
use authz::Grants;
use db::Arg;
use http_api::{Cx, Linkage, Resource, Result};
use kernel::{
    Timestamp,
    ids::{AgentPoolId, ConfigurationVersionId, RunId, SshKeyId, StateVersionId},
};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;

/// A workspace as the holder of `grants` sees it.
pub fn document(workspace: &Workspace, grants: &Grants) -> Resource {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Document<'a> {
        name: &'a str,
        description: &'a Option<String>,
        created_at: String,
        updated_at: String,
        latest_change_at: String,
        locked: bool,
        locked_reason: &'a str,
        auto_apply: bool,
        allow_destroy_plan: bool,
        execution_mode: &'a str,
        operations: bool,
        engine: &'a str,
        terraform_version: &'a str,
        working_directory: Option<&'a str>,
        structured_run_output_enabled: bool,
        global_remote_state: bool,
        project_remote_state: bool,
        auto_apply_run_trigger: bool,
        queue_all_runs: bool,
        speculative_enabled: bool,
        file_triggers_enabled: bool,
        trigger_prefixes: Vec<String>,
        trigger_patterns: Vec<String>,
        assessments_enabled: bool,
        environment: String,
        source: String,
        source_name: Option<String>,
        source_url: Option<String>,
        source_module_id: Option<&'a str>,
        resource_count: i64,
        apply_duration_average: Option<u32>,
        plan_duration_average: Option<u32>,
        policy_check_failures: Option<u32>,
        run_failures: Option<u32>,
        workspace_kpis_runs_count: i64,
        vcs_repo: Option<&'a str>,
        vcs_repo_identifier: Option<&'a str>,
        tag_names: Vec<String>,
        auto_destroy_at: Option<String>,
        auto_destroy_activity_duration: Option<&'a str>,
        auto_destroy_status: Option<&'a str>,
        inherits_project_auto_destroy: bool,
        last_assessment_result_at: Option<&'a str>,
        no_code_upgrade_available: bool,
        hyok_enabled: bool,
        setting_overwrites: serde_json::Value,
        actions: serde_json::Value,
        permissions: authz::document::WorkspaceDocument,
    }
    let settings: Settings = serde_json::from_str(&workspace.settings).unwrap_or_default();
    let attributes = Document {
        name: &workspace.name,
        description: &workspace.description,
        created_at: workspace.created_at.iso8601(),
        updated_at: workspace.updated_at.iso8601(),
        latest_change_at: workspace.latest_change_at.iso8601(),
        locked: workspace.lock_kind.is_some(),
        locked_reason: workspace.lock_reason.as_deref().unwrap_or_default(),
        auto_apply: workspace.auto_apply,
        allow_destroy_plan: workspace.allow_destroy_plan,
        execution_mode: &workspace.execution_mode,
        operations: workspace.execution_mode != "local",
        engine: &workspace.engine,
        terraform_version: &workspace.terraform_version,
        working_directory: Some(workspace.working_directory.as_str()),
        structured_run_output_enabled: workspace.structured_run_output_enabled,
        global_remote_state: workspace.global_remote_state,
        project_remote_state: workspace.project_remote_state,
        auto_apply_run_trigger: settings.auto_apply_run_trigger,
        queue_all_runs: settings.queue_all_runs,
        speculative_enabled: settings.speculative_enabled,
        file_triggers_enabled: settings.file_triggers_enabled,
        trigger_prefixes: settings.trigger_prefixes,
        trigger_patterns: settings.trigger_patterns,
        assessments_enabled: settings.assessments_enabled,
        environment: settings.environment,
        source: settings.source,
        source_name: settings.source_name,
        source_url: settings.source_url,
        source_module_id: None,
        resource_count: workspace.resource_count,
        apply_duration_average: None,
        plan_duration_average: None,
        policy_check_failures: None,
        run_failures: None,
        workspace_kpis_runs_count: workspace.runs_count,
        vcs_repo: None,
        vcs_repo_identifier: None,
        tag_names: serde_json::from_str(&workspace.tag_names).unwrap_or_default(),
        auto_destroy_at: workspace.auto_destroy_at.map(Timestamp::iso8601),
        auto_destroy_activity_duration: workspace.auto_destroy_activity_duration.as_deref(),
        auto_destroy_status: None,
        inherits_project_auto_destroy: workspace.inherits_project_auto_destroy,
        last_assessment_result_at: None,
        no_code_upgrade_available: false,
        hyok_enabled: false,
        setting_overwrites: json!({
            "execution-mode": workspace.overwrites_execution_mode, "agent-pool": workspace.overwrites_execution_mode,
        }),
        actions: json!({ "is-destroyable": true }),
        permissions: grants.workspace(&workspace.id, &workspace.project_id).document(),
    };
    let holder_kind = match workspace.lock_kind.as_deref() {
        Some("run") => "runs",
        Some("team") => "teams",
        _ => "users",
    };
    let current_run = || Linkage::maybe("runs", workspace.current_run_id.as_ref().map(RunId::as_str));
    Resource::new("workspaces", workspace.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", workspace.organization.clone()))
        .relate("project", Linkage::One("projects", workspace.project_id.to_string()))
        .relate("current-run", current_run())
        .relate("latest-run", current_run())
        .relate("locked-by", Linkage::maybe(holder_kind, workspace.lock_holder.clone()))
        .relate(
            "current-configuration-version",
            Linkage::maybe(
                "configuration-versions",
                workspace.current_configuration_version_id.as_ref().map(ConfigurationVersionId::as_str),
            ),
        )
        .relate(
            "current-state-version",
            Linkage::maybe(
                "state-versions",
                workspace.current_state_version_id.as_ref().map(StateVersionId::as_str),
            ),
        )
        .relate(
            "agent-pool",
            Linkage::maybe("agent-pools", workspace.agent_pool_id.as_ref().map(AgentPoolId::as_str)),
        )
        .relate("ssh-key", Linkage::maybe("ssh-keys", workspace.ssh_key_id.as_ref().map(SshKeyId::as_str)))
        .relate("data-retention-policy", DataRetention::linkage(workspace.data_retention.as_deref()))
        .relate("readme", Linkage::None)
        .relate("tag-bindings", Linkage::Link(format!("/api/v2/workspaces/{}/tag-bindings", workspace.id)))
        .relate(
            "effective-tag-bindings",
            Linkage::Link(format!("/api/v2/workspaces/{}/effective-tag-bindings", workspace.id)),
        )
        .relate("vars", Linkage::Link(format!("/api/v2/workspaces/{}/vars", workspace.id)))
        .link(
            "self",
            format!("/api/v2/organizations/{}/workspaces/{}", workspace.organization, workspace.name),
        )
        .link("self-html", format!("/app/{}/workspaces/{}", workspace.organization, workspace.name))
}

/// How many documents are shown: what costs a statement is named unasked only in few.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    Few,
    List,
}

/// Names what does not stand in a workspace's own row: its variables, the outputs of its state, its effective tag bindings,
/// its README.
/// One statement each, and only where it is asked for.
pub(super) async fn related(cx: &Cx, documents: Vec<Resource>, many: Many) -> Result<Vec<Resource>> {
    let mut documents = tags::name_effective(cx, documents, tags::OF_WORKSPACES).await?;
    let asked = cx.query_list("include");
    if many == Many::Few || asked.contains(&"vars") {
        let sql = "SELECT workspace_id, id FROM variables WHERE workspace_id IN ({}) ORDER BY created_at, id";
        documents = name(cx, documents, sql, "vars", "vars").await?;
    }
    if asked.contains(&"outputs") {
        let sql = "SELECT w.id, o.id FROM workspaces w
            JOIN state_version_outputs o ON o.state_version_id = w.current_state_version_id
            WHERE w.id IN ({}) ORDER BY o.name";
        documents = name(cx, documents, sql, "outputs", "workspace-outputs").await?;
    }
    // Found out when it is read: it stands in the configuration, which is too much to open for each of a list.
    if many == Many::Few && asked.contains(&"readme") {
        let readme = |document: Resource| {
            let (id, has) =
                (document.id.clone(), !document.related("current-configuration-version").is_empty());
            if has { document.relate("readme", Linkage::One("workspace-readme", id)) } else { document }
        };
        documents = documents.into_iter().map(readme).collect();
    }
    Ok(documents)
}

/// Names in each document what `sql` finds for it: rows of the workspace's id and the other's.
async fn name(
    cx: &Cx,
    documents: Vec<Resource>,
    sql: &str,
    relation: &'static str,
    kind: &'static str,
) -> Result<Vec<Resource>> {
    if documents.is_empty() {
        return Ok(documents);
    }
    let marks: Vec<String> = (1..=documents.len()).map(|n| format!("${n}")).collect();
    let sql = sql.replace("{}", &marks.join(", "));
    let values = documents.iter().map(|document| Arg::from(&document.id)).collect();
    let mut ids: HashMap<String, Vec<String>> = HashMap::new();
    for (workspace, id) in cx.app.db.all::<(String, String)>(db::AssertSqlSafe(sql), values).await? {
        ids.entry(workspace).or_default().push(id);
    }
    let named = documents.into_iter().map(|document| {
        let ids = ids.remove(&document.id).unwrap_or_default();
        document.relate(relation, Linkage::Many(kind, ids))
    });
    Ok(named.collect())
}
