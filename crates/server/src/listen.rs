//! The listener: HTTP/1.1 and HTTP/2, over TLS or plain, ending gracefully.
//!
//! A connection costs its peer something: who sends no request in time, stops in the middle of one or of its body, or does
//! not take the answer, is cut off ([`Patience`]). Requests may take as long as they need.

mod open;
mod stall;

use crate::tls::Certificates;
use axum::{Router, body::Body, extract::Request};
use http_api::origin::Peer;
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use open::{Answer, Open};
use stall::{Coming, Taken};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// Connections at a time; beyond that new ones wait to be accepted.
const CONNECTIONS: usize = 4096;

/// How long a peer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the TLS handshake, and then for the head of the first request.
    pub first: Duration,
    /// Between requests of HTTP/1.1, until the next one's head is complete.
    pub next: Duration,
    /// For the next part of a body, and for the peer to take a part of an answer.
    pub still: Duration,
    /// At the end: for more to happen once nothing is open, such as HTTP/2's farewell.
    pub linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        // Clients keep connections for 90 seconds or less and take an end of theirs well; balancers like 60 or more.
        Self { first: seconds(15), next: seconds(75), still: seconds(60), linger: seconds(1) }
    }
}

/// What a connection needs.
#[derive(Clone)]
struct Serving {
    acceptor: Option<TlsAcceptor>,
    router: Router,
    patience: Patience,
    open: Arc<Open>,
}

/// Serves until `closing` completes, then lets open requests finish until the instant that it gives, and returns that.
///
/// # Errors
/// When TLS cannot be set up. Whatever happens to a connection ends that connection alone.
pub async fn serve(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    router: Router,
    patience: Patience,
    closing: impl Future<Output = Instant>,
) -> io::Result<Instant> {
    let config = certificates.map(|certificates| certificates.server_config()).transpose();
    let acceptor = config.map_err(io::Error::other)?.map(|config| TlsAcceptor::from(Arc::new(config)));
    let serving = Serving { acceptor, router, patience, open: Arc::default() };
    let graceful = GracefulShutdown::new();
    let (closed, when_closed) = watch::channel(());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut closing = std::pin::pin!(closing);
    let deadline = loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.map_err(io::Error::other)?,
            deadline = &mut closing => break deadline,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the peer is gone already: neither ends the server.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            deadline = &mut closing => break deadline,
        };
        let (serving, watcher, when_closed) = (serving.clone(), graceful.watcher(), when_closed.clone());
        tokio::spawn(async move {
            serving.connection(stream, Peer(peer.ip()), watcher, when_closed).await;
            drop(place);
        });
    };
    drop((listener, closed));
    // A peer that does not react keeps its connection for ever; without a request that is its own affair.
    tokio::select! {
        () = graceful.shutdown() => {}
        () = serving.open.quiet_for(patience.linger) => {}
        () = tokio::time::sleep_until(deadline) => {
            tracing::warn!("some requests had not ended within the grace period");
        }
    }
    Ok(deadline)
}

impl Serving {
    async fn connection(
        self,
        stream: TcpStream,
        peer: Peer,
        watcher: Watcher,
        mut closed: watch::Receiver<()>,
    ) {
        // Without it small answers wait 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = self.acceptor.clone() else { return self.http(stream, peer, watcher).await };
        let handshake = tokio::time::timeout(self.patience.first, acceptor.accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            // Nothing was asked yet, so there is nothing to finish.
            _ = closed.changed() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.http(stream, peer, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn http<S>(self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { router, patience, open, .. } = self;
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.next);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(patience.still / 2));
        let asked = Arc::new(AtomicBool::new(false));
        let mark = asked.clone();
        let io = TokioIo::new(Taken::new(stream, patience.still, open.clone()));
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            mark.store(true, Relaxed);
            let (open, mut router) = (open.begin(), router.clone());
            async move {
                let mut request = request_of(request, patience.still);
                request.extensions_mut().insert(peer);
                let Ok(answer) = router.call(request).await;
                Ok::<_, Infallible>(answer.map(|body| Answer::new(body, open)))
            }
        });
        let served = watcher.watch(builder.serve_connection(io, service).into_owned());
        // The library bounds neither the wait for the version of HTTP nor HTTP/2's preface.
        let late = async {
            tokio::time::sleep(patience.first).await;
            if asked.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            served = served => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = late => tracing::debug!("a connection sent no request in time"),
        }
    }
}

fn request_of(request: hyper::Request<Incoming>, still: Duration) -> Request {
    request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(Coming::new(body, still)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use futures_util::StreamExt;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Long for a machine, short for a person.
    const SOON: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(3600);
    /// A test that waits for longer has failed.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Running {
        address: SocketAddr,
        close: tokio::sync::oneshot::Sender<Instant>,
        served: tokio::task::JoinHandle<io::Result<Instant>>,
    }

    async fn running(router: Router, patience: Patience) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closing) = tokio::sync::oneshot::channel();
        let closing = async move { closing.await.unwrap() };
        Running { address, close, served: tokio::spawn(serve(listener, None, router, patience, closing)) }
    }

    fn patience(first: Duration, next: Duration, still: Duration) -> Patience {
        Patience { first, next, still, linger: SOON }
    }

    fn echo() -> Router {
        Router::new().route("/", get(|| async { "here" })).route("/", post(|body: String| async { body }))
    }

    /// What the peer gets until the server ends the connection.
    async fn sent(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The end may come as a reset, when the server did not want to read on.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn who_sends_no_request_is_cut_off_in_every_state() {
        let server = running(echo(), patience(SOON, LONG, LONG)).await;
        for start in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n"] {
            let answer = sent(server.address, start).await;
            assert!(!answer.contains("200"), "{start:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_asked_may_wait_for_its_next_request_longer() {
        let server = running(echo(), patience(SOON, 4 * SOON, LONG)).await;
        let begun = Instant::now();
        let answer = sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer.ends_with("here"), "{answer}");
        assert!(begun.elapsed() >= 4 * SOON, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_ends_its_request() {
        let server = running(echo(), patience(LONG, LONG, SOON)).await;
        let answer = sent(server.address, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhal").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_ends_its_connection() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(Some(held)));
        let endless = move || async move {
            let held = held.lock().unwrap().take();
            let part = move |_| {
                let _ = &held;
                Ok::<_, io::Error>(vec![b'x'; 1 << 16])
            };
            Body::from_stream(futures_util::stream::iter(0..).map(part))
        };
        let server = running(Router::new().route("/", get(endless)), patience(LONG, LONG, SOON)).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        tokio::time::timeout(PATIENCE, dropped).await.expect("the server gives up").unwrap_err();
    }

    #[tokio::test]
    async fn at_the_end_an_answer_that_is_taken_slowly_arrives_whole() {
        let large = get(|| async { vec![b'x'; 64 << 20] });
        let server = running(Router::new().route("/", large), patience(LONG, LONG, LONG)).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        server.close.send(Instant::now() + LONG).unwrap();
        // The answer is in the server's memory now, and the peer takes its time.
        tokio::time::sleep(4 * SOON).await;
        assert!(!server.served.is_finished(), "its end would end the process, and the answer with it");
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.len() > 64 << 20, "{}", rest.len());
        tokio::time::timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn at_the_end_open_requests_finish_and_idle_connections_do_not_hold_it_up() {
        let (go, gate) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let (begun, finish) = (go.clone(), gate.clone());
        let slow = move || async move {
            begun.notify_one();
            finish.notified().await;
            "finished"
        };
        let server = running(Router::new().route("/", get(slow)), patience(LONG, LONG, LONG)).await;
        let _idle = TcpStream::connect(server.address).await.unwrap();
        let request = tokio::spawn(sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        go.notified().await;
        server.close.send(Instant::now() + LONG).unwrap();
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!server.served.is_finished(), "the request is still open");
        gate.notify_one();
        assert!(request.await.unwrap().ends_with("finished"));
        tokio::time::timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn at_the_end_a_peer_that_does_not_react_is_not_waited_for() {
        let server = running(echo(), patience(LONG, LONG, LONG)).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // HTTP/2's preface and empty settings; the settings in return say that the connection stands.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        server.close.send(Instant::now() + LONG).unwrap();
        tokio::time::timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_request_that_outlasts_the_grace_period_is_left_behind() {
        let begun = Arc::new(tokio::sync::Notify::new());
        let mark = begun.clone();
        let never = move || async move {
            mark.notify_one();
            std::future::pending::<()>().await;
        };
        let server = running(Router::new().route("/", get(never)), Patience::default()).await;
        let _request = tokio::spawn(sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        begun.notified().await;
        server.close.send(Instant::now() + SOON).unwrap();
        tokio::time::timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
    }
}
