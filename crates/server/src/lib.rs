//! The server: options, boot, listeners, and the commands of the binary `ferroform`.
//!
//! Reading order: [`assemble`] (how the rooms become one application), then the boot around it.

pub mod assemble;
mod system;
