//! Clients that keep us waiting.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use lab::caller::signed;
use lab::lab::edges::USER;

use super::siege;

/// The time for a head and for a body, and what a busy machine adds.
const LIMIT: Duration = Duration::from_secs(15);
const LATENESS: Duration = Duration::from_secs(25);
/// Of each way to dawdle.
const MANY: usize = 15;

/// Sends what is to be sent at once, then a byte twice a second, until the other end has closed. Answers what it said and
/// when it was over.
fn dawdle(mut stream: TcpStream, at_once: &[u8], slowly: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut said = Vec::new();
    let mut left = slowly.iter();
    let mut buffer = [0; 4096];
    let _ = stream.write_all(at_once);
    while began.elapsed() < LIMIT + LATENESS {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => said.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let Some(byte) = left.next() else { continue };
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

#[test]
fn e12_heads_and_bodies_in_drops_are_cut_off_in_time() {
    let siege = siege();
    let request = signed(USER, "DescribeAddresses", format!("{{\"Offset\":{}0}}", " ".repeat(500)).as_bytes());
    let body = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let idle = "POST / HTTP/1.1\r\n".len();
    let ways = [("silent", 0, 0), ("a head in drops", idle, body), ("a body in drops", body, request.len())];
    siege.endured(|| {
        thread::scope(|scope| {
            let all = ways.iter().flat_map(|way| std::iter::repeat_n(*way, MANY));
            let dawdlers: Vec<_> = all
                .map(|(way, at_once, until)| {
                    let (stream, request) = (siege.connect(), &request);
                    let (at_once, slowly) = (&request[..at_once], &request[at_once..until.max(at_once)]);
                    (way, scope.spawn(move || dawdle(stream, at_once, slowly)))
                })
                .collect();
            for (way, dawdler) in dawdlers {
                let (said, after) = dawdler.join().unwrap();
                assert!(after < LIMIT + LATENESS, "{way}: still connected after {after:?}");
                assert!(after > LIMIT / 3, "{way}: cut off after {after:?}");
                if way == "a body in drops" {
                    assert!(said.contains("InvalidRequest") && said.contains("did not arrive within 15 s"), "{said}");
                    assert!(said.contains("connection: close"), "{said}");
                } else {
                    assert!(!said.contains("Response\":"), "{way}: {said}");
                }
            }
        });
    });
}

#[test]
fn e12_answers_that_nobody_takes_are_kept_for_nobody() {
    let siege = siege();
    let request = signed(USER, "DescribeRegions", b"{}");
    siege.endured(|| {
        let mut deaf: Vec<TcpStream> = (0..64).map(|_| siege.connect()).collect();
        for stream in &mut deaf {
            stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
            // Until there is no room on the way any more: what is not read is not answered without end.
            for _ in 0..2000 {
                if stream.write_all(&request).is_err() {
                    break;
                }
            }
        }
        siege.hold();
    });
}
