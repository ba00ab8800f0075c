//! Pages: what a person sees of what happens, and what they may do about it.

mod admin;
mod organization;
mod run;
mod workspace;
