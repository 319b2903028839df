//! A network namespace by name, and everything that is done inside one.
//!
//! Programs are run by `nsenter --net`, never `ip netns exec`: the latter makes a mount namespace of its own, and a
//! bpffs mounted inside dies with the program that mounted it and takes the XDP attachment along.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::ifaddrs::getifaddrs;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};

use super::process::{Finished, Process};
use super::wait;
use crate::frames::Mac;

/// Where `ip netns` keeps the names of namespaces.
pub const DIRECTORY: &str = "/run/netns";

/// A network namespace. Dropping this value does not remove it; [`super::remains::Remains`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from(DIRECTORY).join(&self.name)
    }

    pub fn exists(&self) -> bool {
        self.inode().is_some()
    }

    /// The number by which the kernel knows the namespace, as `/proc/PID/ns/net` shows it.
    pub fn inode(&self) -> Option<u64> {
        fs::metadata(self.path()).ok().map(|meta| meta.ino())
    }

    /// Whether a process lives in it.
    pub fn holds(&self, pid: i32) -> bool {
        let theirs = fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|meta| meta.ino());
        theirs.is_some() && theirs == self.inode()
    }

    /// Runs a closure inside, on a thread of its own. A socket made inside stays there, wherever it is used later.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let inside = || {
            self.enter().expect("the namespace can be entered");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Moves the calling thread inside, for good.
    pub fn enter(&self) -> Result<()> {
        let file = File::open(self.path()).with_context(|| format!("no namespace {}", self.name))?;
        setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter namespace {}", self.name))
    }

    /// A program to be run inside.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).args(words);
        command
    }

    /// Starts a program inside; dropping the result kills it.
    pub fn spawn(&self, words: &[&str]) -> Result<Process> {
        Process::start(&words.join(" "), self.command(words))
    }

    /// Runs a program inside to its end, whatever that is.
    pub fn output(&self, words: &[&str], within: Duration) -> Result<Finished> {
        self.spawn(words)?.finish(within)
    }

    /// Runs a program inside that must succeed, and returns what it printed.
    pub fn tell(&self, words: &[&str]) -> Result<String> {
        let finished = self.output(words, wait::SOON)?;
        ensure!(finished.success(), "{finished}");
        Ok(finished.stdout)
    }

    /// Gives `ip` a list of commands, one to a line.
    pub fn ip(&self, lines: &str) -> Result<()> {
        ip_batch(&["-n", &self.name], lines)
    }

    /// Sets the features of an interface's driver as in the arguments of `ethtool -K`.
    pub fn features(&self, interface: &str, settings: &[&str]) -> Result<()> {
        self.tell(&[&["ethtool", "-K", interface], settings].concat()).map(drop)
    }

    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = sysctl_path(key);
        self.run(|| fs::write(&path, value)).with_context(|| format!("cannot set {key} to {value}"))
    }

    pub fn sysctl_of(&self, key: &str) -> Result<String> {
        let text = self.run(|| fs::read_to_string(sysctl_path(key))).with_context(|| format!("cannot read {key}"))?;
        Ok(text.trim_end().to_owned())
    }

    /// The MAC address of an interface.
    pub fn mac(&self, interface: &str) -> Result<Mac> {
        let all: Vec<_> = self.run(|| getifaddrs().map(Iterator::collect))?;
        let mut named = all.iter().filter(|found| found.interface_name == interface);
        let mac = named.find_map(|found| found.address.as_ref()?.as_link_addr()?.addr());
        mac.with_context(|| format!("no interface {interface} in {}", self.name))
    }

    /// Whether an interface is there.
    pub fn has_interface(&self, interface: &str) -> bool {
        self.run(|| nix::net::if_::if_nametoindex(interface).is_ok())
    }

    /// Waits until something listens on a TCP port.
    pub fn wait_for_listener(&self, port: u16) -> Result<()> {
        wait::until(&format!("a listener on port {port} in {}", self.name), wait::SOON, || {
            let tables =
                self.run(|| ["tcp", "tcp6"].map(|file| fs::read_to_string(format!("/proc/thread-self/net/{file}"))));
            tables.into_iter().flatten().any(|table| listens(&table, port)).then_some(())
        })
    }

    /// The neighbour table: address, state (`REACHABLE`, `FAILED`, …), and the MAC where there is one.
    pub fn neighbours(&self, interface: &str) -> Result<Vec<(String, String, Option<String>)>> {
        let all: serde_json::Value =
            serde_json::from_str(&self.tell(&["ip", "-j", "neigh", "show", "dev", interface])?)?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let row = |row: &serde_json::Value| {
            Some((text(&row["dst"])?, text(&row["state"][0]).unwrap_or_default(), text(&row["lladdr"])))
        };
        Ok(all.as_array().into_iter().flatten().filter_map(row).collect())
    }

    /// Forgets all neighbours of an interface, the ones somebody manages included.
    pub fn forget_neighbours(&self, interface: &str) -> Result<()> {
        self.tell(&["ip", "neigh", "flush", "dev", interface, "nud", "all"]).map(drop)
    }

    /// Removes the name. The kernel removes the namespace once nothing lives in it.
    pub fn remove(&self) -> Result<()> {
        let path = self.path();
        if !path.exists() {
            return Ok(());
        }
        // A name whose mount is gone already is just a file.
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        fs::remove_file(&path).with_context(|| format!("cannot remove namespace {}", self.name))
    }
}

fn sysctl_path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key.replace('.', "/"))
}

/// Whether a table as in `/proc/net/tcp` has a socket that listens on the port.
fn listens(table: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().and_then(|local| local.rsplit_once(':'));
        local.is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port)) && words.nth(1) == Some(LISTEN)
    })
}

/// Gives `ip` a list of commands, one to a line.
pub fn ip_batch(options: &[&str], lines: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(options).args(["-batch", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run ip")?;
    child.stdin.take().context("its input is a pipe")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ip {} refused:\n{lines}\n{}", options.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// `10.0.0.11:80`
pub fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 0B00000A:1F90 00000000:0000 0A 00000000:00000000\n   \
                     1: 0B00000A:0050 0A0002C0:1F91 01 00000000:00000000\n";
        assert!(listens(table, 8080));
        assert!(!listens(table, 80), "connected, not listening");
        assert!(!listens(table, 8081), "a remote port");
    }
}
