//! The Admin API: what site admins see and do across all organizations.

mod engines;
mod keys;
mod lists;
mod settings;
mod users;
