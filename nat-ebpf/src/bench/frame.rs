//! A frame as a row of 16-bit words, which is how its headers are aligned in memory. Words are in wire order.

use aya_ebpf::programs::XdpContext;

/// Words of an untagged frame.
pub const ETHERTYPE: usize = 6;
pub const TTL: usize = 7 + 4;
pub const IP_CHECKSUM: usize = 7 + 5;
pub const SOURCE: usize = 7 + 6;
pub const DESTINATION: usize = 7 + 8;
pub const DESTINATION_PORT: usize = 7 + 10 + 1;
pub const UDP_CHECKSUM: usize = 7 + 10 + 3;

/// The first `N` words of a frame, where it has that many.
#[inline(always)]
pub fn words<const N: usize>(ctx: &mut XdpContext) -> Option<&mut [u16; N]> {
    let start = ctx.data();
    if start + 2 * N > ctx.data_end() {
        return None;
    }
    // SAFETY: the words lie between data and data_end, as just compared, and the context is borrowed for as long as they
    // are. A frame starts at an even address on veth and in test runs.
    Some(unsafe { &mut *(start as *mut [u16; N]) })
}

/// The two halves of an address in host order, as they stand in a frame.
#[inline(always)]
pub fn halves(address: u32) -> [u16; 2] {
    [((address >> 16) as u16).to_be(), (address as u16).to_be()]
}

/// Folds a sum of words into 16 bits.
#[inline(always)]
pub fn fold(mut sum: u32) -> u16 {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Takes the TTL down by one and mends the header's checksum (RFC 1141).
#[inline(always)]
pub fn decrement_ttl<const N: usize>(words: &mut [u16; N]) {
    let one = 0x0100u16.to_be();
    words[TTL] = words[TTL].wrapping_sub(one);
    words[IP_CHECKSUM] = fold(words[IP_CHECKSUM] as u32 + one as u32);
}

/// Writes both Ethernet addresses.
#[inline(always)]
pub fn address<const N: usize>(words: &mut [u16; N], ethernet: &[u8; 12]) {
    for word in 0..6 {
        words[word] = u16::from_ne_bytes([ethernet[2 * word], ethernet[2 * word + 1]]);
    }
}
