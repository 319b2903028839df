//! What each request makes the gateway do. Runs on the gateway's task, so that nothing comes in between.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::address::{
    AccountId, Change, Command, EipId, Fact, IdError, InstanceId, NewInstance, Reallocate, UnknownChargeType, VpcId,
};
use crate::gateway::{GatewayError, Kind, Operations, Stopped};

use super::rows;
use super::wire::{
    Bound, Complaint, ComplaintKind, EipRow, HostRow, InstanceRow, PoolRow, Released, Request, StatusReport,
    Terminated, Unbound,
};

/// The `ok` of a reply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Instance(Box<InstanceRow>),
    Instances(Vec<InstanceRow>),
    Terminated(Box<Terminated>),
    Eip(EipRow),
    Eips(Vec<EipRow>),
    Bound(Bound),
    Unbound(Unbound),
    Released(Released),
    Pools(Vec<PoolRow>),
    Hosts(Vec<HostRow>),
    Status(Box<StatusReport<serde_json::Value>>),
}

pub(super) fn answer(request: Request, gateway: &mut dyn Operations) -> Result<Answer, Complaint> {
    match request {
        Request::InstanceCreate { account, vpc, private_ip, name, bandwidth_mbps, charge_type } => {
            let new = NewInstance {
                id: gateway.new_instance_id(),
                account: account.parse()?,
                vpc: vpc.parse()?,
                private: private_ip,
                name,
                bandwidth_mbps,
                charge_type: charge_type.parse()?,
            };
            create_instance(gateway, new)
        }
        Request::InstanceTerminate { account, instance, vpc } => {
            let account = account.parse()?;
            let instance = instance_id(gateway, &account, &instance, vpc)?;
            terminate_instance(gateway, account, instance)
        }
        Request::InstanceList { account } => {
            let account: AccountId = account.parse()?;
            let ledger = gateway.ledger();
            let owned = ledger.instances().filter(|instance| instance.account == account);
            Ok(Answer::Instances(owned.map(|instance| rows::instance(ledger, instance)).collect()))
        }
        Request::InstanceShow { account, instance, vpc } => {
            let id = instance_id(gateway, &account.parse()?, &instance, vpc)?;
            Ok(Answer::Instance(Box::new(instance_row(gateway, &id))))
        }
        Request::EipAllocate { account, address, name } => {
            let id = gateway.new_eip_id();
            gateway.perform(Command::AllocateEip { id: id.clone(), account: account.parse()?, address, name })?;
            Ok(Answer::Eip(eip_row(gateway, &id)))
        }
        Request::EipBind { account, eip, instance, vpc } => {
            let account: AccountId = account.parse()?;
            let eip = eip_id(gateway, &account, &eip)?;
            let instance = instance_id(gateway, &account, &instance, vpc)?;
            let change = gateway.perform(Command::BindEip { account, eip: eip.clone(), instance })?;
            Ok(Answer::Bound(Bound { eip: eip_row(gateway, &eip), released_ip: released_ip(&change) }))
        }
        Request::EipUnbind { account, eip, reallocate } => {
            let account: AccountId = account.parse()?;
            let eip = eip_id(gateway, &account, &eip)?;
            unbind_eip(gateway, account, eip, reallocate)
        }
        Request::EipRelease { account, eip } => {
            let account: AccountId = account.parse()?;
            let eip = eip_id(gateway, &account, &eip)?;
            release_eip(gateway, account, eip)
        }
        Request::EipList { account } => {
            let account: AccountId = account.parse()?;
            let ledger = gateway.ledger();
            let owned = ledger.eips().filter(|eip| eip.account == account);
            Ok(Answer::Eips(owned.map(|eip| rows::eip(ledger, eip)).collect()))
        }
        Request::EipShow { account, eip } => {
            let id = eip_id(gateway, &account.parse()?, &eip)?;
            Ok(Answer::Eip(eip_row(gateway, &id)))
        }
        Request::PoolList {} => {
            let now = gateway.now();
            Ok(Answer::Pools(rows::pools(gateway.ledger(), now)))
        }
        Request::HostList {} => Ok(Answer::Hosts(rows::hosts(gateway.ledger()))),
        Request::Status {} => Ok(Answer::Status(Box::new(rows::status(gateway.status())))),
    }
}

fn create_instance(gateway: &mut dyn Operations, new: NewInstance) -> Result<Answer, Complaint> {
    let id = new.id.clone();
    gateway.perform(Command::CreateInstance(new))?;
    Ok(Answer::Instance(Box::new(instance_row(gateway, &id))))
}

fn terminate_instance(
    gateway: &mut dyn Operations,
    account: AccountId,
    instance: InstanceId,
) -> Result<Answer, Complaint> {
    let row = instance_row(gateway, &instance);
    let change = gateway.perform(Command::TerminateInstance { account, instance })?;
    let unbound_eip = change.facts.iter().find_map(|fact| match fact {
        Fact::EipUnbound { eip, .. } => Some(eip.to_string()),
        _ => None,
    });
    Ok(Answer::Terminated(Box::new(Terminated { instance: row, released_ip: released_ip(&change), unbound_eip })))
}

fn unbind_eip(
    gateway: &mut dyn Operations,
    account: AccountId,
    eip: EipId,
    reallocate: Option<bool>,
) -> Result<Answer, Complaint> {
    let reallocate = match reallocate {
        None => Reallocate::ByBandwidth,
        Some(true) => Reallocate::Yes,
        Some(false) => Reallocate::No,
    };
    let before = eip_row(gateway, &eip);
    let change = gateway.perform(Command::UnbindEip { account, eip: eip.clone(), reallocate })?;
    let unbound_from = before.instance_id.expect("an unbinding that was not refused had an instance");
    Ok(Answer::Unbound(Unbound { eip: eip_row(gateway, &eip), unbound_from, assigned_ip: change.taken().next() }))
}

fn release_eip(gateway: &mut dyn Operations, account: AccountId, eip: EipId) -> Result<Answer, Complaint> {
    let before = eip_row(gateway, &eip);
    let change = gateway.perform(Command::ReleaseEip { account, eip })?;
    let released_at = change.facts.iter().find_map(|fact| match fact {
        Fact::EipReleased { at, .. } => Some(*at),
        _ => None,
    });
    let released_at = released_at.expect("a release that was not refused has its fact");
    let rests_until = released_at.after(gateway.ledger().pool().cool_down()).to_string();
    Ok(Answer::Released(Released { eip: before, rests_until }))
}

fn released_ip(change: &Change) -> Option<Ipv4Addr> {
    change.facts.iter().find_map(|fact| match fact {
        Fact::OrdinaryReleased { address, .. } => Some(*address),
        _ => None,
    })
}

fn instance_id(
    gateway: &dyn Operations,
    account: &AccountId,
    selector: &str,
    vpc: Option<String>,
) -> Result<InstanceId, Complaint> {
    let vpc: Option<VpcId> = vpc.map(|vpc| vpc.parse()).transpose()?;
    let found = gateway.ledger().find_instance(account, selector, vpc.as_ref()).map_err(GatewayError::from)?;
    Ok(found.id.clone())
}

fn eip_id(gateway: &dyn Operations, account: &AccountId, selector: &str) -> Result<EipId, Complaint> {
    Ok(gateway.ledger().find_eip(account, selector).map_err(GatewayError::from)?.id.clone())
}

fn instance_row(gateway: &dyn Operations, id: &InstanceId) -> InstanceRow {
    let ledger = gateway.ledger();
    rows::instance(ledger, ledger.instance(id).expect("the instance was found or made just now"))
}

fn eip_row(gateway: &dyn Operations, id: &EipId) -> EipRow {
    let ledger = gateway.ledger();
    rows::eip(ledger, ledger.eip(id).expect("the EIP was found or made just now"))
}

impl Complaint {
    pub(super) fn invalid_request(message: String) -> Self {
        Complaint { kind: ComplaintKind::Invalid, code: "invalid-request".into(), message }
    }
}

impl From<GatewayError> for Complaint {
    fn from(error: GatewayError) -> Self {
        let kind = match error.kind() {
            Kind::NotFound => ComplaintKind::NotFound,
            Kind::Conflict => ComplaintKind::Conflict,
            Kind::Invalid => ComplaintKind::Invalid,
            Kind::Exhausted => ComplaintKind::Exhausted,
            Kind::Internal => ComplaintKind::Internal,
        };
        Complaint { kind, code: error.code().into(), message: error.to_string() }
    }
}

impl From<Stopped> for Complaint {
    fn from(_: Stopped) -> Self {
        GatewayError::Stopping.into()
    }
}

impl From<IdError> for Complaint {
    fn from(error: IdError) -> Self {
        Complaint::invalid_request(error.to_string())
    }
}

impl From<UnknownChargeType> for Complaint {
    fn from(error: UnknownChargeType) -> Self {
        Complaint::invalid_request(error.to_string())
    }
}
