//! Which requests are open, so that an end waits for them and not for connections that merely stay.

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

/// The requests of one listener.
#[derive(Debug, Default)]
pub(super) struct Open {
    count: AtomicUsize,
    one_ended: Notify,
}

impl Open {
    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> Request {
        self.count.fetch_add(1, SeqCst);
        Request(self.clone())
    }

    /// Completes when none has been open for `quiet`: answers are then with their readers, as far as they take them.
    pub(super) async fn quiet_for(&self, quiet: Duration) {
        loop {
            while self.count.load(SeqCst) > 0 {
                self.one_ended.notified().await;
            }
            tokio::time::sleep(quiet).await;
            if self.count.load(SeqCst) == 0 {
                return;
            }
        }
    }
}

/// A request, open until this is dropped.
#[derive(Debug)]
pub(super) struct Request(Arc<Open>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, SeqCst);
        self.0.one_ended.notify_one();
    }
}

/// The body of an answer: while it is sent, its request is open.
#[derive(Debug)]
pub(super) struct Answer {
    body: axum::body::Body,
    _request: Request,
}

impl Answer {
    pub(super) fn new(body: axum::body::Body, request: Request) -> Self {
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
