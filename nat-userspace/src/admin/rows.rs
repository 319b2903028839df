//! The ledger's objects as rows.

use crate::address::{Eip, Instance, Ledger, PoolKind, RangeTotals, Time};
use crate::gateway::{BYPASS, Status};

use super::wire::{EipRow, EipState, HostRow, InstanceRow, PoolRow, PoolRowKind, PublicIpKind, StatusReport, Usage};

pub(super) fn instance(ledger: &Ledger, instance: &Instance) -> InstanceRow {
    let eip = ledger.eip_of(&instance.id);
    let (public_ip, public_ip_kind) = match (eip, instance.ordinary) {
        (Some(eip), _) => (Some(eip.address), Some(PublicIpKind::Eip)),
        (None, Some(ordinary)) => (Some(ordinary), Some(PublicIpKind::Ordinary)),
        (None, None) => (None, None),
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
        created_at: instance.created.to_string(),
    }
}

pub(super) fn eip(ledger: &Ledger, eip: &Eip) -> EipRow {
    let instance = eip.bound_to.as_ref().and_then(|id| ledger.instance(id));
    EipRow {
        id: eip.id.to_string(),
        account: eip.account.to_string(),
        name: eip.name.clone(),
        address: eip.address,
        state: if instance.is_some() { EipState::Bound } else { EipState::Unbound },
        instance_id: instance.map(|instance| instance.id.to_string()),
        vpc: instance.map(|instance| instance.vpc.to_string()),
        private_ip: instance.map(|instance| instance.private),
        created_at: eip.created.to_string(),
    }
}

pub(super) fn pools(ledger: &Ledger, now: Time) -> Vec<PoolRow> {
    let ranges = ledger.pool().ranges().iter().zip(ledger.range_totals(now));
    let row = |(range, totals): (&crate::address::PoolRange, RangeTotals)| PoolRow {
        prefix: totals.prefix.to_string(),
        kind: match range.kind() {
            PoolKind::Routed => PoolRowKind::Routed,
            PoolKind::OnLink { .. } => PoolRowKind::OnLink,
        },
        members: totals.members,
        held: totals.held,
        cooling_down: totals.cooling,
        free: totals.free,
        set_aside: totals.duplicates,
        withheld: range.prefix().size() - totals.members,
    };
    ranges.map(row).collect()
}

pub(super) fn hosts(ledger: &Ledger) -> Vec<HostRow> {
    let row = |instance: &Instance| HostRow {
        vpc: instance.vpc.to_string(),
        private_ip: instance.private,
        public_ip: ledger.association_of(&instance.id).map(|association| association.public),
        instance_id: instance.id.to_string(),
    };
    ledger.instances().map(row).collect()
}

pub(super) fn status(status: Status) -> StatusReport<serde_json::Value> {
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
        data_plane: serde_json::to_value(&status.plane).unwrap_or_default(),
        notes: vec![BYPASS.to_owned()],
    }
}
