//! Looking at the bytes of frames and packets.

use std::net::Ipv4Addr;

use super::{ICMP, MORE_FRAGMENTS, OFFSET, SERVICE_VLAN, VLAN};

/// The 16 bit word at an offset.
pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The IPv4 address at an offset.
pub fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// Whether an ICMP type is one of the errors, redirect among them.
pub fn is_icmp_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// Where the payload of the Ethernet header and however many tags begins, and its type.
pub fn payload(frame: &[u8]) -> Option<(u16, usize)> {
    let mut at = 12;
    loop {
        let ethertype = word(frame.get(at..at + 2)?, 0);
        if !matches!(ethertype, VLAN | SERVICE_VLAN) {
            return Some((ethertype, at + 2));
        }
        at += 4;
    }
}

/// An IPv4 packet whose header is whole, lenient about everything else.
#[derive(Clone, Copy)]
pub struct Ip<'a>(pub &'a [u8]);

impl<'a> Ip<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let ip = Self(bytes);
        (bytes.len() >= 20 && bytes[0] >> 4 == 4 && ip.header_length() >= 20 && ip.header_length() <= bytes.len())
            .then_some(ip)
    }
    pub fn header_length(self) -> usize {
        usize::from(self.0[0] & 15) * 4
    }
    pub fn total_length(self) -> usize {
        usize::from(word(self.0, 2))
    }
    /// Where the packet ends in its bytes: by its total length, or where it was cut.
    pub fn end(self) -> usize {
        self.total_length().clamp(self.header_length(), self.0.len().max(self.header_length()))
    }
    pub fn is_whole(self) -> bool {
        (self.header_length()..=self.0.len()).contains(&self.total_length())
    }
    pub fn protocol(self) -> u8 {
        self.0[9]
    }
    pub fn ttl(self) -> u8 {
        self.0[8]
    }
    pub fn source(self) -> Ipv4Addr {
        address(self.0, 12)
    }
    pub fn destination(self) -> Ipv4Addr {
        address(self.0, 16)
    }
    /// In units of eight bytes.
    pub fn fragment_offset(self) -> u16 {
        word(self.0, 6) & OFFSET
    }
    pub fn is_fragment(self) -> bool {
        word(self.0, 6) & (OFFSET | MORE_FRAGMENTS) != 0
    }
    pub fn header(self) -> &'a [u8] {
        &self.0[..self.header_length()]
    }
    pub fn payload(self) -> &'a [u8] {
        &self.0[self.header_length()..self.end()]
    }
    /// The packet quoted by an ICMP error.
    pub fn quotation(self) -> Option<&'a [u8]> {
        let icmp = self.payload();
        (self.protocol() == ICMP && self.fragment_offset() == 0 && icmp.len() > 8 && is_icmp_error(icmp[0]))
            .then(|| &icmp[8..])
    }
}
