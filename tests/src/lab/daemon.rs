//! The real `eipgate` in the gateway's namespace, and its command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::namespace::Namespace;
use super::process::{Finished, Process};
use super::remains::Undo;
use super::topology::{ON_LINK_POOL, ROUTED_POOL};
use super::wait::locked;

/// Long enough for loading and verifying the program on a busy machine, an emulated one included.
const START: Duration = Duration::from_secs(120);

/// Long enough for a command that is answered at once, where an emulated machine shares its host with other work.
const COMMAND: Duration = Duration::from_secs(60);

/// How the daemon is started; the defaults fit every lab.
#[derive(Clone, Debug)]
pub struct Settings {
    pub uplinks: Vec<String>,
    pub downlinks: Vec<String>,
    pub pools: Vec<String>,
    pub cool_down: String,
    /// Further words of its command line.
    pub more: Vec<String>,
    /// Another program than the usual one.
    pub binary: String,
    /// Words to run it under.
    pub under: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uplinks: vec!["up0".into()],
            downlinks: vec!["down0".into()],
            pools: vec![ROUTED_POOL.into(), ON_LINK_POOL.into()],
            cool_down: "10m".into(),
            more: Vec::new(),
            binary: binary(),
            under: Vec::new(),
        }
    }
}

/// The daemon of a lab: running or not, it keeps its state, socket, log and maps in the lab's directory.
pub struct Daemon {
    gateway: Namespace,
    directory: PathBuf,
    undo: Undo,
    process: Mutex<Option<Process>>,
    settings: Mutex<Settings>,
}

impl Daemon {
    /// In that namespace; state, socket, log and maps go into the directory.
    pub fn new(gateway: &Namespace, directory: &Path, undo: &Undo) -> Self {
        Self {
            gateway: gateway.clone(),
            directory: directory.to_owned(),
            undo: undo.clone(),
            process: Mutex::default(),
            settings: Mutex::default(),
        }
    }

    /// Starts it and waits until it serves.
    pub fn start(&self, settings: Settings) -> Result<()> {
        self.launch(settings)?.wait_to_serve()
    }

    /// Starts it without waiting for it.
    pub fn launch(&self, settings: Settings) -> Result<&Self> {
        ensure!(!self.is_running(), "the daemon of this lab is running already");
        let binary = &settings.binary;
        ensure!(Path::new(binary).exists(), "no program {binary}: build it with `cargo build -p nat-userspace`");
        let words = self.run_words(&settings);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // A log of an earlier run says `serving` too.
        if self.log_path().exists() {
            let old = fs::read_to_string(self.log_path())?;
            fs::write(self.directory.join("earlier.log"), old)?;
            fs::remove_file(self.log_path())?;
        }
        let process = self.undo.make(|remains| {
            let process = Process::start_logging("eipgate run", self.gateway.command(&words), &self.log_path())?;
            remains.processes.push(process.pid());
            Ok(process)
        })?;
        *locked(&self.process) = Some(process);
        *locked(&self.settings) = settings;
        Ok(self)
    }

    pub fn wait_to_serve(&self) -> Result<()> {
        let process = locked(&self.process);
        process.as_ref().context("the daemon was not started")?.wait_to_say("serving", START)?;
        self.undo.make(|remains| {
            remains.detach = Some((self.gateway.name.clone(), self.detach_words()));
            Ok(())
        })
    }

    /// Runs it where it is expected to refuse.
    pub fn refuse(&self, settings: &Settings) -> Result<Finished> {
        let words = self.run_words(settings);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let finished = self.gateway.output(&words, START)?;
        ensure!(!finished.success(), "a daemon that should have refused to run ended well: {finished}");
        Ok(finished)
    }

    fn run_words(&self, settings: &Settings) -> Vec<String> {
        let mut words = settings.under.clone();
        words.extend([settings.binary.clone(), "run".into()]);
        let lists = [("--uplink", &settings.uplinks), ("--downlink", &settings.downlinks), ("--pool", &settings.pools)];
        for (option, values) in lists {
            words.extend(values.iter().flat_map(|value| [option.to_owned(), value.clone()]));
        }
        words.extend(["--allow-reserved-pools".into(), "--cool-down".into(), settings.cool_down.clone()]);
        let places = [("--state-dir", self.state()), ("--bpf-dir", self.maps()), ("--socket", self.socket())];
        for (option, path) in places {
            words.extend([option.to_owned(), path.display().to_string()]);
        }
        words.extend(settings.more.iter().cloned());
        words
    }

    fn detach_words(&self) -> Vec<String> {
        let (maps, state) = (self.maps().display().to_string(), self.state().display().to_string());
        [&binary(), "detach", "--bpf-dir", &maps, "--state-dir", &state].map(str::to_owned).to_vec()
    }

    pub fn is_running(&self) -> bool {
        locked(&self.process).is_some()
    }

    pub fn pid(&self) -> Option<i32> {
        locked(&self.process).as_ref().map(Process::pid)
    }

    /// Ends it in an instant.
    pub fn kill(&self) -> Result<()> {
        self.end(Process::kill).map(drop)
    }

    /// Asks it to end, which it must do well.
    pub fn terminate(&self) -> Result<()> {
        let finished = self.end(|process| process.stop(Signal::SIGTERM))?;
        ensure!(finished.success(), "the daemon did not end well: {finished}\n{}", self.log());
        Ok(())
    }

    fn end(&self, end: impl FnOnce(Process) -> Result<Finished>) -> Result<Finished> {
        let process = locked(&self.process).take().context("the daemon is not running")?;
        let pid = process.pid();
        let finished = end(process)?;
        // Nothing to undo any more; where everything is being undone already, neither.
        let _ = self.undo.make(|remains| {
            remains.processes.retain(|other| *other != pid);
            Ok(())
        });
        Ok(finished)
    }

    /// Starts it again as it was started before.
    pub fn restart(&self) -> Result<()> {
        let settings = locked(&self.settings).clone();
        self.start(settings)
    }

    /// Removes programs, maps and guard; what it prints says what was removed. The daemon must have ended.
    pub fn detach(&self) -> Result<String> {
        let words = self.detach_words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = self.gateway.tell(&words)?;
        self.undo.make(|remains| {
            remains.detach = None;
            Ok(())
        })?;
        Ok(said)
    }

    /// Leaves it running for good.
    pub(super) fn release(&self) {
        if let Some(process) = locked(&self.process).take() {
            super::remains::outlive(process);
        }
    }

    /// Runs a command of the command line, however it ends.
    pub fn cli(&self, words: &[&str]) -> Result<Finished> {
        self.cli_within(words, COMMAND)
    }

    pub fn cli_within(&self, words: &[&str], within: Duration) -> Result<Finished> {
        let (binary, socket) = (locked(&self.settings).binary.clone(), self.socket().display().to_string());
        self.gateway.output(&[&[binary.as_str(), "--socket", &socket], words].concat(), within)
    }

    /// Runs a command that must succeed.
    pub fn tell(&self, words: &[&str]) -> Result<String> {
        let finished = self.cli(words)?;
        ensure!(finished.success(), "{finished}\nThe daemon's log:\n{}", self.log());
        Ok(finished.stdout)
    }

    /// Runs a command that must succeed, and reads its answer.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let text = self.tell(&[words, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("`eipgate {}` printed no JSON:\n{text}", words.join(" ")))
    }

    /// Runs `eipgate map …`, which reads the pinned maps itself, whether the daemon lives or not.
    pub fn map(&self, words: &[&str]) -> Result<Value> {
        let maps = self.maps().display().to_string();
        self.json(&[&["map"], words, &["--bpf-dir", &maps]].concat())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.join("eipgate.log")
    }

    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Where the maps are pinned.
    pub fn maps(&self) -> PathBuf {
        self.directory.join("bpf")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }
}

/// The program under test: `EIPGATE_BIN`, or the one built beside this.
pub fn binary() -> String {
    if let Ok(path) = std::env::var("EIPGATE_BIN") {
        return path;
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let beside = exe.ancestors().skip(1).take(2).map(|directory| directory.join("eipgate"));
    let found = beside.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| exe.with_file_name("eipgate")).display().to_string()
}

/// The same program as a version with another layout of the maps: `EIPGATE_NEXT_BIN`, or the one built beside the other.
pub fn next_binary() -> String {
    let path = std::env::var("EIPGATE_NEXT_BIN").unwrap_or_else(|_| format!("{}-next", binary()));
    let build = "cargo build -p nat-userspace --features next-layout --bin eipgate-next";
    assert!(Path::new(&path).exists(), "no program {path}: build it with `{build}`");
    path
}

/// The text of a field of an answer.
pub fn text(value: &Value, field: &str) -> Result<String> {
    match value[field].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("no text `{field}` in {value}"),
    }
}
