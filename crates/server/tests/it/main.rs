//! The server through its public API, on both databases, with the real engine.
//!
//! Each statement A01–A40 of the behaviour's specification is a test named after its sentence, in [`acceptance`].

mod acceptance;
mod matrix;
mod secrets;
mod seed;
