//! The daemon dies at every write, flush and map call.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use lab::lab::process::ended;
use lab::lab::{A, Lab, Settings};
use nix::sys::signal::Signal;
use serde_json::json;

use super::model::{CALLS, serving};
use super::views::{check, reaches};
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

#[test]
fn an_import_that_is_killed_in_the_middle_is_there_in_full_or_not_at_all() {
    const MANY: u32 = 20_000;
    let lab = Lab::new().unwrap();
    let mut settings = Settings::default();
    settings.pools.push("198.18.0.0/17".into());
    lab.daemon.start(settings).unwrap();
    let web = lab.instance_with("web", A, "203.0.113.1").unwrap().address;
    let pair = |index: u32| {
        let [public, private] = [0xc612_0000, 0x0a40_0000].map(|first| Ipv4Addr::from_bits(first + index));
        format!("{public},{private}\n")
    };
    let pairs = lab.directory.join("pairs.csv").display().to_string();
    fs::write(&pairs, (0..MANY).map(pair).collect::<String>()).unwrap();
    let (binary, socket) = (lab::lab::daemon::binary(), lab.daemon.socket().display().to_string());
    let import = || lab.gateway.spawn(&[&binary, "--socket", &socket, "import", "--as", "ordinary", &pairs]).unwrap();
    // What is there beside the one that was there before, which serves all the time.
    let imported = || {
        assert!(reaches(&lab.internet, web));
        let (status, found) = check(&lab);
        assert_eq!(status, 0, "{found}");
        assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], json!([]));
        lab.daemon.json(&["status"]).unwrap()["pairs"]["entries"].as_u64().unwrap() - 1
    };
    let without = lab.daemon.state().with_extension("without");
    let state = lab.daemon.state().display().to_string();
    lab.daemon.tell(&["backup", "--state-dir", &state, &without.display().to_string()]).unwrap();
    let began = Instant::now();
    let finished = import().finish(Duration::from_secs(300)).unwrap();
    assert!(finished.success(), "{finished}");
    let usual = began.elapsed();
    assert_eq!(imported(), u64::from(MANY));

    let mut random = Rng::with_seed(seed());
    let (mut full, mut none) = (0, 0);
    rounds(10, Duration::from_secs(90), |round| {
        // As before the import, maps and all.
        lab.daemon.terminate().unwrap();
        fs::remove_dir_all(lab.daemon.state()).unwrap();
        fs::create_dir(lab.daemon.state()).unwrap();
        fs::copy(&without, lab.daemon.state().join("state.db")).unwrap();
        lab.daemon.restart().unwrap();
        assert_eq!(imported(), 0);
        let moment = Duration::from_micros(random.u64(..usual.as_micros() as u64));
        let asking = import();
        ended(asking.pid(), moment).unwrap();
        lab.daemon.kill().unwrap();
        let acknowledged = asking.finish(Duration::from_secs(60)).unwrap().success();
        lab.daemon.restart().unwrap();
        let there = imported();
        assert!(there == u64::from(MANY) || (there == 0 && !acknowledged), "{there} of {MANY} pairs in round {round}");
        *if there == 0 { &mut none } else { &mut full } += 1;
    });
    println!("killed within {usual:?}: in full {full} times, not at all {none} times");
    assert!(none > 0, "every import had ended before its daemon did");
    lab.finish().unwrap();
}
