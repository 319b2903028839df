//! The direct-mapped copy of the page hashes, where a packet finds its network's page without hashing.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use nat_common::abi::PageSlot;
use nat_common::pairs::{ASK_HASH, page_slot, tag};

use super::pins::Pins;
use super::sys::Words;

/// Words of 64 bits in an element: key and page.
const WORDS: usize = size_of::<PageSlot>() / size_of::<u64>();

/// The array in the kernel, which both tables share.
pub struct PageSlots(Words);

impl PageSlots {
    /// Opens the pinned array.
    pub fn open(pins: &Pins) -> Result<PageSlots> {
        Ok(PageSlots(pins.words("PAGE_SLOTS", true)?))
    }

    /// Tells where the page of a network is, unless its place was another network's. The page is complete and in its hash,
    /// and what it replaces is still where it was: from here on packets look for the page.
    pub fn offer(&self, vpc: u32, network: [u8; 4], number: u32) {
        let Some((key, page)) = self.element(vpc, network) else { return };
        let own = tag(vpc, network);
        if page.load(Ordering::Relaxed) == 0 {
            key.store(own, Ordering::Release);
        }
        if key.load(Ordering::Relaxed) == own {
            page.store(u64::from(number) + 1, Ordering::Release);
        }
    }

    /// Forgets the page of a network, before its memory can become another's. The place stays this network's: a packet
    /// may have read the page and not yet the key.
    pub fn withdraw(&self, vpc: u32, network: [u8; 4]) {
        let Some((key, page)) = self.element(vpc, network) else { return };
        if key.load(Ordering::Relaxed) == tag(vpc, network) {
            page.store(ASK_HASH, Ordering::Release);
        }
    }

    fn element(&self, vpc: u32, network: [u8; 4]) -> Option<(&AtomicU64, &AtomicU64)> {
        let first = page_slot(vpc, network) as usize * WORDS;
        match self.0.words().get(first..first + WORDS)? {
            [key, page] => Some((key, page)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use nat_common::pairs::PAGE_SLOTS;

    use super::*;

    #[test]
    fn a_place_is_the_first_networks_and_leads_nowhere_once_its_page_is_gone() {
        let slots = PageSlots(Words::in_memory(PAGE_SLOTS as usize * WORDS));
        let one = [198, 18, 0, 0];
        let networks = (1..=u16::MAX).map(|number| [198, 19 + (number >> 8) as u8 % 200, number as u8, 0]);
        let other = networks.into_iter().find(|network| page_slot(0, *network) == page_slot(0, one)).unwrap();
        let stands = || {
            let (key, page) = slots.element(0, one).unwrap();
            (key.load(Ordering::Relaxed), page.load(Ordering::Relaxed))
        };
        slots.offer(0, one, 3);
        slots.offer(0, other, 4);
        slots.withdraw(0, other);
        assert_eq!(stands(), (tag(0, one), 4), "the other is looked for in the hash");
        slots.withdraw(0, one);
        slots.offer(0, other, 4);
        assert_eq!(stands(), (tag(0, one), ASK_HASH), "a packet may have read the page and not yet the key");
        slots.offer(0, one, 5);
        assert_eq!(stands(), (tag(0, one), 6));
    }
}
