//! The ledger's objects as rows.

use std::net::Ipv4Addr;

use crate::address::{
    AccountId, Billing, Daily, Eip, Fence, Instance, InstanceState, Ledger, Member, Package, PoolKind, PoolRange,
    PoolState, RangeTotals, StopMode, Time,
};
use crate::gateway::{self, BYPASS, Status};

use super::wire::{
    BillingRow, EipRow, EipState, FenceRow, HostRow, InstanceRow, InstanceStateRow, PackageRow, PairRow, PoolRow,
    PoolRowKind, PoolRowOrigin, PoolRowState, PublicIpKind, QuotaRow, Reloaded, StatusReport, StopModeRow, Usage,
};

pub(super) fn instance(ledger: &Ledger, instance: &Instance) -> InstanceRow {
    let eip = ledger.eip_of(&instance.id);
    let (public_ip, public_ip_kind) = match (eip, instance.ordinary) {
        (Some(eip), _) => (Some(eip.address), Some(PublicIpKind::Eip)),
        (None, Some(ordinary)) => (Some(ordinary), Some(PublicIpKind::Ordinary)),
        (None, None) => (None, None),
    };
    let (state, stop_mode) = match instance.state {
        InstanceState::Pending => (InstanceStateRow::Pending, None),
        InstanceState::Running => (InstanceStateRow::Running, None),
        InstanceState::Stopped(StopMode::KeepCharging) => (InstanceStateRow::Stopped, Some(StopModeRow::KeepCharging)),
        InstanceState::Stopped(StopMode::StopCharging) => (InstanceStateRow::Stopped, Some(StopModeRow::StopCharging)),
        InstanceState::Shutdown => (InstanceStateRow::Shutdown, None),
    };
    InstanceRow {
        id: instance.id.to_string(),
        account: instance.account.to_string(),
        name: instance.name.clone(),
        vpc: instance.vpc.to_string(),
        private_ip: instance.private,
        public_ip,
        public_ip_kind,
        eip_id: eip.map(|eip| eip.id.to_string()),
        bandwidth_mbps: instance.bandwidth_mbps,
        bandwidth_enforced: false,
        charge_type: instance.charge_type.to_string(),
        package_id: instance.package.as_ref().map(ToString::to_string),
        state,
        stop_mode,
        state_since: instance.since.to_string(),
        billing: match instance.billing {
            Billing::Postpaid => BillingRow::Postpaid,
            Billing::Prepaid { .. } => BillingRow::Prepaid,
        },
        due_at: ledger.due_of(instance).map(|at| at.to_string()),
        created_at: instance.created.to_string(),
    }
}

pub(super) fn eip(ledger: &Ledger, eip: &Eip) -> EipRow {
    let instance = eip.bound_to.as_ref().and_then(|id| ledger.instance(id));
    EipRow {
        id: eip.id.to_string(),
        account: eip.account.to_string(),
        name: eip.terms.name.clone(),
        address: eip.address,
        state: if instance.is_some() { EipState::Bound } else { EipState::Unbound },
        instance_id: instance.map(|instance| instance.id.to_string()),
        vpc: instance.map(|instance| instance.vpc.to_string()),
        private_ip: instance.map(|instance| instance.private),
        bandwidth_mbps: eip.terms.bandwidth_mbps,
        bandwidth_enforced: false,
        charge_type: eip.terms.charge_type.to_string(),
        package_id: eip.terms.package.as_ref().map(ToString::to_string),
        blocked: eip.terms.blocked,
        arrears: eip.terms.arrears,
        created_at: eip.created.to_string(),
    }
}

pub(super) fn package(ledger: &Ledger, package: &Package) -> PackageRow {
    let id = |member: &Member| match member {
        Member::Instance(instance) => instance.to_string(),
        Member::Eip(eip) => eip.to_string(),
    };
    PackageRow {
        id: package.id.to_string(),
        account: package.account.to_string(),
        name: package.name.clone(),
        bandwidth_mbps: package.bandwidth_mbps,
        bandwidth_enforced: false,
        members: ledger.members_from(&package.id, 0).map(id).collect(),
        created_at: package.created.to_string(),
    }
}

/// Those the cloud's API has carry its names.
pub(super) fn quotas(ledger: &Ledger, account: &AccountId, now: Time) -> Vec<QuotaRow> {
    let policy = ledger.policy();
    let today = |what| ledger.used_today(account, what, now);
    let row = |quota: &str, used, limit| QuotaRow { quota: quota.to_owned(), used, limit };
    vec![
        row("TOTAL_EIP_QUOTA", ledger.eips_of_account(account), policy.eips_per_account),
        row("DAILY_EIP_APPLY", today(Daily::Applications), policy.applications_per_day()),
        row("DAILY_PUBLIC_IP_ASSIGN", today(Daily::Reallocations), policy.reallocations_per_day),
    ]
}

pub(super) fn pools(ledger: &Ledger, now: Time) -> Vec<PoolRow> {
    let ranges = ledger.pool().ranges().iter().zip(ledger.range_totals(now));
    let row = |(range, totals): (&PoolRange, RangeTotals)| PoolRow {
        state: match range.state() {
            PoolState::Serving => PoolRowState::Serving,
            PoolState::Draining => PoolRowState::Draining,
        },
        origin: if ledger.pool().is_configured(range.prefix()) {
            PoolRowOrigin::Configured
        } else {
            PoolRowOrigin::Added
        },
        prefix: totals.prefix.to_string(),
        kind: match range.kind() {
            PoolKind::Routed => PoolRowKind::Routed,
            PoolKind::OnLink { .. } => PoolRowKind::OnLink,
        },
        members: totals.members,
        held: totals.held,
        cooling_down: totals.cooling,
        free: totals.free,
        set_aside: totals.set_aside,
        withheld: range.prefix().size() - totals.members,
    };
    ranges.map(row).collect()
}

pub(super) fn hosts(ledger: &Ledger) -> Vec<HostRow> {
    let row = |instance: &Instance| HostRow {
        vpc: instance.vpc.to_string(),
        private_ip: instance.private,
        public_ip: ledger.public_in_effect(&instance.id),
        instance_id: instance.id.to_string(),
    };
    ledger.instances().map(row).collect()
}

/// The account's pairs, by public address.
pub(super) fn pairs(ledger: &Ledger, account: &AccountId) -> Vec<PairRow> {
    let owned = ledger.pairs().filter(|(_, instance)| instance.account == *account);
    let row = |(public_ip, instance): (Ipv4Addr, &Instance)| PairRow {
        public_ip,
        private_ip: instance.private,
        vpc: instance.vpc.to_string(),
        name: instance.name.clone(),
    };
    owned.map(row).collect()
}

/// Every fenced address, ascending.
pub(super) fn fences(ledger: &Ledger) -> Vec<FenceRow> {
    ledger.fences().map(|(address, it)| fence(ledger, address, it)).collect()
}

pub(super) fn fence(ledger: &Ledger, address: Ipv4Addr, fence: &Fence) -> FenceRow {
    FenceRow {
        address,
        reason: fence.reason.clone(),
        since: fence.since.to_string(),
        held_by: ledger.holder(address).map(ToString::to_string),
        instance_id: ledger.served_by(address).map(|instance| instance.id.to_string()),
    }
}

pub(super) fn status(status: Status, fences: Vec<FenceRow>) -> StatusReport<serde_json::Value> {
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        serving_since: status.since.to_string(),
        degraded: !status.problems.is_empty(),
        problems: status.problems,
        dirty: status.dirty,
        instances: Usage { entries: status.instances, capacity: status.capacity.instances },
        pairs: Usage { entries: status.pairs, capacity: status.capacity.pairs },
        eips: status.eips,
        held_outside_pools: status.held_outside_pools,
        fences,
        data_plane: serde_json::to_value(&status.plane).unwrap_or_default(),
        notes: gateway::waiting(&status.waiting).into_iter().chain([BYPASS.to_owned()]).collect(),
    }
}

pub(super) fn reloaded(reloaded: &gateway::Reloaded) -> Reloaded {
    let named = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    Reloaded {
        in_effect: named(&reloaded.in_effect),
        waiting_for_restart: named(&reloaded.waiting),
        message: reloaded.sentence(),
    }
}
