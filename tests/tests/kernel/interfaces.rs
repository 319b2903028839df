//! Interfaces that are renamed, moved, switched off and changed while the daemon serves.

use std::time::{Duration, Instant};

use lab::frames::{Mac, Packet};
use lab::lab::server::Server;
use lab::lab::{A, INTERNET, Lab, at, wait};

use crate::faults::views::agreed;
use crate::scene::{Sender, WEB, is_between, scene};

/// What the gateway promises once it can know.
const PROMISED: Duration = Duration::from_secs(1);
/// What it is held to on a machine busy with other tests.
const AT_MOST: Duration = Duration::from_secs(4);

/// Another MAC for an interface of the gateway.
const OTHER: Mac = [2, 0, 0, 0, 0x0b, 0x0b];

/// Waits until datagrams come back from an instance and says how long that took; counters never go back meanwhile.
#[track_caller]
fn is_served(lab: &Lab, what: &str, counted: &mut u64) {
    let begun = Instant::now();
    let socket = lab.internet.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(at(WEB, 7)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let answered = || {
        // A way that is gone for now may refuse it.
        let _ = socket.send(b"served");
        socket.recv(&mut [0; 16]).ok()
    };
    wait::until(what, AT_MOST, answered).unwrap();
    println!("{what}: served again after {:?} (promised: {PROMISED:?})", begun.elapsed());
    let shown = lab.daemon.map(&["get", &WEB.to_string()]).unwrap();
    let now = shown["pairs"][0]["traffic"]["packets_in"].as_u64().unwrap();
    assert!(now > *counted, "{what}: {now} packets counted, {counted} before");
    *counted = now;
}

/// Sends both ways what must not come through.
#[track_caller]
fn is_closed(lab: &Lab, what: &str, mac: Mac) {
    let (inside, outside) = (lab.at_a.watch(), lab.at_router.watch());
    let wire = lab::lab::Wire::sender(&lab.router, "gate0").unwrap();
    let frame = |packet: &Packet| {
        lab::frames::Frame::new(wire.mac, mac).carry(lab::frames::IPV4, &packet.build()).padded().build()
    };
    let instance = Sender::instance(lab, &lab.a);
    for _ in 0..20 {
        // Where the link is cut even the router cannot send.
        let _ = wire.send(&frame(&Packet::new(INTERNET, WEB).udp(5, 6, b"inbound")));
        instance.send(&Packet::new(A, INTERNET).udp(5, 6, b"outbound"));
    }
    let _ = lab.settle();
    inside.nothing(what, |frame| is_between(frame, INTERNET, A)).unwrap();
    outside.nothing(what, |frame| is_between(frame, WEB, INTERNET) || is_between(frame, A, INTERNET)).unwrap();
}

#[test]
fn an_interface_that_is_renamed_is_closed_until_it_has_its_name_again() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let (mut counted, mac) = (0, lab.gateway.mac("up0").unwrap());
    is_served(&lab, "at first", &mut counted);
    lab.gateway.ip("link set up0 down\nlink set up0 name wan0\nlink set wan0 up\n").unwrap();
    lab.gateway.ip("route replace default via 198.51.100.1\n").unwrap();
    let missing = || lab.daemon.log().contains("interface up0 does not exist").then_some(());
    wait::until("the daemon to notice", AT_MOST, missing).unwrap();
    is_closed(&lab, "a packet by a renamed interface", mac);
    lab.gateway.ip("link set wan0 down\nlink set wan0 name up0\nlink set up0 up\n").unwrap();
    lab.gateway.ip("route replace default via 198.51.100.1\n").unwrap();
    is_served(&lab, "named as before", &mut counted);
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn an_interface_that_is_moved_away_is_let_go_and_taken_again_when_it_comes_back() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let (mut counted, mac) = (0, lab.gateway.mac("up0").unwrap());
    is_served(&lab, "at first", &mut counted);
    for daemon_lives in [true, false] {
        if !daemon_lives {
            lab.daemon.kill().unwrap();
        }
        lab.gateway.ip(&format!("link set up0 netns {}\n", lab.internet.name)).unwrap();
        if daemon_lives {
            let let_go = || {
                let shown = lab.internet.tell(&["ip", "link", "show", "up0"]).ok()?;
                (!shown.contains("xdp")).then_some(())
            };
            wait::until("the program to leave the interface", AT_MOST, let_go).unwrap();
        }
        is_closed(&lab, "a packet by an interface that is elsewhere", mac);
        lab.internet.ip(&format!("link set up0 netns {}\n", lab.gateway.name)).unwrap();
        lab.gateway.ip("addr replace 198.51.100.2/24 dev up0\nlink set up0 up\n").unwrap();
        lab.gateway.ip("route replace default via 198.51.100.1\n").unwrap();
        if !daemon_lives {
            lab.daemon.restart().unwrap();
        }
        is_served(&lab, "back again", &mut counted);
    }
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn an_interface_that_flaps_or_changes_mtu_or_mac_is_followed() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let mut counted = 0;
    is_served(&lab, "at first", &mut counted);
    for interface in ["up0", "down0"] {
        for _ in 0..3 {
            lab.gateway.ip(&format!("link set {interface} down\nlink set {interface} up\n")).unwrap();
        }
        lab.gateway.ip("route replace default via 198.51.100.1\n").unwrap();
        is_served(&lab, &format!("{interface} flapped"), &mut counted);
    }
    lab.gateway.ip("link set up0 mtu 1400\n").unwrap();
    let told = || {
        let words = ["ping", "-n", "-M", "do", "-s", "1430", "-c", "1", "-W", "1", &INTERNET.to_string()];
        let ping = lab.a.output(&words, AT_MOST).ok()?;
        (ping.stdout + &ping.stderr).contains("1400").then_some(())
    };
    wait::until("the new MTU to be told", AT_MOST, told).unwrap();
    is_served(&lab, "with another MTU", &mut counted);
    let [a, b, c, d, e, f] = OTHER;
    let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    lab.gateway.ip(&format!("link set up0 address {mac}\n")).unwrap();
    lab.router.forget_neighbours("gate0").unwrap();
    is_served(&lab, "with another MAC", &mut counted);
    agreed(&lab);
    lab.finish().unwrap();
}
