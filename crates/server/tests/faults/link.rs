//! The way between the command line and the server: HTTPS on `localhost`, with a certificate of its own, before a server
//! that speaks plain HTTP. It goes away and comes back with the server, and holds one request or its answer at a chosen
//! point for a test that does something to the server just then.
//!
//! It speaks HTTP/1.1, one request of a connection after the other. The server's own TLS and HTTP/2 are met by
//! `it/program/restart.rs`.

use crate::program::PATIENCE;
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

/// Where a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The server knows nothing of it.
    Request,
    /// The server has the head and so many bytes of the body.
    Body(usize),
    /// The server has all of it.
    Sent,
    /// The server has answered, and the command line does not know.
    Answer,
}

/// A request that is held when it comes, once.
struct Trap {
    method: &'static str,
    /// A part of the path.
    path: &'static str,
    point: Point,
    come: Sender<()>,
    go: Receiver<()>,
}

/// The test's end of a trap. Whoever drops it cuts off what is held.
pub(crate) struct Held {
    come: Receiver<()>,
    go: Sender<()>,
    point: Point,
    what: String,
}

impl Held {
    /// Whether it is held before the server.
    pub(crate) fn unknown_to_the_server(&self) -> bool {
        self.point == Point::Request
    }

    /// Waits until the request has come to the point.
    pub(crate) fn wait(&self) {
        let came = self.come.recv_timeout(PATIENCE);
        assert!(came.is_ok(), "no {} came", self.what);
    }

    /// Lets it go on.
    pub(crate) fn release(self) {
        // Gone when the connection has ended meanwhile.
        let _ = self.go.send(());
    }
}

#[derive(Default)]
struct Shared {
    server: u16,
    trap: Mutex<Option<Trap>>,
    /// Connections of command lines.
    open: Mutex<Vec<TcpStream>>,
    down: AtomicBool,
}

/// See the module.
pub(crate) struct Link {
    port: u16,
    front: u16,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Link {
    /// Before the server on this port; the file `authority` is written, for those who shall trust it. `front` says through
    /// which port they come to that of the link.
    pub(crate) fn new(server: u16, authority: &Path, front: impl FnOnce(u16) -> u16) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(authority, made.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let shared = Arc::new(Shared { server, ..Shared::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut link = Self { port, front: front(port), tls: Arc::new(tls), shared, accepting: None };
        link.listen(listener);
        link
    }

    /// What command lines call the server.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.front)
    }

    fn listen(&mut self, listener: TcpListener) {
        let (shared, tls) = (self.shared.clone(), self.tls.clone());
        shared.down.store(false, SeqCst);
        self.accepting = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.down.load(SeqCst) {
                    return;
                }
                let (stream, shared, tls) = (stream.unwrap(), shared.clone(), tls.clone());
                shared.open.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || {
                    // However it ends, the other side sees that and nothing else.
                    let _ = carry(&shared, &tls, &stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        }));
    }

    /// Whatever command lines have open breaks off, and new connections are refused.
    pub(crate) fn cut(&mut self) {
        self.shared.down.store(true, SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.accepting.take().unwrap().join().unwrap();
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections come through again.
    pub(crate) fn mend(&mut self) {
        self.listen(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
    }

    /// Holds the next request with this method whose path contains `path`.
    pub(crate) fn hold(&self, method: &'static str, path: &'static str, point: Point) -> Held {
        let (come, came) = channel();
        let (go, gone) = channel();
        *self.shared.trap.lock().unwrap() = Some(Trap { method, path, point, come, go: gone });
        Held { come: came, go, point, what: format!("{method} …{path}… to {point:?}") }
    }
}

impl Shared {
    /// The trap for this request, if it is the one.
    fn trap(&self, head: &str) -> Option<Trap> {
        let mut words = head.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        self.trap.lock().unwrap().take_if(|trap| trap.method == method && path.contains(trap.path))
    }
}

impl Trap {
    /// Waits here until the test lets it go on.
    fn spring(self) -> io::Result<()> {
        let broken = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
        self.come.send(()).map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        self.go.recv().map_err(broken)
    }
}

/// Carries one connection's requests and answers.
fn carry(shared: &Shared, tls: &Arc<ServerConfig>, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(tls.clone()).map_err(io::Error::other)?;
    let mut near = BufReader::new(StreamOwned::new(connection, stream.try_clone()?));
    let mut far: Option<BufReader<TcpStream>> = None;
    loop {
        let Some(head) = head(&mut near)? else { return Ok(()) };
        if far.is_none() {
            let server = TcpStream::connect(("127.0.0.1", shared.server))?;
            server.set_nodelay(true)?;
            far = Some(BufReader::new(server));
        }
        let server = far.as_mut().expect("connected just now");
        let mut trap = shared.trap(&head);
        let point = trap.as_ref().map(|trap| trap.point);
        let mut at = |here: fn(Point) -> bool| match point {
            Some(point) if here(point) => trap.take().map_or(Ok(()), Trap::spring),
            _ => Ok(()),
        };
        at(|point| point == Point::Request)?;
        server.get_mut().write_all(head.as_bytes())?;
        let length = length(&head).unwrap_or(0);
        let first = if let Some(Point::Body(bytes)) = point { bytes.min(length) } else { 0 };
        io::copy(&mut near.by_ref().take(first as u64), server.get_mut())?;
        at(|point| matches!(point, Point::Body(_)))?;
        io::copy(&mut near.by_ref().take((length - first) as u64), server.get_mut())?;
        at(|point| point == Point::Sent)?;
        if point == Some(Point::Answer) {
            let mut answer = Vec::new();
            pass(server, &mut answer)?;
            at(|point| point == Point::Answer)?;
            near.get_mut().write_all(&answer)?;
        } else {
            pass(server, near.get_mut())?;
        }
        near.get_mut().flush()?;
    }
}

/// The start of a request or an answer, to its empty line; `None` at the connection's end.
fn head(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
    Ok(Some(head))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn length(head: &str) -> Option<usize> {
    field(head, "content-length").map(|value| value.parse().unwrap())
}

/// Passes one answer on.
fn pass(from: &mut BufReader<TcpStream>, to: &mut impl Write) -> io::Result<()> {
    let head = head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    to.write_all(head.as_bytes())?;
    if field(&head, "transfer-encoding").is_none() {
        let length = length(&head).unwrap_or(0);
        let passed = io::copy(&mut from.take(length as u64), to)?;
        return if passed == length as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    }
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        to.write_all(line.as_bytes())?;
        // With the line's end after it.
        if io::copy(&mut from.by_ref().take(size + 2), to)? != size + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.flush()?;
        if size == 0 {
            return Ok(());
        }
    }
}
