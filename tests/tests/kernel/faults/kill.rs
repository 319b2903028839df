//! The daemon dies at every write, flush and map call.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::model::{CALLS, serving};
use super::{long, seed};

/// Commands between two deaths, at most.
const STEPS: usize = 6;

/// As many as there is time for, the usual number at most.
fn rounds(most: u32, within: Duration, mut round: impl FnMut(u32)) -> u32 {
    let started = Instant::now();
    let most = if long() { most * 10 } else { most };
    let mut done = 0;
    while done < most && (long() || started.elapsed() < within) {
        round(done);
        done += 1;
    }
    println!("{done} rounds in {:.0} s, EIPGATE_SEED={}", started.elapsed().as_secs_f64(), seed());
    done
}

#[test]
fn invariant_10_what_was_acknowledged_survives_death_at_any_call() {
    let (lab, mut model) = serving();
    let done = rounds(150, Duration::from_secs(180), |_| {
        let call = CALLS[model.random.usize(..CALLS.len())];
        // A change makes some ten writes and one flush, and calls bpf for those maps that are not shared memory.
        let number = model.random.usize(1..=if call == "pwrite64" { 30 } else { 5 });
        model.round_at_a_call(&lab, call, number, STEPS);
    });
    println!("{} deaths, {} survivals", model.killed, model.survived);
    assert!(model.killed >= done / 3 && model.killed > 0, "the fault hardly ever fired");
    lab.finish().unwrap();
}

#[test]
fn what_was_acknowledged_survives_death_at_any_moment() {
    let (lab, mut model) = serving();
    rounds(100, Duration::from_secs(150), |_| {
        model.live(&lab, 1);
        model.round_at_a_moment(&lab, Signal::SIGKILL);
    });
    assert!(model.killed > 0);
    lab.finish().unwrap();
}

#[test]
fn every_write_and_flush_of_a_change_may_be_the_last() {
    let (lab, mut model) = serving();
    let (mut number, mut points) = ([1; CALLS.len()], 0);
    // One change after the other, killed at its first call of a kind, its second, and so on until it gets by unharmed.
    rounds(75, Duration::from_secs(90), |round| {
        let kind = round as usize % CALLS.len();
        let died = model.round_at_a_call(&lab, CALLS[kind], number[kind], 1);
        points += u32::from(died);
        number[kind] = if died { number[kind] + 1 } else { 1 };
    });
    println!("{points} deaths, each at another point");
    assert!(points > 0);
    lab.finish().unwrap();
}
