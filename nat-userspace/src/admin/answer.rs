//! What each request makes the gateway do. Runs on the gateway's task, so that nothing comes in between.

mod life;
mod package;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::address::{
    AccountId, Change, Command, EipChanges, EipId, Fact, IdError, InstanceId, Made, NewEip, Prefix, PrefixError,
    Reallocate, Refusal, TokenError, UnknownChargeType, VpcId,
};
use crate::gateway::{GatewayError, Kind, Operations};

use super::rows;
use super::wire::{
    Announced, Bound, Complaint, ComplaintKind, EipRow, EventsEnd, FenceRow, HistoryReport, HostRow, Imported,
    InstanceRow, PackageRow, PairRow, PoolRow, Pruned, QuotaRow, Readdressed, Released, Reloaded, Request,
    StatusReport, Terminated, Unbound,
};

/// The `ok` of a reply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Instance(Box<InstanceRow>),
    Instances(Vec<InstanceRow>),
    Terminated(Box<Terminated>),
    Readdressed(Box<Readdressed>),
    Package(PackageRow),
    Packages(Vec<PackageRow>),
    Quotas(Vec<QuotaRow>),
    Eip(EipRow),
    Eips(Vec<EipRow>),
    Bound(Bound),
    Unbound(Unbound),
    Released(Released),
    Pool(PoolRow),
    Pools(Vec<PoolRow>),
    Fence(FenceRow),
    Fences(Vec<FenceRow>),
    History(HistoryReport),
    Pruned(Pruned),
    EventsEnd(EventsEnd),
    Hosts(Vec<HostRow>),
    Pairs(Vec<PairRow>),
    Imported(Imported),
    Announced(Announced),
    Status(Box<StatusReport<serde_json::Value>>),
    Reloaded(Reloaded),
}

pub(super) fn answer(request: Request, gateway: &mut dyn Operations) -> Result<Answer, Complaint> {
    match request {
        request @ (Request::InstanceCreate { .. }
        | Request::InstanceTerminate { .. }
        | Request::InstanceStart { .. }
        | Request::InstanceStop { .. }
        | Request::InstanceRenew { .. }
        | Request::InstanceModify { .. }
        | Request::InstanceReturnIp { .. }
        | Request::InstanceChangeIp { .. }
        | Request::InstanceConvertIp { .. }) => life::answer(request, gateway),
        request @ (Request::PackageCreate { .. }
        | Request::PackageList { .. }
        | Request::PackageShow { .. }
        | Request::PackageDelete { .. }
        | Request::PackageAdd { .. }
        | Request::PackageRemove { .. }) => package::answer(request, gateway),
        Request::QuotaList { account } => {
            let now = gateway.now();
            Ok(Answer::Quotas(rows::quotas(gateway.ledger(), &account.parse()?, now)))
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
        Request::EipAllocate { account, address, name, bandwidth_mbps, charge_type, package, client_token } => {
            let mut new = NewEip::new(gateway.new_eip_id(), account.parse()?);
            new.bandwidth_mbps = bandwidth_mbps.unwrap_or(new.bandwidth_mbps);
            new.package = package.map(|package| package.parse()).transpose()?;
            new.charge_type = package::charge_type(charge_type, new.package.as_ref(), new.charge_type)?;
            new.token = client_token.map(|token| token.parse()).transpose()?;
            allocate_eip(gateway, NewEip { address, name, ..new })
        }
        Request::EipModify { account, eip, name, bandwidth_mbps, charge_type, blocked, arrears } => {
            let account: AccountId = account.parse()?;
            let eip = eip_id(gateway, &account, &eip)?;
            let charge_type = charge_type.map(|text| text.parse()).transpose()?;
            let name = name.map(Some);
            let changes = EipChanges { name, bandwidth_mbps, charge_type, blocked, arrears, ..EipChanges::default() };
            gateway.perform(Command::ModifyEip { account, eip: eip.clone(), changes })?;
            Ok(Answer::Eip(eip_row(gateway, &eip)))
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
        Request::Import(_) => unreachable!("its pairs are received first: see `import`"),
        Request::Export { account } => Ok(Answer::Pairs(rows::pairs(gateway.ledger(), &account.parse()?))),
        Request::PoolList {} => {
            let now = gateway.now();
            Ok(Answer::Pools(rows::pools(gateway.ledger(), now)))
        }
        Request::HostList {} => Ok(Answer::Hosts(rows::hosts(gateway.ledger()))),
        Request::Announce { addresses, per_second } => announce(gateway, addresses, per_second),
        Request::Reload {} => Ok(Answer::Reloaded(rows::reloaded(&gateway.reload()?))),
        Request::PoolAdd { pool, allow_reserved } => {
            let pool: Prefix = pool.parse()?;
            let command = gateway.pool_addition(pool, allow_reserved)?;
            gateway.perform(command)?;
            pool_row(gateway, pool)
        }
        Request::PoolDrain { pool } => {
            let prefix: Prefix = pool.parse()?;
            gateway.perform(Command::DrainPool { prefix })?;
            pool_row(gateway, prefix)
        }
        Request::PoolRemove { pool } => {
            let prefix: Prefix = pool.parse()?;
            let before = pool_row(gateway, prefix);
            gateway.perform(Command::RemovePool { prefix })?;
            before
        }
        Request::AddressFence { address, reason } => {
            gateway.perform(Command::FenceAddress { address, reason })?;
            fence_row(gateway, address)
        }
        Request::AddressUnfence { address } => {
            let before = fence_row(gateway, address);
            gateway.perform(Command::UnfenceAddress { address })?;
            before
        }
        Request::FenceList {} => Ok(Answer::Fences(rows::fences(gateway.ledger()))),
        Request::History { .. } | Request::HistoryPrune { .. } | Request::Events { .. } => {
            unreachable!("answered beside the gateway's task: see `past` and `events`")
        }
        Request::Status {} => {
            let status = gateway.status();
            Ok(Answer::Status(Box::new(rows::status(status, rows::fences(gateway.ledger())))))
        }
    }
}

/// Only what is bound is announced: the program answers for nothing else.
fn announce(gateway: &mut dyn Operations, asked: Vec<Ipv4Addr>, per_second: u32) -> Result<Answer, Complaint> {
    if per_second == 0 {
        return Err(Complaint::invalid_request("a rate of 0 announces nothing; give at least 1/s".into()));
    }
    let ledger = gateway.ledger();
    let in_effect = |public: &Ipv4Addr| ledger.fence(*public).is_none();
    let bound: BTreeSet<Ipv4Addr> = ledger.pairs().map(|(public, _)| public).filter(in_effect).collect();
    if let Some(strange) = asked.iter().find(|address| !bound.contains(address)) {
        let message = format!(
            "{strange} is bound to no instance or fenced, so nothing was announced; `eipgate export` lists those that are"
        );
        return Err(Complaint { kind: ComplaintKind::NotFound, code: "not-bound".into(), message, pair: None });
    }
    let addresses: Vec<Ipv4Addr> = if asked.is_empty() { bound.into_iter().collect() } else { asked };
    let announced = gateway.announce(&addresses, per_second);
    Ok(Answer::Announced(Announced { announced, routed: addresses.len() - announced, per_second }))
}

/// Asked again with a token, it answers with what was allocated then.
fn allocate_eip(gateway: &mut dyn Operations, new: NewEip) -> Result<Answer, Complaint> {
    let (drawn, account, token) = (new.id.clone(), new.account.clone(), new.token.clone());
    gateway.perform(Command::AllocateEip(new))?;
    let made = token.and_then(|token| gateway.ledger().made_with(&account, &token));
    let id = match made {
        Some(Made::Eip(id)) => id.clone(),
        _ => drawn,
    };
    Ok(Answer::Eip(eip_row(gateway, &id)))
}

fn pool_row(gateway: &mut dyn Operations, prefix: Prefix) -> Result<Answer, Complaint> {
    let now = gateway.now();
    let rows = rows::pools(gateway.ledger(), now);
    let row = rows.into_iter().find(|row| row.prefix == prefix.to_string());
    let unknown = || GatewayError::from(Refusal::UnknownPool { pool: prefix });
    Ok(Answer::Pool(row.ok_or_else(unknown)?))
}

fn fence_row(gateway: &dyn Operations, address: Ipv4Addr) -> Result<Answer, Complaint> {
    let ledger = gateway.ledger();
    let unknown = || GatewayError::from(Refusal::NotFenced { address });
    let fence = ledger.fence(address).ok_or_else(unknown)?;
    Ok(Answer::Fence(rows::fence(ledger, address, fence)))
}

fn unbind_eip(
    gateway: &mut dyn Operations,
    account: AccountId,
    eip: EipId,
    reallocate: Option<bool>,
) -> Result<Answer, Complaint> {
    let reallocate = match reallocate {
        None => Reallocate::ByPolicy,
        Some(true) => Reallocate::Yes,
        Some(false) => Reallocate::No,
    };
    let before = eip_row(gateway, &eip);
    let change = gateway.perform(Command::UnbindEip { account, eip: eip.clone(), reallocate })?;
    let unbound_from = before.instance_id.expect("an unbinding that was not refused had an instance");
    Ok(Answer::Unbound(Unbound { eip: eip_row(gateway, &eip), unbound_from, assigned_ip: assigned_ip(&change) }))
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

fn assigned_ip(change: &Change) -> Option<Ipv4Addr> {
    change.facts.iter().find_map(|fact| match fact {
        Fact::OrdinaryAssigned { address, .. } => Some(*address),
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
        Complaint { kind: ComplaintKind::Invalid, code: "invalid-request".into(), message, pair: None }
    }

    pub(super) fn at(self, pair: usize) -> Self {
        Complaint { pair: Some(pair), ..self }
    }
}

impl From<GatewayError> for Complaint {
    fn from(error: GatewayError) -> Self {
        if let Some((index, why)) = error.pair() {
            return Complaint::from(why).at(index);
        }
        let kind = match error.kind() {
            Kind::NotFound => ComplaintKind::NotFound,
            Kind::Conflict => ComplaintKind::Conflict,
            Kind::Invalid => ComplaintKind::Invalid,
            Kind::Exhausted => ComplaintKind::Exhausted,
            Kind::Internal => ComplaintKind::Internal,
        };
        Complaint { kind, code: error.code().into(), message: error.to_string(), pair: None }
    }
}

impl From<IdError> for Complaint {
    fn from(error: IdError) -> Self {
        Complaint::invalid_request(error.to_string())
    }
}

impl From<TokenError> for Complaint {
    fn from(error: TokenError) -> Self {
        Complaint::invalid_request(error.to_string())
    }
}

impl From<PrefixError> for Complaint {
    fn from(error: PrefixError) -> Self {
        Complaint::invalid_request(error.to_string())
    }
}

impl From<UnknownChargeType> for Complaint {
    fn from(error: UnknownChargeType) -> Self {
        Complaint::invalid_request(error.to_string())
    }
}
