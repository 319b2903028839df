//! How many calls of one action an account may make: as many at once as in a second, and on average no more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::AccountId;

/// The actions of which the cloud allows more calls, and how many times as many: of binding, unbinding and releasing it
/// allows an account 10 a second, of this one 20.
const MORE_OFTEN: [(&str, u32); 1] = [("AdjustPublicAddress", 2)];
/// Fewer than this need no tidying up.
const FEW: usize = 1024;

/// The calls of late, by account and action.
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<(AccountId, &'static str), Bucket>>);

/// When the calls that were let in would have been made, had they come evenly.
struct Bucket {
    due: Instant,
}

/// How many calls of an action there may be in a second where of most there may be so many. 0 is no limit.
pub(super) fn of_action(action: &str, most: u32) -> u32 {
    let times = MORE_OFTEN.iter().find(|(name, _)| *name == action).map_or(1, |(_, times)| *times);
    most.saturating_mul(times)
}

impl Rates {
    /// Whether one more call is within the rate; it counts if it is. A rate of 0 is no limit.
    pub(super) fn admit(&self, account: &AccountId, action: &'static str, per_second: u32, now: Instant) -> bool {
        if per_second == 0 {
            return true;
        }
        let each = Duration::from_secs(1) / per_second;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > FEW {
            buckets.retain(|_, bucket| bucket.due > now);
        }
        let bucket = buckets.entry((account.clone(), action)).or_insert(Bucket { due: now });
        let due = bucket.due.max(now) + each;
        let within = due <= now + Duration::from_secs(1);
        if within {
            bucket.due = due;
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_calls_and_no_more() {
        let rates = Rates::default();
        let (alice, bob): (AccountId, AccountId) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let begin = Instant::now();
        let admitted = |account: &AccountId, action, millis: u64| {
            let now = begin + Duration::from_millis(millis);
            (0..20).filter(|_| rates.admit(account, action, 10, now)).count()
        };
        assert_eq!(admitted(&alice, "ReleaseAddresses", 0), 10);
        assert_eq!(admitted(&alice, "ReleaseAddresses", 50), 0);
        assert_eq!(admitted(&alice, "AssociateAddress", 50), 10);
        assert_eq!(admitted(&bob, "ReleaseAddresses", 50), 10);
        assert_eq!(admitted(&alice, "ReleaseAddresses", 300), 3);
        assert_eq!(admitted(&alice, "ReleaseAddresses", 60_000), 10);
        assert!((0..1000).all(|_| rates.admit(&alice, "DescribeAddresses", 0, begin)));
    }
}
