//! Changing bindings under traffic.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lab::frames::{Ip, payload};
use lab::lab::server::Server;
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{A, B, INTERNET, Lab, Namespace, at};

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
    let stop = AtomicBool::new(false);
    // As fast as echoes come back; where a binding is just changing none does, and the next datagram goes soon.
    let flood = |from: &Namespace, tag: &[u8]| {
        let socket = from.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1000))).unwrap();
        socket.connect(at(INTERNET, 9)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let (mut sent, mut buffer) = (0u64, [0; 64]);
        while !stop.load(Ordering::SeqCst) {
            sent += u64::from(socket.send(tag).is_ok());
            // No answer is an answer here.
            let _ = socket.recv(&mut buffer);
        }
        sent
    };
    let sent = thread::scope(|scope| {
        let floods = [scope.spawn(|| flood(&lab.a, FROM_A)), scope.spawn(|| flood(&lab.b, FROM_B))];
        let ended = RaisedAtEnd(&stop);
        for round in 0..20 {
            let (name, index) = if round % 2 == 0 { ("a", 0) } else { ("b", 1) };
            lab.bind(&eip, name).unwrap();
            lab.unbind(&eip).unwrap();
            names[index].insert(lab.public_ip(name).unwrap().unwrap());
        }
        drop(ended);
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
