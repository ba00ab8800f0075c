//! What the pages of a run read of it.

use crate::visit::{Visit, segment};
use http_api::{
    Result,
    inside::{Found, Seen},
};
use kernel::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeMap;

/// Everything that a run's page says of it without its plan's JSON and its logs: one read.
const INCLUDED: &str =
    "plan,apply,created_by,confirmed_by,canceled_by,configuration_version,run_events.actor,comments";

fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    Timestamp::parse(&text).ok_or_else(|| D::Error::custom(format!("{text} is no time")))
}

fn maybe_instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| Timestamp::parse(&text)))
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Run {
    pub(super) status: String,
    pub(super) message: String,
    pub(super) operation: String,
    pub(super) source: String,
    pub(super) trigger_reason: String,
    pub(super) terraform_version: String,
    #[serde(deserialize_with = "instant")]
    pub(super) created_at: Timestamp,
    pub(super) is_destroy: bool,
    pub(super) refresh_only: bool,
    pub(super) plan_only: bool,
    pub(super) auto_apply: bool,
    pub(super) error_message: Option<String>,
    pub(super) target_addrs: Option<Vec<String>>,
    pub(super) replace_addrs: Option<Vec<String>>,
    #[serde(deserialize_with = "maybe_instant")]
    pub(super) force_cancel_available_at: Option<Timestamp>,
    pub(super) actions: Actions,
    pub(super) permissions: Permissions,
    pub(super) waiting_for: Option<Waiting>,
    pub(super) exec: Option<Exec>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Actions {
    is_confirmable: bool,
    is_discardable: bool,
    is_cancelable: bool,
    is_force_cancelable: bool,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Permissions {
    can_apply: bool,
    can_cancel: bool,
    can_discard: bool,
    pub(super) can_force_cancel: bool,
    pub(super) can_comment: bool,
}

#[derive(Deserialize, Debug)]
pub(super) struct Waiting {
    pub(super) message: String,
    /// The run that goes first.
    pub(super) run: Option<String>,
}

#[derive(Deserialize, Debug)]
pub(super) struct Exec {
    pub(super) arguments: Vec<String>,
    pub(super) file: Option<String>,
}

impl Run {
    /// Whether the person who looks may do this now.
    pub(super) fn offers(&self, action: &str) -> bool {
        let (may, can) = (&self.permissions, &self.actions);
        match action {
            "apply" => can.is_confirmable && may.can_apply,
            // One that is pending may be discarded too, and canceled: once is enough.
            "discard" => can.is_discardable && may.can_discard,
            "cancel" => can.is_cancelable && may.can_cancel,
            "force-cancel" => can.is_force_cancelable && may.can_force_cancel,
            _ => false,
        }
    }

    /// Whether nothing more happens to it.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.status.as_str(),
            "applied" | "planned_and_finished" | "discarded" | "errored" | "canceled" | "force_canceled"
        )
    }
}

/// A plan or an apply.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Phase {
    pub(super) status: String,
    pub(super) log_read_url: Option<String>,
    pub(super) structured_run_output_enabled: bool,
    resource_additions: Option<u32>,
    resource_changes: Option<u32>,
    resource_destructions: Option<u32>,
    resource_imports: Option<u32>,
}

impl Phase {
    /// Resources to add, change, destroy and import, once that is known.
    pub(super) fn counts(&self) -> Option<[u32; 4]> {
        Some([
            self.resource_additions?,
            self.resource_changes?,
            self.resource_destructions?,
            self.resource_imports.unwrap_or(0),
        ])
    }

    pub(super) fn runs(&self) -> bool {
        self.status == "running"
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "finished" | "errored" | "canceled" | "unreachable")
    }

    /// Whether there is a log of it, or will be.
    pub(super) fn has_log(&self) -> bool {
        self.log_read_url.is_some() && !matches!(self.status.as_str(), "pending" | "unreachable")
    }
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Configuration {
    pub(super) source: Option<String>,
    pub(super) speculative: bool,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
struct Event {
    action: String,
    description: Option<String>,
    #[serde(deserialize_with = "instant")]
    created_at: Timestamp,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
struct Comment {
    body: String,
}

#[derive(Deserialize, Debug)]
struct User {
    username: String,
}

/// Something that happened to a run.
#[derive(Debug)]
pub(super) struct Happened {
    pub(super) action: String,
    pub(super) description: Option<String>,
    pub(super) at: Timestamp,
    /// Who did it; nobody where the server went on by itself.
    pub(super) by: Option<String>,
    pub(super) comments: Vec<String>,
}

/// A run with all that belongs to it.
pub(super) struct Whole {
    pub(super) run: Seen<Run>,
    pub(super) plan: Seen<Phase>,
    pub(super) apply: Seen<Phase>,
    pub(super) configuration: Option<Seen<Configuration>>,
    pub(super) created_by: Option<String>,
    /// In the order in which it happened.
    pub(super) history: Vec<Happened>,
}

impl Whole {
    /// The run of the path.
    pub(super) async fn read(visit: &Visit) -> Result<Self> {
        let found = visit.read(&format!("/runs/{}?include={INCLUDED}", segment(visit.path("run")))).await?;
        let run: Seen<Run> = found.one()?;
        let phase = |kind, name| -> Result<Seen<Phase>> {
            found.included(kind, run.related(name).unwrap_or_default())?.ok_or(http_api::Error::NotFound)
        };
        let configuration = run.related("configuration-version");
        let configuration =
            configuration.map(|id| found.included("configuration-versions", id)).transpose()?.flatten();
        let names = names(&found)?;
        Ok(Self {
            plan: phase("plans", "plan")?,
            apply: phase("applies", "apply")?,
            configuration,
            created_by: run.related("created-by").and_then(|id| names.get(id).cloned()),
            history: history(&found, &names)?,
            run,
        })
    }

    /// The plan or the apply, by the name that addresses have for it.
    pub(super) fn phase(&self, name: &str) -> &Seen<Phase> {
        if name == "apply" { &self.apply } else { &self.plan }
    }
}

fn names(found: &Found) -> Result<BTreeMap<String, String>> {
    let users = found.all_included::<User>("users")?;
    Ok(users.into_iter().map(|user| (user.id.clone(), user.attributes.username)).collect())
}

fn history(found: &Found, names: &BTreeMap<String, String>) -> Result<Vec<Happened>> {
    let comments = found.all_included::<Comment>("comments")?;
    let events = found.all_included::<Event>("run-events")?;
    let mut history: Vec<Happened> = events
        .into_iter()
        .map(|event| Happened {
            by: event.related("actor").and_then(|id| names.get(id).cloned()),
            comments: comments
                .iter()
                .filter(|comment| comment.related("run-event") == Some(&event.id))
                .map(|comment| comment.attributes.body.clone())
                .collect(),
            at: event.attributes.created_at,
            action: event.attributes.action,
            description: event.attributes.description,
        })
        .collect();
    history.sort_by_key(|event| event.at);
    Ok(history)
}
