//! State: its versions, their outputs, and the resources of the current one.
//!
//! A version is made current in one transaction together with its outputs and resources, so there is no moment in which
//! a state is stored and not processed. Everything that costs time (decoding, hashing, parsing, sealing, writing the
//! object) is done before that transaction begins.
//!
//! Reading order: [`file`] (what a state says of itself), [`facts`] (what is kept of that), [`store`] (how a version
//! becomes current), [`verdict`] (whether it may), [`versions`], [`create`], [`upload`], [`rollback`], [`outputs`],
//! [`resources`].

pub mod backing_data;
pub mod create;
pub mod facts;
pub mod file;
pub mod outputs;
pub mod resources;
pub mod rollback;
pub mod store;
pub mod upload;
pub mod verdict;
pub mod versions;

use http_api::{Routes, include::Loaders};

/// Every operation of this area.
pub fn routes() -> Routes {
    versions::routes()
        .and(create::routes())
        .and(rollback::routes())
        .and(upload::routes())
        .and(outputs::routes())
        .and(resources::routes())
        .and(backing_data::routes())
}

/// How this area's resources are read when another document includes them.
pub fn loaders(loaders: &mut Loaders) {
    versions::loaders(loaders);
    outputs::loaders(loaders);
}
