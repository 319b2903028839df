//! The common packet: TCP or UDP without options, whole, in one buffer, untagged on both sides, between a bound instance
//! and a next hop that is ready. It takes the same five steps as every packet, in one pass over constant offsets.
//!
//! Nothing is decided here that would not be decided the long way: what is not exactly this, or is not fine, is left
//! untouched and takes the long way from its start, where it finds its verdict.

use nat_common::abi::{
    DEFAULT_HOP, HOP_READY, LINK_USES_HOPS, MARKS_OF_PREFIXES, MARKS_OF_ROUTES, NO_SLOT, PublicAddr, SIDE_UPLINK,
};
use nat_common::checksum::{self, Delta};
use nat_common::ipv4::{self, protocol};
use nat_common::pairs::Outbound;
use nat_common::transport::{self, Checksum};
use nat_common::verdict::Verdict;
use nat_common::wire;

use crate::packet::{Packet, Span, redirect};
use crate::{lookup, maps};

/// Ethernet, IPv4 and UDP headers, in bytes.
const SHORTEST: usize = 42;
/// Ethernet and IPv4 headers, and TCP's up to its checksum.
const TO_TCP_CHECKSUM: usize = 52;
/// Offset of the IP header.
const IP: usize = 14;
/// Offset of the transport header.
const TRANSPORT: usize = 34;

/// Where the common packet goes.
struct Way {
    verdict: Verdict,
    /// New addresses, as they lie in memory.
    source: u32,
    destination: u32,
    hop: u32,
    source_slot: u32,
    destination_slot: u32,
}

/// Carries the packet if it is a common one; `None` leaves it as it was. A function of its own, so that the long way has
/// the stack again.
#[inline(never)]
pub fn carry(packet: &mut Packet) -> Option<Verdict> {
    // Parse.
    let (linear, ifindex) = (packet.linear_length(), packet.ifindex());
    let frame = packet.start::<SHORTEST>()?;
    let words = [frame.word::<14>(), frame.word::<18>(), frame.word::<22>(), frame.word::<26>(), frame.word::<30>()];
    let ip = ipv4::from_words(words);
    let total = u16::from_be_bytes(ip.tot_len) as usize;
    let plain = frame.half::<12>() == u16::from_ne_bytes(wire::IPV4)
        && ip.vihl == 0x45
        && ipv4::is_whole(&ip)
        && ip.ttl > 1
        && total + IP <= linear
        && checksum::verifies(ipv4::header_sum(&ip) as u32);
    let link = maps::untagged_link(ifindex)?;
    if !plain || !link.is_at(frame.word::<0>(), frame.half::<4>()) || link.flags() & LINK_USES_HOPS == 0 {
        return None;
    }

    // Look up. Marked are also all addresses that no packet of this kind may have.
    let (source, destination) = (words[3], words[4]);
    let way = if link.side() == SIDE_UPLINK {
        if maps::is_marked(MARKS_OF_PREFIXES, ip.src_addr) {
            return None;
        }
        let cell = maps::inbound_cell(ip.dst_addr);
        if cell == 0 {
            return None;
        }
        let to = maps::inbound(cell);
        let destination = u32::from_ne_bytes(to.private.0);
        let verdict = Verdict::Inbound;
        Way { verdict, source, destination, hop: to.hop, source_slot: NO_SLOT, destination_slot: to.slot }
    } else {
        let from = Outbound::unpack(maps::outbound_cell(link.vpc(), ip.src_addr));
        if from.public == PublicAddr::NONE {
            return None;
        }
        let source = u32::from_ne_bytes(from.public.0);
        if maps::is_marked(MARKS_OF_ROUTES, ip.dst_addr) {
            let cell = maps::inbound_cell(ip.dst_addr);
            if cell == 0 {
                return None;
            }
            let to = maps::inbound(cell);
            let destination = u32::from_ne_bytes(to.private.0);
            let verdict = Verdict::Hairpin;
            Way { verdict, source, destination, hop: to.hop, source_slot: from.slot, destination_slot: to.slot }
        } else {
            let verdict = Verdict::Outbound;
            Way { verdict, source, destination, hop: DEFAULT_HOP, source_slot: from.slot, destination_slot: NO_SLOT }
        }
    };
    let hop = maps::hop(way.hop)?;
    if hop.state != HOP_READY || hop.outer != 0 || total > hop.mtu as usize {
        return None;
    }

    // Rewrite: the transport checksum first, because a packet may still prove uncommon there.
    let addresses = Delta::of_words(source, way.source).plus(Delta::of_words(destination, way.destination));
    let mut frame = if ip.proto == protocol::UDP {
        let mut frame = packet.start::<SHORTEST>()?;
        let field = updated::<{ TRANSPORT + 6 }, SHORTEST>(&frame, &ip, total, transport::UDP, addresses)?;
        frame.set_half::<{ TRANSPORT + 6 }>(field);
        frame
    } else if ip.proto == protocol::TCP {
        let mut frame = packet.start::<TO_TCP_CHECKSUM>()?;
        let field = updated::<{ TRANSPORT + 16 }, TO_TCP_CHECKSUM>(&frame, &ip, total, transport::TCP, addresses)?;
        frame.set_half::<{ TRANSPORT + 16 }>(field);
        frame.shortened()
    } else {
        return None;
    };
    let (mut ttl, mut check) = ([ip.ttl, ip.proto], ip.check);
    addresses.apply(&mut check);
    ipv4::decrement_ttl(&mut ttl, &mut check);
    frame.set_word::<22>(u32::from_ne_bytes([ttl[0], ttl[1], check[0], check[1]]));
    frame.set_word::<26>(way.source);
    frame.set_word::<30>(way.destination);
    lookup::count(way.source_slot, way.destination_slot, total);

    // Forward.
    let macs = wire::mac_words(&hop.macs);
    frame.set_word::<0>(macs[0]);
    frame.set_word::<4>(macs[1]);
    frame.set_word::<8>(macs[2]);
    redirect(hop.ifindex);
    Some(way.verdict)
}

/// The transport checksum at an offset once it has followed the addresses; `None` where the header is cut short, or the
/// sender's stack may have left the checksum to hardware.
#[inline(always)]
fn updated<const AT: usize, const N: usize>(
    frame: &Span<'_, N>,
    ip: &network_types::ip::Ipv4Hdr,
    total: usize,
    checksum: Checksum,
    addresses: Delta,
) -> Option<u16> {
    let length = total.wrapping_sub(TRANSPORT - IP);
    if total < TRANSPORT - IP + checksum.header {
        return None;
    }
    let mut field = frame.half::<AT>().to_ne_bytes();
    let pseudo = transport::pseudo_header_sum(ip.src_addr, ip.dst_addr, ip.proto, length as u16);
    if transport::looks_unfinished(field, pseudo) {
        return None;
    }
    checksum.update(&mut field, addresses);
    Some(u16::from_ne_bytes(field))
}
