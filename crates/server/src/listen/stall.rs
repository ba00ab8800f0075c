//! Ends what makes no progress: a body that stops coming, an answer that is not taken. Slow is fine; still is not.
//!
//! A timer exists only while something is waited for, so that nothing is paid for what flows.

use super::open::{Guard, Open};
use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Counts while something is pending.
#[derive(Debug)]
struct Watch {
    limit: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        Self { limit, running: None }
    }

    /// Passes a result on, unless it is pending for too long.
    fn over<T>(&mut self, poll: Poll<T>, cx: &mut Context<'_>, late: impl FnOnce() -> T) -> Poll<T> {
        if poll.is_ready() {
            self.running = None;
            return poll;
        }
        let limit = self.limit;
        let timer = self.running.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).map(|()| late())
    }
}

fn stalled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} made no progress"))
}

/// A connection whose peer must take what is written. While it does not, that is open.
#[derive(Debug)]
pub(super) struct Taken<S> {
    stream: S,
    watch: Watch,
    open: Arc<Open>,
    waiting: Option<Guard>,
}

impl<S> Taken<S> {
    pub(super) fn new(stream: S, limit: Duration, open: Arc<Open>) -> Self {
        Self { stream, watch: Watch::new(limit), open, waiting: None }
    }

    fn taken<T>(&mut self, poll: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let poll = self.watch.over(poll, cx, || Err(stalled("the answer")));
        if poll.is_ready() {
            self.waiting = None;
        } else if self.waiting.is_none() {
            self.waiting = Some(self.open.begin());
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.open.moved();
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.taken(poll, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open.moved();
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.taken(poll, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.taken(poll, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch.over(poll, cx, || Err(stalled("the connection's end")))
    }
}

/// The body of a request, whose parts must keep coming.
#[derive(Debug)]
pub(super) struct Coming {
    body: Incoming,
    watch: Watch,
}

impl Coming {
    pub(super) fn new(body: Incoming, limit: Duration) -> Self {
        Self { body, watch: Watch::new(limit) }
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(Into::into)));
        self.watch.over(poll, cx, || Some(Err(stalled("the request's body").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
