//! Checksum arithmetic, each checksum computed in full.

use std::net::Ipv4Addr;

use super::{DCCP, ICMP, Ip, SCTP, TCP, UDP, UDP_LITE, word};

/// Folds a sum of 16 or 32 bit words to the 16 bit one's-complement sum.
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The one's-complement sum of the bytes as big-endian 16 bit words, an odd last byte padded with zero.
pub fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(4);
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    let total: u64 = words.map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))).sum();
    fold(total + u64::from(u32::from_be_bytes(last)))
}

/// The sum of the pseudo-header that TCP, UDP, UDP-Lite and DCCP put before their segment.
pub fn pseudo_header_sum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> u16 {
    fold(u64::from(u32::from(source)) + u64::from(u32::from(destination)) + u64::from(protocol) + length as u64)
}

/// Where in its header a protocol keeps a 16 bit one's-complement checksum.
pub fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP | UDP_LITE | DCCP => Some(6),
        ICMP => Some(2),
        _ => None,
    }
}

/// The right checksum of `covered` (a segment, or the part of it under the checksum), whatever its field holds.
/// `length` goes into the pseudo-header. 0 stands for 0; senders of UDP and UDP-Lite turn it into 0xffff.
pub fn right_checksum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, length: usize, covered: &[u8]) -> u16 {
    let at = checksum_offset(protocol).expect("a protocol with a checksum");
    let pseudo = if protocol == ICMP { 0 } else { pseudo_header_sum(protocol, source, destination, length) };
    let parts = [pseudo, sum(&covered[..at]), sum(&covered[at + 2..])];
    !fold(parts.into_iter().map(u64::from).sum())
}

/// CRC32c as SCTP uses it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut crc, mut bit) = (index as u32, 0);
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// Makes the IPv4 header that starts the bytes right; leaves alone what is no whole header.
pub fn seal_header(packet: &mut [u8]) {
    let length = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if length >= 20 && length <= packet.len() {
        let right = right_header_checksum(&packet[..length]);
        packet[10..12].copy_from_slice(&right.to_be_bytes());
    }
}

/// The right checksum of an IPv4 header, whatever its field holds.
pub fn right_header_checksum(header: &[u8]) -> u16 {
    !fold(u64::from(sum(&header[..10])) + u64::from(sum(&header[12..])))
}

/// Computes the L4 checksum of an unfragmented IPv4 packet anew, as far as it has one and is long enough.
pub fn seal_transport(packet: &mut [u8]) {
    let Some(ip) = Ip::parse(packet) else { return };
    let (protocol, source, destination, start, end) =
        (ip.protocol(), ip.source(), ip.destination(), ip.header_length(), ip.end());
    if let Some(right) = transport_checksum(protocol, source, destination, &packet[start..end]) {
        let at = start + checksum_offset(protocol).expect("it has just been computed");
        let right = if right == 0 && matches!(protocol, UDP | UDP_LITE) { 0xffff } else { right };
        packet[at..at + 2].copy_from_slice(&right.to_be_bytes());
    } else if protocol == SCTP && end - start >= 12 {
        let at = start + 8;
        packet[at..at + 4].fill(0);
        let crc = crc32c(&packet[start..end]);
        packet[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The right checksum of a whole segment by its protocol's own rules of length and coverage;
/// `None` where there is none, or the segment's length fields make no sense.
pub fn transport_checksum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> Option<u16> {
    let at = checksum_offset(protocol)?;
    if segment.len() < at + 2 || (matches!(protocol, UDP | UDP_LITE) && segment.len() < 8) {
        return None;
    }
    let (length, covered) = match protocol {
        UDP => (usize::from(word(segment, 4)), usize::from(word(segment, 4))),
        UDP_LITE if word(segment, 4) == 0 => (segment.len(), segment.len()),
        UDP_LITE => (segment.len(), usize::from(word(segment, 4))),
        DCCP if segment[5] & 15 == 0 => (segment.len(), segment.len()),
        DCCP => (segment.len(), usize::from(segment[4]) * 4 + (usize::from(segment[5] & 15) - 1) * 4),
        _ => (segment.len(), segment.len()),
    };
    (at + 2..=segment.len())
        .contains(&covered)
        .then(|| right_checksum(protocol, source, destination, length, &segment[..covered]))
}
