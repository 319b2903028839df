//! Ordinary public IPs: given up, changed, made an EIP. The first two are for users only where the policy says so.

use super::decide::{check_name, given_up};
use super::together::Before;
use super::{AccountId, Daily, Eip, EipId, EipTerms, Fact, Instance, InstanceId, Ledger, Permission, Refusal, Time};

impl Ledger {
    pub(super) fn return_ordinary(
        &self,
        account: &AccountId,
        id: &InstanceId,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        let (address, released) = has_ordinary(instance, now)?;
        match self.policy.return_ordinary {
            Permission::Granted => Ok(vec![released]),
            Permission::Denied => Err(Refusal::ReturnDenied { instance: id.clone(), address }),
        }
    }

    pub(super) fn change_ordinary(
        &self,
        account: &AccountId,
        id: &InstanceId,
        now: Time,
        before: Before<'_>,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        let (address, released) = has_ordinary(instance, now)?;
        if self.policy.change_ordinary == Permission::Denied {
            return Err(Refusal::ChangeDenied { instance: id.clone(), address });
        }
        let counted = self.count_today(account, Daily::Reallocations, now, before)?;
        let Some(new) = self.next_free(now, None, before) else {
            let next_free = self.stock.next_rested(now, None);
            return Err(Refusal::NoAddressToChange { instance: id.clone(), address, next_free });
        };
        Ok(vec![released, Fact::OrdinaryAssigned { instance: id.clone(), address: new }, counted])
    }

    /// The EIP takes over the address with everything that was agreed about it, bound to the same instance, so that
    /// nothing changes for a packet.
    pub(super) fn convert_ordinary(
        &self,
        id: EipId,
        account: &AccountId,
        instance: &InstanceId,
        name: Option<String>,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        name.as_deref().map_or(Ok(()), check_name)?;
        let instance = self.owned_instance(account, instance)?;
        let (address, _) = has_ordinary(instance, now)?;
        self.check_new_eip(&id, None)?;
        self.check_eip_quota(account, Before::default())?;
        let terms = EipTerms {
            name,
            bandwidth_mbps: instance.bandwidth_mbps,
            charge_type: instance.charge_type,
            package: instance.package.clone(),
            ..EipTerms::default()
        };
        let bound_to = Some(instance.id.clone());
        let eip = Eip { id, account: account.clone(), address, terms, bound_to, created: now };
        Ok(vec![Fact::OrdinaryConverted { instance: instance.id.clone(), eip }])
    }
}

fn has_ordinary(instance: &Instance, now: Time) -> Result<(std::net::Ipv4Addr, Fact), Refusal> {
    let found = instance.ordinary.zip(given_up(instance, now));
    found.ok_or_else(|| Refusal::NoOrdinary { instance: instance.id.clone() })
}
