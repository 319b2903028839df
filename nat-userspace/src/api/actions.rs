//! What each action does. Adding one is a line of the table and a function.

mod addresses;
mod asked;
mod eips;
mod instances;
mod packages;
mod page;
mod params;
mod places;
mod power;
mod run;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::asked::{Answer, Asked};
use self::params::Params;
use self::walk::Walk;
use super::call::Call;
use super::error::ApiError;
use super::turns::Turns;
use crate::config::Config;
use crate::gateway::{Handle, Operations};

/// An action of the API.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Its name, like `DescribeAddresses`.
    pub name: &'static str,
    /// The versions of its form that are understood.
    pub versions: &'static [&'static str],
    /// Whether it changes anything.
    pub effect: Effect,
    /// How much of it there is.
    pub extent: Extent,
    run: Option<Run>,
}

type Run = fn(&mut Asked<'_>) -> Answer;

/// Whether an action changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It only tells.
    Read,
    /// It changes what the account has.
    Write,
}

/// How much of an action there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that concerns a gateway of public addresses.
    Done,
    /// As much as clients need to go on.
    Thin,
    /// Nothing: the cloud has it, about public addresses, and it is refused by its name.
    Not,
}

const COMPUTE: &[&str] = &["2017-03-12"];
const TAGS: &[&str] = &["2018-08-13"];
const MONITOR: &[&str] = &["2018-07-24"];
const AUDIT: &[&str] = &["2019-03-19"];
const ATTACKS: &[&str] = &["2018-07-09"];

/// The region and the zone that the gateway says it is in.
#[derive(Clone, Debug)]
struct Site {
    region: String,
    zone: String,
}

macro_rules! actions {
    ($($name:literal: $effect:ident $extent:ident $versions:ident $($run:path)?,)*) => {
        /// Every action that is known, those that are not offered too.
        pub const ACTIONS: &[Action] = &[$(Action {
            name: $name,
            versions: $versions,
            effect: Effect::$effect,
            extent: Extent::$extent,
            run: actions!(@run $($run)?),
        },)*];
    };
    (@run) => { None };
    (@run $run:path) => { Some($run) };
}

actions! {
    "RunInstances": Write Done COMPUTE run::run,
    "DescribeInstances": Read Done COMPUTE instances::describe,
    "DescribeInstancesStatus": Read Done COMPUTE instances::statuses,
    "TerminateInstances": Write Done COMPUTE power::terminate,
    "StartInstances": Write Done COMPUTE power::start,
    "StopInstances": Write Done COMPUTE power::stop,
    "RebootInstances": Write Done COMPUTE power::reboot,
    "ModifyInstancesAttribute": Write Done COMPUTE power::modify,
    "ResetInstancesInternetMaxBandwidth": Write Done COMPUTE power::reset_bandwidth,
    "AllocateAddresses": Write Done COMPUTE eips::allocate,
    "AssociateAddress": Write Done COMPUTE eips::associate,
    "DisassociateAddress": Write Done COMPUTE eips::disassociate,
    "ReleaseAddresses": Write Done COMPUTE eips::release,
    "DescribeAddresses": Read Done COMPUTE addresses::describe,
    "DescribeAddressQuota": Read Done COMPUTE addresses::quota,
    "DescribeAddressBandwidthRange": Read Done COMPUTE addresses::bandwidth_range,
    "DescribeTaskResult": Read Done COMPUTE eips::task_result,
    "TransformAddress": Write Done COMPUTE eips::transform,
    "ReturnNormalAddresses": Write Done COMPUTE eips::return_ordinary,
    "AdjustPublicAddress": Write Thin COMPUTE eips::adjust,
    "ModifyAddressAttribute": Write Done COMPUTE eips::rename,
    "ModifyAddressesBandwidth": Write Done COMPUTE eips::set_bandwidth,
    "ModifyAddressInternetChargeType": Write Done COMPUTE eips::set_charge,
    "CreateBandwidthPackage": Write Done COMPUTE packages::create,
    "DeleteBandwidthPackage": Write Done COMPUTE packages::delete,
    "DescribeBandwidthPackages": Read Done COMPUTE packages::describe,
    "ModifyBandwidthPackageAttribute": Write Done COMPUTE packages::rename,
    "ModifyBandwidthPackageBandwidth": Write Done COMPUTE packages::set_bandwidth,
    "AddBandwidthPackageResources": Write Done COMPUTE packages::add,
    "RemoveBandwidthPackageResources": Write Done COMPUTE packages::remove,
    "DescribeBandwidthPackageResources": Read Done COMPUTE packages::resources,
    "DescribeBandwidthPackageQuota": Read Done COMPUTE packages::quota,
    "DescribeBandwidthPackageBillUsage": Read Thin COMPUTE packages::bill,
    "DescribeRegions": Read Thin COMPUTE places::regions,
    "DescribeZones": Read Thin COMPUTE places::zones,
    "DescribeNetworkAccountType": Read Thin COMPUTE places::account_type,
    "DescribeInternetChargeTypeConfigs": Read Done COMPUTE places::charge_types,
    "DescribeInstancesAttributes": Read Thin COMPUTE instances::attributes,
    "DescribeImages": Read Thin COMPUTE places::images,
    "DescribeDisks": Read Thin COMPUTE places::disks,
    "DescribeUsedIpAddress": Read Thin COMPUTE power::used_addresses,
    "DescribeResourceTagsByResourceIds": Read Thin TAGS places::tags_of,
    "InquiryPriceAllocateAddresses": Read Not COMPUTE,
    "InquiryPriceModifyAddressesBandwidth": Read Not COMPUTE,
    "InquiryPriceRenewAddresses": Read Not COMPUTE,
    "InquiryPriceRunInstances": Read Not COMPUTE,
    "RenewAddresses": Write Not COMPUTE,
    "ModifyAddressesRenewFlag": Write Not COMPUTE,
    "MigrateBandwidthPackageResources": Write Not COMPUTE,
    "CreateTrafficPackages": Write Not COMPUTE,
    "DescribeTrafficPackages": Read Not COMPUTE,
    "DeleteTrafficPackages": Write Not COMPUTE,
    "AllocateIPv6Addresses": Write Not COMPUTE,
    "AssociateIPv6Address": Write Not COMPUTE,
    "DisassociateIPv6Address": Write Not COMPUTE,
    "ReleaseIPv6Addresses": Write Not COMPUTE,
    "DescribeIPv6Addresses": Read Not COMPUTE,
    "HaVipAssociateAddressIp": Write Not COMPUTE,
    "HaVipDisassociateAddressIp": Write Not COMPUTE,
    "AssociateNatGatewayAddress": Write Not COMPUTE,
    "DisassociateNatGatewayAddress": Write Not COMPUTE,
    "CreateLaunchTemplate": Write Not COMPUTE,
    "DescribeLaunchTemplates": Read Not COMPUTE,
    "DeleteLaunchTemplate": Write Not COMPUTE,
    "ImportInstancesActionTimer": Write Not COMPUTE,
    "GetMonitorData": Read Not MONITOR,
    "LookUpEvents": Read Not AUDIT,
    "CreateUnblockIp": Write Not ATTACKS,
}

/// The action of this name, if it is one that is offered.
pub(super) fn offered(name: &str) -> Result<&'static Action, ApiError> {
    find(name).map(|(action, _)| action)
}

/// The action of this name, and what does it.
fn find(name: &str) -> Result<(&'static Action, Run), ApiError> {
    let action = ACTIONS.iter().find(|action| action.name == name);
    let action = action.ok_or_else(|| ApiError::new("InvalidAction", format!("there is no action {name:?} here")))?;
    let run = action.run.ok_or_else(|| ApiError::new("InvalidAction", format!("{name} is not offered here")))?;
    Ok((action, run))
}

/// Does what a call asks and answers with the fields of its response. The sender's right to it, its version and its rate
/// have been judged.
pub(super) async fn dispatch(
    call: Call,
    handle: &Handle,
    config: &Config,
    turns: &Turns,
) -> Result<Map<String, Value>, ApiError> {
    let (action, run) = find(&call.action)?;
    let site = Site { region: config.region.clone(), zone: config.zone.clone() };
    let asked = Arc::new((call, site));
    let work = |mut walk: Walk| {
        let asked = Arc::clone(&asked);
        move |gateway: &mut dyn Operations| {
            let (call, site) = &*asked;
            let answer = run(&mut Asked { call, params: Params::new(&call.params), gateway, site, walk: &mut walk });
            (answer, walk)
        }
    };
    if action.effect == Effect::Write {
        let work = work(Walk::default());
        return handle.change(|gateway| work(gateway).0).await?;
    }
    let (mut answer, mut walk) = handle.ask(work(Walk::default())).await?;
    let _turn = if walk.is_unfinished() { turns.take(&asked.0.account).await } else { None };
    while walk.is_unfinished() && answer.is_ok() {
        (answer, walk) = handle.ask(work(walk)).await?;
    }
    answer
}

/// The table of what there is and what there is not, as the README shows it.
pub fn capabilities() -> String {
    let row = |action: &Action| {
        let extent = match action.extent {
            Extent::Done => "done",
            Extent::Thin => "thin",
            Extent::Not => "not",
        };
        let effect = match action.effect {
            Effect::Read => "reads",
            Effect::Write => "changes",
        };
        format!("| `{}` | {} | {effect} | {extent} |\n", action.name, action.versions.join(", "))
    };
    let rows: String = ACTIONS.iter().map(row).collect();
    format!("| action | version | | extent |\n|---|---|---|---|\n{rows}")
}
