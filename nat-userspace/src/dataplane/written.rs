//! What the bindings' one writer has written, in sums by which somebody who reads the tables beside it can tell whether
//! they say anything else: whatever was changed, in both directions alike too.
//!
//! Each instance with what it is bound to is a number, and belongs to one of many parts; a part's sum is that of its
//! numbers. A reader compares the parts that did not change while it read, so it need not stop the writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use nat_common::abi::{PrivateKey, PublicAddr};

/// Parts, in bits of their number: with 10,000 changes a second and a second to read, six of seven do not change.
const BITS: u32 = 16;

/// Instances, each once, with what they are bound to: [`PublicAddr::NONE`] where that is nothing.
pub type Bound = Vec<(PrivateKey, PublicAddr)>;

/// The sums. Clones share them.
#[derive(Clone)]
pub struct Written(Arc<[Part]>);

#[derive(Default)]
struct Part {
    /// Odd while one of its instances is being written.
    changes: AtomicU64,
    sum: AtomicU64,
}

/// A part that is being written. Dropped without [`Changing::done`], it stays so until everything is written anew: what
/// the tables say of it is not known.
#[must_use]
pub struct Changing<'a> {
    part: &'a Part,
    key: PrivateKey,
    /// Whether all that was written before was done.
    known: bool,
}

impl Default for Written {
    fn default() -> Written {
        Written((0..1 << BITS).map(|_| Part::default()).collect())
    }
}

impl Written {
    /// To be called before anything of an instance is written. There is one writer.
    pub fn change(&self, key: PrivateKey) -> Changing<'_> {
        let part = &self.0[part_of(key)];
        let changes = part.changes.load(Ordering::Relaxed);
        part.changes.store(changes | 1, Ordering::Relaxed);
        fence(Ordering::Release);
        Changing { part, key, known: changes.is_multiple_of(2) }
    }

    /// From now on this and nothing else has been written.
    pub fn is_now(&self, all: &[(PrivateKey, Option<PublicAddr>)]) {
        let mut sums = vec![0u64; self.0.len()];
        for (key, public) in all {
            let sum = &mut sums[part_of(*key)];
            *sum = sum.wrapping_add(number(*key, public.unwrap_or(PublicAddr::NONE)));
        }
        for (part, sum) in self.0.iter().zip(sums) {
            let changes = part.changes.load(Ordering::Relaxed) | 1;
            part.changes.store(changes, Ordering::Relaxed);
            fence(Ordering::Release);
            part.sum.store(sum, Ordering::Relaxed);
            part.changes.store(changes + 1, Ordering::Release);
        }
    }

    /// Reads the outbound table by `read` and answers with it and with the numbers of the parts of which it says
    /// anything else than was written.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn compare<E>(&self, read: impl FnOnce() -> Result<Bound, E>) -> Result<(Bound, BTreeSet<usize>), E> {
        let before: Vec<u64> = self.0.iter().map(|part| part.changes.load(Ordering::Acquire)).collect();
        let mut sums = vec![0u64; self.0.len()];
        let bound = read()?;
        for (key, public) in &bound {
            let sum = &mut sums[part_of(*key)];
            *sum = sum.wrapping_add(number(*key, *public));
        }
        let differs = |at: &usize| {
            let sum = self.0[*at].sum.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            let quiet = before[*at].is_multiple_of(2) && self.0[*at].changes.load(Ordering::Relaxed) == before[*at];
            quiet && sum != sums[*at]
        };
        let differing = (0..self.0.len()).filter(differs).collect();
        Ok((bound, differing))
    }
}

impl Changing<'_> {
    /// It was written: what the instance was bound to and is bound to now, each none where it was not or is not known,
    /// [`PublicAddr::NONE`] where it had or has no public address.
    pub fn done(self, before: Option<PublicAddr>, now: Option<PublicAddr>) {
        let number = |public: Option<PublicAddr>| public.map_or(0, |public| number(self.key, public));
        let sum = self.part.sum.load(Ordering::Relaxed);
        self.part.sum.store(sum.wrapping_sub(number(before)).wrapping_add(number(now)), Ordering::Relaxed);
        if self.known {
            let changes = self.part.changes.load(Ordering::Relaxed);
            self.part.changes.store(changes + 1, Ordering::Release);
        }
    }
}

fn part_of(key: PrivateKey) -> usize {
    (of_key(key) >> (u64::BITS - BITS)) as usize
}

fn of_key(PrivateKey { vpc, address }: PrivateKey) -> u64 {
    mix(u64::from(vpc) << 32 | u64::from(u32::from_be_bytes(address.0)))
}

fn number(key: PrivateKey, public: PublicAddr) -> u64 {
    mix(of_key(key) ^ u64::from(u32::from_be_bytes(public.0)))
}

/// Spreads what differs in few bits over all of them (the finalizer of MurmurHash3). Nobody is to be kept from finding two
/// alike: who writes the maps can also stop this process.
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use nat_common::abi::PrivateAddr;

    use super::*;

    type Table = BTreeMap<PrivateKey, PublicAddr>;

    fn key(last: u8) -> PrivateKey {
        PrivateKey { vpc: 7, address: PrivateAddr([10, 0, 0, last]) }
    }

    fn public(last: u8) -> PublicAddr {
        PublicAddr([203, 0, 113, last])
    }

    fn differing(written: &Written, table: &Table) -> usize {
        let all = table.iter().map(|(key, public)| (*key, *public)).collect();
        written.compare(|| Ok::<_, Infallible>(all)).unwrap().1.len()
    }

    fn write(written: &Written, table: &mut Table, key: PrivateKey, now: Option<PublicAddr>) {
        let changing = written.change(key);
        let before = match now {
            Some(now) => table.insert(key, now),
            None => table.remove(&key),
        };
        changing.done(before, now);
    }

    #[test]
    fn what_was_written_differs_from_no_table_that_says_so_and_from_every_other() {
        let (written, mut table) = (Written::default(), Table::new());
        assert_eq!(differing(&written, &table), 0);
        for last in 0..200 {
            write(&written, &mut table, key(last), Some(public(last)));
        }
        for last in 0..50 {
            write(&written, &mut table, key(last), None);
            write(&written, &mut table, key(100 + last), Some(PublicAddr::NONE));
            write(&written, &mut table, key(150 + last), Some(public(last)));
        }
        assert_eq!(differing(&written, &table), 0);
        let all: Vec<_> = table.iter().map(|(key, to)| (*key, (*to != PublicAddr::NONE).then_some(*to))).collect();
        let anew = Written::default();
        anew.is_now(&all);
        assert_eq!(differing(&anew, &table), 0);

        for written in [&written, &anew] {
            let changed = |change: &dyn Fn(&mut Table) -> Option<PublicAddr>| {
                let mut table = table.clone();
                change(&mut table);
                differing(written, &table)
            };
            assert_eq!(changed(&|table| table.remove(&key(60))), 1);
            assert_eq!(changed(&|table| table.insert(key(60), public(1))), 1);
            assert_eq!(changed(&|table| table.insert(key(1), public(1))), 1);
            assert_eq!(changed(&|table| table.insert(key(120), public(1))), 1);
            let exchange = |table: &mut Table| {
                table.insert(key(60), public(61));
                table.insert(key(61), public(60))
            };
            assert_eq!(changed(&exchange), 2);
        }
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_compared() {
        let (written, mut table) = (Written::default(), Table::new());
        write(&written, &mut table, key(1), Some(public(1)));
        let stale = table.clone().into_iter().collect::<Vec<_>>();
        let read = || {
            write(&written, &mut table, key(1), Some(public(2)));
            Ok::<_, Infallible>(stale)
        };
        assert!(written.compare(read).unwrap().1.is_empty());
        // What failed halfway is not known until everything is written anew.
        drop(written.change(key(1)));
        assert_eq!(differing(&written, &Table::new()), 0);
        write(&written, &mut table, key(1), Some(public(2)));
        assert_eq!(differing(&written, &Table::new()), 0);
        written.is_now(&[(key(1), Some(public(2)))]);
        assert_eq!(differing(&written, &table), 0);
        assert_eq!(differing(&written, &Table::new()), 1);
    }
}
