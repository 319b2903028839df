//! What a lab leaves in the system, and its removal: by `Drop`, by a signal, by `lab down`, or by the next test run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::namespace::{DIRECTORY, Namespace};
use super::process::{self, Process};
use super::wait;

/// Everything to be undone. Processes that die with their owner in this process need no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Common to the names of all namespaces.
    pub name: String,
    pub namespaces: Vec<String>,
    /// Sockets, state, logs and the bpffs.
    pub directory: PathBuf,
    /// Process groups that outlive this process.
    pub processes: Vec<i32>,
    /// How to detach the data plane: words to be run in the namespace.
    pub detach: Option<(String, Vec<String>)>,
}

impl Remains {
    /// Removes all of it, going on after a failure; the first one is reported.
    pub fn remove(&self) -> Result<()> {
        let mut results = Vec::new();
        for pid in &self.processes {
            results.push(self.end(*pid));
        }
        if let Some((namespace, words)) = &self.detach {
            results.push(detach(&Namespace::named(namespace), words));
        }
        results.push(unmount_below(&self.directory));
        for name in &self.namespaces {
            results.push(Namespace::named(name).remove());
        }
        if self.directory.exists() {
            let removed = fs::remove_dir_all(&self.directory);
            results.push(removed.with_context(|| format!("cannot remove {}", self.directory.display())));
        }
        results.into_iter().collect()
    }

    /// With every process that lives in one of the namespaces, whoever started it.
    pub fn with_inhabitants(mut self) -> Self {
        let inhabitants = self.namespaces.iter().flat_map(|name| group_leaders_in(name));
        let missing: Vec<i32> = inhabitants.filter(|pid| !self.processes.contains(pid)).collect();
        self.processes.extend(missing);
        self
    }

    /// Kills a process group, unless its number belongs to somebody else by now.
    fn end(&self, pid: i32) -> Result<()> {
        if !self.namespaces.iter().any(|name| Namespace::named(name).holds(pid)) {
            return Ok(());
        }
        kill(Pid::from_raw(-pid), Signal::SIGKILL).with_context(|| format!("cannot kill process group {pid}"))?;
        // Its descriptors, and the locks on them, last as long as its last thread.
        ensure!(process::ended(pid, wait::SOON)?, "process {pid} does not end");
        Ok(())
    }

    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "namespaces": self.namespaces,
            "directory": self.directory,
            "processes": self.processes,
            "detach": self.detach,
        })
    }

    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts = |value: &Value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
        let detach = &value["detach"];
        let processes = value["processes"].as_array()?.iter();
        Some(Self {
            name: text(&value["name"])?,
            namespaces: texts(&value["namespaces"])?,
            directory: PathBuf::from(text(&value["directory"])?),
            processes: processes.map(|pid| i32::try_from(pid.as_i64()?).ok()).collect::<Option<_>>()?,
            detach: if detach.is_null() { None } else { Some((text(&detach[0])?, texts(&detach[1])?)) },
        })
    }
}

fn detach(gateway: &Namespace, words: &[String]) -> Result<()> {
    if !gateway.exists() {
        return Ok(());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let finished = gateway.output(&words, wait::SOON)?;
    if finished.success() { Ok(()) } else { bail!("{finished}") }
}

/// Unmounts every file system under a directory, the last mounted first.
pub fn unmount_below(directory: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let places = table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    let below: Vec<_> = places.filter(|place| place.starts_with(directory)).collect();
    for place in below.into_iter().rev() {
        umount2(place, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", place.display()))?;
    }
    Ok(())
}

/// Where labs keep their directories; each is named like the lab, so that what a killed test run left can be found.
pub fn home() -> PathBuf {
    std::env::temp_dir()
}

/// Removes what labs of dead processes left: their names say whose they were.
pub fn sweep() -> Result<()> {
    let mut dead: Vec<Remains> = Vec::new();
    for name in names_in(Path::new(DIRECTORY)).into_iter().chain(names_in(&home())) {
        let Some((lab, pid)) = lab_of(&name) else { continue };
        if Path::new("/proc").join(pid.to_string()).exists() || dead.iter().any(|remains| remains.name == lab) {
            continue;
        }
        let namespaces: Vec<String> =
            names_in(Path::new(DIRECTORY)).into_iter().filter(|name| name.starts_with(&format!("{lab}-"))).collect();
        let remains = Remains { directory: home().join(lab), name: lab.to_owned(), namespaces, ..Remains::default() };
        dead.push(remains.with_inhabitants());
    }
    dead.iter().try_for_each(Remains::remove)
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// `eg-123-4-router` and `eg-123-4` are of the lab `eg-123-4` of process 123.
fn lab_of(name: &str) -> Option<(&str, u32)> {
    let rest = name.strip_prefix("eg-")?;
    let (pid, rest) = rest.split_once('-')?;
    let number = rest.split('-').next()?;
    number.parse::<u32>().ok()?;
    Some((&name[.."eg-".len() + pid.len() + 1 + number.len()], pid.parse().ok()?))
}

fn group_leaders_in(namespace: &str) -> Vec<i32> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let pids = text.lines().filter_map(|line| line.trim().parse().ok());
    pids.filter(|pid| nix::unistd::getpgid(Some(Pid::from_raw(*pid))) == Ok(Pid::from_raw(*pid))).collect()
}

/// What is to be undone, shared with whoever has to undo it when the lab cannot: a thread that waits for signals.
#[derive(Clone, Default)]
pub struct Undo(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    Standing(Remains),
    /// Nothing more may be made.
    Over,
}

impl Undo {
    /// Makes something and notes it; nothing is made while it is being undone, or after.
    pub fn make<R>(&self, make: impl FnOnce(&mut Remains) -> Result<R>) -> Result<R> {
        let mut state = wait::locked(&self.0);
        if let State::Nothing = *state {
            *state = State::Standing(Remains::default());
        }
        match &mut *state {
            State::Standing(remains) => make(remains),
            _ => bail!("the lab is being taken down"),
        }
    }

    /// Whether something is there that nobody has begun to undo.
    pub fn is_standing(&self) -> bool {
        matches!(*wait::locked(&self.0), State::Standing(_))
    }

    /// Hands over what there is to undo, once. Nothing can be made any more.
    pub fn take(&self) -> Option<Remains> {
        match std::mem::replace(&mut *wait::locked(&self.0), State::Over) {
            State::Standing(remains) => Some(remains),
            _ => None,
        }
    }
}

/// A program of a lab that outlives this process; nothing kills it but [`Remains::remove`].
pub fn outlive(process: Process) -> i32 {
    let pid = process.pid();
    std::mem::forget(process);
    pid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remains_survive_their_file() {
        let remains = Remains {
            name: "eg-1-2".into(),
            namespaces: vec!["eg-1-2-a".into()],
            directory: "/tmp/eg-1-2".into(),
            processes: vec![77],
            detach: Some(("eg-1-2-gateway".into(), vec!["eipgate".into(), "detach".into()])),
        };
        assert_eq!(Remains::from_json(&remains.to_json()), Some(remains));
        let nothing = Remains::default();
        assert_eq!(Remains::from_json(&nothing.to_json()), Some(nothing));
        assert_eq!(Remains::from_json(&json!({"name": "x"})), None);
    }

    #[test]
    fn only_labs_named_after_a_process_are_swept() {
        assert_eq!(lab_of("eg-12-3-router"), Some(("eg-12-3", 12)));
        assert_eq!(lab_of("eg-12-3"), Some(("eg-12-3", 12)));
        for name in ["eg-standing-router", "eg-12", "eg-x-3-a", "other", "eg-12-x"] {
            assert_eq!(lab_of(name), None, "{name}");
        }
    }
}
