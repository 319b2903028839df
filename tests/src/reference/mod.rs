//! The reference translator: what the gateway must do with a frame, written for clarity from the contract and not from
//! the program. It rebuilds what leaves and computes checksums in full, keeping exactly the error an arriving
//! checksum had; the program updates them incrementally, so agreement means something.
//!
//! [`judge`] gives verdict, action and expected bytes; [`frames_equal`] compares those with what the program made.

mod compare;
mod judge;
mod rebuild;
mod world;

#[cfg(test)]
mod tests;

pub use compare::frames_equal;
pub use judge::{Action, Judgement, judge};
pub use world::{Device, Entry, Indexes, Link, Neighbour, Pair, Query, Route, Side, Way, World, within};

/// `icmp-rate-limited` in place of any `*-reply` of ICMP.
pub const VERDICTS: [&str; 50] = [
    "malformed-ethernet",
    "arp-reply",
    "pass-arp",
    "pass-ipv6",
    "pass-not-ip",
    "unknown-link",
    "pass-other-mac",
    "malformed-ip",
    "bad-ip-checksum",
    "malformed-options",
    "source-route",
    "pass-broadcast",
    "pass-link-multicast",
    "multicast-destination",
    "martian-destination",
    "group-mac-unicast",
    "pass-own-address",
    "spoofed-source",
    "martian-source",
    "unbound-address",
    "not-ours",
    "unknown-source",
    "no-public-address",
    "private-destination",
    "ah-untranslatable",
    "tiny-fragment",
    "truncated-transport",
    "unfinished-checksum",
    "icmp-redirect",
    "icmp-router-discovery",
    "malformed-quotation",
    "nested-icmp-error",
    "quotation-mismatch",
    "ttl-exceeded-reply",
    "ttl-exceeded-silent",
    "net-unreachable-reply",
    "host-unreachable-reply",
    "unreachable-silent",
    "tunnel-route",
    "kernel-route-differs",
    "route-blackhole",
    "route-prohibit",
    "wrong-egress",
    "too-big-reply",
    "too-big-silent",
    "handed-fragmentation",
    "handed-neighbour",
    "inbound",
    "outbound",
    "hairpin",
];
