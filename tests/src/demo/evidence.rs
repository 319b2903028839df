//! What the demonstration shows of the wire: a packet in one line, and the same packet on both sides of the gateway.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::frames::{ICMP, IPV4, Ip, TCP, UDP, payload, word};
use crate::lab::Watch;

const SYN: u8 = 2;
const ACK: u8 = 16;

fn packet(frame: &[u8]) -> Option<Ip<'_>> {
    let (ethertype, start) = payload(frame)?;
    Ip::parse(&frame[start..]).filter(|_| ethertype == IPV4)
}

/// `192.0.2.10:41234 > 203.0.113.1:80 TCP SYN, ttl 62`
pub(super) fn one_line(frame: &[u8]) -> String {
    let Some(ip) = packet(frame) else { return "not IPv4".into() };
    let segment = ip.payload();
    let (source, destination, ttl) = (ip.source(), ip.destination(), ip.ttl());
    match ip.protocol() {
        protocol @ (TCP | UDP) if segment.len() >= 14 || (protocol == UDP && segment.len() >= 8) => {
            let name = if protocol == TCP { format!("TCP {}", flags(segment[13])) } else { "UDP".into() };
            format!("{source}:{} > {destination}:{} {name}, ttl {ttl}", word(segment, 0), word(segment, 2))
        }
        ICMP if segment.len() >= 2 => format!("{source} > {destination} ICMP type {}, ttl {ttl}", segment[0]),
        protocol => format!("{source} > {destination} protocol {protocol}, ttl {ttl}"),
    }
}

fn flags(flags: u8) -> &'static str {
    match flags & (SYN | ACK) {
        SYN => "SYN",
        ACK => "ACK",
        _ if flags & SYN != 0 => "SYN+ACK",
        _ => "segment",
    }
}

/// Whether a frame opens a TCP connection between these two.
pub(super) fn opens(frame: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> bool {
    packet(frame).is_some_and(|ip| {
        let flags = ip.payload().get(13).copied().unwrap_or(0);
        ip.protocol() == TCP && (ip.source(), ip.destination()) == (source, destination) && flags & (SYN | ACK) == SYN
    })
}

/// The opening of a connection as seen at one place, in words.
pub(super) fn opening(watch: &Watch<'_>, place: &str, source: Ipv4Addr, destination: Ipv4Addr) -> Result<String> {
    let what = format!("a connection from {source} to {destination}");
    let seen = watch.wait(&what, |seen| opens(&seen.frame, source, destination))?;
    Ok(format!("on the wire {place}: {}", one_line(&seen.frame)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Frame, Packet};

    #[test]
    fn a_packet_in_one_line() {
        let (a, b) = (Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(203, 0, 113, 1));
        let frame = |packet: &Packet| Frame::new([2; 6], [4; 6]).ip(packet).build();
        let syn = frame(&Packet::new(a, b).tcp(4000, 80, b"").flags(2));
        assert_eq!(one_line(&syn), "192.0.2.10:4000 > 203.0.113.1:80 TCP SYN, ttl 64");
        assert!(opens(&syn, a, b) && !opens(&syn, b, a));
        let ping = frame(&Packet::new(a, b).ttl(9).echo(1, 2, b""));
        assert_eq!(one_line(&ping), "192.0.2.10 > 203.0.113.1 ICMP type 8, ttl 9");
        assert!(!opens(&ping, a, b));
    }
}
