//! Numbered frames in both directions, each compared byte for byte where it arrives.

use std::fmt;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::frames::{Frame, IPV4, Mac, Packet};
use lab::lab::wait::{self, RaisedAtEnd, locked};
use lab::lab::wire::LONGEST;
use lab::lab::{A, Direction, INTERNET, Lab, Namespace, Wire};

use crate::scene::WEB;

/// Ports at both ends, where a socket takes what nobody reads.
const PORT: u16 = 4444;
/// Most frames sent without a pause: fewer than a veth's ring holds.
const BURST: u64 = 64;
/// Where the number stands in a frame: behind the headers.
const NUMBER: usize = 14 + 20 + 8;

/// One direction: what is sent where, and what must arrive where.
struct Lane {
    wire: Wire,
    sent: Vec<u8>,
    at: Wire,
    expected: Vec<u8>,
    count: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// How often each number has arrived.
    times: Vec<u8>,
    wrong: Vec<Vec<u8>>,
    last: Option<Instant>,
    worst_gap: Duration,
    /// Frames the observer's socket had no room for.
    missed: u64,
}

/// An end of a lane: whose interface, under which address of the packet.
struct End<'a>(&'a Namespace, &'static str, Ipv4Addr);

impl Lane {
    /// From one end to another, past the gateway's two interfaces, under the addresses it has on either side.
    fn new(from: &End<'_>, first_hop: Mac, shown: [Ipv4Addr; 2], last_hop: Mac, to: &End<'_>) -> Lane {
        let (wire, at) = (Wire::sender(from.0, from.1).unwrap(), Wire::observer(to.0, to.1).unwrap());
        let packet =
            |source, destination, ttl| Packet::new(source, destination).ttl(ttl).udp(PORT, PORT, &numbered(0)).build();
        let sent = Frame::new(wire.mac, first_hop).carry(IPV4, &packet(from.2, shown[1], 64)).build();
        let expected = Frame::new(last_hop, at.mac).carry(IPV4, &packet(shown[0], to.2, 63)).build();
        Lane { wire, sent, at, expected, count: AtomicU64::new(0), seen: Mutex::default() }
    }

    fn send(&self, rate: u64, stop: &AtomicBool) {
        let mut frame = self.sent.clone();
        let (mut began, mut base) = (Instant::now(), 0);
        while !stop.load(Ordering::SeqCst) {
            let count = self.count.load(Ordering::SeqCst);
            let due = base + (began.elapsed().as_secs_f64() * rate as f64) as u64;
            let due = if due > count + BURST {
                // Nobody ran us for a while. What was missed is not made up for.
                (began, base) = (Instant::now(), count + BURST);
                base
            } else {
                due
            };
            for number in count..due {
                frame[NUMBER..NUMBER + 16].copy_from_slice(&numbered(number));
                // One that cannot be sent, because a test has cut the link, is lost like any other.
                let _ = self.wire.send(&frame);
            }
            self.count.store(due.max(count), Ordering::SeqCst);
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn observe(&self, over: &AtomicBool) {
        let mut buffer = Box::new([0; LONGEST]);
        let mut expected = self.expected.clone();
        loop {
            let ended = over.load(Ordering::SeqCst);
            let _ = wait::readable([self.at.as_fd()], Some(Duration::from_millis(5)));
            while let Some(seen) = self.at.receive(&mut buffer) {
                let ours = seen.direction == Direction::In && seen.frame.get(36..38) == Some(&PORT.to_be_bytes());
                if !ours {
                    continue;
                }
                let number = seen.frame.get(NUMBER..NUMBER + 8).and_then(|bytes| bytes.try_into().ok());
                let number = number.map_or(u64::MAX, u64::from_be_bytes);
                expected[NUMBER..NUMBER + 16].copy_from_slice(&numbered(number));
                self.note(number, seen.frame == expected, seen.frame);
            }
            if ended {
                locked(&self.seen).missed += u64::from(self.at.missed().unwrap());
                return;
            }
        }
    }

    fn note(&self, number: u64, right: bool, frame: Vec<u8>) {
        let mut seen = locked(&self.seen);
        if !right {
            seen.wrong.push(frame);
            return;
        }
        if seen.times.len() <= number as usize {
            seen.times.resize(number as usize + 1, 0);
        }
        seen.times[number as usize] += 1;
        let now = Instant::now();
        if let Some(last) = seen.last.replace(now) {
            seen.worst_gap = seen.worst_gap.max(now - last);
        }
    }

    fn outcome(&self) -> Outcome {
        let (sent, seen) = (self.count.load(Ordering::SeqCst), locked(&self.seen));
        let times = |number: u64| seen.times.get(number as usize).copied().unwrap_or(0);
        let lost: Vec<u64> = (0..sent).filter(|number| times(*number) == 0).collect();
        let twice = seen.times.iter().filter(|times| **times > 1).count() as u64;
        Outcome {
            sent,
            wrong: seen.wrong.len() as u64 + twice,
            ring: seen.missed.min(lost.len() as u64),
            lost,
            worst_gap: seen.worst_gap,
        }
    }
}

/// A number and its complement, which together leave every checksum as it is.
fn numbered(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..].copy_from_slice(&(!number).to_be_bytes());
    bytes
}

/// What became of the frames of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    /// Numbers that never arrived, those that the observer's own ring dropped among them.
    pub(crate) lost: Vec<u64>,
    /// Frames that arrived otherwise than they must, or twice.
    pub(crate) wrong: u64,
    /// Frames that the observer's ring had no room for: the test's loss, not the gateway's.
    pub(crate) ring: u64,
    pub(crate) worst_gap: Duration,
}

impl Outcome {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.wrong == 0
    }

    /// Fails where the gateway lost or changed a frame.
    #[track_caller]
    pub(crate) fn check(&self, what: &str) {
        assert!(self.sent > 0, "{what}: nothing was sent");
        assert_eq!(self.wrong, 0, "{what}: frames arrived wrong or twice, of {}", self.sent);
        assert!(self.lost.len() as u64 <= self.ring, "{what}: lost {:?} of {}", self.lost, self.sent);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { sent, lost, wrong, ring, worst_gap } = self;
        let lost = lost.len() as u64 - ring;
        write!(f, "{sent} sent, {lost} lost, {wrong} wrong, {ring} dropped by our own ring, worst gap {worst_gap:?}")
    }
}

/// Both directions of a stream: between the router, as the Internet host, and the instance that is [`WEB`].
pub(crate) struct Stream {
    lanes: [Lane; 2],
}

/// Inbound and outbound.
pub(crate) type Outcomes = [Outcome; 2];

impl Stream {
    /// Sends so many frames a second each way while `during` runs; what became of them.
    pub(crate) fn during<R>(lab: &Lab, rate: u64, during: impl FnOnce(&Stream) -> R) -> (Outcomes, R) {
        let (internet, web) = (End(&lab.router, "gate0", INTERNET), End(&lab.a, "eth0", A));
        let [up, down] = ["up0", "down0"].map(|interface| lab.gateway.mac(interface).unwrap());
        let inbound = Lane::new(&internet, up, [INTERNET, WEB], down, &web);
        let outbound = Lane::new(&web, down, [WEB, INTERNET], up, &internet);
        let stream = Stream { lanes: [inbound, outbound] };
        // A child that another test is just starting holds the sockets of an earlier stream until it is started.
        let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).ok();
        let _sinks =
            [&lab.a, &lab.internet].map(|host| host.run(|| wait::until("the port", wait::SOON, bind)).unwrap());
        let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let result = thread::scope(|scope| {
            let over = RaisedAtEnd(&over);
            let senders = stream.lanes.each_ref().map(|lane| {
                scope.spawn(|| lane.observe(over.0));
                scope.spawn(|| lane.send(rate, &stop))
            });
            let ended = RaisedAtEnd(&stop);
            let result = during(&stream);
            drop(ended);
            for sender in senders {
                sender.join().unwrap();
            }
            // The last frames are on their way; where some were lost the wait ends in vain.
            let arrived = || stream.lanes.iter().all(|lane| lane.outcome().lost.is_empty()).then_some(());
            let _ = wait::until("the last frames", Duration::from_secs(2), arrived);
            drop(over);
            result
        });
        (stream.lanes.each_ref().map(Lane::outcome), result)
    }

    /// How many have been sent each way.
    pub(crate) fn sent(&self) -> [u64; 2] {
        self.lanes.each_ref().map(|lane| lane.count.load(Ordering::SeqCst))
    }

    /// Waits until so many more have been sent each way.
    pub(crate) fn flow(&self, more: u64) {
        let wanted = self.sent().map(|sent| sent + more);
        let done = || self.sent().iter().zip(wanted).all(|(sent, wanted)| *sent >= wanted).then_some(());
        wait::until("frames to be sent", Duration::from_secs(30), done).unwrap();
    }
}

/// The highest of a row of rates that a run of this length carries without loss, each way.
pub(crate) fn lossless_rate(lab: &Lab, length: Duration) -> u64 {
    let mut rate = 32_000;
    loop {
        let begun = Instant::now();
        let run = |stream: &Stream| {
            while begun.elapsed() < length {
                stream.flow(rate / 20)
            }
        };
        let (outcomes, ()) = Stream::during(lab, rate, run);
        let settled = lab.settle().is_ok();
        println!("control run of {length:?} at {rate} a second each way: {}; {}", outcomes[0], outcomes[1]);
        // A rate that the sender did not reach, or the captures do not keep up with, is none.
        let reached = outcomes.iter().all(|outcome| outcome.sent as f64 > 0.8 * rate as f64 * length.as_secs_f64());
        if reached && settled && outcomes.iter().all(Outcome::is_clean) {
            return rate;
        }
        assert!(rate > 100, "not even a hundred frames a second come through");
        rate /= 2;
    }
}
