//! What may be asked of a new run, and what comes of it.

/// The options that decide how the run goes; the rest (targets, variables, message) is the engine's and the API's.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Options {
    /// Plan, show it, and end: no lock, no queue, never the current run.
    pub plan_only: bool,
    /// Plan outside the queue and keep the plan to be confirmed some time.
    pub save_plan: bool,
    /// Destroy everything.
    pub is_destroy: bool,
    /// Bring the state up to date and change nothing.
    pub refresh_only: bool,
    /// Apply even if the plan has no changes, and then without confirmation.
    pub allow_empty_apply: bool,
    /// Apply without confirmation, if [`Options::creator_may_apply`].
    pub auto_apply: bool,
    /// Whether the creator has runs:apply, or the run came from a commit: the condition for applying by itself.
    pub creator_may_apply: bool,
    /// The configuration version is provisional: it becomes current when this run goes on to apply.
    pub provisional_configuration: bool,
    /// Carry out another command than a plan. It takes its turn and the lock as a plan does, and ends without an apply.
    pub exec: bool,
    /// That command asks the providers what exists, and changes nothing: it waits for nobody, as a plan-only run.
    pub query: bool,
}

/// What a request asked for. Absent attributes are `None`, or empty lists.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `plan-only`.
    pub plan_only: Option<bool>,
    /// `save-plan`.
    pub save_plan: Option<bool>,
    /// `is-destroy`.
    pub is_destroy: Option<bool>,
    /// `refresh-only`.
    pub refresh_only: Option<bool>,
    /// `refresh`.
    pub refresh: Option<bool>,
    /// `allow-empty-apply`.
    pub allow_empty_apply: Option<bool>,
    /// `auto-apply`.
    pub auto_apply: Option<bool>,
    /// `terraform-version`.
    pub terraform_version: Option<String>,
    /// Whether `replace-addrs` names any address.
    pub replaces: bool,
    /// Whether `exec` is there.
    pub exec: bool,
    /// Whether that is a query.
    pub query: bool,
}

/// What the request meets: the workspace, the configuration version and the caller.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// The configuration version is speculative: it can only be planned.
    pub speculative: bool,
    /// The configuration version is provisional.
    pub provisional: bool,
    /// The workspace's `allow-destroy-plan`.
    pub allow_destroy_plan: bool,
    /// The workspace's `auto-apply` (or `auto-apply-run-trigger` for a triggered run): the default.
    pub auto_apply: bool,
    /// See [`Options::creator_may_apply`].
    pub creator_may_apply: bool,
}

impl Asked {
    /// The options of the new run, defaults filled in.
    ///
    /// `auto-apply` is kept as asked even where it cannot take effect, because clients compare what they get with it.
    ///
    /// # Errors
    /// Every attribute that is wrong, with what is wrong: the content of a 422.
    pub fn options(&self, met: &Circumstances) -> Result<Options, Vec<(String, String)>> {
        let yes = |option: Option<bool>| option.unwrap_or(false);
        let options = Options {
            // An operation is never applied: it may work on a speculative configuration and take its turn all the same.
            plan_only: self.query || self.plan_only.unwrap_or(met.speculative && !self.exec),
            save_plan: yes(self.save_plan),
            is_destroy: yes(self.is_destroy),
            refresh_only: yes(self.refresh_only),
            allow_empty_apply: yes(self.allow_empty_apply),
            auto_apply: self.auto_apply.unwrap_or(met.auto_apply),
            creator_may_apply: met.creator_may_apply,
            provisional_configuration: met.provisional,
            exec: self.exec,
            query: self.query,
        };
        let wrong: Vec<_> = self
            .rules(met, &options)
            .into_iter()
            .filter(|(broken, ..)| *broken)
            .map(|(_, attribute, message)| (attribute.to_owned(), message.to_owned()))
            .collect();
        if wrong.is_empty() { Ok(options) } else { Err(wrong) }
    }

    /// `(broken, attribute, message)`.
    fn rules(&self, met: &Circumstances, o: &Options) -> [(bool, &'static str, &'static str); 8] {
        [
            (
                o.is_destroy && o.refresh_only,
                "refresh-only",
                "cannot be combined with is-destroy: ask for one of them",
            ),
            (
                o.is_destroy && !met.allow_destroy_plan,
                "is-destroy",
                "destroy plans are not allowed in this workspace: set its allow-destroy-plan first",
            ),
            (
                o.refresh_only && self.refresh == Some(false),
                "refresh",
                "cannot be false in a refresh-only run, which would have nothing to do",
            ),
            (
                self.replaces && (o.is_destroy || o.refresh_only),
                "replace-addrs",
                "resources can be replaced in a normal run only, not with is-destroy or refresh-only",
            ),
            (
                o.exec
                    && (o.plan_only && !o.query
                        || o.save_plan
                        || o.is_destroy
                        || o.refresh_only
                        || o.allow_empty_apply
                        || self.replaces),
                "exec",
                "cannot be combined with what only a plan can be: plan-only, save-plan, is-destroy, refresh-only, \
                 allow-empty-apply, replace-addrs",
            ),
            (
                self.terraform_version.is_some() && !o.plan_only,
                "terraform-version",
                "can be set for plan-only runs only: set plan-only, or change the workspace's terraform-version",
            ),
            (
                met.speculative && self.plan_only == Some(false) && !o.exec,
                "plan-only",
                "must be true: the configuration version is speculative, so it cannot be applied",
            ),
            (
                o.plan_only && o.save_plan,
                "save-plan",
                "cannot be combined with plan-only, whose plan can never be applied",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(asked: &Asked, met: &Circumstances) -> Vec<String> {
        asked.options(met).err().unwrap_or_default().into_iter().map(|(attribute, _)| attribute).collect()
    }

    #[test]
    fn options_that_exclude_each_other_are_refused_by_attribute() {
        let met = Circumstances { allow_destroy_plan: true, ..Circumstances::default() };
        let yes = Some(true);
        let destroy = Asked { is_destroy: yes, ..Asked::default() };
        let refresh_only = Asked { refresh_only: yes, ..Asked::default() };
        let version = Asked { terraform_version: Some("1.5.7".to_owned()), ..Asked::default() };
        assert!(wrong(&destroy, &met).is_empty());
        assert_eq!(wrong(&destroy, &Circumstances::default()), ["is-destroy"]);
        assert_eq!(wrong(&Asked { refresh_only: yes, ..destroy.clone() }, &met), ["refresh-only"]);
        assert_eq!(wrong(&Asked { refresh: Some(false), ..refresh_only.clone() }, &met), ["refresh"]);
        assert!(wrong(&Asked { refresh: Some(false), ..destroy.clone() }, &met).is_empty());
        assert_eq!(wrong(&Asked { replaces: true, ..refresh_only }, &met), ["replace-addrs"]);
        assert_eq!(wrong(&Asked { replaces: true, ..destroy }, &met), ["replace-addrs"]);
        assert_eq!(wrong(&version, &met), ["terraform-version"]);
        assert!(wrong(&Asked { plan_only: yes, ..version.clone() }, &met).is_empty());
        assert!(wrong(&version, &Circumstances { speculative: true, ..met.clone() }).is_empty());
        let both = Asked { plan_only: yes, save_plan: yes, ..Asked::default() };
        assert_eq!(wrong(&both, &met), ["save-plan"]);
        let exec = Asked { exec: true, ..Asked::default() };
        assert_eq!(wrong(&Asked { is_destroy: yes, ..exec.clone() }, &met), ["exec"]);
        let speculative = Circumstances { speculative: true, ..met.clone() };
        assert!(!exec.options(&speculative).unwrap().plan_only, "an operation takes its turn");
        let unplanned = Asked { plan_only: Some(false), ..version };
        assert_eq!(
            wrong(&unplanned, &Circumstances { speculative: true, ..met }),
            ["terraform-version", "plan-only"],
            "all that is wrong is said at once"
        );
    }

    #[test]
    fn options_that_were_not_given_come_from_the_workspace_and_the_configuration() {
        let met = Circumstances {
            speculative: true,
            auto_apply: true,
            creator_may_apply: true,
            ..Circumstances::default()
        };
        let options = Asked::default().options(&met).unwrap();
        let expected =
            Options { plan_only: true, auto_apply: true, creator_may_apply: true, ..Options::default() };
        assert_eq!(options, expected);
        let manual = Asked { auto_apply: Some(false), ..Asked::default() };
        assert!(!manual.options(&met).unwrap().auto_apply);
    }
}
