//! State files as people look at them: what is in one, and how two differ. What is sensitive is told apart.
//!
//! Shared by the command line and the pages. Reading order: [`file`](mod@file), [`compare`].

pub mod compare;
pub mod file;

pub use compare::{Change, Difference, Differences};
pub use file::{Output, Resource, StateFile, redacted};
