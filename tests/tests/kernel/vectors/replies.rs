//! ICMP errors and ARP answers of the gateway's own.

use lab::frames::{Arp, verify_checksums};
use lab::standard::{DOWNLINK, HIDDEN_UPLINK, SECOND_DOWNLINK};
use nat_common::abi::Settings;
use nat_common::verdict::Verdict;

use super::*;

/// The error about a frame's packet as its sender gets it: quoting what that sender sent, from the address the
/// gateway has on that link.
fn error_about(path: &Path, packet: &Packet, kind: u8, code: u8, mtu: u16) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let own = path.ingress.address.unwrap();
    let error =
        Packet::new(own, path.before.0).tos(0xc0).id(0).icmp_error(kind, code, [0, 0, high, low], &packet.build(), 548);
    Frame::new(path.ingress.mac, SENDER).tags(&path.ingress.tags).ip(&error).build()
}

fn replying_ways(gateway: &Gateway) -> Vec<Path> {
    let uplink = gateway.link(TAGGED_UPLINK, &[300]);
    let mut paths = gateway.ways().to_vec();
    paths.push(gateway.inbound(&uplink, REMOTE, gateway.plain(2, 0)));
    paths.push(gateway.outbound(gateway.plain(3, 0), REMOTE));
    paths.push(gateway.outbound(gateway.plain(4, 1), REMOTE));
    paths
}

/// T30: decided before the rewrite, so the quotation never shows an address its receiver does not know.
#[test]
fn t30_time_exceeded_quotes_the_packet_as_its_sender_sent_it() {
    let mut gateway = Gateway::new();
    for path in replying_ways(&gateway) {
        for length in [0, 8, 100, 519, 520, 521, 1400] {
            for ttl in [0, 1] {
                let packet = path.arriving().ttl(ttl).dont_fragment().tos(0x2e).id(77).udp(1, 2, &vec![7; length]);
                let reply = error_about(&path, &packet, 11, 0, 0);
                gateway.expect(path.ingress.ifindex, &path.arrives(&packet), Verdict::TtlExceededReply, &reply);
                assert!(reply.len() <= 14 + 8 + 576);
                verify_checksums(&reply).unwrap();
            }
        }
    }
}

#[test]
fn t32_fragmentation_needed_tells_the_routes_mtu_and_is_no_fragment_itself() {
    let mut gateway = Gateway::new();
    for (last, mtu) in [(15, 1500), (7, 1400), (9, 576), (12, 68), (14, 576)] {
        let path = gateway.outbound(gateway.plain(1, 0), REMOTE);
        let path = Path { before: (path.before.0, Ipv4Addr::new(9, 9, 9, last)), ..path };
        let packet = path.arriving().dont_fragment().tcp(1, 2, &vec![7; usize::from(mtu)]);
        let reply = error_about(&path, &packet, 3, 4, mtu);
        gateway.expect(path.ingress.ifindex, &path.arrives(&packet), Verdict::TooBigReply, &reply);
        assert_eq!(reply[14 + 6..14 + 8], [0, 0]);
    }
    // Inbound: an instance behind a link of a smaller MTU.
    let uplink = gateway.link(UPLINK, &[]);
    let path = gateway.inbound(&uplink, REMOTE, gateway.plain(1, 1));
    let packet = path.arriving().dont_fragment().tcp(1, 2, &[7; 1400]);
    let reply = error_about(&path, &packet, 3, 4, 1400);
    gateway.expect(path.ingress.ifindex, &path.arrives(&packet), Verdict::TooBigReply, &reply);
}

#[test]
fn unreachable_quotes_the_packet_as_its_sender_sent_it() {
    let mut gateway = Gateway::new();
    for (last, verdict, code) in [
        (0, Verdict::NetUnreachableReply, 0),
        (1, Verdict::HostUnreachableReply, 1),
        (13, Verdict::HostUnreachableReply, 1),
    ] {
        let path = gateway.outbound(gateway.plain(1, 0), REMOTE);
        let path = Path { before: (path.before.0, Ipv4Addr::new(9, 9, 9, last)), ..path };
        let packet = path.arriving().udp(1, 2, b"data");
        let reply = error_about(&path, &packet, 3, code, 0);
        gateway.expect(path.ingress.ifindex, &path.arrives(&packet), verdict, &reply);
        // From outside, about an instance that does not answer ARP.
        let pairs = gateway.world.pairs_of(1);
        let pair = *pairs.iter().find(|pair| pair.private.octets()[3] % 16 == last).unwrap();
        let uplink = gateway.link(UPLINK, &[]);
        let packet = Packet::new(REMOTE, pair.public).udp(1, 2, b"data");
        let inbound = Path { ingress: uplink, before: (REMOTE, pair.public), ..path };
        let reply = error_about(&inbound, &packet, 3, code, 0);
        gateway.expect(UPLINK, &inbound.arrives(&packet), verdict, &reply);
    }
}

/// A hairpin that fails is told to the instance, with the addresses the instance used.
#[test]
fn a_failed_hairpin_is_told_in_the_senders_words() {
    let mut gateway = Gateway::new();
    let path = gateway.hairpin(gateway.plain(1, 0), gateway.plain(1, 1));
    let packet = path.arriving().dont_fragment().udp(1, 2, &[7; 1400]);
    let reply = error_about(&path, &packet, 3, 4, 1400);
    gateway.expect(path.ingress.ifindex, &path.arrives(&packet), Verdict::TooBigReply, &reply);
}

/// RFC 1812 4.3.2.7: not about ICMP errors, not about later fragments; and not where there is no address to show.
#[test]
fn t32_what_must_not_be_answered_is_dropped_in_silence() {
    let mut gateway = Gateway::new();
    for path in replying_ways(&gateway) {
        let quoted = Packet::new(path.before.1, path.before.0).udp(1, 2, b"data").build();
        gateway
            .refuses(&path, Verdict::TtlExceededSilent, |packet| packet.ttl(1).icmp_error(3, 3, [0; 4], &quoted, 28));
        gateway.refuses(&path, Verdict::TtlExceededSilent, |packet| {
            packet.ttl(1).fragment_offset(9).protocol(17, &[7; 20])
        });
        // The first fragment is answered, and so is a question.
        for packet in [path.arriving().more_fragments().udp(1, 2, b"data"), path.arriving().echo(1, 2, b"data")] {
            let packet = packet.ttl(1);
            let reply = error_about(&path, &packet, 11, 0, 0);
            gateway.expect(path.ingress.ifindex, &path.arrives(&packet), Verdict::TtlExceededReply, &reply);
        }
    }
    let quoted = |path: &Path| Packet::new(path.before.1, path.before.0).udp(1, 2, &[7; 1500]).build();
    for (last, length, verdict) in [
        (0, 100, Verdict::UnreachableSilent),
        (1, 100, Verdict::UnreachableSilent),
        (13, 100, Verdict::UnreachableSilent),
        (7, 1400, Verdict::TooBigSilent),
    ] {
        let path = gateway.outbound(gateway.plain(1, 0), REMOTE);
        let path = Path { before: (path.before.0, Ipv4Addr::new(9, 9, 9, last)), ..path };
        let quoted = quoted(&path);
        gateway.refuses(&path, verdict, |packet| packet.dont_fragment().icmp_error(3, 3, [0; 4], &quoted, length));
    }
    let nameless = [
        gateway.outbound(gateway.plain(2, 0), REMOTE),
        gateway.inbound(&gateway.link(HIDDEN_UPLINK, &[500]), REMOTE, gateway.plain(1, 0)),
    ];
    for path in nameless {
        assert_eq!(path.ingress.address, None);
        gateway.refuses(&path, Verdict::TtlExceededSilent, |packet| packet.ttl(1).udp(1, 2, b"data"));
    }
}

/// RFC 1812 4.3.2.8. One sender's flood is its own: another's errors still go out.
#[test]
fn t32_errors_of_the_gateways_own_are_rationed_by_sender() {
    let mut gateway = Gateway::new();
    gateway.program.set(Settings {
        check_handover: 1,
        icmp_errors_per_second: 1,
        icmp_error_burst: 3,
        ..Settings::default()
    });
    let (path, other) = (gateway.way_out(), gateway.outbound(gateway.plain(1, 1), REMOTE));
    let frame = |path: &Path| path.arrives(&path.arriving().ttl(1).udp(1, 2, b"data"));
    let mut run = |path: &Path| gateway.program.run(path.ingress.ifindex, &frame(path)).verdict;
    for _ in 0..3 {
        assert_eq!(run(&path), Verdict::TtlExceededReply);
    }
    // A machine that stops for a second in here earns one more.
    let told = (0..20).filter(|_| run(&path) == Verdict::TtlExceededReply).count();
    assert!(told < 20, "{told} of 20");
    assert_eq!(run(&other), Verdict::TtlExceededReply);
    assert_eq!(gateway.program.refused_errors(), 20 - told as u64);
    // What is translated is not rationed.
    gateway.carries(&path, |packet| packet.udp(1, 2, b"data"));
}

#[test]
fn without_settings_no_error_is_sent() {
    let mut gateway = Gateway::new();
    gateway.program.set(Settings::default());
    let path = gateway.way_out();
    let frame = path.arrives(&path.arriving().ttl(1).udp(1, 2, b"data"));
    assert_eq!(gateway.program.run(path.ingress.ifindex, &frame).verdict, Verdict::IcmpRateLimited);
}

#[test]
fn t59_arp_is_answered_for_bound_addresses_on_every_uplink() {
    let mut gateway = Gateway::new();
    let target = gateway.plain(1, 0).public;
    let asker = Ipv4Addr::new(198, 51, 100, 1);
    for (ifindex, tags) in [(UPLINK, &[][..]), (TAGGED_UPLINK, &[300]), (HIDDEN_UPLINK, &[500])] {
        let link = gateway.link(ifindex, tags);
        let reply = Arp::reply((link.mac, target), (SENDER, asker));
        let reply = Frame::new(link.mac, SENDER).tags(tags).arp(&reply).padded().build();
        for destination in [[0xff; 6], link.mac] {
            let request = Arp::request(SENDER, asker, target);
            let request = Frame::new(SENDER, destination).tags(tags).arp(&request).padded().build();
            gateway.expect(ifindex, &request, Verdict::ArpReply, &reply);
        }
        // RFC 5227: a probe, whose sender has no address yet, is defended against.
        let probe = Frame::new(SENDER, [0xff; 6]).tags(tags).arp(&Arp::probe(SENDER, target)).build();
        let defence = Arp::reply((link.mac, target), (SENDER, Ipv4Addr::UNSPECIFIED));
        let defence = Frame::new(link.mac, SENDER).tags(tags).arp(&defence).build();
        gateway.expect(ifindex, &probe, Verdict::ArpReply, &defence);
    }
}

#[test]
fn t59_all_other_arp_is_the_kernels() {
    let mut gateway = Gateway::new();
    let pair = gateway.plain(1, 0);
    let asker = Ipv4Addr::new(198, 51, 100, 1);
    let link = gateway.link(UPLINK, &[]);
    let ask = |target| Arp::request(SENDER, asker, target);
    let frame = |destination, arp: &Arp| Frame::new(SENDER, destination).arp(arp).padded().build();
    let own = Ipv4Addr::new(198, 51, 100, 2);
    let unbound = Ipv4Addr::new(198, 51, 100, 253);
    for arp in [
        ask(own),
        ask(unbound),
        ask(pair.private),
        ask(REMOTE),
        Arp::announcement(SENDER, pair.public),
        Arp::reply((SENDER, asker), (link.mac, pair.public)),
        Arp { operation: 8, ..ask(pair.public) },
    ] {
        gateway.passes(UPLINK, &frame([0xff; 6], &arp), Verdict::PassArp);
    }
    // For another host's MAC, cut short, and on a downlink, where public addresses are nobody's.
    gateway.passes(UPLINK, &frame([2, 9, 9, 9, 9, 9], &ask(pair.public)), Verdict::PassArp);
    for length in 14..42 {
        gateway.passes(UPLINK, &frame([0xff; 6], &ask(pair.public))[..length], Verdict::PassArp);
    }
    gateway.passes(DOWNLINK, &frame([0xff; 6], &ask(pair.public)), Verdict::PassArp);
    gateway.passes(SECOND_DOWNLINK, &frame([0xff; 6], &ask(pair.public)), Verdict::PassArp);
    // Other hardware or protocol types are not for this program.
    for (at, value) in [(15, 6), (16, 0x86), (18, 8), (19, 16)] {
        let mut odd = frame([0xff; 6], &ask(pair.public));
        odd[at] = value;
        gateway.passes(UPLINK, &odd, Verdict::PassArp);
    }
}
