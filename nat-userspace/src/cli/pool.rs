//! `eipgate pool`.

use clap::Subcommand;

use super::Context;
use super::failure::Failure;
use super::output::{Shown, show, table};
use crate::admin::wire::{PoolRow, PoolRowKind, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the ranges and how their addresses are used.
    #[command(after_help = "Examples:\n  eipgate pool list\n  eipgate pool list -o json")]
    List,
}

pub(super) fn run(Command::List: &Command, context: &Context) -> Result<Shown, Failure> {
    let rows: Vec<PoolRow> = context.client.ask(&Request::PoolList {})?;
    Ok(show(context.format, &rows, |rows| list(rows)))
}

pub(super) fn list(rows: &[PoolRow]) -> String {
    let titles = ["POOL", "KIND", "MEMBERS", "HELD", "COOLING DOWN", "FREE", "SET ASIDE", "WITHHELD"];
    let row = |row: &PoolRow| {
        let kind = match row.kind {
            PoolRowKind::Routed => "routed",
            PoolRowKind::OnLink => "on-link",
        };
        let numbers = [row.members, row.held, row.cooling_down, row.free, row.set_aside, row.withheld];
        let texts = [row.prefix.clone(), kind.to_owned()];
        texts.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    };
    table(&titles, rows.iter().map(row), "no pools")
}
