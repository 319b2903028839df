//! Many clients who want the same at once.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::thread;

use fastrand::Rng;
use jiff::Timestamp;
use lab::lab::daemon::Settings;
use lab::lab::process::Finished;
use lab::lab::{A, B, C, Lab};
use serde_json::{Value, json};

use super::seed;
use super::views::agreed;

const CLIENTS: usize = 64;

/// Everybody asks at once; `words` are those of one client.
fn all_at_once(lab: &Lab, words: impl Fn(usize) -> String + Sync) -> Vec<Finished> {
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let client = |number| {
            let (start, words) = (&start, words(number));
            scope.spawn(move || {
                start.wait();
                lab.daemon.cli(&words.split(' ').collect::<Vec<_>>()).unwrap()
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn one_of_many_gets_the_last_free_address() {
    let lab = Lab::new().unwrap();
    lab.daemon.start(Settings { pools: vec!["203.0.113.7/32".into()], ..Settings::default() }).unwrap();
    let told = all_at_once(&lab, |_| "eip allocate".to_owned());
    let (won, lost): (Vec<_>, Vec<_>) = told.iter().partition(|finished| finished.success());
    assert_eq!((won.len(), lost.len()), (1, CLIENTS - 1));
    assert!(lost.iter().all(|finished| finished.code() == 1 && finished.stderr.contains("free")), "{}", lost[0]);
    assert_eq!(agreed(&lab).eips.len(), 1);
    lab.finish().unwrap();
}

#[test]
fn one_of_many_binds_an_eip_and_a_storm_leaves_no_half() {
    let lab = Lab::serving().unwrap();
    let (one, other) = (lab.allocate().unwrap(), lab.allocate().unwrap());
    lab.private_instance("a", A).unwrap();
    lab.private_instance("b", B).unwrap();
    let told = all_at_once(&lab, |number| format!("eip bind {} {}", one.id, if number % 2 == 0 { "a" } else { "b" }));
    assert_eq!(told.iter().filter(|finished| finished.success()).count(), 1);
    assert!(told.iter().all(|finished| [0, 4].contains(&finished.code())), "only conflicts");
    agreed(&lab);
    // Two EIPs and two instances, bound and unbound in every way at once: each answer is yes or a conflict.
    let told = all_at_once(&lab, |number| {
        let eip = if number % 4 < 2 { &one.id } else { &other.id };
        match number % 3 {
            0 => format!("eip unbind {eip}"),
            1 => format!("eip bind {eip} a"),
            _ => format!("eip bind {eip} b"),
        }
    });
    assert!(told.iter().all(|finished| [0, 4].contains(&finished.code())), "only conflicts");
    assert!(told.iter().any(Finished::success));
    agreed(&lab);
    lab.finish().unwrap();
}

/// A change that was answered: what it was, and between which moments.
struct Answered {
    words: String,
    asked: Timestamp,
    told: Timestamp,
    done: bool,
}

/// The present moment as the history has it, in whole milliseconds.
fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap()
}

#[test]
fn a_storm_on_one_eip_has_an_order_that_explains_every_answer() {
    let lab = Lab::serving().unwrap();
    let eip = lab.allocate().unwrap();
    let names = ["a", "b", "c"];
    for (name, private) in names.iter().zip([A, B, C]) {
        lab.private_instance(name, private).unwrap();
    }
    let revision = |event: &Value| event["revision"].as_u64().unwrap();
    let events = |since: u64| -> Vec<Value> {
        let told = lab.daemon.tell(&["events", "--since", &since.to_string(), "-o", "json"]).unwrap();
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let before = events(0).iter().map(revision).max().unwrap();
    let ids: Vec<String> = names
        .iter()
        .map(|name| lab.daemon.json(&["instance", "show", name]).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let answered: Vec<Answered> = thread::scope(|scope| {
        let client = |number: usize| {
            let (lab, eip) = (&lab, &eip);
            let mut random = Rng::with_seed(seed() + number as u64);
            scope.spawn(move || {
                let one = |_| {
                    let words = match random.usize(..4) {
                        3 => format!("eip unbind {}", eip.id),
                        name => format!("eip bind {} {}", eip.id, names[name]),
                    };
                    let asked = now();
                    let finished = lab.daemon.cli(&words.split(' ').collect::<Vec<_>>()).unwrap();
                    assert!([0, 4].contains(&finished.code()), "{finished}");
                    Answered { words, asked, told: now(), done: finished.success() }
                };
                (0..12).map(one).collect::<Vec<_>>()
            })
        };
        let clients: Vec<_> = (0..8).map(client).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    // The order in which the history has them: each must have been possible after those before it, and each answer of
    // success is the one of an event that came about while it was waited for.
    let mut open: Vec<&Answered> = answered.iter().filter(|answered| answered.done).collect();
    let (mut bound, mut changes) = (None, 0);
    for event in events(before) {
        let words = match event["event"].as_str().unwrap() {
            "eip_bound" => {
                assert_eq!(bound, None, "bound twice: {event}");
                let id = event["instance_id"].as_str().unwrap();
                let name = names[ids.iter().position(|known| known == id).unwrap()];
                bound = Some(name);
                format!("eip bind {} {name}", eip.id)
            }
            "eip_unbound" => {
                assert!(bound.take().is_some(), "unbound twice: {event}");
                format!("eip unbind {}", eip.id)
            }
            _ => continue,
        };
        let at = event["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let fits = |answered: &&&Answered| answered.words == words && answered.asked <= at && at <= answered.told;
        // Of those it may be the answer of, the one that was told first cannot be that of a later event.
        let answer = open.iter().filter(fits).min_by_key(|answered| answered.told).copied();
        let answer = answer.unwrap_or_else(|| panic!("nobody was told of {event}"));
        open.retain(|other| !std::ptr::eq(*other, answer));
        changes += 1;
    }
    assert!(open.is_empty(), "{} were told of a change that the history does not have", open.len());
    assert!(changes >= 4, "only {changes} changes of {}", answered.len());
    println!("{changes} changes among {} answers, in one order", answered.len());
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn an_answer_that_nobody_heard_is_given_again_to_the_same_token() {
    let lab = Lab::serving().unwrap();
    // Asked, and gone before the answer.
    for _ in 0..3 {
        let request = json!({"command": "eip_allocate", "account": "default", "client_token": "lost-1"});
        let mut stream = UnixStream::connect(lab.daemon.socket()).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    }
    let told = lab.daemon.json(&["eip", "allocate", "--client-token", "lost-1"]).unwrap();
    let eips = lab.daemon.json(&["eip", "list"]).unwrap();
    assert_eq!(eips.as_array().unwrap().len(), 1, "{eips}");
    assert_eq!(eips[0]["id"], told["id"]);
    agreed(&lab);
    lab.finish().unwrap();
}
