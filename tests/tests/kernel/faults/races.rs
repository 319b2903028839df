//! Many clients who want the same at once.

use std::sync::Barrier;
use std::thread;

use lab::lab::daemon::Settings;
use lab::lab::process::Finished;
use lab::lab::{A, B, Lab};

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
