//! The packet in question, as bytes, and bytes read back as fields.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use nat_common::icmp::{self, Kind};
use nat_common::ipv4::protocol;
use nat_common::transport::{self, Zero};
use nat_common::wire;
use serde::Serialize;

const ETHERNET: usize = 14;
const HEADER: usize = 20;
const DONT_FRAGMENT: u16 = 0x4000;
/// Whose frame it is: locally administered, and nobody's.
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// An echo request.
const ECHO: u8 = 8;
/// Ports of a packet that was asked about without any, out of the ephemeral and the discard range.
const PORTS: (u16, u16) = (50_000, 9);

/// Protocols by the names people call them.
const NAMES: [(&str, u8); 9] = [
    ("icmp", protocol::ICMP),
    ("tcp", protocol::TCP),
    ("udp", protocol::UDP),
    ("dccp", protocol::DCCP),
    ("gre", 47),
    ("esp", 50),
    ("ah", protocol::AH),
    ("sctp", protocol::SCTP),
    ("udplite", protocol::UDP_LITE),
];

/// What the packet carries: `tcp/443`, `udp/5353:53`, `icmp`, `icmp/3:1`, `gre`, `89`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// IP protocol number.
    protocol: u8,
    /// Source and destination port, or ICMP type and code.
    numbers: (u16, u16),
}

impl Default for Payload {
    fn default() -> Self {
        Payload { protocol: protocol::ICMP, numbers: (ECHO.into(), 0) }
    }
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, numbers) = text.split_once('/').map_or((text, None), |(name, numbers)| (name, Some(numbers)));
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number);
        let protocol = known.or_else(|| name.parse().ok()).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("`{name}` is no protocol; take {} or a number up to 255", names.join(", "))
        })?;
        let number = |text: &str| {
            text.parse::<u16>().map_err(|_| format!("`{text}` is no port; take a number up to 65535, as in tcp/443"))
        };
        let icmp = protocol == protocol::ICMP;
        let numbers = match numbers.map(|numbers| numbers.split_once(':').ok_or(numbers)) {
            None if icmp => (ECHO.into(), 0),
            None => PORTS,
            Some(_) if !icmp && !has_ports(protocol) => return Err(format!("{name} has no ports; write `{name}`")),
            Some(Err(kind)) if icmp => (number(kind)?, 0),
            Some(Err(port)) => (PORTS.0, number(port)?),
            Some(Ok((first, second))) => (number(first)?, number(second)?),
        };
        if icmp && (numbers.0 > 255 || numbers.1 > 255) {
            return Err(format!("`{text}`: ICMP types and codes end at 255"));
        }
        Ok(Payload { protocol, numbers })
    }
}

fn has_ports(protocol: u8) -> bool {
    transport::checksum_of(protocol).is_some() || protocol == protocol::SCTP
}

/// The packet in question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Where to.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub payload: Payload,
    /// TTL as it arrives at the gateway.
    pub ttl: u8,
    /// IP total length; `None` for no more than the headers need.
    pub length: Option<u16>,
    /// Whether it may be fragmented on its way.
    pub may_fragment: bool,
}

impl Question {
    /// The frame as it arrives at a link with this MAC address and these VLAN ids.
    pub fn frame(&self, mac: [u8; 6], vlans: &[u16]) -> Vec<u8> {
        let mut frame = [mac, SENDER].concat();
        for (position, vlan) in vlans.iter().enumerate() {
            let outer_of_two = vlans.len() == 2 && position == 0;
            frame.extend(if outer_of_two { wire::OUTER_TAG } else { wire::TAG });
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend(wire::IPV4);
        frame.extend(self.packet());
        frame
    }

    fn packet(&self) -> Vec<u8> {
        let mut payload = self.payload.bytes(self.destination, self.source);
        if let Some(length) = self.length {
            payload.resize(usize::from(length).saturating_sub(HEADER), 0);
        }
        self.payload.finish(&mut payload, self.source, self.destination);
        let flags = if self.may_fragment { 0 } else { DONT_FRAGMENT };
        let mut packet = header(self.source, self.destination, self.payload.protocol, self.ttl, flags, payload.len());
        packet.extend(payload);
        packet
    }
}

impl Payload {
    /// Headers without checksums. An ICMP error quotes what its receiver may have sent: a datagram from `asked` to `by`.
    fn bytes(self, by: Ipv4Addr, asked: Ipv4Addr) -> Vec<u8> {
        let (first, second) = self.numbers;
        if self.protocol == protocol::ICMP {
            let mut message = vec![0; icmp::HEADER];
            (message[0], message[1]) = (first as u8, second as u8);
            if matches!(icmp::kind(first as u8), Kind::Error | Kind::Redirect) {
                let datagram = Question {
                    source: by,
                    destination: asked,
                    payload: Payload { protocol: protocol::UDP, numbers: PORTS },
                    ttl: 1,
                    length: None,
                    may_fragment: false,
                };
                message.extend(datagram.packet());
            }
            return message;
        }
        if !has_ports(self.protocol) {
            return vec![0; 8];
        }
        // SCTP's common header has 12 bytes, and DCCP's with an acknowledgement 16.
        let length = match self.protocol {
            protocol::SCTP => 12,
            protocol::DCCP => 16,
            _ => transport::checksum_of(self.protocol).map_or(8, |checksum| checksum.header),
        };
        let mut header = vec![0; length];
        header[..2].copy_from_slice(&first.to_be_bytes());
        header[2..4].copy_from_slice(&second.to_be_bytes());
        match self.protocol {
            // A SYN without options.
            protocol::TCP => (header[12], header[13]) = (5 << 4, 2),
            protocol::DCCP => header[4] = (length / 4) as u8,
            _ => {}
        }
        header
    }

    /// Writes what depends on the length, and the checksum.
    fn finish(self, payload: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
        let length = payload.len() as u16;
        if self.protocol == protocol::UDP && payload.len() >= 6 {
            payload[4..6].copy_from_slice(&length.to_be_bytes());
        }
        if self.protocol == protocol::SCTP && payload.len() >= 12 {
            let sum = crc32c(payload);
            payload[8..12].copy_from_slice(&sum.to_le_bytes());
        }
        if let Some(at) = checksum_at(self.protocol)
            && payload.len() >= at + 2
        {
            let sum = checksum(self.protocol, payload, source, destination);
            payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// Where a checksum stands from the start of the payload: ICMP's own, and those with a pseudo-header.
fn checksum_at(protocol: u8) -> Option<usize> {
    if protocol == protocol::ICMP { Some(2) } else { transport::checksum_of(protocol).map(|checksum| checksum.offset) }
}

/// The checksum over a payload, whatever stands in its field counted in: 0 where that is right already.
fn checksum(protocol: u8, payload: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> u16 {
    let covered = transport::checksum_of(protocol);
    let pseudo = covered.map_or(0, |_| {
        transport::pseudo_header_sum(source.octets(), destination.octets(), protocol, payload.len() as u16)
    });
    match (!fold(pseudo + sum(payload)), covered) {
        (0, Some(covered)) if covered.zero != Zero::Ordinary => 0xffff,
        (sum, _) => sum,
    }
}

/// Sum of the 16-bit words in host order of their value, as `transport::pseudo_header_sum` is in memory order.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum()
}

/// SCTP's checksum, of a packet whose field is zero (RFC 9260 6.8, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bit = |crc: u32| (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

fn fold(sum: u32) -> u16 {
    u16::from_be(nat_common::checksum::fold(sum))
}

fn header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, ttl: u8, flags: u16, payload: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(((HEADER + payload) as u16).to_be_bytes());
    header.extend([0, 0]);
    header.extend(flags.to_be_bytes());
    header.extend([ttl, protocol, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let check = !fold(sum(&header));
    header[10..12].copy_from_slice(&check.to_be_bytes());
    header
}

/// A checksum as it stands in a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its field, in hexadecimal.
    pub value: String,
    /// Whether it is the one that the packet should have.
    pub right: bool,
}

/// A frame's fields, for whoever compares before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// MAC address it is sent to.
    pub to_mac: String,
    /// MAC address it is sent from.
    pub from_mac: String,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port, or ICMP type.
    pub source_port: Option<u16>,
    /// Destination port, or ICMP code.
    pub destination_port: Option<u16>,
    /// Time to live.
    pub ttl: u8,
    /// IP total length.
    pub length: u16,
    /// Whether it must not be fragmented.
    pub dont_fragment: bool,
    /// Of the IP header.
    pub header_checksum: Check,
    /// Of ICMP, TCP, UDP, UDP-Lite and DCCP.
    pub checksum: Option<Check>,
    /// The whole frame, in hexadecimal.
    pub frame: String,
}

impl Shape {
    /// Reads a frame; `None` where it holds no IPv4 packet.
    pub fn of(frame: &[u8]) -> Option<Shape> {
        let mut network = ETHERNET;
        let mut vlans = Vec::new();
        while wire::is_tag(at(frame, network - 2)?) {
            vlans.push(u16::from_be_bytes(at(frame, network)?) & 0x0fff);
            network += 4;
        }
        let packet = frame.get(network..)?;
        let length = u16::from_be_bytes(at(packet, 2)?);
        let size = usize::from(packet.first()? & 15) * 4;
        let header = packet.get(..size)?;
        let payload = packet.get(size..usize::from(length))?;
        let (source, destination) = (at::<4>(packet, 12)?.into(), at::<4>(packet, 16)?.into());
        let protocol = *packet.get(9)?;
        let flags = u16::from_be_bytes(at(packet, 6)?);
        let first = flags & 0x1fff == 0;
        let numbers = match at::<4>(payload, 0) {
            Some([kind, code, ..]) if first && protocol == protocol::ICMP => Some((kind.into(), code.into())),
            Some([a, b, c, d]) if first && has_ports(protocol) => {
                Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
            }
            _ => None,
        };
        let field = checksum_at(protocol).and_then(|offset| at::<2>(payload, offset)).filter(|_| flags & 0x3fff == 0);
        let checksum = field.map(|field| Check {
            value: hex(&field),
            right: matches!(checksum(protocol, payload, source, destination), 0 | 0xffff),
        });
        Some(Shape {
            to_mac: mac(at(frame, 0)?),
            from_mac: mac(at(frame, 6)?),
            vlans,
            source,
            destination,
            protocol,
            source_port: numbers.map(|(first, _)| first),
            destination_port: numbers.map(|(_, second)| second),
            ttl: *packet.get(8)?,
            length,
            dont_fragment: flags & DONT_FRAGMENT != 0,
            header_checksum: Check { value: hex(&at::<2>(packet, 10)?), right: fold(sum(header)) == 0xffff },
            checksum,
            frame: hex(frame),
        })
    }
}

/// As people read it: addresses with ports, protocol, TTL, length.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { source, destination, protocol, ttl, length, .. } = self;
        let name = NAMES.iter().find(|(_, number)| number == protocol).map(|(name, _)| (*name).to_owned());
        let name = name.unwrap_or_else(|| format!("protocol {protocol}"));
        match (self.source_port, self.destination_port) {
            (Some(kind), Some(code)) if *protocol == protocol::ICMP => {
                write!(f, "{source} > {destination} icmp {kind}/{code}")?;
            }
            (Some(from), Some(to)) => write!(f, "{source}:{from} > {destination}:{to} {name}")?,
            _ => write!(f, "{source} > {destination} {name}")?,
        }
        write!(f, ", TTL {ttl}, {length} bytes{}", if self.dont_fragment { ", DF" } else { "" })
    }
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A MAC address as people write it.
pub fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(payload: &str) -> Question {
        Question {
            source: [192, 0, 2, 9].into(),
            destination: [203, 0, 113, 7].into(),
            payload: payload.parse().unwrap(),
            ttl: 64,
            length: None,
            may_fragment: false,
        }
    }

    #[test]
    fn every_payload_makes_a_packet_with_right_checksums() {
        for (payload, shown) in [
            ("icmp", "192.0.2.9 > 203.0.113.7 icmp 8/0, TTL 64, 28 bytes, DF"),
            ("icmp/3:1", "192.0.2.9 > 203.0.113.7 icmp 3/1, TTL 64, 56 bytes, DF"),
            ("tcp/443", "192.0.2.9:50000 > 203.0.113.7:443 tcp, TTL 64, 40 bytes, DF"),
            ("UDP/53:5353", "192.0.2.9:53 > 203.0.113.7:5353 udp, TTL 64, 28 bytes, DF"),
            ("udplite/9", "192.0.2.9:50000 > 203.0.113.7:9 udplite, TTL 64, 28 bytes, DF"),
            ("dccp/9", "192.0.2.9:50000 > 203.0.113.7:9 dccp, TTL 64, 36 bytes, DF"),
            ("sctp/9", "192.0.2.9:50000 > 203.0.113.7:9 sctp, TTL 64, 32 bytes, DF"),
            ("gre", "192.0.2.9 > 203.0.113.7 gre, TTL 64, 28 bytes, DF"),
            ("89", "192.0.2.9 > 203.0.113.7 protocol 89, TTL 64, 28 bytes, DF"),
        ] {
            let shape = Shape::of(&question(payload).frame([2; 6], &[7, 9])).unwrap();
            assert_eq!(shape.to_string(), shown);
            assert_eq!(shape.vlans, [7, 9]);
            assert!(shape.header_checksum.right, "{payload}");
            assert!(shape.checksum.as_ref().is_none_or(|check| check.right), "{payload}: {shape:?}");
        }
    }

    #[test]
    fn crc32c_is_that_of_the_rfcs() {
        // RFC 3720 B.4: 32 bytes of zeroes, and the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_wrong_checksum_is_seen() {
        let mut frame = question("udp/53").frame([2; 6], &[]);
        let last = frame.len() - 1;
        frame[last] ^= 1;
        let shape = Shape::of(&frame).unwrap();
        assert!(shape.header_checksum.right && !shape.checksum.unwrap().right);
        frame[ETHERNET + 8] -= 1;
        assert!(!Shape::of(&frame).unwrap().header_checksum.right);
    }

    #[test]
    fn what_is_no_payload_is_refused_with_what_would_be() {
        for (text, advice) in [
            ("tpc/80", "`tpc` is no protocol; take icmp, tcp, udp"),
            ("tcp/http", "`http` is no port"),
            ("tcp/65536", "`65536` is no port"),
            ("gre/1", "gre has no ports; write `gre`"),
            ("icmp/300", "ICMP types and codes end at 255"),
        ] {
            let told = text.parse::<Payload>().unwrap_err();
            assert!(told.contains(advice), "{told}");
        }
    }

    #[test]
    fn a_length_is_exact_even_where_it_cuts_the_header() {
        for length in [20, 24, 28, 1500] {
            let shape = Shape::of(&Question { length: Some(length), ..question("tcp/80") }.frame([2; 6], &[])).unwrap();
            assert_eq!(shape.length, length);
        }
    }
}
