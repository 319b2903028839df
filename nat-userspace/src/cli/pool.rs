//! `eipgate pool`.

use clap::Subcommand;

use super::Context;
use super::failure::Failure;
use super::output::{Shown, show, table};
use crate::address::Prefix;
use crate::admin::wire::{PoolRow, PoolRowKind, PoolRowOrigin, PoolRowState, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the ranges and how their addresses are used.
    #[command(after_help = "Examples:\n  eipgate pool list\n  eipgate pool list -o json")]
    List,
    /// Hand out addresses of one more range at once, and after every restart until it is removed; of a range that
    /// drains, again.
    #[command(after_help = "Examples:\n  eipgate pool add 198.51.100.0/24")]
    Add {
        /// The range, as the Internet routes it to this host or as an uplink's network has it.
        #[arg(value_name = "CIDR")]
        pool: Prefix,

        /// Accept private, documentation and benchmark ranges, for labs.
        #[arg(long)]
        allow_reserved: bool,
    },
    /// Hand out no more addresses of a range. What is held stays held, and in effect.
    #[command(after_help = "Examples:\n  eipgate pool drain 198.51.100.0/24")]
    Drain {
        /// The range, as `pool list` shows it.
        #[arg(value_name = "CIDR")]
        pool: Prefix,
    },
    /// Give up a range in which nobody holds an address, for good.
    #[command(after_help = "Examples:\n  eipgate pool drain 198.51.100.0/24\n  eipgate pool remove 198.51.100.0/24")]
    Remove {
        /// The range, as `pool list` shows it.
        #[arg(value_name = "CIDR")]
        pool: Prefix,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result<Shown, Failure> {
    let Context { client, format, .. } = context;
    match command {
        Command::List => {
            let rows: Vec<PoolRow> = client.ask(&Request::PoolList {})?;
            Ok(show(*format, &rows, |rows| list(rows)))
        }
        Command::Add { pool, allow_reserved } => {
            let request = Request::PoolAdd { pool: pool.to_string(), allow_reserved };
            Ok(show(*format, &client.ask(&request)?, added))
        }
        Command::Drain { pool } => {
            Ok(show(*format, &client.ask(&Request::PoolDrain { pool: pool.to_string() })?, drained))
        }
        Command::Remove { pool } => {
            Ok(show(*format, &client.ask(&Request::PoolRemove { pool: pool.to_string() })?, removed))
        }
    }
}

pub(super) fn added(row: &PoolRow) -> String {
    format!("pool {} serves: {}, {} of {} addresses free", row.prefix, kind(row.kind), row.free, row.members)
}

pub(super) fn drained(row: &PoolRow) -> String {
    match row.held {
        0 => format!("pool {} drains, and is empty: it can be removed", row.prefix),
        held => format!("pool {} drains: {held} addresses are still held", row.prefix),
    }
}

pub(super) fn removed(row: &PoolRow) -> String {
    let lasts = match row.origin {
        PoolRowOrigin::Configured => "; it stays away although the configuration has it",
        PoolRowOrigin::Added => "",
    };
    format!("removed pool {}{lasts}", row.prefix)
}

fn kind(kind: PoolRowKind) -> &'static str {
    match kind {
        PoolRowKind::Routed => "routed",
        PoolRowKind::OnLink => "on-link",
    }
}

pub(super) fn list(rows: &[PoolRow]) -> String {
    let titles =
        ["POOL", "KIND", "STATE", "ORIGIN", "MEMBERS", "HELD", "COOLING DOWN", "FREE", "SET ASIDE", "WITHHELD"];
    let row = |row: &PoolRow| {
        let state = match row.state {
            PoolRowState::Serving => "serving",
            PoolRowState::Draining => "draining",
        };
        let origin = match row.origin {
            PoolRowOrigin::Configured => "configured",
            PoolRowOrigin::Added => "added",
        };
        let numbers = [row.members, row.held, row.cooling_down, row.free, row.set_aside, row.withheld];
        let texts = [row.prefix.clone(), kind(row.kind).to_owned(), state.to_owned(), origin.to_owned()];
        texts.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    };
    table(&titles, rows.iter().map(row), "no pools")
}
