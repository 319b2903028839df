//! Elastic IPs.

use std::net::Ipv4Addr;

use super::detail::remembered;
use super::{AccountId, ChargeType, EipDetail, EipId, InstanceId, PackageId, Prepaid, Tags, Time};

/// An elastic IP: allocated to an account, it keeps its address until it is released.
///
/// Of the states that the cloud's API knows it is in BIND or UNBIND. Every command is done in one step, so none of the
/// states in between is ever to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eip {
    /// Unique over all accounts.
    pub id: EipId,
    /// The owner.
    pub account: AccountId,
    /// Its public address, from allocation to release.
    pub address: Ipv4Addr,
    /// What may be changed about it.
    pub terms: EipTerms,
    /// The instance it serves, if any.
    pub bound_to: Option<InstanceId>,
    /// When it was allocated.
    pub created: Time,
}

/// What may be changed about an EIP while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EipTerms {
    /// For people; neither unique nor a way to find the EIP.
    pub name: Option<String>,
    /// In Mbit/s, at least 1.
    pub bandwidth_mbps: u32,
    /// How the bandwidth is charged.
    pub charge_type: ChargeType,
    /// The package that shares its bandwidth; only where the charge type says so.
    pub package: Option<PackageId>,
    /// The address is under attack and blackholed: it cannot be bound.
    pub blocked: bool,
    /// Its owner has not paid: it cannot be bound.
    pub arrears: bool,
    /// What is remembered of it, where anything is.
    pub detail: Option<Box<EipDetail>>,
}

impl Default for EipTerms {
    fn default() -> Self {
        EipTerms {
            name: None,
            bandwidth_mbps: 1,
            charge_type: ChargeType::OF_EIPS,
            package: None,
            blocked: false,
            arrears: false,
            detail: None,
        }
    }
}

impl EipTerms {
    /// Has it charged otherwise. What was paid in advance counts only where it still is.
    pub(super) fn charge(&mut self, charge_type: ChargeType, prepaid: Option<Prepaid>) {
        self.charge_type = charge_type;
        let prepaid = prepaid.filter(|_| charge_type == ChargeType::BandwidthPrepaid);
        if prepaid.is_some() || self.detail.is_some() {
            self.detail.get_or_insert_default().prepaid = prepaid;
            self.detail = remembered(self.detail.take());
        }
    }
}

/// What a [`Command::ModifyEip`](super::Command::ModifyEip) asks to be different; what it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the terms they change")]
pub struct EipChanges {
    /// None inside is no name.
    pub name: Option<Option<String>>,
    pub bandwidth_mbps: Option<u32>,
    pub charge_type: Option<ChargeType>,
    /// Only where the charge type changes to one that is paid in advance.
    pub prepaid: Option<Prepaid>,
    pub blocked: Option<bool>,
    pub arrears: Option<bool>,
    pub tags: Option<Tags>,
}
