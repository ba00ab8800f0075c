//! What stands between a request and a slice of the house: the operation table, who calls, JSON:API documents,
//! includes, pages, errors, and signed routes.
//!
//! An area declares its operations with [`Routes`]; [`serve::router`] joins them once. From the same table come the
//! OpenAPI document, the metric labels and the tests that visit every operation without a list of their own.
//!
//! Reading order: [`App`] (what a handler may use), [`Routes`] (the table), [`Cx`] (one request), [`document`] (what is
//! answered), [`include`], [`auth`] (who calls and what they hold), [`blobs`] (stored objects), [`audit`]
//! (what is kept of every change), [`idempotency`], [`origin`] and [`limit`], [`site`] (what site admins set) and [`banner`], [`signing`]
//! (tokens that others verify), [`inside`] (the table, asked by pages), [`changes`] (what open pages are told).

pub mod app;
pub mod audit;
pub mod auth;
pub mod banner;
pub mod blobs;
pub mod changes;
pub mod cx;
pub mod document;
pub mod error;
pub mod etag;
pub mod idempotency;
pub mod include;
pub mod inside;
pub mod limit;
pub mod openapi;
pub mod operation;
pub mod origin;
pub mod patch;
pub mod serve;
pub mod signing;
pub mod site;

pub use app::{App, Settings};
pub use cx::{Cx, Data, Member};
pub use document::{Linkage, Reply, Resource};
pub use kernel::{Error, Result};
pub use operation::{Access, Operation, OperationName, Routes, Statements};
pub use patch::Patch;
