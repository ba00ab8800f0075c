//! An HTTP server on the loopback that answers 200 to whatever it is sent: what the suite's run tasks and notifications
//! are pointed at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

/// What every request is answered.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Starts it, until this process ends, and gives its URL.
///
/// # Errors
/// When there is no free port.
pub(crate) fn start() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    let port = listener.local_addr().context("a bound socket has an address")?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever breaks off is not answered.
            thread::spawn(move || answer(stream).ok());
        }
    });
    Ok(format!("http://127.0.0.1:{port}"))
}

/// Reads one request to its end, so that nothing of it is lost to a reset, and answers it.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    stream.write_all(ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_body_is_answered_200() {
        let url = start().unwrap();
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
}
