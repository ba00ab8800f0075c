//! Logs and plans as Terraform's own output looks.
//!
//! A server's log is Terraform's JSON lines (`terraform plan -json`) or its text. [`log`] renders the former line by
//! line and passes the latter through; [`plan`] renders the plan's differences from its JSON; [`diff`] compares values; [`diagnostic`] draws the
//! boxes of errors and warnings; [`value`] writes values as HCL; [`table`] aligns columns and [`words`] fill them; [`style`] knows colours.

mod align;
pub mod diagnostic;
pub mod diff;
pub mod log;
pub mod plan;
pub mod style;
pub mod table;
pub mod value;
pub mod words;

pub use log::LogRenderer;
pub use style::Style;
