//! Transport checksums that cover the addresses: where they are and how a change of address reaches them.

use crate::checksum::{self, Delta};
use crate::ipv4::protocol;

/// How a protocol treats a checksum of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// Zero is a value like any other: TCP and DCCP.
    Ordinary,
    /// Zero means that none was computed: UDP (RFC 768).
    Absent,
    /// Zero is not allowed: UDP-Lite (RFC 3828 3.1).
    Illegal,
}

/// A transport checksum whose pseudo-header holds the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Offset from the start of the transport header, in bytes.
    pub offset: usize,
    /// Bytes of transport header an unfragmented packet has at least.
    pub header: usize,
    /// Meaning of zero.
    pub zero: Zero,
}

/// The checksum of a protocol, or `None` where the addresses are in no checksum but IP's own: ICMP, SCTP (its CRC32c
/// has no pseudo-header, RFC 9260 6.8), GRE, ESP, IPIP and whatever is unknown.
#[inline(always)]
pub const fn checksum_of(proto: u8) -> Option<Checksum> {
    match proto {
        protocol::TCP => Some(TCP),
        protocol::UDP => Some(UDP),
        protocol::UDP_LITE => Some(Checksum { offset: 6, header: 8, zero: Zero::Illegal }),
        protocol::DCCP => Some(Checksum { offset: 6, header: 8, zero: Zero::Ordinary }),
        _ => None,
    }
}

/// TCP's checksum.
pub const TCP: Checksum = Checksum { offset: 16, header: 20, zero: Zero::Ordinary };
/// UDP's checksum.
pub const UDP: Checksum = Checksum { offset: 6, header: 8, zero: Zero::Absent };

impl Checksum {
    /// First byte behind the field, from the start of the transport header.
    #[inline(always)]
    pub const fn end(self) -> usize {
        self.offset + 2
    }

    /// Updates the field for a change of the addresses.
    #[inline(always)]
    pub fn update(self, field: &mut [u8; 2], delta: Delta) {
        match self.zero {
            Zero::Ordinary => delta.apply(field),
            Zero::Absent => delta.apply_unless_absent(field),
            Zero::Illegal => delta.apply_never_zero(field),
        }
    }
}

/// Sum of the pseudo-header of RFC 768 and RFC 9293, unfolded. `length` is that of the transport header and payload.
#[inline(always)]
pub fn pseudo_header_sum(source: [u8; 4], destination: [u8; 4], proto: u8, length: u16) -> u32 {
    // Words of 32 bits fold to the same sum (RFC 1071 2(C)).
    let addresses = u32::from_ne_bytes(source) as u64 + u32::from_ne_bytes(destination) as u64;
    (addresses & 0xffff) as u32
        + (addresses >> 16) as u32
        + u16::from_ne_bytes([0, proto]) as u32
        + u16::from_ne_bytes(length.to_be_bytes()) as u32
}

/// Whether a field holds the bare pseudo-header sum, as a stack leaves it for hardware to finish.
///
/// One correct packet in 65,536 looks like that too, so the payload decides.
#[inline(always)]
pub fn looks_unfinished(field: [u8; 2], pseudo_header: u32) -> bool {
    u16::from_ne_bytes(field) == checksum::fold(pseudo_header)
}
