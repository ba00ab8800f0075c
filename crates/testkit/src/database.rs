//! An empty, migrated database for each test: a copy of one that was migrated once in this process.

use db::{Db, migrations};
use kernel::{Env, Secret};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::sync::OnceCell;

/// The URL of a PostgreSQL superuser.
const POSTGRES: &str = "FERROFORM_TEST_POSTGRES";
/// Names of databases begin so, and go on with the process that made them.
const PREFIX: &str = "ferroform_test_";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file in the test's folder.
    Sqlite,
    /// A database of its own on the server that `FERROFORM_TEST_POSTGRES` names.
    Postgres,
}

impl Database {
    /// Whether it can be used here.
    pub fn is_at_hand(self) -> bool {
        self == Self::Sqlite || std::env::var_os(POSTGRES).is_some()
    }

    /// Makes the database of one test. SQLite's is `ferroform.db` in the folder; PostgreSQL's is returned.
    pub(crate) async fn make(self, folder: &Path) -> Option<PostgresDatabase> {
        match self {
            Self::Sqlite => {
                let file = folder.join("ferroform.db");
                std::fs::write(file, sqlite_template().await).expect("the test's folder can be written");
                None
            }
            Self::Postgres => Some(PostgresDatabase::make().await),
        }
    }
}

/// The bytes of an empty, migrated file.
async fn sqlite_template() -> &'static [u8] {
    static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("template.db");
        let db = Db::sqlite(&file, 1).await.expect("an SQLite file can be made");
        migrations::migrate(&db, &Env::real()).await.expect("an empty SQLite file can be migrated");
        // Which also moves everything from the write-ahead log into the file.
        db.close().await;
        std::fs::read(file).expect("the file was just written")
    });
    template.await
}

/// A test's database on a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct PostgresDatabase {
    name: String,
}

impl PostgresDatabase {
    async fn make() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let template = postgres_template().await;
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{PREFIX}{}_{number}", std::process::id());
        execute(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name }
    }

    /// Where the server connects to it.
    pub(crate) fn url(&self) -> Secret {
        url(&self.name)
    }

    /// Drops it, with whoever is still connected.
    pub(crate) async fn remove(self) {
        execute(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}

/// The name of an empty, migrated database. It stays when this process ends, and goes when the next one begins.
async fn postgres_template() -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        remove_leftovers().await;
        let name = format!("{PREFIX}{}_template", std::process::id());
        execute(format!("DROP DATABASE IF EXISTS {name}")).await;
        execute(format!("CREATE DATABASE {name}")).await;
        let db = Db::postgres(url(&name).expose(), 2).await.expect("the test's PostgreSQL answers");
        migrations::migrate(&db, &Env::real()).await.expect("an empty PostgreSQL database can be migrated");
        // Nobody may be connected to a template.
        db.close().await;
        name
    });
    template.await
}

/// Drops what processes have left that are no more.
async fn remove_leftovers() {
    let mut connection = connect().await;
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT datname FROM pg_database WHERE starts_with(datname, $1)")
            .bind(PREFIX)
            .fetch_all(&mut connection)
            .await
            .expect("a superuser may list databases");
    for (name,) in names {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()).unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            // Without force: if somebody is connected after all, it is theirs.
            let sql = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
            let _ = sqlx::query(sql).execute(&mut connection).await;
        }
    }
    connection.close().await.ok();
}

fn superuser() -> PgConnectOptions {
    let url = std::env::var(POSTGRES).expect("checked before a PostgreSQL test begins");
    url.parse().expect("FERROFORM_TEST_POSTGRES is a PostgreSQL URL")
}

fn url(database: &str) -> Secret {
    Secret::new(superuser().database(database).to_url_lossy().to_string())
}

async fn connect() -> PgConnection {
    superuser().connect().await.expect("the test's PostgreSQL answers")
}

async fn execute(sql: String) {
    let mut connection = connect().await;
    let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await;
    done.expect("a superuser may make and drop databases");
    connection.close().await.ok();
}
