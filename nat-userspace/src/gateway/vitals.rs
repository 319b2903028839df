//! What the gateway measures of itself, for metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::{RangeTotals, Time};
use crate::dataplane::Drift;

use super::Status;

/// Upper bounds in seconds of a [`Histogram`]'s buckets; the last one has none.
pub const BOUNDS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Observations of each bucket by itself, the one without bound last.
    pub counts: [u64; BOUNDS.len() + 1],
    /// All observed times together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    /// Observations altogether.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// How long commits took that are durable.
    pub flushes: Histogram,
    /// Commits that the store refused.
    pub refused_commits: u64,
    /// How long it took from taking up a command to its being in effect on the next packet.
    pub effects: Histogram,
    /// How often all of the maps were compared with the ledger, with success.
    pub reconciliations: u64,
    /// And without.
    pub failed_reconciliations: u64,
    /// What they found in the maps.
    pub drift: Drift,
    /// Whether the store refused the latest change.
    pub refusing: bool,
}

impl Tally {
    pub(super) fn committed(&mut self, time: Duration) {
        self.flushes.observe(time);
        self.refusing = false;
    }

    pub(super) fn commit_refused(&mut self) {
        self.refused_commits += 1;
        self.refusing = true;
    }

    pub(super) fn reconciled(&mut self, drift: Option<&Drift>) {
        let Some(drift) = drift else {
            self.failed_reconciliations += 1;
            return;
        };
        self.reconciliations += 1;
        self.drift.added += drift.added;
        self.drift.removed += drift.removed;
        self.drift.changed += drift.changed;
    }
}

/// The gateway at one moment, in figures.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// As `status` shows it, the guard as it was seen last.
    pub status: Status,
    /// When this was.
    pub at: Time,
    /// How each range of the pool is used, ascending.
    pub pools: Vec<RangeTotals>,
    /// What happened since the start.
    pub tally: Tally,
}

/// Keeps an answer for a hundred times as long as it took to find, so that whoever asks too often costs the gateway one
/// hundredth of its time and no more.
#[derive(Debug, Default)]
pub(super) struct Kept(Option<(Instant, Duration, Arc<Vitals>)>);

impl Kept {
    /// How many times as long as it took.
    const SPARED: u32 = 100;

    pub(super) fn present(&self) -> Option<Arc<Vitals>> {
        let (found, took, vitals) = self.0.as_ref()?;
        (found.elapsed() < *took * Self::SPARED).then(|| Arc::clone(vitals))
    }

    pub(super) fn keep(&mut self, began: Instant, vitals: Vitals) -> Arc<Vitals> {
        let vitals = Arc::new(vitals);
        self.0 = Some((Instant::now(), began.elapsed(), Arc::clone(&vitals)));
        vitals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for micros in [1, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut counts = [0; BOUNDS.len() + 1];
        (counts[0], counts[1], counts[BOUNDS.len() - 1], counts[BOUNDS.len()]) = (2, 1, 1, 1);
        assert_eq!((histogram.counts, histogram.count()), (counts, 5));
        assert!((histogram.sum - 20.000_103).abs() < 1e-9, "{}", histogram.sum);
        assert!(BOUNDS.is_sorted());
    }
}
