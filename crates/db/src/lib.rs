//! One SQL text, two engines: SQLite (the embedded default) and PostgreSQL.
//!
//! Contract: every statement in the program runs unchanged on both. The portable subset is `TEXT`, `BIGINT`,
//! `BOOLEAN`, `BLOB`, `$1` placeholders, `RETURNING`, `ON CONFLICT`, CTEs, window functions and row values; counts and
//! literals read as numbers are written `CAST(… AS BIGINT)`.
//!
//! SQLite has one writer connection, whose transactions begin `IMMEDIATE` (a pool of writers fails most
//! read-then-write transactions with `SQLITE_BUSY`), and a pool that only reads. WAL with `synchronous=FULL`: a
//! committed transaction survives power loss. PostgreSQL runs at READ COMMITTED; a transaction that decides on a row
//! locks it first by an `UPDATE … RETURNING`.
//!
//! Reading order: [`Db`], [`Tx`], [`Witness`] (what a transaction stores besides its own work), [`counted`], [`Arg`],
//! [`migrations`].

mod arg;
mod counted;
pub mod migrations;
mod patience;
mod witness;

pub use arg::Arg;
pub use counted::counted;
pub use patience::Postgres as PostgresPool;
pub use sqlx::{AssertSqlSafe, FromRow};
pub use witness::{Statement, Stored, Witness, Witnessed};

use kernel::Error;
use sqlx::{
    Connection, Postgres, SqlSafeStr, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use std::{path::Path, time::Duration};

/// A row that both engines can give: what `#[derive(FromRow)]` makes of a struct of portable fields.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// A handle on the database; cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// A file, one writer, many readers.
    Sqlite {
        /// Connections that only read.
        read: SqlitePool,
        /// The one connection that writes.
        write: SqlitePool,
    },
    /// A server.
    Postgres(PostgresPool),
}

/// A transaction that writes. Dropping it without [`Tx::commit`] undoes everything.
#[derive(Debug)]
pub struct Tx {
    engine: Engine,
    /// Whether a statement changed something.
    changed: bool,
}

#[derive(Debug)]
enum Engine {
    /// On the one writer.
    Sqlite(Transaction<'static, Sqlite>),
    /// At READ COMMITTED.
    Postgres(Transaction<'static, Postgres>),
}

/// Why a database statement failed; mapped to [`kernel::Error`] with [`from_sqlx`].
pub fn from_sqlx(error: sqlx::Error) -> Error {
    match &error {
        // Only the end of the server closes it, which is no fault of the database.
        sqlx::Error::PoolClosed => Error::Unavailable("the server is ending".to_owned()),
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => {
            tracing::error!(%error, "the database does not answer");
            Error::Unavailable("the database does not answer; try again".to_owned())
        }
        sqlx::Error::Database(e) if e.is_unique_violation() => {
            Error::conflict("such a resource exists already")
        }
        sqlx::Error::Database(e) if disk_is_full(e.code().as_deref()) => {
            tracing::error!(%error, "the database cannot write: its disk is full; free space on it");
            Error::disk_full()
        }
        // PostgreSQL: shutting down, starting up, crash of a peer, too many connections; 55000: the database takes no
        // connections now.
        sqlx::Error::Database(e)
            if e.code().is_some_and(|c| {
                c.starts_with("57P") || c.starts_with("08") || c.starts_with("53") || c == "55000"
            }) =>
        {
            tracing::error!(%error, "the database cannot serve");
            Error::Unavailable("the database cannot serve this now; try again".to_owned())
        }
        // SQLite: an I/O error (10), whose details are in the higher bits.
        sqlx::Error::Database(e) if primary(e.code().as_deref()) == Some(10) => {
            tracing::error!(%error, "the database cannot use its files: is the disk full or broken?");
            Error::Unavailable("the server cannot use its disk; tell its operator".to_owned())
        }
        _ => Error::internal(error),
    }
}

/// PostgreSQL says 53100. SQLite says 13; where its shared memory cannot grow, an I/O error (10) with the detail 19.
fn disk_is_full(code: Option<&str>) -> bool {
    code == Some("53100") || primary(code) == Some(13) || code == Some("4874")
}

/// SQLite's primary result code. PostgreSQL's codes have five characters, and none of them is so small a number.
fn primary(code: Option<&str>) -> Option<u32> {
    code.filter(|code| code.len() < 5)?.parse::<u32>().ok().map(|code| code & 0xff)
}

macro_rules! run {
    ($pool_or_tx:expr, $sql:expr, $args:expr, $method:ident) => {{
        counted::note();
        arg::bind(sqlx::query_as($sql), $args).$method($pool_or_tx).await.map_err(from_sqlx)
    }};
}

impl Db {
    /// Opens (and makes, if absent) the SQLite file `path` with `readers` read-only connections.
    pub async fn sqlite(path: &Path, readers: u32) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(256);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(30))
            // Where SQLite has undone a transaction by itself, as it does when the disk is full, the driver's own attempt
            // fails, and the connection refuses to begin another one for ever.
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await
            .map_err(from_sqlx)?;
        let read = SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(30))
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(from_sqlx)?;
        Ok(Self::Sqlite { read, write })
    }

    /// Connects to PostgreSQL at `url` with at most `connections` connections.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not answer. The URL may hold a password and is never part of an error.
    pub async fn postgres(url: &str, connections: u32) -> Result<Self, Error> {
        const ADVICE: &str = "check the host, port, user, password and database of --database";
        let options: PgConnectOptions = url.parse().map_err(|_| {
            Error::bad_request(
                "database",
                "the PostgreSQL URL of --database cannot be read; expected postgres://user:password@host:port/database",
            )
        })?;
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(2))
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(true)
            .connect_with(options.application_name("ferroform").statement_cache_capacity(256))
            .await
            // For the operator, who sees no log yet: the cause itself.
            .map_err(|e| {
                Error::Unavailable(format!("PostgreSQL at {place} cannot be used: {e}; {ADVICE}"))
            })?;
        Ok(Self::Postgres(PostgresPool::new(pool)))
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Begins a transaction that may write. On SQLite it waits for its turn.
    pub async fn begin(&self) -> Result<Tx, Error> {
        // In the transaction it would wait for a connection while it holds one. SQLite's readers have connections of their own,
        // so there it waits as late as it can.
        if let (Self::Postgres(_), Some(witnessed)) = (self, Witnessed::waiting()) {
            witnessed.ready().await;
        }
        let engine = match self {
            Self::Sqlite { write, .. } => write.begin_with("BEGIN IMMEDIATE").await.map(Engine::Sqlite),
            Self::Postgres(server) => server.patiently(server.pool.begin()).await.map(Engine::Postgres),
        };
        Ok(Tx { engine: engine.map_err(from_sqlx)?, changed: false })
    }

    /// All rows of a read outside a transaction.
    pub async fn all<T: Row>(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<T>, Error> {
        match self {
            Self::Sqlite { read, .. } => run!(read, sql, args, fetch_all),
            Self::Postgres(server) => {
                let mut connection = server.patiently(server.pool.acquire()).await.map_err(from_sqlx)?;
                run!(&mut *connection, sql, args, fetch_all)
            }
        }
    }

    /// The first row of a read outside a transaction, if any.
    pub async fn one<T: Row>(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<T>, Error> {
        match self {
            Self::Sqlite { read, .. } => run!(read, sql, args, fetch_optional),
            Self::Postgres(server) => {
                let mut connection = server.patiently(server.pool.acquire()).await.map_err(from_sqlx)?;
                run!(&mut *connection, sql, args, fetch_optional)
            }
        }
    }

    /// One statement in a transaction of its own; the number of rows that it changed.
    pub async fn exec(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, Error> {
        let mut tx = self.begin().await?;
        let changed = tx.exec(sql, args).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Answers when the database does: for health checks.
    pub async fn ping(&self) -> Result<(), Error> {
        self.one::<(i64,)>("SELECT CAST(1 AS BIGINT)", vec![]).await.map(drop)
    }

    /// Closes all connections after their current statement.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(server) => server.pool.close().await,
        }
    }
}

impl Tx {
    /// All rows, as this transaction sees them.
    pub async fn all<T: Row>(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<T>, Error> {
        let sql = sql.into_sql_str();
        let reads = only_reads(sql.as_str());
        let rows: Vec<T> = match &mut self.engine {
            Engine::Sqlite(tx) => run!(&mut **tx, sql, args, fetch_all),
            Engine::Postgres(tx) => run!(&mut **tx, sql, args, fetch_all),
        }?;
        self.changed |= !reads && !rows.is_empty();
        Ok(rows)
    }

    /// The first row, as this transaction sees it, if any.
    pub async fn one<T: Row>(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<T>, Error> {
        let sql = sql.into_sql_str();
        let reads = only_reads(sql.as_str());
        let row: Option<T> = match &mut self.engine {
            Engine::Sqlite(tx) => run!(&mut **tx, sql, args, fetch_optional),
            Engine::Postgres(tx) => run!(&mut **tx, sql, args, fetch_optional),
        }?;
        self.changed |= !reads && row.is_some();
        Ok(row)
    }

    /// Executes one statement; the number of rows that it changed.
    pub async fn exec(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, Error> {
        counted::note();
        let changed = match &mut self.engine {
            Engine::Sqlite(tx) => arg::bind_query(sqlx::query(sql), args)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected()),
            Engine::Postgres(tx) => arg::bind_query(sqlx::query(sql), args)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected()),
        }
        .map_err(from_sqlx)?;
        self.changed |= changed > 0;
        Ok(changed)
    }

    /// Makes everything that was done durable and visible, at once; with it what the request's [`Witness`] says.
    pub async fn commit(mut self) -> Result<(), Error> {
        let witnessed = if self.changed { Witnessed::waiting() } else { None };
        if let Some(witnessed) = &witnessed {
            for (sql, args) in witnessed.statements().await {
                self.exec(sql, args).await?;
            }
            witnessed.note(Stored::Perhaps);
        }
        match self.engine {
            Engine::Sqlite(tx) => tx.commit().await,
            Engine::Postgres(tx) => tx.commit().await,
        }
        .map_err(from_sqlx)?;
        if let Some(witnessed) = witnessed {
            witnessed.note(Stored::Surely);
        }
        Ok(())
    }
}

/// Whether a statement that gives rows changes none.
fn only_reads(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_ways_to_say_that_the_disk_is_full_are_known() {
        for code in ["53100", "13", "4874"] {
            assert!(disk_is_full(Some(code)), "{code}");
        }
        for code in ["53300", "10", "778", "23505", "57P01"] {
            assert!(!disk_is_full(Some(code)), "{code}");
        }
        assert_eq!(primary(Some("778")), Some(10));
        assert_eq!(primary(Some("57P01")), None);
    }
}
