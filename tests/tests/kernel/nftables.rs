//! The same traffic through the kernel's own one-to-one NAT: the same observations, except where ours is better on
//! purpose and the difference is written down.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use lab::frames::Packet;
use lab::lab::server::{Server, tcp_exchange, udp_exchange};
use lab::lab::{A, B, INTERNET, Lab, Namespace, SOON, Settings, at};

use crate::scene::{Sender, bytes, is_between, packet};

/// Both of the routed pool: the kernel answers ARP for no others.
const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const DATABASE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

type Observations = BTreeMap<String, String>;

/// What users and wires see of a gateway that translates these two instances.
fn observe(lab: &Lab) -> Observations {
    let mut seen = Observations::new();
    let mut note = |what: &str, saw: String| seen.insert(what.to_owned(), saw);
    let web = Server::tcp_echo(&lab.a, 80).unwrap();
    let names = Server::udp_echo(&lab.a, 53).unwrap();
    let (outside, remote) =
        (Server::tcp_echo(&lab.internet, 80).unwrap(), Server::udp_echo(&lab.internet, 53).unwrap());

    let own = tcp_exchange(&lab.internet, at(WEB, 80), 200_000).unwrap();
    note(
        "tcp in: peer",
        format!("{} {}", web.last_peer().unwrap().ip(), own.port() == web.last_peer().unwrap().port()),
    );
    let own = tcp_exchange(&lab.a, at(INTERNET, 80), 200_000).unwrap();
    note(
        "tcp out: peer",
        format!("{} {}", outside.last_peer().unwrap().ip(), own.port() == outside.last_peer().unwrap().port()),
    );
    tcp_exchange(&lab.b, at(WEB, 80), 200_000).unwrap();
    note("tcp hairpin: peer", web.last_peer().unwrap().ip().to_string());
    tcp_exchange(&lab.a, at(WEB, 80), 200_000).unwrap();
    note("tcp to itself: peer", web.last_peer().unwrap().ip().to_string());
    for (name, from, to, server) in [
        ("udp in", &lab.internet, WEB, &names),
        ("udp out", &lab.b, INTERNET, &remote),
        ("udp hairpin", &lab.b, WEB, &names),
    ] {
        let port = udp_exchange(from, at(to, 53), &[7; 3000]).unwrap();
        let peer = server.last_peer().unwrap();
        note(&format!("{name}: peer"), format!("{} {}", peer.ip(), port == peer.port()));
        note(&format!("{name}: closed port"), refusal(from, to));
        note(&format!("{name}: ping"), pings(from, to));
    }
    for method in ["-U", "-I"] {
        note(&format!("traceroute {method} in"), hops(&lab.internet, WEB, method));
        note(&format!("traceroute {method} out"), hops(&lab.a, INTERNET, method));
    }
    for (name, packet) in crafted(INTERNET, WEB) {
        let arrived = crossing(lab, &Sender::internet(lab), &lab.at_a, &packet, (INTERNET, A));
        note(&format!("{name} in"), arrived);
    }
    for (name, packet) in crafted(A, INTERNET) {
        let arrived = crossing(lab, &Sender::instance(lab, &lab.a), &lab.at_internet, &packet, (WEB, INTERNET));
        note(&format!("{name} out"), arrived);
    }
    seen
}

fn crafted(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<(&'static str, Packet)> {
    let packet = || Packet::new(source, destination).id(0x77);
    vec![
        ("protocol 253", packet().protocol(253, b"an experiment")),
        ("esp", packet().esp(7, 1, b"secret")),
        ("udp without checksum", packet().udp_without_checksum(5, 6, b"zero")),
        ("udp with ect and df", packet().tos(2).dont_fragment().udp(5, 6, b"marked")),
        ("udp with a record-route option", packet().options(&[7, 3, 4, 0]).udp(5, 6, b"full")),
        ("sctp data without init", packet().sctp(5, 6, &[0, 3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])),
        ("tcp without flags", packet().tcp(5, 6, b"").flags(0)),
        ("udp-lite", packet().udp_lite(5, 6, 8, b"coverage")),
    ]
}

/// Sends a packet and tells what arrived: its own bytes but for addresses, TTL and checksums; or that nothing did.
fn crossing(
    lab: &Lab,
    sender: &Sender,
    seen_at: &lab::lab::Capture,
    sent: &Packet,
    (source, destination): (Ipv4Addr, Ipv4Addr),
) -> String {
    let watch = seen_at.watch();
    sender.send(sent);
    lab.settle().unwrap();
    let wanted = sent.build();
    let arrived = watch.arrived().into_iter().find(|frame| {
        is_between(frame, source, destination) && packet(frame).is_some_and(|ip| ip.protocol() == wanted[9])
    });
    let Some(frame) = arrived else { return "nothing".into() };
    let found = bytes(&frame).unwrap();
    let ttl = i16::from(wanted[8]) - i16::from(found[8]);
    let kept = found[..8] == wanted[..8] && found[9] == wanted[9];
    format!("ttl -{ttl}, the rest of the header kept: {kept}")
}

/// Whether a socket is told that nothing listens.
fn refusal(from: &Namespace, to: Ipv4Addr) -> String {
    let socket = from.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(at(to, 9)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.send(b"anybody?").unwrap();
    socket.recv(&mut [0; 16]).unwrap_err().kind().to_string()
}

fn pings(from: &Namespace, to: Ipv4Addr) -> String {
    let words = ["ping", "-n", "-c", "2", "-i", "0.05", "-W", "3", "-s", "4000", &to.to_string()];
    let said = from.output(&words, SOON).unwrap().stdout;
    let ttl = said.split("ttl=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("none").to_owned();
    let loss = said.split(", ").find(|part| part.contains("packet loss")).unwrap_or_default();
    format!("ttl {ttl}, {loss}")
}

fn hops(from: &Namespace, to: Ipv4Addr, method: &str) -> String {
    let words = ["traceroute", "-n", "-q", "1", "-w", "3", "-m", "6", method, &to.to_string()];
    let text = from.tell(&words).unwrap();
    text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_kernels_nat_gives_the_same_observations_except_where_ours_is_better() {
    let ours = Lab::new().unwrap();
    ours.daemon.start(Settings::default()).unwrap();
    ours.instance_with("web", A, &WEB.to_string()).unwrap();
    ours.instance_with("database", B, &DATABASE.to_string()).unwrap();
    let by_program = observe(&ours);
    ours.finish().unwrap();

    let theirs = Lab::new().unwrap();
    theirs.translate_by_nftables(&[(WEB, A), (DATABASE, B)]).unwrap();
    let by_kernel = observe(&theirs);
    // The kernel forwards untranslated what its connection tracking calls invalid: the very leak that we exist to
    // avoid, so this lab is not asked whether anything leaked.
    drop(theirs.finish());

    let name = |what: &&String| what.as_str().to_owned();
    let differ: Vec<String> =
        by_program.keys().filter(|what| by_program[*what] != by_kernel[*what]).map(|what| name(&what)).collect();
    let told: Vec<_> =
        differ.iter().map(|what| format!("{what}: {} | {}", by_program[what], by_kernel[what])).collect();
    assert_eq!(differ, DIFFERENCES, "ours | the kernel's:\n{}", told.join("\n"));
}

/// What differs on purpose, in the order of the alphabet.
///
/// - The kernel's connection tracking calls SCTP data without a handshake and TCP without flags invalid, and forwards
///   them untranslated; a translation without state has no such opinion.
/// - It finds UDP-Lite's checksum wrong, because it computes it as UDP's.
/// - It translates the errors of the gateway itself, which appears in a traceroute as the traced address.
const DIFFERENCES: [&str; 8] = [
    "sctp data without init in",
    "sctp data without init out",
    "tcp without flags in",
    "tcp without flags out",
    "traceroute -I in",
    "traceroute -U in",
    "udp-lite in",
    "udp-lite out",
];
