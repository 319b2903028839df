//! Step 2, look up: which binding a packet belongs to, and whether it may use it.

use nat_common::abi::{
    DEFAULT_HOP, Link, MARKS_OF_PREFIXES, MARKS_OF_ROUTES, NO_SLOT, PREFIX_INSTANCES_ONLY, PREFIX_MARTIAN_EXCEPTION,
    PREFIX_OWN, PREFIX_POOL, PublicAddr, SIDE_UPLINK,
};
use nat_common::icmp;
use nat_common::ipv4::{self, Rewrite};
use nat_common::pairs::Outbound;
use nat_common::verdict::Verdict;

use crate::maps;
use crate::packet::Packet;
use crate::parse::{self, Arrival, Datagram};

/// What a packet becomes.
pub struct Binding {
    /// The verdict if all goes well: inbound, outbound or hairpin.
    pub verdict: Verdict,
    /// Its new addresses.
    pub rewrite: Rewrite,
    /// VPC it leaves into, 0 for the Internet.
    pub vpc: u32,
    /// VPC it came from, 0 for the Internet.
    pub source_vpc: u32,
    /// Counters of the instance it comes from, or `NO_SLOT`.
    pub source_slot: u32,
    /// Counters of the instance it goes to, or `NO_SLOT`.
    pub destination_slot: u32,
    /// Element of `HOPS` by which it may go without asking the kernel, if that is ready; 0 is never ready.
    pub hop: u32,
}

/// Finds the binding of a packet, or the reason why it has none.
#[inline(always)]
pub fn binding(packet: &Packet, arrival: &Arrival) -> Result<Binding, Verdict> {
    if arrival.link.side == SIDE_UPLINK {
        from_internet(&arrival.datagram)
    } else {
        from_instance(packet, &arrival.link, &arrival.datagram)
    }
}

#[inline(always)]
fn from_internet(datagram: &Datagram) -> Result<Binding, Verdict> {
    let ip = datagram.ip();
    let (source, destination) = (ip.src_addr, ip.dst_addr);
    let cell = maps::inbound_cell(destination);
    // A bound address is in a pool and no own address is, so looking for the binding first changes no answer. For a
    // bound address and an ordinary source there is nothing else to look for.
    if cell == 0 || maps::is_marked(MARKS_OF_PREFIXES, source) || ipv4::is_martian_source(source) {
        let refusal = refuse_from_internet(source, destination, cell != 0);
        if let Some(verdict) = refusal {
            return Err(verdict);
        }
    }
    let found = maps::inbound(cell);
    let hop = maps::hop(found.hop).ok_or(Verdict::UnknownVpc)?;
    Ok(Binding {
        verdict: Verdict::Inbound,
        rewrite: Rewrite { source, destination: found.private.0 },
        vpc: hop.vpc,
        source_vpc: 0,
        source_slot: NO_SLOT,
        destination_slot: found.slot,
        hop: found.hop,
    })
}

/// Why a packet from the Internet may not come in, or what else it is; `None` where nothing is wrong with it.
#[inline(never)]
fn refuse_from_internet(source: [u8; 4], destination: [u8; 4], bound: bool) -> Option<Verdict> {
    let own = !bound && maps::is_own(0, destination);
    let flags = maps::prefix_flags(source);
    if flags & (PREFIX_POOL | PREFIX_OWN) != 0 {
        return Some(Verdict::SpoofedSource);
    }
    if own {
        // The uplink's own network may be numbered in RFC 1918, so martian sources reach the gateway itself.
        return Some(Verdict::PassOwnAddress);
    }
    if ipv4::is_martian_source(source) && flags & PREFIX_MARTIAN_EXCEPTION == 0 {
        return Some(Verdict::MartianSource);
    }
    if bound {
        return None;
    }
    let in_pool = maps::prefix_flags(destination) & PREFIX_POOL != 0;
    Some(if in_pool { Verdict::UnboundAddress } else { Verdict::NotOurs })
}

#[inline(always)]
fn from_instance(packet: &Packet, link: &Link, datagram: &Datagram) -> Result<Binding, Verdict> {
    let ip = datagram.ip();
    let (source, destination) = (ip.src_addr, ip.dst_addr);
    let cell = maps::outbound_cell(link.vpc, source);
    let mut from = Outbound::unpack(cell);
    // Neither ours nor anybody's whom a route of its own leads to: the default route is all there is.
    let ordinary = !maps::is_marked(MARKS_OF_ROUTES, destination);
    let near_prefix = !ordinary && maps::is_marked(MARKS_OF_PREFIXES, destination);
    // A bound address is in a pool and no own address is, so finding the binding answers both questions.
    let to = if near_prefix { maps::inbound_cell(destination) } else { 0 };
    let flags = if near_prefix && to == 0 { maps::prefix_flags(destination) } else { 0 };
    if flags & PREFIX_OWN != 0 && is_own(link.vpc, destination) {
        let known = cell != 0 || flags & PREFIX_INSTANCES_ONLY == 0 && maps::is_connected(link.vpc, source);
        return Err(if known { Verdict::PassOwnAddress } else { Verdict::UnknownSource });
    }
    if from.public == PublicAddr::NONE {
        // `quoted_host` says that nobody speaks for the source in the same way.
        let reason = if cell != 0 { Verdict::NoPublicAddress } else { Verdict::UnknownSource };
        from = Outbound::unpack(quoted_host(packet, link.vpc, datagram));
        if from.public == PublicAddr::NONE {
            return Err(reason);
        }
    }
    let mut binding = Binding {
        verdict: Verdict::Outbound,
        rewrite: Rewrite { source: from.public.0, destination },
        vpc: 0,
        source_vpc: link.vpc,
        source_slot: from.slot,
        destination_slot: NO_SLOT,
        hop: if ordinary { DEFAULT_HOP } else { 0 },
    };
    if to != 0 {
        let found = maps::inbound(to);
        let hop = maps::hop(found.hop).ok_or(Verdict::UnknownVpc)?;
        binding.verdict = Verdict::Hairpin;
        binding.rewrite.destination = found.private.0;
        binding.vpc = hop.vpc;
        binding.destination_slot = found.slot;
        binding.hop = found.hop;
    } else if flags & PREFIX_POOL != 0 {
        return Err(Verdict::UnboundAddress);
    } else if ipv4::is_private(destination) {
        return Err(Verdict::PrivateDestination);
    }
    Ok(binding)
}

/// Whether an address is the gateway's own as seen from a VPC.
#[inline(never)]
fn is_own(vpc: u32, address: [u8; 4]) -> bool {
    maps::is_own(vpc, address) || maps::is_own(0, address)
}

/// The binding, packed, that speaks for a router inside the VPC which has none of its own and reports an error about a
/// bound instance's packet: the instance's public address becomes the source, never the router's (RFC 5508 REQ-5,
/// REQ-6).
#[inline(never)]
fn quoted_host(packet: &Packet, vpc: u32, datagram: &Datagram) -> u64 {
    let Some(message_type) = parse::icmp_type(packet, datagram) else { return Outbound::NOWHERE.pack() };
    if icmp::kind(message_type) != icmp::Kind::Error {
        return Outbound::NOWHERE.pack();
    }
    match parse::quoted(packet, datagram) {
        Some(quoted) => maps::bound_instance(vpc, quoted.dst_addr),
        None => Outbound::NOWHERE.pack(),
    }
}

/// Counts a translated packet for the addresses it used; a hairpin counts on both sides.
#[inline(always)]
pub fn count(source_slot: u32, destination_slot: u32, length: usize) {
    if let Some(counters) = maps::counters(source_slot) {
        counters.packets_out += 1;
        counters.bytes_out += length as u64;
    }
    if let Some(counters) = maps::counters(destination_slot) {
        counters.packets_in += 1;
        counters.bytes_in += length as u64;
    }
}
