//! Whether a state may become its workspace's current one: a pure decision, asked before the work and again in the
//! transaction. Source: semantics.md §4.1, in the order of its table.
//!
//! `force` stands for a person who was asked and said yes: the command line sends it when a state is migrated into a
//! workspace that has one already, and then neither the lineage nor the serials of the two are related. The state that
//! is replaced stays among the versions. The lock and the bytes are never a matter of force.

use authz::Actor;
use db::{FromRow, Tx, args};
use http_api::{App, Error, Result};
use workspaces::{Workspace, lock};

/// Who holds the lock, as the caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The workspace is unlocked.
    Nobody,
    /// The caller.
    Caller,
    /// Another user, a team or a run.
    Other,
}

impl Holder {
    /// The holder of a workspace's lock.
    pub fn of(workspace: &Workspace, actor: &Actor) -> Self {
        match workspace.lock_kind {
            None => Self::Nobody,
            Some(_) if lock::held_by(workspace, actor) => Self::Caller,
            Some(_) => Self::Other,
        }
    }
}

/// The current state.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Known {
    /// As the one who stored it claimed.
    pub serial: i64,
    /// Of the file, hex.
    pub md5: String,
    /// Empty when nobody told.
    pub lineage: String,
}

/// What a request says of the state that it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The serial that counts; the one inside the file does not.
    pub serial: i64,
    /// Of the file, 32 hexadecimal digits in lower case.
    pub md5: String,
    /// Where the request gives one.
    pub lineage: Option<String>,
    /// Whether it may replace a newer state, or one of another lineage.
    pub force: bool,
}

/// Why a state is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody holds the lock.
    Unlocked,
    /// Somebody else holds it.
    LockedByOther,
    /// A newer state than this is stored.
    Older,
    /// Another state of the same serial is stored.
    OtherContent,
    /// The stored state has another history.
    OtherLineage,
    /// The bytes are not those that were announced.
    OtherBytes,
}

/// The verdict. `actual` is the MD5 of the bytes, once they are known.
pub fn verdict(
    holder: Holder,
    known: Option<&Known>,
    claim: &Claim,
    actual: Option<&str>,
) -> Result<(), Refusal> {
    match holder {
        Holder::Nobody => return Err(Refusal::Unlocked),
        Holder::Other => return Err(Refusal::LockedByOther),
        Holder::Caller => {}
    }
    if let Some(known) = known.filter(|_| !claim.force) {
        if claim.serial < known.serial {
            return Err(Refusal::Older);
        }
        if claim.serial == known.serial && claim.md5 != known.md5 {
            return Err(Refusal::OtherContent);
        }
        let differs = claim.lineage.as_deref().is_some_and(|lineage| lineage != known.lineage);
        if differs && !known.lineage.is_empty() {
            return Err(Refusal::OtherLineage);
        }
    }
    if actual.is_some_and(|md5| md5 != claim.md5) { Err(Refusal::OtherBytes) } else { Ok(()) }
}

impl Refusal {
    /// As the client hears it. `holder` names who holds the lock (`User alice`).
    fn explain(self, known: Option<&Known>, claim: &Claim, holder: &str) -> Error {
        let latest = known.map_or(0, |known| known.serial);
        match self {
            Self::Unlocked => Error::conflict(
                "State can be stored only while the workspace is locked: lock the workspace, then store the state.",
            ),
            Self::LockedByOther => Error::conflict(format!(
                "State can be stored only by who locked the workspace. The workspace is locked by {holder}."
            )),
            Self::Older => Error::PreconditionFailed(format!(
                "The serial {} is lower than {latest}, the serial of the workspace's current state. Read the current \
                 state, and give what is stored next a higher serial.",
                claim.serial
            )),
            Self::OtherContent => Error::conflict(format!(
                "The md5 {} does not match the md5 known for the state of serial {latest}. Read the current state, and \
                 give what is stored next a higher serial.",
                claim.md5
            )),
            Self::OtherLineage => Error::conflict(
                "The lineage does not match that of the workspace's current state, so this state belongs to something \
                 else. Store it in another workspace; or with `force`, if it is meant to replace the current one.",
            ),
            Self::OtherBytes => wrong_bytes(&claim.md5),
        }
    }
}

/// 422 for bytes that were announced with another MD5.
pub(crate) fn wrong_bytes(announced: &str) -> Error {
    Error::invalid("md5", format!("Md5 {announced} does not match the state that came with it"))
}

const KNOWN: &str = "SELECT v.serial, v.md5, v.lineage FROM workspaces w
  JOIN state_versions v ON v.id = w.current_state_version_id WHERE w.id = $1";

/// The current state of a workspace.
pub(crate) async fn known(app: &App, workspace: &Workspace) -> Result<Option<Known>> {
    app.db.one(KNOWN, args![&workspace.id]).await
}

/// The verdict as things seem to be, before the work that a refusal would waste.
pub(crate) async fn expect(app: &App, workspace: &Workspace, actor: &Actor, claim: &Claim) -> Result<()> {
    let known = known(app, workspace).await?;
    match verdict(Holder::of(workspace, actor), known.as_ref(), claim, None) {
        Ok(()) => Ok(()),
        Err(refusal) => {
            let holder = lock::holder_name(&mut app.db.begin().await?, workspace).await?;
            Err(refusal.explain(known.as_ref(), claim, &holder))
        }
    }
}

/// The verdict as things are. Call with the workspace's row held.
pub(crate) async fn decide(
    tx: &mut Tx,
    workspace: &Workspace,
    actor: &Actor,
    claim: &Claim,
    actual: Option<&str>,
) -> Result<()> {
    let known: Option<Known> = tx.one(KNOWN, args![&workspace.id]).await?;
    match verdict(Holder::of(workspace, actor), known.as_ref(), claim, actual) {
        Ok(()) => Ok(()),
        Err(refusal) => {
            let holder = lock::holder_name(tx, workspace).await?;
            Err(refusal.explain(known.as_ref(), claim, &holder))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Holder::*, *};

    fn known() -> Known {
        Known { serial: 5, md5: "a".to_owned(), lineage: "l".to_owned() }
    }

    fn claim(serial: i64, md5: &str, lineage: Option<&str>, force: bool) -> Claim {
        Claim { serial, md5: md5.to_owned(), lineage: lineage.map(str::to_owned), force }
    }

    fn judge(holder: Holder, claim: &Claim, actual: Option<&str>) -> Result<(), Refusal> {
        verdict(holder, Some(&known()), claim, actual)
    }

    #[test]
    fn a_state_is_stored_only_under_the_callers_own_lock() {
        let next = claim(6, "b", None, true);
        assert_eq!(judge(Nobody, &next, None), Err(Refusal::Unlocked));
        assert_eq!(judge(Other, &next, None), Err(Refusal::LockedByOther));
        assert_eq!(judge(Caller, &next, None), Ok(()));
    }

    #[test]
    fn serial_md5_and_lineage_are_compared_with_the_current_state() {
        let table = [
            (claim(4, "a", None, false), Err(Refusal::Older)),
            (claim(4, "c", None, true), Ok(())),
            (claim(5, "a", None, false), Ok(())),
            (claim(5, "b", None, false), Err(Refusal::OtherContent)),
            (claim(5, "b", None, true), Ok(())),
            (claim(6, "b", None, false), Ok(())),
            (claim(6, "b", Some("l"), false), Ok(())),
            (claim(6, "b", Some("m"), false), Err(Refusal::OtherLineage)),
            (claim(6, "b", Some("m"), true), Ok(())),
        ];
        for (claim, expected) in table {
            assert_eq!(judge(Caller, &claim, None), expected, "{claim:?}");
        }
    }

    #[test]
    fn the_first_state_may_have_any_serial_and_lineage() {
        assert_eq!(verdict(Caller, None, &claim(0, "a", Some("x"), false), Some("a")), Ok(()));
    }

    #[test]
    fn a_state_without_a_known_lineage_may_be_followed_by_any() {
        let unknown = Known { lineage: String::new(), ..known() };
        assert_eq!(verdict(Caller, Some(&unknown), &claim(6, "b", Some("m"), false), None), Ok(()));
    }

    #[test]
    fn of_several_reasons_the_first_of_the_table_is_told() {
        let all_wrong = claim(4, "b", Some("m"), false);
        assert_eq!(judge(Nobody, &claim(4, "b", Some("m"), true), Some("c")), Err(Refusal::Unlocked));
        assert_eq!(judge(Nobody, &all_wrong, Some("c")), Err(Refusal::Unlocked));
        assert_eq!(judge(Caller, &all_wrong, Some("c")), Err(Refusal::Older));
        assert_eq!(judge(Caller, &claim(5, "b", Some("m"), false), Some("c")), Err(Refusal::OtherContent));
        assert_eq!(judge(Caller, &claim(6, "b", Some("m"), false), Some("c")), Err(Refusal::OtherLineage));
        assert_eq!(judge(Caller, &claim(6, "b", Some("m"), true), Some("c")), Err(Refusal::OtherBytes));
        assert_eq!(judge(Caller, &claim(6, "b", Some("m"), true), Some("b")), Ok(()));
    }

    #[test]
    fn refusals_have_the_statuses_that_clients_expect() {
        let claim = claim(4, "b", None, false);
        let explain = |refusal: Refusal| refusal.explain(Some(&known()), &claim, "Run run-1");
        assert!(matches!(explain(Refusal::Older), Error::PreconditionFailed(_)));
        assert!(matches!(explain(Refusal::OtherBytes), Error::Invalid(_)));
        for refusal in
            [Refusal::Unlocked, Refusal::OtherContent, Refusal::OtherLineage, Refusal::LockedByOther]
        {
            assert!(matches!(explain(refusal), Error::Conflict { title: "conflict", .. }), "{refusal:?}");
        }
        assert!(explain(Refusal::LockedByOther).to_string().contains("is locked by Run run-1"));
    }
}
