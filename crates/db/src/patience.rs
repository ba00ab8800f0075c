//! Waiting for a PostgreSQL connection no longer than there is hope for one.
//!
//! sqlx's pool keeps trying while a server refuses connections, until the time for an acquisition is over, and that time
//! is long, because waiting for a busy pool is no failure. So whoever has waited for [`SOON`] looks whether the server
//! answers at all, by a connection beside the pool. One look serves all who wait.

use sqlx::{Connection, Error, PgConnection, PgPool};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

/// How long a connection may take before somebody looks whether the server answers.
const SOON: Duration = Duration::from_millis(500);
/// How long the server may take to answer such a look.
const ANSWER: Duration = Duration::from_secs(2);

/// A pool, and what is known of its server.
#[derive(Clone, Debug)]
pub struct Postgres {
    pub(crate) pool: PgPool,
    looked: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Postgres {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, looked: Arc::default() }
    }

    /// Waits for what the pool gives, as long as the server answers.
    pub(crate) async fn patiently<T>(
        &self,
        wanted: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::pin!(wanted);
        loop {
            tokio::select! {
                biased;
                got = &mut wanted => return got,
                () = sleep(SOON) => {}
            }
            tokio::select! {
                biased;
                got = &mut wanted => return got,
                answers = self.answers() => if !answers {
                    let refused = "the server takes no connection";
                    return Err(Error::Io(io::Error::new(io::ErrorKind::NotConnected, refused)));
                },
            }
        }
    }

    /// Whether the server takes connections.
    async fn answers(&self) -> bool {
        let mut looked = self.looked.lock().await;
        if let Some((at, answers)) = *looked
            && at.elapsed() < SOON
        {
            return answers;
        }
        let options = self.pool.connect_options();
        let answers = match timeout(ANSWER, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => {
                // Politely, or the server logs a broken connection; whether it hears it does not matter.
                let _ = timeout(ANSWER, connection.close()).await;
                true
            }
            // It answers, if only that it has too many connections; but not while it starts, stops or recovers.
            Ok(Err(Error::Database(error))) => !error.code().is_some_and(|code| code.starts_with("57P")),
            Ok(Err(_)) | Err(_) => false,
        };
        *looked = Some((Instant::now(), answers));
        answers
    }
}
