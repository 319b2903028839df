//! Tests of the frames against another project's packet crate.

use std::net::Ipv4Addr;

use super::*;
use etherparse::{NetSlice, SlicedPacket, TransportSlice, checksum::Sum16BitWords};

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const MACS: (Mac, Mac) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

fn every_kind() -> Vec<Packet> {
    let packet = || Packet::new(A, B);
    let quoted = packet().tcp(1, 2, b"the packet that got lost on its way through the net").build();
    vec![
        packet().tcp(1, 2, b"odd").flags(0x18).sequence(77),
        packet().udp(53, 5353, b"data"),
        packet().udp_without_checksum(53, 5353, b"data"),
        packet().udp_lite(1, 2, 0, b"all"),
        packet().udp_lite(1, 2, 8, b"header only"),
        packet().dccp(1, 2, b"datagram"),
        packet().sctp(1, 2, &[0, 3, 0, 5, 1, 0, 0, 0]),
        packet().gre(IPV4, &quoted),
        packet().esp(9, 1, b"secret"),
        packet().ah(253, 9, b"signed"),
        packet().ipip(&quoted),
        packet().protocol(200, b"whatever"),
        packet().echo(1, 2, b"ping").options(&[7, 7, 4, 0, 0, 0, 0]).tos(3).dont_fragment(),
        packet().echo_reply(1, 2, b"ping"),
        packet().timestamp(1, 2),
        packet().icmp_error(11, 0, [0; 4], &quoted, 28),
        packet().too_big(1400, &quoted, 548),
        packet().icmp_error(3, 1, [0; 4], &quoted, 128).extension(&[0, 8, 1, 1, 0, 1, 0x2f, 0xff]),
    ]
}

#[test]
fn built_packets_verify_and_damaged_ones_do_not() {
    for packet in every_kind() {
        let frame = Frame::new(MACS.0, MACS.1).qinq(100, 7).ip(&packet).padded().build();
        verify_checksums(&frame).unwrap_or_else(|error| panic!("{error}\n{}", explain(&frame)));
        let mut damaged = frame.clone();
        damaged[22 + 8] ^= 1;
        assert!(verify_checksums(&damaged).unwrap_err().starts_with("ip checksum"));
    }
    let wrong = Packet::new(A, B).udp(1, 2, b"x").wrong_checksum(1);
    assert!(verify_checksums(&Frame::new(MACS.0, MACS.1).ip(&wrong).build()).is_err());
}

#[test]
fn etherparse_agrees() {
    for packet in every_kind() {
        let frame = Frame::new(MACS.0, MACS.1).vlan(7).ip(&packet).build();
        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
        let header = ip.header().to_header();
        assert_eq!(header.calc_header_checksum(), header.header_checksum);
        match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                let right = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).unwrap();
                assert_eq!(right, tcp.checksum());
            }
            Some(TransportSlice::Udp(udp)) if udp.checksum() != 0 => {
                let right = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
                assert_eq!(right, udp.checksum());
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                assert_eq!(Sum16BitWords::new().add_slice(icmp.slice()).ones_complement(), 0);
            }
            _ => {}
        }
    }
}

#[test]
fn sums_agree_with_etherparse_at_every_length() {
    let bytes: Vec<u8> = (0..1501_u32).map(|index| (index * 251 + index / 3) as u8).collect();
    for length in 0..bytes.len() {
        let theirs = Sum16BitWords::new().add_slice(&bytes[..length]).ones_complement().to_be();
        assert_eq!(!sum(&bytes[..length]), theirs, "{length} bytes");
    }
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn fragments_reassemble() {
    let packet = Packet::new(A, B).udp(1, 2, &[7; 3000]).build();
    let cut = fragments(&packet, 1500);
    assert_eq!(cut.len(), 3);
    assert_eq!(cut.iter().flat_map(|part| part[20..].to_vec()).collect::<Vec<_>>(), packet[20..]);
    assert_eq!(cut.iter().map(|part| word(part, 6)).collect::<Vec<_>>(), [0x2000, 0x2000 + 185, 370]);
}

#[test]
fn explains_and_compares() {
    let quoted = Packet::new(A, B).udp(5000, 53, b"query").build();
    let error = Packet::new(B, A).icmp_error(3, 3, [0; 4], &quoted, 28);
    let frame = Frame::new(MACS.0, MACS.1).vlan(7).ip(&error).build();
    let text = explain(&frame);
    for part in ["vlan 7", "203.0.113.77 > 10.1.0.9", "destination unreachable", "ports 5000 > 53", "right"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let mut other = frame.clone();
    other[18 + 8] = 3;
    other[18 + 28 + 12] = 192;
    let told = "ip ttl @26: 40 -> 03\nquoted ip source @58: 0a010009 -> c0010009 (10.1.0.9 -> 192.1.0.9)\n";
    assert_eq!(diff(&frame, &other), told);
    assert_eq!(diff(&frame, &frame), "");
    assert_eq!(
        ipv4_addresses(&frame),
        [
            (Where::OuterSource, B),
            (Where::OuterDestination, A),
            (Where::QuotedSource, A),
            (Where::QuotedDestination, B)
        ]
    );
    let arp = Frame::new(MACS.0, [255; 6]).arp(&Arp::request(MACS.0, A, B)).padded().build();
    assert_eq!((arp.len(), ipv4_addresses(&arp)), (60, vec![(Where::ArpSender, A), (Where::ArpTarget, B)]));
    assert!(explain(&arp).contains("arp request: 10.1.0.9 at 02:00:00:00:00:01 > 203.0.113.77"));
}
