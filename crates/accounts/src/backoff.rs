//! How long whoever fails to sign in must wait, by account and by address.
//!
//! A try counts before it is decided, so that many at once gain nothing; a success takes the count back. A few tries are
//! free, then each further one doubles the wait. Names that nobody has are counted like those of users, or the wait
//! would tell which exist. This is kept in memory: a restart forgets it, which nobody outside can bring about, and an
//! attack writes nothing to the database. One-time links are not held up, so nobody can be locked out for good.

use kernel::Timestamp;
use std::{collections::HashMap, net::IpAddr, sync::Mutex};

/// Entries kept; beyond that those that wait for nothing are forgotten.
const CAPACITY: usize = 50_000;
/// Failures older than this no longer count.
const FORGET_SECONDS: i64 = 3600;

/// Of what kind the counted thing is.
#[derive(Clone, Copy)]
struct Rule {
    /// Tries without a wait.
    free: u32,
    /// The longest wait.
    most_seconds: i64,
}

/// Short, because others can bring it about for the account's owner.
const ACCOUNT: Rule = Rule { free: 5, most_seconds: 5 * 60 };
/// Many people may share an address.
const ADDRESS: Rule = Rule { free: 30, most_seconds: 15 * 60 };

impl Rule {
    /// Seconds to wait after so many tries.
    fn pause(self, tries: u32) -> i64 {
        match tries.checked_sub(self.free) {
            None => 0,
            Some(over) => 1_i64.checked_shl(over.min(30)).unwrap_or(i64::MAX).min(self.most_seconds),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    last: Timestamp,
    until: Timestamp,
}

/// Who has tried how often.
#[derive(Debug, Default)]
pub(crate) struct Backoff(Mutex<HashMap<String, Tries>>);

impl Backoff {
    /// Counts a try of `account` from `address`.
    ///
    /// # Errors
    /// The seconds to wait, if this one comes too early; it is not counted then.
    pub(crate) fn admit(&self, account: &str, address: Option<IpAddr>, now: Timestamp) -> Result<(), u32> {
        let mut memory = self.0.lock().expect("no holder of this lock panics");
        if memory.len() >= CAPACITY {
            memory.retain(|_, tries| tries.until > now);
        }
        let keys = keys(account, address);
        let wait =
            keys.iter().filter_map(|(key, _)| memory.get(key)).map(|tries| tries.until.since(now)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX));
        }
        for (key, rule) in keys {
            let tries = memory.entry(key).or_insert(Tries { count: 0, last: now, until: now });
            if tries.last.plus_seconds(FORGET_SECONDS) < now {
                tries.count = 0;
            }
            tries.count = tries.count.saturating_add(1);
            (tries.last, tries.until) = (now, now.plus_seconds(rule.pause(tries.count)));
        }
        Ok(())
    }

    /// Takes a counted try back: it succeeded. The account is innocent; of the address this one try was.
    pub(crate) fn succeeded(&self, account: &str, address: Option<IpAddr>, now: Timestamp) {
        let mut memory = self.0.lock().expect("no holder of this lock panics");
        for (key, rule) in keys(account, address) {
            if rule.free == ACCOUNT.free {
                memory.remove(&key);
            } else if let Some(tries) = memory.get_mut(&key) {
                tries.count = tries.count.saturating_sub(1);
                tries.until = now;
            }
        }
    }
}

fn keys(account: &str, address: Option<IpAddr>) -> Vec<(String, Rule)> {
    // A prefix, because one machine has as many addresses of IPv6 as it likes.
    let place = address.map(|address| match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments()[..4].iter().map(|part| format!("{part:x}:")).collect(),
    });
    let account = (format!("account {}", account.trim().to_lowercase()), ACCOUNT);
    std::iter::once(account).chain(place.map(|place| (format!("address {place}"), ADDRESS))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn after_a_few_tries_of_an_account_each_further_one_waits_twice_as_long() {
        let backoff = Backoff::default();
        for _ in 0..5 {
            backoff.admit("admin", None, at(0)).unwrap();
        }
        assert!(backoff.admit("Admin ", None, at(0)).is_err(), "however it is written");
        backoff.admit("admin", None, at(2)).unwrap();
        assert_eq!(backoff.admit("admin", None, at(2)), Err(3));
        backoff.admit("other", None, at(2)).unwrap();
        for later in 1..20 {
            backoff.admit("admin", None, at(later * 1000)).unwrap();
        }
        assert_eq!(backoff.admit("admin", None, at(19_000)), Err(301), "but never longer than the longest");
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits_too() {
        let backoff = Backoff::default();
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        for n in 0..30 {
            backoff.admit(&format!("user{n}"), Some(one), at(0)).unwrap();
        }
        let neighbour = "2001:db8::2".parse().unwrap();
        assert!(backoff.admit("somebody", Some(neighbour), at(0)).is_err(), "the same network");
        backoff.admit("somebody", Some("192.0.2.1".parse().unwrap()), at(0)).unwrap();
    }

    #[test]
    fn a_success_clears_the_account_and_old_failures_are_forgotten() {
        let backoff = Backoff::default();
        for _ in 0..5 {
            backoff.admit("admin", None, at(0)).unwrap();
        }
        backoff.succeeded("admin", None, at(1));
        for _ in 0..5 {
            backoff.admit("admin", None, at(1)).unwrap();
        }
        for _ in 0..5 {
            backoff.admit("admin", None, at(10_000)).unwrap();
        }
    }
}
