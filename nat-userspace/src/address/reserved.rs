//! Address blocks that are nobody's to hand out, or only in a lab.

use std::net::Ipv4Addr;

use super::Prefix;

/// Whether pools may lie in blocks that are not routed on the Internet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReservedRanges {
    /// As on the Internet: no.
    #[default]
    Refuse,
    /// As in a lab: private, documentation and benchmark blocks may be pools; loopback, multicast and such never.
    Allow,
}

/// A block set aside by an RFC.
pub(super) struct ReservedBlock {
    pub(super) prefix: Prefix,
    pub(super) purpose: &'static str,
    usable: Usable,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usable {
    InLabs,
    Never,
}

impl ReservedBlock {
    pub(super) fn allowed(&self, reserved: ReservedRanges) -> bool {
        reserved == ReservedRanges::Allow && self.usable_in_labs()
    }

    pub(super) fn usable_in_labs(&self) -> bool {
        self.usable == Usable::InLabs
    }
}

const fn block(network: [u8; 4], length: u8, purpose: &'static str, usable: Usable) -> ReservedBlock {
    ReservedBlock { prefix: Prefix::constant(network, length), purpose, usable }
}

/// RFC 6890 and its updates. `Never` is what no host accepts as a source or what never leaves a link.
pub(super) const RESERVED_BLOCKS: [ReservedBlock; 15] = [
    block([0, 0, 0, 0], 8, "this network", Usable::Never),
    block([10, 0, 0, 0], 8, "private use", Usable::InLabs),
    block([100, 64, 0, 0], 10, "carrier-grade NAT", Usable::InLabs),
    block([127, 0, 0, 0], 8, "loopback", Usable::Never),
    block([169, 254, 0, 0], 16, "link-local", Usable::Never),
    block([172, 16, 0, 0], 12, "private use", Usable::InLabs),
    block([192, 0, 0, 0], 24, "protocol assignments", Usable::InLabs),
    block([192, 0, 2, 0], 24, "documentation", Usable::InLabs),
    block([192, 88, 99, 0], 24, "6to4 relays", Usable::InLabs),
    block([192, 168, 0, 0], 16, "private use", Usable::InLabs),
    block([198, 18, 0, 0], 15, "benchmarks", Usable::InLabs),
    block([198, 51, 100, 0], 24, "documentation", Usable::InLabs),
    block([203, 0, 113, 0], 24, "documentation", Usable::InLabs),
    block([224, 0, 0, 0], 4, "multicast", Usable::Never),
    block([240, 0, 0, 0], 4, "future use and broadcast", Usable::Never),
];

/// Why no instance may carry this private address, if so.
pub(super) fn unusable_as_private(address: Ipv4Addr) -> Option<&'static str> {
    let never = RESERVED_BLOCKS.iter().filter(|block| block.usable == Usable::Never);
    never.into_iter().find(|block| block.prefix.contains(address)).map(|block| block.purpose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_are_written_without_host_bits() {
        for ReservedBlock { prefix, .. } in &RESERVED_BLOCKS {
            assert_eq!(Prefix::new(prefix.first(), prefix.length()).as_ref(), Ok(prefix));
        }
    }
}
