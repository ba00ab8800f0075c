//! Pages: what a person sees of what happens, and what they may do about it.

mod run;
mod workspace;
