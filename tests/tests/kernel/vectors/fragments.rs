//! Fragments: whatever a packet was cut into, each piece is translated on its own.

use lab::frames::{Ip, fragments};
use nat_common::verdict::Verdict;

use super::*;

#[test]
fn t35_first_middle_and_last_fragment_make_one_right_datagram() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for build in [
            |packet: Packet| packet.udp(1, 2, &[7; 3000]),
            |packet: Packet| packet.tcp(1, 2, &[7; 3000]),
            |packet: Packet| packet.echo(1, 2, &[7; 3000]),
            |packet: Packet| packet.dccp(1, 2, &[7; 3000]),
        ] {
            let arriving = fragments(&build(path.arriving()).build(), 1300);
            let leaving = fragments(&build(path.leaving()).build(), 1300);
            assert_eq!(arriving.len(), 3);
            // In every order: no fragment needs another.
            for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                for part in order {
                    let frame = path.envelope().carry(0x0800, &arriving[part]).build();
                    let expected = path.outgoing().carry(0x0800, &leaving[part]).build();
                    gateway.expect(path.ingress.ifindex, &frame, path.verdict, &expected);
                }
            }
        }
    }
}

/// A later fragment whose bytes look like a transport header is not touched behind its IP header.
#[test]
fn t36_no_fragment_offset_is_taken_for_the_first() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    for offset in 1..=8191 {
        for more in [false, true] {
            let cut = |packet: Packet| {
                let packet = packet.protocol(17, &[0, 1, 0, 2, 0, 16, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8]);
                let packet = packet.fragment_offset(offset);
                if more { packet.more_fragments() } else { packet }
            };
            gateway.carries(&path, cut);
        }
    }
}

#[test]
fn t36_a_quoted_fragment_offset_is_never_taken_for_the_first() {
    let mut gateway = Gateway::new();
    let path = gateway.way_out();
    for offset in 1..=8191 {
        gateway.carries_error(
            &path,
            |packet| packet.protocol(17, &[0, 1, 0, 2, 0, 8, 0x12, 0x34]).fragment_offset(offset),
            |packet, quoted| packet.icmp_error(11, 1, [0; 4], quoted, 28),
        );
    }
}

#[test]
fn t37_a_first_fragment_without_its_checksum_is_dropped() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let tcp = path.arriving().tcp(1, 2, b"data").build()[20..].to_vec();
        for length in 0..=24 {
            let cut = |packet: Packet| packet.protocol(6, &tcp[..length]).more_fragments();
            let frame = path.arrives(&cut(path.arriving()));
            if length < 18 {
                gateway.drops(path.ingress.ifindex, &frame, Verdict::TinyFragment);
            } else {
                assert_eq!(gateway.run(path.ingress.ifindex, &frame).verdict, path.verdict);
            }
        }
        for protocol in [1, 17, 33, 136] {
            for length in 0..8 {
                gateway.refuses(&path, Verdict::TinyFragment, |packet| {
                    packet.protocol(protocol, &[8; 8][..length]).more_fragments()
                });
            }
        }
        // RFC 3128: TCP at offset 1 is there to overwrite the flags.
        gateway.refuses(&path, Verdict::TinyFragment, |packet| packet.protocol(6, &[0; 24]).fragment_offset(1));
        gateway.carries(&path, |packet| packet.protocol(17, &[0; 24]).fragment_offset(1));
    }
}

#[test]
fn a_whole_packet_without_its_transport_header_is_dropped() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for (protocol, needed) in [(6, 20), (17, 8), (33, 8), (136, 8), (1, 8)] {
            for length in 0..needed {
                gateway.refuses(&path, Verdict::TruncatedTransport, |packet| {
                    packet.protocol(protocol, &[8; 20][..length])
                });
            }
        }
    }
}

/// RFC 6864: one-to-one translation has no reason to touch the IP ID.
#[test]
fn t38_ip_id_and_fragment_flags_never_change() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for id in [0, 1, 0x8000, 0xffff] {
            gateway.carries(&path, |packet| packet.id(id).udp(1, 2, b"data"));
            gateway.carries(&path, |packet| packet.id(id).dont_fragment().udp(1, 2, b"data"));
            gateway.carries(&path, |packet| packet.id(id).dont_fragment().more_fragments().udp(1, 2, b"data"));
        }
        // The reserved bit is nobody's to change either.
        let mut bytes = path.arriving().udp(1, 2, b"data").build();
        bytes[6] |= 0x80;
        lab::frames::seal_header(&mut bytes);
        let frame = path.envelope().carry(0x0800, &bytes).build();
        let left = gateway.run(path.ingress.ifindex, &frame).frame;
        let (_, start) = lab::frames::payload(&left).unwrap();
        assert_eq!(Ip::parse(&left[start..]).unwrap().header()[6], 0x80);
    }
}
