//! ICMP (RFC 792): which messages are errors, translating the packet they quote (RFC 5508), and making our own.

use network_types::ip::Ipv4Hdr;

use crate::checksum::{self, Delta};
use crate::ipv4::{self, Rewrite, protocol};
use crate::transport;

/// Length of an ICMP header, in bytes.
pub const HEADER: usize = 8;

/// What a message type means to a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Quotes the packet it is about: unreachable, source quench, time exceeded, parameter problem.
    Error,
    /// Tells a host of another router on its own link.
    Redirect,
    /// Router advertisement or solicitation.
    RouterDiscovery,
    /// Echo, timestamp, address mask and everything else: nothing inside depends on the addresses.
    Query,
}

/// Kind of a message type.
#[inline(always)]
pub const fn kind(message_type: u8) -> Kind {
    match message_type {
        3 | 4 | 11 | 12 => Kind::Error,
        5 => Kind::Redirect,
        9 | 10 => Kind::RouterDiscovery,
        _ => Kind::Query,
    }
}

/// Whether no ICMP error may ever be sent about this message (RFC 1122 3.2.2).
#[inline(always)]
pub const fn is_error_or_redirect(message_type: u8) -> bool {
    matches!(kind(message_type), Kind::Error | Kind::Redirect)
}

/// Header length of a quoted packet, or `None` where the quotation does not parse (RFC 5508 REQ-3). `quoted` is the
/// number of bytes quoted. The quoted checksum is not judged: routers may have zeroed it.
#[inline(always)]
pub fn quoted_header_length(ip: &Ipv4Hdr, quoted: usize) -> Option<usize> {
    let header = ((ip.vihl & 0x0f) as usize) << 2;
    if ip.vihl >> 4 != 4 || header < Ipv4Hdr::LEN || header > quoted {
        return None;
    }
    Some(header)
}

/// The transport checksum of a quoted packet that has to follow a change of its addresses, if the quotation reaches
/// that far. `quoted` is the number of bytes quoted, `header` the length of the quoted IP header.
#[inline(always)]
pub fn quoted_checksum(ip: &Ipv4Hdr, header: usize, quoted: usize) -> Option<transport::Checksum> {
    if ipv4::fragment_offset(ip) != 0 {
        return None;
    }
    transport::checksum_of(ip.proto).filter(|checksum| header + checksum.end() <= quoted)
}

/// Translates a quoted header and returns two changes: of its addresses, for the quoted transport checksum, and of all
/// the words written in the header, for the checksum of the ICMP message around it.
///
/// The second is taken from the bytes as they were and as they are, so that nothing has to be argued about sums that
/// cancel (RFC 3022 4.3).
#[inline(always)]
pub fn translate_quoted(ip: &mut Ipv4Hdr, rewrite: Rewrite) -> (Delta, Delta) {
    let check = ip.check;
    let addresses = ipv4::rewrite(ip, rewrite);
    (addresses, addresses.plus(Delta::of_word(check, ip.check)))
}

/// What an ICMP error of the gateway's own says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Time exceeded in transit.
    TtlExceeded,
    /// Fragmentation needed and DF set (RFC 1191).
    TooBig,
    /// Destination host unreachable.
    HostUnreachable,
    /// Destination network unreachable.
    NetUnreachable,
}

/// An ICMP error that the gateway sends on its own behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What it says.
    pub kind: ErrorKind,
    /// MTU of the next hop in bytes with [`ErrorKind::TooBig`], else 0.
    pub mtu: u16,
}

impl Error {
    /// An error without an MTU.
    #[inline(always)]
    pub const fn new(kind: ErrorKind) -> Error {
        Error { kind, mtu: 0 }
    }

    /// The packet does not fit `mtu` bytes.
    #[inline(always)]
    pub const fn too_big(mtu: u16) -> Error {
        Error { kind: ErrorKind::TooBig, mtu }
    }
}

/// Largest IP packet an ICMP error may be (RFC 1812 4.3.2.3), in bytes.
pub const MAX_ERROR: usize = 576;
/// Most bytes of the offending packet that fit into an error.
pub const MAX_QUOTATION: usize = MAX_ERROR - Ipv4Hdr::LEN - HEADER;

/// The first eight bytes of the error, its checksum complete over `quotation_sum`, the unfolded sum of the quotation.
#[inline(always)]
pub fn error_header(error: Error, quotation_sum: u32) -> [u8; HEADER] {
    let (message_type, code) = match error.kind {
        ErrorKind::TtlExceeded => (11, 0),
        ErrorKind::TooBig => (3, 4),
        ErrorKind::HostUnreachable => (3, 1),
        ErrorKind::NetUnreachable => (3, 0),
    };
    let mtu = error.mtu.to_be_bytes();
    let header = [message_type, code, 0, 0, 0, 0, mtu[0], mtu[1]];
    let check = (!checksum::fold(checksum::block_sum(&header) + quotation_sum)).to_ne_bytes();
    [message_type, code, check[0], check[1], 0, 0, mtu[0], mtu[1]]
}

/// The IP header of an error that quotes `quotation` bytes, at most [`MAX_QUOTATION`].
///
/// TOS is internetwork control (RFC 1812 4.3.2.5); nothing of the offending header is inherited.
#[inline(always)]
pub fn error_ip_header(source: [u8; 4], destination: [u8; 4], quotation: usize) -> Ipv4Hdr {
    let total = (Ipv4Hdr::LEN + HEADER + quotation) as u16;
    let mut ip = Ipv4Hdr {
        vihl: 0x45,
        tos: 0xc0,
        tot_len: total.to_be_bytes(),
        id: [0; 2],
        frags: [0; 2],
        ttl: 64,
        proto: protocol::ICMP,
        check: [0; 2],
        src_addr: source,
        dst_addr: destination,
    };
    ip.check = (!ipv4::header_sum(&ip)).to_ne_bytes();
    ip
}

/// Whether a packet with these properties may be answered with an ICMP error at all (RFC 1812 4.3.2.7): not a later
/// fragment, not an ICMP error, not from a source that is no single host. `message_type` is 0 for what is not ICMP.
#[inline(always)]
pub fn may_answer(ip: &Ipv4Hdr, message_type: u8) -> bool {
    ipv4::fragment_offset(ip) == 0
        && !is_error_or_redirect(message_type)
        && !matches!(ip.src_addr[0], 0 | 127 | 224..=255)
}
