//! `eipgate address`.

use std::net::Ipv4Addr;

use clap::Subcommand;

use super::Context;
use super::failure::Failure;
use super::output::{Shown, or_dash, show, table};
use crate::admin::wire::{FenceRow, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take a public address out of service: it is not handed out, and if it is held its traffic is cut at once.
    #[command(after_help = "Examples:\n  eipgate address fence 198.51.100.7 --reason \"abuse report 4711\"")]
    Fence {
        /// The address.
        #[arg(value_name = "ADDR")]
        address: Ipv4Addr,

        /// Why, for people.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Put a fenced address into service again.
    #[command(after_help = "Examples:\n  eipgate address unfence 198.51.100.7")]
    Unfence {
        /// The address.
        #[arg(value_name = "ADDR")]
        address: Ipv4Addr,
    },
    /// List the fenced addresses.
    #[command(after_help = "Examples:\n  eipgate address list\n  eipgate address list -o json")]
    List,
}

pub(super) fn run(command: Command, context: &Context) -> Result<Shown, Failure> {
    let Context { client, format, .. } = context;
    match command {
        Command::Fence { address, reason } => {
            Ok(show(*format, &client.ask(&Request::AddressFence { address, reason })?, fenced))
        }
        Command::Unfence { address } => Ok(show(*format, &client.ask(&Request::AddressUnfence { address })?, unfenced)),
        Command::List => {
            let rows: Vec<FenceRow> = client.ask(&Request::FenceList {})?;
            Ok(show(*format, &rows, |rows| list(rows)))
        }
    }
}

pub(super) fn fenced(row: &FenceRow) -> String {
    format!("fenced {}{}", row.address, effect(row, "is cut", "stays"))
}

pub(super) fn unfenced(row: &FenceRow) -> String {
    format!("unfenced {}{}", row.address, effect(row, "flows again", "is"))
}

fn effect(row: &FenceRow, traffic: &str, held: &str) -> String {
    match (&row.instance_id, &row.held_by) {
        (Some(instance), _) => format!(": the traffic of instance {instance} {traffic}"),
        (None, Some(holder)) => format!(": it {held} with {holder}, bound to nothing"),
        (None, None) => ": nobody holds it".to_owned(),
    }
}

/// A fence as a line of its own.
pub(super) fn line(row: &FenceRow) -> String {
    let reason = row.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let effect = row.instance_id.as_ref().map(|instance| format!("; instance {instance} has no traffic by it"));
    format!("{} is fenced since {}{reason}{}", row.address, row.since, effect.unwrap_or_default())
}

pub(super) fn list(rows: &[FenceRow]) -> String {
    let row = |row: &FenceRow| {
        let (holder, instance) = (or_dash(row.held_by.as_ref()), or_dash(row.instance_id.as_ref()));
        vec![row.address.to_string(), row.since.clone(), holder, instance, or_dash(row.reason.as_ref())]
    };
    table(&["ADDRESS", "FENCED SINCE", "HELD BY", "WITHOUT TRAFFIC", "REASON"], rows.iter().map(row), "no fences")
}
