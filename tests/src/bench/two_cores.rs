//! Generator on one core, gateway on another: cold packets, pages that change hands, more of them than fit. The
//! pessimistic end of what a core forwards.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use serde::Serialize;

use super::addresses::Pairs;
use super::gateway::{self, Ends, Kind, Standing};
use super::kit::{Kit, cpus};
use super::meter::{self, Place, monotonic};
use super::stats::Summary;
use super::traffic::Traffic;
use super::verify::{self, Expected};
use super::wires::{self, INBOUND};
use crate::lab::remains::Undo;
use crate::lab::wait;

/// What a gateway with a core of its own delivers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TwoCores {
    /// The gateway.
    pub gateway: &'static str,
    /// Millions of packets a second that arrived, in each round.
    pub mpps: Vec<f64>,
    /// CPU time of the gateway's thread for each of them, in nanoseconds.
    pub cpu_ns: Vec<f64>,
}

impl TwoCores {
    /// Over all rounds.
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.mpps)
    }
}

/// The gateways that are compared.
pub const KINDS: [Kind; 5] = [Kind::Static, Kind::Eipgate, Kind::Forward, Kind::NftStateful, Kind::NftStateless];

/// Measures these gateways in turn.
pub fn measure(undo: &Undo, kit: &mut Kit, kinds: &[Kind], rounds: usize, turn: Duration) -> Result<Vec<TwoCores>> {
    let pairs = Pairs::clustered(1_000);
    let mut stands = Vec::new();
    for kind in kinds {
        let standing = gateway::put_up(undo, kit, *kind, pairs, Ends::Sinks)?;
        let expected = Expected::at(&standing.site, Traffic::new(INBOUND, pairs), kind.work());
        let place = Place { port: &standing.site.gen0, cpu: cpus() - 1, program: "generate" };
        let right = verify::sweep(kit, place, &standing.site, &expected, pairs.count)?;
        right.map_err(anyhow::Error::msg).with_context(|| format!("{} is void", kind.name()))?;
        let thread = give_core(&standing)?;
        stands.push((standing, thread, TwoCores { gateway: kind.name(), mpps: Vec::new(), cpu_ns: Vec::new() }));
    }
    for _ in 0..rounds {
        for (standing, thread, result) in &mut stands {
            let stream = standing.site.stream(&Traffic::new(INBOUND, pairs));
            kit.set_stream(stream)?;
            let place = Place { port: &standing.site.gen0, cpu: 0, program: "generate" };
            // Long enough at the generator's own speed.
            let packets = (turn.as_nanos() / 70) as u32;
            kit.set_watch(wires::COUNT, 0)?;
            let (arrived, cpu, began) = (kit.arrived()?, meter::time_of(*thread)?, monotonic());
            meter::generate(kit, place, stream.length, packets)?;
            let (ended, arrived_then) = (monotonic(), kit.arrived()?);
            let cpu = meter::time_of(*thread)? - cpu;
            let delivered = (arrived_then - arrived).max(1) as f64;
            result.mpps.push(delivered * 1e3 / (ended - began) as f64);
            result.cpu_ns.push(cpu as f64 / delivered);
        }
    }
    Ok(stands.into_iter().map(|(.., result)| result).collect())
}

/// Gives the uplink's receiving side a thread of its own on the last CPU.
fn give_core(standing: &Standing) -> Result<Pid> {
    let before = napi_threads();
    let gateway = standing.site.gateway();
    // `ip netns exec` shows a /sys of the namespace; nothing outlives the command.
    let mut command = std::process::Command::new("ip");
    let script = "echo 1 > /sys/class/net/up0/threaded";
    command.args(["netns", "exec", &gateway.name, "sh", "-c", script]);
    let status = command.status().context("cannot run ip")?;
    anyhow::ensure!(status.success(), "cannot give up0 of {} a thread: is the kernel older than 5.12?", gateway.name);
    let new = wait::until("the thread of up0", wait::SOON, || napi_threads().difference(&before).next().copied())?;
    let thread = Pid::from_raw(new);
    meter::bind(thread, cpus() - 1)?;
    Ok(thread)
}

fn napi_threads() -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_napi =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with("napi/up0"));
    pids.filter(is_napi).collect()
}
