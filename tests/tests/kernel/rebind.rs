//! Changing bindings under traffic.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lab::frames::{Frame, Ip, Packet, payload};
use lab::lab::server::Server;
use lab::lab::{A, B, INTERNET, Lab, Wire};

/// The tag of a flooded datagram says which instance sent it.
const FROM_A: &[u8] = b"sent by instance a";
const FROM_B: &[u8] = b"sent by instance b";

#[test]
fn t61_no_packet_shows_a_third_address_while_an_eip_moves() {
    let lab = Lab::serving().unwrap();
    let (a, b) = (lab.instance("a", A).unwrap(), lab.instance("b", B).unwrap());
    let eip = lab.allocate().unwrap();
    let _sink = Server::udp_echo(&lab.internet, 9).unwrap();
    // A new ordinary IP on each unbind, so remember every address each instance ever had.
    let mut names = [BTreeSet::from([a, eip.address]), BTreeSet::from([b, eip.address])];
    let gateway_mac = lab.gateway.mac("down0").unwrap();
    let stop = AtomicBool::new(false);
    let flood = |from: &lab::lab::Namespace, private: Ipv4Addr, tag: &[u8]| {
        let wire = Wire::sender(from, "eth0").unwrap();
        let mac = from.mac("eth0").unwrap();
        let packet = Packet::new(private, INTERNET).udp(1000, 9, tag);
        let frame = Frame::new(mac, gateway_mac).ip(&packet).build();
        let mut sent = 0u64;
        while !stop.load(Ordering::SeqCst) {
            // A full queue is no matter; the next one goes.
            sent += u64::from(wire.send(&frame).is_ok());
        }
        sent
    };
    let sent = thread::scope(|scope| {
        let floods = [scope.spawn(|| flood(&lab.a, A, FROM_A)), scope.spawn(|| flood(&lab.b, B, FROM_B))];
        for round in 0..20 {
            let (name, index) = if round % 2 == 0 { ("a", 0) } else { ("b", 1) };
            lab.bind(&eip, name).unwrap();
            lab.unbind(&eip).unwrap();
            names[index].insert(lab.public_ip(name).unwrap().unwrap());
        }
        stop.store(true, Ordering::SeqCst);
        floods.map(|flood| flood.join().unwrap())
    });
    lab.settle().unwrap();
    let mut seen = [0u64; 2];
    for frame in lab.at_internet.from_start().arrived() {
        let Some((0x0800, offset)) = payload(&frame) else { continue };
        let Some(ip) = Ip::parse(&frame[offset..]) else { continue };
        let sender = [FROM_A, FROM_B].iter().position(|tag| frame.windows(tag.len()).any(|window| window == *tag));
        if let Some(sender) = sender {
            seen[sender] += 1;
            assert!(names[sender].contains(&ip.source()), "instance {sender} was seen as {}", ip.source());
        }
    }
    assert!(seen.iter().all(|count| *count > 1000), "sent {sent:?}, seen {seen:?}");
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], serde_json::json!([]));
    lab.finish().unwrap();
}
