//! A model that knows what the daemon has acknowledged, and judges what is there after a fault.

use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;
use lab::lab::daemon::Settings;
use lab::lab::process::{Finished, ended};
use lab::lab::{Lab, SOON, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::seed;
use super::strace::meddle;
use super::views::{State, agreed};

/// The instances there may be.
const PRIVATE: [Ipv4Addr; 5] = [
    Ipv4Addr::new(10, 0, 0, 11),
    Ipv4Addr::new(10, 0, 0, 12),
    Ipv4Addr::new(10, 0, 0, 13),
    Ipv4Addr::new(10, 0, 0, 14),
    Ipv4Addr::new(10, 0, 0, 15),
];
/// What a change calls on its way to the disk and to the maps.
pub(crate) const CALLS: [&str; 3] = ["pwrite64", "fdatasync", "bpf"];
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Create(Ipv4Addr),
    Terminate(Ipv4Addr),
    Allocate,
    Bind(Ipv4Addr, Ipv4Addr),
    Unbind(Ipv4Addr),
    Release(Ipv4Addr),
    Modify(Ipv4Addr, u32),
}

impl Step {
    /// One that the state permits, and that leaves an instance alone.
    fn any(state: &State, spared: Option<Ipv4Addr>, random: &mut Rng) -> Step {
        let mut state = state.clone();
        state.eips.retain(|_, to| to.is_none() || *to != spared);
        state.mbps.retain(|eip, _| state.eips.contains_key(eip));
        state.instances.retain(|private, _| Some(*private) != spared);
        let bound = |eip: &&Ipv4Addr| state.eips[*eip].is_some();
        let unbound: Vec<Ipv4Addr> = state.eips.keys().filter(|eip| !bound(eip)).copied().collect();
        let free = |private: &&Ipv4Addr| !state.eips.values().any(|to| to.as_ref() == Some(*private));
        let mut steps = Vec::new();
        steps.extend(
            PRIVATE
                .iter()
                .filter(|new| Some(**new) != spared && !state.instances.contains_key(*new))
                .map(|new| Step::Create(*new)),
        );
        steps.extend(state.instances.keys().map(|private| Step::Terminate(*private)));
        steps.extend(state.eips.keys().filter(bound).map(|eip| Step::Unbind(*eip)));
        steps.extend(unbound.iter().map(|eip| Step::Release(*eip)));
        steps.extend(state.mbps.iter().map(|(eip, mbps)| Step::Modify(*eip, mbps % 50 + 1)));
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
            Step::Modify(eip, mbps) => format!("eip modify {eip} --bandwidth {mbps}"),
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
                after.mbps.insert(given, 1);
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
                after.mbps.remove(&eip);
            }
            Step::Modify(eip, mbps) => drop(after.mbps.insert(eip, mbps)),
        }
        Some(after)
    }
}

/// Whether the daemon said that it is done. The only other endings are that it said nothing, or that it is about to end.
fn acknowledged(finished: &Finished) -> bool {
    match finished.code() {
        0 => true,
        5 => false,
        1 if finished.stderr.contains("is stopping") => false,
        _ => panic!("{finished}"),
    }
}

/// What is known while rounds go on: the state that was acknowledged.
pub(crate) struct Model {
    pub(crate) random: Rng,
    pub(crate) state: State,
    /// An instance that is left alone.
    pub(crate) spared: Option<Ipv4Addr>,
    pub(crate) killed: u32,
    pub(crate) survived: u32,
}

impl Model {
    /// After a death: all that was acknowledged is there, and of the last command all or nothing.
    fn judge(&mut self, lab: &Lab, asked: Option<Step>, place: &str) {
        // What is left of it is collected.
        lab.daemon.kill().unwrap();
        lab.daemon.restart().unwrap();
        self.compare(lab, asked, place);
        self.killed += 1;
    }

    /// All that was acknowledged is there, and of a command that was not all or nothing; commands, store and maps agree.
    fn compare(&mut self, lab: &Lab, asked: Option<Step>, place: &str) {
        let seen = agreed(lab);
        let whole = asked.and_then(|step| step.done(&self.state, &seen));
        assert!(
            seen == self.state || whole.as_ref() == Some(&seen),
            "{place}, asked for {asked:?} (EIPGATE_SEED={})\nbefore: {:?}\nafter:  {seen:?}",
            seed(),
            self.state
        );
        self.state = seen;
    }

    /// A step with its words.
    fn step(&mut self) -> (Step, Vec<String>) {
        let step = Step::any(&self.state, self.spared, &mut self.random);
        (step, step.words().into_iter().chain(["-o".into(), "json".into()]).collect())
    }

    /// Takes note of a step that was acknowledged.
    fn note(&mut self, step: Step, finished: &Finished) {
        let after = step.done(&self.state, &gave(finished, &self.state, step));
        self.state = after.unwrap_or_else(|| panic!("{finished}"));
    }

    /// Does steps until the daemon is dead or there were enough. Answers with the one that was not acknowledged.
    pub(crate) fn live(&mut self, lab: &Lab, steps: usize) -> Option<Step> {
        for _ in 0..steps {
            let (step, words) = self.step();
            let finished = lab.daemon.cli(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            if !acknowledged(&finished) {
                return Some(step);
            }
            self.note(step, &finished);
        }
        None
    }

    /// Kills it when it makes a certain call for the N-th time.
    pub(crate) fn round_at_a_call(&mut self, lab: &Lab, call: &str, number: usize, steps: usize) -> bool {
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
        self.judge(lab, asked, &format!("killed at {call} number {number}"));
        true
    }

    /// Ends it some moment after it was asked: between two writes to memory that the maps share, no call is made.
    pub(crate) fn round_at_a_moment(&mut self, lab: &Lab, signal: Signal) {
        let (step, words) = self.step();
        let (binary, socket) = (lab::lab::daemon::binary(), lab.daemon.socket().display().to_string());
        let words: Vec<&str> =
            [binary.as_str(), "--socket", &socket].into_iter().chain(words.iter().map(String::as_str)).collect();
        let asking = lab.gateway.spawn(&words).unwrap();
        ended(asking.pid(), Duration::from_micros(self.random.u64(..30_000))).unwrap();
        let pid = lab.daemon.pid().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        assert!(ended(pid, SOON).unwrap(), "{signal} does not end it");
        let finished = asking.finish(SOON).unwrap();
        if acknowledged(&finished) {
            self.note(step, &finished);
            self.judge(lab, None, "ended a moment after the answer");
        } else {
            self.judge(lab, Some(step), "ended at some moment");
        }
    }

    /// Lets its next flush fail, which must be told and leave nothing half.
    pub(crate) fn round_with_a_failing_flush(&mut self, lab: &Lab) {
        let meddling = meddle(lab, "fdatasync,fsync:error=EIO:when=1");
        let (step, words) = self.step();
        let finished = lab.daemon.cli(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let fired = meddling.end();
        assert!(fired.iter().any(|line| line.contains("EIO")), "{fired:?}");
        assert!(finished.code() == 1 && finished.stderr.contains("could not be stored"), "{finished}");
        wait::until("the store to be believed again", SOON, || {
            let status = lab.daemon.cli(&["status"]).ok()?;
            (!status.stdout.contains("the store is read-only")).then_some(())
        })
        .unwrap();
        self.compare(lab, Some(step), "a flush failed");
    }

    /// Lets its next call about a map fail; answers whether the step made any.
    pub(crate) fn round_with_a_failing_map(&mut self, lab: &Lab) -> bool {
        let error = ["ENOMEM", "EPERM", "E2BIG"][self.random.usize(..3)];
        let meddling = meddle(lab, &format!("bpf:error={error}:when=1"));
        let (step, words) = self.step();
        let finished = lab.daemon.cli(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let fired = !meddling.end().is_empty();
        if acknowledged_or_stored(&finished) {
            self.note(step, &finished);
            self.compare(lab, None, "a map refused");
            return fired;
        }
        wait::until("the maps to be in step", SOON, || {
            (lab.daemon.json(&["status"]).ok()?["dirty"] == false).then_some(())
        })
        .unwrap();
        let before = self.state.clone();
        self.compare(lab, Some(step), "a map refused");
        assert_ne!(self.state, before, "what was stored is gone: {finished}");
        fired
    }
}

/// Whether it is done; otherwise it must have said that it is stored and not in effect yet.
fn acknowledged_or_stored(finished: &Finished) -> bool {
    let stored = finished.code() == 1 && finished.stderr.contains("stored but not in effect yet");
    assert!(finished.success() || stored, "{finished}");
    finished.success()
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

/// A lab whose daemon holds nothing yet, and the model of that.
pub(crate) fn serving() -> (Lab, Model) {
    let lab = Lab::new().unwrap();
    // Long runs allocate more than an account may in a day.
    let config = lab.directory.join("eipgate.toml");
    std::fs::write(&config, "eips_per_account = 0\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { cool_down: "0s".into(), more, ..Settings::default() }).unwrap();
    // The store is made by the first change, which is a case of its own.
    let random = Rng::with_seed(seed());
    let model = Model { random, state: State::default(), spared: None, killed: 0, survived: 0 };
    (lab, model)
}
