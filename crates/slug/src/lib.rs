//! Configuration archives ("slugs"): tar.gz with the configuration at the root.
//!
//! [`check`] and [`unpack`] read what strangers uploaded. The contract: nothing is ever created, changed or followed
//! outside the destination, memory stays bounded, and an archive that breaks a rule ends in [`Illegal`] with a message
//! that names the entry and the rule. Both apply the same rules by the same code, so an archive that passed one passes
//! the other. [`pack()`] makes an archive that they accept.
//!
//! The rules are those of HashiCorp's go-slug, with limits on size, ratio and count that it lacks and three more
//! refusals: a file that replaces a symlink (go-slug would write through it), absolute names (go-slug fails on them
//! too, with a message of the file system), and symlinks that leave the root only by way of other symlinks.
//!
//! Reading order: [`limits`], [`walk`](mod@walk) (the rules), `tree` (what the archive has made so far), `source`
//! (gzip and the limits), `disk` (writing below one folder), [`summary`], then [`pack`](mod@pack) with [`ignore`].

mod disk;
pub mod error;
mod find;
pub mod ignore;
pub mod limits;
pub mod pack;
mod source;
pub mod summary;
mod tree;
pub mod walk;

pub use error::Illegal;
pub use find::find;
pub use limits::Limits;
pub use pack::{PackError, Packed, pack};
pub use summary::Summary;
pub use walk::{check, unpack};
