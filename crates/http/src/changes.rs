//! What has just changed, for those who look on: pages that are open.
//!
//! Sent after the commit, by the process that made it. A lost one costs a look-on the next look and nothing else; truth is
//! in the database.

use kernel::{
    Env,
    ids::{OrganizationId, RunId, WorkspaceId},
};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;

/// Changes that a look-on may be behind before it is told to look at everything again.
const BEHIND: usize = 1024;

/// Something of a workspace has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub organization: OrganizationId,
    /// What.
    pub workspace: WorkspaceId,
    /// Which run of it, if it was one.
    pub run: Option<RunId>,
}

/// Tells look-ons.
#[derive(Debug)]
pub struct Changes {
    sender: broadcast::Sender<Change>,
    told: AtomicU64,
    /// Tells this process from those before it.
    boot: String,
}

impl Changes {
    /// Of a process that begins.
    pub(crate) fn new(env: &Env) -> Self {
        Self { sender: broadcast::Sender::new(BEHIND), told: AtomicU64::new(0), boot: env.base58(8) }
    }

    /// Tells whoever looks on.
    pub fn tell(&self, change: Change) {
        self.told.fetch_add(1, Ordering::SeqCst);
        // Nobody looks on: nobody is to be told.
        let _ = self.sender.send(change);
    }

    /// What changes from now on.
    pub fn watch(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }

    /// Names this moment: who read before it and looks on since has missed nothing as long as this is the same.
    pub fn mark(&self) -> String {
        format!("{}-{}", self.boot, self.told.load(Ordering::SeqCst))
    }
}
