//! Step 1, parse: Ethernet, up to two VLAN tags, IPv4 with options; anything malformed is dropped with its reason.

use core::ptr;

use nat_common::abi::{Link, LinkKey};
use nat_common::ipv4::{self, Destination, Lengths};
use nat_common::verdict::Verdict;
use nat_common::wire::{self, Ethernet, Tag};
use nat_common::{checksum, icmp};
use network_types::ip::Ipv4Hdr;

use crate::packet::{OptionWalk, Packet};

const ETHERNET: usize = size_of::<Ethernet>();
const TAG: usize = size_of::<Tag>();

/// The link layer of a frame. Kept in words: the compiler knows their alignment and reads and writes them whole.
#[repr(C, align(8))]
pub struct Frame {
    /// Destination and source MAC as they lie in memory.
    macs: [u32; 3],
    /// Ethertype in front of the tags, as it lies in memory.
    outer_ethertype: u16,
    /// Ethertype behind the tags, as it lies in memory.
    ethertype: u16,
    /// Outer (or only) and inner tag as they arrived; zero where there is none.
    pub tags: [Tag; 2],
    /// Offset of the network header: 14, 18 or 22.
    pub network: usize,
}

impl Frame {
    /// Its Ethernet header as it arrived.
    #[inline(always)]
    pub fn ethernet(&self) -> Ethernet {
        Ethernet::from_words(self.macs, self.outer_ethertype)
    }

    /// Ethertype behind the tags, in wire order.
    #[inline(always)]
    pub fn ethertype(&self) -> [u8; 2] {
        self.ethertype.to_ne_bytes()
    }

    /// The key of the link the frame arrived by. A priority tag (VLAN id 0) is no VLAN (802.1Q 6.9), on either place.
    #[inline(always)]
    pub fn link_key(&self, ifindex: u32) -> LinkKey {
        let (outer, inner) = (self.tags[0].vlan(), self.tags[1].vlan());
        if outer == 0 { LinkKey { ifindex, outer: inner, inner: 0 } } else { LinkKey { ifindex, outer, inner } }
    }
}

/// The network layer of a packet whose header is good.
#[repr(C, align(8))]
pub struct Datagram {
    /// Its header as it arrived, without options, in words as they lie in memory.
    words: [u32; 5],
    /// Offset of the header in the frame.
    pub network: usize,
    /// Lengths of header and packet.
    pub lengths: Lengths,
}

impl Datagram {
    /// Its header as it arrived, without options.
    #[inline(always)]
    pub fn ip(&self) -> Ipv4Hdr {
        ipv4::from_words(self.words)
    }

    /// Offset of the transport header in the frame.
    #[inline(always)]
    pub fn transport(&self) -> usize {
        self.network + self.lengths.header
    }

    /// Bytes of transport header and payload.
    #[inline(always)]
    pub fn payload(&self) -> usize {
        self.lengths.total - self.lengths.header
    }
}

/// A packet as it arrived, filled step by step. Each step writes every field of its part. Aligned, so that its headers
/// are read and written in words.
#[repr(C, align(8))]
pub struct Arrival {
    /// Its link layer.
    pub frame: Frame,
    /// The uplink or downlink it came by.
    pub link: Link,
    /// Its network layer.
    pub datagram: Datagram,
}

/// Reads the Ethernet header and up to two tags.
#[inline(always)]
pub fn frame(packet: &mut Packet, frame: &mut Frame) -> Result<(), Verdict> {
    let Some(ethernet) = packet.span::<ETHERNET>(0) else { return Err(missing(packet, ETHERNET)) };
    let macs = [ethernet.word::<0>(), ethernet.word::<4>(), ethernet.word::<8>()];
    let mut ethertype = ethernet.half::<12>();
    frame.macs = macs;
    frame.outer_ethertype = ethertype;
    frame.tags = [Tag::NONE; 2];
    frame.network = ETHERNET;
    if wire::is_tag(ethertype.to_ne_bytes()) {
        let Some(tag) = packet.header::<Tag>(ETHERNET) else { return Err(missing(packet, ETHERNET + TAG)) };
        frame.tags[0] = *tag;
        ethertype = u16::from_ne_bytes(tag.ethertype);
        frame.network = ETHERNET + TAG;
        if wire::is_tag(ethertype.to_ne_bytes()) {
            let Some(tag) = packet.header::<Tag>(ETHERNET + TAG) else {
                return Err(missing(packet, ETHERNET + 2 * TAG));
            };
            frame.tags[1] = *tag;
            ethertype = u16::from_ne_bytes(tag.ethertype);
            frame.network = ETHERNET + 2 * TAG;
            if wire::is_tag(ethertype.to_ne_bytes()) {
                return Err(Verdict::MalformedEthernet);
            }
        }
    }
    frame.ethertype = ethertype;
    Ok(())
}

#[inline(never)]
fn missing(packet: &Packet, wanted: usize) -> Verdict {
    if packet.length() < wanted { Verdict::MalformedEthernet } else { Verdict::HeadersNotLinear }
}

/// Reads the IPv4 header and decides what needs no table: frames for others than the link's `mac`, malformed headers, groups.
#[inline(always)]
pub fn datagram(packet: &mut Packet, arrival: &mut Arrival, mac: [u8; 6]) -> Result<(), Verdict> {
    let destination = arrival.frame.ethernet().destination;
    let group = wire::is_group(destination);
    if !group && destination != mac {
        return Err(Verdict::PassOtherMac);
    }
    // Read back, so that the verifier forgets which of three values it is and walks what follows once.
    // SAFETY: a reference is valid for reading.
    let network = unsafe { ptr::read_volatile(&raw const arrival.frame.network) };
    let linear = packet.linear_length();
    let Some(ip) = packet.span::<{ Ipv4Hdr::LEN }>(network) else {
        let all = packet.length();
        return Err(if all < network + Ipv4Hdr::LEN { Verdict::MalformedIp } else { Verdict::HeadersNotLinear });
    };
    let words = [ip.word::<0>(), ip.word::<4>(), ip.word::<8>(), ip.word::<12>(), ip.word::<16>()];
    let ip = ipv4::from_words(words);
    arrival.datagram.words = words;
    arrival.datagram.network = network;
    // Asking for the length of all buffers costs a call, so only frames longer than their first buffer pay it.
    let lengths = match ipv4::check_header(&ip, linear - network) {
        Some(lengths) => lengths,
        None => {
            let present = packet.length().wrapping_sub(network);
            ipv4::check_header(&ip, present).ok_or(Verdict::MalformedIp)?
        }
    };
    let sum = ipv4::header_sum(&ip);
    let options = lengths.header - Ipv4Hdr::LEN;
    arrival.datagram.lengths = lengths;
    if options == 0 {
        if !checksum::verifies(sum as u32) {
            return Err(Verdict::BadIpChecksum);
        }
    } else if let Some(verdict) = check_options(packet, network, options, sum) {
        return Err(verdict);
    }
    match ipv4::destination(ip.dst_addr) {
        Destination::Unicast if group => Err(Verdict::GroupMacUnicast),
        Destination::Unicast => Ok(()),
        Destination::LinkMulticast => Err(Verdict::PassLinkMulticast),
        Destination::Broadcast => Err(Verdict::PassBroadcast),
        Destination::Multicast => Err(Verdict::MulticastDestination),
        Destination::Martian => Err(Verdict::MartianDestination),
    }
}

/// Holds a header with `length` bytes of options against its checksum, and the options against RFC 7126.
/// `fixed` is the sum of the header's first 20 bytes, folded.
#[inline(never)]
fn check_options(packet: &Packet, network: usize, length: usize, fixed: u16) -> Option<Verdict> {
    let first = network + Ipv4Hdr::LEN;
    let Some(sum) = packet.sum(first, length) else { return Some(Verdict::MalformedIp) };
    if !checksum::verifies(fixed as u32 + sum as u32) {
        return Some(Verdict::BadIpChecksum);
    }
    match packet.find_option(first, length) {
        OptionWalk::SourceRoute => Some(Verdict::SourceRoute),
        OptionWalk::Malformed => Some(Verdict::MalformedOptions),
        OptionWalk::End => None,
    }
}

/// The ICMP header's type, where the packet is ICMP and holds one.
#[inline(always)]
pub fn icmp_type(packet: &Packet, datagram: &Datagram) -> Option<u8> {
    let ip = datagram.ip();
    let whole =
        ip.proto == ipv4::protocol::ICMP && ipv4::fragment_offset(&ip) == 0 && datagram.payload() >= icmp::HEADER;
    if !whole {
        return None;
    }
    packet.load::<1>(datagram.transport()).map(|[message_type]| message_type)
}

/// The IP header an ICMP error quotes, where there is one.
#[inline(always)]
pub fn quoted(packet: &Packet, datagram: &Datagram) -> Option<Ipv4Hdr> {
    if datagram.payload() < icmp::HEADER + Ipv4Hdr::LEN {
        return None;
    }
    let bytes: [u8; Ipv4Hdr::LEN] = packet.load(datagram.transport() + icmp::HEADER)?;
    Some(ipv4::from_bytes(bytes))
}
