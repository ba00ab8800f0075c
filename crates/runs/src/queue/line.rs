//! The line of a workspace: its unfinished runs in the order of creation, and its lock.

use crate::life::{Refused, Run, Status};
use kernel::ids::RunId;

/// Who has locked the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "name")]
pub enum Lock {
    /// Nobody.
    #[default]
    Free,
    /// A user, by name.
    User(String),
    /// A team, by name.
    Team(String),
    /// A run.
    Run(RunId),
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Free => write!(f, "nobody"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Team(name) => write!(f, "team {name}"),
            Self::Run(id) => write!(f, "run {id}"),
        }
    }
}

/// A run in the line.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: &'a RunId,
    /// Its facts.
    pub run: &'a Run,
}

/// A workspace's line.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Who has locked the workspace.
    pub lock: Lock,
    /// Every run of the workspace that has not ended, oldest first. Ended ones in between do no harm.
    pub open: Vec<Entry<'a>>,
}

/// What keeps a run from going on. TFE has no such attribute; it is ours.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum WaitingFor {
    /// A person or a team has locked the workspace.
    Lock {
        /// Who.
        holder: Lock,
    },
    /// Another run is at work in the workspace, or is to go first.
    RunAhead {
        /// The run at the head of the line.
        run: RunId,
        /// Where it stands.
        status: Status,
        /// How many runs go first, that one included.
        ahead: usize,
    },
    /// All runners are busy, or none is connected.
    Runner,
    /// The workspace's runs are for agents, and this server has none connected.
    Agent {
        /// The pool whose agents may carry it out.
        pool: String,
        /// Its name.
        name: String,
        /// Whether the pool allows the workspace.
        allowed: bool,
    },
    /// The organization has as many runs at work as its subscription allows.
    RunsCeiling {
        /// How many that is.
        ceiling: u32,
    },
}

impl std::fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lock { holder } => {
                write!(f, "The workspace is locked by {holder}. The run starts once it is unlocked.")
            }
            Self::RunAhead { run, status, ahead } => {
                match ahead {
                    0 | 1 => write!(f, "One run goes first: {run}, which is {status}.")?,
                    n => write!(f, "{n} runs go first, beginning with {run}, which is {status}.")?,
                }
                match status {
                    Status::Planned => write!(f, " Confirm or discard that run to let the line go on."),
                    _ => Ok(()),
                }
            }
            Self::Runner => write!(f, "The run waits for a free runner."),
            Self::Agent { pool, name, allowed } => {
                write!(
                    f,
                    "The run waits for an agent of pool {name} ({pool}), and this server has no agent connected. Set the \
                     execution mode to remote to let the server carry it out."
                )?;
                match allowed {
                    true => Ok(()),
                    false => write!(f, " The pool does not allow this workspace either."),
                }
            }
            Self::RunsCeiling { ceiling } => write!(
                f,
                "The organization may have {ceiling} run(s) at work at a time and has them; the run starts when one of them \
                 ends."
            ),
        }
    }
}

impl<'a> Line<'a> {
    /// The pending runs that may start now ([`crate::life::Event::Started`]), oldest first: those that do not stand in
    /// the line, and the oldest of the others if nobody has locked the workspace and no run is at work in it.
    pub fn startable(&self) -> Vec<&'a RunId> {
        let free = self.lock == Lock::Free && self.active().is_none();
        let mut turn_given = !free;
        let mut startable = Vec::new();
        for Entry { id, run } in self.pending() {
            if run.waits_its_turn() && std::mem::replace(&mut turn_given, true) {
                continue;
            }
            startable.push(id);
        }
        startable
    }

    /// What the run waits for; `None` when it does not wait for any of these, or is not in the line.
    ///
    /// A run that may start at once is said to wait for a runner: that is what it does next.
    pub fn waiting_for(&self, id: &RunId) -> Option<WaitingFor> {
        let place = self.open.iter().position(|e| e.id == id)?;
        let run = self.open[place].run;
        match run.status {
            Status::PlanQueued | Status::ApplyQueued => return Some(WaitingFor::Runner),
            Status::Pending if !run.waits_its_turn() => return Some(WaitingFor::Runner),
            Status::Pending => {}
            _ => return None,
        }
        if matches!(self.lock, Lock::User(_) | Lock::Team(_)) {
            return Some(WaitingFor::Lock { holder: self.lock.clone() });
        }
        let mut ahead = self.ahead_of(place).peekable();
        let first = match ahead.peek() {
            Some(first) => *first,
            // A lock by a run that is not in the line cannot be; say what is known rather than nothing.
            None if self.lock != Lock::Free => return Some(WaitingFor::Lock { holder: self.lock.clone() }),
            None => return Some(WaitingFor::Runner),
        };
        Some(WaitingFor::RunAhead { run: first.id.clone(), status: first.run.status, ahead: ahead.count() })
    }

    /// What the workspace's `current-run` should show: the stored one, but the first waiting run while a person or a
    /// team holds the lock and the stored one has ended. The command line prints that the workspace is locked only
    /// when it finds a pending current run.
    pub fn current_run(&self, stored: Option<&'a RunId>) -> Option<&'a RunId> {
        let by_hand = matches!(self.lock, Lock::User(_) | Lock::Team(_));
        let at_work = stored.is_some_and(|id| self.open.iter().any(|e| e.id == id && !e.run.is_final()));
        if by_hand && !at_work { self.waiting().next().map(|e| e.id).or(stored) } else { stored }
    }

    /// Whether the workspace lets this run be confirmed. A run that holds the lock may go on; a saved plan takes the
    /// workspace only now, so it must be free. That the run is confirmable at all is [`crate::life::step`]'s matter.
    ///
    /// # Errors
    /// [`Refused`] that says who is in the way.
    pub fn may_confirm(&self, entry: Entry<'_>) -> Result<(), Refused> {
        let refused = |needed| Err(Refused { status: entry.run.status, wanted: "be confirmed", needed });
        if entry.run.holds_lock {
            return Ok(());
        }
        if self.lock != Lock::Free {
            return refused(format!("the workspace is locked by {}", self.lock));
        }
        match self.active() {
            Some(other) => refused(format!("run {} is at work in the workspace", other.id)),
            None => Ok(()),
        }
    }

    /// The run that is at work in the workspace: it has left the line and holds the lock until it ends.
    pub(super) fn active(&self) -> Option<Entry<'a>> {
        self.open.iter().copied().find(|e| e.run.holds_lock)
    }

    fn pending(&self) -> impl Iterator<Item = Entry<'a>> {
        self.open.iter().copied().filter(|e| e.run.status == Status::Pending)
    }

    /// Those that wait for their turn, oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Entry<'a>> {
        self.pending().filter(|e| e.run.waits_its_turn())
    }

    /// Those that must end before the pending run at this place may start: the one at work, then the older waiting.
    pub(super) fn ahead_of(&self, place: usize) -> impl Iterator<Item = Entry<'a>> {
        let older = self.open[..place].iter().copied();
        let waiting = older.filter(|e| e.run.status == Status::Pending && e.run.waits_its_turn());
        self.active().into_iter().chain(waiting)
    }
}
