//! The lab itself, before anything in it can be believed: it carries packets, sees everything, and leaves nothing.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use lab::frames::{Frame, Packet};
use lab::lab::leak::Leak;
use lab::lab::server::{Server, tcp_exchange, udp_exchange};
use lab::lab::{A, B, C, Direction, GATEWAY, INTERNET, Lab, Link, Namespace, ROUTER, SOON, UPSTREAM, Wire, at};

const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const DATABASE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

#[test]
fn a_lab_carries_traffic_and_leaves_nothing_behind() {
    let lab = Lab::new().unwrap();
    let (name, directory, namespaces) = (
        lab.name.clone(),
        lab.directory.clone(),
        [&lab.internet, &lab.router, &lab.gateway, &lab.switch, &lab.a, &lab.b, &lab.c].map(Namespace::clone),
    );
    lab.translate_by_nftables(&[(WEB, A), (DATABASE, B)]).unwrap();
    let _web = Server::tcp_echo(&lab.a, 80).unwrap();
    let outside = Server::udp_echo(&lab.internet, 53).unwrap();
    tcp_exchange(&lab.internet, at(WEB, 80), 300_000).unwrap();
    udp_exchange(&lab.a, at(INTERNET, 53), b"query").unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), WEB);
    tcp_exchange(&lab.b, at(WEB, 80), 1000).unwrap();
    lab.internet.tell(&["ping", "-c", "2", "-i", "0.01", &WEB.to_string()]).unwrap();
    lab.settle().unwrap();

    assert_eq!(lab.leaks(), []);
    let [internet, router] = lab.looked_at();
    assert!(internet.received > 100 && router.received > 100, "{internet:?} {router:?}");
    // Frames are seen as they were on the wire, none merged by the receiver.
    let longest = lab.at_internet.from_start().arrived().iter().map(Vec::len).max();
    assert_eq!(longest, Some(1514));

    lab.finish().unwrap();
    assert!(namespaces.iter().all(|namespace| !namespace.exists()) && !directory.exists(), "{name} is still there");
}

#[test]
fn t03_a_private_address_outside_is_told_and_fails_the_test() {
    let lab = Lab::new().unwrap();
    // A gateway that forwards without translating, and a router that would even deliver the answers.
    lab.forward_plainly().unwrap();
    lab.router.ip("route add 10.0.0.0/24 via 198.51.100.2\n").unwrap();
    lab.a.tell(&["ping", "-c", "1", &INTERNET.to_string()]).unwrap();
    lab.settle().unwrap();
    let leaks = lab.leaks();
    assert!(!leaks.is_empty());
    assert!(leaks.iter().all(|leak| matches!(leak, Leak::PrivateAddress { address: A, .. })), "{leaks:?}");
    let error = lab.finish().unwrap_err();
    let told = format!("{error:#}");
    assert!(told.contains("was shown the private address 10.0.0.11 (OuterSource)"), "{told}");
}

#[test]
fn t03_a_wrong_checksum_fails_the_test_where_it_arrives() {
    let lab = Lab::new().unwrap();
    let wire = Wire::sender(&lab.router, "inet0").unwrap();
    let frame = |packet: &Packet| Frame::new(wire.mac, [0xff; 6]).ip(packet).build();
    let packet = Packet::new(ROUTER, INTERNET).udp(9, 9, b"discarded");
    let (right, wrong) = (frame(&packet), frame(&packet.clone().wrong_checksum(1)));
    let send = |frame: &[u8]| {
        let watch = lab.at_internet.watch();
        wire.send(frame).unwrap();
        watch.arrives("the frame", |seen| seen == frame).unwrap();
    };
    send(&right);
    assert_eq!(lab.leaks(), []);
    send(&wrong);
    assert!(matches!(&lab.leaks()[..], [Leak::WrongChecksum { frame, .. }] if *frame == wrong));
    lab.allow_wrong_checksums();
    send(&wrong);
    assert_eq!(lab.leaks().len(), 1);
    assert!(format!("{:#}", lab.finish().unwrap_err()).contains("received a wrong checksum: udp checksum is"));
}

#[test]
fn t01_t04_t05_every_veth_is_set_up_for_redirection() {
    let lab = Lab::builder().mtu(Link::Downlink, 1400).second_vpc().build().unwrap();
    let ends = [
        (&lab.internet, "eth0"),
        (&lab.router, "inet0"),
        (&lab.router, "gate0"),
        (&lab.gateway, "up0"),
        (&lab.gateway, "down0"),
        (&lab.gateway, "down1"),
        (&lab.switch, "gate0"),
        (&lab.switch, "port-a"),
        (&lab.a, "eth0"),
        (&lab.d, "eth0"),
    ];
    for (namespace, interface) in ends {
        let features = namespace.tell(&["ethtool", "-k", interface]).unwrap();
        for wanted in [
            "tx-checksumming: off",
            "tcp-segmentation-offload: off",
            "generic-segmentation-offload: off",
            "generic-receive-offload: on",
        ] {
            assert!(features.contains(wanted), "{interface} of {}: not {wanted}\n{features}", namespace.name);
        }
    }
    assert!(lab.gateway.tell(&["ip", "link", "show", "down0"]).unwrap().contains("mtu 1400"));
    assert!(lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("mtu 1500"));
}

#[test]
fn frames_arrive_as_they_were_sent_tags_included() {
    let lab = Lab::new().unwrap();
    let wire = Wire::sender(&lab.router, "gate0").unwrap();
    let watch = lab.at_router.watch();
    for tags in [&[][..], &[7], &[100, 7]] {
        let frame = Frame::new(wire.mac, [2; 6]).tags(tags).ip(&Packet::new(UPSTREAM, GATEWAY).udp(1, 2, b"x")).build();
        wire.send(&frame).unwrap();
        watch.wait("its own frame", |seen| seen.direction == Direction::Out && seen.frame == frame).unwrap();
    }
    let wire = Wire::sender(&lab.gateway, "up0").unwrap();
    for tags in [&[][..], &[7], &[100, 7]] {
        let frame = Frame::new(wire.mac, [2; 6]).tags(tags).ip(&Packet::new(GATEWAY, UPSTREAM).udp(1, 2, b"x")).build();
        wire.send(&frame).unwrap();
        watch.arrives("the gateway's frame", |seen| seen == frame).unwrap();
    }
}

#[test]
fn instances_reach_each_other_by_private_address_without_the_gateway() {
    let lab = Lab::new().unwrap();
    for (from, to) in [(&lab.a, B), (&lab.b, C), (&lab.c, A)] {
        from.tell(&["ping", "-c", "1", &to.to_string()]).unwrap();
    }
    let before = lab.at_router.counts().received;
    lab.settle().unwrap();
    // Two frames from the gateway and two of its answers to settle; no more.
    assert!(lab.at_router.counts().received - before <= 6);
}

#[test]
fn what_a_killed_run_left_is_swept() {
    // A process that has ended, and whose number is not taken again so soon.
    let ended = lab::lab::Process::start("true", std::process::Command::new("true")).unwrap();
    let name = format!("eg-{}-0-router", ended.pid());
    ended.finish(SOON).unwrap();
    lab::lab::namespace::ip_batch(&[], &format!("netns add {name}\n")).unwrap();
    let directory = lab::lab::remains::home().join(name.trim_end_matches("-router"));
    fs::create_dir(&directory).unwrap();
    lab::lab::remains::sweep().unwrap();
    assert!(!Namespace::named(&name).exists() && !Path::new(&directory).exists());
}
