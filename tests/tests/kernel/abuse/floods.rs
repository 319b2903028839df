//! More connections than there are places, more than there are file descriptors, bodies larger than memory.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use lab::caller::signed;
use lab::lab::edges::{CONSOLE, USER};
use lab::lab::{B, SOON, wait};

use super::{Siege, open_many_files, siege, siege_with};

/// The file descriptors that the daemon has open.
fn open_files(siege: &Siege) -> usize {
    fs::read_dir(format!("/proc/{}/fd", siege.lab.daemon.pid().unwrap())).unwrap().count()
}

#[test]
fn e12_thousands_of_idle_connections_take_512_places_and_leave_room_for_others() {
    open_many_files();
    let siege = siege();
    let before = open_files(&siege);
    siege.endured(|| {
        let mut idle: Vec<TcpStream> = Vec::new();
        for number in 0..3000 {
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
    });
    wait::until("the files to be closed", SOON, || (open_files(&siege) < before + 16).then_some(())).unwrap();
}

#[test]
fn e12_with_few_file_descriptors_others_are_served_and_the_store_and_maps_go_on() {
    open_many_files();
    let siege = siege_with(|_, settings| settings.under = vec!["prlimit".into(), "--nofile=192:192".into()]);
    siege.endured(|| {
        let console = |_| siege.lab.gateway.run(|| TcpStream::connect(CONSOLE)).unwrap();
        let idle: Vec<TcpStream> = (0..400).map(|_| siege.connect()).chain((0..400).map(console)).collect();
        assert!(open_files(&siege) <= 192);
        // A change needs files of the store's and the kernel's.
        siege.lab.private_instance("other", B).unwrap();
        let eip = siege.lab.allocate().unwrap();
        siege.lab.bind(&eip, "other").unwrap();
        siege.lab.unbind(&eip).unwrap();
        drop(idle);
    });
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
        siege.polite();
    });
}
