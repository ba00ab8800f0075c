//! The two things a program asks the world for without noticing: the time and randomness.
//!
//! Code takes an [`Env`] instead of calling `SystemTime::now` or a global generator, so that a test can hold the clock
//! and seed the ids, and its snapshots need no redaction.

use crate::time::Timestamp;
use ring::rand::SecureRandom;
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// A cheap handle on the clock and the source of randomness.
#[derive(Clone)]
pub struct Env(Arc<Inner>);

enum Inner {
    Real { rng: ring::rand::SystemRandom, skew: AtomicI64 },
    Fixed { now: AtomicI64, seed: AtomicU64 },
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match *self.0 {
            Inner::Real { .. } => "Env::real",
            Inner::Fixed { .. } => "Env::fixed",
        })
    }
}

impl Env {
    /// The system's clock and its cryptographic generator.
    pub fn real() -> Self {
        Self(Arc::new(Inner::Real { rng: ring::rand::SystemRandom::new(), skew: AtomicI64::new(0) }))
    }

    /// A clock that moves only by [`Env::advance`], and bytes that depend on `seed` alone. Not for secrets.
    pub fn fixed(now: Timestamp, seed: u64) -> Self {
        Self(Arc::new(Inner::Fixed { now: AtomicI64::new(now.micros()), seed: AtomicU64::new(seed) }))
    }

    /// The current instant, in microseconds since the Unix epoch.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Inner::Real { skew, .. } => {
                Timestamp::from_micros(jiff::Timestamp::now().as_microsecond() + skew.load(Ordering::Relaxed))
            }
            Inner::Fixed { now, .. } => Timestamp::from_micros(now.load(Ordering::Relaxed)),
        }
    }

    /// Moves the clock by `micros` (negative is back in time): for tests of expiry and of clocks that jump.
    pub fn advance(&self, micros: i64) {
        match &*self.0 {
            Inner::Real { skew, .. } => skew.fetch_add(micros, Ordering::Relaxed),
            Inner::Fixed { now, .. } => now.fetch_add(micros, Ordering::Relaxed),
        };
    }

    /// `N` random bytes, fit for keys and tokens when the environment is real.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &*self.0 {
            Inner::Real { rng, .. } => {
                rng.fill(&mut bytes).expect("the operating system's generator does not fail after boot");
            }
            Inner::Fixed { seed, .. } => {
                for chunk in bytes.chunks_mut(8) {
                    let word = splitmix(seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed));
                    chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
                }
            }
        }
        bytes
    }

    /// `len` characters drawn evenly from the base58 alphabet (no `0 O I l`).
    pub fn base58(&self, len: usize) -> String {
        const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let mut text = String::with_capacity(len);
        while text.len() < len {
            for byte in self.random::<32>() {
                // 232 = 4 × 58: bytes above are drawn again, or the first characters would be likelier.
                if byte < 232 && text.len() < len {
                    text.push(char::from(ALPHABET[usize::from(byte % 58)]));
                }
            }
        }
        text
    }
}

fn splitmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
