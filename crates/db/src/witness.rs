//! What a transaction stores besides its own work, because of the request in which it happens.
//!
//! Whoever answers a request names a [`Witness`] around the work ([`witnessed`]). The first transaction of that work that
//! changed something stores the witness's statements too, before it commits: what they store is there exactly when the
//! change is, and costs no commit of its own. A transaction that changed nothing has no witness, and neither has work that
//! was spawned.

use crate::Arg;
use futures_util::future::BoxFuture;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

/// A statement with its values.
pub type Statement = (&'static str, Vec<Arg>);

/// Says what is to be stored with a change.
pub trait Witness: Send + Sync {
    /// Completes when the witness has seen what it must see before a change is committed. Where transactions and reads
    /// share connections, transactions of the work begin after that; else only their commit waits, by
    /// [`Witness::statements`].
    fn ready(&self) -> BoxFuture<'_, ()>;

    /// The statements. Asked when the change is about to be committed; again, if that failed and another one follows, so
    /// they must bear to be repeated.
    fn statements(&self) -> BoxFuture<'_, Vec<Statement>>;
}

/// How far the witnessed work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing was changed.
    Nothing,
    /// A commit was tried, and its outcome is not known.
    Perhaps,
    /// A change is committed, and what the witness said with it.
    Surely,
}

/// The work of one request and its witness.
pub struct Witnessed {
    witness: Box<dyn Witness>,
    stored: AtomicU8,
}

impl std::fmt::Debug for Witnessed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Witnessed").field(&self.stored()).finish()
    }
}

tokio::task_local! {
    static CURRENT: Arc<Witnessed>;
}

impl Witnessed {
    /// Work that has not begun.
    pub fn new(witness: impl Witness + 'static) -> Arc<Self> {
        Arc::new(Self { witness: Box::new(witness), stored: AtomicU8::new(0) })
    }

    /// How far it has come.
    pub fn stored(&self) -> Stored {
        match self.stored.load(Ordering::SeqCst) {
            0 => Stored::Nothing,
            1 => Stored::Perhaps,
            _ => Stored::Surely,
        }
    }

    /// Does the work.
    pub async fn during<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The one whose work this is, if it has stored nothing yet.
    pub(crate) fn waiting() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok().filter(|current| current.stored() != Stored::Surely)
    }

    pub(crate) async fn ready(&self) {
        self.witness.ready().await;
    }

    pub(crate) async fn statements(&self) -> Vec<Statement> {
        self.witness.statements().await
    }

    pub(crate) fn note(&self, stored: Stored) {
        let level = match stored {
            Stored::Nothing => 0,
            Stored::Perhaps => 1,
            Stored::Surely => 2,
        };
        self.stored.fetch_max(level, Ordering::SeqCst);
    }
}
