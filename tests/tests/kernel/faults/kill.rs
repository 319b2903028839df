//! The daemon dies at every write, flush and map call, and a model knows what it had acknowledged.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use lab::lab::daemon::Settings;
use lab::lab::process::{Finished, ended};
use lab::lab::{Lab, SOON};

use super::strace::meddle;
use super::views::{State, agreed};
use super::{long, seed};

/// The instances there may be.
const PRIVATE: [Ipv4Addr; 5] = [
    Ipv4Addr::new(10, 0, 0, 11),
    Ipv4Addr::new(10, 0, 0, 12),
    Ipv4Addr::new(10, 0, 0, 13),
    Ipv4Addr::new(10, 0, 0, 14),
    Ipv4Addr::new(10, 0, 0, 15),
];
/// What a change calls on its way to the disk and to the maps.
const CALLS: [&str; 3] = ["pwrite64", "fdatasync", "bpf"];
/// Commands between two deaths, at most.
const STEPS: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Create(Ipv4Addr),
    Terminate(Ipv4Addr),
    Allocate,
    Bind(Ipv4Addr, Ipv4Addr),
    Unbind(Ipv4Addr),
    Release(Ipv4Addr),
}

impl Step {
    /// One that the state permits.
    fn any(state: &State, random: &mut Rng) -> Step {
        let bound = |eip: &&Ipv4Addr| state.eips[*eip].is_some();
        let unbound: Vec<Ipv4Addr> = state.eips.keys().filter(|eip| !bound(eip)).copied().collect();
        let free = |private: &&Ipv4Addr| !state.eips.values().any(|to| to.as_ref() == Some(*private));
        let mut steps = Vec::new();
        steps.extend(
            PRIVATE.iter().filter(|private| !state.instances.contains_key(*private)).map(|new| Step::Create(*new)),
        );
        steps.extend(state.instances.keys().map(|private| Step::Terminate(*private)));
        steps.extend(state.eips.keys().filter(bound).map(|eip| Step::Unbind(*eip)));
        steps.extend(unbound.iter().map(|eip| Step::Release(*eip)));
        for eip in &unbound {
            steps.extend(state.instances.keys().filter(free).map(|private| Step::Bind(*eip, *private)));
        }
        if state.eips.len() < 4 {
            steps.extend([Step::Allocate; 2]);
        }
        steps[random.usize(..steps.len())]
    }

    fn words(self) -> Vec<String> {
        let words = match self {
            Step::Create(private) => format!("instance create --bandwidth 5 --private-ip {private}"),
            Step::Terminate(private) => format!("instance terminate {private}"),
            Step::Allocate => "eip allocate".to_owned(),
            Step::Bind(eip, private) => format!("eip bind {eip} {private}"),
            Step::Unbind(eip) => format!("eip unbind {eip}"),
            Step::Release(eip) => format!("eip release {eip}"),
        };
        words.split(' ').map(str::to_owned).collect()
    }

    /// The state with this step done in full. Which address the pool gave is seen in `seen`; it must have been free.
    fn done(self, before: &State, seen: &State) -> Option<State> {
        let mut after = before.clone();
        let held = before.held();
        match self {
            Step::Create(private) => {
                let given = (*seen.instances.get(&private)?).filter(|given| !held.contains(given))?;
                after.instances.insert(private, Some(given));
            }
            Step::Terminate(private) => {
                after.instances.remove(&private);
                after.eips.values_mut().filter(|to| **to == Some(private)).for_each(|to| *to = None);
            }
            Step::Allocate => {
                let given = *seen.eips.keys().find(|eip| !held.contains(eip))?;
                after.eips.insert(given, None);
            }
            Step::Bind(eip, private) => {
                after.eips.insert(eip, Some(private));
                after.instances.insert(private, Some(eip));
            }
            Step::Unbind(eip) => {
                let private = after.eips.insert(eip, None)??;
                let given = (*seen.instances.get(&private)?).filter(|given| !held.contains(given))?;
                after.instances.insert(private, Some(given));
            }
            Step::Release(eip) => {
                after.eips.remove(&eip);
            }
        }
        Some(after)
    }
}

/// Whether the daemon said that it is done. The only other ending is that it said nothing.
fn acknowledged(finished: &Finished) -> bool {
    match finished.code() {
        0 => true,
        5 => false,
        _ => panic!("{finished}"),
    }
}

/// What is known while rounds go on: the state that was acknowledged, and the command that was not answered.
struct Model {
    random: Rng,
    state: State,
    killed: u32,
    survived: u32,
}

impl Model {
    /// After a death: all that was acknowledged is there, and of the last command all or nothing.
    fn judge(&mut self, lab: &Lab, asked: Option<Step>, place: &str) {
        // What is left of it is collected.
        lab.daemon.kill().unwrap();
        lab.daemon.restart().unwrap();
        let seen = agreed(lab);
        let whole = asked.and_then(|step| step.done(&self.state, &seen));
        assert!(
            seen == self.state || whole.as_ref() == Some(&seen),
            "killed at {place} of {asked:?} (EIPGATE_SEED={})\nbefore: {:?}\nafter:  {seen:?}",
            seed(),
            self.state
        );
        self.state = seen;
        self.killed += 1;
    }

    /// Does steps until the daemon is dead or there were enough. Answers with the one that was not acknowledged.
    fn live(&mut self, lab: &Lab, steps: usize) -> Option<Step> {
        for _ in 0..steps {
            let step = Step::any(&self.state, &mut self.random);
            let words = step.words();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let finished = lab.daemon.cli(&[&words[..], &["-o", "json"]].concat()).unwrap();
            if !acknowledged(&finished) {
                return Some(step);
            }
            self.state =
                step.done(&self.state, &gave(&finished, &self.state, step)).unwrap_or_else(|| panic!("{finished}"));
        }
        None
    }

    /// Kills it when it makes a certain call for the N-th time.
    fn round_at_a_call(&mut self, lab: &Lab, call: &str, number: usize, steps: usize) -> bool {
        let meddling = meddle(lab, &format!("{call}:signal=SIGKILL:when={number}"));
        let asked = self.live(lab, steps);
        if asked.is_none() && !ended(lab.daemon.pid().unwrap(), Duration::ZERO).unwrap() {
            assert_eq!(meddling.end(), Vec::<String>::new());
            assert_eq!(agreed(lab), self.state);
            self.survived += 1;
            return false;
        }
        assert!(ended(lab.daemon.pid().unwrap(), SOON).unwrap());
        drop(meddling);
        self.judge(lab, asked, &format!("{call} number {number}"));
        true
    }

    /// Kills it some moment after it was asked: between two writes to memory that the maps share, no call is made.
    fn round_at_a_moment(&mut self, lab: &Lab) {
        let step = Step::any(&self.state, &mut self.random);
        let words = step.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (binary, socket) = (lab::lab::daemon::binary(), lab.daemon.socket().display().to_string());
        let asking = lab.gateway.spawn(&[&[&binary, "--socket", &socket, "-o", "json"], &words[..]].concat()).unwrap();
        ended(asking.pid(), Duration::from_micros(self.random.u64(..30_000))).unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(lab.daemon.pid().unwrap()),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        let finished = asking.finish(SOON).unwrap();
        if acknowledged(&finished) {
            self.state =
                step.done(&self.state, &gave(&finished, &self.state, step)).unwrap_or_else(|| panic!("{finished}"));
            self.judge(lab, None, "a moment after the answer");
        } else {
            self.judge(lab, Some(step), "some moment");
        }
    }
}

/// The state with the address in it that an answer tells.
fn gave(finished: &Finished, before: &State, step: Step) -> State {
    let answer: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished}"));
    let told = |field: &str| answer[field].as_str().map(|text| text.parse::<Ipv4Addr>().unwrap());
    let mut seen = before.clone();
    match step {
        Step::Create(private) => drop(seen.instances.insert(private, told("public_ip"))),
        Step::Allocate => drop(seen.eips.insert(told("address").unwrap(), None)),
        Step::Unbind(eip) => drop(seen.instances.insert(before.eips[&eip].unwrap(), told("assigned_ip"))),
        _ => {}
    }
    seen
}

fn serving() -> (Lab, Model) {
    let lab = Lab::new().unwrap();
    // Long runs allocate more than an account may in a day.
    let config = lab.directory.join("eipgate.toml");
    std::fs::write(&config, "eips_per_account = 0\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { cool_down: "0s".into(), more, ..Settings::default() }).unwrap();
    // The store is made by the first change, which is a case of its own.
    let model = Model { random: Rng::with_seed(seed()), state: State::default(), killed: 0, survived: 0 };
    (lab, model)
}

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
    let done = rounds(30, Duration::from_secs(60), |_| {
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
    rounds(20, Duration::from_secs(40), |_| {
        model.live(&lab, 1);
        model.round_at_a_moment(&lab);
    });
    assert!(model.killed > 0);
    lab.finish().unwrap();
}

#[test]
fn every_write_and_flush_of_a_change_may_be_the_last() {
    let (lab, mut model) = serving();
    let (mut number, mut points) = ([1; CALLS.len()], 0);
    // One change after the other, killed at its first call of a kind, its second, and so on until it gets by unharmed.
    rounds(15, Duration::from_secs(45), |round| {
        let kind = round as usize % CALLS.len();
        let died = model.round_at_a_call(&lab, CALLS[kind], number[kind], 1);
        points += u32::from(died);
        number[kind] = if died { number[kind] + 1 } else { 1 };
    });
    println!("{points} deaths, each at another point");
    assert!(points > 0);
    lab.finish().unwrap();
}
