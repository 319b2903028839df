//! How often somebody may try to log in: guessing keys has to take longer than anybody lives.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Failures one source may have at once.
const BURST: u32 = 10;
/// And one more for each such time.
const PAUSE: Duration = Duration::from_secs(6);
/// Sources and credentials remembered; beyond, all strangers share one place.
const REMEMBERED: usize = 4096;

/// Failed log-ins of late, by where they came from and by which credential was tried.
#[derive(Default)]
pub(super) struct Attempts {
    sources: Debts<IpAddr>,
    credentials: Debts<String>,
}

impl Attempts {
    /// Whether one more may be made now.
    pub(super) fn may_try(&self, source: IpAddr, secret_id: &str, now: Instant) -> bool {
        self.sources.may(&source, now) && self.credentials.may(&secret_id.to_owned(), now)
    }

    /// One has failed.
    pub(super) fn failed(&mut self, source: IpAddr, secret_id: &str, now: Instant) {
        self.sources.owe(source, now);
        self.credentials.owe(secret_id.to_owned(), now);
    }
}

/// When each has worked off what it did.
struct Debts<K> {
    by_key: HashMap<K, Instant>,
    strangers: Option<Instant>,
}

impl<K> Default for Debts<K> {
    fn default() -> Self {
        Debts { by_key: HashMap::new(), strangers: None }
    }
}

impl<K: Hash + Eq> Debts<K> {
    fn may(&self, key: &K, now: Instant) -> bool {
        let full = self.by_key.len() >= REMEMBERED;
        let until = self.by_key.get(key).copied().or(self.strangers.filter(|_| full));
        until.is_none_or(|until| until + PAUSE <= now + PAUSE * BURST)
    }

    fn owe(&mut self, key: K, now: Instant) {
        if self.by_key.len() >= REMEMBERED {
            self.by_key.retain(|_, until| *until > now);
        }
        let later = |until: Instant| until.max(now) + PAUSE;
        if self.by_key.len() >= REMEMBERED && !self.by_key.contains_key(&key) {
            self.strangers = Some(later(self.strangers.unwrap_or(now)));
            return;
        }
        self.by_key.entry(key).and_modify(|until| *until = later(*until)).or_insert(now + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    /// How many of so many attempts were let through.
    fn let_through(attempts: &mut Attempts, from: impl Fn(u32) -> (IpAddr, String), tries: u32, now: Instant) -> u32 {
        let mut passed = 0;
        for index in 0..tries {
            let (source, id) = from(index);
            if attempts.may_try(source, &id, now) {
                passed += 1;
                attempts.failed(source, &id, now);
            }
        }
        passed
    }

    #[test]
    fn a_guesser_is_slowed_down_and_nobody_else_is() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(let_through(&mut attempts, |index| (source(1), format!("id-{index}")), 100, now), BURST);
        assert!(attempts.may_try(source(2), "id-x", now));
        assert!(!attempts.may_try(source(1), "id-x", now));
        assert!(attempts.may_try(source(1), "id-x", now + PAUSE), "one for each pause");
        let hour = now + Duration::from_secs(3600);
        assert_eq!(let_through(&mut attempts, |_| (source(1), "one".into()), 100, hour), BURST);
    }

    #[test]
    fn one_credential_is_not_guessed_from_many_places() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(let_through(&mut attempts, |index| (source(index), "AKIDone".into()), 1000, now), BURST);
    }

    #[test]
    fn a_flood_of_strangers_takes_bounded_memory_and_stays_slow() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let passed = let_through(&mut attempts, |index| (source(index), format!("id-{index}")), 100_000, now);
        assert!(passed <= REMEMBERED as u32 + BURST, "{passed}");
        assert!(attempts.sources.by_key.len() <= REMEMBERED && attempts.credentials.by_key.len() <= REMEMBERED);
        assert!(attempts.may_try(source(7_000_000), "id-new", now + PAUSE * (BURST + 1)), "it passes");
    }
}
