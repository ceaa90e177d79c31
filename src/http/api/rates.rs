//! Limits the calls of a credential, and the failed authentications of an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Calls of a credential: at once, and each second after that.
const CALLS: Allowance = Allowance { at_once: 100.0, each_second: 50.0 };

/// Failed authentications of an address: at once, and each second after that.
const FAILURES: Allowance = Allowance { at_once: 20.0, each_second: 0.5 };

/// Entries that are kept. Full buckets are forgotten first.
const MOST: usize = 20_000;

/// The rate at which something may happen.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    at_once: f64,
    each_second: f64,
}

/// The buckets of all credentials and addresses.
#[derive(Default)]
pub struct Rates {
    calls: Buckets<String>,
    failures: Buckets<IpAddr>,
}

impl Rates {
    /// Counts a call of a credential. Returns the seconds after which it may call again, if it has called too often.
    pub fn call(&self, credential: &str) -> Result<(), u64> {
        self.calls.take(credential.to_owned(), CALLS, Instant::now())
    }

    /// Counts a failed authentication of an address.
    pub fn failure(&self, address: IpAddr) {
        let _ = self.failures.take(address, FAILURES, Instant::now());
    }

    /// Returns the seconds after which an address may try again, if it has failed too often.
    pub fn may_authenticate(&self, address: IpAddr) -> Result<(), u64> {
        self.failures.look(&address, FAILURES, Instant::now())
    }
}

/// Token buckets, by key.
struct Buckets<K>(Mutex<HashMap<K, Bucket>>);

impl<K> Default for Buckets<K> {
    fn default() -> Buckets<K> {
        Buckets(Mutex::default())
    }
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn left_at(&self, allowance: Allowance, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed * allowance.each_second).min(allowance.at_once)
    }
}

impl<K: Eq + Hash> Buckets<K> {
    fn take(&self, key: K, allowance: Allowance, now: Instant) -> Result<(), u64> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST {
            buckets.retain(|_, bucket| bucket.left_at(allowance, now) < allowance.at_once);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: allowance.at_once, at: now });
        let left = bucket.left_at(allowance, now);
        if left < 1.0 {
            return Err(wait(left, allowance));
        }
        *bucket = Bucket { left: left - 1.0, at: now };
        Ok(())
    }

    fn look(&self, key: &K, allowance: Allowance, now: Instant) -> Result<(), u64> {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match buckets.get(key).map(|bucket| bucket.left_at(allowance, now)) {
            Some(left) if left < 1.0 => Err(wait(left, allowance)),
            Some(_) | None => Ok(()),
        }
    }
}

/// Returns the whole seconds after which one more is allowed.
fn wait(left: f64, allowance: Allowance) -> u64 {
    ((1.0 - left) / allowance.each_second).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bucket_refills_with_time() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let allowance = Allowance { at_once: 2.0, each_second: 0.5 };
        assert_eq!([(); 3].map(|()| buckets.take("a", allowance, start)), [Ok(()), Ok(()), Err(2)]);
        assert_eq!(buckets.take("b", allowance, start), Ok(()), "another key has a bucket of its own");
        let later = start + Duration::from_secs(2);
        assert_eq!(buckets.look(&"a", allowance, later), Ok(()));
        assert_eq!([(); 2].map(|()| buckets.take("a", allowance, later)), [Ok(()), Err(2)]);
    }

    #[test]
    fn credentials_have_the_rate_that_entra_asks_for() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            assert!((0..25).all(|_| buckets.take("a", CALLS, now).is_ok()), "second {second}");
        }
    }
}
