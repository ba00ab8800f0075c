//! How many statements a piece of work executes.
//!
//! Whoever answers a request counts them ([`counted`]); they are told as a metric, and a test holds every list to a number
//! that does not grow with its rows. Beginning and committing a transaction are no statements here, and work that was
//! spawned counts for nobody.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
};

tokio::task_local! {
    static EXECUTED: AtomicU64;
}

/// Does the work; what came of it, and how many statements it executed.
pub async fn counted<T>(work: impl Future<Output = T>) -> (T, u64) {
    let told = async {
        let value = work.await;
        (value, EXECUTED.with(|executed| executed.load(Ordering::Relaxed)))
    };
    EXECUTED.scope(AtomicU64::new(0), told).await
}

/// Notes that a statement is executed.
pub(crate) fn note() {
    // Work that nobody counts is not counted.
    let _ = EXECUTED.try_with(|executed| executed.fetch_add(1, Ordering::Relaxed));
}
