//! `eipgate history`.

use clap::{Args as ClapArgs, Subcommand};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Context;
use super::failure::Failure;
use super::output::{Shown, or_dash, show, table};
use crate::admin::wire::{HistoryReport, Pruned, PublicIpKind, Request, TenureRow};

/// Show who had a public address, or which addresses an instance or an EIP had, from when to when.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  eipgate history 198.51.100.7
  eipgate history 198.51.100.7 --at \"2026-11-17 10:00\"
  eipgate history web --at 2026-11-17T10:00:00Z
  eipgate history eip-7f3k2q9x -o json
  eipgate history prune --before 2025-01-01"
)]
pub(super) struct Args {
    /// A public address, of whichever account; or an instance's id or name, or an EIP's id, of the account.
    #[arg(value_name = "ADDR|INSTANCE|EIP", required = true)]
    of: Option<String>,

    /// Only what was so at this time: RFC 3339, or a date and time of this machine's time zone.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Give up what ended before a time, for good. What was still so at that time stays known. Nothing else ever
    /// removes any history.
    #[command(after_help = "Examples:\n  eipgate history prune --before 2025-01-01")]
    Prune {
        /// RFC 3339, or a date, or a date and time, of this machine's time zone.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        before: Timestamp,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Shown, Failure> {
    let Context { client, format, .. } = context;
    let of = match (args.command, args.of) {
        (Some(Command::Prune { before }), _) => {
            let request = Request::HistoryPrune { before: before.to_string() };
            return Ok(show(*format, &client.ask(&request)?, pruned));
        }
        (None, of) => of.unwrap_or_default(),
    };
    let at = args.at.map(|at| at.to_string());
    let request = Request::History { account: context.account.clone(), of: of.clone(), at: at.clone() };
    Ok(show(*format, &client.ask(&request)?, |report| page(report, &of, at.as_deref())))
}

pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let local = |civil: DateTime| civil.to_zoned(TimeZone::system()).map(|zoned: Zoned| zoned.timestamp());
    let civil: Result<DateTime, _> = text.parse();
    let moment = civil.and_then(local);
    moment
        .map_err(|_| format!("{text:?} is no time; write 2026-11-17T10:00:00Z, or \"2026-11-17 10:00\" for local time"))
}

pub(super) fn page(report: &HistoryReport, of: &str, at: Option<&str>) -> String {
    let titles = ["ADDRESS", "FROM", "UNTIL", "KIND", "INSTANCE", "NAME", "PRIVATE IP", "ACCOUNT", "CAME", "WENT"];
    let nothing = match at {
        Some(at) => format!("nothing is known of {of} at {at}: nobody held it then"),
        None => format!("{of} never had a public address"),
    };
    let rows = table(&titles, report.tenures.iter().map(row), &nothing);
    match &report.pruned_before {
        Some(before) => format!("{rows}\nnote: what ended before {before} was pruned and may be missing"),
        None => rows,
    }
}

fn row(row: &TenureRow) -> Vec<String> {
    let kind = match (row.public_ip_kind, &row.eip_id) {
        (_, Some(eip)) => format!("EIP {eip}"),
        (Some(PublicIpKind::Ordinary), None) => "ordinary".to_owned(),
        _ => format!("fenced{}", row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()),
    };
    vec![
        row.address.to_string(),
        row.from.clone(),
        row.until.clone().unwrap_or_else(|| "now".to_owned()),
        kind,
        or_dash(row.instance_id.as_ref()),
        or_dash(row.instance_name.as_ref()),
        or_dash(row.private_ip),
        or_dash(row.account.as_ref()),
        row.came.clone(),
        or_dash(row.went.as_ref()),
    ]
}

pub(super) fn pruned(done: &Pruned) -> String {
    format!("pruned {} events of what ended before {}", done.events, done.before)
}
