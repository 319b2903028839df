//! `eipgate explain`: what would become of a packet, and why.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::failure::Failure;
use super::output::{fields, print, show};
use crate::config::Link;
use crate::dataplane::explain::{self, Check, Explanation, Payload, Question, Shape};

/// Show what would become of a packet, step by step. The program itself judges it, over the maps as they are; nothing is
/// sent and nothing counted. Works when the daemon is dead.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eipgate explain 192.0.2.10 198.51.100.7 tcp/443
  eipgate explain 10.0.0.5 192.0.2.10 udp/40000:53 --length 1500
  eipgate explain 10.0.0.5 192.0.2.10 --interface eth1:100 --ttl 1 -o json")]
pub(super) struct Args {
    /// Source address of the packet as it arrives.
    #[arg(value_name = "SRC")]
    source: Ipv4Addr,

    /// Destination address of the packet as it arrives.
    #[arg(value_name = "DST")]
    destination: Ipv4Addr,

    /// What it carries: tcp/443 (destination port), udp/40000:53 (source and destination port), icmp/8:0 (type and
    /// code), gre, 89. [default: icmp, an echo request]
    #[arg(value_name = "PROTO[/[SPORT:]DPORT]")]
    payload: Option<Payload>,

    /// The link it arrives by. [default: the one its source suggests]
    #[arg(long, short, value_name = "IF[:VLAN[.VLAN]]")]
    interface: Option<Link>,

    /// IP total length in bytes. [default: what its headers need]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..=65_000))]
    length: Option<u16>,

    /// TTL as it arrives.
    #[arg(long, value_name = "N", default_value_t = 64)]
    ttl: u8,

    /// Allow it to be fragmented: clear DF, which senders set today.
    #[arg(long)]
    may_fragment: bool,

    /// Where the program and its maps are pinned. [default: as configured, else /run/eipgate/bpf]
    #[arg(long, value_name = "DIR")]
    bpf_dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let question = Question {
        source: args.source,
        destination: args.destination,
        payload: args.payload.unwrap_or_default(),
        ttl: args.ttl,
        length: args.length,
        may_fragment: args.may_fragment,
    };
    let link = args.interface.as_ref().map(|link| (link.interface.as_str(), link.tags.as_slice()));
    let explanation = explain::explain(&context.places.bpf_dir(args.bpf_dir.as_deref())?, &question, link)?;
    print(&show(context.format, &explanation, page))?;
    Ok(ExitCode::SUCCESS)
}

fn page(explanation: &Explanation) -> String {
    let Explanation { verdict, action, explanation: meaning, .. } = explanation;
    let mut rows = vec![("packet", explanation.arrives.to_string())];
    rows.extend(explanation.steps.iter().map(|step| {
        let title = if step.step == "next_hop" { "next hop" } else { step.step };
        (title, step.finding.clone())
    }));
    rows.push(("verdict", format!("{verdict} ({action}): {meaning}")));
    rows.extend(explanation.remedy.map(|remedy| ("remedy", remedy.to_owned())));
    if let Some(leaves) = &explanation.leaves {
        rows.push(("leaves", leaves.to_string()));
        let by = explanation.leaves_by.as_ref().map_or_else(|| "to the kernel".to_owned(), |by| format!("by {by}"));
        rows.push(("frame", format!("{by}, from {} to {}", leaves.from_mac, leaves.to_mac)));
        rows.push(("checksums", checksums(leaves)));
    }
    fields(&rows)
}

fn checksums(shape: &Shape) -> String {
    let told = |check: &Check| format!("0x{} {}", check.value, if check.right { "right" } else { "WRONG" });
    let header = format!("header {}", told(&shape.header_checksum));
    match &shape.checksum {
        Some(check) => format!("{header}, payload {}", told(check)),
        None => header,
    }
}
