//! What the pages show of the ledger: copied out on the gateway's task, so that nobody waits for the writing of a page.

use std::net::Ipv4Addr;

use crate::address::{
    AccountId, Billing, ChargeType, Eip, EipId, Holder, Instance, InstanceId, InstanceState, Ledger, PackageId, Time,
    VpcId,
};

/// An instance in a list or on its own page.
#[derive(Clone, Debug)]
pub(super) struct InstanceRow {
    pub(super) id: InstanceId,
    pub(super) name: Option<String>,
    pub(super) state: InstanceState,
    pub(super) since: Time,
    pub(super) vpc: VpcId,
    pub(super) private: Ipv4Addr,
    pub(super) public: Option<PublicPart>,
    /// Its own terms; those of a bound EIP are the EIP's.
    pub(super) bandwidth_mbps: u32,
    pub(super) charge_type: ChargeType,
    pub(super) package: Option<PackageId>,
    pub(super) billing: Billing,
    pub(super) created: Time,
}

/// The public address of an instance.
#[derive(Clone, Debug)]
pub(super) struct PublicPart {
    pub(super) address: Ipv4Addr,
    pub(super) kind: PublicKind,
    /// Out of service.
    pub(super) fenced: bool,
    pub(super) bandwidth_mbps: u32,
    pub(super) charge_type: ChargeType,
    pub(super) package: Option<PackageId>,
}

/// What kind of public address it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKind {
    Eip(EipId),
    Ordinary,
}

/// An EIP in a list or on its own page.
#[derive(Clone, Debug)]
pub(super) struct EipRow {
    pub(super) id: EipId,
    pub(super) name: Option<String>,
    pub(super) address: Ipv4Addr,
    pub(super) fenced: bool,
    pub(super) blocked: bool,
    pub(super) arrears: bool,
    pub(super) bandwidth_mbps: u32,
    pub(super) charge_type: ChargeType,
    pub(super) package: Option<PackageId>,
    pub(super) bound_to: Option<BoundTo>,
    pub(super) created: Time,
}

/// The instance an EIP serves.
#[derive(Clone, Debug)]
pub(super) struct BoundTo {
    pub(super) id: InstanceId,
    pub(super) name: Option<String>,
    pub(super) private: Ipv4Addr,
    /// Its own, without which it can have no ordinary public IP.
    pub(super) bandwidth_mbps: u32,
}

pub(super) fn instance(ledger: &Ledger, instance: &Instance) -> InstanceRow {
    InstanceRow {
        id: instance.id.clone(),
        name: instance.name.clone(),
        state: instance.state,
        since: instance.since,
        vpc: instance.vpc.clone(),
        private: instance.private,
        public: public_part(ledger, instance),
        bandwidth_mbps: instance.bandwidth_mbps,
        charge_type: instance.charge_type,
        package: instance.package.clone(),
        billing: instance.billing,
        created: instance.created,
    }
}

fn public_part(ledger: &Ledger, instance: &Instance) -> Option<PublicPart> {
    if let Some(eip) = ledger.eip_of(&instance.id) {
        return Some(PublicPart {
            address: eip.address,
            kind: PublicKind::Eip(eip.id.clone()),
            fenced: ledger.fence(eip.address).is_some(),
            bandwidth_mbps: eip.terms.bandwidth_mbps,
            charge_type: eip.terms.charge_type,
            package: eip.terms.package.clone(),
        });
    }
    instance.ordinary.map(|address| PublicPart {
        address,
        kind: PublicKind::Ordinary,
        fenced: ledger.fence(address).is_some(),
        bandwidth_mbps: instance.bandwidth_mbps,
        charge_type: instance.charge_type,
        package: instance.package.clone(),
    })
}

pub(super) fn eip(ledger: &Ledger, eip: &Eip) -> EipRow {
    let instance = eip.bound_to.as_ref().and_then(|id| ledger.instance(id));
    EipRow {
        id: eip.id.clone(),
        name: eip.terms.name.clone(),
        address: eip.address,
        fenced: ledger.fence(eip.address).is_some(),
        blocked: eip.terms.blocked,
        arrears: eip.terms.arrears,
        bandwidth_mbps: eip.terms.bandwidth_mbps,
        charge_type: eip.terms.charge_type,
        package: eip.terms.package.clone(),
        bound_to: instance.map(|instance| BoundTo {
            id: instance.id.clone(),
            name: instance.name.clone(),
            private: instance.private,
            bandwidth_mbps: instance.bandwidth_mbps,
        }),
        created: eip.created,
    }
}

/// Whether an address is the account's: as an EIP of its own or the ordinary public IP of one of its instances.
pub(super) fn is_own(ledger: &Ledger, account: &AccountId, address: Ipv4Addr) -> bool {
    match ledger.holder(address) {
        Some(Holder::Eip(id)) => ledger.eip(id).is_some_and(|eip| eip.account == *account),
        Some(Holder::Ordinary(id)) => ledger.instance(id).is_some_and(|instance| instance.account == *account),
        None => false,
    }
}

impl InstanceRow {
    /// The name people gave it, or its id.
    pub(super) fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

impl BoundTo {
    /// The name people gave it, or its id.
    pub(super) fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}
