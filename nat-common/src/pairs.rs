//! The pair tables: how one address's binding is packed into a cell of 64 bits.
//!
//! A table is a hash of /24 networks to pages of 256 cells, and a plain hash for addresses that are alone in their
//! /24. A cell is one word because the daemon replaces it by one store while packets read it: no packet ever sees half
//! of one binding and half of another.

use crate::abi::{NO_SLOT, PrivateAddr, PublicAddr};

/// Cells in a page, one for each address of a /24.
pub const PAGE: u32 = 256;

/// Most bits of a cell that can index counters, so that at least 2,047 next hops remain.
pub const MAX_SLOT_BITS: u32 = 21;

/// Bits needed to index so many counters, at most [`MAX_SLOT_BITS`].
pub const fn slot_bits(slots: u32) -> u32 {
    let bits = u32::BITS - slots.saturating_sub(1).leading_zeros();
    if bits < 1 {
        1
    } else if bits > MAX_SLOT_BITS {
        MAX_SLOT_BITS
    } else {
        bits
    }
}

/// Number of elements of `HOPS` that a cell can name beside the index of its counters.
pub const fn hop_capacity(slot_bits: u32) -> u32 {
    let hops = 1u32 << (u32::BITS.wrapping_sub(slot_bits) & 31);
    // More than this is no small array any more.
    if hops > 65_536 { 65_536 } else { hops }
}

/// The network of an address: its /24, as the key of a page.
#[inline(always)]
pub const fn network(address: [u8; 4]) -> [u8; 4] {
    [address[0], address[1], address[2], 0]
}

/// The cell of an address in its page.
#[inline(always)]
pub const fn cell_in_page(address: [u8; 4]) -> u32 {
    address[3] as u32
}

/// Number of elements of `PAGE_SLOTS`.
pub const PAGE_SLOTS: u32 = 1 << 14;

/// [`crate::abi::PageSlot::page`] where only the hash can tell.
pub const ASK_HASH: u64 = u64::MAX;

/// The element of `PAGE_SLOTS` in which the page of an address's network may be found; where another network's is there,
/// the hash has it. Networks that follow each other have elements that do.
#[inline(always)]
pub const fn page_slot(vpc: u32, address: [u8; 4]) -> u32 {
    const GOLDEN: u32 = 0x9e37_79b1;
    ((u32::from_be_bytes(address) >> 8) ^ (vpc.wrapping_mul(GOLDEN) >> 16)) % PAGE_SLOTS
}

/// What stands in a sparse entry for its own key; `vpc` is 0 for a public address.
#[inline(always)]
pub const fn tag(vpc: u32, address: [u8; 4]) -> u64 {
    (vpc as u64) << 32 | u32::from_ne_bytes(address) as u64
}

/// Value of `INBOUND_PAGES` and `OUTBOUND_PAGES`: the number of a page, and a mark of the network it belongs to, by which
/// a packet sees that the kernel has given the entry's memory to another one meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(pub u64);

impl Page {
    /// Packs a page number for a network.
    #[inline(always)]
    pub const fn new(vpc: u32, network: [u8; 4], number: u32) -> Page {
        Page((number as u64) << 32 | Self::mark(vpc, network) as u64)
    }

    /// The page's number, if this is still the page of that network.
    #[inline(always)]
    pub const fn number(self, vpc: u32, network: [u8; 4]) -> Option<u32> {
        if self.0 as u32 == Self::mark(vpc, network) { Some((self.0 >> 32) as u32) } else { None }
    }

    /// The page's number, whosever it is.
    pub const fn raw_number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    const fn mark(vpc: u32, network: [u8; 4]) -> u32 {
        const GOLDEN: u32 = 0x9e37_79b1;
        u32::from_ne_bytes(network) ^ vpc.wrapping_mul(GOLDEN)
    }
}

/// Whose a public address is: the cell of the inbound table. All zero where it is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The instance's private address.
    pub private: PrivateAddr,
    /// Element of `HOPS` that leads to it, and tells its VPC. Below [`hop_capacity`], and 0 only where it is nobody's.
    pub hop: u32,
    /// Index of the address's counters, below 2 to the power of `slot_bits`.
    pub slot: u32,
}

impl Inbound {
    /// Packs it; `slot_bits` is that of the gateway.
    #[inline(always)]
    pub const fn pack(self, slot_bits: u32) -> u64 {
        let index = self.hop << (slot_bits & 31) | self.slot;
        (index as u64) << 32 | u32::from_ne_bytes(self.private.0) as u64
    }

    /// What a cell says.
    #[inline(always)]
    pub const fn unpack(cell: u64, slot_bits: u32) -> Inbound {
        let index = (cell >> 32) as u32;
        Inbound {
            private: PrivateAddr((cell as u32).to_ne_bytes()),
            hop: index >> (slot_bits & 31),
            slot: index & ((1 << (slot_bits & 31)) - 1),
        }
    }
}

/// What an instance is called outside: the cell of the outbound table. All zero where there is no such instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The public address, or [`PublicAddr::NONE`].
    pub public: PublicAddr,
    /// Index of the address's counters, or [`NO_SLOT`] where there is no public address.
    pub slot: u32,
}

impl Outbound {
    /// An instance without a public address.
    pub const NOWHERE: Outbound = Outbound { public: PublicAddr::NONE, slot: NO_SLOT };

    /// Packs it; never zero, because an instance is known even where it has no public address.
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        (self.slot as u64) << 32 | u32::from_ne_bytes(self.public.0) as u64
    }

    /// What a cell says.
    #[inline(always)]
    pub const fn unpack(cell: u64) -> Outbound {
        Outbound { public: PublicAddr((cell as u32).to_ne_bytes()), slot: (cell >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cells_come_back_as_they_were_packed(private in any::<[u8; 4]>(), pairs in 1..=1u32 << MAX_SLOT_BITS, a in any::<u32>(), b in any::<u32>()) {
            let bits = slot_bits(pairs);
            let cell = Inbound { private: PrivateAddr(private), hop: a % hop_capacity(bits), slot: b % pairs };
            prop_assert_eq!(Inbound::unpack(cell.pack(bits), bits), cell);
            let cell = Outbound { public: PublicAddr(private), slot: b % pairs };
            prop_assert_eq!(Outbound::unpack(cell.pack()), cell);
        }

        #[test]
        fn a_page_is_known_by_its_network_only(vpc in any::<u32>(), other in any::<u32>(), address in any::<[u8; 4]>(), number in any::<u32>()) {
            let page = Page::new(vpc, network(address), number);
            prop_assert_eq!(page.number(vpc, network(address)), Some(number));
            prop_assert_eq!(page.number(other, network(address)).is_some(), vpc == other);
            prop_assert_eq!(page.raw_number(), number);
        }
    }

    #[test]
    fn every_slot_of_a_capacity_has_bits_and_next_hops_remain() {
        for pairs in [1, 2, 3, 255, 256, 257, 65_536, 1_000_000, 1 << MAX_SLOT_BITS] {
            let bits = slot_bits(pairs);
            assert!(pairs - 1 < 1 << bits, "{pairs}");
            assert!(hop_capacity(bits) >= 2048, "{pairs}");
            assert_eq!((hop_capacity(bits) - 1) << bits >> bits, hop_capacity(bits) - 1, "{pairs}");
        }
    }

    #[test]
    fn an_instance_without_a_public_address_is_not_nobody() {
        assert_ne!(Outbound::NOWHERE.pack(), 0);
        assert_eq!(Outbound::unpack(Outbound::NOWHERE.pack()), Outbound::NOWHERE);
    }
}
