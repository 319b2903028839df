//! More connections than there are places, more than there are file descriptors, bodies larger than memory.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lab::caller::signed;
use lab::lab::edges::{CONSOLE, USER};
use lab::lab::{B, SOON, wait};

use super::{Siege, open_many_files, siege, siege_with};
use crate::pingpong::PingPong;

/// Idle connections, where this process may have so many.
const IDLE: usize = 5000;

/// The file descriptors that the daemon has open.
fn open_files(siege: &Siege) -> usize {
    fs::read_dir(format!("/proc/{}/fd", siege.lab.daemon.pid().unwrap())).unwrap().count()
}

/// The time that a process has had a processor for itself.
fn processor_time(pid: i32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything, its fields are separated by blanks. Hundredths of a second.
    let (_, fields) = text.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

#[test]
fn e12_thousands_of_idle_connections_take_512_places_and_leave_room_for_others() {
    let connections = IDLE.min(open_many_files() - 1000);
    let siege = siege();
    let before = open_files(&siege);
    siege.endured(|| {
        let mut idle: Vec<TcpStream> = Vec::new();
        for number in 0..connections {
            let mut stream = siege.connect();
            // Some have begun to say something.
            if number % 3 == 0 {
                let _ = stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\n");
            }
            idle.push(stream);
            if number % 500 == 499 {
                siege.polite();
                let open = open_files(&siege) - before;
                assert!(open <= 512 + 16, "{open} more files are open with {number} connections");
            }
        }
        siege.hold();
    });
    wait::until("the files to be closed", SOON, || (open_files(&siege) < before + 16).then_some(())).unwrap();
}

#[test]
fn e12_with_few_file_descriptors_others_are_served_and_the_store_and_maps_go_on() {
    open_many_files();
    let siege = siege_with(|_, settings| settings.under = vec!["prlimit".into(), "--nofile=192:192".into()]);
    let before = open_files(&siege);
    siege.endured(|| {
        let console = |_| siege.lab.gateway.run(|| TcpStream::connect(CONSOLE)).unwrap();
        let idle: Vec<TcpStream> = (0..400).map(|_| siege.connect()).chain((0..400).map(console)).collect();
        // A quarter of them for each listener, also in the middle of a flood.
        let open = open_files(&siege) - before;
        assert!(open <= 2 * 48 + 8, "{open} more files are open");
        // A change needs files of the store's and the kernel's.
        siege.lab.private_instance("other", B).unwrap();
        let eip = siege.lab.allocate().unwrap();
        siege.lab.bind(&eip, "other").unwrap();
        siege.lab.unbind(&eip).unwrap();
        siege.hold();
        drop(idle);
    });
}

/// Places are few enough that clients alone never use up the daemon's files. Here the limit comes down while it runs.
#[test]
fn e12_without_a_file_descriptor_left_it_waits_for_one_and_goes_on() {
    let siege = siege();
    let pid = siege.lab.daemon.pid().unwrap();
    let limit_files = |soft: u64| {
        siege.lab.gateway.tell(&["prlimit", "--pid", &pid.to_string(), &format!("--nofile={soft}:")]).unwrap();
    };
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let before: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    let refused = || siege.lab.daemon.log().matches("cannot accept a connection to the API").count();
    siege.polite();
    let (_, lost, ()) = PingPong::during(&siege.lab.internet, siege.public, |pingpong| {
        // With room for one, each connection has the one before give up its place; with none there is nobody to give up.
        for room in [1, 0] {
            limit_files(open_files(&siege) as u64 + room);
            let seen = refused();
            let idle: Vec<TcpStream> = (0..100).map(|_| siege.connect()).collect();
            wait::until("the first refusal", SOON, || (refused() > seen).then_some(())).unwrap();
            let (began, used, first) = (Instant::now(), processor_time(pid), refused());
            wait::until("twenty more", SOON, || (refused() >= first + 20).then_some(())).unwrap();
            let (took, used) = (began.elapsed(), processor_time(pid) - used);
            println!("with room for {room}, 20 connections were refused in {took:?} and {used:?} of processor time");
            // A tenth of a second between each two.
            assert!(took > Duration::from_millis(1500), "it tries again and again: {took:?}");
            assert!(used < Duration::from_millis(500), "it is busy with that: {used:?}");
            pingpong.wait_for(20);
            limit_files(before);
            drop(idle);
            siege.polite();
        }
        siege.lab.private_instance("other", B).unwrap();
    });
    assert_eq!(lost, 0, "packets were lost");
    assert!(!siege.lab.daemon.log().contains("panicked"), "{}", siege.lab.daemon.log());
}

#[test]
fn e12_large_bodies_fill_no_memory() {
    open_many_files();
    let siege = siege();
    // Longer than is allowed is refused before a byte of it is there.
    let huge = signed(USER, "DescribeAddresses", b"{}");
    let huge = String::from_utf8(huge).unwrap().replace("Content-Length: 2", "Content-Length: 10737418240");
    siege.endured(|| {
        let mut caller = siege.caller();
        caller.send(huge.as_bytes()).unwrap();
        let answer = caller.answer().unwrap().unwrap();
        assert_eq!(answer.code().unwrap(), "RequestSizeLimitExceeded");
        caller.end().unwrap();

        // In chunks, without an end.
        let mut caller = siege.caller();
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        caller.send(head.as_bytes()).unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let taken = (0..1000).take_while(|_| caller.send(chunk.as_bytes()).is_ok()).count();
        assert!(taken < 200, "{taken} chunks of 64 kB were taken");

        // Two hundred of the longest that are allowed, of which all but the end is there.
        let long = signed(USER, "DescribeAddresses", &[b' '; 256 << 10]);
        let mut streams: Vec<TcpStream> = (0..200).map(|_| siege.connect()).collect();
        for stream in &mut streams {
            stream.set_nonblocking(true).unwrap();
            let _ = stream.write(&long[..long.len() - 1]);
        }
        siege.hold();
    });
}
