//! Tests of the reference itself.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::*;
use crate::frames::{
    self, Frame, IPV4, Mac, Packet, Where, address, checksum_offset, explain, fold, ipv4_addresses, sum,
    verify_checksums, word,
};
use crate::generate::Generator;
use crate::standard::standard_world;

const REMOTE: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 15);
const HOST: Mac = [2, 0xaa, 0, 0, 0, 1];

fn from(world: &World, link: usize, packet: &Packet) -> (u32, Vec<u8>) {
    let link = &world.links[link];
    (link.ifindex, Frame::new(HOST, link.mac).tags(&link.tags).ip(packet).trailer(b"trail").build())
}

/// The standard world, one of its pairs whose ways in and out are plain, and the indexes of its links.
fn setting() -> (World, Pair, usize, usize) {
    let world = standard_world();
    let plain = |address: Ipv4Addr| address.octets()[3] % 16 == 15;
    let pair = *world.pairs.iter().find(|pair| pair.vpc == 1 && plain(pair.private)).expect("one is plain");
    let place = |side| world.links.iter().position(|link| link.side == side).expect("there is such a link");
    let (uplink, downlink) = (place(Side::Uplink), place(Side::Downlink { vpc: 1 }));
    (world, pair, uplink, downlink)
}

fn swap_addresses(packet: &mut [u8]) {
    let (source, destination) = packet[12..20].split_at_mut(4);
    source.swap_with_slice(destination);
}

#[test]
fn out_and_back_restores_every_protocol() {
    let (world, pair, uplink, downlink) = setting();
    let quoted = Packet::new(REMOTE, pair.private).udp(53, 5000, b"answer").build();
    let packet = || Packet::new(pair.private, REMOTE).ttl(9).dont_fragment();
    let all = [
        packet().tcp(1, 2, b"odd"),
        packet().tcp(1, 2, b"odd").wrong_checksum(77),
        packet().udp(1, 2, b"data"),
        packet().udp(1, 2, b"data").wrong_checksum(0x8000),
        packet().udp_without_checksum(1, 2, b"data"),
        packet().udp_lite(1, 2, 8, b"data"),
        packet().udp_lite(1, 2, 5, b"illegal coverage").transport_checksum(0x1234),
        packet().dccp(1, 2, b"data"),
        packet().sctp(1, 2, b"data"),
        packet().gre(0x0800, &quoted),
        packet().ipip(&quoted),
        packet().esp(1, 2, b"data"),
        packet().echo(1, 2, b"data").options(&[7, 7, 4, 0, 0, 0, 0]),
        packet().timestamp(3, 4),
        packet().tcp(1, 2, b"first").more_fragments(),
        packet().udp(1, 2, b"later").fragment_offset(100),
    ];
    for original in all {
        let (ingress, frame) = from(&world, downlink, &original);
        let out = judge(&world, ingress, &frame);
        assert_eq!((out.verdict, out.action, out.egress), ("outbound", Action::Redirect, Some(2)));
        let mut back = out.frame.unwrap();
        assert_eq!(address(&back, 26), pair.public);
        assert_eq!(verify_checksums(&frame).is_ok(), verify_checksums(&back).is_ok(), "{}", explain(&back));
        swap_addresses(&mut back[14..]);
        back[..6].copy_from_slice(&world.links[uplink].mac);
        let back = judge(&world, world.links[uplink].ifindex, &back);
        assert_eq!((back.verdict, back.action), ("inbound", Action::Redirect));
        let mut restored = back.frame.unwrap();
        swap_addresses(&mut restored[14..]);
        restored[14 + 8] += 2;
        frames::seal_header(&mut restored[14..]);
        restored[..12].copy_from_slice(&frame[..12]);
        frames_equal(&frame, &restored).unwrap();
    }
}

#[test]
fn errors_show_each_side_its_own_addresses() {
    let (world, pair, uplink, downlink) = setting();
    let router = Ipv4Addr::new(9, 9, 9, 31);
    // At 37 bytes the quotation ends inside the TCP checksum, which nobody can correct then.
    for keep in (20..60).filter(|keep| *keep != 37) {
        let lost = Packet::new(pair.public, REMOTE).tcp(1, 2, b"lost on its way").build();
        let (ingress, frame) = from(&world, uplink, &Packet::new(router, pair.public).too_big(1400, &lost, keep));
        let inside = judge(&world, ingress, &frame);
        assert_eq!(inside.verdict, "inbound");
        let inside = inside.frame.unwrap();
        let wanted = Packet::new(router, pair.private).ttl(63).too_big(
            1400,
            &Packet::new(pair.private, REMOTE).tcp(1, 2, b"lost on its way").build(),
            keep,
        );
        let macs = [&inside[6..12], &inside[..6]].map(|mac| mac.try_into().unwrap());
        let wanted = Frame::new(macs[0], macs[1]).ip(&wanted).trailer(b"trail").build();
        frames_equal(&wanted, &inside).unwrap();
        verify_checksums(&inside).unwrap();

        let lost = Packet::new(REMOTE, pair.private).udp(53, 5000, b"query").build();
        // From the instance itself, and from a router of the VPC that has no public address (RFC 5508 REQ-5c).
        for source in [pair.private, Ipv4Addr::new(10, 77, 0, 1)] {
            let packet = Packet::new(source, REMOTE).icmp_error(3, 3, [0; 4], &lost, keep);
            let (ingress, frame) = from(&world, downlink, &packet);
            let outside = judge(&world, ingress, &frame);
            assert_eq!(outside.verdict, "outbound", "{}", explain(&frame));
            let outside = outside.frame.unwrap();
            verify_checksums(&outside).unwrap();
            let shown = [
                (Where::OuterSource, pair.public),
                (Where::OuterDestination, REMOTE),
                (Where::QuotedSource, REMOTE),
                (Where::QuotedDestination, pair.public),
            ];
            assert_eq!(ipv4_addresses(&outside), shown);
        }
    }
}

#[test]
fn hairpin_translates_both_ends_and_the_quotation() {
    let (world, pair, _, downlink) = setting();
    let plain = |other: &&Pair| other.private.octets()[3] % 16 == 15 && other.public != pair.public;
    let other = *world.pairs.iter().find(plain).unwrap();
    // What `pair` got from `other`: other's public address to pair's private one.
    let got = Packet::new(other.public, pair.private).udp(7, 8, b"hello").build();
    let error = Packet::new(pair.private, other.public).icmp_error(3, 3, [0; 4], &got, 28);
    let (ingress, frame) = from(&world, downlink, &error);
    let judged = judge(&world, ingress, &frame);
    assert_eq!(judged.verdict, "hairpin", "{}", explain(&frame));
    let leaving = judged.frame.unwrap();
    verify_checksums(&leaving).unwrap();
    let shown: Vec<_> = ipv4_addresses(&leaving).into_iter().map(|(_, address)| address).collect();
    assert_eq!(shown, [pair.public, other.private, other.private, pair.public]);
}

#[test]
fn zero_checksums_keep_their_meaning() {
    let (world, pair, uplink, _) = setting();
    for (packet, meant) in [
        (Packet::new(REMOTE, pair.public).udp(1, 2, b"data"), 0xffff),
        (Packet::new(REMOTE, pair.public).udp_lite(1, 2, 0, b"data"), 0xffff),
        (Packet::new(REMOTE, pair.public).tcp(1, 2, b"data"), 0),
    ] {
        // A source port under which the translated packet's checksum is zero.
        let mut bytes = packet.build();
        let at = 20 + checksum_offset(bytes[9]).unwrap();
        let wanted = fold(u64::from(sum(&pair.private.octets())) + u64::from(!sum(&pair.public.octets())));
        let port = fold(u64::from(word(&bytes, 20)) + u64::from(word(&bytes, at)) + u64::from(!wanted));
        bytes[20..22].copy_from_slice(&port.to_be_bytes());
        frames::seal_transport(&mut bytes);
        assert_eq!(word(&bytes, at), wanted);
        let link = &world.links[uplink];
        let frame = Frame::new(HOST, link.mac).tags(&link.tags).carry(IPV4, &bytes).build();
        let leaving = judge(&world, link.ifindex, &frame).frame.unwrap();
        let start = frames::payload(&leaving).unwrap().1;
        assert_eq!(word(&leaving[start..], at), meant);
        verify_checksums(&leaving).unwrap();
    }
}

#[test]
fn equality_forgives_only_zero_and_ffff_of_plain_checksums() {
    let (_, pair, ..) = setting();
    let frame = |packet: &Packet| Frame::new(HOST, HOST).ip(packet).build();
    let tcp = Packet::new(REMOTE, pair.public).tcp(1, 2, b"");
    let (zero, ones, other) = (tcp.clone().transport_checksum(0), tcp.clone().transport_checksum(0xffff), tcp);
    assert_eq!(frames_equal(&frame(&zero), &frame(&ones)), Ok(()));
    assert!(frames_equal(&frame(&zero), &frame(&other)).is_err());
    let udp = Packet::new(REMOTE, pair.public).udp(1, 2, b"");
    assert!(frames_equal(&frame(&udp.clone().transport_checksum(0)), &frame(&udp.transport_checksum(0xffff))).is_err());
}

#[test]
fn replies_quote_the_packet_as_its_sender_knows_it() {
    let (world, pair, uplink, downlink) = setting();
    let long = Packet::new(REMOTE, pair.public).ttl(1).udp(1, 2, &[9; 900]);
    let (ingress, frame) = from(&world, uplink, &long);
    let judged = judge(&world, ingress, &frame);
    assert_eq!((judged.verdict, judged.egress), ("ttl-exceeded-reply", Some(ingress)));
    let reply = judged.frame.unwrap();
    assert_eq!((reply.len(), &reply[..6], &reply[6..12]), (14 + 576, &frame[6..12], &frame[..6]));
    assert_eq!(reply[14 + 28..], frame[14..14 + 548]);
    verify_checksums(&reply).unwrap();

    let big = Packet::new(pair.private, Ipv4Addr::new(9, 9, 9, 7)).dont_fragment().udp(1, 2, &[9; 1450]);
    let (ingress, frame) = from(&world, downlink, &big);
    let judged = judge(&world, ingress, &frame);
    assert_eq!(judged.verdict, "too-big-reply");
    let reply = judged.frame.unwrap();
    assert_eq!((reply[14 + 20], reply[14 + 21], word(&reply, 14 + 26)), (3, 4, 1400));
    let error = Packet::new(REMOTE, pair.public).ttl(1).icmp_error(3, 3, [0; 4], &reply[14..], 48);
    let (ingress, frame) = from(&world, uplink, &error);
    assert_eq!(judge(&world, ingress, &frame).action, Action::Drop);
}

/// Properties no reading of the contract can be without, over a great many frames.
#[test]
fn nothing_private_leaves_and_right_stays_right() {
    let world = standard_world();
    let mut generator = Generator::new(0xe19);
    let known: HashSet<_> = VERDICTS.into_iter().collect();
    for _ in 0..200_000 {
        let (ingress, frame) = generator.next(&world);
        let judged = judge(&world, ingress, &frame);
        assert!(known.contains(judged.verdict), "{}", judged.verdict);
        let named_pass = judged.verdict.starts_with("pass-") || judged.verdict.starts_with("handed-");
        assert_eq!(judged.action == Action::Pass, named_pass);
        let Some(leaving) = &judged.frame else { continue };
        if verify_checksums(&frame).is_ok() {
            verify_checksums(leaving)
                .unwrap_or_else(|error| panic!("{error}\n{}{}", explain(&frame), explain(leaving)));
        }
        if judged.verdict != "outbound" {
            continue;
        }
        let arrived: Vec<_> = ipv4_addresses(&frame);
        for (place, shown) in ipv4_addresses(leaving) {
            match place {
                Where::OuterSource | Where::QuotedDestination => assert!(world.private(shown).is_some()),
                _ => assert!(arrived.contains(&(place, shown))),
            }
        }
    }
}
