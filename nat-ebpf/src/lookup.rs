//! Step 2, look up: which binding a packet belongs to, and whether it may use it.

use nat_common::abi::{
    Inbound, Link, NO_SLOT, Outbound, PREFIX_MARTIAN_EXCEPTION, PREFIX_OWN, PREFIX_POOL, PublicAddr, SIDE_UPLINK,
};
use nat_common::icmp;
use nat_common::ipv4::{self, Rewrite};
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
    let (source, destination) = (datagram.ip.src_addr, datagram.ip.dst_addr);
    let found = maps::inbound(destination);
    // A bound address is in a pool and no own address is, so looking for the binding first changes no answer.
    let own = found.is_none() && maps::is_own(0, destination);
    let flags = maps::prefix_flags(source);
    if flags & (PREFIX_POOL | PREFIX_OWN) != 0 {
        return Err(Verdict::SpoofedSource);
    }
    if own {
        // The uplink's own network may be numbered in RFC 1918, so martian sources reach the gateway itself.
        return Err(Verdict::PassOwnAddress);
    }
    if ipv4::is_martian_source(source) && flags & PREFIX_MARTIAN_EXCEPTION == 0 {
        return Err(Verdict::MartianSource);
    }
    let Some(Inbound { private, vpc, slot }) = found else {
        let in_pool = maps::prefix_flags(destination) & PREFIX_POOL != 0;
        return Err(if in_pool { Verdict::UnboundAddress } else { Verdict::NotOurs });
    };
    Ok(Binding {
        verdict: Verdict::Inbound,
        rewrite: Rewrite { source, destination: private.0 },
        vpc,
        source_vpc: 0,
        source_slot: NO_SLOT,
        destination_slot: slot,
    })
}

#[inline(always)]
fn from_instance(packet: &Packet, link: &Link, datagram: &Datagram) -> Result<Binding, Verdict> {
    let (source, destination) = (datagram.ip.src_addr, datagram.ip.dst_addr);
    let found = maps::outbound(link.vpc, source);
    let flags = maps::prefix_flags(destination);
    if flags & PREFIX_OWN != 0 && (maps::is_own(link.vpc, destination) || maps::is_own(0, destination)) {
        let known = found.is_some() || maps::is_connected(link.vpc, source);
        return Err(if known { Verdict::PassOwnAddress } else { Verdict::UnknownSource });
    }
    let from = match found {
        Some(from) if from.public != PublicAddr::NONE => from,
        other => {
            let reason = if other.is_some() { Verdict::NoPublicAddress } else { Verdict::UnknownSource };
            quoted_host(packet, link.vpc, datagram).ok_or(reason)?
        }
    };
    let mut binding = Binding {
        verdict: Verdict::Outbound,
        rewrite: Rewrite { source: from.public.0, destination },
        vpc: 0,
        source_vpc: link.vpc,
        source_slot: from.slot,
        destination_slot: NO_SLOT,
    };
    if flags & PREFIX_POOL != 0 {
        let Inbound { private, vpc, slot } = maps::inbound(destination).ok_or(Verdict::UnboundAddress)?;
        binding.verdict = Verdict::Hairpin;
        binding.rewrite.destination = private.0;
        binding.vpc = vpc;
        binding.destination_slot = slot;
    } else if ipv4::is_private(destination) {
        return Err(Verdict::PrivateDestination);
    }
    Ok(binding)
}

/// The binding that speaks for a router inside the VPC which has none of its own and reports an error about a bound
/// instance's packet: the instance's public address becomes the source, never the router's (RFC 5508 REQ-5, REQ-6).
#[inline(always)]
fn quoted_host(packet: &Packet, vpc: u32, datagram: &Datagram) -> Option<Outbound> {
    let message_type = parse::icmp_type(packet, datagram)?;
    if icmp::kind(message_type) != icmp::Kind::Error {
        return None;
    }
    let quoted = parse::quoted(packet, datagram)?;
    maps::outbound(vpc, quoted.dst_addr).filter(|host| host.public != PublicAddr::NONE)
}

/// Counts a translated packet for the addresses it used; a hairpin counts on both sides.
#[inline(always)]
pub fn count(binding: &Binding, length: usize) {
    if let Some(counters) = maps::counters(binding.source_slot) {
        counters.packets_out += 1;
        counters.bytes_out += length as u64;
    }
    if let Some(counters) = maps::counters(binding.destination_slot) {
        counters.packets_in += 1;
        counters.bytes_in += length as u64;
    }
}
