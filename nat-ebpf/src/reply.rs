//! What the gateway says itself: answers to ARP requests for bound addresses, and ICMP errors.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use nat_common::abi::{ICMP_BUCKETS, SIDE_UPLINK};
use nat_common::icmp::{self, Error, ErrorKind, MAX_QUOTATION};
use nat_common::ipv4;
use nat_common::police::{self, Rate};
use nat_common::verdict::Verdict;
use nat_common::wire::{self, Ethernet, Tag};
use network_types::arp::ArpHdr;
use network_types::ip::Ipv4Hdr;

use crate::maps;
use crate::packet::{Packet, redirect};
use crate::parse::{Arrival, Frame};
use crate::translate::Payload;

/// Answers a request for a public address that is bound, on an uplink; all other ARP is the kernel's (RFC 1027).
#[inline(always)]
pub fn arp(packet: &mut Packet, frame: &Frame) -> Result<Verdict, Verdict> {
    let ifindex = packet.ifindex();
    let Some(link) = maps::link(frame.link_key(ifindex)) else { return Ok(Verdict::PassArp) };
    let for_us = wire::is_group(frame.ethernet().destination) || frame.ethernet().destination == link.mac;
    let Some(arp) = packet.header::<ArpHdr>(frame.network) else { return Ok(Verdict::PassArp) };
    if link.side != SIDE_UPLINK || !for_us || !wire::is_arp_request(arp) || !maps::is_bound(arp.tpa) {
        return Ok(Verdict::PassArp);
    }
    wire::answer_arp(arp, link.mac);
    let ethernet = packet.header::<Ethernet>(0).ok_or(Verdict::HeadersNotLinear)?;
    ethernet.destination = frame.ethernet().source;
    ethernet.source = link.mac;
    redirect(ifindex);
    Ok(Verdict::ArpReply)
}

/// Turns the packet, still as it arrived, into an ICMP error to its sender, or drops it where none may be sent.
///
/// `wanted` is the verdict of the error that is due; how big would have fitted, the kernel has said (`maps::asked`).
#[inline(never)]
pub fn icmp_error(packet: &mut Packet, arrival: &Arrival, payload: &Payload, wanted: Verdict) -> Verdict {
    let Arrival { link, datagram, .. } = arrival;
    let (kind, silent) = match wanted {
        Verdict::TtlExceededReply => (ErrorKind::TtlExceeded, Verdict::TtlExceededSilent),
        Verdict::TooBigReply => (ErrorKind::TooBig, Verdict::TooBigSilent),
        Verdict::HostUnreachableReply => (ErrorKind::HostUnreachable, Verdict::UnreachableSilent),
        _ => (ErrorKind::NetUnreachable, Verdict::UnreachableSilent),
    };
    if link.address == [0; 4] || !icmp::may_answer(&datagram.ip(), payload.message_type) {
        return silent;
    }
    if !admit(datagram.ip().src_addr) {
        return Verdict::IcmpRateLimited;
    }
    let error = match maps::asked() {
        Some(asked) if kind == ErrorKind::TooBig => Error::too_big(asked.mtu as u16),
        _ => Error::new(kind),
    };
    match build_error(packet, arrival, error) {
        Some(()) => {
            redirect(packet.ifindex());
            wanted
        }
        None => Verdict::FrameResizeFailed,
    }
}

/// One token of the sender's bucket; senders share buckets by hash.
#[inline(always)]
fn admit(sender: [u8; 4]) -> bool {
    const GOLDEN: u32 = 0x9e37_79b1;
    let index = (u32::from_ne_bytes(sender).wrapping_mul(GOLDEN) >> 16) % ICMP_BUCKETS;
    let (Some(settings), Some(bucket)) = (maps::settings(), maps::bucket(index)) else { return false };
    let rate = Rate::per_second(settings.icmp_errors_per_second, settings.icmp_error_burst);
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_ns() };
    bucket.change(|bucket| police::admit(bucket, rate, now))
}

#[inline(always)]
fn build_error(packet: &mut Packet, arrival: &Arrival, error: Error) -> Option<()> {
    let Arrival { frame, link, datagram } = arrival;
    const ADDED: usize = Ipv4Hdr::LEN + icmp::HEADER;
    let network = frame.network;
    let quotation = if datagram.lengths.total < MAX_QUOTATION { datagram.lengths.total } else { MAX_QUOTATION };
    let sum = packet.sum(network, quotation)?;
    let ip = icmp::error_ip_header(link.address, datagram.ip().src_addr, quotation);
    let header = icmp::error_header(error, sum as u32);

    // Cut behind the quotation, padding included, then make room in front of it.
    let surplus = packet.length() as i32 - (network + quotation) as i32;
    if surplus > 0 {
        // Of 0 bytes the kernel thinks as of growth, which a frame of several buffers may be denied.
        packet.move_end(-surplus)?;
    }
    packet.move_start(-(ADDED as i32))?;
    packet.store(network, &ipv4::to_bytes(&ip))?;
    packet.store(network + Ipv4Hdr::LEN, &header)?;

    // The tags go back as they came; only the Ethernet addresses change places.
    const ETHERNET: usize = size_of::<Ethernet>();
    const TAG: usize = size_of::<Tag>();
    let ethertype = frame.ethernet().ethertype;
    *packet.header::<Ethernet>(0)? = Ethernet { destination: frame.ethernet().source, source: link.mac, ethertype };
    if network > ETHERNET {
        *packet.header::<Tag>(ETHERNET)? = frame.tags[0];
    }
    if network > ETHERNET + TAG {
        *packet.header::<Tag>(ETHERNET + TAG)? = frame.tags[1];
    }
    Some(())
}
