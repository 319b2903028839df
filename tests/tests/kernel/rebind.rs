//! Changing bindings under traffic.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::frames::{Ip, payload};
use lab::lab::server::Server;
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{A, B, INTERNET, Lab, Namespace, Settings, at};
use nat_common::pairs::PAGE;
use nat_userspace::admin::client::Client;
use nat_userspace::admin::wire::Request;
use serde_json::Value;

use crate::faults::strace::meddle;

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

/// The longest time for which nothing of what an instance says all the time is heard outside.
fn longest_silence(lab: &Lab, from: &Namespace, during: impl FnOnce()) -> Duration {
    let sink = lab.internet.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 9))).unwrap();
    let speaker = from.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1000))).unwrap();
    speaker.connect(at(INTERNET, 9)).unwrap();
    sink.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let stop = AtomicBool::new(false);
    let speak = || {
        let (mut heard, mut longest) = (Instant::now(), Duration::ZERO);
        while !stop.load(Ordering::SeqCst) {
            speaker.send(b"still there").unwrap();
            if sink.recv(&mut [0; 64]).is_ok() {
                longest = longest.max(heard.elapsed());
                heard = Instant::now();
            }
        }
        longest.max(heard.elapsed())
    };
    thread::scope(|scope| {
        let speaking = scope.spawn(speak);
        let ended = RaisedAtEnd(&stop);
        during();
        drop(ended);
        speaking.join().unwrap()
    })
}

#[test]
fn an_instance_is_heard_while_its_rebinding_waits_for_a_grace_period() {
    /// Counters of a gateway for a handful of pairs. Each rebinding uses one up, until packets have come to rest.
    const COUNTERS: u32 = 16 * PAGE;
    /// Rebindings under a tracer, which makes them slow.
    const WATCHED: u32 = 40;
    let lab = Lab::new().unwrap();
    let config = lab.directory.join("eipgate.toml");
    fs::write(&config, "max_pairs = 10\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { cool_down: "0s".into(), more, ..Settings::default() }).unwrap();
    lab.instance("a", A).unwrap();
    let eip = lab.allocate().unwrap();
    let client = Client::new(lab.daemon.socket());
    let (account, instance) = ("default".to_owned(), "a".to_owned());
    let bind = Request::EipBind { account: account.clone(), eip: eip.id.clone(), instance, vpc: None };
    let unbind = Request::EipUnbind { account, eip: eip.id, reallocate: None };
    let rebind = |times: u32| {
        for request in [&bind, &unbind].into_iter().cycle().take(times as usize) {
            let _: Value = client.ask(request).unwrap();
        }
    };
    rebind(COUNTERS - WATCHED / 2);
    // On a machine that is very busy a grace period takes long.
    let meddling = meddle(&lab, "membarrier:delay_enter=2s");
    let silence = longest_silence(&lab, &lab.a, || rebind(WATCHED));
    let waited = meddling.end();
    let main = lab.daemon.pid().unwrap().to_string();
    assert!(waited.iter().any(|line| line.starts_with(&main)), "nothing waited: {waited:?}");
    assert!(silence < Duration::from_secs(1), "not heard for {silence:?}");
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], serde_json::json!([]));
    lab.finish().unwrap();
}
