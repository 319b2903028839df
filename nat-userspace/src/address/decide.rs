//! What each command changes, or why it is refused.

use std::net::Ipv4Addr;

use super::agreement::{Agreement, check_charge_change};
use super::detail::remembered;
use super::life::{check_period, moved, wrong_state};
use super::reserved::unusable_as_private;
use super::together::Before;
use super::{
    AccountId, Begins, Billing, Capacity, Change, ChargeType, Command, Daily, Eip, EipChanges, EipId, EipTerms, Fact,
    Instance, InstanceId, InstanceState, Ledger, Limit, Naming, NewEip, NewInstance, OnBind, OnUnbind, Package,
    Reallocate, Refusal, StopMode, Time, UsedToken, VpcId,
};

const LONGEST_NAME: usize = 128;

impl Ledger {
    /// What the command changes, without changing it. `now` becomes the time of whatever is created or released, and
    /// decides which addresses still rest; `capacity` is what the packet path can hold.
    pub fn decide(&self, command: Command, now: Time, capacity: Capacity) -> Result<Change, Refusal> {
        let asked = UsedToken::by(&command, now);
        if let Some(asked) = &asked
            && self.is_repeated(asked)?
        {
            return Ok(Change::default());
        }
        let mut facts = self.decide_after(command, now, capacity, Before::default())?;
        facts.extend(asked.map(Fact::TokenUsed));
        Ok(Change { facts, at: now })
    }

    /// What the command changes after others that it is carried out together with.
    pub(super) fn decide_after(
        &self,
        command: Command,
        now: Time,
        capacity: Capacity,
        before: Before<'_>,
    ) -> Result<Vec<Fact>, Refusal> {
        Ok(match command {
            Command::Together(together) => self.decide_together(together.commands, now, capacity)?,
            Command::AlterInstance { account, instance, changes } => {
                self.alter_instance_detail(&account, &instance, changes)?
            }
            Command::ModifyPackage { account, package, changes } => self.modify_package(&account, &package, changes)?,
            Command::CreateInstance(new) => self.create_instance(new, now, capacity, before)?,
            Command::TerminateInstance { account, instance } => self.terminate_instance(&account, &instance, now)?,
            Command::StartInstance { account, instance } => {
                self.start_instance(&account, &instance, now, capacity, before)?
            }
            Command::StopInstance { account, instance, mode } => self.stop_instance(&account, &instance, mode, now)?,
            Command::RenewInstance { account, instance, period } => {
                self.renew_instance(&account, &instance, period, now)?
            }
            Command::ModifyInstance { account, instance, bandwidth_mbps, charge_type } => {
                self.modify_instance(&account, &instance, bandwidth_mbps, charge_type)?
            }
            Command::ReturnOrdinary { account, instance } => self.return_ordinary(&account, &instance, now)?,
            Command::ChangeOrdinary { account, instance } => self.change_ordinary(&account, &instance, now, before)?,
            Command::ConvertOrdinary { id, account, instance, name } => {
                self.convert_ordinary(id, &account, &instance, name, now)?
            }
            Command::AllocateEip(new) => self.allocate_eip(new, now, before)?,
            Command::ModifyEip { account, eip, changes } => self.modify_eip(&account, &eip, changes)?,
            Command::BindEip { account, eip, instance } => self.bind_eip(&account, &eip, &instance, now, capacity)?,
            Command::UnbindEip { account, eip, reallocate } => self.unbind_eip(&account, &eip, reallocate, now)?,
            Command::ReleaseEip { account, eip } => self.release_eip(&account, &eip, now)?,
            Command::CreatePackage(package) => self.create_package(Package { created: now, ..package })?,
            Command::DeletePackage { account, package } => self.delete_package(&account, &package)?,
            Command::AddMember { account, package, member } => self.add_member(&account, &package, member)?,
            Command::RemoveMember { account, package, member } => self.remove_member(&account, &package, member)?,
            Command::ImportPairs(import) => self.import_pairs(import, now, capacity)?,
            Command::Expire => self.expire(now),
            Command::MarkDuplicate { address } => self.mark_duplicate(address)?,
            Command::ClearDuplicate { address } => self.clear_duplicate(address),
            Command::FenceAddress { address, reason } => self.fence_address(address, reason, now)?,
            Command::UnfenceAddress { address } => self.unfence_address(address)?,
            Command::AddPool { definition, reserved } => self.add_pool(definition, reserved)?,
            Command::DrainPool { prefix } => self.drain_pool(prefix)?,
            Command::RemovePool { prefix } => self.remove_pool(prefix)?,
        })
    }

    fn create_instance(
        &self,
        new: NewInstance,
        now: Time,
        capacity: Capacity,
        before: Before<'_>,
    ) -> Result<Vec<Fact>, Refusal> {
        let name = new.name.as_deref().map(|name| (name, new.naming));
        self.check_new_instance(&new.id, &new.account, &new.vpc, new.private, name)?;
        if before.creates(&new.id) {
            return Err(Refusal::InstanceExists { id: new.id });
        }
        if let Some((name, Naming::Unique)) = name.filter(|(name, _)| before.names(&new.account, name)) {
            return Err(Refusal::NameTwice { name: name.to_string() });
        }
        if before.carries(&new.vpc, new.private) {
            return Err(Refusal::PrivateAddressTwice { private: new.private, vpc: new.vpc });
        }
        let (mbps, charge_type, package) = (new.bandwidth_mbps, new.charge_type, new.package.as_ref());
        self.check_agreement(&new.account, Agreement { mbps, charge_type, package }, None)?;
        new.prepaid.map_or(Ok(()), check_period)?;
        check_growth(Limit::Instances, self.instances.len() + before.instances(), capacity.instances)?;
        let ordinary = if new.bandwidth_mbps > 0 {
            check_growth(Limit::Pairs, self.association_count() + before.pairs(), capacity.pairs)?;
            Some(self.requested_or_next(None, now, before)?)
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
            package: new.package,
            billing: new.prepaid.map_or(Billing::Postpaid, |period| Billing::Prepaid { until: now.after(period) }),
            state: match new.begins {
                Begins::Pending => InstanceState::Pending,
                Begins::Running => InstanceState::Running,
            },
            since: now,
            ordinary: None,
            last_ordinary: None,
            owed: false,
            created: now,
            detail: remembered(new.detail),
        });
        Ok([created].into_iter().chain(assigned).collect())
    }

    fn modify_instance(
        &self,
        account: &AccountId,
        id: &InstanceId,
        bandwidth_mbps: Option<u32>,
        charge_type: Option<ChargeType>,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        let present = instance.agreement();
        let mbps = bandwidth_mbps.unwrap_or(present.mbps);
        let charge_type = charge_type.unwrap_or(present.charge_type);
        if let (0, Some(address)) = (mbps, instance.ordinary) {
            return Err(Refusal::BandwidthCarriesAddress { instance: id.clone(), address });
        }
        let wanted = Agreement { mbps, charge_type, ..present };
        self.check_agreement(account, wanted, Some(present))?;
        if wanted == present {
            return Ok(vec![]);
        }
        let package = instance.package.clone();
        Ok(vec![Fact::InstanceTerms { instance: id.clone(), bandwidth_mbps: mbps, charge_type, package }])
    }

    fn allocate_eip(&self, new: NewEip, now: Time, before: Before<'_>) -> Result<Vec<Fact>, Refusal> {
        let NewEip { id, account, address, name, bandwidth_mbps, charge_type, package, detail, token: _ } = new;
        self.check_new_eip(&id, name.as_deref())?;
        if before.allocates(&id) {
            return Err(Refusal::EipExists { id });
        }
        let wanted = Agreement { mbps: bandwidth_mbps, charge_type, package: package.as_ref() };
        self.check_agreement(&account, wanted, None)?;
        if bandwidth_mbps == 0 {
            return Err(Refusal::BandwidthNeeded);
        }
        self.check_eip_quota(&account, before)?;
        let counted = self.count_today(&account, Daily::Applications, now, before)?;
        let address = self.requested_or_next(address, now, before)?;
        let detail = remembered(detail);
        let terms = EipTerms { name, bandwidth_mbps, charge_type, package, detail, ..EipTerms::default() };
        Ok(vec![Fact::EipAllocated(Eip { id, account, address, terms, bound_to: None, created: now }), counted])
    }

    fn modify_eip(&self, account: &AccountId, id: &EipId, changes: EipChanges) -> Result<Vec<Fact>, Refusal> {
        let eip = self.owned_eip(account, id)?;
        let present = &eip.terms;
        let mut terms = present.clone();
        if let Some(name) = changes.name {
            name.as_deref().map_or(Ok(()), check_name)?;
            terms.name = name;
        }
        terms.bandwidth_mbps = changes.bandwidth_mbps.unwrap_or(present.bandwidth_mbps);
        terms.blocked = changes.blocked.unwrap_or(present.blocked);
        terms.arrears = changes.arrears.unwrap_or(present.arrears);
        if let Some(charge_type) = changes.charge_type.filter(|wanted| *wanted != present.charge_type) {
            terms.charge(charge_type, changes.prepaid);
            terms.detail.get_or_insert_default().charge_changes += 1;
        }
        if let Some(tags) = changes.tags {
            terms.detail.get_or_insert_default().tags = tags;
            terms.detail = remembered(terms.detail);
        }
        if terms.bandwidth_mbps == 0 {
            return Err(Refusal::BandwidthNeeded);
        }
        self.check_agreement(account, terms.agreement(), Some(present.agreement()))?;
        if terms.charge_type != present.charge_type {
            check_charge_change(eip)?;
        }
        Ok(if terms == *present { vec![] } else { vec![Fact::EipChanged { eip: id.clone(), terms }] })
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
        if eip.terms.blocked {
            return Err(Refusal::EipBlocked { eip: eip.id.clone() });
        }
        if eip.terms.arrears {
            return Err(Refusal::EipInArrears { eip: eip.id.clone() });
        }
        match instance.state {
            InstanceState::Running | InstanceState::Stopped(StopMode::KeepCharging) => {}
            InstanceState::Shutdown => return Err(wrong_state(instance, "take an EIP", "renew it first")),
            InstanceState::Pending | InstanceState::Stopped(StopMode::StopCharging) => {
                return Err(wrong_state(instance, "take an EIP", "start it first"));
            }
        }
        match instance.ordinary {
            None => check_growth(Limit::Pairs, self.association_count(), capacity.pairs)?,
            Some(address) if self.policy.on_bind == OnBind::Refuse => {
                return Err(Refusal::InstanceHasOrdinary { instance: instance.id.clone(), address });
            }
            Some(_) => {}
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
        let has_bandwidth = instance.bandwidth_mbps > 0;
        let assigns = match (reallocate, self.policy.on_unbind) {
            (Reallocate::No, _) | (Reallocate::ByPolicy, OnUnbind::Nothing) => false,
            (Reallocate::Yes, _) if !has_bandwidth => return Err(Refusal::NoBandwidth { eip, instance: instance_id }),
            (Reallocate::Yes, _) if !instance.state.keeps_ordinary() => {
                let remedy = "start it first, or unbind without `--reallocate yes`: the next start assigns one";
                return Err(wrong_state(instance, "get a new ordinary public IP", remedy));
            }
            (Reallocate::Yes, _) => true,
            (Reallocate::ByPolicy, OnUnbind::NewOrdinary) => has_bandwidth,
        };
        let mut facts = vec![Fact::EipUnbound { eip: eip.clone(), instance: instance_id.clone() }];
        if !assigns {
            return Ok(facts);
        }
        if !instance.state.keeps_ordinary() {
            facts.push(moved(instance, instance.state, true, instance.since));
            return Ok(facts);
        }
        let counted = self.count_today(account, Daily::Reallocations, now, Before::default())?;
        let former = instance.last_ordinary;
        let Some(address) = self.next_free(now, former, Before::default()) else {
            let next_free = self.stock.next_rested(now, former);
            return Err(Refusal::NoAddressToReallocate { eip, instance: instance_id, next_free });
        };
        facts.extend([Fact::OrdinaryAssigned { instance: instance_id, address }, counted]);
        Ok(facts)
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

    fn requested_or_next(
        &self,
        requested: Option<Ipv4Addr>,
        now: Time,
        before: Before<'_>,
    ) -> Result<Ipv4Addr, Refusal> {
        if let Some(address) = requested {
            if before.taken().contains(&address) {
                return Err(Refusal::PublicAddressTwice { address });
            }
            return self.stock.check_free(address, now).map(|()| address);
        }
        let exhausted = || Refusal::PoolExhausted { next_free: self.stock.next_rested(now, None) };
        self.next_free(now, None, before).ok_or_else(exhausted)
    }

    /// The address to hand out next, never `former`, the one given up last.
    pub(super) fn next_free(&self, now: Time, former: Option<Ipv4Addr>, before: Before<'_>) -> Option<Ipv4Addr> {
        let taken = before.taken();
        self.stock.next_free(now, |address| Some(address) == former || taken.contains(&address))
    }

    pub(super) fn check_new_instance(
        &self,
        id: &InstanceId,
        account: &AccountId,
        vpc: &VpcId,
        private: Ipv4Addr,
        name: Option<(&str, Naming)>,
    ) -> Result<(), Refusal> {
        if let Some((name, naming)) = name {
            check_instance_name(name)?;
            let holder = self.instances_named(account, name).next().filter(|_| naming == Naming::Unique);
            if let Some(holder) = holder {
                return Err(Refusal::NameTaken { name: name.to_string(), holder: holder.id.clone() });
            }
        }
        if let Some(purpose) = unusable_as_private(private) {
            return Err(Refusal::PrivateAddressUnusable { private, purpose });
        }
        if let Some(range) = self.pool().range_of(private) {
            return Err(Refusal::PrivateAddressInPool { private, pool: range.prefix() });
        }
        if let Some(other) = self.instance_at(vpc, private) {
            let holder = (other.account == *account).then(|| other.id.clone());
            return Err(Refusal::PrivateAddressTaken { private, vpc: vpc.clone(), holder });
        }
        if self.instances.contains_key(id) {
            return Err(Refusal::InstanceExists { id: id.clone() });
        }
        Ok(())
    }

    pub(super) fn check_new_eip(&self, id: &EipId, name: Option<&str>) -> Result<(), Refusal> {
        name.map_or(Ok(()), check_name)?;
        if self.eips.contains_key(id) {
            return Err(Refusal::EipExists { id: id.clone() });
        }
        Ok(())
    }

    pub(super) fn owned_instance(&self, account: &AccountId, id: &InstanceId) -> Result<&Instance, Refusal> {
        let owned = self.instances.get(id).filter(|instance| instance.account == *account);
        owned.ok_or_else(|| Refusal::UnknownInstance { selector: id.to_string(), account: account.clone(), vpc: None })
    }

    pub(super) fn owned_eip(&self, account: &AccountId, id: &EipId) -> Result<&Eip, Refusal> {
        let owned = self.eips.get(id).filter(|eip| eip.account == *account);
        owned.ok_or_else(|| Refusal::UnknownEip { selector: id.to_string(), account: account.clone() })
    }
}

/// The instance's ordinary public IP, if it has one, on its way back to the pool.
pub(super) fn given_up(instance: &Instance, at: Time) -> Option<Fact> {
    let address = instance.ordinary?;
    Some(Fact::OrdinaryReleased { instance: instance.id.clone(), address, at })
}

/// Only growth is refused: with more objects than a lowered limit allows, what keeps their number still works.
pub(super) fn check_growth(what: Limit, present: usize, limit: usize) -> Result<(), Refusal> {
    if present < limit { Ok(()) } else { Err(Refusal::CapacityReached { what, limit }) }
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
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
pub(super) fn check_instance_name(name: &str) -> Result<(), Refusal> {
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
