//! The machine that was measured.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use super::kit::cpus;

/// What figures depend on beside the gateways.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// The CPU as it calls itself, with family, model and stepping.
    pub cpu: String,
    /// CPUs to use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The hypervisor, where there is one.
    pub hypervisor: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// When it was measured, UTC.
    pub date: String,
    /// Load average of the last minute when it began: near 0 on a quiet machine.
    pub load: f64,
}

/// Held while a benchmark runs: two at once would measure each other.
pub struct Alone(#[expect(dead_code, reason = "held, never read")] Flock<File>);

/// Makes sure that no other benchmark runs on this machine.
pub fn be_alone() -> Result<Alone> {
    let path = Path::new("/run/eipgate-bench.lock");
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Alone(lock)),
        Err((_, Errno::EWOULDBLOCK)) => bail!("another benchmark runs on this machine: wait until it has ended"),
        Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Looks at this machine.
pub fn look() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let numbers = format!("family {} model {} stepping {}", field("cpu family"), field("model"), field("stepping"));
    let text = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let memory = text("/proc/meminfo").split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0);
    let virtualised = field("flags").split_whitespace().any(|flag| flag == "hypervisor");
    Machine {
        cpu: format!("{} ({numbers})", field("model name")),
        cores: cpus(),
        kernel: text("/proc/sys/kernel/osrelease"),
        hypervisor: virtualised.then(hypervisor),
        memory_bytes: memory * 1024,
        date: said(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])),
        load: text("/proc/loadavg").split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
    }
}

fn hypervisor() -> String {
    let lscpu = said(Command::new("lscpu").env("LC_ALL", "C"));
    let vendor = lscpu.lines().find_map(|line| line.strip_prefix("Hypervisor vendor:"));
    vendor.map_or_else(|| "unknown".to_owned(), |vendor| vendor.trim().to_owned())
}

fn said(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
