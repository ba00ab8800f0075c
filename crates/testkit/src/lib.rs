//! A Ferroform server in the test's own process, on either database, and a client for it that speaks raw JSON on purpose:
//! what is on the wire is what the tests assert.
//!
//! [`on_both`] makes one test for each database. PostgreSQL's half needs `FERROFORM_TEST_POSTGRES`, the URL of a superuser
//! (`cargo xtask test` sets it); without it the half says that it did not run. The engine is `FERROFORM_TEST_ENGINE`, else
//! the one on PATH.
//!
//! Reading order: [`server`], [`api`], [`archive`].

pub mod api;
pub mod archive;
pub mod server;

pub use api::{Answer, Api};
pub use archive::{archive, raw_archive};
pub use server::{Database, Settings, TestServer};

/// Makes, of one async function over a [`TestServer`], a test on SQLite and a test on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs what its module imports")]
            use super::*;

            $(#[$meta])*
            async fn body($server: &$crate::TestServer) $body

            #[test]
            fn sqlite() {
                $crate::server::run($crate::Database::Sqlite, |server| Box::pin(async move { body(&server).await }));
            }

            #[test]
            fn postgres() {
                $crate::server::run($crate::Database::Postgres, |server| Box::pin(async move { body(&server).await }));
            }
        }
    )*};
}
