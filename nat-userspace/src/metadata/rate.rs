//! How often one instance may ask.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Those remembered at one time. Whoever has not asked for [`FULL_AGAIN`] need not be.
const MOST: usize = 16_384;
/// What a second allows may be used at once, and a second later again.
const FULL_AGAIN: Duration = Duration::from_secs(1);

/// A bucket of tokens for everybody who asked of late.
pub(super) struct Rate<K>(Mutex<HashMap<K, Bucket>>);

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq> Rate<K> {
    pub(super) fn new() -> Self {
        Rate(Mutex::default())
    }

    /// Whether this one may ask now, with so many questions a second; 0 is no limit.
    pub(super) fn admit(&self, who: K, per_second: u32, now: Instant) -> bool {
        if per_second == 0 {
            return true;
        }
        let most = f64::from(per_second);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < FULL_AGAIN);
            if buckets.len() >= MOST {
                return false;
            }
        }
        let bucket = buckets.entry(who).or_insert(Bucket { tokens: most, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * most;
        bucket.tokens = (bucket.tokens + gained).min(most);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_second_and_then_the_rate() {
        let (rate, start) = (Rate::new(), Instant::now());
        let admitted =
            |who: u32, at: Duration, times: usize| (0..times).filter(|_| rate.admit(who, 10, start + at)).count();
        assert_eq!(admitted(1, Duration::ZERO, 50), 10);
        assert_eq!(admitted(1, Duration::from_millis(500), 50), 5);
        assert_eq!(admitted(1, Duration::from_secs(9), 50), 10, "what was not used is not saved up");
        // Whom the others keep busy.
        assert_eq!(admitted(2, Duration::from_secs(9), 50), 10);
        assert!((0..100).all(|_| rate.admit(1, 0, start + Duration::from_secs(9))), "no limit");
    }

    #[test]
    fn those_who_have_not_asked_of_late_are_forgotten_and_memory_is_bounded() {
        let (rate, start) = (Rate::new(), Instant::now());
        assert!((0..MOST).all(|who| rate.admit(who, 1, start)));
        assert!(!rate.admit(MOST, 1, start), "nobody can be forgotten yet");
        assert!(rate.admit(MOST, 1, start + FULL_AGAIN));
        assert_eq!(rate.0.lock().unwrap().len(), 1);
    }
}
