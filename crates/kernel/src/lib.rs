//! What every other room may rely on: typed ids, timestamps, the environment (clock and randomness), secrets, the
//! error catalogue and pages of lists. No I/O and no runtime, so that rules written with it stay pure.
//!
//! Reading order: [`env`], [`ids`], [`time`], [`secret`], [`error`], [`page`].

pub mod address;
pub mod env;
pub mod error;
pub mod ids;
pub mod page;
pub mod secret;
pub mod time;

pub use env::Env;
pub use error::{Error, Result};
pub use page::{Page, Paged};
pub use secret::Secret;
pub use time::Timestamp;
