//! The server: options, boot, listeners, and the commands of the binary `ferroform`.
//!
//! Reading order: [`options`], [`boot`] (from options to a serving process, and its end), [`assemble`] (how the rooms
//! become one application), [`outside`] (what stands around it), `health`, [`listen`], [`tls`], [`data_dir`], then [`commands`]
//! and [`user`], and [`doctor`] with its [`report`].

pub mod admin;
pub mod assemble;
pub mod audit;
pub mod boot;
pub mod commands;
pub mod data_dir;
pub mod doctor;
mod greet;
mod health;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod options;
pub mod outside;
pub mod report;
mod system;
pub mod tls;
pub mod user;
