//! What the domain must not know: the clock and chance.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::address::Time;

/// Without i, l, o and u: nothing to confuse when an id is read aloud.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The clock and the source of ids.
pub struct Outside {
    clock: Box<dyn FnMut() -> Time + Send>,
    chance: Box<dyn FnMut() -> [u8; 8] + Send>,
    /// A clock that nobody sets.
    steady: Box<dyn FnMut() -> Duration + Send>,
    latest: Time,
    /// What the steady clock showed then.
    latest_steady: Duration,
}

impl Outside {
    /// The machine's own.
    pub fn of_this_machine() -> io::Result<Outside> {
        let mut urandom = BufReader::new(File::open("/dev/urandom")?);
        let chance = move || {
            let mut bytes = [0; 8];
            urandom.read_exact(&mut bytes).expect("/dev/urandom never ends");
            bytes
        };
        Ok(Outside::new(wall_clock, chance))
    }

    /// A given clock and given chance.
    pub fn new(
        clock: impl FnMut() -> Time + Send + 'static,
        chance: impl FnMut() -> [u8; 8] + Send + 'static,
    ) -> Outside {
        let begun = Instant::now();
        Outside {
            clock: Box::new(clock),
            chance: Box::new(chance),
            steady: Box::new(move || begun.elapsed()),
            latest: Time::default(),
            latest_steady: Duration::ZERO,
        }
    }

    /// With another steady clock.
    #[cfg(test)]
    pub(super) fn with_steady(self, steady: impl FnMut() -> Duration + Send + 'static) -> Outside {
        Outside { steady: Box::new(steady), ..self }
    }

    /// The present moment, never before an earlier answer: a clock set back must not make releases look reordered. Until it
    /// has caught up, time goes on by a clock that nobody sets, so that what rests and what is paid for still ends.
    pub fn now(&mut self) -> Time {
        let (clock, steady) = ((self.clock)(), (self.steady)());
        if clock >= self.latest {
            (self.latest, self.latest_steady) = (clock, steady);
            return clock;
        }
        let passed = steady.saturating_sub(self.latest_steady).as_millis() as u64;
        self.latest = Time(self.latest.0.saturating_add(passed));
        // What is less than a millisecond counts the next time.
        self.latest_steady += Duration::from_millis(passed);
        self.latest
    }

    /// An id with this prefix that `is_free`.
    pub(super) fn draw_id<Id: FromStr<Err: Debug>>(&mut self, prefix: &str, is_free: impl Fn(&Id) -> bool) -> Id {
        loop {
            let letters = (self.chance)().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
            let text: String = prefix.chars().chain(letters).collect();
            let id = text.parse().expect("the prefix and the letters are plain");
            if is_free(&id) {
                return id;
            }
        }
    }

    /// So many different ids with this prefix, ascending, each of which `is_free`.
    pub(super) fn draw_ids<Id: FromStr<Err: Debug> + Ord>(
        &mut self,
        prefix: &str,
        count: usize,
        is_free: impl Fn(&Id) -> bool,
    ) -> Vec<Id> {
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            drawn.extend((drawn.len()..count).map(|_| self.draw_id(prefix, &is_free)));
            drawn.sort_unstable();
            drawn.dedup();
        }
        drawn
    }
}

fn wall_clock() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
