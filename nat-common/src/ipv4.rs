//! IPv4: what makes a header acceptable, and what kind of address a packet carries (RFC 1812, RFC 6890).

use network_types::ip::Ipv4Hdr;

use crate::checksum::{self, Delta};

/// Protocol numbers the translation distinguishes; every other one needs no more than the IP header.
pub mod protocol {
    /// ICMP, RFC 792.
    pub const ICMP: u8 = 1;
    /// TCP, RFC 9293.
    pub const TCP: u8 = 6;
    /// UDP, RFC 768.
    pub const UDP: u8 = 17;
    /// DCCP, RFC 4340.
    pub const DCCP: u8 = 33;
    /// IPsec authentication header, RFC 4302.
    pub const AH: u8 = 51;
    /// SCTP, RFC 9260.
    pub const SCTP: u8 = 132;
    /// UDP-Lite, RFC 3828.
    pub const UDP_LITE: u8 = 136;
}

/// Longest options a header can carry, in bytes.
pub const MAX_OPTIONS: u32 = 40;

/// Lengths of a packet whose header passed [`check_header`], in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Header with options, 20 to 60.
    pub header: usize,
    /// Header and payload, without Ethernet padding.
    pub total: usize,
}

/// Version and lengths of a header against the bytes that are there (RFC 791, RFC 1812 5.2.2).
///
/// `present` is the number of bytes from the IP header to the end of the frame. `None` is malformed.
#[inline(always)]
pub fn check_header(ip: &Ipv4Hdr, present: usize) -> Option<Lengths> {
    let header = ((ip.vihl & 0x0f) as usize) << 2;
    let total = u16::from_be_bytes(ip.tot_len) as usize;
    if ip.vihl >> 4 != 4 || header < Ipv4Hdr::LEN || total < header || total > present {
        return None;
    }
    Some(Lengths { header, total })
}

/// Sum of the fixed part of a header, its checksum included, folded. Taken from words of 32 bits, which fold to the same
/// (RFC 1071 2(C)).
#[inline(always)]
pub fn header_sum(ip: &Ipv4Hdr) -> u16 {
    let [a, b, c, d, e] = to_words(ip);
    let wide = a as u64 + b as u64 + c as u64 + d as u64 + e as u64;
    // At most 0x4_ffff_fffb, so 16 bits of 32 and what is above them add up to 18 bits.
    checksum::fold((wide & 0xffff) as u32 + ((wide >> 16) & 0xffff) as u32 + (wide >> 32) as u32)
}

/// Offset of the fragment in units of 8 bytes.
#[inline(always)]
pub fn fragment_offset(ip: &Ipv4Hdr) -> u16 {
    u16::from_be_bytes(ip.frags) & 0x1fff
}

/// Whether more fragments follow.
#[inline(always)]
pub fn more_fragments(ip: &Ipv4Hdr) -> bool {
    ip.frags[0] & 0x20 != 0
}

/// Whether the packet is no fragment.
#[inline(always)]
pub fn is_whole(ip: &Ipv4Hdr) -> bool {
    u16::from_be_bytes(ip.frags) & 0x3fff == 0
}

/// Whether the packet must not be fragmented.
#[inline(always)]
pub fn dont_fragment(ip: &Ipv4Hdr) -> bool {
    ip.frags[0] & 0x40 != 0
}

/// Where a destination belongs before any table is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An ordinary address.
    Unicast,
    /// 224.0.0.0/24.
    LinkMulticast,
    /// 255.255.255.255.
    Broadcast,
    /// Other multicast.
    Multicast,
    /// 0/8, 127/8 or 240/4 (RFC 1812 5.3.7).
    Martian,
}

/// Kind of a destination address.
#[inline(always)]
pub fn destination(address: [u8; 4]) -> Destination {
    match address {
        [255, 255, 255, 255] => Destination::Broadcast,
        [224, 0, 0, _] => Destination::LinkMulticast,
        [224..=239, ..] => Destination::Multicast,
        [0 | 127 | 240..=255, ..] => Destination::Martian,
        _ => Destination::Unicast,
    }
}

/// Addresses no network outside may use as a destination through this gateway: private and link-local ranges
/// (RFC 1918, RFC 6598, RFC 3927).
#[inline(always)]
pub fn is_private(address: [u8; 4]) -> bool {
    match address {
        [10, ..] | [192, 168, ..] | [169, 254, ..] => true,
        [172, second, ..] => second & 0xf0 == 16,
        [100, second, ..] => second & 0xc0 == 64,
        _ => false,
    }
}

/// Ranges of which no address is a host's on the Internet, as address and prefix length: what [`is_martian_source`] says
/// yes to.
pub const MARTIANS: [([u8; 4], u8); 8] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([224, 0, 0, 0], 3),
];

/// Sources that cannot come from the Internet: the private ranges, 0/8, 127/8 and everything from 224/3 up.
#[inline(always)]
pub fn is_martian_source(address: [u8; 4]) -> bool {
    is_private(address) || matches!(address[0], 0 | 127 | 224..=255)
}

/// What one option amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionStep {
    /// Of no interest to a forwarder, and this many bytes long; record-route and timestamp pass (RFC 7126).
    Skip(usize),
    /// The list ends here.
    End,
    /// A loose or strict source route.
    SourceRoute,
    /// It does not parse.
    Malformed,
}

/// Judges the option that starts with `kind` and `size`, of which the second only counts where the option has one.
/// `left` is the number of bytes from its start to the end of the header, at least 1.
#[inline(always)]
pub fn option(kind: u8, size: u8, left: usize) -> OptionStep {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    let size = size as usize;
    match kind {
        END => OptionStep::End,
        NOP => OptionStep::Skip(1),
        _ if left < 2 || size < 2 || size > left => OptionStep::Malformed,
        LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => OptionStep::SourceRoute,
        _ => OptionStep::Skip(size),
    }
}

/// The addresses a packet leaves with, changed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Source from now on.
    pub source: [u8; 4],
    /// Destination from now on.
    pub destination: [u8; 4],
}

/// Gives a header new addresses and keeps its checksum as right or wrong as it was. The answer is the change of the
/// addresses, which a transport checksum with a pseudo-header has to follow too.
#[inline(always)]
pub fn rewrite(ip: &mut Ipv4Hdr, rewrite: Rewrite) -> Delta {
    // An address that stays adds ~m + m, which is zero in one's complement.
    let delta =
        Delta::of_address(ip.src_addr, rewrite.source).plus(Delta::of_address(ip.dst_addr, rewrite.destination));
    ip.src_addr = rewrite.source;
    ip.dst_addr = rewrite.destination;
    delta.apply(&mut ip.check);
    delta
}

/// Takes one hop off the TTL, given with the protocol that shares its word, and has the header checksum follow. The
/// caller has made sure that it is above 1.
#[inline(always)]
pub fn decrement_ttl(ttl_and_protocol: &mut [u8; 2], check: &mut [u8; 2]) {
    let old = *ttl_and_protocol;
    ttl_and_protocol[0] = old[0].wrapping_sub(1);
    Delta::of_word(old, *ttl_and_protocol).apply(check);
}

/// A header from its bytes in wire order.
#[inline(always)]
pub const fn from_bytes(b: [u8; 20]) -> Ipv4Hdr {
    Ipv4Hdr {
        vihl: b[0],
        tos: b[1],
        tot_len: [b[2], b[3]],
        id: [b[4], b[5]],
        frags: [b[6], b[7]],
        ttl: b[8],
        proto: b[9],
        check: [b[10], b[11]],
        src_addr: [b[12], b[13], b[14], b[15]],
        dst_addr: [b[16], b[17], b[18], b[19]],
    }
}

/// A header from its five words, each as it lies in memory.
#[inline(always)]
pub const fn from_words(words: [u32; 5]) -> Ipv4Hdr {
    let [a, b, c, d, e] = words;
    let (a, b, c) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes());
    Ipv4Hdr {
        vihl: a[0],
        tos: a[1],
        tot_len: [a[2], a[3]],
        id: [b[0], b[1]],
        frags: [b[2], b[3]],
        ttl: c[0],
        proto: c[1],
        check: [c[2], c[3]],
        src_addr: d.to_ne_bytes(),
        dst_addr: e.to_ne_bytes(),
    }
}

/// The five words of a header, each as it lies in memory.
#[inline(always)]
pub const fn to_words(ip: &Ipv4Hdr) -> [u32; 5] {
    [
        u32::from_ne_bytes([ip.vihl, ip.tos, ip.tot_len[0], ip.tot_len[1]]),
        u32::from_ne_bytes([ip.id[0], ip.id[1], ip.frags[0], ip.frags[1]]),
        u32::from_ne_bytes([ip.ttl, ip.proto, ip.check[0], ip.check[1]]),
        u32::from_ne_bytes(ip.src_addr),
        u32::from_ne_bytes(ip.dst_addr),
    ]
}

/// The bytes of a header in wire order.
#[inline(always)]
pub const fn to_bytes(ip: &Ipv4Hdr) -> [u8; 20] {
    let (l, i, f, c, s, d) = (ip.tot_len, ip.id, ip.frags, ip.check, ip.src_addr, ip.dst_addr);
    [
        ip.vihl, ip.tos, l[0], l[1], i[0], i[1], f[0], f[1], ip.ttl, ip.proto, c[0], c[1], s[0], s[1], s[2], s[3],
        d[0], d[1], d[2], d[3],
    ]
}

/// Offset of the header checksum, which the two addresses follow.
pub const CHECKSUM_AND_ADDRESSES: usize = 10;

/// The part of a header that translation changes, in wire order.
#[inline(always)]
pub const fn checksum_and_addresses(ip: &Ipv4Hdr) -> [u8; 10] {
    let (c, s, d) = (ip.check, ip.src_addr, ip.dst_addr);
    [c[0], c[1], s[0], s[1], s[2], s[3], d[0], d[1], d[2], d[3]]
}
