//! How long old data is kept: the policy of an organization, which holds for its workspaces too, or of one workspace.
//!
//! Stored as JSON in the row that it is of; none there means that nobody has said anything, which keeps everything.

use http_api::{Error, Linkage, Resource, Result};
use kernel::{Env, ids::DataRetentionPolicyId};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A policy that may delete.
pub const DELETE_OLDERS: &str = "data-retention-policy-delete-olders";
/// A policy that forbids deleting.
pub const DONT_DELETES: &str = "data-retention-policy-dont-deletes";

/// Days that may be asked for: ten years are as good as for ever, and said so by the other kind.
const DAYS: std::ops::RangeInclusive<i64> = 1..=3650;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DataRetention {
    /// Its id.
    pub id: DataRetentionPolicyId,
    /// Days after which data that is not current is deleted; `None` for never.
    pub delete_older_than_n_days: Option<i64>,
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Attributes {
    /// Days.
    pub delete_older_than_n_days: Option<i64>,
}

impl DataRetention {
    /// The policy that a request of this type describes.
    ///
    /// # Errors
    /// 422 when the type is neither of the two, and when the days are missing or out of range.
    pub fn asked(env: &Env, kind: &str, attributes: &Attributes) -> Result<Self> {
        let delete_older_than_n_days = match (kind, attributes.delete_older_than_n_days) {
            (DONT_DELETES, _) => None,
            (DELETE_OLDERS | "data-retention-policies" | "data-retention-policy" | "", Some(days))
                if DAYS.contains(&days) =>
            {
                Some(days)
            }
            (DELETE_OLDERS | "data-retention-policies" | "data-retention-policy" | "", _) => {
                return Err(Error::invalid(
                    "delete-older-than-n-days",
                    format!(
                        "Delete older than n days must be between {} and {} days",
                        DAYS.start(),
                        DAYS.end()
                    ),
                ));
            }
            _ => {
                return Err(Error::invalid(
                    "type",
                    format!("Type must be {DELETE_OLDERS} or {DONT_DELETES}"),
                ));
            }
        };
        Ok(Self { id: DataRetentionPolicyId::new(env), delete_older_than_n_days })
    }

    /// The policy as stored.
    pub fn parse(stored: Option<&str>) -> Option<Self> {
        serde_json::from_str(stored?).ok()
    }

    /// For storing.
    pub fn encode(&self) -> String {
        json!(self).to_string()
    }

    /// Its JSON:API type.
    pub fn kind(&self) -> &'static str {
        if self.delete_older_than_n_days.is_some() { DELETE_OLDERS } else { DONT_DELETES }
    }

    /// The relation of whatever the policy is of.
    pub fn linkage(stored: Option<&str>) -> Linkage {
        match Self::parse(stored) {
            Some(policy) => Linkage::One(policy.kind(), policy.id.to_string()),
            None => Linkage::None,
        }
    }

    /// The policy as the API shows it.
    pub fn document(&self) -> Resource {
        let attributes = match self.delete_older_than_n_days {
            Some(days) => json!({ "delete-older-than-n-days": days }),
            None => json!({}),
        };
        Resource::new(self.kind(), self.id.as_str(), &attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_its_row_and_says_what_it_is() {
        let env = Env::real();
        let days = |n| Attributes { delete_older_than_n_days: n };
        let old = DataRetention::asked(&env, DELETE_OLDERS, &days(Some(33))).unwrap();
        assert_eq!(DataRetention::parse(Some(&old.encode())), Some(old.clone()));
        assert_eq!(old.kind(), DELETE_OLDERS);
        let never = DataRetention::asked(&env, DONT_DELETES, &days(None)).unwrap();
        assert_eq!((never.kind(), never.delete_older_than_n_days), (DONT_DELETES, None));
        for (kind, n) in [(DELETE_OLDERS, None), (DELETE_OLDERS, Some(0)), ("other", Some(3))] {
            assert!(DataRetention::asked(&env, kind, &days(n)).is_err(), "{kind} {n:?}");
        }
    }
}
