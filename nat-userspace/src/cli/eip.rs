//! `eipgate eip`.

use std::net::Ipv4Addr;

use clap::{Args, Subcommand, ValueEnum};

use super::Context;
use super::failure::Failure;
use super::instance::Selector;
use super::output::{Shown, bandwidth, fields, or_dash, show, table};
use crate::address::{ChargeType, ClientToken, PackageId};
use crate::admin::wire::{Bound, EipRow, EipState, Released, Request, Unbound};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Give the account an EIP.
    #[command(
        after_help = "Examples:\n  eipgate eip allocate\n  eipgate eip allocate --address 198.51.100.7 --name mail"
    )]
    Allocate {
        /// This very address, instead of the one that rested longest.
        #[arg(long, value_name = "ADDR")]
        address: Option<Ipv4Addr>,

        /// A name for people.
        #[arg(long)]
        name: Option<String>,

        /// Public bandwidth in Mbit/s, not enforced yet. [default: 1]
        #[arg(long, value_name = "MBPS")]
        bandwidth: Option<u32>,

        /// How the bandwidth is charged. [default: BANDWIDTH_PACKAGE with --package, else TRAFFIC_POSTPAID_BY_HOUR]
        #[arg(long, value_name = "TYPE")]
        charge_type: Option<ChargeType>,

        /// The bandwidth package that shares its bandwidth.
        #[arg(long, value_name = "ID")]
        package: Option<PackageId>,

        /// Makes it safe to ask again: within 24 hours the same request with the same token allocates no second EIP.
        #[arg(long, value_name = "TOKEN")]
        client_token: Option<ClientToken>,
    },
    /// Change an EIP's name, bandwidth, charge type, or the marks that keep it from being bound.
    #[command(
        after_help = "Examples:\n  eipgate eip modify eip-7f3k2q9x --bandwidth 50\n  eipgate eip modify 198.51.100.7 \
                      --blocked yes"
    )]
    Modify {
        #[command(flatten)]
        eip: Eip,

        /// A name for people.
        #[arg(long)]
        name: Option<String>,

        /// Public bandwidth in Mbit/s, not enforced yet.
        #[arg(long, value_name = "MBPS")]
        bandwidth: Option<u32>,

        /// How the bandwidth is charged.
        #[arg(long, value_name = "TYPE")]
        charge_type: Option<ChargeType>,

        /// Whether it is under attack and blackholed.
        #[arg(long, value_enum)]
        blocked: Option<YesNo>,

        /// Whether its owner has not paid for it.
        #[arg(long, value_enum)]
        arrears: Option<YesNo>,
    },
    /// Let an EIP serve an instance, whose ordinary public IP goes back to the pool in the same moment.
    #[command(
        after_help = "Examples:\n  eipgate eip bind eip-7f3k2q9x web\n  eipgate eip bind 198.51.100.7 10.0.0.5 --vpc blue"
    )]
    Bind {
        #[command(flatten)]
        eip: Eip,

        #[command(flatten)]
        instance: Selector,
    },
    /// Take an EIP off its instance, which gets a new ordinary public IP when its bandwidth is above 0 and the configuration
    /// does not say otherwise.
    #[command(
        after_help = "Examples:\n  eipgate eip unbind eip-7f3k2q9x\n  eipgate eip unbind 198.51.100.7 --reallocate no"
    )]
    Unbind {
        #[command(flatten)]
        eip: Eip,

        /// Whether the instance gets a new ordinary public IP. [default: as configured]
        #[arg(long, value_enum)]
        reallocate: Option<YesNo>,
    },
    /// Give an unbound EIP back to the pool.
    #[command(after_help = "Examples:\n  eipgate eip release eip-7f3k2q9x")]
    Release(Eip),
    /// List the account's EIPs.
    #[command(after_help = "Examples:\n  eipgate eip list\n  eipgate eip list -o json")]
    List,
    /// Show one EIP.
    #[command(after_help = "Examples:\n  eipgate eip show 198.51.100.7")]
    Show(Eip),
}

/// Which EIP.
#[derive(Debug, Args)]
pub(super) struct Eip {
    /// Its id or address.
    #[arg(value_name = "EIP")]
    eip: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum YesNo {
    Yes,
    No,
}

pub(super) fn run(command: Command, context: &Context) -> Result<Shown, Failure> {
    let Context { client, format, .. } = context;
    let account = context.account.clone();
    match command {
        Command::Allocate { address, name, bandwidth, charge_type, package, client_token } => {
            let request = Request::EipAllocate {
                account,
                address,
                name,
                bandwidth_mbps: bandwidth,
                charge_type: charge_type.map(|charge_type| charge_type.to_string()),
                package: package.map(|package| package.to_string()),
                client_token: client_token.map(|token| token.to_string()),
            };
            Ok(show(*format, &client.ask(&request)?, allocated))
        }
        Command::Modify { eip: Eip { eip }, name, bandwidth, charge_type, blocked, arrears } => {
            let request = Request::EipModify {
                account,
                eip,
                name,
                bandwidth_mbps: bandwidth,
                charge_type: charge_type.map(|charge_type| charge_type.to_string()),
                blocked: blocked.map(|choice| choice == YesNo::Yes),
                arrears: arrears.map(|choice| choice == YesNo::Yes),
            };
            Ok(show(*format, &client.ask(&request)?, one))
        }
        Command::Bind { eip: Eip { eip }, instance } => {
            let vpc = instance.vpc();
            let request = Request::EipBind { account, eip, instance: instance.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, bound))
        }
        Command::Unbind { eip: Eip { eip }, reallocate } => {
            let reallocate = reallocate.map(|choice| choice == YesNo::Yes);
            let request = Request::EipUnbind { account, eip, reallocate };
            Ok(show(*format, &client.ask(&request)?, unbound))
        }
        Command::Release(Eip { eip }) => {
            Ok(show(*format, &client.ask(&Request::EipRelease { account, eip })?, released))
        }
        Command::List => {
            let rows: Vec<EipRow> = client.ask(&Request::EipList { account })?;
            Ok(show(*format, &rows, |rows| list(rows)))
        }
        Command::Show(Eip { eip }) => Ok(show(*format, &client.ask(&Request::EipShow { account, eip })?, one)),
    }
}

pub(super) fn allocated(row: &EipRow) -> String {
    format!("allocated EIP {}: {}", row.id, row.address)
}

pub(super) fn bound(done: &Bound) -> String {
    let EipRow { id, address, instance_id, private_ip, .. } = &done.eip;
    let (instance, private) = (or_dash(instance_id.as_ref()), or_dash(*private_ip));
    let released = done.released_ip.map(|old| format!("; ordinary public IP {old} went back to the pool"));
    format!("bound EIP {id} ({address}) to instance {instance} ({private}){}", released.unwrap_or_default())
}

pub(super) fn unbound(done: &Unbound) -> String {
    let (EipRow { id, address, .. }, instance) = (&done.eip, &done.unbound_from);
    let now = match done.assigned_ip {
        Some(new) => format!("which has the new ordinary public IP {new}"),
        None => "which has no public IP now".to_owned(),
    };
    format!("unbound EIP {id} ({address}) from instance {instance}, {now}")
}

pub(super) fn released(done: &Released) -> String {
    format!("released EIP {}: {} rests until {}", done.eip.id, done.eip.address, done.rests_until)
}

pub(super) fn list(rows: &[EipRow]) -> String {
    let titles = ["ID", "NAME", "ADDRESS", "STATE", "INSTANCE", "VPC", "PRIVATE IP", "CREATED"];
    let row = |row: &EipRow| {
        vec![
            row.id.clone(),
            or_dash(row.name.as_ref()),
            row.address.to_string(),
            state(row).to_owned(),
            or_dash(row.instance_id.as_ref()),
            or_dash(row.vpc.as_ref()),
            or_dash(row.private_ip),
            row.created_at.clone(),
        ]
    };
    table(&titles, rows.iter().map(row), "no EIPs")
}

pub(super) fn one(row: &EipRow) -> String {
    let instance = match (&row.instance_id, row.private_ip, &row.vpc) {
        (Some(id), Some(private), Some(vpc)) => format!("{id} ({private} in {vpc})"),
        _ => "-".to_owned(),
    };
    fields(&[
        ("id", row.id.clone()),
        ("name", or_dash(row.name.as_ref())),
        ("account", row.account.clone()),
        ("address", row.address.to_string()),
        ("state", state(row).to_owned()),
        ("instance", instance),
        ("bandwidth", format!("{} (not enforced)", bandwidth(row.bandwidth_mbps))),
        ("charge type", row.charge_type.clone()),
        ("package", or_dash(row.package_id.as_ref())),
        ("created", row.created_at.clone()),
    ])
}

/// What it is, and what keeps it from being bound.
fn state(row: &EipRow) -> &'static str {
    match (row.state, row.blocked, row.arrears) {
        (EipState::Bound, false, false) => "bound",
        (EipState::Bound, true, false) => "bound, blocked",
        (EipState::Bound, false, true) => "bound, in arrears",
        (EipState::Bound, true, true) => "bound, blocked and in arrears",
        (EipState::Unbound, false, false) => "unbound",
        (EipState::Unbound, true, false) => "unbound, blocked",
        (EipState::Unbound, false, true) => "unbound, in arrears",
        (EipState::Unbound, true, true) => "unbound, blocked and in arrears",
    }
}
