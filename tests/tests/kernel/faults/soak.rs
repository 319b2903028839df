//! Everything at once: changes, deaths, flushes and maps that fail, links that flap, and traffic through all of it.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use lab::lab::{A, Lab, SOON, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::WEB;
use crate::stream::Stream;

use super::model::{CALLS, Model, serving};
use super::views::agreed;
use super::{long, seed};

/// Frames a second each way. The rate is not what is tried here.
const RATE: u64 = 500;

/// Faults that cost no packet.
const QUIET: [&str; 7] = ["call", "moment", "term", "flush", "map", "stop", "none"];
/// Faults of the links, which do.
const LOUD: [&str; 4] = ["flap up0", "flap down0", "mtu", "moment"];

fn strike(lab: &Lab, model: &mut Model, fault: &str) -> bool {
    match fault {
        "call" => {
            let (call, number) = (CALLS[model.random.usize(..CALLS.len())], model.random.usize(1..6));
            return model.round_at_a_call(lab, call, number, 4);
        }
        "moment" => model.round_at_a_moment(lab, Signal::SIGKILL),
        "term" => model.round_at_a_moment(lab, Signal::SIGTERM),
        "flush" => model.round_with_a_failing_flush(lab),
        "map" => return model.round_with_a_failing_map(lab),
        "stop" => {
            let pid = Pid::from_raw(lab.daemon.pid().unwrap());
            kill(pid, Signal::SIGSTOP).unwrap();
            let refused = lab.daemon.cli_within(&["status"], Duration::from_millis(300));
            assert!(refused.is_err(), "a stopped daemon answers: {refused:?}");
            kill(pid, Signal::SIGCONT).unwrap();
        }
        "none" => assert_eq!(model.live(lab, 4).map(drop), None),
        "mtu" => {
            lab.gateway.ip("link set up0 mtu 1400\nlink set up0 mtu 1500\n").unwrap();
        }
        flap => {
            let interface = flap.split(' ').next_back().unwrap();
            lab.gateway.ip(&format!("link set {interface} down\nlink set {interface} up\n")).unwrap();
            lab.gateway.ip("route replace default via 198.51.100.1\n").unwrap();
        }
    }
    true
}

/// What the daemon holds of the machine: open files, and memory in kilobytes.
fn held(lab: &Lab) -> (usize, u64) {
    let proc = format!("/proc/{}", lab.daemon.pid().unwrap());
    let status = fs::read_to_string(format!("{proc}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (fs::read_dir(format!("{proc}/fd")).unwrap().count(), resident)
}

/// Strikes with these faults, each about as often, for so long; how often each has fired.
fn soak(lab: &Lab, model: &mut Model, faults: &[&'static str], length: Duration, stream: &Stream) -> String {
    let begun = Instant::now();
    let mut fired: BTreeMap<&str, u32> = faults.iter().map(|fault| (*fault, 0)).collect();
    while begun.elapsed() < length || fired.values().any(|times| *times == 0) {
        let mut deck = faults.to_vec();
        model.random.shuffle(&mut deck);
        for fault in deck {
            *fired.entry(fault).or_default() += u32::from(strike(lab, model, fault));
            assert_eq!(model.live(lab, 1).map(drop), None, "after {fault}");
            assert_eq!(agreed(lab), model.state, "after {fault} (EIPGATE_SEED={})", seed());
        }
        stream.flow(RATE / 20);
    }
    format!("{fired:?}")
}

#[test]
fn a_soak_of_changes_and_faults_under_traffic_ends_in_one_state() {
    let length = Duration::from_secs(if long() { 300 } else { 20 });
    let (lab, mut model) = serving();
    lab.instance_with("web", A, &WEB.to_string()).unwrap();
    model.spared = Some(A);
    model.state = agreed(&lab);
    let before = held(&lab);
    let (quiet, told) = Stream::during(&lab, RATE, |stream| soak(&lab, &mut model, &QUIET, length, stream));
    println!("{told}, EIPGATE_SEED={}: {}; {}", seed(), quiet[0], quiet[1]);
    quiet.iter().for_each(|outcome| outcome.check("faults that cost no packet"));
    let after = held(&lab);
    println!("open files and kilobytes in memory: {before:?} before, {after:?} after");
    assert!(after.0 <= before.0 + 4 && after.1 <= before.1 + 20_000, "{before:?} before, {after:?} after");

    let (loud, told) = Stream::during(&lab, RATE, |stream| soak(&lab, &mut model, &LOUD, length / 2, stream));
    println!("{told}: {}; {}", loud[0], loud[1]);
    assert_eq!(loud.each_ref().map(|outcome| outcome.wrong), [0, 0], "packets were changed on the way");
    // All is well again once the links are.
    wait::until("packets to be answered", SOON, || super::views::reaches(&lab.internet, WEB).then_some(())).unwrap();
    assert_eq!(agreed(&lab), model.state);
    lab.finish().unwrap();
}
