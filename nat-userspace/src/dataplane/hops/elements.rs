//! The elements of `HOPS` as memory shared with the program.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use nat_common::abi::{HOP_ASK, HOP_READY, Hop};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::super::pins::Pins;
use super::super::sys::Words;

/// Words of 64 bits in an element; state and VPC are the first.
const WORDS: usize = size_of::<Hop>() / size_of::<u64>();

/// The elements in the kernel.
pub struct Elements(Words);

impl Elements {
    /// Opens the pinned array.
    pub fn open(pins: &Pins) -> Result<Elements> {
        Ok(Elements(pins.words("HOPS", true)?))
    }

    /// As many, all unused, in memory that no program reads.
    #[cfg(test)]
    pub fn in_memory(count: u32) -> Elements {
        Elements(Words::in_memory(count as usize * WORDS))
    }

    /// What stands in one.
    pub fn read(&self, index: u32) -> Hop {
        read(self.0.words().get(index as usize * WORDS..).unwrap_or_default())
    }

    /// From the next packet on, the kernel is asked.
    pub fn ask(&self, index: u32, vpc: u32) {
        let hop = Hop { state: HOP_ASK, vpc, ..Hop::default() };
        let first = hop.as_bytes().first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
        if let Some(place) = self.0.words().get(index as usize * WORDS) {
            place.store(first, Ordering::Release);
        }
    }

    /// Makes an element this next hop. What stands there already needs no more than saying so; anything else is written
    /// only when the element has come to rest. Answers whether it has not.
    pub fn make(&self, index: u32, hop: &Hop, rested: bool) -> bool {
        let there = self.read(index);
        if there == *hop {
            return false;
        }
        let same = Hop { state: HOP_READY, ..there } == *hop;
        if same || (rested && there.state != HOP_READY) {
            self.write(index, hop);
        }
        !same && !rested
    }

    /// Writes an element that packets do not read beyond its state, and its state last.
    pub fn write(&self, index: u32, hop: &Hop) {
        let first = index as usize * WORDS;
        let words = hop.as_bytes().chunks_exact(size_of::<u64>());
        let places = self.0.words().get(first..first + WORDS).unwrap_or_default();
        for (place, word) in places.iter().zip(words).rev() {
            let word = word.try_into().map_or(0, u64::from_ne_bytes);
            place.store(word, Ordering::Release);
        }
    }
}

/// VPC number of each element, for a reader beside the writer.
pub fn vpcs(pins: &Pins) -> Result<Vec<u32>> {
    let words = pins.words("HOPS", false)?;
    Ok(words.words().chunks_exact(WORDS).map(|element| read(element).vpc).collect())
}

/// What stands in one element, for a reader beside the writer.
pub fn element(pins: &Pins, index: u32) -> Result<Hop> {
    let words = pins.words("HOPS", false)?;
    Ok(read(words.words().get(index as usize * WORDS..).unwrap_or_default()))
}

fn read(element: &[AtomicU64]) -> Hop {
    let mut words = [0; WORDS];
    for (to, word) in words.iter_mut().zip(element) {
        *to = word.load(Ordering::Relaxed);
    }
    Hop::read_from_bytes(words.as_bytes()).unwrap_or_default()
}

/// How many elements of `HOPS` bindings can name beside so many counters.
pub fn capacity(pins: &Pins, slot_bits: u32) -> Result<u32> {
    let there = pins.capacity("HOPS").context("no map HOPS")?;
    Ok(there.min(nat_common::pairs::hop_capacity(slot_bits)))
}
