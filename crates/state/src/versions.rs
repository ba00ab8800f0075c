//! x
use http_api::{Routes, include::Loaders};
pub fn routes() -> Routes { Routes::new() }
pub fn loaders(_: &mut Loaders) {}
