//! `eipgate monitor`: packets as the program judged them.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Context;
use super::failure::Failure;
use super::output::{Format, print};
use crate::dataplane::monitor::{self, Endpoints, Filter, Observation};

/// Show packets as the program judged them, until interrupted. tcpdump does not see what XDP forwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eipgate monitor
  eipgate monitor 198.51.100.7
  eipgate monitor --drops -o json")]
pub(super) struct Args {
    /// Only packets that show this address, before or after translation.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<Ipv4Addr>,

    /// Only packets that were dropped.
    #[arg(long)]
    pub(super) drops: bool,

    /// Where the program and its maps are pinned. [default: as configured, else /run/eipgate/bpf]
    #[arg(long, value_name = "DIR")]
    pub(super) bpf_dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).context("watching for signals")?;
    }
    let filter = Filter { address: args.address, drops: args.drops };
    let mut failure = None;
    let missed = monitor::run(&context.places.bpf_dir(args.bpf_dir.as_deref())?, filter, |observation| {
        if let Some(observation) = observation {
            let line = match context.format {
                Format::Table => line(&observation),
                Format::Json => serde_json::to_string(&observation).unwrap_or_default(),
            };
            if let Err(error) = print(&line) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
        }
        if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if missed > 0 {
        eprintln!("eipgate: {missed} more packets were not shown, to spare the gateway (monitor_per_second)");
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// One packet on one line: time, where, what became of it, addresses before and after.
fn line(seen: &Observation) -> String {
    let seconds = Duration::from_nanos(seen.time).as_secs_f64();
    let vlans: Vec<String> = seen.vlans.iter().map(u16::to_string).collect();
    let vlans = if vlans.is_empty() { String::new() } else { format!(" vlan {}", vlans.join(".")) };
    let mut text = format!("{seconds:.6} if {}{vlans} {}", seen.ifindex, seen.verdict);
    if let Some(before) = &seen.before {
        text += &format!(" proto {} {} length {}", seen.protocol, ends(before, seen.protocol), seen.length);
    } else {
        text += &format!(" length {}", seen.length);
    }
    if let Some(after) = &seen.after {
        text += &format!(" => {}", ends(after, seen.protocol));
    }
    if seen.dropped {
        text += &format!(" ({})", seen.explanation);
    }
    text
}

fn ends(ends: &Endpoints, protocol: u8) -> String {
    const ICMP: u8 = 1;
    let Endpoints { source, source_port, destination, destination_port } = ends;
    if protocol == ICMP {
        // The first two bytes of an ICMP message are its type and code.
        let [message_type, code] = source_port.to_be_bytes();
        return format!("{source} > {destination} icmp {message_type}/{code}");
    }
    if *source_port == 0 && *destination_port == 0 {
        return format!("{source} > {destination}");
    }
    format!("{source}:{source_port} > {destination}:{destination_port}")
}
