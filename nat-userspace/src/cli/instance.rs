//! `eipgate instance`.

use std::net::Ipv4Addr;

use clap::{Args, Subcommand};

use super::Context;
use super::failure::Failure;
use super::output::{BANDWIDTH_TITLE, Shown, bandwidth, fields, or_dash, show, table};
use crate::address::{ChargeType, VpcId};
use crate::admin::wire::{InstanceRow, PublicIpKind, Request, Terminated};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an instance known, with an ordinary public IP when its bandwidth is above 0.
    #[command(after_help = "\
Examples:
  eipgate instance create --private-ip 10.0.0.5 --name web --bandwidth 5
  eipgate instance create --private-ip 10.0.0.5 --vpc blue --bandwidth 20 --charge-type TRAFFIC_POSTPAID_BY_HOUR")]
    Create(Create),
    /// End an instance. Its ordinary public IP goes back to the pool; an EIP stays the account's.
    #[command(
        after_help = "Examples:\n  eipgate instance terminate web\n  eipgate instance terminate 10.0.0.5 --vpc blue"
    )]
    Terminate(Selector),
    /// List the account's instances.
    #[command(after_help = "Examples:\n  eipgate instance list\n  eipgate instance list -o json")]
    List,
    /// Show one instance.
    #[command(
        after_help = "Examples:\n  eipgate instance show web\n  eipgate instance show 10.0.0.5 --vpc blue -o json"
    )]
    Show(Selector),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What the instance's network card carries.
    #[arg(long, value_name = "ADDR")]
    private_ip: Ipv4Addr,

    /// The VPC in which that address is unique, as named by a downlink.
    #[arg(long, value_name = "ID", default_value = "vpc-default")]
    vpc: VpcId,

    /// A name, unique within the account.
    #[arg(long)]
    name: Option<String>,

    /// Public bandwidth in Mbit/s, not enforced yet; 0 means no ordinary public IP.
    #[arg(long, value_name = "MBPS", default_value_t = 0)]
    bandwidth: u32,

    /// How the bandwidth is charged: BANDWIDTH_POSTPAID_BY_HOUR, TRAFFIC_POSTPAID_BY_HOUR or BANDWIDTH_PACKAGE.
    #[arg(long, value_name = "TYPE", default_value_t)]
    charge_type: ChargeType,
}

/// Which instance.
#[derive(Debug, Args)]
pub(super) struct Selector {
    /// Its id, name or private address.
    #[arg(value_name = "INSTANCE")]
    pub(super) instance: String,

    /// The VPC it is in, where several have its private address.
    #[arg(long, value_name = "ID")]
    pub(super) vpc: Option<VpcId>,
}

impl Selector {
    pub(super) fn vpc(&self) -> Option<String> {
        self.vpc.as_ref().map(ToString::to_string)
    }
}

pub(super) fn run(command: Command, context: &Context) -> Result<Shown, Failure> {
    let Context { client, format, .. } = context;
    let account = context.account.clone();
    match command {
        Command::Create(new) => {
            let request = Request::InstanceCreate {
                account,
                vpc: new.vpc.to_string(),
                private_ip: new.private_ip,
                name: new.name,
                bandwidth_mbps: new.bandwidth,
                charge_type: new.charge_type.to_string(),
            };
            Ok(show(*format, &client.ask(&request)?, created))
        }
        Command::Terminate(selector) => {
            let vpc = selector.vpc();
            let request = Request::InstanceTerminate { account, instance: selector.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, terminated))
        }
        Command::List => {
            let rows: Vec<InstanceRow> = client.ask(&Request::InstanceList { account })?;
            Ok(show(*format, &rows, |rows| list(rows)))
        }
        Command::Show(selector) => {
            let vpc = selector.vpc();
            let request = Request::InstanceShow { account, instance: selector.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, one))
        }
    }
}

pub(super) fn created(row: &InstanceRow) -> String {
    let InstanceRow { id, private_ip, vpc, .. } = row;
    let public = match row.public_ip {
        Some(address) => format!("ordinary public IP {address}"),
        None => "no public IP".to_owned(),
    };
    let bandwidth = bandwidth(row.bandwidth_mbps);
    format!(
        "created instance {id}: private address {private_ip} in {vpc}, {public}, bandwidth {bandwidth} (not enforced)"
    )
}

pub(super) fn terminated(done: &Terminated) -> String {
    let id = &done.instance.id;
    match (done.released_ip, &done.unbound_eip) {
        (Some(address), _) => format!("terminated instance {id}: ordinary public IP {address} went back to the pool"),
        (None, Some(eip)) => format!("terminated instance {id}: EIP {eip} is unbound and stays yours"),
        (None, None) => format!("terminated instance {id}"),
    }
}

pub(super) fn list(rows: &[InstanceRow]) -> String {
    let titles = ["ID", "NAME", "VPC", "PRIVATE IP", "PUBLIC IP", "KIND", BANDWIDTH_TITLE, "CREATED"];
    let row = |row: &InstanceRow| {
        vec![
            row.id.clone(),
            or_dash(row.name.as_ref()),
            row.vpc.clone(),
            row.private_ip.to_string(),
            or_dash(row.public_ip),
            or_dash(row.public_ip_kind.map(kind)),
            bandwidth(row.bandwidth_mbps),
            row.created_at.clone(),
        ]
    };
    table(&titles, rows.iter().map(row), "no instances")
}

pub(super) fn one(row: &InstanceRow) -> String {
    let public = match (row.public_ip, &row.eip_id) {
        (Some(address), Some(eip)) => format!("{address} (EIP {eip})"),
        (Some(address), None) => format!("{address} (ordinary)"),
        (None, _) => "-".to_owned(),
    };
    fields(&[
        ("id", row.id.clone()),
        ("name", or_dash(row.name.as_ref())),
        ("account", row.account.clone()),
        ("vpc", row.vpc.clone()),
        ("private ip", row.private_ip.to_string()),
        ("public ip", public),
        ("bandwidth", format!("{} (not enforced)", bandwidth(row.bandwidth_mbps))),
        ("charge type", row.charge_type.clone()),
        ("created", row.created_at.clone()),
    ])
}

fn kind(kind: PublicIpKind) -> &'static str {
    match kind {
        PublicIpKind::Ordinary => "ordinary",
        PublicIpKind::Eip => "eip",
    }
}
