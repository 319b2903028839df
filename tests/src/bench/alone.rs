//! What the program costs alone: frames made and handed to it by a tail call, without interface or queue, less what
//! making and calling cost.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, loaded_programs};
use nix::unistd::Pid;
use serde::Serialize;

use super::gateway::Standing;
use super::kit::{Kit, cpus};
use super::meter;
use super::stats::Summary;
use super::traffic::Traffic;
use super::wires::{HAIRPIN, INBOUND, OUTBOUND, Stream};
use crate::program::{XDP_DROP, XDP_REDIRECT};

/// One way through the program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alone {
    /// Pairs loaded.
    pub pairs: u32,
    /// `inbound`, `outbound`, `hairpin` or `drop`.
    pub path: &'static str,
    /// Nanoseconds of a packet in each round.
    pub samples: Vec<f64>,
}

impl Alone {
    /// Over all rounds.
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.samples)
    }
}

/// Measures every path through the program of a daemon.
pub fn measure(kit: &mut Kit, standing: &Standing, rounds: usize, repeat: u32) -> Result<Vec<Alone>> {
    let pid = standing.daemon.as_ref().and_then(|daemon| daemon.pid()).context("no daemon runs there")?;
    let gateway = program_of(pid)?;
    let stub = kit.program("stub")?.fd()?.try_clone()?;
    let pairs = standing.pairs.count;
    let site = &standing.site;
    let stream = |direction| site.stream(&Traffic::new(direction, standing.pairs));
    let unbound = Stream { pairs: 1, public: standing.pairs.public(pairs + 1).to_bits(), ..stream(INBOUND) };
    let (up, down) = (site.up0.index, site.down0.index);
    let paths = [
        ("inbound", stream(INBOUND), up, XDP_REDIRECT),
        ("outbound", stream(OUTBOUND), down, XDP_REDIRECT),
        ("hairpin", stream(HAIRPIN), down, XDP_REDIRECT),
        ("drop", unbound, up, XDP_DROP),
    ];
    let mut results = paths.map(|(path, ..)| Alone { pairs, path, samples: Vec::new() });
    for _ in 0..rounds {
        for (result, (path, stream, ingress, action)) in results.iter_mut().zip(paths) {
            kit.set_stream(stream)?;
            kit.set_gateway(&stub)?;
            let (_, call) = run(kit, standing, ingress, repeat)?;
            kit.set_gateway(&gateway)?;
            let (answer, whole) = run(kit, standing, ingress, repeat)?;
            ensure!(answer == action, "the {path} packet had the action {answer} instead of {action}");
            result.samples.push(whole - call);
        }
    }
    Ok(results.into())
}

/// The answer to the last frame, and the nanoseconds of one.
fn run(kit: &mut Kit, standing: &Standing, ingress: u32, repeat: u32) -> Result<(u32, f64)> {
    let program = &*kit.program("call")?;
    standing.site.gateway().run(|| {
        meter::bind(Pid::from_raw(0), cpus() - 1)?;
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
        let mut context = [0; 24];
        context[4..8].copy_from_slice(&60u32.to_ne_bytes());
        context[12..16].copy_from_slice(&ingress.to_ne_bytes());
        let mut options = TestRunOptions::new();
        let frame = [0; 60];
        options.data_in = Some(&frame);
        options.ctx_in = Some(&context);
        options.repeat = repeat;
        let result = program.test_run(options).context("the kernel does not run the program")?;
        Ok((result.return_value, result.duration.as_nanos() as f64))
    })
}

/// The XDP program a daemon has loaded, as its descriptors tell.
fn program_of(pid: i32) -> Result<ProgramFd> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        ids.extend(text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok()));
    }
    let is_theirs = |info: &aya::programs::ProgramInfo| ids.contains(&info.id()) && info.name() == b"eipgate";
    let program = loaded_programs().flatten().find(is_theirs).context("the daemon holds no program")?;
    Ok(program.fd()?)
}
