//! The way out: the FIB's answers, TTL, MTU.

use lab::reference::{Neighbour, within};
use lab::standard::{DOWNLINK, SMALL_MTU};
use nat_common::abi::Settings;
use nat_common::verdict::Verdict;

use super::*;

/// Hosts on the Internet whose routes go as `lab::standard` says of their last byte.
fn remote(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(9, 9, 9, last)
}

/// The frame of a plain instance's packet to a host on the Internet, by its downlink.
fn to(gateway: &Gateway, destination: Ipv4Addr, build: impl Fn(Packet) -> Packet) -> (u32, Vec<u8>) {
    let pair = gateway.plain(1, 0);
    let link = gateway.downlink(pair);
    let packet = build(Packet::new(pair.private, destination));
    (link.ifindex, Frame::new(SENDER, link.mac).tags(&link.tags).ip(&packet).build())
}

/// The packet a frame carries, translated but otherwise as it arrived, as the kernel is handed it.
fn handed(gateway: &Gateway, frame: &[u8], build: impl Fn(Packet) -> Packet, destination: Ipv4Addr) -> Vec<u8> {
    let packet = build(Packet::new(gateway.plain(1, 0).public, destination));
    [&frame[..14], &packet.build()].concat()
}

/// `bpf_fib_lookup` overwrites the destination with the router's address; what leaves shows the one it was sent to.
/// Too big without DF, a packet is asked about twice, each time from the start.
#[test]
fn t44_the_routers_address_never_becomes_the_destination() {
    let mut gateway = Gateway::new();
    let path = gateway.way_out();
    gateway.carries(&path, |packet| packet.udp(1, 2, b"data"));
    let build = |packet: Packet| packet.udp(1, 2, &[7; 1380]);
    let (ingress, frame) = to(&gateway, remote(7), build);
    let expected = handed(&gateway, &frame, build, remote(7));
    gateway.expect(ingress, &frame, Verdict::HandedFragmentation, &expected);
}

/// The addresses of the packet as translated choose the route: another source, and another destination.
#[test]
fn t48_the_route_is_that_of_the_translated_packet() {
    let mut gateway = Gateway::new();
    // A remote whose own route is a blackhole does not matter on the way in: its packet leads to an instance.
    let pair = gateway.plain(1, 0);
    let path = gateway.inbound(&gateway.link(UPLINK, &[]), remote(2), pair);
    gateway.carries(&path, |packet| packet.udp(1, 2, b"data"));
}

#[test]
fn t47_every_answer_of_the_fib_has_its_verdict() {
    let mut gateway = Gateway::new();
    let verdicts = [
        (0, Verdict::NetUnreachableReply),
        (1, Verdict::HostUnreachableReply),
        (2, Verdict::RouteBlackhole),
        (3, Verdict::RouteProhibit),
        (4, Verdict::TunnelRoute),
        (5, Verdict::HandedNeighbour),
        (6, Verdict::WrongEgress),
        // Broadcast and local: nobody is there as far as an instance can tell.
        (8, Verdict::NetUnreachableReply),
        (11, Verdict::NetUnreachableReply),
        (13, Verdict::HostUnreachableReply),
        (15, Verdict::Outbound),
    ];
    for (last, verdict) in verdicts {
        let (ingress, frame) = to(&gateway, remote(last), |packet| packet.udp(1, 2, b"data"));
        assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "9.9.9.{last}");
    }
}

#[test]
fn t47_forwarding_that_was_switched_off_is_named() {
    let mut gateway = Gateway::new();
    let (ingress, frame) = to(&gateway, REMOTE, |packet| packet.udp(1, 2, b"data"));
    std::fs::write("/proc/sys/net/ipv4/conf/d5/forwarding", "0").unwrap();
    assert_eq!(gateway.program.run(ingress, &frame).verdict, Verdict::ForwardingDisabled);
}

/// An interface that is gone: the helper fails with a negative number.
#[test]
fn t47_an_error_of_the_fib_is_a_drop() {
    let mut world = standard_world();
    world.links[0].device = 77;
    let world = world.index();
    let mut gateway = Gateway { program: Program::load(&world), world };
    gateway.program.forget_hops();
    let path = gateway.way_in();
    let frame = path.arrives(&path.arriving().udp(1, 2, b"data"));
    assert_eq!(gateway.program.run(UPLINK, &frame).verdict, Verdict::RouteError);
}

#[test]
fn t28_ttl_goes_down_exactly_once() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for ttl in [2, 3, 64, 128, 255] {
            let arriving = path.arriving().ttl(ttl).udp(1, 2, b"data");
            let leaving = path.leaving().ttl(ttl - 1).udp(1, 2, b"data");
            gateway.expect(path.ingress.ifindex, &path.arrives(&arriving), path.verdict, &path.leaves(&leaving));
        }
        for ttl in [0, 1] {
            let frame = path.arrives(&path.arriving().ttl(ttl).udp(1, 2, b"data"));
            assert_eq!(gateway.run(path.ingress.ifindex, &frame).verdict, Verdict::TtlExceededReply);
        }
    }
}

/// T29: the kernel takes the TTL down, so the program must not.
#[test]
fn t29_a_packet_handed_to_the_kernel_keeps_its_ttl_and_its_ethernet_header() {
    let mut gateway = Gateway::new();
    let build = |packet: Packet| packet.ttl(9).tcp(1, 2, b"data");
    let (ingress, frame) = to(&gateway, remote(5), build);
    let expected = handed(&gateway, &frame, build, remote(5));
    gateway.expect(ingress, &frame, Verdict::HandedNeighbour, &expected);
}

/// The guard forwards nothing that does not carry the mark, so what the program passes on without one is stopped.
#[test]
fn what_is_handed_to_the_kernel_is_marked_for_the_guard() {
    let mut gateway = Gateway::new();
    let mark = [2, 1, 2, 3, 4, 5];
    gateway.program.set(Settings { handover_mac: mark, ..Settings::default() });
    let build = |packet: Packet| packet.ttl(9).tcp(1, 2, b"data");
    let (ingress, frame) = to(&gateway, remote(5), build);
    let mut expected = handed(&gateway, &frame, build, remote(5));
    expected[6..12].copy_from_slice(&mark);
    let marked = gateway.program.run(ingress, &frame);
    assert_eq!((marked.verdict, marked.frame), (Verdict::HandedNeighbour, expected));
    // What is the kernel's own is passed as it came.
    let own = Frame::new(SENDER, frame[..6].try_into().unwrap()).carry(0x88cc, b"lldp").build();
    let untouched = gateway.program.run(ingress, &own);
    assert_eq!((untouched.verdict, untouched.frame), (Verdict::PassNotIp, own));
}

#[test]
fn t45_the_mtu_of_the_next_link_is_exact() {
    let mut gateway = Gateway::new();
    for (last, mtu) in [(15, 1500), (7, SMALL_MTU as usize), (9, 576), (12, 68)] {
        for over in [0, 1] {
            let build = |packet: Packet| packet.udp(1, 2, &vec![7; mtu - 28 + over]);
            let run = |gateway: &mut Gateway, build: &dyn Fn(Packet) -> Packet| {
                let (ingress, frame) = to(gateway, remote(last), build);
                gateway.run(ingress, &frame).verdict
            };
            let whole = run(&mut gateway, &build);
            let unfragmented = run(&mut gateway, &|packet| build(packet).dont_fragment());
            let expected = match over {
                0 => (Verdict::Outbound, Verdict::Outbound),
                _ => (Verdict::HandedFragmentation, Verdict::TooBigReply),
            };
            assert_eq!((whole, unfragmented), expected, "{over} over {mtu}");
        }
    }
}

#[test]
fn t33_the_mtu_is_that_of_the_ip_packet_without_tags_and_padding() {
    let mut gateway = Gateway::new();
    let path = gateway.hairpin(gateway.plain(3, 0), gateway.plain(2, 0));
    gateway.carries(&path, |packet| packet.dont_fragment().udp(1, 2, &[7; 1472]));
    let frame = path.envelope().ip(&path.arriving().dont_fragment().udp(1, 2, &[7; 1472])).trailer(&[0; 80]).build();
    assert_eq!(gateway.run(path.ingress.ifindex, &frame).verdict, Verdict::Hairpin);
}

/// Too big wins over a neighbour that is missing: fragments need the kernel in any case, and PMTUD the error.
#[test]
fn too_big_is_judged_before_the_neighbour() {
    let mut gateway = Gateway::new();
    for (last, small) in [(10, Verdict::HandedNeighbour), (14, Verdict::HostUnreachableReply)] {
        let cases =
            [(100, false, small), (600, false, Verdict::HandedFragmentation), (600, true, Verdict::TooBigReply)];
        for (length, dont_fragment, verdict) in cases {
            let (ingress, frame) = to(&gateway, remote(last), |packet| {
                let packet = packet.udp(1, 2, &vec![7; length]);
                if dont_fragment { packet.dont_fragment() } else { packet }
            });
            assert_eq!(gateway.run(ingress, &frame).verdict, verdict, "9.9.9.{last}");
        }
    }
}

/// The kernel knows no VPCs. Where the addresses of two overlap, its own route may lead into the other one, and a
/// packet in the wrong VPC is worse than a lost one.
#[test]
fn a_packet_the_kernel_would_send_into_another_vpc_is_dropped() {
    let mut gateway = Gateway::new();
    let shared = (Ipv4Addr::new(10, 1, 0, 0), 24);
    let silent = |gateway: &Gateway, overlapping: bool| {
        let mut pairs = gateway.world.pairs_of(4).iter();
        let wanted =
            |pair: &&Pair| pair.private.octets()[3] % 16 == 5 && within(pair.private, &[shared]) == overlapping;
        *pairs.find(wanted).unwrap()
    };
    for (overlapping, verdict) in [(true, Verdict::KernelRouteDiffers), (false, Verdict::HandedNeighbour)] {
        let pair = silent(&gateway, overlapping);
        let uplink = gateway.link(UPLINK, &[]);
        let packet = Packet::new(REMOTE, pair.public).udp(1, 2, b"data");
        let frame = Frame::new(SENDER, uplink.mac).ip(&packet).build();
        assert_eq!(gateway.run(UPLINK, &frame).verdict, verdict);
    }
}

/// VLAN tags that no sub-interface of the host carries are unknown to the kernel, which would send the packet without
/// them: into the VPC of the untagged downlink on the same interface.
#[test]
fn a_packet_the_kernel_would_send_without_its_tags_is_dropped() {
    let mut gateway = Gateway::new();
    for vpc in [2, 3] {
        let silent = |pair: &&Pair| {
            let known = (DOWNLINK, pair.private, Neighbour::Unresolved);
            pair.vpc == vpc && gateway.world.neighbours.contains(&known)
        };
        let pair = *gateway.world.pairs.iter().find(silent).unwrap();
        let frame = Frame::new(SENDER, gateway.link(UPLINK, &[]).mac)
            .ip(&Packet::new(REMOTE, pair.public).udp(1, 2, b"data"))
            .build();
        gateway.drops(UPLINK, &frame, Verdict::KernelRouteDiffers);
    }
    // Likewise on an uplink, here for a fragmentation and for a neighbour.
    for (last, length) in [(7, 1400), (5, 10)] {
        let (ingress, frame) = to(&gateway, Ipv4Addr::new(9, 9, 11, last), |packet| packet.udp(1, 2, &vec![7; length]));
        gateway.drops(ingress, &frame, Verdict::KernelRouteDiffers);
    }
}

#[test]
fn a_vpc_without_a_downlink_is_named() {
    let mut world = standard_world();
    let pair = *world.pairs_of(2).first().unwrap();
    world.links.retain(|link| link.side != Side::Downlink { vpc: 2 });
    let world = world.index();
    let mut program = Program::load(&world);
    let uplink = world.link(UPLINK, &[]).unwrap();
    let frame = Frame::new(SENDER, uplink.mac).ip(&Packet::new(REMOTE, pair.public).udp(1, 2, b"data")).build();
    assert_eq!(program.run(UPLINK, &frame).verdict, Verdict::UnknownVpc);
}
