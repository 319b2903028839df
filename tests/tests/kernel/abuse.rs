//! API, console and metadata under clients that are slow, huge or malicious: they are answered or cut off within the
//! limits, the daemon stays small, and neither packets nor other clients notice.

/// Instances and browsers that ask without end.
mod doors;
/// More connections than there are places, and more than there are file descriptors.
mod floods;
/// Requests that no client sends.
mod malformed;
/// Clients that keep us waiting.
mod slow;
/// Who is not who they say.
mod strangers;
/// Certificates, and handshakes that stop in the middle.
mod tls;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::caller::Caller;
use lab::lab::edges::{self, API, Credential, USER};
use lab::lab::server::Server;
use lab::lab::wait::{self, RaisedAtEnd};
use lab::lab::{A, Lab, Settings};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::pingpong::PingPong;

/// Somebody else's account.
const OTHER: Credential =
    Credential { secret_id: "AKIDother", secret_key: "key-of-another-0001", account: "other", access: "read-write" };
/// What the daemon may grow by under attack: 512 connections with a head of 32 KiB each, and 32 bodies of 256 KiB.
const ROOM: u64 = 40 << 20;
/// The longest that another client may wait: this is about minutes, not about the speed of a busy machine.
const ENDURABLE: Duration = Duration::from_secs(10);
/// What 99 of 100 calls of another client take at most. Measured were 2 to 31 ms, and 210 to 270 beside 64 clients that call
/// without end, on two cores with two to five times as much to do. A client whose connection waits behind those of an
/// attacker takes as long as the attacker's deadlines, which are 5 s and more. This lies between the two.
const USUAL: Duration = Duration::from_secs(1);
/// So many calls have a 99th percentile that is not just the worst of them.
const CALLS: usize = 200;

/// A daemon with an instance whose packets are watched, and somebody who calls the API meanwhile.
struct Siege {
    lab: Lab,
    public: Ipv4Addr,
    /// What that somebody has called by now.
    calls: AtomicUsize,
    _echo: Server,
}

fn siege() -> Siege {
    siege_with(|_, _| {})
}

fn siege_with(alter: impl FnOnce(&Lab, &mut Settings)) -> Siege {
    let lab = Lab::new().unwrap();
    let mut settings = edges::settings(&lab.directory, &[USER, OTHER]).unwrap();
    alter(&lab, &mut settings);
    lab.daemon.start(settings).unwrap();
    let public = lab.instance("web", A).unwrap();
    let echo = Server::udp_echo(&lab.a, 7).unwrap();
    Siege { lab, public, calls: AtomicUsize::new(0), _echo: echo }
}

impl Siege {
    /// Attacks while a conversation goes on through the gateway and another client calls the API.
    fn endured<R>(&self, attack: impl FnOnce() -> R) -> R {
        self.endured_by(|| self.polite(), attack)
    }

    /// The same, where that client does this again and again.
    fn endured_by<R>(&self, polite: impl Fn() + Sync, attack: impl FnOnce() -> R) -> R {
        let pid = self.lab.daemon.pid().unwrap();
        polite();
        let before = resident(pid, "VmRSS:");
        let over = AtomicBool::new(false);
        let (_, lost, (waited, result)) = PingPong::during(&self.lab.internet, self.public, |pingpong| {
            thread::scope(|scope| {
                let other = scope.spawn(|| {
                    let mut waited = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        let began = Instant::now();
                        polite();
                        waited.push(began.elapsed());
                        self.calls.fetch_add(1, Ordering::SeqCst);
                        thread::park_timeout(Duration::from_millis(5));
                    }
                    waited
                });
                let ended = RaisedAtEnd(&over);
                let result = attack();
                pingpong.wait_for(20);
                drop(ended);
                (other.join().unwrap(), result)
            })
        });
        polite();
        let grown = resident(pid, "VmHWM:").saturating_sub(before);
        let Waited { calls, half, most, worst } = Waited::of(waited);
        println!("{calls} calls of the other client: p50 {half:?}, p99 {most:?}, the worst {worst:?}");
        println!("the daemon grew by {} kB", grown >> 10);
        assert_eq!(lost, 0, "packets were lost");
        assert!(worst < ENDURABLE, "the other client waited {worst:?}");
        assert!(calls < CALLS || most < USUAL, "of {calls} calls of the other client 99 in 100 took up to {most:?}");
        assert!(grown < ROOM, "the daemon grew by {grown} bytes");
        assert!(!self.lab.daemon.log().contains("panicked"), "{}", self.lab.daemon.log());
        result
    }

    /// Has an attack go on until the other client has called so often meanwhile that it says something.
    fn hold(&self) {
        let enough = self.calls.load(Ordering::SeqCst) + CALLS;
        let called = || (self.calls.load(Ordering::SeqCst) >= enough).then_some(());
        wait::until("calls of the other client", Duration::from_secs(60), called).unwrap();
    }

    /// A call like any other, by a connection of its own.
    fn polite(&self) {
        self.caller().call(USER, "DescribeAddresses", &json!({})).unwrap();
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.lab.gateway).unwrap()
    }

    /// A connection that says nothing by itself.
    fn connect(&self) -> TcpStream {
        self.lab.gateway.run(|| TcpStream::connect(API)).unwrap()
    }
}

/// How long the calls of a client took.
struct Waited {
    calls: usize,
    half: Duration,
    most: Duration,
    worst: Duration,
}

impl Waited {
    fn of(mut waited: Vec<Duration>) -> Waited {
        waited.sort_unstable();
        let calls = waited.len();
        let percentile = |percent: usize| waited[(calls * percent).div_ceil(100).saturating_sub(1)];
        Waited { calls, half: percentile(50), most: percentile(99), worst: percentile(100) }
    }
}

/// A figure of a process in bytes.
fn resident(pid: i32, figure: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// Lets this process have as many files open as it may, and says how many.
fn open_many_files() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    usize::try_from(most).unwrap()
}
