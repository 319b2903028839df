//! Verifying checksums in software.

use etherparse::IpNumber;

use super::*;

/// Verifies every checksum of a frame in software: IP header, L4 of unfragmented packets, and inside an ICMP error the
/// quoted header and, where the quotation is complete, its L4. What is not IPv4 is right.
pub fn verify_checksums(frame: &[u8]) -> Result<(), String> {
    match payload(frame) {
        Some((IPV4, start)) => verify_packet(&frame[start..], ""),
        _ => Ok(()),
    }
}

fn verify_packet(bytes: &[u8], within: &str) -> Result<(), String> {
    let ip = Ip::parse(bytes).ok_or_else(|| format!("{within}IPv4 header is not whole"))?;
    verify(&format!("{within}ip"), word(bytes, 10), right_header_checksum(ip.header()))?;
    if !ip.is_whole() && within.is_empty() {
        return Err(format!("total length {} of {} bytes", ip.total_length(), bytes.len()));
    }
    let segment = ip.payload();
    if ip.is_fragment() || !ip.is_whole() {
        return Ok(());
    }
    let name = format!("{within}{}", IpNumber(ip.protocol()).keyword_str().unwrap_or("transport").to_lowercase());
    if let Some(at) = checksum_offset(ip.protocol()) {
        let found = segment.get(at..at + 2).ok_or_else(|| format!("{name}: no checksum in {} bytes", segment.len()))?;
        let found = word(found, 0);
        if !(ip.protocol() == UDP && found == 0) {
            let right = transport_checksum(ip.protocol(), ip.source(), ip.destination(), segment)
                .ok_or_else(|| format!("{name}: length or coverage field makes no sense"))?;
            verify(&name, found, right)?;
            if ip.protocol() == UDP_LITE && found == 0 {
                return Err(format!("{name}: checksum 0 is not legal"));
            }
        }
    } else if ip.protocol() == SCTP && segment.len() >= 12 {
        let mut zeroed = segment.to_vec();
        zeroed[8..12].fill(0);
        if crc32c(&zeroed).to_le_bytes() != segment[8..12] {
            return Err(format!("{name}: CRC32c is wrong"));
        }
    }
    match ip.quotation() {
        Some(quoted) if within.is_empty() => verify_packet(quoted, "quoted "),
        _ => Ok(()),
    }
}

fn verify(name: &str, found: u16, right: u16) -> Result<(), String> {
    if found % 0xffff == right % 0xffff {
        return Ok(());
    }
    Err(format!("{name} checksum is {found:04x}, should be {right:04x}"))
}
