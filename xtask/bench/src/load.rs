//! A load of one request, again and again over kept connections, that costs little beside what it measures.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

/// One request to one plain HTTP server.
pub(crate) struct Load {
    address: SocketAddr,
    request: String,
    /// Made by the first request: a server ends connections that ask nothing.
    connection: Mutex<Option<TcpStream>>,
}

/// The text of a GET of `path` with `token`.
pub(crate) fn get(path: &str, token: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/vnd.api+json\r\n\r\n"
    )
}

impl Load {
    /// To the server at `url` (`http://ADDRESS:PORT`).
    ///
    /// # Errors
    /// When that is no address.
    pub(crate) fn new(url: &str, request: &str) -> Result<Self> {
        let address =
            url.trim_start_matches("http://").parse().with_context(|| format!("{url} is no address"))?;
        Ok(Self { address, request: request.to_owned(), connection: Mutex::new(None) })
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub(crate) fn once(&self) -> Result<()> {
        let mut connection = self.connection.lock().expect("no thread panicked while it asked");
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(connect(self.address)?),
        };
        ask(connection, &self.request, &mut vec![0; 1 << 20])
    }

    /// Asks `requests` times in all, by `clients` at once; answers a second.
    ///
    /// # Errors
    /// When an answer is not 200.
    pub(crate) fn rate(&self, clients: usize, requests: usize) -> Result<f64> {
        let each = requests / clients;
        let started = Instant::now();
        std::thread::scope(|scope| {
            let client = || {
                let (mut connection, mut buffer) = (connect(self.address)?, vec![0; 1 << 16]);
                (0..each).try_for_each(|_| ask(&mut connection, &self.request, &mut buffer))
            };
            let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
            clients.into_iter().try_for_each(|client| client.join().expect("a client does not panic"))
        })?;
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let answered = (each * clients) as f64;
        Ok(answered / started.elapsed().as_secs_f64())
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
    connection.set_nodelay(true).context("a TCP socket takes TCP_NODELAY")?;
    Ok(connection)
}

/// Sends `request` and reads the whole answer, which must say its length.
fn ask(connection: &mut TcpStream, request: &str, buffer: &mut [u8]) -> Result<()> {
    connection.write_all(request.as_bytes()).context("cannot send a request")?;
    let mut filled = 0;
    let mut whole = None;
    while whole.is_none_or(|whole| filled < whole) {
        ensure!(filled < buffer.len(), "an answer is larger than {} bytes", buffer.len());
        let read = connection.read(&mut buffer[filled..]).context("cannot read an answer")?;
        ensure!(read > 0, "the server closed the connection");
        filled += read;
        if whole.is_none() {
            whole = whole_length(&buffer[..filled])?;
        }
    }
    Ok(())
}

/// The length of the answer whose beginning is `bytes`, head included; none while its head is not complete.
fn whole_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("a request was answered: {}", String::from_utf8_lossy(bytes));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize =
        length.context("an answer says no length")?.trim().parse().context("its length is no number")?;
    Ok(Some(end + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_its_head_and_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
        assert_eq!(whole_length(answer).unwrap(), Some(43));
        assert_eq!(whole_length(&answer[..20]).unwrap(), None);
    }

    #[test]
    fn any_other_status_fails_the_measurement() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert!(whole_length(answer).unwrap_err().to_string().contains("404"));
    }
}
