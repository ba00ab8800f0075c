//! A place where the plan of a real engine stops until the test lets it go on.
//!
//! The configuration reads a remote state over HTTP, which Terraform and OpenTofu do without any provider; the test is the
//! server that answers, when it pleases. So a plan lasts as long as a test needs, and the test knows when the engine is
//! there and when its process is gone.

use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long to wait for an engine to come, or to go.
const PATIENCE: Duration = Duration::from_secs(60);
const STATE: &str =
    r#"{"version":4,"terraform_version":"1.0.0","serial":1,"lineage":"gate","outputs":{},"resources":[]}"#;

/// See the module.
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
}

/// An engine that stands at the gate, in the middle of its plan. Dropping it turns the engine away: its plan fails.
#[derive(Debug)]
pub struct Visitor {
    connection: TcpStream,
}

impl Gate {
    /// Builds a gate.
    pub async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free") }
    }

    /// A configuration whose every plan comes to this gate. Behind it there is one resource to make.
    pub fn configuration(&self) -> String {
        let address = self.listener.local_addr().expect("a bound listener has an address");
        format!(
            r#"
data "terraform_remote_state" "gate" {{
  backend = "http"
  config  = {{ address = "http://{address}/", retry_max = 0 }}
}}
resource "terraform_data" "behind" {{
  input = length(data.terraform_remote_state.gate.outputs)
}}
"#
        )
    }

    /// Waits for the next engine to come.
    ///
    /// # Panics
    /// When none comes.
    pub async fn visitor(&self) -> Visitor {
        let (mut connection, _) = timeout(PATIENCE, self.listener.accept())
            .await
            .expect("an engine comes to the gate in time")
            .expect("a connection can be accepted");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let read = connection.read_buf(&mut request).await.expect("the engine sends a request");
            assert_ne!(read, 0, "the engine hung up before its request was complete");
        }
        Visitor { connection }
    }
}

impl Visitor {
    /// Lets the engine go on.
    pub async fn admit(mut self) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", STATE.len());
        let answer = head + STATE;
        self.connection.write_all(answer.as_bytes()).await.expect("the engine waits for the answer");
    }

    /// Waits until the engine's process is gone.
    ///
    /// # Panics
    /// When it stays.
    pub async fn gone(mut self) {
        // A killed process resets the connection or closes it; both are an end.
        let end = timeout(PATIENCE, self.connection.read(&mut [0])).await;
        let end = end.expect("the engine leaves the gate in time");
        assert_eq!(end.unwrap_or(0), 0, "the engine has nothing more to say");
    }
}
