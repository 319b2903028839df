//! Link-layer headers as bytes, free of alignment, and the answer to an ARP request (RFC 826, RFC 5227).

use network_types::arp::ArpHdr;

/// Ethertype of IPv4, in wire order.
pub const IPV4: [u8; 2] = [0x08, 0x00];
/// Ethertype of ARP, in wire order.
pub const ARP: [u8; 2] = [0x08, 0x06];
/// Ethertype of IPv6, in wire order.
pub const IPV6: [u8; 2] = [0x86, 0xdd];
/// Tag protocol of a single or inner tag (802.1Q), in wire order.
pub const TAG: [u8; 2] = [0x81, 0x00];
/// Tag protocol of an outer tag (802.1ad), in wire order.
pub const OUTER_TAG: [u8; 2] = [0x88, 0xa8];

/// An Ethernet header.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ethernet {
    /// Destination MAC.
    pub destination: [u8; 6],
    /// Source MAC.
    pub source: [u8; 6],
    /// What follows, in wire order.
    pub ethertype: [u8; 2],
}

impl Ethernet {
    /// A header from its first twelve bytes as words and its last two, each as it lies in memory.
    #[inline(always)]
    pub const fn from_words(macs: [u32; 3], ethertype: u16) -> Ethernet {
        let (a, b, c) = (macs[0].to_ne_bytes(), macs[1].to_ne_bytes(), macs[2].to_ne_bytes());
        Ethernet {
            destination: [a[0], a[1], a[2], a[3], b[0], b[1]],
            source: [b[2], b[3], c[0], c[1], c[2], c[3]],
            ethertype: ethertype.to_ne_bytes(),
        }
    }
}

/// The two MAC addresses a frame begins with.
#[inline(always)]
pub const fn macs(destination: [u8; 6], source: [u8; 6]) -> [u8; 12] {
    let (d, s) = (destination, source);
    [d[0], d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5]]
}

/// The two MAC addresses a frame begins with, as three words that lie in memory as they do.
#[inline(always)]
pub const fn mac_words(m: &[u8; 12]) -> [u32; 3] {
    [
        u32::from_ne_bytes([m[0], m[1], m[2], m[3]]),
        u32::from_ne_bytes([m[4], m[5], m[6], m[7]]),
        u32::from_ne_bytes([m[8], m[9], m[10], m[11]]),
    ]
}

/// A VLAN tag behind its own ethertype.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tag {
    /// Priority, drop eligibility and VLAN id, in wire order.
    pub control: [u8; 2],
    /// What follows, in wire order.
    pub ethertype: [u8; 2],
}

impl Tag {
    /// No tag.
    pub const NONE: Tag = Tag { control: [0; 2], ethertype: [0; 2] };

    /// The VLAN id.
    #[inline(always)]
    pub fn vlan(self) -> u16 {
        u16::from_be_bytes(self.control) & 0x0fff
    }
}

/// Whether an ethertype announces a tag.
#[inline(always)]
pub fn is_tag(ethertype: [u8; 2]) -> bool {
    ethertype == TAG || ethertype == OUTER_TAG
}

/// Whether a MAC is a group address (multicast or broadcast).
#[inline(always)]
pub fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 != 0
}

/// Whether an ARP packet asks for an IPv4 address over Ethernet and is no announcement of the sender's own.
#[inline(always)]
pub fn is_arp_request(arp: &ArpHdr) -> bool {
    arp.htype == [0, 1]
        && arp.ptype == IPV4
        && arp.hlen == 6
        && arp.plen == 4
        && arp.oper == [0, 1]
        && arp.spa != arp.tpa
}

/// Turns a request into its answer: the target is at `mac`.
#[inline(always)]
pub fn answer_arp(arp: &mut ArpHdr, mac: [u8; 6]) {
    let target = arp.tpa;
    arp.oper = [0, 2];
    arp.tha = arp.sha;
    arp.tpa = arp.spa;
    arp.sha = mac;
    arp.spa = target;
}
