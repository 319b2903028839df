//! Real programs and sockets through the gateway, both ways and around; every end verifies checksums in software.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use lab::frames::{GRE, Packet, fragments, word};
use lab::lab::server::{Server, tcp_exchange, udp_exchange};
use lab::lab::{A, B, C, GATEWAY, INSIDE, INTERNET, Lab, Link, Namespace, ROUTER, SOON, Settings, UPSTREAM, at, wait};

use crate::scene::{
    DATABASE, NARROW_INSIDE, Sender, WEB, bytes, is_between, is_icmp, packet, ping, scene, scene_with_mtu,
};

#[test]
fn tcp_works_both_ways_by_routed_and_on_link_addresses() {
    let lab = scene();
    let outside = Server::tcp_echo(&lab.internet, 80).unwrap();
    for (instance, public) in [(&lab.a, WEB), (&lab.b, DATABASE)] {
        let inside = Server::tcp_echo(instance, 80).unwrap();
        let own = tcp_exchange(&lab.internet, at(public, 80), 1_000_000).unwrap();
        assert_eq!(own, inside.last_peer().unwrap().into(), "the client's address and port are its own");
        let own = tcp_exchange(instance, at(INTERNET, 80), 1_000_000).unwrap();
        assert_eq!(outside.last_peer().unwrap(), at(public, own.port()), "the port is the instance's own");
    }
}

#[test]
fn udp_works_both_ways() {
    let lab = scene();
    let outside = Server::udp_echo(&lab.internet, 53).unwrap();
    for (instance, public) in [(&lab.a, WEB), (&lab.b, DATABASE)] {
        let inside = Server::udp_echo(instance, 53).unwrap();
        let port = udp_exchange(&lab.internet, at(public, 53), b"from outside").unwrap();
        assert_eq!(inside.last_peer().unwrap(), at(INTERNET, port));
        let port = udp_exchange(instance, at(INTERNET, 53), b"from inside").unwrap();
        assert_eq!(outside.last_peer().unwrap(), at(public, port));
    }
}

#[test]
fn t28_ttl_goes_down_by_one_each_way() {
    let lab = scene();
    let (inside, outside) = (lab.at_a.watch(), lab.at_router.watch());
    ping(&lab.internet, WEB, &[]);
    ping(&lab.a, INTERNET, &[]);
    let ttl = |frame: &[u8]| packet(frame).unwrap().ttl();
    let sent = outside.wait("a request to the gateway", |seen| is_between(&seen.frame, INTERNET, WEB)).unwrap();
    let arrived = inside.arrives("the request", |frame| is_between(frame, INTERNET, A)).unwrap();
    assert_eq!(ttl(&arrived), ttl(&sent.frame) - 1);
    let sent = inside.wait("a request of its own", |seen| is_between(&seen.frame, A, INTERNET)).unwrap();
    let arrived = outside.arrives("the request", |frame| is_between(frame, WEB, INTERNET)).unwrap();
    assert_eq!(ttl(&arrived), ttl(&sent.frame) - 1);
}

/// The addresses a traceroute met, hop by hop.
fn hops(from: &Namespace, to: Ipv4Addr, method: &[&str]) -> Vec<String> {
    let to = to.to_string();
    let words = [&["traceroute", "-n", "-q", "1", "-w", "3", "-m", "6"], method, &[to.as_str()]].concat();
    let text = from.tell(&words).unwrap();
    text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

#[test]
fn t15_t16_t30_traceroute_works_both_ways_and_shows_the_gateway_as_itself() {
    let lab = scene();
    let _web = Server::tcp_echo(&lab.a, 80).unwrap();
    let _outside = Server::tcp_echo(&lab.internet, 80).unwrap();
    let text = |addresses: &[Ipv4Addr]| addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>();
    for method in [&["-U"][..], &["-I"], &["-T", "-p", "80"]] {
        assert_eq!(hops(&lab.internet, WEB, method), text(&[ROUTER, GATEWAY, WEB]), "{method:?} inbound");
        assert_eq!(hops(&lab.a, INTERNET, method), text(&[INSIDE, UPSTREAM, INTERNET]), "{method:?} outbound");
        assert_eq!(hops(&lab.b, WEB, method), text(&[INSIDE, WEB]), "{method:?} hairpin");
    }
}

/// Sends to a closed port and waits for the refusal.
fn refused(from: &Namespace, to: Ipv4Addr) {
    let socket = from.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(at(to, 9)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.send(b"anybody there?").unwrap();
    let error = socket.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{} asked {to}: {error}", from.name);
}

#[test]
fn t15_t16_a_closed_port_is_told_to_the_socket_that_asked() {
    let lab = scene();
    let outside = lab.at_internet.watch();
    refused(&lab.internet, WEB);
    let error = outside.arrives("the error", |frame| is_icmp(frame, 3, 3)).unwrap();
    let quoted = packet(&error).unwrap().quotation().unwrap();
    assert_eq!(quoted[16..20], WEB.octets(), "quoted as the sender knows it");
    refused(&lab.a, INTERNET);
    refused(&lab.b, WEB);
    refused(&lab.a, WEB);
}

#[test]
fn t15_path_mtu_is_found_towards_a_narrow_hop_outside() {
    let lab = scene_with_mtu(&[(Link::Internet, 1400)]);
    let too_big = lab.a.output(&["ping", "-n", "-M", "do", "-s", "1450", "-c", "1", "-W", "3", "192.0.2.10"], SOON);
    let said = too_big.unwrap().to_string();
    assert!(said.contains("From 198.51.100.1") && said.contains("mtu = 1400"), "{said}");
    let route = lab.a.tell(&["ip", "route", "get", "192.0.2.10"]).unwrap();
    assert!(route.contains("mtu 1400"), "the instance has learnt it: {route}");
    let _outside = Server::tcp_echo(&lab.internet, 80).unwrap();
    tcp_exchange(&lab.b, at(INTERNET, 80), 300_000).unwrap();
}

#[test]
fn t31_path_mtu_is_found_towards_a_narrow_hop_inside() {
    let lab = scene_with_mtu(&NARROW_INSIDE);
    let outside = lab.at_internet.watch();
    let words = ["ping", "-n", "-M", "do", "-s", "1450", "-c", "1", "-W", "3", "203.0.113.1"];
    let said = lab.internet.output(&words, SOON).unwrap().to_string();
    assert!(said.contains("From 198.51.100.2") && said.contains("mtu = 1400"), "{said}");
    let error = outside.arrives("the error", |frame| is_icmp(frame, 3, 4)).unwrap();
    let quoted = packet(&error).unwrap().quotation().unwrap();
    assert_eq!(quoted[16..20], WEB.octets(), "quoted as the sender knows it");
    let _web = Server::tcp_echo(&lab.a, 80).unwrap();
    tcp_exchange(&lab.internet, at(WEB, 80), 300_000).unwrap();
    // Without DF the packet is fragmented on its way instead.
    ping(&lab.internet, WEB, &["-M", "dont", "-s", "1450"]);
    ping(&lab.internet, DATABASE, &["-M", "dont", "-s", "3000"]);
}

#[test]
fn t26_t35_large_datagrams_and_pings_cross_in_fragments() {
    let lab = scene();
    let _outside = Server::udp_echo(&lab.internet, 53).unwrap();
    let _inside = Server::udp_echo(&lab.a, 53).unwrap();
    let data: Vec<u8> = (0..8000_u32).map(|index| (index * 7 + index / 256) as u8).collect();
    udp_exchange(&lab.internet, at(WEB, 53), &data).unwrap();
    udp_exchange(&lab.a, at(INTERNET, 53), &data).unwrap();
    udp_exchange(&lab.b, at(WEB, 53), &data).unwrap();
    udp_exchange(&lab.a, at(WEB, 53), &data).unwrap();
    for (from, to) in [(&lab.internet, WEB), (&lab.a, INTERNET), (&lab.b, WEB)] {
        ping(from, to, &["-s", "4000"]);
    }
}

#[test]
fn t35_fragments_cross_in_any_order() {
    let lab = scene();
    let receiver = |namespace: &Namespace| {
        let socket = namespace.run(|| UdpSocket::bind("0.0.0.0:7000")).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    };
    let (inside, outside) = (receiver(&lab.a), receiver(&lab.internet));
    let ways = [
        (Sender::internet(&lab), INTERNET, WEB, &inside, INTERNET),
        (Sender::instance(&lab, &lab.a), A, INTERNET, &outside, WEB),
    ];
    let data: Vec<u8> = (0..8000_u32).map(|index| (index * 11 + index / 256) as u8).collect();
    for (sender, source, destination, socket, seen_as) in ways {
        let orders: [fn(&mut Vec<Vec<u8>>); 4] =
            [|_| (), |cut| cut.reverse(), |cut| cut.swap(0, 1), |cut| cut.rotate_left(3)];
        for (id, reorder) in orders.into_iter().enumerate() {
            let whole = Packet::new(source, destination).id(0x100 + id as u16).udp(7001, 7000, &data).build();
            let mut cut = fragments(&whole, 1500);
            reorder(&mut cut);
            cut.iter().for_each(|fragment| sender.send_bytes(fragment));
            let mut buffer = vec![0; 9000];
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], peer), (&data[..], at(seen_as, 7001).into()), "order {id}");
        }
    }
}

#[test]
fn t54_instances_reach_each_other_by_public_address() {
    let lab = scene();
    let web = Server::tcp_echo(&lab.a, 80).unwrap();
    let names = Server::udp_echo(&lab.a, 53).unwrap();
    tcp_exchange(&lab.b, at(WEB, 80), 300_000).unwrap();
    assert_eq!(*web.last_peer().unwrap().ip(), DATABASE, "the source is public too (RFC 4787 REQ-9)");
    udp_exchange(&lab.b, at(WEB, 53), b"hairpin").unwrap();
    assert_eq!(*names.last_peer().unwrap().ip(), DATABASE);
    ping(&lab.b, WEB, &[]);
    ping(&lab.a, DATABASE, &[]);
}

#[test]
fn t54_instance_reaches_itself_by_its_own_public_address() {
    let lab = scene();
    let web = Server::tcp_echo(&lab.a, 80).unwrap();
    tcp_exchange(&lab.a, at(WEB, 80), 300_000).unwrap();
    assert_eq!(*web.last_peer().unwrap().ip(), WEB);
    ping(&lab.a, WEB, &[]);
    ping(&lab.b, DATABASE, &["-s", "4000"]);
}

#[test]
fn t10_every_protocol_is_translated_bit_for_bit() {
    type Kind = fn(Packet) -> Packet;
    let inner = Packet::new(INTERNET, ROUTER).udp(1, 2, b"inner").build();
    let kinds: [(&str, Kind); 9] = [
        ("UDP without checksum", |packet| packet.udp_without_checksum(5, 6, b"zero")),
        ("UDP-Lite", |packet| packet.udp_lite(5, 6, 8, b"header covered")),
        ("DCCP", |packet| packet.dccp(5, 6, b"datagram")),
        ("SCTP", |packet| packet.sctp(5, 6, &[0, 3, 0, 5, 1, 0, 0, 0])),
        ("GRE", |packet| packet.gre(0x0800, b"anything")),
        ("ESP", |packet| packet.esp(7, 1, b"secret")),
        ("protocol 253", |packet| packet.protocol(253, b"an experiment")),
        ("record route", |packet| packet.options(&[7, 7, 4, 0, 0, 0, 0]).udp(5, 6, b"options")),
        ("timestamp request", |packet| packet.timestamp(5, 6)),
    ];
    let lab = scene();
    let (outside, inside) = (Sender::internet(&lab), Sender::instance(&lab, &lab.a));
    let (at_a, at_internet) = (lab.at_a.watch(), lab.at_internet.watch());
    let mut id = 0x200;
    let mut cross = |name: &str, kind: &dyn Fn(Packet) -> Packet| {
        id += 1;
        let build = |source, destination, ttl| kind(Packet::new(source, destination).id(id).ttl(ttl).tos(3)).build();
        outside.send_bytes(&build(INTERNET, WEB, 64));
        let wanted = build(INTERNET, A, 62);
        at_a.arrives(&format!("{name}, translated and otherwise the same"), |frame| is_same(frame, &wanted)).unwrap();
        inside.send_bytes(&build(A, INTERNET, 64));
        let wanted = build(WEB, INTERNET, 62);
        let what = format!("{name}, translated and otherwise the same");
        at_internet.arrives(&what, |frame| is_same(frame, &wanted)).unwrap();
    };
    for (name, kind) in kinds {
        cross(name, &kind);
    }
    cross("IP in IP", &|packet| packet.ipip(&inner));
    for protocol in [2, 3, 8, 46, 88, 89, 103, 112, 115, GRE, 200, 255] {
        cross(&format!("protocol {protocol}"), &|packet| packet.protocol(protocol, b"payload of some length"));
    }
}

/// The same packet, but for a record-route option that routers on the way have filled.
fn is_same(frame: &[u8], wanted: &[u8]) -> bool {
    let Some(found) = bytes(frame) else { return false };
    let header = usize::from(wanted[0] & 15) * 4;
    if header == 20 || found.len() != wanted.len() {
        return found == wanted;
    }
    word(found, 4) == word(wanted, 4) && found[12..20] == wanted[12..20] && found[header..] == wanted[header..]
}

#[test]
fn t10_ah_is_refused_with_its_reason() {
    let lab = scene();
    let before = lab.verdicts("ah-untranslatable").unwrap();
    let (at_a, at_internet) = (lab.at_a.watch(), lab.at_internet.watch());
    Sender::internet(&lab).send(&Packet::new(INTERNET, WEB).ah(17, 1, b"signed"));
    Sender::instance(&lab, &lab.a).send(&Packet::new(A, INTERNET).ah(17, 1, b"signed"));
    lab.settle().unwrap();
    for watch in [at_a, at_internet] {
        watch.nothing("AH", |frame| packet(frame).is_some_and(|ip| ip.protocol() == lab::frames::AH)).unwrap();
    }
    assert_eq!(lab.verdicts("ah-untranslatable").unwrap() - before, 2);
}

#[test]
fn t56_t57_jumbo_frames_cross_whole() {
    let lab = Lab::builder().mtu_everywhere(9000).build().unwrap();
    lab.daemon.start(Settings::default()).unwrap();
    crate::scene::populate(&lab);
    for (from, to) in [(&lab.internet, WEB), (&lab.a, INTERNET), (&lab.b, WEB), (&lab.a, WEB)] {
        ping(from, to, &["-M", "do", "-s", "8972"]);
    }
    let _web = Server::tcp_echo(&lab.a, 80).unwrap();
    tcp_exchange(&lab.internet, at(WEB, 80), 2_000_000).unwrap();
    tcp_exchange(&lab.b, at(WEB, 80), 2_000_000).unwrap();
    for capture in [&lab.at_a, &lab.at_internet] {
        let longest = capture.from_start().arrived().iter().map(Vec::len).max();
        assert_eq!(longest, Some(9014));
    }
    // Linux before 6.3 redirects no frames of several buffers; then they take the way by the kernel, and are not lost.
    let redirected = multi_buffer_is_redirected();
    assert_eq!(lab.verdicts("handed-multi-buffer").unwrap() == 0, redirected);
}

/// Whether this kernel redirects frames of several buffers.
fn multi_buffer_is_redirected() -> bool {
    let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(3))
}

#[test]
fn t29_t42_first_packet_after_a_neighbour_is_forgotten_arrives_translated() {
    let lab = scene();
    // Nobody but the kernel can resolve now, and it is asked about each packet.
    lab.daemon.terminate().unwrap();
    let (outside, inside) = (Sender::internet(&lab), Sender::instance(&lab, &lab.a));
    let before = lab.verdicts("handed-neighbour").unwrap();
    for round in 1..=3 {
        lab.gateway.forget_neighbours("down0").unwrap();
        lab.gateway.forget_neighbours("up0").unwrap();
        let (at_a, at_internet) = (lab.at_a.watch(), lab.at_internet.watch());
        let build = |source, destination, ttl| {
            // Nobody says anything to an answer, which would be handed over as well.
            Packet::new(source, destination).id(0x300 + round).ttl(ttl).echo_reply(5, 6, b"first").build()
        };
        outside.send_bytes(&build(INTERNET, WEB, 64));
        inside.send_bytes(&build(A, INTERNET, 64));
        let (inbound, outbound) = (build(INTERNET, A, 62), build(WEB, INTERNET, 62));
        at_a.arrives("the first packet in", |frame| bytes(frame) == Some(&inbound)).unwrap();
        at_internet.arrives("the first packet out", |frame| bytes(frame) == Some(&outbound)).unwrap();
    }
    assert_eq!(lab.verdicts("handed-neighbour").unwrap() - before, 6);
}

#[test]
fn t42_a_dead_host_is_reported_by_the_gateway_quoting_the_public_address() {
    let lab = scene();
    let ghost = lab.instance("ghost", Ipv4Addr::new(10, 0, 0, 99)).unwrap();
    let watch = lab.at_internet.watch();
    let words = ["ping", "-n", "-i", "0.1", "-c", "150", "-W", "1", &ghost.to_string()];
    let ping = lab.internet.spawn(&words).unwrap();
    ping.wait_to_say("From 198.51.100.2 icmp_seq=", Duration::from_secs(15)).unwrap();
    let error = watch.arrives("host unreachable", |frame| is_icmp(frame, 3, 1)).unwrap();
    let ip = packet(&error).unwrap();
    assert_eq!(ip.source(), GATEWAY);
    assert_eq!(ip.quotation().unwrap()[16..20], ghost.octets(), "quoted as the sender knows it");
    drop(ping);
    // An instance that asks by hairpin is told too, by the gateway's inner address.
    let said = lab.a.output(&["ping", "-n", "-i", "0.1", "-c", "5", "-W", "1", &ghost.to_string()], SOON).unwrap();
    assert!(said.stdout.contains("From 10.0.0.1 icmp_seq="), "{said}");
}

/// Waits until a ping is answered.
fn reached(from: &Namespace, to: Ipv4Addr, within: Duration) {
    let words = ["ping", "-n", "-c", "1", "-W", "1", &to.to_string()];
    let answered = || from.output(&words, SOON).ok().filter(|ping| ping.success());
    wait::until(&format!("an answer from {to}"), within, answered).unwrap();
}

#[test]
fn t43_an_instance_that_moves_is_followed_at_once_when_it_says_so() {
    let lab = scene();
    ping(&lab.internet, WEB, &[]);
    lab.a.ip("link set eth0 address 02:00:00:00:0a:0a\n").unwrap();
    lab.a.output(&["arping", "-U", "-c", "1", "-w", "1", "-I", "eth0", "10.0.0.11"], SOON).unwrap();
    reached(&lab.internet, WEB, Duration::from_secs(2));
}

#[test]
fn t43_an_instance_that_moves_in_silence_is_found_again() {
    let lab = scene();
    ping(&lab.internet, WEB, &[]);
    lab.a.ip("link set eth0 address 02:00:00:00:0a:0a\n").unwrap();
    // The kernel trusts a neighbour for a while, then asks at the old address first, then everybody.
    reached(&lab.internet, WEB, Duration::from_secs(30));
}

#[test]
fn overlapping_private_addresses_of_two_vpcs_are_told_apart() {
    let lab = Lab::builder().second_vpc().build().unwrap();
    let downlinks = vec!["down0".into(), "down1=blue".into()];
    lab.daemon.start(Settings { downlinks, ..Settings::default() }).unwrap();
    let red = lab.instance("red", A).unwrap();
    let words =
        ["instance", "create", "--vpc", "blue", "--private-ip", "10.0.0.11", "--name", "blue", "--bandwidth", "5"];
    lab.daemon.tell(&words).unwrap();
    let blue = lab.public_ip("blue").unwrap().unwrap();
    let outside = Server::tcp_echo(&lab.internet, 80).unwrap();
    for (instance, public, other) in [(&lab.a, red, blue), (&lab.d, blue, red)] {
        let inside = Server::tcp_echo(instance, 80).unwrap();
        tcp_exchange(&lab.internet, at(public, 80), 10_000).unwrap();
        assert_eq!(inside.peers().len(), 1);
        tcp_exchange(instance, at(INTERNET, 80), 10_000).unwrap();
        assert_eq!(*outside.last_peer().unwrap().ip(), public);
        ping(instance, other, &[]);
        ping(instance, public, &[]);
    }
}

#[test]
fn an_instance_without_a_public_address_reaches_nobody_outside() {
    let lab = scene();
    let before = lab.verdicts("no-public-address").unwrap();
    let outside = lab.at_router.watch();
    let sender = Sender::instance(&lab, &lab.c);
    for destination in [INTERNET, WEB, DATABASE] {
        sender.send(&Packet::new(C, destination).udp(5, 6, b"let me out"));
    }
    lab.settle().unwrap();
    outside.nothing("a packet", |frame| packet(frame).is_some()).unwrap();
    assert_eq!(lab.verdicts("no-public-address").unwrap() - before, 3);
    // Inside its VPC it lives as before, without the gateway.
    ping(&lab.c, B, &[]);
}
