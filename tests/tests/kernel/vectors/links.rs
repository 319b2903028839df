//! VLAN tags and links: a frame leaves with the tags of the link it leaves by, whatever it arrived with.

use lab::frames::{SERVICE_VLAN, VLAN};
use lab::standard::{DOWNLINK, HIDDEN_UPLINK, SECOND_DOWNLINK};
use nat_common::verdict::Verdict;

use super::*;

/// A plain instance on each downlink: untagged twice, one tag with and without a sub-interface, two tags likewise.
fn instances(gateway: &Gateway) -> Vec<Pair> {
    let all = [(1, 0), (1, 1), (2, 0), (3, 0), (3, 1), (4, 1)];
    all.map(|(vpc, which)| gateway.plain(vpc, which)).to_vec()
}

fn carries_everything(gateway: &mut Gateway, path: &Path) {
    gateway.carries(path, |packet| packet.tcp(1, 2, b"data"));
    gateway.carries(path, |packet| packet.options(&[1; 40]).udp(1, 2, b"data"));
    gateway.carries(path, |packet| packet.echo(1, 2, b"data"));
    gateway.carries_error(
        path,
        |packet| packet.options(&[1; 40]).tcp(1, 2, b"data"),
        |packet, quoted| packet.options(&[1; 40]).icmp_error(3, 1, [0; 4], quoted, 548),
    );
}

#[test]
fn inbound_by_every_uplink_to_every_downlink() {
    let mut gateway = Gateway::new();
    for (ifindex, tags) in [(UPLINK, &[][..]), (TAGGED_UPLINK, &[300]), (HIDDEN_UPLINK, &[500])] {
        for pair in instances(&gateway) {
            let path = gateway.inbound(&gateway.link(ifindex, tags), REMOTE, pair);
            carries_everything(&mut gateway, &path);
        }
    }
}

#[test]
fn outbound_by_every_downlink_to_every_uplink() {
    let mut gateway = Gateway::new();
    for remote in [REMOTE, TAGGED_REMOTE, HIDDEN_REMOTE] {
        for pair in instances(&gateway) {
            let path = gateway.outbound(pair, remote);
            carries_everything(&mut gateway, &path);
        }
    }
}

/// From every instance to every instance, to itself among them, between VPCs and by any tags.
#[test]
fn t54_hairpin_between_every_two_downlinks_and_to_itself() {
    let mut gateway = Gateway::new();
    for from in instances(&gateway) {
        for to in instances(&gateway) {
            let path = gateway.hairpin(from, to);
            carries_everything(&mut gateway, &path);
        }
    }
}

/// Two VPCs may have the same private address; a frame's VPC is that of the link it came by.
#[test]
fn one_private_address_in_two_vpcs_is_two_instances() {
    let mut gateway = Gateway::new();
    let (one, other) = (gateway.plain(1, 0), gateway.plain(4, 0));
    assert_eq!(one.private, other.private);
    for (from, to) in [(one, other), (other, one), (one, one), (other, other)] {
        let path = gateway.hairpin(from, to);
        carries_everything(&mut gateway, &path);
    }
    for pair in [one, other] {
        let path = gateway.outbound(pair, REMOTE);
        carries_everything(&mut gateway, &path);
    }
}

#[test]
fn an_instance_of_one_vpc_is_unknown_in_another() {
    let mut gateway = Gateway::new();
    let pair = gateway.plain(2, 0);
    let packet = Packet::new(pair.private, REMOTE).udp(1, 2, b"data");
    for (ifindex, tags) in [(DOWNLINK, &[][..]), (DOWNLINK, &[200, 300]), (SECOND_DOWNLINK, &[7])] {
        let link = gateway.link(ifindex, tags);
        let frame = Frame::new(SENDER, link.mac).tags(tags).ip(&packet).build();
        gateway.drops(ifindex, &frame, Verdict::UnknownSource);
    }
}

#[test]
fn tags_of_no_link_are_an_unknown_link() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    let packet = path.arriving().udp(1, 2, b"data");
    for tags in [&[1][..], &[300], &[100, 7], &[4095]] {
        let frame = Frame::new(SENDER, path.ingress.mac).tags(tags).ip(&packet).build();
        gateway.drops(UPLINK, &frame, Verdict::UnknownLink);
    }
    // The inner tag counts, and so does the order.
    for tags in [&[200][..], &[200, 301], &[300, 200], &[100, 300]] {
        let frame = Frame::new(SENDER, gateway.link(DOWNLINK, &[]).mac).tags(tags).ip(&packet).build();
        gateway.drops(DOWNLINK, &frame, Verdict::UnknownLink);
    }
    // An interface of the host on which nothing is configured.
    gateway.drops(lab::standard::FOREIGN, &path.arrives(&packet), Verdict::UnknownLink);
}

#[test]
fn three_tags_or_a_tag_cut_short_are_malformed() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    let packet = path.arriving().udp(1, 2, b"data");
    let three = Frame::new(SENDER, path.ingress.mac).qinq(200, 300).vlan(5).ip(&packet).build();
    gateway.drops(DOWNLINK, &three, Verdict::MalformedEthernet);
    let two = Frame::new(SENDER, path.ingress.mac).qinq(200, 300).ip(&packet).build();
    for length in 14..22 {
        gateway.drops(DOWNLINK, &two[..length], Verdict::MalformedEthernet);
    }
}

/// 802.1Q 6.9: a VLAN id of 0 is a priority and no VLAN.
#[test]
fn a_priority_tag_is_no_vlan() {
    let mut gateway = Gateway::new();
    let paths = [gateway.way_in(), gateway.outbound(gateway.plain(2, 0), REMOTE)];
    for path in paths {
        let (arriving, leaving) = (path.arriving().udp(1, 2, b"data"), path.leaving().udp(1, 2, b"data"));
        let frame = || Frame::new(SENDER, path.ingress.mac);
        let frames = match path.ingress.tags[..] {
            [] => vec![frame().tag(VLAN, 0xe000), frame().tag(VLAN, 0), frame().tag(SERVICE_VLAN, 0).tag(VLAN, 0)],
            [id] => vec![frame().tag(VLAN, id).tag(VLAN, 0x2000), frame().tag(VLAN, 0xe000).tag(VLAN, id)],
            _ => unreachable!("neither path has two tags"),
        };
        for frame in frames {
            gateway.expect(path.ingress.ifindex, &frame.ip(&arriving).build(), path.verdict, &path.leaves(&leaving));
        }
    }
}

#[test]
fn priority_and_tag_protocol_belong_to_the_link_they_arrived_by() {
    let mut gateway = Gateway::new();
    let path = gateway.hairpin(gateway.plain(3, 0), gateway.plain(2, 0));
    let (arriving, leaving) = (path.arriving().udp(1, 2, b"data"), path.leaving().udp(1, 2, b"data"));
    let all = [(VLAN, VLAN), (SERVICE_VLAN, VLAN), (SERVICE_VLAN, SERVICE_VLAN)];
    for (outer, inner) in all {
        for bits in [0, 1, 0xe, 0xf] {
            let frame = path.envelope().tpid(0, outer).tpid(1, inner).priority(0, bits).priority(1, bits);
            gateway.expect(path.ingress.ifindex, &frame.ip(&arriving).build(), path.verdict, &path.leaves(&leaving));
        }
    }
}
