//! `eipgate instance`.

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Context;
use super::failure::Failure;
use super::output::{BANDWIDTH_TITLE, Shown, bandwidth, fields, or_dash, show, table};
use crate::address::{ChargeType, ClientToken, PackageId, VpcId};
use crate::admin::wire::{
    BillingRow, EipRow, InstanceRow, InstanceStateRow, PublicIpKind, Readdressed, Request, StopModeRow, Terminated,
};
use crate::config::parse_time_span;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an instance known, with an ordinary public IP when its bandwidth is above 0.
    #[command(after_help = "\
Examples:
  eipgate instance create --private-ip 10.0.0.5 --name web --bandwidth 5
  eipgate instance create --private-ip 10.0.0.5 --vpc blue --bandwidth 20 --charge-type TRAFFIC_POSTPAID_BY_HOUR
  eipgate instance create --private-ip 10.0.0.5 --bandwidth 20 --package bwp-1a2b3c4d --prepaid 720h")]
    Create(Create),
    /// End an instance. Its ordinary public IP goes back to the pool; an EIP stays the account's. A prepaid instance goes
    /// to the recycle bin, and is no more when it is terminated there.
    #[command(
        after_help = "Examples:\n  eipgate instance terminate web\n  eipgate instance terminate 10.0.0.5 --vpc blue"
    )]
    Terminate(Selector),
    /// Say that an instance runs. One that gave up its ordinary public IP when it stopped gets a new one.
    #[command(after_help = "Examples:\n  eipgate instance start web")]
    Start(Selector),
    /// Say that an instance is off.
    #[command(after_help = "Examples:\n  eipgate instance stop web\n  eipgate instance stop web --no-charge")]
    Stop {
        #[command(flatten)]
        instance: Selector,

        /// It costs nothing while it is off: its ordinary public IP goes back to the pool. An EIP stays.
        #[arg(long)]
        no_charge: bool,
    },
    /// Pay for a prepaid instance for longer; one in the recycle bin comes back, stopped.
    #[command(after_help = "Examples:\n  eipgate instance renew web --period 720h")]
    Renew {
        #[command(flatten)]
        instance: Selector,

        /// How much longer, like 720h.
        #[arg(long, value_name = "TIME", value_parser = parse_time_span)]
        period: Duration,
    },
    /// Change an instance's public bandwidth or how it is charged.
    #[command(after_help = "Examples:\n  eipgate instance modify web --bandwidth 50\n  eipgate instance modify web \
                      --charge-type TRAFFIC_POSTPAID_BY_HOUR")]
    Modify {
        #[command(flatten)]
        instance: Selector,

        /// Public bandwidth in Mbit/s, not enforced yet.
        #[arg(long, value_name = "MBPS")]
        bandwidth: Option<u32>,

        /// How the bandwidth is charged.
        #[arg(long, value_name = "TYPE")]
        charge_type: Option<ChargeType>,
    },
    /// Make an instance's ordinary public IP an EIP that stays bound to it. Traffic goes on; there is no way back.
    #[command(after_help = "Examples:\n  eipgate instance convert-ip web --name mail")]
    ConvertIp {
        #[command(flatten)]
        instance: Selector,

        /// A name for the EIP.
        #[arg(long)]
        name: Option<String>,
    },
    /// Give an instance's ordinary public IP back to the pool, where the configuration permits it.
    #[command(after_help = "Examples:\n  eipgate instance return-ip web")]
    ReturnIp(Selector),
    /// Exchange an instance's ordinary public IP for another, where the configuration permits it.
    #[command(after_help = "Examples:\n  eipgate instance change-ip web")]
    ChangeIp(Selector),
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
    /// [default: BANDWIDTH_PACKAGE with --package, else BANDWIDTH_POSTPAID_BY_HOUR]
    #[arg(long, value_name = "TYPE")]
    charge_type: Option<ChargeType>,

    /// The bandwidth package that shares its bandwidth.
    #[arg(long, value_name = "ID")]
    package: Option<PackageId>,

    /// Paid for this long in advance, like 720h, and terminated then unless renewed. [default: paid for by the hour]
    #[arg(long, value_name = "TIME", value_parser = parse_time_span)]
    prepaid: Option<Duration>,

    /// It does not run yet; `eipgate instance start` says when it does.
    #[arg(long)]
    pending: bool,

    /// Makes it safe to ask again: within 24 hours the same request with the same token makes no second instance.
    #[arg(long, value_name = "TOKEN")]
    client_token: Option<ClientToken>,
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
                charge_type: new.charge_type.map(|charge_type| charge_type.to_string()),
                package: new.package.map(|package| package.to_string()),
                prepaid_seconds: new.prepaid.map(|period| period.as_secs()),
                pending: new.pending,
                client_token: new.client_token.map(|token| token.to_string()),
            };
            Ok(show(*format, &client.ask(&request)?, created))
        }
        Command::Terminate(selector) => {
            let vpc = selector.vpc();
            let request = Request::InstanceTerminate { account, instance: selector.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, terminated))
        }
        Command::Start(selector) => {
            let vpc = selector.vpc();
            let request = Request::InstanceStart { account, instance: selector.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, readdressed))
        }
        Command::Stop { instance, no_charge } => {
            let stop_mode = if no_charge { StopModeRow::StopCharging } else { StopModeRow::KeepCharging };
            let vpc = instance.vpc();
            let request = Request::InstanceStop { account, instance: instance.instance, vpc, stop_mode };
            Ok(show(*format, &client.ask(&request)?, readdressed))
        }
        Command::Renew { instance, period } => {
            let (vpc, period_seconds) = (instance.vpc(), period.as_secs());
            let request = Request::InstanceRenew { account, instance: instance.instance, vpc, period_seconds };
            Ok(show(*format, &client.ask(&request)?, one))
        }
        Command::Modify { instance, bandwidth, charge_type } => {
            let request = Request::InstanceModify {
                account,
                vpc: instance.vpc(),
                instance: instance.instance,
                bandwidth_mbps: bandwidth,
                charge_type: charge_type.map(|charge_type| charge_type.to_string()),
            };
            Ok(show(*format, &client.ask(&request)?, one))
        }
        Command::ConvertIp { instance, name } => {
            let vpc = instance.vpc();
            let request = Request::InstanceConvertIp { account, instance: instance.instance, vpc, name };
            Ok(show(*format, &client.ask(&request)?, converted))
        }
        Command::ReturnIp(selector) => {
            let vpc = selector.vpc();
            let request = Request::InstanceReturnIp { account, instance: selector.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, readdressed))
        }
        Command::ChangeIp(selector) => {
            let vpc = selector.vpc();
            let request = Request::InstanceChangeIp { account, instance: selector.instance, vpc };
            Ok(show(*format, &client.ask(&request)?, readdressed))
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
    let what = match done.state_now {
        InstanceStateRow::Shutdown => format!("moved instance {id} to the recycle bin"),
        _ => format!("terminated instance {id}"),
    };
    match (done.released_ip, &done.unbound_eip) {
        (Some(address), _) => format!("{what}: ordinary public IP {address} went back to the pool"),
        (None, Some(eip)) => format!("{what}: EIP {eip} is unbound and stays yours"),
        (None, None) => what,
    }
}

pub(super) fn readdressed(done: &Readdressed) -> String {
    let (id, state) = (&done.instance.id, state(&done.instance));
    match (done.released_ip, done.assigned_ip) {
        (Some(old), Some(new)) => format!("instance {id} has the new ordinary public IP {new} instead of {old}"),
        (Some(old), None) => format!("instance {id} is {state}: ordinary public IP {old} went back to the pool"),
        (None, Some(new)) => format!("instance {id} is {state} with the new ordinary public IP {new}"),
        (None, None) => format!("instance {id} is {state}"),
    }
}

pub(super) fn converted(row: &EipRow) -> String {
    let instance = or_dash(row.instance_id.as_ref());
    format!("converted ordinary public IP {} of instance {instance} into EIP {}", row.address, row.id)
}

/// As the cloud's console says it, with what a stop means for the bill.
fn state(row: &InstanceRow) -> &'static str {
    match (row.state, row.stop_mode) {
        (InstanceStateRow::Pending, _) => "pending",
        (InstanceStateRow::Running, _) => "running",
        (InstanceStateRow::Stopped, Some(StopModeRow::StopCharging)) => "stopped without charge",
        (InstanceStateRow::Stopped, _) => "stopped",
        (InstanceStateRow::Shutdown, _) => "in the recycle bin",
        (InstanceStateRow::Terminated, _) => "terminated",
    }
}

pub(super) fn list(rows: &[InstanceRow]) -> String {
    let titles = ["ID", "NAME", "STATE", "VPC", "PRIVATE IP", "PUBLIC IP", "KIND", BANDWIDTH_TITLE, "CREATED"];
    let row = |row: &InstanceRow| {
        vec![
            row.id.clone(),
            or_dash(row.name.as_ref()),
            state(row).to_owned(),
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
    let billing = match (row.billing, row.state, &row.due_at) {
        (BillingRow::Prepaid, InstanceStateRow::Shutdown, Some(at)) => format!("prepaid, destroyed at {at}"),
        (BillingRow::Prepaid, _, Some(at)) => format!("prepaid until {at}"),
        (BillingRow::Prepaid, _, None) => "prepaid".to_owned(),
        (BillingRow::Postpaid, ..) => "by the hour".to_owned(),
    };
    fields(&[
        ("id", row.id.clone()),
        ("name", or_dash(row.name.as_ref())),
        ("account", row.account.clone()),
        ("state", format!("{} since {}", state(row), row.state_since)),
        ("billing", billing),
        ("vpc", row.vpc.clone()),
        ("private ip", row.private_ip.to_string()),
        ("public ip", public),
        ("bandwidth", format!("{} (not enforced)", bandwidth(row.bandwidth_mbps))),
        ("charge type", row.charge_type.clone()),
        ("package", or_dash(row.package_id.as_ref())),
        ("created", row.created_at.clone()),
    ])
}

fn kind(kind: PublicIpKind) -> &'static str {
    match kind {
        PublicIpKind::Ordinary => "ordinary",
        PublicIpKind::Eip => "eip",
    }
}
