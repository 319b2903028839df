//! `eipgate package` and `eipgate quota`.

use clap::{Args, Subcommand};

use super::Context;
use super::failure::Failure;
use super::output::{BANDWIDTH_TITLE, Shown, bandwidth, fields, or_dash, show, table};
use crate::admin::wire::{PackageRow, QuotaRow, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a bandwidth package.
    #[command(after_help = "Examples:\n  eipgate package create --name office --bandwidth 200")]
    Create {
        /// A name for people.
        #[arg(long)]
        name: Option<String>,

        /// What its members share in Mbit/s, not enforced yet. [default: no limit]
        #[arg(long, value_name = "MBPS")]
        bandwidth: Option<u32>,
    },
    /// List the account's packages.
    #[command(after_help = "Examples:\n  eipgate package list\n  eipgate package list -o json")]
    List,
    /// Show one package with its members.
    #[command(after_help = "Examples:\n  eipgate package show bwp-1a2b3c4d")]
    Show(Package),
    /// End a package without members.
    #[command(after_help = "Examples:\n  eipgate package delete bwp-1a2b3c4d")]
    Delete(Package),
    /// Let an EIP, or an instance's ordinary public IP, share a package.
    #[command(
        after_help = "Examples:\n  eipgate package add bwp-1a2b3c4d eip-7f3k2q9x\n  eipgate package add bwp-1a2b3c4d web"
    )]
    Add(Membership),
    /// Take a member out of its package; it is charged by traffic from then on.
    #[command(after_help = "Examples:\n  eipgate package remove bwp-1a2b3c4d eip-7f3k2q9x")]
    Remove(Membership),
}

/// Which package.
#[derive(Debug, Args)]
pub(super) struct Package {
    /// Its id.
    #[arg(value_name = "PACKAGE")]
    package: String,
}

/// Which package, and who joins or leaves it.
#[derive(Debug, Args)]
pub(super) struct Membership {
    /// The package's id.
    #[arg(value_name = "PACKAGE")]
    package: String,

    /// An EIP's id or address, or an instance's id, name or address.
    #[arg(value_name = "MEMBER")]
    member: String,
}

pub(super) fn run(command: Command, context: &Context) -> Result<Shown, Failure> {
    let Context { client, format, .. } = context;
    let account = context.account.clone();
    match command {
        Command::Create { name, bandwidth } => {
            let request = Request::PackageCreate { account, name, bandwidth_mbps: bandwidth };
            Ok(show(*format, &client.ask(&request)?, created))
        }
        Command::List => {
            let rows: Vec<PackageRow> = client.ask(&Request::PackageList { account })?;
            Ok(show(*format, &rows, |rows| list(rows)))
        }
        Command::Show(Package { package }) => {
            Ok(show(*format, &client.ask(&Request::PackageShow { account, package })?, one))
        }
        Command::Delete(Package { package }) => {
            Ok(show(*format, &client.ask(&Request::PackageDelete { account, package })?, deleted))
        }
        Command::Add(Membership { package, member }) => {
            Ok(show(*format, &client.ask(&Request::PackageAdd { account, package, member })?, one))
        }
        Command::Remove(Membership { package, member }) => {
            Ok(show(*format, &client.ask(&Request::PackageRemove { account, package, member })?, one))
        }
    }
}

/// `eipgate quota`.
pub(super) fn quota(context: &Context) -> Result<Shown, Failure> {
    let rows: Vec<QuotaRow> = context.client.ask(&Request::QuotaList { account: context.account.clone() })?;
    Ok(show(context.format, &rows, |rows| quotas(rows)))
}

pub(super) fn created(row: &PackageRow) -> String {
    format!("created package {}: {} (not enforced)", row.id, total(row))
}

pub(super) fn deleted(row: &PackageRow) -> String {
    format!("deleted package {}", row.id)
}

pub(super) fn list(rows: &[PackageRow]) -> String {
    let titles = ["ID", "NAME", BANDWIDTH_TITLE, "MEMBERS", "CREATED"];
    let row = |row: &PackageRow| {
        vec![
            row.id.clone(),
            or_dash(row.name.as_ref()),
            total(row),
            row.members.len().to_string(),
            row.created_at.clone(),
        ]
    };
    table(&titles, rows.iter().map(row), "no packages")
}

pub(super) fn one(row: &PackageRow) -> String {
    let members = if row.members.is_empty() { "-".to_owned() } else { row.members.join(" ") };
    fields(&[
        ("id", row.id.clone()),
        ("name", or_dash(row.name.as_ref())),
        ("account", row.account.clone()),
        ("bandwidth", format!("{} (not enforced)", total(row))),
        ("members", members),
        ("created", row.created_at.clone()),
    ])
}

pub(super) fn quotas(rows: &[QuotaRow]) -> String {
    let limit = |row: &QuotaRow| row.limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    let row = |row: &QuotaRow| vec![row.quota.clone(), row.used.to_string(), limit(row)];
    table(&["QUOTA", "USED", "LIMIT"], rows.iter().map(row), "no quotas")
}

fn total(row: &PackageRow) -> String {
    row.bandwidth_mbps.map_or_else(|| "no limit".to_owned(), bandwidth)
}
