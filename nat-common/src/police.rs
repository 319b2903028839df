//! Token buckets as the generic cell rate algorithm: one time stamp of state, no division, no lost fractions.

use crate::abi::Bucket;

/// A rate in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds between events at the sustained rate.
    pub interval: u64,
    /// Nanoseconds an event may come early, which is the burst.
    pub tolerance: u64,
}

impl Rate {
    /// `per_second` events on average and `burst` at once. A rate of 0 admits nothing.
    #[inline(always)]
    pub const fn per_second(per_second: u32, burst: u32) -> Rate {
        if per_second == 0 || burst == 0 {
            return Rate { interval: 0, tolerance: 0 };
        }
        // At most 10^9 times 2^32, which a u64 holds.
        let interval = 1_000_000_000 / per_second as u64;
        Rate { interval, tolerance: interval.wrapping_mul(burst as u64 - 1) }
    }
}

/// Takes one event at `now` (nanoseconds of any clock that does not jump); `true` admits it.
///
/// A clock that runs backwards between CPUs delays the refill and never adds to it. Two CPUs that race on one bucket
/// may admit one event too many each; the buckets guard against floods, they do not bill.
#[inline(always)]
pub fn admit(bucket: &mut Bucket, rate: Rate, now: u64) -> bool {
    let earliest = bucket.next.saturating_sub(rate.tolerance);
    if rate.interval == 0 || now < earliest {
        bucket.refused = bucket.refused.wrapping_add(1);
        return false;
    }
    let from = if bucket.next > now { bucket.next } else { now };
    bucket.next = from.saturating_add(rate.interval);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_admits_more_than_burst_plus_rate_times_time(
            per_second in 1u32..100_000, burst in 1u32..1000, gaps in proptest::collection::vec(0u64..50_000_000, 1..400),
        ) {
            let rate = Rate::per_second(per_second, burst);
            let mut bucket = Bucket::default();
            let start = 1_000_000_000_000;
            let (mut now, mut admitted) = (start, 0u64);
            for gap in gaps {
                now += gap;
                admitted += u64::from(admit(&mut bucket, rate, now));
                prop_assert!(admitted <= u64::from(burst) + (now - start) / rate.interval + 1);
            }
        }

        #[test]
        fn an_idle_bucket_admits_its_whole_burst(per_second in 1u32..100_000, burst in 1u32..1000, idle in 0u64..u64::MAX / 2) {
            let mut bucket = Bucket { next: idle, refused: 0 };
            let rate = Rate::per_second(per_second, burst);
            let now = idle + 1;
            for _ in 0..burst {
                prop_assert!(admit(&mut bucket, rate, now));
            }
            prop_assert!(!admit(&mut bucket, rate, now));
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_refills_nothing() {
        let rate = Rate::per_second(10, 1);
        let mut bucket = Bucket::default();
        assert!(admit(&mut bucket, rate, 5_000_000_000));
        assert!(!admit(&mut bucket, rate, 4_000_000_000));
        assert!(!admit(&mut bucket, rate, 0));
        assert!(admit(&mut bucket, rate, 5_100_000_000));
    }

    #[test]
    fn a_rate_of_zero_admits_nothing() {
        assert!(!admit(&mut Bucket::default(), Rate::per_second(0, 10), 1));
        assert!(!admit(&mut Bucket::default(), Rate::per_second(10, 0), 1));
    }
}
