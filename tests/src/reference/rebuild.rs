//! Rebuilding a packet with other addresses, every checksum as right or as wrong as it was.

use std::net::Ipv4Addr;

use super::judge::{Translation, Whole};
use crate::frames::{
    self, ICMP, Ip, MORE_FRAGMENTS, OFFSET, UDP, UDP_LITE, address, checksum_offset, fold, right_checksum,
    right_header_checksum, sum, word,
};

/// A packet with its new addresses and TTL, every checksum as right or as wrong as it was.
pub(super) fn translated(packet: Whole, translation: &Translation, ttl: u8) -> Vec<u8> {
    let (old, mut new) = (packet.0, packet.0.to_vec());
    let (start, protocol) = (packet.header_length(), packet.protocol());
    new[8] = ttl;
    new[12..16].copy_from_slice(&translation.source.octets());
    new[16..20].copy_from_slice(&translation.destination.octets());
    frames::seal_header(&mut new);
    if let Some((source, destination)) = translation.quoted {
        translate_quoted(&mut new[start + 8..], source, destination);
    }
    let Some(at) = checksum_offset(protocol).filter(|_| packet.fragment_offset() == 0) else { return new };
    if protocol == ICMP && translation.quoted.is_none() {
        return new;
    }
    let found = word(old, start + at);
    if protocol == UDP && found == 0 {
        return new;
    }
    // The part of a datagram in a first fragment has no checksum of its own; there only the addresses' change counts.
    let value = if protocol != ICMP && word(old, 6) & MORE_FRAGMENTS != 0 {
        adjusted(found, addresses(old), addresses(&new))
    } else {
        let right = |packet: &[u8]| {
            let segment = &packet[start..];
            let covered = covered(protocol, segment);
            right_checksum(protocol, address(packet, 12), address(packet, 16), segment.len(), &segment[..covered])
        };
        with_error(found, right(old), right(&new))
    };
    put_checksum(&mut new, start + at, protocol, value);
    new
}

/// How much of a segment its checksum covers; the whole where a coverage field makes no sense.
fn covered(protocol: u8, segment: &[u8]) -> usize {
    let said = if protocol == UDP_LITE { usize::from(word(segment, 4)) } else { 0 };
    if (8..=segment.len()).contains(&said) { said } else { segment.len() }
}

/// Gives a quoted packet, perhaps cut, its addresses; corrects its checksums as far as they are there.
fn translate_quoted(quoted: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
    let ip = Ip(quoted);
    let (length, protocol, later) = (ip.header_length(), ip.protocol(), word(quoted, 6) & OFFSET != 0);
    let (before, right_before) = (addresses(quoted), right_header_checksum(&quoted[..length]));
    quoted[12..16].copy_from_slice(&source.octets());
    quoted[16..20].copy_from_slice(&destination.octets());
    let value = with_error(word(quoted, 10), right_before, right_header_checksum(&quoted[..length]));
    quoted[10..12].copy_from_slice(&value.to_be_bytes());

    let Some(at) = checksum_offset(protocol).map(|at| length + at) else { return };
    if protocol == ICMP || later || quoted.len() < at + 2 {
        return;
    }
    let found = word(quoted, at);
    if protocol != UDP || found != 0 {
        let value = adjusted(found, before, addresses(quoted));
        put_checksum(quoted, at, protocol, value);
    }
}

/// The sum of a packet's addresses.
fn addresses(packet: &[u8]) -> u16 {
    sum(&packet[12..20])
}

/// A checksum that keeps, after a change, the one's-complement error it had before.
fn with_error(found: u16, right_before: u16, right_after: u16) -> u16 {
    fold(u64::from(found) + u64::from(!right_before) + u64::from(right_after)) % 0xffff
}

/// RFC 1624 equation 3: a checksum after some words under it changed, by their sums before and after.
fn adjusted(found: u16, before: u16, after: u16) -> u16 {
    !fold(u64::from(!found) + u64::from(!before) + u64::from(after)) % 0xffff
}

fn put_checksum(packet: &mut [u8], at: usize, protocol: u8, value: u16) {
    let value = if value == 0 && matches!(protocol, UDP | UDP_LITE) { 0xffff } else { value };
    packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
