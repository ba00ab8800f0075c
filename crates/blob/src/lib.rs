//! Everything that must not lie on disk in clear text, and everything that proves a bearer right without a session.
//!
//! - [`keys`]: one root key per installation seals one data key per organization; a data key encrypts values.
//! - [`store`]: objects too large for a database row, encrypted as a stream in a local folder.
//! - `stream`: the encrypted form that objects have, in a file or in a row.
//! - [`signed`]: tokens for URLs that need no login, and the keyed hash under which API tokens are stored.
//!
//! The contract: nothing here gives out a byte that was not authenticated first; an error never contains plaintext or
//! a key; keys are wiped when dropped. All calls block: asynchronous callers use `spawn_blocking` for objects (values,
//! tokens and signatures take microseconds). The crate knows neither the database nor HTTP.

pub mod keys;
pub mod signed;
pub mod store;
mod stream;

pub use keys::{DataKey, KeyError, RootKey, SealError};
pub use signed::{Signer, TokenHasher};
pub use store::{INLINE_MAX, ObjectWriter, Objects, Stored};

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
