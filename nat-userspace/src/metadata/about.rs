//! What is known of one instance, taken from the ledger at one moment.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::address::{Billing, Instance, Time, VpcId};
use crate::gateway::Operations;

/// One instance as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) instance: Instance,
    /// Its public address, whatever kind it is of.
    pub(super) public: Option<Ipv4Addr>,
    /// Of its network card, where the gateway knows it as a neighbour.
    pub(super) mac: Option<[u8; 6]>,
}

impl About {
    /// The instance that has this private address in this VPC.
    pub(super) fn of(gateway: &dyn Operations, vpc: &VpcId, private: Ipv4Addr) -> Option<About> {
        let ledger = gateway.ledger();
        let instance = ledger.instance_at(vpc, private)?.clone();
        let public = ledger.association_of(&instance.id).map(|association| association.public);
        Some(About { instance, public, mac: gateway.mac(vpc, private) })
    }

    /// As the cloud calls how the instance itself is paid for.
    pub(super) fn charge_type(&self) -> &'static str {
        match self.instance.billing {
            Billing::Postpaid => "POSTPAID_BY_HOUR",
            Billing::Prepaid { .. } => "PREPAID",
        }
    }

    /// Up to when it is paid for.
    pub(super) fn paid_until(&self) -> Option<Time> {
        match self.instance.billing {
            Billing::Postpaid => None,
            Billing::Prepaid { until } => Some(until),
        }
    }

    /// What its owner wants it to be told. Not there where it cannot be decoded, which versions that did not look accepted.
    pub(super) fn user_data(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.instance.user_data()?).ok()
    }
}
