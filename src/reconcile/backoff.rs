//! How long an object waits after a failed run.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// The first and the longest delay between failed runs of one object, doubling in between
/// (Flux: `--min-retry-delay`, `--max-retry-delay`).
#[derive(Clone, Copy, Debug)]
pub struct RetryDelay {
    pub min: Duration,
    pub max: Duration,
}

/// Counts the failures in a row of each object.
#[derive(Debug)]
pub struct Backoff<K> {
    delay: RetryDelay,
    failures: HashMap<K, u32>,
}

impl<K: Eq + Hash> Backoff<K> {
    pub fn new(delay: RetryDelay) -> Self {
        Self { delay, failures: HashMap::new() }
    }

    /// Counts one more failure and returns the delay before the next run.
    pub fn failed(&mut self, key: K) -> Duration {
        let failures = self.failures.entry(key).or_insert(0);
        let delay = self.delay.min.saturating_mul(1u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(self.delay.max);
        *failures = failures.saturating_add(1).min(31);
        delay
    }

    /// Forgets the failures of an object that succeeded or is gone.
    pub fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_anew_after_a_success() {
        let mut backoff = Backoff::new(RetryDelay { min: Duration::from_millis(750), max: Duration::from_mins(15) });
        let delays: Vec<_> = (0..12).map(|_| backoff.failed("a").as_millis()).collect();
        assert_eq!(delays, [750, 1500, 3000, 6000, 12000, 24000, 48000, 96000, 192_000, 384_000, 768_000, 900_000]);
        for _ in 0..100 {
            assert_eq!(backoff.failed("a").as_secs(), 900);
        }
        backoff.forget(&"a");
        assert_eq!(backoff.failed("a").as_millis(), 750);
        assert_eq!(backoff.failed("b").as_millis(), 750);
    }
}
