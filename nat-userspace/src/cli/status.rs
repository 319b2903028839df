//! `eipgate status`.

use std::process::ExitCode;

use super::failure::{DEGRADED, Failure};
use super::output::{fields, or_dash, print, show, table};
use super::{Context, address};
use crate::admin::wire::{Request, StatusReport, Usage};
use crate::dataplane::{HopStatus, LinkStatus, MapUse, NotReady, PlaneStatus};

/// Show how the daemon and its data plane are. Ends with status 6 when the gateway is degraded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eipgate status\n  eipgate status -o json | jq .data_plane")]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let report: StatusReport<PlaneStatus> = context.client.ask(&Request::Status {})?;
    print(&show(context.format, &report, page))?;
    Ok(if report.degraded { ExitCode::from(DEGRADED) } else { ExitCode::SUCCESS })
}

pub(super) fn page(report: &StatusReport<PlaneStatus>) -> String {
    let plane = &report.data_plane;
    let of = |usage: &Usage| format!("{} of {}", usage.entries, usage.capacity);
    let mut parts = vec![fields(&[
        ("eipgate", format!("{}, pid {}, serving since {}", report.version, report.pid, report.serving_since)),
        ("state", if report.degraded { "degraded" } else { "ok" }.to_owned()),
        ("instances", of(&report.instances)),
        ("pairs", of(&report.pairs)),
        ("eips", report.eips.to_string()),
        ("maps", if report.dirty { "behind the ledger" } else { "in step with the ledger" }.to_owned()),
        ("program", plane.program_id.map_or_else(|| "not loaded".to_owned(), |id| format!("id {id}"))),
        ("guard", if plane.guard { "present" } else { "missing" }.to_owned()),
        ("next hops", format!("{} ready, {} asked for", plane.next_hops.ready, plane.next_hops.asked)),
    ])];
    if report.held_outside_pools > 0 {
        parts.push(format!("{} addresses are held that no pool has", report.held_outside_pools));
    }
    parts.extend(report.fences.iter().map(address::line));
    parts.extend(report.problems.iter().map(|problem| format!("degraded: {problem}")));
    let titles = ["INTERFACE", "SIDE", "VLAN", "VPC", "STATE", "MODE", "MTU"];
    parts.push(String::new());
    parts.push(table(&titles, plane.links.iter().map(link), "no interfaces"));
    let map = |map: &MapUse| vec![map.name.clone(), map.entries.to_string(), map.capacity.to_string()];
    parts.push(String::new());
    parts.push(table(&["MAP", "ENTRIES", "CAPACITY"], plane.maps.iter().map(map), "no maps"));
    parts.push(String::new());
    let lines = asked(&plane.next_hops);
    if !lines.is_empty() {
        parts.extend(lines);
        parts.push(String::new());
    }
    parts.extend(report.notes.iter().map(|note| format!("note: {note}")));
    parts.join("\n")
}

/// One line for each next hop that is known not to be ready.
fn asked(hops: &HopStatus) -> Vec<String> {
    let line = |hop: &NotReady| {
        let place = match (&hop.address, &hop.interface) {
            _ if hop.internet => "the Internet".to_owned(),
            (Some(address), Some(interface)) => format!("{address} on {interface}"),
            (Some(address), None) => address.to_string(),
            (None, _) => "an instance".to_owned(),
        };
        format!("the kernel is asked about the way to {place}: {}", hop.reason)
    };
    let mut lines: Vec<String> = hops.not_ready.iter().map(line).collect();
    let more = hops.asked.saturating_sub(hops.not_ready.len() as u64);
    if more > 0 {
        lines.push(format!("the kernel is asked about {more} more next hops"));
    }
    if let Some(reason) = &hops.instances_reason {
        let count = hops.instances_without;
        lines
            .push(format!("the kernel is asked about the ways to {count} instances; to one of them, because {reason}"));
    }
    lines
}

fn link(link: &LinkStatus) -> Vec<String> {
    let tags: Vec<String> = link.tags.iter().map(u16::to_string).collect();
    vec![
        link.interface.clone(),
        link.side.clone(),
        or_dash((!tags.is_empty()).then(|| tags.join("."))),
        or_dash(link.vpc.as_ref()),
        match (link.attached, link.up) {
            (true, true) => "attached",
            (true, false) => "attached, down",
            (false, _) => "waiting",
        }
        .to_owned(),
        or_dash(link.mode.as_ref()),
        or_dash(link.mtu),
    ]
}
