//! A Ferroform server in the test's own process, on either database, and a client for it that speaks raw JSON on purpose:
//! what is on the wire is what the tests assert.
//!
//! [`on_both`] makes one test for each database. PostgreSQL's half needs `FERROFORM_TEST_POSTGRES`, the URL of a superuser
//! (`cargo xtask test` sets it, `cargo xtask postgres` prints one); without it the half says that it did not run. The
//! engine is a real one: `FERROFORM_TEST_ENGINE`, else what is on PATH.
//!
//! Nothing here sleeps: a test waits for what it is told ([`Api::wait`]), reads a live log ([`Api::wait_for_log`]), or
//! holds an engine at a [`Gate`]. What the server warns of is printed with a test that fails; `FERROFORM_TEST_LOG` takes
//! other filters (`debug`, `runs=trace`).
//!
//! Reading order: [`server`], [`database`], [`api`], [`gate`], [`archive`].

pub mod api;
pub mod archive;
pub mod database;
pub mod gate;
pub mod server;

pub use api::{Answer, Api};
pub use archive::{archive, raw_archive};
pub use database::Database;
pub use gate::Gate;
pub use server::{Settings, TestServer};

/// Makes, of one async function over a `&`[`TestServer`], a test on SQLite and a test on PostgreSQL. A second argument is
/// an expression for the [`Settings`] that the server starts with.
///
/// ```
/// use testkit::{Settings, on_both};
///
/// on_both! {
///     async fn a_ping_is_answered(server) {
///         server.anonymous().get("/ping").await.expect(204);
///     }
///
///     async fn a_server_without_runners_is_of_use(server, Settings { runners: 0, ..Settings::default() }) {
///         server.admin().organization("acme").await;
///     }
/// }
/// ```
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident $(, $settings:expr)?) $body:block)*) => {$(
        $(#[$meta])*
        fn $name() -> $crate::server::Test {
            async fn body($server: &$crate::TestServer) $body
            $crate::server::Test::new(|server| Box::pin(body(server)))$(.with($settings))?
        }

        mod $name {
            #[test]
            fn sqlite() {
                super::$name().run($crate::Database::Sqlite);
            }

            #[test]
            fn postgres() {
                super::$name().run($crate::Database::Postgres);
            }
        }
    )*};
}
