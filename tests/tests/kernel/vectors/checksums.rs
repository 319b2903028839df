//! Transport and header checksums.

use lab::frames::{UDP, UDP_LITE, fold, sum, verify_checksums, word};
use nat_common::verdict::Verdict;

use super::*;

/// Every value a checksum can have is met on the way in, so every carry and both zeros are.
fn sweep(path_of: impl Fn(&Gateway) -> Path, build: impl Fn(Packet, [u8; 2]) -> Packet) {
    let mut gateway = Gateway::new();
    let path = path_of(&gateway);
    for word in 0..=u16::MAX {
        gateway.carries(&path, |packet| build(packet, word.to_be_bytes()));
    }
}

#[test]
fn t06_no_carry_is_lost_at_any_tcp_checksum() {
    sweep(Gateway::way_in, |packet, word| packet.tcp(1, 2, &word));
}

#[test]
fn t06_no_carry_is_lost_at_any_header_checksum() {
    sweep(Gateway::way_out, |packet, word| packet.id(u16::from_be_bytes(word)).udp(1, 2, b"data"));
}

#[test]
fn t06_no_carry_is_lost_at_any_quoted_checksum() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    for word in 0..=u16::MAX {
        gateway.carries_error(
            &path,
            |packet| packet.tcp(1, 2, &word.to_be_bytes()),
            |packet, quoted| packet.icmp_error(3, 3, [0; 4], quoted, 548),
        );
    }
}

/// RFC 1624, equation 3: also where the old and the new address have the same sum, and the change is zero.
#[test]
fn t07_addresses_of_equal_sums_change_no_checksum() {
    let mut world = standard_world();
    let sum_of = |address: Ipv4Addr| sum(&address.octets()) % 0xffff;
    let place = world.pairs.iter().position(|pair| pair.vpc == 1 && pair.private.octets()[3] % 16 == 15).unwrap();
    // The last two bytes of 192.0.x.y make up for the difference between the first two.
    let private = world.pairs[place].private;
    let tail = fold(u64::from(sum_of(private)) + u64::from(!0xc000_u16)).to_be_bytes();
    let public = Ipv4Addr::new(192, 0, tail[0], tail[1]);
    assert_eq!(sum_of(public), sum_of(private));
    world.pools.push((public, 32));
    world.pairs[place].public = public;
    let world = world.index();
    let mut gateway = Gateway { program: Program::load(&world), world };
    for path in gateway.ways() {
        for word in (0..=u16::MAX).step_by(7).chain(0..40).chain(0xffd0..=0xffff) {
            gateway.carries(&path, |packet| packet.id(word).tcp(1, 2, &word.to_be_bytes()));
        }
    }
}

#[test]
fn t08_an_absent_udp_checksum_stays_absent() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.carries(&path, |packet| packet.udp_without_checksum(1, 2, b"data"));
    }
}

/// The frame and the checksum it has to leave with, for a packet whose translated checksum computes to zero.
fn landing_on_zero(path: &Path, protocol: u8, build: impl Fn(Packet, u16) -> Packet) -> u16 {
    let at = 20 + lab::frames::checksum_offset(protocol).unwrap();
    // The checksum with source port 0 is the port with which it becomes zero.
    let port = word(&build(path.leaving(), 0).build(), at);
    assert_eq!(word(&build(path.leaving(), port).build(), at) % 0xffff, 0);
    port
}

#[test]
fn t08_a_udp_checksum_that_comes_out_as_zero_is_sent_as_ffff() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let port = landing_on_zero(&path, UDP, |packet, port| packet.udp(port, 2, b"data"));
        gateway.carries(&path, |packet| packet.udp(port, 2, b"data"));
    }
}

#[test]
fn t09_a_udp_lite_checksum_is_never_zero() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for coverage in [0, 8, 10, 12] {
            gateway.carries(&path, |packet| packet.udp_lite(1, 2, coverage, b"data"));
            let port = landing_on_zero(&path, UDP_LITE, |packet, port| packet.udp_lite(port, 2, coverage, b"data"));
            gateway.carries(&path, |packet| packet.udp_lite(port, 2, coverage, b"data"));
        }
    }
}

/// Zero is a value here and does not mean that there is none: an illegal one is translated, and no longer zero.
#[test]
fn t09_a_udp_lite_checksum_of_zero_is_not_taken_for_an_absent_one() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let frame = path.arrives(&path.arriving().udp_lite(1, 2, 8, b"data").transport_checksum(0));
        let left = gateway.run(path.ingress.ifindex, &frame);
        assert_eq!(left.verdict, path.verdict);
        assert_ne!(word(&left.frame, 14 + 20 + 6), 0);
    }
}

#[test]
fn t10_dccp_follows_the_addresses() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.carries(&path, |packet| packet.dccp(1, 2, b"datagram"));
    }
}

#[test]
fn t10_sctp_gre_esp_ipip_and_unknown_protocols_keep_their_bytes() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        // What travels inside is the sender's own affair, private addresses and all.
        let inner = Packet::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)).udp(1, 2, b"data").build();
        gateway.carries(&path, |packet| packet.sctp(1, 2, &[0, 3, 0, 5, 1, 0, 0, 0]));
        gateway.carries(&path, |packet| packet.gre(0x0800, &inner));
        gateway.carries(&path, |packet| packet.esp(9, 1, b"secret"));
        gateway.carries(&path, |packet| packet.ipip(&inner));
        gateway.carries(&path, |packet| packet.protocol(41, &[0x60; 40]));
        for protocol in [2, 103, 112, 200, 253, 255] {
            gateway.carries(&path, |packet| packet.protocol(protocol, b"whatever"));
        }
        gateway.carries(&path, |packet| packet.protocol(0, b""));
    }
}

#[test]
fn t10_ah_is_refused_because_it_signs_the_addresses() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.refuses(&path, Verdict::AhUntranslatable, |packet| packet.ah(6, 9, b"signed"));
        gateway.refuses(&path, Verdict::AhUntranslatable, |packet| packet.ah(6, 9, b"signed").fragment_offset(9));
    }
}

#[test]
fn t11_a_corrupted_packet_stays_corrupted() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for error in [1, 77, 0x8000, 0xfffe] {
            let cases: [&dyn Fn(Packet) -> Packet; 5] = [
                &|packet| packet.tcp(1, 2, b"data"),
                &|packet| packet.udp(1, 2, b"data"),
                &|packet| packet.udp_lite(1, 2, 8, b"data"),
                &|packet| packet.dccp(1, 2, b"data"),
                &|packet| packet.echo(1, 2, b"data"),
            ];
            for build in cases {
                let frame = path.arrives(&build(path.arriving()).wrong_checksum(error));
                let left = gateway.run(path.ingress.ifindex, &frame);
                assert_eq!(left.verdict, path.verdict);
                assert!(verify_checksums(&frame).is_err() && verify_checksums(&left.frame).is_err());
                gateway.carries(&path, |packet| build(packet).wrong_checksum(error));
            }
        }
    }
}

#[test]
fn t12_udp_without_a_checksum_is_translated_all_the_same() {
    let mut gateway = Gateway::new();
    let path = gateway.way_out();
    let frame = path.arrives(&path.arriving().udp_without_checksum(1, 2, b"data"));
    let left = gateway.run(path.ingress.ifindex, &frame).frame;
    assert_eq!(left[14 + 12..14 + 16], path.after.0.octets());
}

#[test]
fn t13_ethernet_padding_and_trailers_are_no_part_of_the_packet() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for length in [0, 1, 5] {
            let (before, after) = (path.arriving(), path.leaving());
            let build = |packet: Packet| packet.udp(1, 2, &b"short"[..length]);
            let (ingress, verdict) = (path.ingress.ifindex, path.verdict);
            let arriving = path.envelope().ip(&build(before.clone())).padded().build();
            let leaving = path.outgoing().ip(&build(after.clone())).padded().build();
            gateway.expect(ingress, &arriving, verdict, &leaving);
            let arriving = path.envelope().ip(&build(before)).trailer(b"trailing bytes").build();
            let leaving = path.outgoing().ip(&build(after)).trailer(b"trailing bytes").build();
            gateway.expect(ingress, &arriving, verdict, &leaving);
        }
    }
}

#[test]
fn t13_a_total_length_shorter_than_the_header_or_longer_than_the_frame_is_malformed() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    for length in [0, 1, 19, 33, 34, 1500, 0xffff] {
        gateway.refuses(&path, Verdict::MalformedIp, |packet| packet.udp(1, 2, b"data").total_length(length));
    }
}

#[test]
fn t14_options_move_the_transport_header() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for length in (4..=40).step_by(4) {
            let options = vec![1; length];
            gateway.carries(&path, |packet| packet.options(&options).tcp(1, 2, b"data"));
            gateway.carries(&path, |packet| packet.options(&options).udp(1, 2, b"data"));
            gateway.carries(&path, |packet| packet.options(&options).echo(1, 2, b"data"));
        }
    }
}

#[test]
fn a_checksum_left_to_hardware_is_named() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.refuses(&path, Verdict::UnfinishedChecksum, |packet| packet.tcp(1, 2, b"data").unfinished_checksum());
        gateway.refuses(&path, Verdict::UnfinishedChecksum, |packet| packet.udp(1, 2, b"data").unfinished_checksum());
    }
}

/// One right packet in 65,536 has the bare pseudo-header sum for a checksum.
#[test]
fn a_right_checksum_that_looks_unfinished_is_carried() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let bare = word(&path.arriving().tcp(1, 2, b"data").unfinished_checksum().build(), 36);
        let right = word(&path.arriving().tcp(0, 2, b"data").build(), 36);
        let port = fold(u64::from(right) + u64::from(!bare));
        assert_eq!(word(&path.arriving().tcp(port, 2, b"data").build(), 36), bare);
        gateway.carries(&path, |packet| packet.tcp(port, 2, b"data"));
    }
}
