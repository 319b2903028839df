//! Requests about the life of an instance and its ordinary public IP.

use std::time::Duration;

use super::{Answer, assigned_ip, eip_row, instance_id, instance_row, package, released_ip};
use crate::address::{
    AccountId, Begins, ChargeType, Command, Fact, InstanceId, InstanceState, Made, NewInstance, StopMode,
};
use crate::admin::wire::{Complaint, InstanceStateRow, Readdressed, Request, StopModeRow, Terminated};
use crate::gateway::Operations;

pub(super) fn answer(request: Request, gateway: &mut dyn Operations) -> Result<Answer, Complaint> {
    match request {
        Request::InstanceCreate {
            account,
            vpc,
            private_ip,
            name,
            bandwidth_mbps,
            charge_type,
            package,
            prepaid_seconds,
            pending,
            client_token,
        } => {
            let new = NewInstance::new(gateway.new_instance_id(), account.parse()?, vpc.parse()?, private_ip);
            let package = package.map(|package| package.parse()).transpose()?;
            create(
                gateway,
                NewInstance {
                    name,
                    bandwidth_mbps,
                    charge_type: package::charge_type(charge_type, package.as_ref(), ChargeType::default())?,
                    package,
                    prepaid: prepaid_seconds.map(Duration::from_secs),
                    begins: if pending { Begins::Pending } else { Begins::Running },
                    token: client_token.map(|token| token.parse()).transpose()?,
                    ..new
                },
            )
        }
        Request::InstanceTerminate { account, instance, vpc } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            terminate(gateway, account, instance)
        }
        Request::InstanceStart { account, instance, vpc } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            readdress(gateway, instance.clone(), Command::StartInstance { account, instance })
        }
        Request::InstanceStop { account, instance, vpc, stop_mode } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            let mode = match stop_mode {
                StopModeRow::KeepCharging => StopMode::KeepCharging,
                StopModeRow::StopCharging => StopMode::StopCharging,
            };
            readdress(gateway, instance.clone(), Command::StopInstance { account, instance, mode })
        }
        Request::InstanceRenew { account, instance, vpc, period_seconds } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            let period = Duration::from_secs(period_seconds);
            gateway.perform(Command::RenewInstance { account, instance: instance.clone(), period })?;
            Ok(Answer::Instance(Box::new(instance_row(gateway, &instance))))
        }
        Request::InstanceModify { account, instance, vpc, bandwidth_mbps, charge_type } => {
            let (account, id) = named(gateway, &account, &instance, vpc)?;
            let charge_type = charge_type.map(|text| text.parse()).transpose()?;
            gateway.perform(Command::ModifyInstance { account, instance: id.clone(), bandwidth_mbps, charge_type })?;
            Ok(Answer::Instance(Box::new(instance_row(gateway, &id))))
        }
        Request::InstanceReturnIp { account, instance, vpc } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            readdress(gateway, instance.clone(), Command::ReturnOrdinary { account, instance })
        }
        Request::InstanceChangeIp { account, instance, vpc } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            readdress(gateway, instance.clone(), Command::ChangeOrdinary { account, instance })
        }
        Request::InstanceConvertIp { account, instance, vpc, name } => {
            let (account, instance) = named(gateway, &account, &instance, vpc)?;
            let id = gateway.new_eip_id();
            gateway.perform(Command::ConvertOrdinary { id: id.clone(), account, instance, name })?;
            Ok(Answer::Eip(eip_row(gateway, &id)))
        }
        other => unreachable!("{} is answered elsewhere", other.name()),
    }
}

fn named(
    gateway: &dyn Operations,
    account: &str,
    instance: &str,
    vpc: Option<String>,
) -> Result<(AccountId, InstanceId), Complaint> {
    let account: AccountId = account.parse()?;
    let instance = instance_id(gateway, &account, instance, vpc)?;
    Ok((account, instance))
}

/// Asked again with a token, it answers with what was created then.
fn create(gateway: &mut dyn Operations, new: NewInstance) -> Result<Answer, Complaint> {
    let (drawn, account, token) = (new.id.clone(), new.account.clone(), new.token.clone());
    gateway.perform(Command::CreateInstance(new))?;
    let made = token.and_then(|token| gateway.ledger().made_with(&account, &token));
    let id = match made {
        Some(Made::Instance(id)) => id.clone(),
        _ => drawn,
    };
    Ok(Answer::Instance(Box::new(instance_row(gateway, &id))))
}

fn terminate(gateway: &mut dyn Operations, account: AccountId, instance: InstanceId) -> Result<Answer, Complaint> {
    let row = instance_row(gateway, &instance);
    let change = gateway.perform(Command::TerminateInstance { account, instance })?;
    let unbound_eip = change.facts.iter().find_map(|fact| match fact {
        Fact::EipUnbound { eip, .. } => Some(eip.to_string()),
        _ => None,
    });
    let shut_down = |fact: &Fact| matches!(fact, Fact::InstanceMoved { state: InstanceState::Shutdown, .. });
    let state_now = match change.facts.iter().any(shut_down) {
        true => InstanceStateRow::Shutdown,
        false => InstanceStateRow::Terminated,
    };
    let released_ip = released_ip(&change);
    Ok(Answer::Terminated(Box::new(Terminated { instance: row, released_ip, unbound_eip, state_now })))
}

fn readdress(gateway: &mut dyn Operations, instance: InstanceId, command: Command) -> Result<Answer, Complaint> {
    let change = gateway.perform(command)?;
    Ok(Answer::Readdressed(Box::new(Readdressed {
        instance: instance_row(gateway, &instance),
        released_ip: released_ip(&change),
        assigned_ip: assigned_ip(&change),
    })))
}
