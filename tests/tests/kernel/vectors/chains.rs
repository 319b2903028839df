//! Out, back, and an ICMP error about it: each step takes the bytes the step before it left.

use lab::frames::{Ip, payload, verify_checksums};
use nat_common::verdict::Verdict;

use super::*;

/// What the far end got: the IP packet of a frame, its trailer gone.
fn received(frame: &[u8]) -> Vec<u8> {
    verify_checksums(frame).unwrap();
    let (_, start) = payload(frame).unwrap();
    let ip = Ip::parse(&frame[start..]).unwrap();
    frame[start..start + ip.total_length()].to_vec()
}

#[test]
fn a_conversation_with_the_internet_and_errors_about_both_directions() {
    let mut gateway = Gateway::new();
    for (vpc, which) in [(1, 0), (1, 1), (2, 0), (3, 0), (3, 1), (4, 1)] {
        let pair = gateway.plain(vpc, which);
        let uplink = gateway.link(TAGGED_UPLINK, &[300]);
        let (out, back) = (gateway.outbound(pair, REMOTE), gateway.inbound(&uplink, REMOTE, pair));
        let builds: [&dyn Fn(Packet) -> Packet; 4] = [
            &|packet| packet.tcp(40000, 443, b"hello"),
            &|packet| packet.udp(40000, 53, b"hello"),
            &|packet| packet.udp_without_checksum(40000, 53, b"hello"),
            &|packet| packet.echo(1, 2, b"hello"),
        ];
        for build in builds {
            let sent = build(out.arriving());
            let left = gateway.run(out.ingress.ifindex, &out.arrives(&sent));
            let seen = received(&left.frame);
            assert_eq!(Ip::parse(&seen).unwrap().source(), pair.public);

            // A router out there complains about it; the instance is told about the packet it sent itself.
            let router = gateway.inbound(&uplink, Ipv4Addr::new(9, 9, 9, 31), pair);
            let error = router.arriving().icmp_error(11, 0, [0; 4], &seen, 548);
            let told = gateway.run(router.ingress.ifindex, &router.arrives(&error));
            let told = received(&told.frame);
            // It passed two hops with one decrement each side of the quotation: sent with 64, quoted with 63.
            let quoted = build(out.arriving()).ttl(63).build();
            assert_eq!(told[28..], quoted, "{}", explain(&router.arrives(&error)));

            // The answer comes back, and the instance complains about that.
            let answer = back.arriving().udp(53, 40000, b"answer");
            let got = received(&gateway.run(back.ingress.ifindex, &back.arrives(&answer)).frame);
            assert_eq!(Ip::parse(&got).unwrap().destination(), pair.private);
            let complaint = out.arriving().icmp_error(3, 3, [0; 4], &got, 548);
            let heard = received(&gateway.run(out.ingress.ifindex, &out.arrives(&complaint)).frame);
            assert_eq!(heard[28..], back.arriving().ttl(63).udp(53, 40000, b"answer").build());
        }
    }
}

#[test]
fn a_conversation_between_two_instances_by_their_public_addresses() {
    let mut gateway = Gateway::new();
    let (one, other) = (gateway.plain(1, 0), gateway.plain(4, 0));
    // They have the same private address, in two VPCs, and neither ever sees it.
    assert_eq!(one.private, other.private);
    let (there, back) = (gateway.hairpin(one, other), gateway.hairpin(other, one));
    let got = received(&gateway.run(there.ingress.ifindex, &there.arrives(&there.arriving().udp(1, 2, b"hi"))).frame);
    let shown = Ip::parse(&got).unwrap();
    assert_eq!((shown.source(), shown.destination()), (one.public, other.private));
    let refused = back.arriving().icmp_error(3, 3, [0; 4], &got, 28);
    let told = received(&gateway.run(back.ingress.ifindex, &back.arrives(&refused)).frame);
    let quoted = Ip::parse(&told).unwrap().quotation().unwrap();
    let quoted = Ip::parse(quoted).unwrap();
    assert_eq!((quoted.source(), quoted.destination()), (one.private, other.public));
}

/// The gateway's own error about a packet is a packet too: its receiver's gateway translates it like any other.
#[test]
fn the_gateways_own_error_can_be_quoted_no_further() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    let expired = path.arriving().ttl(1).udp(1, 2, b"data");
    let reply = received(&gateway.run(path.ingress.ifindex, &path.arrives(&expired)).frame);
    let about_it = path.arriving().icmp_error(11, 0, [0; 4], &reply, 548);
    gateway.drops(path.ingress.ifindex, &path.arrives(&about_it), Verdict::NestedIcmpError);
}
