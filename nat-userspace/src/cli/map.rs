//! `eipgate map`: the pinned maps, read without the daemon.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::Context;
use super::address;
use super::failure::Failure;
use super::output::{print, show, table};
use crate::admin::client::ClientError;
use crate::admin::wire::{FenceRow, HostRow, Request};
use crate::dataplane;
use crate::dataplane::inspect::{self, Maps, Pair, Unbound, VerdictRow};

/// Read the pinned maps themselves, also when the daemon is dead, and look after them when it was killed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eipgate map show
  eipgate map get 198.51.100.7
  eipgate map verify
  eipgate map counters -o json
  eipgate map doubt")]
pub(super) struct Args {
    /// Where the program and its maps are pinned. [default: as configured, else /run/eipgate/bpf]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) bpf_dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show every pair, both ways, and the instances without a public address.
    Show,
    /// Show what the maps say about one address, public or private.
    Get {
        /// The address.
        #[arg(value_name = "ADDR")]
        address: Ipv4Addr,
    },
    /// Compare both directions with each other and, where the daemon lives, with its ledger; name every difference.
    Verify,
    /// Show the packets and bytes of each address, and how often each verdict was given.
    Counters {
        /// This address only.
        #[arg(value_name = "ADDR")]
        address: Option<Ipv4Addr>,
    },
    /// Have packets ask the kernel for each next hop, as after a clean stop. For a daemon that was killed: nobody follows
    /// the network until the next one starts, so what it knew of it may become wrong. Does nothing where none was left.
    Doubt,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let bpf_dir = context.places.bpf_dir(args.bpf_dir.as_deref())?;
    if matches!(args.command, Command::Doubt) {
        let doubted = Doubted { next_hops: dataplane::doubt(&bpf_dir)? };
        print(&show(context.format, &doubted, |Doubted { next_hops }| {
            format!("the kernel is asked about every packet from now on; {next_hops} next hops were left as last known")
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let maps = inspect::open(&bpf_dir)?;
    match args.command {
        Command::Show => {
            let shown = Contents { pairs: maps.pairs()?, without_public_address: maps.unbound()? };
            print(&show(context.format, &shown, contents))?;
        }
        Command::Get { address } => {
            let mut shown = Contents { pairs: maps.pairs()?, without_public_address: maps.unbound()? };
            shown.pairs.retain(|pair| pair.public == address || pair.private == address);
            shown.without_public_address.retain(|instance| instance.private == address);
            // The maps know no reason; a daemon that is dead cannot tell it.
            let fences: Vec<FenceRow> = context.client.ask(&Request::FenceList {}).unwrap_or_default();
            let fence = fences.into_iter().find(|fence| fence.address == address);
            if shown.pairs.is_empty() && shown.without_public_address.is_empty() {
                let sentence = match &fence {
                    Some(fence) => format!("{address} is in no map: {}", address::line(fence)),
                    None => format!("{address} is in no map: neither bound as a public address nor an instance's"),
                };
                return Err(Failure { status: 3, sentence });
            }
            print(&show(context.format, &shown, contents))?;
        }
        Command::Counters { address } => {
            let mut pairs = maps.pairs()?;
            if let Some(address) = address {
                pairs.retain(|pair| pair.public == address || pair.private == address);
                if pairs.is_empty() {
                    return Err(Failure { status: 3, sentence: format!("{address} is bound to nothing") });
                }
            }
            let counters = Counters { addresses: pairs, verdicts: maps.verdicts()? };
            print(&show(context.format, &counters, counters_page))?;
        }
        Command::Verify => return verify(&maps, context),
        Command::Doubt => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Both directions against each other, and against the ledger where a daemon answers.
fn verify(maps: &Maps, context: &Context) -> Result<ExitCode, Failure> {
    let mut differences = maps.verify()?;
    let ledger = match context.client.ask::<Vec<HostRow>>(&Request::HostList {}) {
        Ok(hosts) => Some(hosts),
        Err(ClientError::Unreachable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(hosts) = &ledger {
        differences.extend(against_ledger(maps, hosts)?);
    }
    let verified = Verified { compared_with_ledger: ledger.is_some(), differences };
    print(&show(context.format, &verified, |verified| {
        let mut lines = verified.differences.clone();
        lines.push(match (verified.differences.len(), verified.compared_with_ledger) {
            (0, true) => "both directions agree with each other and with the daemon's ledger".into(),
            (0, false) => "both directions agree; no daemon answers, so the ledger was not compared".into(),
            (count, _) => format!("{count} differences"),
        });
        lines.join("\n")
    }))?;
    Ok(if verified.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn against_ledger(maps: &Maps, hosts: &[HostRow]) -> Result<Vec<String>, Failure> {
    type Instances = BTreeMap<(String, Ipv4Addr), Option<Ipv4Addr>>;
    let wanted: Instances = hosts.iter().map(|host| ((host.vpc.clone(), host.private_ip), host.public_ip)).collect();
    let unbound = maps.unbound()?.into_iter().map(|instance| ((instance.vpc, instance.private), None));
    let bound = maps.pairs()?.into_iter().filter(|pair| pair.outbound);
    let bound = bound.map(|pair| ((pair.vpc, pair.private), Some(pair.public)));
    let present: Instances = unbound.chain(bound).collect();
    let named = |public: &Option<Ipv4Addr>| public.map_or("no public address".into(), |public| public.to_string());
    let mut differences = Vec::new();
    for ((vpc, private), public) in &wanted {
        match present.get(&(vpc.clone(), *private)) {
            None => differences.push(format!("{private} in {vpc} is in the ledger and not in the maps")),
            Some(found) if found != public => differences.push(format!(
                "{private} in {vpc} has {} in the ledger and {} in the maps",
                named(public),
                named(found)
            )),
            Some(_) => {}
        }
    }
    for (vpc, private) in present.keys().filter(|key| !wanted.contains_key(*key)) {
        differences.push(format!("{private} in {vpc} is in the maps and not in the ledger"));
    }
    Ok(differences)
}

#[derive(Serialize)]
struct Doubted {
    /// How many were ready.
    next_hops: usize,
}

#[derive(Serialize)]
struct Contents {
    pairs: Vec<Pair>,
    without_public_address: Vec<Unbound>,
}

#[derive(Serialize)]
struct Counters {
    addresses: Vec<Pair>,
    verdicts: Vec<VerdictRow>,
}

#[derive(Serialize)]
struct Verified {
    compared_with_ledger: bool,
    differences: Vec<String>,
}

fn contents(shown: &Contents) -> String {
    let arrow = |pair: &Pair| match (pair.inbound, pair.outbound) {
        (true, true) => "<->",
        (true, false) => "-> only",
        (false, _) => "<- only",
    };
    let pairs = shown.pairs.iter().map(|pair| {
        let ends = [pair.public.to_string(), arrow(pair).to_owned(), pair.private.to_string(), pair.vpc.clone()];
        ends.into_iter().chain(traffic(pair)).collect()
    });
    let titles = ["PUBLIC", "", "PRIVATE", "VPC", "PACKETS IN", "BYTES IN", "PACKETS OUT", "BYTES OUT"];
    let pairs = table(&titles, pairs, "no public address is bound");
    let rest = shown.without_public_address.iter().map(|row| vec![row.private.to_string(), row.vpc.clone()]);
    let rest = table(&["PRIVATE WITHOUT PUBLIC ADDRESS", "VPC"], rest, "");
    if rest.is_empty() { pairs } else { format!("{pairs}\n\n{rest}") }
}

fn counters_page(counters: &Counters) -> String {
    let addresses = counters
        .addresses
        .iter()
        .map(|pair| [pair.public.to_string(), pair.private.to_string()].into_iter().chain(traffic(pair)).collect());
    let titles = ["PUBLIC", "PRIVATE", "PACKETS IN", "BYTES IN", "PACKETS OUT", "BYTES OUT"];
    let addresses = table(&titles, addresses, "no public address is bound");
    let seen = counters.verdicts.iter().filter(|row| row.packets > 0);
    let verdicts = seen.map(|row| {
        let (packets, bytes) = (row.packets.to_string(), row.bytes.to_string());
        vec![row.verdict.to_owned(), row.action.to_owned(), packets, bytes, row.explanation.to_owned()]
    });
    let verdicts = table(&["VERDICT", "ACTION", "PACKETS", "BYTES", "MEANING"], verdicts, "no packet was seen yet");
    format!("{addresses}\n\n{verdicts}")
}

fn traffic(pair: &Pair) -> [String; 4] {
    let traffic = &pair.traffic;
    [traffic.packets_in, traffic.bytes_in, traffic.packets_out, traffic.bytes_out].map(|count| count.to_string())
}
