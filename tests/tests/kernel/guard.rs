//! Nothing leaks in any state of the gateway: before it is up, starting, dead, stripped of its program, rewired, detached.
//!
//! Each test throws every kind of packet at the gateway and settles the lab; the captures on the Internet's side do the
//! rest, and fail it on any private address.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lab::frames::{ARP, Arp, Frame, Packet, UDP, fragments, payload};
use lab::lab::server::{Server, tcp_exchange};
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{
    A, B, C, GATEWAY, INSIDE, INTERNET, Lab, Namespace, ON_LINK_POOL, ROUTED_POOL, SOON, Settings, UPSTREAM, Watch, at,
    wait,
};

use crate::scene::{DATABASE, Sender, UNBOUND, WEB, is_between, packet, ping, populate, scene};

/// An address of the VPC that is no instance's, and one of nobody's.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
const FOREIGNER: Ipv4Addr = Ipv4Addr::new(172, 16, 9, 9);

/// One of every kind of packet between two addresses.
fn every_kind(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<Vec<u8>> {
    let packet = || Packet::new(source, destination);
    let answered = Packet::new(destination, source).udp(7, 7, b"the other way").build();
    let odd = Packet::new(INTERNET, FOREIGNER).udp(7, 7, b"of nobody").build();
    let large = packet().udp(5, 6, &[7; 4000]).build();
    let mut all: Vec<Vec<u8>> = [
        packet().tcp(5, 6, b"data"),
        packet().tcp(5, 6, b"").flags(0),
        packet().tcp(5, 6, b"").flags(4),
        packet().tcp(5, 6, b"").flags(0xff),
        packet().udp(5, 6, b"data"),
        packet().udp_without_checksum(5, 6, b"data"),
        packet().udp_lite(5, 6, 0, b"data"),
        packet().dccp(5, 6, b"data"),
        packet().sctp(5, 6, b""),
        packet().gre(0x0800, &answered),
        packet().esp(1, 1, b"data"),
        packet().ah(17, 1, b"data"),
        packet().protocol(253, b"data"),
        packet().protocol(0, b""),
        packet().echo(1, 1, b"data"),
        packet().echo_reply(1, 1, b"data"),
        packet().timestamp(1, 1),
        packet().icmp(5, 1, UPSTREAM.octets(), &answered),
        packet().icmp(17, 0, [0; 4], &[0; 4]),
        packet().icmp(42, 0, [0; 4], b""),
        packet().icmp_error(3, 3, [0; 4], &answered, 28),
        packet().icmp_error(11, 0, [0; 4], &answered, 548),
        packet().icmp_error(3, 3, [0; 4], &odd, 28),
        packet().too_big(1280, &answered, 28),
        packet().icmp_error(3, 1, [0; 4], b"cut", 3),
        packet().udp(5, 6, b"last hop").ttl(1),
        packet().udp(5, 6, b"no hop").ttl(0),
        packet().udp(5, 6, b"options").options(&[0x94, 4, 0, 0]),
        packet().udp(5, 6, b"source route").options(&[0x83, 7, 4, 192, 0, 2, 10]),
        packet().udp(5, 6, b"too long").total_length(1500),
        packet().udp(5, 6, b"too short").total_length(10),
        packet().udp(5, 6, b"bad header").header_checksum(0x1234),
        packet().udp(5, 6, &[1; 1400]).dont_fragment(),
        packet().tcp(5, 6, &[1; 8]).more_fragments(),
        packet().udp(5, 6, b"later").fragment_offset(100),
    ]
    .iter()
    .map(Packet::build)
    .collect();
    all.extend(fragments(&large, 1500));
    all
}

/// Everything, from everybody inside to everybody, under true and false names, and from outside to everybody inside.
fn throw_everything(lab: &Lab) {
    throw_from_inside(lab, &[A, STRANGER, FOREIGNER, WEB, INTERNET]);
    let sender = Sender::router(lab);
    for source in [INTERNET, UPSTREAM, WEB, A] {
        for destination in [WEB, UNBOUND, DATABASE, GATEWAY, INSIDE, A, C, STRANGER] {
            every_kind(source, destination).iter().for_each(|packet| sender.send_bytes(packet));
        }
    }
    ask_for_private_addresses(lab);
    lab.settle().unwrap();
}

/// Everything from the instances to everybody, and from `a` under other names too.
fn throw_from_inside(lab: &Lab, names_of_a: &[Ipv4Addr]) {
    // What is sent with wrong checksums arrives with wrong ones.
    lab.allow_wrong_checksums();
    let places = [INTERNET, UPSTREAM, WEB, UNBOUND, DATABASE, GATEWAY, INSIDE, FOREIGNER, B];
    for (namespace, sources) in [(&lab.a, names_of_a), (&lab.b, &[B]), (&lab.c, &[C])] {
        let sender = Sender::instance(lab, namespace);
        for (source, destination) in sources.iter().flat_map(|source| places.map(|place| (*source, place))) {
            every_kind(source, destination).iter().for_each(|packet| sender.send_bytes(packet));
        }
        let mac = namespace.mac("eth0").unwrap();
        for target in [INSIDE, GATEWAY, UPSTREAM, WEB] {
            sender.send_frame(&Frame::new(mac, [0xff; 6]).arp(&Arp::request(mac, A, target)).padded());
        }
        for tags in [&[7][..], &[100, 7]] {
            sender.send_frame(&sender.frame().tags(tags).ip(&Packet::new(A, INTERNET).udp(5, 6, b"tagged")));
        }
    }
    lab.settle().unwrap();
}

/// By ARP from outside, for addresses that only the inside knows.
fn ask_for_private_addresses(lab: &Lab) {
    let sender = Sender::router(lab);
    let mac = lab.router.mac("gate0").unwrap();
    for target in [INSIDE, A, C] {
        sender.send_frame(&Frame::new(mac, [0xff; 6]).arp(&Arp::request(mac, UPSTREAM, target)).padded());
    }
}

/// How many packets reached the router that the gateway did not say in its own name.
fn packets_out(since: &Watch<'_>) -> usize {
    let forwarded = |frame: &&Vec<u8>| packet(frame).is_some_and(|ip| ip.source() != GATEWAY);
    since.arrived().iter().filter(forwarded).count()
}

#[test]
fn t40_nothing_leaks_while_it_serves() {
    let lab = scene();
    let watch = lab.at_router.watch();
    throw_everything(&lab);
    assert!(packets_out(&watch) > 50, "what is bound still gets out");
    // The gateway is none the worse for it.
    ping(&lab.internet, WEB, &[]);
    ping(&lab.a, INTERNET, &[]);
}

/// Without the gateway the host is a host like any other: it forwards nothing. What it says in its own name is held by
/// the guard that is loaded at boot.
#[test]
fn nothing_is_forwarded_before_the_daemon_is_up() {
    let lab = Lab::new().unwrap();
    let watch = lab.at_router.watch();
    throw_from_inside(&lab, &[A]);
    assert_eq!(packets_out(&watch), 0);
}

#[test]
fn nothing_leaks_behind_the_boot_guard_even_if_the_kernel_forwards() {
    let lab = Lab::new().unwrap();
    lab.gateway.sysctl("net.ipv4.ip_forward", "1").unwrap();
    let binary = lab::lab::daemon::binary();
    let links = ["--uplink", "up0", "--downlink", "down0", "--pool", ROUTED_POOL, "--pool", ON_LINK_POOL];
    let words = [&[binary.as_str(), "guard", "--allow-reserved-pools"][..], &links].concat();
    lab.gateway.tell(&words).unwrap();
    let watch = lab.at_router.watch();
    throw_everything(&lab);
    assert_eq!(packets_out(&watch), 0);
    // The daemon takes over from there, and its guard is not replaced by the lesser one.
    lab.daemon.start(Settings::default()).unwrap();
    populate(&lab);
    ping(&lab.internet, WEB, &[]);
    let refused = lab.gateway.output(&words, SOON).unwrap();
    assert!(refused.code() == 1 && refused.stderr.contains("nothing was changed"), "{refused}");
    ping(&lab.a, INTERNET, &[]);
}

#[test]
fn nothing_leaks_while_the_daemon_starts() {
    let lab = Lab::new().unwrap();
    let sender = Sender::instance(&lab, &lab.a);
    let (up, packets) = (AtomicBool::new(false), every_kind(A, INTERNET));
    lab.allow_wrong_checksums();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !up.load(Ordering::SeqCst) {
                packets.iter().for_each(|packet| sender.send_bytes(packet));
            }
        });
        let _ended = RaisedAtEnd(&up);
        lab.daemon.start(Settings::default()).unwrap();
        populate(&lab);
    });
    throw_everything(&lab);
    ping(&lab.a, INTERNET, &[]);
}

#[test]
fn nothing_leaks_and_nothing_stops_while_the_daemon_is_dead() {
    let lab = scene();
    lab.daemon.kill().unwrap();
    throw_everything(&lab);
    lab.gateway.forget_neighbours("up0").unwrap();
    lab.gateway.forget_neighbours("down0").unwrap();
    throw_everything(&lab);
    let _web = Server::tcp_echo(&lab.a, 80).unwrap();
    tcp_exchange(&lab.internet, at(WEB, 80), 100_000).unwrap();
    tcp_exchange(&lab.b, at(WEB, 80), 100_000).unwrap();
    lab.daemon.restart().unwrap();
    throw_everything(&lab);
    ping(&lab.a, INTERNET, &[]);
}

#[test]
fn a_restart_of_the_daemon_loses_no_packet() {
    let lab = scene();
    let words = ["ping", "-n", "-i", "0.005", "-c", "400", "-W", "2", "203.0.113.1"];
    let ping = lab.internet.spawn(&words).unwrap();
    for count in [50, 150, 250] {
        ping.wait_to_say(&format!("icmp_seq={count} "), SOON).unwrap();
        lab.daemon.kill().unwrap();
        lab.daemon.restart().unwrap();
    }
    let finished = ping.finish(Duration::from_secs(30)).unwrap();
    assert!(finished.stdout.contains(" 0% packet loss"), "{finished}");
}

/// Removes every pin, and with them the program, as no daemon holds them. A bpffs has entries of the kernel's own,
/// which stay.
fn strip(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            strip(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

/// A gateway whose program is gone, with nobody there to notice, and a kernel that would forward if it were let.
fn stripped() -> Lab {
    let lab = scene();
    lab.daemon.kill().unwrap();
    strip(&lab.daemon.maps());
    let gone = || {
        let shown = lab.gateway.tell(&["ip", "link", "show"]).ok()?;
        (!shown.contains("xdp")).then_some(())
    };
    wait::until("the program to go", SOON, gone).unwrap();
    assert_eq!(lab.gateway.sysctl_of("net.ipv4.ip_forward").unwrap(), "1");
    lab
}

#[test]
fn nothing_leaks_when_the_program_is_taken_away() {
    let lab = stripped();
    let watch = lab.at_router.watch();
    throw_from_inside(&lab, &[A, STRANGER, FOREIGNER, INTERNET]);
    ask_for_private_addresses(&lab);
    lab.settle().unwrap();
    assert_eq!(packets_out(&watch), 0);
    lab.daemon.restart().unwrap();
    ping(&lab.internet, WEB, &[]);
}

#[test]
fn invariant_11_a_forged_public_source_does_not_leave_when_the_program_is_taken_away() {
    let lab = stripped();
    let watch = lab.at_router.watch();
    let sender = Sender::instance(&lab, &lab.b);
    sender.send(&Packet::new(WEB, INTERNET).udp(5, 6, b"as somebody else"));
    lab.settle().unwrap();
    assert_eq!(packets_out(&watch), 0);
}

#[test]
fn nothing_leaks_by_an_interface_made_anew_while_the_daemon_is_dead() {
    let lab = scene();
    lab.daemon.kill().unwrap();
    lab.replace_transit().unwrap();
    throw_everything(&lab);
    lab.daemon.restart().unwrap();
    reached(&lab.internet, WEB, SOON);
    reached(&lab.a, INTERNET, SOON);
}

fn reached(from: &Namespace, to: Ipv4Addr, within: Duration) {
    let words = ["ping", "-n", "-c", "1", "-W", "1", &to.to_string()];
    let answered = || from.output(&words, SOON).ok().filter(|ping| ping.success());
    wait::until(&format!("an answer from {to}"), within, answered).unwrap();
}

#[test]
fn an_interface_made_anew_is_attached_within_a_second_and_fails_closed_until_then() {
    let lab = scene();
    let sender = Sender::instance(&lab, &lab.a);
    let (stop, packets) = (AtomicBool::new(false), every_kind(A, INTERNET));
    lab.allow_wrong_checksums();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                packets.iter().for_each(|packet| sender.send_bytes(packet));
            }
        });
        let _ended = RaisedAtEnd(&stop);
        lab.replace_transit().unwrap();
        let attached = || {
            let shown = lab.gateway.tell(&["ip", "link", "show", "up0"]).ok()?;
            shown.contains(" xdp ").then_some(())
        };
        let outcome = wait::until("the program on the new interface", Duration::from_secs(1), attached);
        outcome.unwrap();
    });
    reached(&lab.internet, WEB, SOON);
    reached(&lab.a, INTERNET, SOON);
    reached(&lab.internet, DATABASE, SOON);
    throw_everything(&lab);
}

#[test]
fn an_interface_that_comes_late_is_attached_when_it_comes() {
    let lab = Lab::new().unwrap();
    lab.remove_transit().unwrap();
    lab.daemon.start(Settings::default()).unwrap();
    populate(&lab);
    lab.replace_transit().unwrap();
    reached(&lab.internet, WEB, SOON);
    reached(&lab.a, INTERNET, SOON);
}

#[test]
fn detaching_stops_traffic_leaks_nothing_and_restores_the_host() {
    let lab = Lab::new().unwrap();
    let keys = [
        "net.ipv4.ip_forward",
        "net.ipv4.conf.all.rp_filter",
        "net.ipv4.conf.all.send_redirects",
        "net.ipv4.conf.up0.rp_filter",
        "net.ipv4.conf.down0.send_redirects",
        "net.ipv4.conf.up0.arp_ignore",
    ];
    let settings = || keys.map(|key| lab.gateway.sysctl_of(key).unwrap());
    lab.gateway.sysctl("net.ipv4.conf.up0.rp_filter", "1").unwrap();
    let before = settings();
    lab.daemon.start(Settings::default()).unwrap();
    populate(&lab);
    assert_ne!(settings(), before);
    lab.daemon.terminate().unwrap();
    reached(&lab.internet, WEB, SOON);

    let said = lab.daemon.detach().unwrap();
    assert!(said.contains("XDP program") && said.contains("nftables"), "{said}");
    assert_eq!(settings(), before, "{said}");
    assert!(!lab.gateway.tell(&["ip", "link", "show"]).unwrap().contains("xdp"));
    assert_eq!(lab.gateway.tell(&["nft", "list", "tables"]).unwrap(), "");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&lab.directory.display().to_string()), "{mounts}");
    let watch = lab.at_router.watch();
    throw_from_inside(&lab, &[A]);
    assert_eq!(packets_out(&watch), 0);
}

#[test]
fn t60_the_gateways_own_addresses_are_reached_from_both_sides() {
    let lab = scene();
    let speaker = Server::tcp_echo(&lab.gateway, 179).unwrap();
    tcp_exchange(&lab.router, at(GATEWAY, 179), 10_000).unwrap();
    tcp_exchange(&lab.internet, at(GATEWAY, 179), 10_000).unwrap();
    tcp_exchange(&lab.a, at(INSIDE, 179), 10_000).unwrap();
    assert_eq!(speaker.last_peer().unwrap().ip(), &A, "the gateway itself is told who asks");
    for (from, to) in [(&lab.router, GATEWAY), (&lab.internet, GATEWAY), (&lab.a, INSIDE), (&lab.c, INSIDE)] {
        ping(from, to, &[]);
    }
    ping(&lab.gateway, INTERNET, &[]);
    ping(&lab.gateway, A, &[]);
}

#[test]
fn t60_ipv6_passes_untouched() {
    let lab = scene();
    for (from, to, interface) in [(&lab.router, &lab.gateway, "up0"), (&lab.a, &lab.gateway, "down0")] {
        let shown = to.tell(&["ip", "-o", "-6", "addr", "show", "dev", interface, "scope", "link"]).unwrap();
        let address = shown.split_whitespace().nth(3).and_then(|words| words.split('/').next()).unwrap().to_owned();
        let own = if interface == "up0" { "gate0" } else { "eth0" };
        let reached = || from.output(&["ping", "-6", "-c", "1", "-W", "1", &format!("{address}%{own}")], SOON).ok();
        wait::until("an answer by IPv6", SOON, || reached().filter(|ping| ping.success())).unwrap();
    }
    assert!(lab.verdicts("pass-ipv6").unwrap() > 0);
}

#[test]
fn t41_an_unbound_pool_address_is_not_sent_back() {
    let lab = scene();
    let watch = lab.at_router.watch();
    let before = lab.verdicts("unbound-address").unwrap();
    Sender::internet(&lab).send(&Packet::new(INTERNET, UNBOUND).udp(5, 6, b"anybody?"));
    Sender::instance(&lab, &lab.a).send(&Packet::new(A, UNBOUND).udp(5, 6, b"anybody?"));
    lab.settle().unwrap();
    watch.nothing("the packet again", |frame| is_between(frame, INTERNET, UNBOUND)).unwrap();
    watch.nothing("a hairpin outside", |frame| is_between(frame, WEB, UNBOUND)).unwrap();
    assert_eq!(lab.verdicts("unbound-address").unwrap() - before, 2);
}

#[test]
fn t46_t55_spoofed_and_martian_sources_are_dropped_with_their_reason() {
    let lab = scene();
    let sender = Sender::router(&lab);
    let at_a = lab.at_a.watch();
    for (source, reason) in [
        (DATABASE, "spoofed-source"),
        (WEB, "spoofed-source"),
        (GATEWAY, "spoofed-source"),
        (A, "martian-source"),
        (Ipv4Addr::new(127, 0, 0, 1), "martian-source"),
        (Ipv4Addr::new(100, 64, 0, 1), "martian-source"),
        (Ipv4Addr::new(224, 0, 0, 5), "martian-source"),
    ] {
        let before = lab.verdicts(reason).unwrap();
        sender.send(&Packet::new(source, WEB).udp(5, 6, b"spoofed"));
        lab.settle().unwrap();
        let all = lab.daemon.map(&["counters"]).unwrap();
        assert_eq!(lab.verdicts(reason).unwrap() - before, 1, "{source} in {all}");
    }
    let inside = Sender::instance(&lab, &lab.a);
    let before = lab.verdicts("unknown-source").unwrap();
    inside.send(&Packet::new(STRANGER, INTERNET).udp(5, 6, b"spoofed"));
    inside.send(&Packet::new(WEB, INTERNET).udp(5, 6, b"spoofed"));
    lab.settle().unwrap();
    assert_eq!(lab.verdicts("unknown-source").unwrap() - before, 2);
    at_a.nothing("a spoofed packet", |frame| packet(frame).is_some_and(|ip| ip.protocol() == UDP)).unwrap();
}

#[test]
fn private_addresses_are_not_answered_for_on_the_uplink() {
    let lab = scene();
    let watch = lab.at_router.watch();
    ask_for_private_addresses(&lab);
    Sender::router(&lab).send(&Packet::new(INTERNET, INSIDE).echo(1, 1, b"are you there?"));
    Sender::router(&lab).send(&Packet::new(UPSTREAM, A).echo(1, 1, b"are you there?"));
    lab.settle().unwrap();
    watch
        .nothing("an answer for a private address", |frame| {
            payload(frame).is_some_and(|(kind, at)| kind == ARP && frame[at + 14] == 10)
                || packet(frame).is_some_and(|ip| ip.source().octets()[0] == 10)
        })
        .unwrap();
}
