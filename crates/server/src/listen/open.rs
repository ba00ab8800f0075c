//! What is open: requests, and answers that are still on their way. An end waits for these, and not for connections that
//! merely stay.

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::Notify;

/// What is open on one listener.
#[derive(Debug, Default)]
pub(super) struct Open {
    count: AtomicUsize,
    /// Moves whenever something happens.
    moves: AtomicUsize,
    one_ended: Notify,
}

impl Open {
    /// A request begins, or a wait for a peer to take what is written.
    pub(super) fn begin(self: &Arc<Self>) -> Guard {
        self.count.fetch_add(1, SeqCst);
        self.moved();
        Guard(self.clone())
    }

    /// Something was written.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, SeqCst);
    }

    /// Completes when nothing has been open and nothing was written for `quiet`.
    pub(super) async fn quiet_for(&self, quiet: Duration) {
        loop {
            while self.count.load(SeqCst) > 0 {
                self.one_ended.notified().await;
            }
            let before = self.moves.load(SeqCst);
            tokio::time::sleep(quiet).await;
            if self.count.load(SeqCst) == 0 && self.moves.load(SeqCst) == before {
                return;
            }
        }
    }
}

/// Something is open until this is dropped.
#[derive(Debug)]
pub(super) struct Guard(Arc<Open>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, SeqCst);
        self.0.one_ended.notify_one();
    }
}

/// The body of an answer: until all of it is handed to the connection, its request is open.
#[derive(Debug)]
pub(super) struct Answer {
    body: axum::body::Body,
    _request: Guard,
}

impl Answer {
    pub(super) fn new(body: axum::body::Body, request: Guard) -> Self {
        Self { body, _request: request }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
