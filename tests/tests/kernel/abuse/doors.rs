//! Floods from inside an instance, at the doors where instances ask about themselves, and at the console's log-in.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use lab::caller::{Answer, Caller};
use lab::lab::edges::{CONSOLE, Credential, USER};
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{B, Lab, Namespace, Settings, at};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use super::{OTHER, Siege, open_many_files, siege, siege_with};

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 23);
/// What an instance may ask a second.
const SHARE: usize = 300;

/// A gateway that answers instances.
fn with_metadata(_: &Lab, settings: &mut Settings) {
    let file = settings.more.last().unwrap();
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{text}metadata = true\nmetadata_per_second = {SHARE}\n")).unwrap();
}

/// A connection from inside an instance to the door of its downlink.
fn knock(instance: &Namespace) -> TcpStream {
    instance.run(|| TcpStream::connect(at(METADATA, 80))).unwrap()
}

/// The status of an answer to a question by that connection.
fn ask(door: &mut Caller) -> u16 {
    door.send(b"GET /meta-data/public-ipv4 HTTP/1.1\r\nHost: 169.254.0.23\r\n\r\n").unwrap();
    door.answer().unwrap().expect("it is answered").status
}

/// A question by a connection of its own, which must be answered.
fn ask_politely(instance: &Namespace) {
    assert_eq!(ask(&mut Caller::over(knock(instance)).unwrap()), 200);
}

#[test]
fn e14_an_instance_that_takes_every_place_at_the_door_keeps_no_other_out() {
    open_many_files();
    let siege = siege_with(with_metadata);
    siege.lab.instance("other", B).unwrap();
    siege.endured_by(
        || ask_politely(&siege.lab.b),
        || {
            let mut idle: Vec<TcpStream> = (0..600).map(|_| knock(&siege.lab.a)).collect();
            for stream in idle.iter_mut().step_by(3) {
                // It may have made room for another by now.
                let _ = stream.write_all(b"GET /meta-data/public-ipv4 HTTP/1.1\r\n");
            }
            siege.hold();
        },
    );
    ask_politely(&siege.lab.a);
}

#[test]
fn e14_an_instance_that_asks_without_end_gets_its_share_and_others_get_theirs() {
    let siege = siege_with(with_metadata);
    siege.lab.instance("other", B).unwrap();
    let (over, answered, refused) = (&AtomicBool::new(false), &AtomicUsize::new(0), &AtomicUsize::new(0));
    let began = Instant::now();
    siege.endured_by(
        || ask_politely(&siege.lab.b),
        || {
            thread::scope(|scope| {
                let _ends = RaisedAtEnd(over);
                for _ in 0..8 {
                    let mut door = Caller::over(knock(&siege.lab.a)).unwrap();
                    scope.spawn(move || {
                        while !over.load(Ordering::SeqCst) {
                            let fate = match ask(&mut door) {
                                200 => answered,
                                429 => refused,
                                status => panic!("answered with {status}"),
                            };
                            fate.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
                siege.hold();
            });
        },
    );
    let most = SHARE * (began.elapsed().as_secs() as usize + 2);
    let (answered, refused) = (answered.load(Ordering::SeqCst), refused.load(Ordering::SeqCst));
    println!("{answered} questions of one instance were answered and {refused} refused");
    assert!(answered <= most, "{answered} of at most {most} questions were answered");
    assert!(refused > 0, "it did not ask more than its share");
}

/// A connection to the console from this address of the host's own.
fn visit(siege: &Siege, from: Ipv4Addr) -> Caller {
    let connected = siege.lab.gateway.run(|| {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(from, 0))).unwrap();
        connect(socket.as_raw_fd(), &SockaddrIn::from(CONSOLE)).unwrap();
        socket
    });
    Caller::over(TcpStream::from(connected)).unwrap()
}

fn log_in(visit: &mut Caller, who: Credential) -> Answer {
    let form = format!("secret_id={}&secret_key={}", who.secret_id, who.secret_key);
    let length = form.len();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {CONSOLE}\r\nOrigin: http://{CONSOLE}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    visit.send(request.as_bytes()).unwrap();
    visit.answer().unwrap().expect("it is answered")
}

#[test]
fn e13_a_flood_of_log_ins_opens_nothing_and_keeps_nobody_else_out() {
    let siege = siege();
    let [home, elsewhere] = [77, 78].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let entered = log_in(&mut visit(&siege, home), USER);
    let cookie = entered.head.iter().find(|(name, _)| name == "set-cookie").map(|(_, value)| value);
    let cookie = cookie.and_then(|cookie| cookie.split(';').next()).expect("the right key opens").to_owned();
    let look = || {
        let mut visit = visit(&siege, home);
        visit
            .send(format!("GET /instances HTTP/1.1\r\nHost: {CONSOLE}\r\nCookie: {cookie}\r\n\r\n").as_bytes())
            .unwrap();
        let page = visit.answer().unwrap().expect("it is answered");
        assert_eq!(page.status, 200, "{}", String::from_utf8_lossy(&page.body));
    };
    let (over, looked_at, refused) = (&AtomicBool::new(false), &AtomicUsize::new(0), &AtomicUsize::new(0));
    siege.endured_by(look, || {
        thread::scope(|scope| {
            let _ends = RaisedAtEnd(over);
            for attacker in 1..=8_u8 {
                let mut visit = visit(&siege, Ipv4Addr::new(127, 0, 0, attacker));
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        let fate = match log_in(&mut visit, Credential { secret_key: "guessed", ..OTHER }).status {
                            403 => looked_at,
                            429 => refused,
                            status => panic!("answered with {status}"),
                        };
                        fate.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            siege.hold();
            assert_eq!(
                log_in(&mut visit(&siege, elsewhere), USER).status,
                303,
                "who has the right key, from elsewhere"
            );
        });
    });
    let (looked_at, refused) = (looked_at.load(Ordering::SeqCst), refused.load(Ordering::SeqCst));
    println!("{looked_at} guesses were looked at and {refused} were not");
    // Ten at once, and one more for each six seconds.
    assert!(looked_at <= 30, "{looked_at} guesses at one key were looked at");
    assert!(refused > 100, "{refused} were refused");
}
