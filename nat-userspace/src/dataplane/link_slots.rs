//! The direct-mapped copy of the links, where a packet finds its own without hashing.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use nat_common::abi::{Link, LinkKey, LinkSlot, link_slot};
use zerocopy::IntoBytes as _;

use super::pins::Pins;
use super::sys::Words;

/// Words of 64 bits in an element; the first is its key.
const WORDS: usize = size_of::<LinkSlot>() / size_of::<u64>();

/// The array in the kernel.
pub struct LinkSlots(Words);

impl LinkSlots {
    /// Opens the pinned array.
    pub fn open(pins: &Pins) -> Result<LinkSlots> {
        Ok(LinkSlots(pins.words("LINK_SLOTS", true)?))
    }

    /// Takes a link out, if it is there. What it says must not change before a grace period has passed.
    pub fn clear(&mut self, key: &LinkKey) {
        if let [first, ..] = self.element(key)
            && first.load(Ordering::Relaxed) == packed(key)
        {
            first.store(0, Ordering::Release);
        }
    }

    /// Puts a link in, unless another one has its place.
    pub fn offer(&mut self, key: &LinkKey, link: &Link) {
        let element = self.element(key);
        let [first, rest @ ..] = element else { return };
        if first.load(Ordering::Relaxed) != 0 {
            return;
        }
        for (place, word) in rest.iter().zip(link.as_bytes().chunks_exact(size_of::<u64>())) {
            place.store(word.try_into().map_or(0, u64::from_ne_bytes), Ordering::Relaxed);
        }
        first.store(packed(key), Ordering::Release);
    }

    fn element(&self, key: &LinkKey) -> &[AtomicU64] {
        let first = link_slot(key) as usize * WORDS;
        self.0.words().get(first..first + WORDS).unwrap_or_default()
    }
}

fn packed(key: &LinkKey) -> u64 {
    key.as_bytes().try_into().map_or(0, u64::from_ne_bytes)
}
