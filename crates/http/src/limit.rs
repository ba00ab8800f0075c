//! How many requests a second one caller may make: 30, unless the operator or a site admin sets another limit or none.
//!
//! A caller is a user with all their tokens together, or an address without a valid token, as on TFE. Seconds are counted
//! one by one: the allowance is whole again at the next. The answer's headers say what is left; to a tight limit the SDKs
//! keep themselves (`docs/api-quirks.md`). Signed URLs are free: their holders upload and follow logs.

use axum::http::{HeaderMap, HeaderValue};
use kernel::Timestamp;
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroU32,
    sync::Mutex,
};

/// The operation by which the SDK asks how often it may call.
pub(crate) const PING: &str = "server.ping.read";
/// A limit of so many, or more, is not announced there. The SDK would send two thirds of it at most, and the command line
/// needs longer for a plan then; both stay below by themselves, and take a refusal well.
const AMPLE: u32 = 30;

/// Locks among which callers are spread, each held for a look into a map.
const SHARDS: usize = 16;
const SECOND: i64 = 1_000_000;

/// What callers have spent in the current second.
#[derive(Debug, Default)]
pub struct Limit {
    shards: [Mutex<Spent>; SHARDS],
}

#[derive(Debug, Default)]
struct Spent {
    second: i64,
    by_caller: HashMap<String, u32>,
}

/// What a request has left of its caller's allowance.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    limit: u32,
    spent: u32,
    micros_to_reset: i64,
}

impl Limit {
    /// Takes one request from the caller's allowance of so many in each second.
    pub fn take(&self, caller: &str, per_second: NonZeroU32, now: Timestamp) -> Allowance {
        let mut hasher = DefaultHasher::new();
        caller.hash(&mut hasher);
        let shard = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[shard].lock().expect("no holder of this lock panics");
        let second = now.micros().div_euclid(SECOND);
        if shard.second != second {
            // Nobody's past counts, so the map is as large as one second's callers are many.
            *shard = Spent { second, by_caller: HashMap::new() };
        }
        let spent = match shard.by_caller.get_mut(caller) {
            Some(spent) => {
                *spent = spent.saturating_add(1);
                *spent
            }
            None => {
                shard.by_caller.insert(caller.to_owned(), 1);
                1
            }
        };
        let micros_to_reset = SECOND - now.micros().rem_euclid(SECOND);
        Allowance { limit: per_second.get(), spent, micros_to_reset }
    }
}

impl Allowance {
    /// Whether this request is one too many.
    pub fn is_exceeded(self) -> bool {
        self.spent > self.limit
    }

    /// Whether clients must know the limit to keep below it.
    pub(crate) fn is_tight(self) -> bool {
        self.limit < AMPLE
    }

    /// Says it in the headers that TFE has for it. `X-RateLimit-Reset` is seconds to wait, with a fraction, not an instant.
    pub(crate) fn say(self, headers: &mut HeaderMap) {
        headers.insert("x-ratelimit-limit", self.limit.into());
        headers.insert("x-ratelimit-remaining", self.limit.saturating_sub(self.spent).into());
        // Rounded up: who waits for that long is in the next second.
        let millis = (self.micros_to_reset + 999) / 1000;
        if let Ok(reset) = HeaderValue::try_from(format!("{}.{:03}", millis / 1000, millis % 1000)) {
            headers.insert("x-ratelimit-reset", reset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_each_callers_own_and_whole_again_at_the_next_second() {
        let (limit, two) = (Limit::default(), NonZeroU32::new(2).unwrap());
        let now = Timestamp::parse("2026-01-01T00:00:00.750Z").unwrap();
        assert!(!limit.take("a", two, now).is_exceeded());
        assert!(!limit.take("a", two, now).is_exceeded());
        let third = limit.take("a", two, now);
        assert!(third.is_exceeded());
        assert!(!limit.take("b", two, now).is_exceeded());
        let mut headers = HeaderMap::new();
        third.say(&mut headers);
        assert_eq!(headers["x-ratelimit-limit"], "2");
        assert_eq!(headers["x-ratelimit-remaining"], "0");
        assert_eq!(headers["x-ratelimit-reset"], "0.250");
        assert!(!limit.take("a", two, Timestamp::parse("2026-01-01T00:00:01Z").unwrap()).is_exceeded());
    }
}
