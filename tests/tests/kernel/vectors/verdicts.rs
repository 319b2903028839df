//! What is refused, what is the kernel's, and that every frame has exactly one verdict.

use std::collections::HashSet;

use lab::frames::{ARP, IPV4, IPV6, Where, ipv4_addresses, payload};
use lab::generate::Generator;
use lab::reference::VERDICTS;
use lab::standard::{DOWNLINK, FOREIGN, HIDDEN_UPLINK, METADATA, SECOND_DOWNLINK};
use nat_common::abi;
use nat_common::verdict::Verdict;

use super::*;

/// A packet of these addresses by a link.
fn sent(gateway: &Gateway, ifindex: u32, tags: &[u16], source: [u8; 4], destination: [u8; 4]) -> (u32, Vec<u8>) {
    let link = gateway.link(ifindex, tags);
    let packet = Packet::new(source.into(), destination.into()).udp(1, 2, b"data");
    (ifindex, Frame::new(SENDER, link.mac).tags(tags).ip(&packet).build())
}

/// RFC 2827, RFC 3704: the helper that finds the route judges no source, so the program does.
#[test]
fn t46_only_bound_instances_of_the_links_own_vpc_reach_the_internet() {
    let mut gateway = Gateway::new();
    let (pair, other) = (gateway.plain(1, 0), gateway.plain(2, 0));
    let remote = REMOTE.octets();
    for (source, verdict) in [
        (pair.private.octets(), Verdict::Outbound),
        // Another VPC's instance, an unknown host, the gateway itself, an Internet host.
        (other.private.octets(), Verdict::UnknownSource),
        ([10, 1, 0, 254], Verdict::UnknownSource),
        ([10, 1, 0, 1], Verdict::UnknownSource),
        ([8, 8, 8, 8], Verdict::UnknownSource),
        ([0, 0, 0, 0], Verdict::UnknownSource),
        ([127, 0, 0, 1], Verdict::UnknownSource),
        ([255, 255, 255, 255], Verdict::UnknownSource),
        // Public addresses are nobody's inside, one's own neither.
        (pair.public.octets(), Verdict::UnknownSource),
        // An instance that has no public address.
        ([10, 1, 0, 200], Verdict::NoPublicAddress),
    ] {
        let (ingress, frame) = sent(&gateway, DOWNLINK, &[], source, remote);
        assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "{source:?}");
    }
}

#[test]
fn t46_martian_sources_do_not_enter_by_an_uplink() {
    let mut gateway = Gateway::new();
    let public = gateway.plain(1, 0).public.octets();
    for source in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [10, 0, 0, 1],
        [100, 64, 0, 1],
        [100, 127, 255, 255],
        [127, 0, 0, 1],
        [169, 254, 1, 1],
        [172, 16, 0, 1],
        [172, 31, 255, 255],
        [192, 168, 1, 1],
        [224, 0, 0, 1],
        [239, 255, 255, 255],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ] {
        let (ingress, frame) = sent(&gateway, UPLINK, &[], source, public);
        gateway.drops(ingress, &frame, Verdict::MartianSource);
    }
    // Their neighbours are ordinary addresses; documentation and benchmark ranges are too.
    for source in [
        [1, 0, 0, 1],
        [9, 255, 255, 255],
        [11, 0, 0, 1],
        [100, 63, 255, 255],
        [100, 128, 0, 1],
        [126, 255, 255, 255],
        [128, 0, 0, 1],
        [169, 253, 1, 1],
        [172, 15, 0, 1],
        [172, 32, 0, 1],
        [192, 167, 1, 1],
        [192, 169, 1, 1],
        [198, 18, 0, 1],
        [203, 0, 113, 77],
        [223, 255, 255, 255],
        // Routers numbered in RFC 1918 that martian_exceptions names.
        [10, 255, 7, 7],
    ] {
        let (ingress, frame) = sent(&gateway, UPLINK, &[], source, public);
        assert_eq!(gateway.run(ingress, &frame).verdict, Verdict::Inbound, "{source:?}");
    }
}

#[test]
fn t53_frames_for_another_mac_are_not_forwarded() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let packet = path.arriving().udp(1, 2, b"data");
        let mut near = path.ingress.mac;
        near[5] ^= 0x40;
        for other in [near, [2, 0, 0, 0, 0, 9], [0; 6]] {
            let frame = Frame::new(SENDER, other).tags(&path.ingress.tags).ip(&packet).build();
            gateway.passes(path.ingress.ifindex, &frame, Verdict::PassOtherMac);
        }
        // RFC 1812 5.3.4
        for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]] {
            let frame = Frame::new(SENDER, group).tags(&path.ingress.tags).ip(&packet).build();
            gateway.drops(path.ingress.ifindex, &frame, Verdict::GroupMacUnicast);
        }
    }
}

/// RFC 2827: land attacks and spoofed insiders.
#[test]
fn t55_our_own_addresses_do_not_arrive_from_outside() {
    let mut gateway = Gateway::new();
    let (pair, other) = (gateway.plain(1, 0), gateway.plain(2, 0));
    let public = pair.public.octets();
    let own = [198, 51, 100, 2];
    for source in [public, other.public.octets(), [198, 51, 100, 253], own, [203, 0, 113, 2], [11, 1, 1, 1]] {
        for destination in [public, own] {
            let (ingress, frame) = sent(&gateway, UPLINK, &[], source, destination);
            gateway.drops(ingress, &frame, Verdict::SpoofedSource);
        }
    }
    let (ingress, frame) = sent(&gateway, UPLINK, &[], pair.private.octets(), public);
    gateway.drops(ingress, &frame, Verdict::MartianSource);
}

/// Whoever else is in a downlink's network reaches the gateway, but cannot ask who somebody is.
#[test]
fn only_instances_reach_the_metadata_address_and_never_from_an_uplink() {
    let mut gateway = Gateway::new();
    let (pair, other) = (gateway.plain(1, 0), gateway.plain(2, 0));
    let (metadata, inside) = (METADATA.octets(), [10, 1, 0, 1]);
    for (source, destination, verdict) in [
        (pair.private.octets(), metadata, Verdict::PassOwnAddress),
        // Without a public address.
        ([10, 1, 0, 200], metadata, Verdict::PassOwnAddress),
        // In the downlink's network and nobody's, where the gateway's other addresses are reached from.
        ([10, 1, 0, 254], metadata, Verdict::UnknownSource),
        ([10, 1, 0, 254], inside, Verdict::PassOwnAddress),
        (inside, metadata, Verdict::UnknownSource),
        (metadata, metadata, Verdict::UnknownSource),
        (other.private.octets(), metadata, Verdict::UnknownSource),
        ([8, 8, 8, 8], metadata, Verdict::UnknownSource),
        (pair.private.octets(), [169, 254, 0, 24], Verdict::PrivateDestination),
    ] {
        let (ingress, frame) = sent(&gateway, DOWNLINK, &[], source, destination);
        assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "{source:?} to {destination:?}");
    }
    // A VPC that it does not serve.
    let (ingress, frame) = sent(&gateway, DOWNLINK, &[100], other.private.octets(), metadata);
    gateway.drops(ingress, &frame, Verdict::PrivateDestination);
    let remote = REMOTE.octets();
    for (source, destination, verdict) in [
        (remote, metadata, Verdict::NotOurs),
        (pair.private.octets(), metadata, Verdict::MartianSource),
        (metadata, pair.public.octets(), Verdict::SpoofedSource),
    ] {
        let (ingress, frame) = sent(&gateway, UPLINK, &[], source, destination);
        gateway.drops(ingress, &frame, verdict);
    }
}

#[test]
fn an_uplink_accepts_only_pool_addresses_and_the_gateways_own() {
    let mut gateway = Gateway::new();
    let remote = REMOTE.octets();
    for (destination, verdict) in [
        ([198, 51, 100, 253], Verdict::UnboundAddress),
        ([192, 0, 2, 255], Verdict::UnboundAddress),
        ([198, 51, 100, 77], Verdict::NotOurs),
        ([8, 8, 8, 8], Verdict::NotOurs),
        ([10, 1, 0, 31], Verdict::NotOurs),
        // Own addresses of a VPC's side are none outside.
        ([10, 1, 0, 1], Verdict::NotOurs),
        ([11, 1, 1, 1], Verdict::NotOurs),
        ([198, 51, 100, 2], Verdict::PassOwnAddress),
        ([198, 51, 100, 129], Verdict::PassOwnAddress),
        ([203, 0, 113, 2], Verdict::PassOwnAddress),
    ] {
        let (ingress, frame) = sent(&gateway, UPLINK, &[], remote, destination);
        assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "{destination:?}");
    }
}

#[test]
fn a_downlink_reaches_the_internet_the_pools_and_the_gateway_only() {
    let mut gateway = Gateway::new();
    let source = gateway.plain(1, 0).private.octets();
    for (destination, verdict) in [
        // The gateway is not the VPC's router.
        ([10, 1, 0, 30], Verdict::PrivateDestination),
        ([10, 1, 1, 47], Verdict::PrivateDestination),
        ([172, 16, 0, 1], Verdict::PrivateDestination),
        ([192, 168, 3, 31], Verdict::PrivateDestination),
        ([100, 64, 0, 1], Verdict::PrivateDestination),
        ([169, 254, 169, 254], Verdict::PrivateDestination),
        // Another VPC's gateway address is a private address like any other.
        ([192, 168, 3, 1], Verdict::PrivateDestination),
        ([198, 51, 100, 253], Verdict::UnboundAddress),
        ([100, 64, 8, 30], Verdict::UnboundAddress),
        ([10, 1, 0, 1], Verdict::PassOwnAddress),
        ([198, 51, 100, 2], Verdict::PassOwnAddress),
    ] {
        let (ingress, frame) = sent(&gateway, DOWNLINK, &[], source, destination);
        assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "{destination:?}");
    }
}

#[test]
fn only_known_sources_reach_the_gateway_itself_from_a_downlink() {
    let mut gateway = Gateway::new();
    let own = [10, 1, 0, 1];
    for (source, verdict) in [
        (gateway.plain(1, 0).private.octets(), Verdict::PassOwnAddress),
        // An instance without a public address, a host of the connected prefix, and one of the VPC's other downlink.
        ([10, 1, 0, 200], Verdict::PassOwnAddress),
        ([10, 1, 0, 254], Verdict::PassOwnAddress),
        ([10, 1, 1, 254], Verdict::PassOwnAddress),
        ([10, 2, 0, 31], Verdict::UnknownSource),
        ([8, 8, 8, 8], Verdict::UnknownSource),
        (gateway.plain(1, 0).public.octets(), Verdict::UnknownSource),
    ] {
        let (ingress, frame) = sent(&gateway, DOWNLINK, &[], source, own);
        assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "{source:?}");
    }
}

/// The control plane's own traffic is the kernel's; the tenants' is not.
#[test]
fn t60_what_is_not_ipv4_passes_untouched() {
    let mut gateway = Gateway::new();
    for (ifindex, tags) in [(UPLINK, &[][..]), (TAGGED_UPLINK, &[300]), (DOWNLINK, &[200, 300]), (DOWNLINK, &[9])] {
        // 802.3 lengths (spanning tree), LLDP, EAPOL, an unknown type.
        for ethertype in [0, 38, 0x05dc, 0x05ff, 0x0600, 0x88cc, 0x888e, 0x9100, 0xffff] {
            let frame = Frame::new(SENDER, [1, 0x80, 0xc2, 0, 0, 0]).tags(tags).carry(ethertype, &[7; 46]).build();
            gateway.passes(ifindex, &frame, Verdict::PassNotIp);
        }
        // Neighbour discovery and router advertisements.
        let frame = Frame::new(SENDER, [0x33, 0x33, 0, 0, 0, 1]).tags(tags).carry(IPV6, &[0x60; 60]).build();
        gateway.passes(ifindex, &frame, Verdict::PassIpv6);
    }
}

#[test]
fn t60_the_gateways_own_routing_protocols_reach_it() {
    let mut gateway = Gateway::new();
    let link = gateway.link(UPLINK, &[]);
    let (router, own) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2));
    let unicast = Frame::new(SENDER, link.mac);
    // BGP, BFD, and a ping; options, fragments and a TTL of 1 (RFC 5082's opposite) are the kernel's to judge.
    for packet in [
        Packet::new(router, own).ttl(1).tcp(40000, 179, b""),
        Packet::new(router, own).ttl(255).udp(49152, 3784, &[0x20; 24]),
        Packet::new(router, own).echo(1, 2, b"data"),
        Packet::new(router, own).options(&[148, 4, 0, 0]).fragment_offset(3).protocol(17, b"data"),
        // An uplink numbered in RFC 1918.
        Packet::new(Ipv4Addr::new(10, 9, 9, 9), own).tcp(40000, 179, b""),
    ] {
        gateway.passes(UPLINK, &unicast.clone().ip(&packet).build(), Verdict::PassOwnAddress);
    }
    // OSPF, VRRP and IGMP by multicast, DHCP by broadcast.
    for last in [1, 5, 18, 22, 255] {
        let packet = Packet::new(router, Ipv4Addr::new(224, 0, 0, last)).ttl(1).protocol(89, &[2; 44]);
        let frame = Frame::new(SENDER, [1, 0, 0x5e, 0, 0, last & 0x7f]).ip(&packet).build();
        gateway.passes(UPLINK, &frame, Verdict::PassLinkMulticast);
    }
    let packet = Packet::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).udp(68, 67, &[0; 240]);
    let frame = Frame::new(SENDER, [0xff; 6]).ip(&packet).build();
    gateway.passes(DOWNLINK, &frame, Verdict::PassBroadcast);
}

#[test]
fn groups_beyond_the_link_and_martian_destinations_are_dropped() {
    let mut gateway = Gateway::new();
    for destination in [[224, 0, 1, 1], [232, 1, 1, 1], [239, 255, 255, 250]] {
        let (ingress, frame) = sent(&gateway, UPLINK, &[], REMOTE.octets(), destination);
        gateway.drops(ingress, &frame, Verdict::MulticastDestination);
    }
    for destination in [[0, 0, 0, 0], [0, 1, 2, 3], [127, 0, 0, 1], [240, 0, 0, 1], [255, 255, 255, 254]] {
        let (ingress, frame) = sent(&gateway, DOWNLINK, &[], gateway.plain(1, 0).private.octets(), destination);
        gateway.drops(ingress, &frame, Verdict::MartianDestination);
    }
}

/// Every frame, sound or not, has a verdict whose action is `XDP_DROP`, `XDP_PASS` or `XDP_REDIRECT`; `XDP_ABORTED`
/// would fire a tracepoint for each, and `XDP_TX` does not reach a veth's peer.
#[test]
fn t74_no_verdict_is_aborted() {
    let mut gateway = Gateway::new();
    assert!(Verdict::ALL.iter().all(|verdict| [XDP_DROP, XDP_PASS, XDP_REDIRECT].contains(&action(*verdict))));
    let mut generator = Generator::new(74);
    for _ in 0..20_000 {
        let (ingress, frame) = generator.next(&gateway.world);
        // It compares the action with the verdict's.
        gateway.run(ingress, &frame);
    }
}

#[test]
fn invariant_4_every_packet_has_exactly_one_counted_verdict() {
    let mut gateway = Gateway::new();
    let mut seen = HashSet::new();
    let mut generator = Generator::new(4);
    let (mut frames, mut bytes) = (0, 0);
    // `run` refuses any other number of counted verdicts than one.
    while seen.len() < VERDICTS.len() && frames < 100_000 {
        let (ingress, frame) = generator.next(&gateway.world);
        seen.insert(gateway.run(ingress, &frame).verdict.name());
        frames += 1;
        bytes += frame.len() as u64;
    }
    let missing: Vec<_> = VERDICTS.iter().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let counted = gateway.program.verdicts();
    assert_eq!(counted.iter().map(|counter| counter.packets).sum::<u64>(), frames);
    assert_eq!(counted.iter().map(|counter| counter.bytes).sum::<u64>(), bytes);
}

/// Judged by nothing but the addresses and MACs of what comes out: no rule of the reference's is used.
#[test]
fn invariant_11_no_private_address_leaves_by_an_uplink() {
    let mut gateway = Gateway::new();
    let mut generator = Generator::new(11);
    let uplinks = [UPLINK, TAGGED_UPLINK, HIDDEN_UPLINK];
    let uplink_macs: Vec<_> = uplinks.iter().map(|index| gateway.world.device(*index).mac).collect();
    let mut left = 0;
    for _ in 0..300_000 {
        let (ingress, frame) = generator.next(&gateway.world);
        let (action, bytes) = gateway.program.execute(ingress, &frame).unwrap();
        let handed = action == XDP_PASS && bytes != frame;
        let outside = uplink_macs.iter().any(|mac| bytes[6..12] == *mac);
        let Some((ethertype, _)) = payload(bytes) else { continue };
        match ethertype {
            // A reply to who sent it, or translated; either way only what may be known outside.
            IPV4 if action == XDP_REDIRECT && outside => {
                left += 1;
                let reply = uplinks.contains(&ingress);
                for (place, shown) in ipv4_addresses(bytes) {
                    match place {
                        Where::OuterSource if reply => assert!(gateway.world.is_own(shown), "{}", explain(bytes)),
                        Where::OuterSource => assert!(gateway.world.private(shown).is_some(), "{}", explain(bytes)),
                        // In a reply, its receiver's own words.
                        Where::QuotedDestination if !reply => {
                            assert!(gateway.world.private(shown).is_some(), "{}", explain(bytes));
                        }
                        _ => {}
                    }
                }
            }
            // The kernel decides where it goes, so the source must be public already.
            IPV4 if handed && !uplinks.contains(&ingress) => {
                let (_, source) = ipv4_addresses(bytes)[0];
                assert!(gateway.world.private(source).is_some(), "{}", explain(bytes));
            }
            ARP if action == XDP_REDIRECT => {
                let (_, told) = ipv4_addresses(bytes)[0];
                assert!(gateway.world.private(told).is_some(), "{}", explain(bytes));
            }
            _ => {}
        }
    }
    assert!(left > 50_000, "{left}");
}

/// Whatever arrives by a downlink for an address that is not the gateway's own is translated or stays: to hand the
/// kernel an untranslated packet of an instance's would have it routed outside as it is.
#[test]
fn t40_no_instances_packet_reaches_the_kernel_untranslated() {
    let mut gateway = Gateway::new();
    let mut generator = Generator::new(40);
    let downlinks = [DOWNLINK, SECOND_DOWNLINK, FOREIGN];
    for _ in 0..200_000 {
        let (ingress, frame) = generator.next(&gateway.world);
        if !downlinks.contains(&ingress) {
            continue;
        }
        let (action, bytes) = gateway.program.execute(ingress, &frame).unwrap();
        if action != XDP_PASS || bytes != frame {
            continue;
        }
        let Some((IPV4, start)) = payload(&frame) else { continue };
        // The kernel discards these.
        if frame[0] & 1 == 0 && frame[..6] != gateway.world.device(ingress).mac {
            continue;
        }
        let destination = lab::frames::address(&frame[start..], 16);
        let kernels = gateway.world.is_own(destination) || destination.is_broadcast() || destination.is_multicast();
        assert!(kernels, "{}", explain(&frame));
    }
}

/// A key with padding would be compared with whatever bytes the stack had there.
#[test]
fn t75_no_map_key_has_padding() {
    for (name, size, fields) in abi::layout() {
        let mut offsets: Vec<_> = fields.iter().map(|(_, offset)| *offset).collect();
        offsets.push(size);
        assert!(offsets.is_sorted(), "{name}");
    }
    let mut gateway = Gateway::new();
    let mut generator = Generator::new(75);
    let paths = gateway.ways();
    // Whatever the stack holds from the frame before, the same entries are found.
    for index in 0..30_000 {
        let (ingress, frame) = generator.next(&gateway.world);
        gateway.program.execute(ingress, &frame).unwrap();
        let path = &paths[index % paths.len()];
        let (arriving, leaving) = (path.arriving().udp(1, 2, b"data"), path.leaving().udp(1, 2, b"data"));
        let (action, bytes) = gateway.program.execute(path.ingress.ifindex, &path.arrives(&arriving)).unwrap();
        assert_eq!((action, bytes), (XDP_REDIRECT, &path.leaves(&leaving)[..]));
    }
}

/// RFC 4787 REQ-10, RFC 5382: no port, flag, sequence number, ECN bit, ID or option changes, and no payload that looks
/// like an application's is touched.
#[test]
fn t76_only_addresses_ttl_and_checksums_change() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for flags in 0..=255 {
            gateway.carries(&path, |packet| packet.tos(flags).tcp(1, 2, b"data").flags(flags));
        }
        let port = format!("PORT 10,1,0,31,4,1\r\nVia: SIP/2.0/UDP {}\r\n", path.before.0);
        for number in [20, 21, 53, 69, 500, 1723, 4500, 5060, 6667] {
            gateway.carries(&path, |packet| packet.tcp(number, number, port.as_bytes()).sequence(0xffff_fff0));
            gateway.carries(&path, |packet| packet.udp(number, number, port.as_bytes()));
        }
    }
}
