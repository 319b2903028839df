//! Instances started, stopped, rebooted, terminated, and what is promised or remembered of them changed.

use serde_json::json;

use super::super::error::ApiError;
use super::asked::{Answer, Asked, bandwidth, charge_type, fields};
use super::run::user_data;
use crate::address::{Command, Instance, InstanceChanges, InstanceId, InstanceState, Operation, StopMode};

pub(super) fn terminate(asked: &mut Asked<'_>) -> Answer {
    let ids = asked.instances("InstanceIds")?;
    let is_protected = |id: &&InstanceId| {
        let instance = asked.ledger().instance(id);
        instance.and_then(|instance| instance.detail.as_ref()).is_some_and(|detail| detail.protected)
    };
    if let Some(id) = ids.iter().find(is_protected) {
        let message = format!("instance {id} is protected; set DisableApiTermination to false first");
        return Err(ApiError::new("UnsupportedOperation.InstancesProtected", message));
    }
    let account = asked.account();
    let end = |instance| Command::TerminateInstance { account: account.clone(), instance };
    asked.perform_all(ids.into_iter().map(end).collect())?;
    Ok(fields(json!({})))
}

pub(super) fn start(asked: &mut Asked<'_>) -> Answer {
    let account = asked.account();
    each(asked, |instance| Command::StartInstance { account: account.clone(), instance })
}

pub(super) fn stop(asked: &mut Asked<'_>) -> Answer {
    let account = asked.account();
    if let Some(kind) = asked.params.text("StopType")?
        && !["SOFT", "HARD", "SOFT_FIRST"].contains(&kind.as_str())
    {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("StopType {kind:?} is not SOFT, HARD or SOFT_FIRST"),
        ));
    }
    let mode = match asked.params.text("StoppedMode")?.as_deref() {
        None | Some("KEEP_CHARGING") => StopMode::KeepCharging,
        Some("STOP_CHARGING") => StopMode::StopCharging,
        Some(other) => {
            let message = format!("StoppedMode {other:?} is not KEEP_CHARGING or STOP_CHARGING");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    };
    each(asked, |instance| Command::StopInstance { account: account.clone(), instance, mode })
}

/// Nothing that the gateway can do or see: only who is off cannot be rebooted.
pub(super) fn reboot(asked: &mut Asked<'_>) -> Answer {
    let ids = asked.instances("InstanceIds")?;
    for instance in ids.iter().filter_map(|id| asked.ledger().instance(id)) {
        let (code, word) = match instance.state {
            InstanceState::Running => continue,
            InstanceState::Pending => ("UnsupportedOperation.InstanceStatePending", "not running yet"),
            InstanceState::Stopped(_) => ("UnsupportedOperation.InstanceStateStopped", "stopped"),
            InstanceState::Shutdown => ("UnsupportedOperation.InstanceStateShutdown", "in the recycle bin"),
        };
        return Err(ApiError::new(code, format!("instance {} is {word}", instance.id)));
    }
    let notes = ids.iter().map(|id| asked.noted(id)).collect();
    asked.perform_all(notes)?;
    Ok(fields(json!({})))
}

pub(super) fn reset_bandwidth(asked: &mut Asked<'_>) -> Answer {
    let (account, internet) = (asked.account(), asked.params.object("InternetAccessible")?);
    let wanted = internet.number("InternetMaxBandwidthOut")?;
    let wanted = wanted.ok_or_else(|| super::params::missing("InternetAccessible.InternetMaxBandwidthOut"))?;
    let bandwidth_mbps = Some(bandwidth(wanted)?);
    let charge_type = internet.text("InternetChargeType")?.map(|text| charge_type(&text)).transpose()?;
    let mut commands = Vec::new();
    for id in asked.instances("InstanceIds")? {
        let (account, instance) = (account.clone(), id.clone());
        commands.push(Command::ModifyInstance { account, instance, bandwidth_mbps, charge_type });
        commands.push(asked.noted(&id));
    }
    asked.perform_all(commands)?;
    Ok(fields(json!({})))
}

pub(super) fn modify(asked: &mut Asked<'_>) -> Answer {
    let params = asked.params;
    let groups = params.texts("SecurityGroups")?;
    let operation = Operation { name: asked.call.action.clone(), request: asked.call.request_id.clone() };
    let changes = InstanceChanges {
        name: params.text("InstanceName")?,
        security_groups: (!groups.is_empty()).then_some(groups),
        host_name: params.text("HostName")?,
        user_data: user_data(params)?,
        protected: params.flag("DisableApiTermination")?,
        operation: Some(operation),
        tags: None,
    };
    let account = asked.account();
    let alter = |instance| Command::AlterInstance { account: account.clone(), instance, changes: changes.clone() };
    let commands = asked.instances("InstanceIds")?.into_iter().map(alter).collect();
    asked.perform_all(commands)?;
    Ok(fields(json!({})))
}

fn each(asked: &mut Asked<'_>, command: impl Fn(InstanceId) -> Command) -> Answer {
    let ids = asked.instances("InstanceIds")?;
    let commands = ids.iter().flat_map(|id| [command(id.clone()), asked.noted(id)]).collect();
    asked.perform_all(commands)?;
    Ok(fields(json!({})))
}

/// The network cards' addresses that are in use.
pub(super) fn used_addresses(asked: &mut Asked<'_>) -> Answer {
    let texts = asked.params.texts("IpAddresses")?;
    let vpc = asked.params.text("VpcId")?;
    let wanted = texts.iter().filter_map(|text| text.parse().ok());
    let owned = |instance: &&Instance| {
        instance.account == asked.call.account && vpc.as_ref().is_none_or(|vpc| instance.vpc.as_str() == vpc)
    };
    let ledger = asked.ledger();
    let found = wanted.flat_map(|address| ledger.instances_at(address)).filter(owned);
    let rows: Vec<_> = found
        .map(|instance| {
            json!({
                "VpcId": instance.vpc.as_str(),
                "SubnetId": instance.subnet(),
                "IpAddress": instance.private.to_string(),
                "ResourceType": "CVM",
                "ResourceId": instance.id.as_str(),
            })
        })
        .collect();
    Ok(fields(json!({ "IpAddressStates": rows, "TotalCount": rows.len() })))
}
