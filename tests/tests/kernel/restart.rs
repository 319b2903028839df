//! What outlives the daemon, and what another one finds.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lab::lab::daemon::Settings;
use lab::lab::server::{Server, udp_exchange};
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{A, B, Lab, Namespace, SOON, at, wait};

/// Sends a datagram, waits for its echo, and so on until told to stop: a packet lost anywhere is a timeout.
struct PingPong {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl PingPong {
    /// Runs `during` while datagrams go to and fro; answers how many came back and how many did not.
    fn during<R>(from: &Namespace, to: Ipv4Addr, during: impl FnOnce(&PingPong) -> R) -> (u64, u64, R) {
        let pingpong = PingPong { stop: AtomicBool::new(false), answered: AtomicU64::new(0) };
        let socket = from.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        socket.connect(at(to, 7)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        thread::scope(|scope| {
            let sender = scope.spawn(|| pingpong.run(&socket));
            let ended = RaisedAtEnd(&pingpong.stop);
            let result = during(&pingpong);
            drop(ended);
            let lost = sender.join().unwrap();
            (pingpong.answered.load(Ordering::SeqCst), lost, result)
        })
    }

    fn run(&self, socket: &UdpSocket) -> u64 {
        let (mut lost, mut number, mut buffer) = (0, 0u64, [0; 8]);
        while !self.stop.load(Ordering::SeqCst) {
            number += 1;
            socket.send(&number.to_be_bytes()).unwrap();
            match socket.recv(&mut buffer) {
                Ok(8) if buffer == number.to_be_bytes() => drop(self.answered.fetch_add(1, Ordering::SeqCst)),
                _ => lost += 1,
            }
        }
        lost
    }

    /// Waits until this many more have been answered.
    fn wait_for(&self, more: u64) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        wait::until("datagrams to be answered", SOON, || {
            (self.answered.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .unwrap();
    }
}

#[test]
fn invariant_5_killing_and_restarting_the_daemon_stops_no_traffic() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"warm").unwrap();
    let (answered, lost, ()) = PingPong::during(&lab.internet, web, |traffic| {
        for end in 0..3 {
            traffic.wait_for(200);
            if end % 2 == 0 {
                lab.daemon.kill().unwrap()
            } else {
                lab.daemon.terminate().unwrap()
            }
            traffic.wait_for(200);
            lab.daemon.restart().unwrap();
            traffic.wait_for(200);
        }
    });
    assert!(answered > 1800, "{answered}");
    assert_eq!(lost, 0, "of {answered}");
    // The state is there too: the same instance with the same address, and new commands work.
    assert_eq!(lab.public_ip("web").unwrap(), Some(web));
    lab.instance("db", B).unwrap();
    lab.finish().unwrap();
}

#[test]
fn invariant_2_the_maps_are_rebuilt_from_the_store() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    lab.private_instance("db", B).unwrap();
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "db").unwrap();
    let pairs = |lab: &Lab| {
        let maps = lab.daemon.map(&["show"]).unwrap();
        let pairs = maps["pairs"].as_array().unwrap().clone();
        pairs.into_iter().map(|pair| (pair["public"].to_string(), pair["private"].to_string())).collect::<Vec<_>>()
    };
    let before = pairs(&lab);
    assert_eq!(before.len(), 2);
    lab.daemon.terminate().unwrap();
    lab.daemon.detach().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(pairs(&lab), before);
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"again").unwrap();
    lab.finish().unwrap();
}

#[test]
fn t73_a_restart_reconciles_what_was_changed_behind_its_back() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    lab.daemon.kill().unwrap();
    // The way in is removed and a foreign way in added, by hand.
    let map = lab.daemon.maps().join("v1/INBOUND").display().to_string();
    let key = |address: Ipv4Addr| address.octets().map(|byte| byte.to_string());
    let stranger = Ipv4Addr::new(203, 0, 113, 9);
    let change = |words: &[&str], address: Ipv4Addr, rest: &[&str]| {
        let key = key(address);
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        lab.gateway.tell(&[&["bpftool", "map"], words, &["pinned", &map, "key"], &key, rest].concat()).unwrap();
    };
    change(&["delete"], web, &[]);
    change(&["update"], stranger, &["value", "10", "0", "0", "12", "1", "0", "0", "0", "5", "0", "0", "0"]);
    let dead = lab.daemon.cli(&["map", "verify", "--bpf-dir", &lab.daemon.maps().display().to_string()]).unwrap();
    assert_eq!(dead.code(), 1);
    assert!(dead.stdout.contains(&web.to_string()) && dead.stdout.contains("203.0.113.9"), "{dead}");
    lab.daemon.restart().unwrap();
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], serde_json::json!([]));
    udp_exchange(&lab.internet, at(web, 7), b"back").unwrap();
    lab.finish().unwrap();
}

#[test]
fn detach_removes_everything_and_says_what() {
    let lab = Lab::new().unwrap();
    let settings = |lab: &Lab| {
        ["net.ipv4.ip_forward", "net.ipv4.conf.up0.rp_filter", "net.ipv4.conf.all.send_redirects"]
            .map(|key| lab.gateway.sysctl_of(key).unwrap())
    };
    let before = settings(&lab);
    lab.daemon.start(Settings::default()).unwrap();
    lab.instance("web", A).unwrap();
    // A daemon that serves is not pulled out from under its feet.
    let binary = lab::lab::daemon::binary();
    let (maps, state) = (lab.daemon.maps().display().to_string(), lab.daemon.state().display().to_string());
    let words = [binary.as_str(), "detach", "--bpf-dir", &maps, "--state-dir", &state];
    let early = lab.gateway.output(&words, SOON).unwrap();
    assert!(early.code() == 1 && early.stderr.contains("stop it first"), "{early}");

    lab.daemon.terminate().unwrap();
    assert!(lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("xdp"));
    let said = lab.daemon.detach().unwrap();
    for removed in ["XDP program", "maps", "nftables table inet eipgate", "nftables table arp eipgate", "restored"] {
        assert!(said.contains(removed), "{said}");
    }
    assert!(!lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("xdp"));
    assert_eq!(lab.gateway.tell(&["nft", "list", "ruleset"]).unwrap().trim(), "");
    assert_eq!(settings(&lab), before);
    assert_eq!(lab.daemon.detach().unwrap().trim(), "there was nothing to remove");
    lab.finish().unwrap();
}

#[test]
fn invariant_3_no_map_is_swept_for_a_store_that_is_not_there() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    lab.daemon.kill().unwrap();
    let (state, elsewhere) = (lab.daemon.state().join("state.json"), lab.directory.join("kept.json"));
    std::fs::rename(&state, &elsewhere).unwrap();
    let refused = lab.daemon.refuse(&Settings::default()).unwrap();
    assert!(refused.stderr.contains("is the state directory right?"), "{refused}");
    udp_exchange(&lab.internet, at(web, 7), b"still there").unwrap();
    // A damaged store is no reason to sweep either.
    std::fs::write(&state, b"{\"version\": 1, \"inst").unwrap();
    let refused = lab.daemon.refuse(&Settings::default()).unwrap();
    assert!(refused.stderr.contains("state.json"), "{refused}");
    udp_exchange(&lab.internet, at(web, 7), b"still there").unwrap();
    std::fs::rename(&elsewhere, &state).unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), Some(web));
    lab.finish().unwrap();
}
