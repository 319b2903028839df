//! What each command changes, or why it is refused.

use std::net::Ipv4Addr;

use super::reserved::unusable_as_private;
use super::{
    AccountId, Capacity, Change, Command, Eip, EipId, Fact, Instance, InstanceId, Ledger, Limit, NewInstance,
    Reallocate, Refusal, Time,
};

const LONGEST_NAME: usize = 128;

impl Ledger {
    /// What the command changes, without changing it. `now` becomes the time of whatever is created or released, and
    /// decides which addresses still rest; `capacity` is what the packet path can hold.
    pub fn decide(&self, command: Command, now: Time, capacity: Capacity) -> Result<Change, Refusal> {
        let facts = match command {
            Command::CreateInstance(new) => self.create_instance(new, now, capacity)?,
            Command::TerminateInstance { account, instance } => self.terminate_instance(&account, &instance, now)?,
            Command::AllocateEip { id, account, address, name } => {
                self.check_new_eip(&id, name.as_deref())?;
                let address = self.requested_or_next(address, now)?;
                vec![Fact::EipAllocated(Eip { id, account, address, name, bound_to: None, created: now })]
            }
            Command::BindEip { account, eip, instance } => self.bind_eip(&account, &eip, &instance, now, capacity)?,
            Command::UnbindEip { account, eip, reallocate } => self.unbind_eip(&account, &eip, reallocate, now)?,
            Command::ReleaseEip { account, eip } => self.release_eip(&account, &eip, now)?,
            Command::MarkDuplicate { address } => self.mark_duplicate(address)?,
            Command::ClearDuplicate { address } => self.clear_duplicate(address),
        };
        Ok(Change { facts })
    }

    fn create_instance(&self, new: NewInstance, now: Time, capacity: Capacity) -> Result<Vec<Fact>, Refusal> {
        self.check_new_instance(&new)?;
        check_growth(Limit::Instances, self.instances.len(), capacity.instances)?;
        let ordinary = if new.bandwidth_mbps > 0 {
            check_growth(Limit::Pairs, self.association_count(), capacity.pairs)?;
            Some(self.requested_or_next(None, now)?)
        } else {
            None
        };
        let assigned = ordinary.map(|address| Fact::OrdinaryAssigned { instance: new.id.clone(), address });
        let created = Fact::InstanceCreated(Instance {
            id: new.id,
            account: new.account,
            vpc: new.vpc,
            private: new.private,
            name: new.name,
            bandwidth_mbps: new.bandwidth_mbps,
            charge_type: new.charge_type,
            ordinary: None,
            last_ordinary: None,
            created: now,
        });
        Ok([created].into_iter().chain(assigned).collect())
    }

    fn terminate_instance(&self, account: &AccountId, id: &InstanceId, now: Time) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        let unbound = self.eip_of(id).map(|eip| Fact::EipUnbound { eip: eip.id.clone(), instance: id.clone() });
        let terminated = Fact::InstanceTerminated { instance: id.clone() };
        Ok(given_up(instance, now).into_iter().chain(unbound).chain([terminated]).collect())
    }

    fn bind_eip(
        &self,
        account: &AccountId,
        eip: &EipId,
        instance: &InstanceId,
        now: Time,
        capacity: Capacity,
    ) -> Result<Vec<Fact>, Refusal> {
        let eip = self.owned_eip(account, eip)?;
        let instance = self.owned_instance(account, instance)?;
        if let Some(holder) = &eip.bound_to {
            let (holder, asked) = (holder.clone(), instance.id.clone());
            return Err(Refusal::EipAlreadyBound { eip: eip.id.clone(), instance: holder, asked });
        }
        if let Some(other) = self.eip_of(&instance.id) {
            return Err(Refusal::InstanceHasEip { instance: instance.id.clone(), eip: other.id.clone() });
        }
        if instance.ordinary.is_none() {
            check_growth(Limit::Pairs, self.association_count(), capacity.pairs)?;
        }
        let bound = Fact::EipBound { eip: eip.id.clone(), instance: instance.id.clone() };
        Ok(given_up(instance, now).into_iter().chain([bound]).collect())
    }

    fn unbind_eip(
        &self,
        account: &AccountId,
        eip: &EipId,
        reallocate: Reallocate,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        let eip = self.owned_eip(account, eip)?;
        let bound_to = eip.bound_to.as_ref().ok_or_else(|| Refusal::EipNotBound { eip: eip.id.clone() })?;
        let instance = self.instances.get(bound_to).expect("an EIP is bound to an instance that exists");
        let (eip, instance_id) = (eip.id.clone(), instance.id.clone());
        let address = match (reallocate, instance.bandwidth_mbps) {
            (Reallocate::No, _) | (Reallocate::ByBandwidth, 0) => None,
            (Reallocate::Yes, 0) => return Err(Refusal::NoBandwidth { eip, instance: instance_id }),
            (Reallocate::Yes | Reallocate::ByBandwidth, _) => {
                let former = instance.last_ordinary;
                let Some(address) = self.stock.next_free(now, former) else {
                    let next_free = self.stock.next_rested(now, former);
                    return Err(Refusal::NoAddressToReallocate { eip, instance: instance_id, next_free });
                };
                Some(address)
            }
        };
        let assigned = address.map(|address| Fact::OrdinaryAssigned { instance: instance_id.clone(), address });
        Ok([Fact::EipUnbound { eip, instance: instance_id }].into_iter().chain(assigned).collect())
    }

    fn release_eip(&self, account: &AccountId, eip: &EipId, now: Time) -> Result<Vec<Fact>, Refusal> {
        let eip = self.owned_eip(account, eip)?;
        if let Some(instance) = &eip.bound_to {
            return Err(Refusal::EipBound { eip: eip.id.clone(), instance: instance.clone() });
        }
        Ok(vec![Fact::EipReleased { eip: eip.id.clone(), address: eip.address, at: now }])
    }

    fn mark_duplicate(&self, address: Ipv4Addr) -> Result<Vec<Fact>, Refusal> {
        if self.pool().range_of(address).is_none() {
            return Err(Refusal::NotInPool { address });
        }
        let marked = self.stock.duplicates().contains(&address);
        Ok(if marked { vec![] } else { vec![Fact::DuplicateMarked { address }] })
    }

    /// Never refused: a mark may outlast the pool it was made in.
    fn clear_duplicate(&self, address: Ipv4Addr) -> Vec<Fact> {
        let marked = self.stock.duplicates().contains(&address);
        if marked { vec![Fact::DuplicateCleared { address }] } else { vec![] }
    }

    fn requested_or_next(&self, requested: Option<Ipv4Addr>, now: Time) -> Result<Ipv4Addr, Refusal> {
        if let Some(address) = requested {
            return self.stock.check_free(address, now).map(|()| address);
        }
        let exhausted = || Refusal::PoolExhausted { next_free: self.stock.next_rested(now, None) };
        self.stock.next_free(now, None).ok_or_else(exhausted)
    }

    fn check_new_instance(&self, new: &NewInstance) -> Result<(), Refusal> {
        let private = new.private;
        if let Some(name) = &new.name {
            check_instance_name(name)?;
            if let Some(holder) = self.by_name.get(&(new.account.clone(), name.clone())) {
                return Err(Refusal::NameTaken { name: name.clone(), holder: holder.clone() });
            }
        }
        if let Some(purpose) = unusable_as_private(private) {
            return Err(Refusal::PrivateAddressUnusable { private, purpose });
        }
        if let Some(range) = self.pool().range_of(private) {
            return Err(Refusal::PrivateAddressInPool { private, pool: range.prefix() });
        }
        if let Some(other) = self.instance_at(&new.vpc, private) {
            let holder = (other.account == new.account).then(|| other.id.clone());
            return Err(Refusal::PrivateAddressTaken { private, vpc: new.vpc.clone(), holder });
        }
        if self.instances.contains_key(&new.id) {
            return Err(Refusal::InstanceExists { id: new.id.clone() });
        }
        Ok(())
    }

    fn check_new_eip(&self, id: &EipId, name: Option<&str>) -> Result<(), Refusal> {
        name.map_or(Ok(()), check_name)?;
        if self.eips.contains_key(id) {
            return Err(Refusal::EipExists { id: id.clone() });
        }
        Ok(())
    }

    fn owned_instance(&self, account: &AccountId, id: &InstanceId) -> Result<&Instance, Refusal> {
        let owned = self.instances.get(id).filter(|instance| instance.account == *account);
        owned.ok_or_else(|| Refusal::UnknownInstance { selector: id.to_string(), account: account.clone(), vpc: None })
    }

    fn owned_eip(&self, account: &AccountId, id: &EipId) -> Result<&Eip, Refusal> {
        let owned = self.eips.get(id).filter(|eip| eip.account == *account);
        owned.ok_or_else(|| Refusal::UnknownEip { selector: id.to_string(), account: account.clone() })
    }
}

fn given_up(instance: &Instance, at: Time) -> Option<Fact> {
    let address = instance.ordinary?;
    Some(Fact::OrdinaryReleased { instance: instance.id.clone(), address, at })
}

/// Only growth is refused: with more objects than a lowered limit allows, what keeps their number still works.
fn check_growth(what: Limit, present: usize, limit: usize) -> Result<(), Refusal> {
    if present < limit { Ok(()) } else { Err(Refusal::CapacityReached { what, limit }) }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let refuse = |problem| Err(Refusal::NameInvalid { name: name.to_string(), problem });
    if name.trim().is_empty() {
        return refuse("is empty");
    }
    if name.trim() != name {
        return refuse("begins or ends with a blank");
    }
    if name.chars().count() > LONGEST_NAME {
        return refuse("is longer than 128 characters");
    }
    if name.chars().any(char::is_control) {
        return refuse("contains control characters");
    }
    Ok(())
}

/// An instance is found by its name where an id or an address would also do, so a name must not read as either.
fn check_instance_name(name: &str) -> Result<(), Refusal> {
    check_name(name)?;
    let refuse = |problem| Err(Refusal::NameInvalid { name: name.to_string(), problem });
    if name.parse::<Ipv4Addr>().is_ok() {
        return refuse("reads as an IPv4 address");
    }
    if name.starts_with("ins-") || name.starts_with("eip-") {
        return refuse("begins like an id");
    }
    Ok(())
}
