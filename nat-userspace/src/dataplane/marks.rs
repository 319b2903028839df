//! Marks: for each /24 of the address space, whether a packet has to look further.
//!
//! Nearly no packet meets a pool, an own address or a route other than the default, and two bits save the others the
//! look-ups. A mark too many costs time and nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use anyhow::Result;
use nat_common::abi::{MARK_WORDS, MARKS_OF_PREFIXES, MARKS_OF_ROUTES};
use nat_common::ipv4;

use super::pins::Pins;
use super::sys::Words;

/// The ranges to mark, as first and last /24, numbered from 0.0.0.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    prefixes: BTreeSet<(u32, u32)>,
    routes: BTreeSet<(u32, u32)>,
}

impl Marks {
    /// Marks a range that `PREFIXES` holds.
    pub fn add_prefix(&mut self, address: [u8; 4], length: u8) {
        self.prefixes.insert(networks(address, length));
    }

    /// Marks where a route other than the default leads.
    pub fn add_route(&mut self, address: [u8; 4], length: u8) {
        self.routes.insert(networks(address, length));
    }
}

fn networks(address: [u8; 4], length: u8) -> (u32, u32) {
    let mask = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    let address = u32::from_be_bytes(address);
    ((address & !mask) >> 8, (address | mask) >> 8)
}

/// The marks in the kernel.
pub struct KernelMarks {
    words: Words,
    /// What stands there, once it was written: the comparison of half a million words is not for every event.
    written: Option<Marks>,
}

impl KernelMarks {
    /// Opens the pinned array.
    pub fn open(pins: &Pins) -> Result<KernelMarks> {
        Ok(KernelMarks { words: pins.words("MARKS", true)?, written: None })
    }

    /// Writes the words that differ.
    pub fn write(&mut self, marks: &Marks) {
        if self.written.as_ref() == Some(marks) {
            return;
        }
        let mut words = vec![0; MARK_WORDS as usize];
        draw(&mut words, &ipv4::MARTIANS.iter().map(|(address, length)| networks(*address, *length)).collect());
        draw(&mut words, &marks.prefixes);
        self.store(MARKS_OF_PREFIXES, &words);
        draw(&mut words, &marks.routes);
        self.store(MARKS_OF_ROUTES, &words);
        self.written = Some(marks.clone());
    }

    fn store(&mut self, half: u32, words: &[u64]) {
        for (place, word) in self.words.words().iter().skip(half as usize).zip(words) {
            if place.load(Ordering::Relaxed) != *word {
                place.store(*word, Ordering::Release);
            }
        }
    }
}

fn draw(words: &mut [u64], ranges: &BTreeSet<(u32, u32)>) {
    for (first, last) in ranges {
        for at in first / 64..=last / 64 {
            let from = if at == first / 64 { first % 64 } else { 0 };
            let to = if at == last / 64 { last % 64 } else { 63 };
            if let Some(word) = words.get_mut(at as usize) {
                *word |= (u64::MAX << from) & (u64::MAX >> (63 - to));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nat_common::abi::mark;

    #[test]
    fn exactly_the_networks_a_range_touches_are_marked() {
        let ranges = [([10, 0, 0, 0], 8), ([203, 0, 113, 64], 26), ([9, 255, 255, 0], 24), ([200, 1, 0, 0], 15)];
        let mut marks = Marks::default();
        for (address, length) in ranges {
            marks.add_prefix(address, length);
        }
        let mut words = vec![0; MARK_WORDS as usize];
        draw(&mut words, &marks.prefixes);
        for network in 0..1u32 << 24 {
            let address = (network << 8).to_be_bytes();
            let (word, bit) = mark(address);
            let wanted = matches!(address, [10, ..] | [203, 0, 113, _] | [9, 255, 255, _] | [200, 0 | 1, ..]);
            assert_eq!(words[word as usize] & bit != 0, wanted, "{address:?}");
        }
        assert_eq!(networks([0; 4], 0), (0, (1 << 24) - 1));
    }
}
