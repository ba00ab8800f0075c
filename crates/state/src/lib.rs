//! State: its versions, their outputs, and the resources of the current one.
//!
//! Reading order: [`file`] (what a state says of itself), [`store`] (how a version becomes current), [`versions`],
//! [`outputs`], [`resources`].

pub mod file;
pub mod outputs;
pub mod resources;
pub mod store;
pub mod versions;

use http_api::{Routes, include::Loaders};

/// Every operation of this area.
pub fn routes() -> Routes {
    versions::routes().and(outputs::routes()).and(resources::routes())
}

/// How this area's resources are read when another document includes them.
pub fn loaders(loaders: &mut Loaders) {
    versions::loaders(loaders);
    outputs::loaders(loaders);
}
