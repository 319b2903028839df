//! Next hops follow the network: under a stream of numbered datagrams something changes that the kernel knows of, and
//! soon every datagram goes the new way, and none ever goes a third.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::frames::{Arp, Frame, Mac, Packet};
use lab::lab::leak::Watchfulness;
use lab::lab::wait::{self, RaisedAtEnd, locked};
use lab::lab::{
    A, B, Capture, Direction, INTERNET, Lab, Namespace, SECOND_UPSTREAM, SOON, Settings, UPSTREAM, Watch, Wire, at,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::faults::strace::meddle;
use crate::scene::{Sender, WEB, is_between, packet, populate, scene};

/// What is promised from the moment the kernel knows.
const PROMISED: Duration = Duration::from_millis(100);

/// A lab with two ways to the Internet, serving.
fn two_uplinks() -> Lab {
    let lab = Lab::builder().second_uplink().build().unwrap();
    let uplinks = vec!["up0".into(), "up1".into()];
    lab.daemon.start(Settings { uplinks, ..Settings::default() }).unwrap();
    populate(&lab);
    lab
}

fn next_hops(lab: &Lab) -> Value {
    lab.daemon.json(&["status"]).unwrap()["data_plane"]["next_hops"].take()
}

/// Waits until this many next hops are used without asking the kernel, and all are.
fn all_ready(lab: &Lab, count: u64) {
    let ready = || {
        let hops = next_hops(lab);
        (hops["ready"] == count && hops["asked"] == 0).then_some(())
    };
    wait::until("next hops to be ready", SOON, ready).unwrap_or_else(|error| panic!("{error}: {}", next_hops(lab)));
}

/// Waits until the kernel is asked about at least one packet for this reason.
fn asked_because(lab: &Lab, reason: &str) {
    wait::until(reason, SOON, || next_hops(lab)["not_ready"].to_string().contains(reason).then_some(()))
        .unwrap_or_else(|error| panic!("{error}: {}", next_hops(lab)));
}

/// Datagrams with numbers, one every millisecond or so.
struct Stream {
    stop: AtomicBool,
    sent: Mutex<Vec<Instant>>,
}

const MARK: &[u8] = b"numbered";

impl Stream {
    fn run(&self, from: &Namespace, to: Ipv4Addr) {
        let socket = from.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1000))).unwrap();
        socket.connect(at(to, 9)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        while !self.stop.load(Ordering::SeqCst) {
            let mut sent = locked(&self.sent);
            let number = (sent.len() as u64).to_be_bytes();
            sent.push(Instant::now());
            drop(sent);
            // A sender whose link is being changed may be refused; the datagram counts as lost.
            let _ = socket.send(&[MARK, &number].concat());
            let _ = socket.recv(&mut [0; 64]);
        }
    }
}

/// The number of one of our datagrams.
fn number(frame: &[u8]) -> Option<usize> {
    let ip = packet(frame)?;
    let data = ip.payload().get(8..)?.strip_prefix(MARK)?;
    Some(u64::from_be_bytes(*data.first_chunk()?) as usize)
}

/// Where a datagram belongs: a capture, and what is right about the frame.
type Place<'a> = (&'a Capture, &'a (dyn Fn(&[u8]) -> bool + Sync));

/// Numbers that arrived at a place since the watch began.
fn arrived(watch: &Watch<'_>, right: &dyn Fn(&[u8]) -> bool) -> BTreeSet<usize> {
    let frames = watch.all().into_iter().filter(|seen| seen.direction == Direction::In && right(&seen.frame));
    frames.filter_map(|seen| number(&seen.frame)).collect()
}

struct Under<'a> {
    lab: &'a Lab,
    stream: &'a Stream,
    /// Where no datagram may ever be seen.
    nowhere: Vec<Watch<'a>>,
}

impl Under<'_> {
    /// Waits until the stream arrives at a place.
    fn flows(&self, (capture, right): Place<'_>) {
        let watch = capture.watch();
        watch.arrives("the stream", |frame| number(frame).is_some() && right(frame)).unwrap();
    }

    /// Does something after which the stream must go from one place to another, and does; answers how long that took.
    #[track_caller]
    fn moves(&self, what: &str, from: Place<'_>, to: Place<'_>, change: impl FnOnce()) -> Duration {
        self.flows(from);
        let (before, after) = (from.0.watch(), to.0.watch());
        change();
        let known = Instant::now();
        let sent_since = |number: usize| locked(&self.stream.sent)[number].checked_duration_since(known);
        let is_after = |frame: &[u8]| (to.1)(frame) && number(frame).is_some_and(|number| sent_since(number).is_some());
        after.arrives("a datagram sent after the change", is_after).unwrap();
        // A good while of it going right.
        let enough = locked(&self.stream.sent).len() + 100;
        after.arrives("more of them", |frame| (to.1)(frame) && number(frame) >= Some(enough)).unwrap();
        let right = arrived(&after, to.1);
        let first = right.iter().copied().find(|number| sent_since(*number).is_some()).unwrap();
        // Until the last one that did not go right: where none was sent for a while, because this machine is busy,
        // nobody knows how long it took.
        let took = first.checked_sub(1).and_then(sent_since).unwrap_or_default();
        println!("{what}: {took:?} after the change was known (promised: {PROMISED:?})");
        assert!(took <= PROMISED, "{what}: {took:?}");
        let missing: Vec<usize> = (first..enough).filter(|number| !right.contains(number)).collect();
        // One that was on its way when the first came by may have gone the old way.
        assert!(missing.len() <= 2, "{what}: lost after it went right: {missing:?}");
        let astray = arrived(&before, from.1);
        let late = astray.range(first + 3..).count();
        assert_eq!(late, 0, "{what}: went the old way after the first went the new");
        for watch in &self.nowhere {
            watch.nothing("a datagram of the stream", |frame| number(frame).is_some()).unwrap();
        }
        assert!(self.lab.leaks().is_empty());
        took
    }
}

/// Runs `test` under a stream.
fn under<'a>(lab: &'a Lab, from: &Namespace, to: Ipv4Addr, nowhere: &[&'a Capture], test: impl FnOnce(&Under<'_>)) {
    let _sink = lab.internet.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 9))).unwrap();
    let _other = lab.a.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 9))).unwrap();
    let stream = Stream { stop: AtomicBool::new(false), sent: Mutex::default() };
    thread::scope(|scope| {
        scope.spawn(|| stream.run(from, to));
        let ended = RaisedAtEnd(&stream.stop);
        test(&Under { lab, stream: &stream, nowhere: nowhere.iter().map(|capture| capture.watch()).collect() });
        drop(ended);
    });
}

fn is_to(mac: Mac) -> impl Fn(&[u8]) -> bool + Sync {
    move |frame| frame[..6] == mac
}

/// Says unasked that an address is at the interface's MAC now.
fn announce(host: &Namespace, interface: &str, address: Ipv4Addr) {
    let wire = Wire::sender(host, interface).unwrap();
    let claim = Frame::new(wire.mac, [0xff; 6]).arp(&Arp::request(wire.mac, address, address)).padded();
    wire.send(&claim.build()).unwrap();
}

const MOVED: Mac = [2, 0, 0, 0, 0x0a, 0x0a];

/// The instance takes another MAC under a stream to it, and says so.
fn an_instance_moves(lab: &Lab) {
    let old = lab.a.mac("eth0").unwrap();
    under(lab, &lab.internet, WEB, &[&lab.at_b, &lab.at_c], |stream| {
        stream.moves("an instance's MAC", (&lab.at_a, &is_to(old)), (&lab.at_a, &is_to(MOVED)), || {
            lab.a.ip("link set eth0 address 02:00:00:00:0a:0a\n").unwrap();
            announce(&lab.a, "eth0", A);
        });
    });
}

#[test]
fn an_instance_that_moves_is_followed_under_load() {
    let lab = scene();
    all_ready(&lab, 3);
    an_instance_moves(&lab);
    all_ready(&lab, 3);
    lab.finish().unwrap();
}

#[test]
fn a_router_whose_mac_changes_is_followed_under_load() {
    let lab = scene();
    all_ready(&lab, 3);
    let old = lab.router.mac("gate0").unwrap();
    under(&lab, &lab.a, INTERNET, &[&lab.at_b, &lab.at_c], |stream| {
        stream.moves("the router's MAC", (&lab.at_router, &is_to(old)), (&lab.at_router, &is_to(MOVED)), || {
            lab.router.ip("link set gate0 address 02:00:00:00:0a:0a\n").unwrap();
            announce(&lab.router, "gate0", UPSTREAM);
        });
    });
    lab.finish().unwrap();
}

/// The capture at the second router, held to what every capture outside is held to.
fn at_second(lab: &Lab) -> Capture {
    let outside = Watchfulness { addresses: true, checksums: true };
    Capture::start("second (gate0)", &lab.second, "gate0", outside).unwrap()
}

fn ours(frame: &[u8]) -> bool {
    is_between(frame, WEB, INTERNET)
}

#[test]
fn the_way_to_the_internet_changes_under_load() {
    let lab = two_uplinks();
    let at_second = at_second(&lab);
    all_ready(&lab, 3);
    let (first, second): (Place<'_>, Place<'_>) = ((&lab.at_router, &ours), (&at_second, &ours));
    under(&lab, &lab.a, INTERNET, &[&lab.at_a, &lab.at_b, &lab.at_c], |stream| {
        let ip = |lines: &str| lab.gateway.ip(lines).unwrap();
        stream.moves("another default route", first, second, || {
            ip("route replace default via 203.0.113.129\n");
        });
        stream.moves("the default route back", second, first, || ip("route replace default via 198.51.100.1\n"));
        stream.moves("a more specific route", first, second, || ip("route add 192.0.2.0/25 via 203.0.113.129\n"));
        stream.moves("the more specific route gone", second, first, || ip("route del 192.0.2.0/25\n"));
        // Objects that routes name change without a word about the route.
        let object = "nexthop add id 7 via 203.0.113.129 dev up1\nroute replace default nhid 7\n";
        stream.moves("a route by a next-hop object", first, second, || ip(object));
        stream.moves("that object changed", second, first, || ip("nexthop replace id 7 via 198.51.100.1 dev up0\n"));
        ip("route replace default via 198.51.100.1\nnexthop del id 7\n");
        // Another uplink to fall back to.
        ip("route add default via 203.0.113.129 metric 100\n");
        all_ready(&lab, 3);
        stream.moves("an uplink down", first, second, || ip("link set up0 down\n"));
        let routes = lab.gateway.tell(&["ip", "route", "show", "default"]).unwrap();
        assert!(!routes.contains("up0"), "{routes}");
        stream.moves("the uplink up again", second, first, || {
            ip("link set up0 up\nroute add default via 198.51.100.1\n");
        });
    });
    assert!(at_second.leaks().is_empty(), "{:?}", at_second.leaks());
    lab.finish().unwrap();
}

/// Does something while the daemon is busy with an import of many pairs: its disk is slow.
fn during_an_import(lab: &Lab, during: impl FnOnce()) {
    let pair = |index: u32| {
        let [public, private] = [MANY, ELSEWHERE].map(|first| Ipv4Addr::from(first.to_bits() + index));
        format!("{public},{private}\n")
    };
    let path = lab.directory.join("pairs.csv").display().to_string();
    fs::write(&path, (0..20_000).map(pair).collect::<String>()).unwrap();
    let _slow = meddle(lab, "fdatasync,fsync:delay_enter=8s:when=1");
    let log = lab.daemon.state().join("state.db-wal");
    let written = || fs::metadata(&log).map_or(0, |file| file.len());
    let before = written();
    thread::scope(|scope| {
        let words = ["import", "--as", "ordinary", &path];
        let import = scope.spawn(move || lab.daemon.cli_within(&words, Duration::from_secs(300)).unwrap());
        wait::until("the transaction to be written", SOON, || (written() > before + (1 << 20)).then_some(())).unwrap();
        during();
        assert!(!import.is_finished(), "the import ended before what was to happen meanwhile");
        let imported = import.join().unwrap();
        assert!(imported.success(), "{imported}");
    });
}

/// Where those pairs begin.
const MANY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);

#[test]
fn a_daemon_that_is_busy_with_an_import_follows_the_network_all_the_same() {
    let lab = Lab::builder().second_uplink().build().unwrap();
    let mut settings = Settings { uplinks: vec!["up0".into(), "up1".into()], ..Settings::default() };
    settings.pools.push(format!("{MANY}/17"));
    lab.daemon.start(settings).unwrap();
    populate(&lab);
    let at_second = at_second(&lab);
    all_ready(&lab, 3);
    let ip = |lines: &str| lab.gateway.ip(lines).unwrap();
    let (first, second): (Place<'_>, Place<'_>) = ((&lab.at_router, &ours), (&at_second, &ours));
    during_an_import(&lab, || {
        under(&lab, &lab.a, INTERNET, &[&lab.at_a, &lab.at_b, &lab.at_c], |stream| {
            stream.moves("another default route", first, second, || ip("route replace default via 203.0.113.129\n"));
            stream.moves("a route of its own", second, first, || ip("route add 192.0.2.0/25 via 198.51.100.1\n"));
        });
        an_instance_moves(&lab);
    });
    // And then it makes ready what is true.
    all_ready(&lab, 3);
    assert!(at_second.leaks().is_empty(), "{:?}", at_second.leaks());
    lab.finish().unwrap();
}

#[test]
fn several_equal_ways_are_the_kernels_to_choose() {
    let lab = two_uplinks();
    let at_second = at_second(&lab);
    all_ready(&lab, 3);
    // Not a second default route of another metric, but one by two ways.
    let both = format!("route replace default nexthop via {UPSTREAM} nexthop via {SECOND_UPSTREAM}\n");
    let sender = Sender::instance(&lab, &lab.a);
    let (at_first, at_other) = (lab.at_router.watch(), at_second.watch());
    let send_many = || {
        let send = |last| sender.send(&Packet::new(A, Ipv4Addr::new(192, 0, 2, last)).udp(5, 6, b"many"));
        (20..84).for_each(send);
    };
    let from_web = |frame: &[u8]| packet(frame).is_some_and(|ip| ip.source() == WEB);
    send_many();
    lab.settle().unwrap();
    at_other.nothing("a packet while there is one way", from_web).unwrap();
    lab.gateway.ip(&both).unwrap();
    asked_because(&lab, "its route has several next hops");
    send_many();
    at_other.arrives("a part of the packets", from_web).unwrap();
    at_first.arrives("the other part", from_web).unwrap();
    // One way again.
    lab.gateway.ip("route replace default via 203.0.113.129\n").unwrap();
    all_ready(&lab, 3);
    lab.settle().unwrap();
    let at_first = lab.at_router.watch();
    send_many();
    lab.settle().unwrap();
    at_first.nothing("a packet by the old way", from_web).unwrap();
    assert!(at_second.leaks().is_empty());
    lab.finish().unwrap();
}

#[test]
fn one_of_two_equal_ways_goes_under_load() {
    let lab = two_uplinks();
    let at_second = at_second(&lab);
    all_ready(&lab, 3);
    let ip = |lines: &str| lab.gateway.ip(lines).unwrap();
    let both = format!("route replace default nexthop via {UPSTREAM} nexthop via {SECOND_UPSTREAM}\n");
    ip(&both);
    asked_because(&lab, "its route has several next hops");
    let (first, second): (Place<'_>, Place<'_>) = ((&lab.at_router, &ours), (&at_second, &ours));
    let watches = (first.0.watch(), second.0.watch());
    under(&lab, &lab.a, INTERNET, &[&lab.at_a, &lab.at_b, &lab.at_c], |stream| {
        // The kernel chooses by addresses, so the stream keeps to one of them.
        let by_first = wait::until("the stream by one of two ways", SOON, || {
            let seen = (!arrived(&watches.0, first.1).is_empty(), !arrived(&watches.1, second.1).is_empty());
            assert_ne!(seen, (true, true), "by both ways");
            (seen.0 || seen.1).then_some(seen.0)
        })
        .unwrap();
        let (uplink, from, to) = if by_first { ("up0", first, second) } else { ("up1", second, first) };
        stream.moves("one of two equal ways down", from, to, || ip(&format!("link set {uplink} down\n")));
        stream.moves("two equal ways again", to, from, || ip(&format!("link set {uplink} up\n{both}")));
    });
    assert!(at_second.leaks().is_empty(), "{:?}", at_second.leaks());
    lab.finish().unwrap();
}

#[test]
fn packets_use_what_is_ready_without_asking() {
    let lab = scene();
    all_ready(&lab, 3);
    let pid = Pid::from_raw(lab.daemon.pid().unwrap());
    let (outside, watch) = (Sender::internet(&lab), lab.at_a.watch());
    let old = lab.a.mac("eth0").unwrap();
    let send = |id| outside.send(&Packet::new(INTERNET, WEB).id(id).udp(5, 6, b"by which way"));
    let arrives = |id: u16, mac: Mac| {
        let what = format!("packet {id:#x}");
        let frame = watch.arrives(&what, |frame| packet(frame).is_some_and(|ip| ip.0[4..6] == id.to_be_bytes()));
        assert_eq!(frame.unwrap()[..6], mac, "{what}");
    };
    // While the daemon sleeps nobody tells the program that the kernel believes something else now.
    kill(pid, Signal::SIGSTOP).unwrap();
    let elsewhere = "neigh replace 10.0.0.11 lladdr 02:00:00:00:0a:0a dev down0 nud permanent\n";
    lab.gateway.ip(elsewhere).unwrap();
    send(0x501);
    arrives(0x501, old);
    kill(pid, Signal::SIGCONT).unwrap();
    let mut id = 0x501;
    wait::until("the program to hear of it", SOON, || {
        id += 1;
        send(id);
        let frame = watch.arrives("it", |frame| packet(frame).is_some_and(|ip| ip.0[4..6] == id.to_be_bytes()));
        (frame.unwrap()[..6] == MOVED).then_some(())
    })
    .unwrap();
    lab.finish().unwrap();
}

#[test]
fn what_a_killed_daemon_left_is_corrected_by_the_next() {
    let lab = scene();
    all_ready(&lab, 3);
    lab.daemon.kill().unwrap();
    lab.gateway.ip("neigh replace 10.0.0.11 lladdr 02:00:00:00:0a:0a dev down0 nud permanent\n").unwrap();
    lab.daemon.restart().unwrap();
    all_ready(&lab, 3);
    let watch = lab.at_a.watch();
    Sender::internet(&lab).send(&Packet::new(INTERNET, WEB).id(0x601).udp(5, 6, b"after"));
    let frame = watch.arrives("it", |frame| packet(frame).is_some_and(|ip| ip.0[4..6] == [6, 1])).unwrap();
    assert_eq!(frame[..6], MOVED);
    // And what is right is taken over, without a binding changing its element: the sum stays as it is.
    lab.daemon.terminate().unwrap();
    lab.daemon.restart().unwrap();
    all_ready(&lab, 3);
    lab.finish().unwrap();
}

#[test]
fn instances_behind_one_router_share_a_next_hop() {
    let lab = scene();
    all_ready(&lab, 3);
    // As if `b` were a router to more instances.
    lab.gateway.ip(&format!("route add 10.1.0.0/16 via {B} dev down0\n")).unwrap();
    for (name, last) in [("one", 1), ("two", 2), ("three", 3)] {
        lab.instance(name, Ipv4Addr::new(10, 1, 0, last)).unwrap();
    }
    all_ready(&lab, 3);
    // And then they are moved behind `c`, whose element is a new one.
    let public = lab.public_ip("two").unwrap().unwrap();
    let (at_b, at_c) = (lab.at_b.watch(), lab.at_c.watch());
    let outside = Sender::internet(&lab);
    let is_two = |frame: &[u8]| is_between(frame, INTERNET, Ipv4Addr::new(10, 1, 0, 2));
    outside.send(&Packet::new(INTERNET, public).udp(5, 6, b"behind b"));
    at_b.arrives("a packet for two", is_two).unwrap();
    lab.gateway.ip("route replace 10.1.0.0/16 via 10.0.0.13 dev down0\n").unwrap();
    all_ready(&lab, 4);
    outside.send(&Packet::new(INTERNET, public).udp(5, 6, b"behind c"));
    at_c.arrives("a packet for two", is_two).unwrap();
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], serde_json::json!([]));
    // Behind both at once, the kernel is asked about each of them.
    lab.gateway.ip("route replace 10.1.0.0/16 nexthop via 10.0.0.12 nexthop via 10.0.0.13\n").unwrap();
    let asked = || {
        let hops = next_hops(&lab);
        (hops["instances_without"] == 3 && hops["ready"] == 3).then(|| hops["instances_reason"].to_string())
    };
    let reason = wait::until("three instances without a next hop", SOON, asked).unwrap();
    assert!(reason.contains("several next hops"), "{reason}");
    lab.gateway.ip("route replace 10.1.0.0/16 via 10.0.0.13\n").unwrap();
    all_ready(&lab, 4);
    assert_eq!(next_hops(&lab)["instances_without"], 0);
    for name in ["one", "two", "three"] {
        lab.daemon.tell(&["instance", "terminate", name]).unwrap();
    }
    all_ready(&lab, 3);
    lab.finish().unwrap();
}

#[test]
fn policy_rules_and_switched_off_forwarding_are_the_kernels_to_judge() {
    let lab = scene();
    all_ready(&lab, 3);
    lab.gateway.ip("rule add from 192.0.2.99 lookup 100\n").unwrap();
    asked_because(&lab, "policy rules decide about routes");
    assert_eq!(next_hops(&lab)["ready"], 0);
    crate::scene::ping(&lab.internet, WEB, &[]);
    lab.gateway.ip("rule del from 192.0.2.99 lookup 100\n").unwrap();
    all_ready(&lab, 3);
    crate::scene::ping(&lab.internet, WEB, &[]);
    let sender = Sender::instance(&lab, &lab.a);
    let before = lab.verdicts("forwarding-disabled").unwrap();
    lab.gateway.sysctl("net.ipv4.conf.down0.forwarding", "0").unwrap();
    asked_because(&lab, "forwarding is off on its interface");
    wait::until("the kernel's no to be heard", SOON, || {
        sender.send(&Packet::new(A, INTERNET).udp(5, 6, b"no"));
        (lab.verdicts("forwarding-disabled").unwrap() > before).then_some(())
    })
    .unwrap();
    lab.gateway.sysctl("net.ipv4.conf.down0.forwarding", "1").unwrap();
    all_ready(&lab, 3);
    crate::scene::ping(&lab.internet, WEB, &[]);
    lab.finish().unwrap();
}
