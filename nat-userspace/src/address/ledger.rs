//! The committed state: every instance, every EIP, and who holds which public address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::owned::Owned;
use super::ranked::Ranked;
use super::stock::Stock;
use super::{
    AccountId, Association, Billing, Change, ClientToken, Daily, Eip, EipId, Fact, Holder, Instance, InstanceId,
    Member, Package, PackageId, Policy, Pool, PoolState, Prefix, RangeTotals, Refusal, Standing, Time, UsedToken,
    VpcId,
};

/// All instances and EIPs, with the indexes that keep every question at the cost of a tree look-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    pub(super) stock: Stock,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) eips: BTreeMap<EipId, Eip>,
    /// The address comes first, so that the same address in several VPCs lies together.
    pub(super) by_private: BTreeMap<(Ipv4Addr, VpcId), InstanceId>,
    pub(super) by_name: BTreeSet<(AccountId, String, InstanceId)>,
    /// The bound EIP of each instance that has one.
    pub(super) eip_of: BTreeMap<InstanceId, EipId>,
    /// What each account owns that owns anything.
    pub(super) owned: BTreeMap<AccountId, Owned>,
    pub(super) packages: BTreeMap<PackageId, Package>,
    /// Who shares each package that is shared.
    pub(super) members: BTreeMap<PackageId, Ranked<Member>>,
    /// Instances that expire or leave the recycle bin, by when they do.
    pub(super) due: BTreeSet<(Time, InstanceId)>,
    /// The last day an account did something, and how often.
    pub(super) days: BTreeMap<(AccountId, Daily), (u64, u32)>,
    pub(super) tokens: BTreeMap<(AccountId, ClientToken), UsedToken>,
    pub(super) tokens_by_age: BTreeSet<(Time, AccountId, ClientToken)>,
    pub(super) policy: Policy,
    /// What was commanded about ranges; the pool is what has come of it.
    pub(super) standings: BTreeMap<Prefix, Standing>,
}

impl Ledger {
    /// A ledger in which nothing has happened yet.
    pub fn new(pool: Pool) -> Self {
        Self {
            stock: Stock::new(pool),
            instances: BTreeMap::new(),
            eips: BTreeMap::new(),
            by_private: BTreeMap::new(),
            by_name: BTreeSet::new(),
            eip_of: BTreeMap::new(),
            owned: BTreeMap::new(),
            packages: BTreeMap::new(),
            members: BTreeMap::new(),
            due: BTreeSet::new(),
            days: BTreeMap::new(),
            tokens: BTreeMap::new(),
            tokens_by_age: BTreeSet::new(),
            policy: Policy::default(),
            standings: BTreeMap::new(),
        }
    }

    /// The same under other rules. What was done under the earlier ones stays.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.set_policy(policy);
        self
    }

    /// Other rules from now on. What was done under the earlier ones stays.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.due = self.all_due();
    }

    /// The rules in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(super) fn all_due(&self) -> BTreeSet<(Time, InstanceId)> {
        let due = self.instances.values().filter_map(|instance| Some((self.due_of(instance)?, instance.id.clone())));
        due.collect()
    }

    /// Makes the facts of a change true. It must have been decided against this very state; panics on facts that
    /// contradict it, for a ledger that is not what was stored must not be served.
    pub fn apply(&mut self, change: &Change) {
        for fact in &change.facts {
            self.apply_fact(fact);
        }
    }

    fn apply_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::InstanceCreated(instance) => self.insert_instance(instance.clone()),
            Fact::InstanceTerminated { instance } => self.remove_instance(instance),
            Fact::OrdinaryAssigned { instance, address } => {
                self.stock.hold(*address, Holder::Ordinary(instance.clone()));
                let instance = self.known_instance(instance);
                instance.ordinary = Some(*address);
                let (account, id) = (instance.account.clone(), instance.id.clone());
                self.alter_owned(&account, |owned| owned.set_ordinary(&id, true));
            }
            Fact::OrdinaryReleased { instance, address, at } => {
                self.stock.release(*address, *at);
                let instance = self.known_instance(instance);
                instance.ordinary = None;
                instance.last_ordinary = Some(*address);
                let (account, id) = (instance.account.clone(), instance.id.clone());
                self.alter_owned(&account, |owned| owned.set_ordinary(&id, false));
            }
            Fact::InstanceMoved { instance, state, owed, at } => self.alter_instance(instance, |instance| {
                instance.state = *state;
                instance.owed = *owed;
                instance.since = *at;
            }),
            Fact::InstanceRenewed { instance, until } => {
                self.alter_instance(instance, |instance| instance.billing = Billing::Prepaid { until: *until });
            }
            Fact::InstanceTerms { instance, bandwidth_mbps, charge_type, package } => {
                let member = Member::Instance(instance.clone());
                let instance = self.known_instance(instance);
                instance.bandwidth_mbps = *bandwidth_mbps;
                instance.charge_type = *charge_type;
                let former = std::mem::replace(&mut instance.package, package.clone());
                self.change_package(member, former, package.clone());
            }
            Fact::InstanceAltered { instance, name, detail } => {
                let instance = self.known_instance(instance);
                let (account, id) = (instance.account.clone(), instance.id.clone());
                instance.detail.clone_from(detail);
                let former = std::mem::replace(&mut instance.name, name.clone());
                if let Some(former) = former {
                    self.by_name.remove(&(account.clone(), former, id.clone()));
                }
                self.by_name.extend(name.iter().map(|name| (account.clone(), name.clone(), id.clone())));
            }
            Fact::OrdinaryConverted { instance, eip } => {
                self.known_instance(instance).ordinary = None;
                self.alter_owned(&eip.account, |owned| owned.set_ordinary(instance, false));
                self.stock.hand_over(eip.address);
                self.insert_eip(eip.clone());
            }
            Fact::EipAllocated(eip) => self.insert_eip(eip.clone()),
            Fact::EipChanged { eip, terms } => {
                let member = Member::Eip(eip.clone());
                let known = self.known_eip(eip);
                let account = known.account.clone();
                let former = std::mem::replace(&mut known.terms, terms.clone());
                if former.name != terms.name {
                    self.alter_owned(&account, |owned| {
                        if let Some(name) = &former.name {
                            owned.eips_by_name.remove(&(name.clone(), eip.clone()));
                        }
                        owned.eips_by_name.extend(terms.name.iter().map(|name| (name.clone(), eip.clone())));
                    });
                }
                self.change_package(member, former.package, terms.package.clone());
            }
            Fact::EipBound { eip, instance } => {
                let known = self.known_eip(eip);
                known.bound_to = Some(instance.clone());
                let account = known.account.clone();
                self.alter_owned(&account, |owned| owned.set_bound(eip, true));
                self.eip_of.insert(instance.clone(), eip.clone());
            }
            Fact::EipUnbound { eip, instance } => {
                let known = self.known_eip(eip);
                known.bound_to = None;
                let account = known.account.clone();
                self.alter_owned(&account, |owned| owned.set_bound(eip, false));
                self.eip_of.remove(instance);
            }
            Fact::EipReleased { eip, address, at } => {
                self.stock.release(*address, *at);
                self.remove_eip(eip);
            }
            Fact::PackageCreated(package) | Fact::PackageChanged(package) => {
                self.alter_owned(&package.account, |owned| owned.packages.insert(package.id.clone()));
                self.packages.insert(package.id.clone(), package.clone());
            }
            Fact::PackageDeleted { package } => {
                let package = self.packages.remove(package).expect("a deleted package was created before");
                self.alter_owned(&package.account, |owned| owned.packages.remove(&package.id));
            }
            Fact::DayCounted(counted) => {
                let key = (counted.account.clone(), counted.what);
                self.days.insert(key, (counted.day, counted.count));
            }
            Fact::TokenUsed(used) => {
                self.forget_token(&used.account, &used.token);
                self.tokens_by_age.insert((used.at, used.account.clone(), used.token.clone()));
                self.tokens.insert((used.account.clone(), used.token.clone()), used.clone());
            }
            Fact::TokenForgotten { account, token } => self.forget_token(account, token),
            Fact::DuplicateMarked { address } => self.stock.mark_duplicate(*address),
            Fact::DuplicateCleared { address } => self.stock.clear_duplicate(*address),
            Fact::AddressFenced { address, fence } => self.stock.fence(*address, fence.clone()),
            Fact::AddressUnfenced { address } => self.stock.unfence(*address),
            Fact::PoolAdded { range } => {
                let insert = |pool: &mut Pool| pool.insert(range.clone());
                self.apply_standing(range.prefix(), Some(Standing::Added), insert);
            }
            Fact::PoolDrained { prefix, standing } => {
                let drain = |pool: &mut Pool| pool.set_state(*prefix, PoolState::Draining);
                self.apply_standing(*prefix, Some(*standing), drain);
            }
            Fact::PoolResumed { prefix, standing } => {
                let resume = |pool: &mut Pool| pool.set_state(*prefix, PoolState::Serving);
                self.apply_standing(*prefix, *standing, resume);
            }
            Fact::PoolRemoved { prefix, standing } => {
                self.apply_standing(*prefix, *standing, |pool| pool.remove(*prefix));
            }
        }
    }

    fn insert_instance(&mut self, instance: Instance) {
        let id = &instance.id;
        if let Some(address) = instance.ordinary {
            self.stock.hold(address, Holder::Ordinary(id.clone()));
        }
        if let Some(name) = &instance.name {
            self.by_name.insert((instance.account.clone(), name.clone(), id.clone()));
        }
        self.by_private.insert((instance.private, instance.vpc.clone()), id.clone());
        self.due.extend(self.due_of(&instance).map(|at| (at, id.clone())));
        self.change_package(Member::Instance(id.clone()), None, instance.package.clone());
        self.alter_owned(&instance.account, |owned| owned.add_instance(&instance));
        self.instances.insert(instance.id.clone(), instance);
    }

    fn remove_instance(&mut self, id: &InstanceId) {
        let instance = self.instances.remove(id).expect("a terminated instance was created before");
        self.by_private.remove(&(instance.private, instance.vpc.clone()));
        if let Some(at) = self.due_of(&instance) {
            self.due.remove(&(at, id.clone()));
        }
        self.alter_owned(&instance.account, |owned| owned.remove_instance(&instance));
        self.change_package(Member::Instance(id.clone()), instance.package, None);
        if let Some(name) = instance.name {
            self.by_name.remove(&(instance.account, name, id.clone()));
        }
    }

    fn insert_eip(&mut self, eip: Eip) {
        self.stock.hold(eip.address, Holder::Eip(eip.id.clone()));
        if let Some(instance) = &eip.bound_to {
            self.eip_of.insert(instance.clone(), eip.id.clone());
        }
        self.alter_owned(&eip.account, |owned| owned.add_eip(&eip));
        self.change_package(Member::Eip(eip.id.clone()), None, eip.terms.package.clone());
        self.eips.insert(eip.id.clone(), eip);
    }

    fn remove_eip(&mut self, id: &EipId) {
        let eip = self.eips.remove(id).expect("a released EIP was allocated before");
        self.alter_owned(&eip.account, |owned| owned.remove_eip(&eip));
        self.change_package(Member::Eip(eip.id), eip.terms.package, None);
    }

    /// Changes what decides when the instance is due.
    fn alter_instance(&mut self, id: &InstanceId, alter: impl FnOnce(&mut Instance)) {
        let due = |ledger: &Ledger| Some((ledger.due_of(ledger.instances.get(id)?)?, id.clone()));
        if let Some(earlier) = due(self) {
            self.due.remove(&earlier);
        }
        alter(self.known_instance(id));
        self.due.extend(due(self));
    }

    fn change_package(&mut self, member: Member, former: Option<PackageId>, present: Option<PackageId>) {
        if let Some(former) = former
            && let Some(members) = self.members.get_mut(&former)
        {
            members.remove(&member);
            if members.is_empty() {
                self.members.remove(&former);
            }
        }
        if let Some(present) = present {
            self.members.entry(present).or_default().insert(member);
        }
    }

    fn forget_token(&mut self, account: &AccountId, token: &ClientToken) {
        if let Some(used) = self.tokens.remove(&(account.clone(), token.clone())) {
            self.tokens_by_age.remove(&(used.at, used.account, used.token));
        }
    }

    fn known_instance(&mut self, id: &InstanceId) -> &mut Instance {
        self.instances.get_mut(id).expect("a fact names instances that earlier facts created")
    }

    fn known_eip(&mut self, id: &EipId) -> &mut Eip {
        self.eips.get_mut(id).expect("a fact names EIPs that earlier facts allocated")
    }

    /// The pool in use.
    pub fn pool(&self) -> &Pool {
        self.stock.pool()
    }

    /// Has addresses that were released after `now` rest from now on: what was released under a clock that ran ahead, and
    /// has been set right since, does not rest until that time comes.
    pub fn nothing_released_after(&mut self, now: Time) {
        self.stock.nothing_released_after(now);
    }

    /// Makes released addresses rest for so long from now on, those that rest already included.
    pub fn set_cool_down(&mut self, cool_down: Duration) {
        self.stock.set_cool_down(cool_down);
    }

    /// Every instance, by id.
    pub fn instances(&self) -> impl ExactSizeIterator<Item = &Instance> {
        self.instances.values()
    }

    /// Every EIP, by id.
    pub fn eips(&self) -> impl ExactSizeIterator<Item = &Eip> {
        self.eips.values()
    }

    /// The instance with this id, whoever owns it.
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// The EIP with this id, whoever owns it.
    pub fn eip(&self, id: &EipId) -> Option<&Eip> {
        self.eips.get(id)
    }

    /// The instance that carries this private address, whoever owns it.
    pub fn instance_at(&self, vpc: &VpcId, private: Ipv4Addr) -> Option<&Instance> {
        self.instances.get(self.by_private.get(&(private, vpc.clone()))?)
    }

    /// The EIP bound to an instance.
    pub fn eip_of(&self, instance: &InstanceId) -> Option<&Eip> {
        self.eips.get(self.eip_of.get(instance)?)
    }

    /// Who holds a public address.
    pub fn holder(&self, address: Ipv4Addr) -> Option<&Holder> {
        self.stock.holder(address)
    }

    /// Every association, by instance id.
    pub fn associations(&self) -> impl Iterator<Item = Association> + '_ {
        self.instances.values().filter_map(|instance| self.association(instance))
    }

    /// Every public address in use with its instance, by address.
    pub fn pairs(&self) -> impl Iterator<Item = (Ipv4Addr, &Instance)> {
        let serves = |holder: &Holder| match holder {
            Holder::Ordinary(instance) => self.instances.get(instance),
            Holder::Eip(eip) => self.instances.get(self.eips.get(eip)?.bound_to.as_ref()?),
        };
        self.stock.held().iter().filter_map(move |(address, holder)| Some((*address, serves(holder)?)))
    }

    /// Every instance with its public address, fenced or not, by id, in one walk.
    pub fn instances_with_public(&self) -> impl Iterator<Item = (&Instance, Option<Ipv4Addr>)> {
        let mut bound = self.eip_of.iter().peekable();
        self.instances.values().map(move |instance| {
            while bound.next_if(|(id, _)| **id < instance.id).is_some() {}
            let eip = bound.next_if(|(id, _)| **id == instance.id).and_then(|(_, eip)| self.eips.get(eip));
            (instance, eip.map(|eip| eip.address).or(instance.ordinary))
        })
    }

    /// How many associations there are.
    pub fn association_count(&self) -> usize {
        // Held addresses are ordinary ones, each an association, and EIPs, of which only the bound ones are.
        self.stock.held().len() - self.eips.len() + self.eip_of.len()
    }

    /// The association of an instance, if it has a public address.
    pub fn association_of(&self, instance: &InstanceId) -> Option<Association> {
        self.association(self.instances.get(instance)?)
    }

    /// The public address in effect for an instance: that of its association, unless it is fenced.
    pub fn public_in_effect(&self, instance: &InstanceId) -> Option<Ipv4Addr> {
        let public = self.association_of(instance)?.public;
        self.fence(public).is_none().then_some(public)
    }

    /// The instance a public address is associated with.
    pub fn served_by(&self, address: Ipv4Addr) -> Option<&Instance> {
        match self.holder(address)? {
            Holder::Ordinary(instance) => self.instances.get(instance),
            Holder::Eip(eip) => self.instances.get(self.eips.get(eip)?.bound_to.as_ref()?),
        }
    }

    fn association(&self, instance: &Instance) -> Option<Association> {
        let public = self.eip_of(&instance.id).map(|eip| eip.address).or(instance.ordinary)?;
        Some(Association { vpc: instance.vpc.clone(), private: instance.private, public })
    }

    /// The addresses resting now, with the time each becomes free, soonest first. Those marked as duplicates or no
    /// longer in the pool are left out.
    pub fn cooling(&self, now: Time) -> impl Iterator<Item = (Ipv4Addr, Time)> + '_ {
        self.stock.cooling(now)
    }

    /// The addresses marked as duplicates, ascending, held ones included.
    pub fn duplicates(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.stock.duplicates().iter().copied()
    }

    /// How each range of the pool is used, ascending.
    pub fn range_totals(&self, now: Time) -> Vec<RangeTotals> {
        self.pool().ranges().iter().map(|range| self.stock.totals(range, now)).collect()
    }

    /// Held addresses that are no members of the present pool, because it was changed while they were held. They stay
    /// with their holders and are not handed out again.
    pub fn held_outside_pool(&self) -> impl Iterator<Item = (Ipv4Addr, &Holder)> {
        let held = self.stock.held().iter().map(|(address, holder)| (*address, holder));
        held.filter(|(address, _)| !self.pool().is_member(*address))
    }

    /// How many [`Ledger::held_outside_pool`] there are.
    pub fn held_outside_pool_count(&self) -> usize {
        self.stock.held_outside()
    }

    /// The account's instance with this id, name or private address. An id wins over a name. With `vpc`, only that
    /// VPC's instances are looked at; without, an address used in several VPCs is refused.
    pub fn find_instance(
        &self,
        account: &AccountId,
        selector: &str,
        vpc: Option<&VpcId>,
    ) -> Result<&Instance, Refusal> {
        let visible = |instance: &&Instance| instance.account == *account && vpc.is_none_or(|vpc| instance.vpc == *vpc);
        if let Some(instance) = self.instances.get(selector).filter(visible) {
            return Ok(instance);
        }
        let mut named = self.instances_named(account, selector).filter(visible);
        match (named.next(), named.next()) {
            (Some(instance), None) => return Ok(instance),
            (Some(one), Some(other)) => {
                let instances = [one.id.clone(), other.id.clone()];
                return Err(Refusal::AmbiguousName { name: selector.to_string(), instances });
            }
            (None, _) => {}
        }
        let unknown =
            || Refusal::UnknownInstance { selector: selector.to_string(), account: account.clone(), vpc: vpc.cloned() };
        let private: Ipv4Addr = selector.parse().map_err(|_| unknown())?;
        let from = self.by_private.range((private, VpcId::before_all())..);
        let same_address = from.take_while(|((address, _), _)| *address == private);
        let mut found = same_address.filter_map(|(_, id)| self.instances.get(id)).filter(visible);
        match (found.next(), found.next()) {
            (None, _) => Err(unknown()),
            (Some(instance), None) => Ok(instance),
            (Some(one), Some(other)) => {
                Err(Refusal::AmbiguousInstance { private, vpcs: [one.vpc.clone(), other.vpc.clone()] })
            }
        }
    }

    /// The account's EIP with this id or address. Refuses the address of an ordinary public IP as what it is.
    pub fn find_eip(&self, account: &AccountId, selector: &str) -> Result<&Eip, Refusal> {
        let unknown = || Refusal::UnknownEip { selector: selector.to_string(), account: account.clone() };
        let Ok(address) = selector.parse() else {
            return self.eips.get(selector).filter(|eip| eip.account == *account).ok_or_else(unknown);
        };
        match self.holder(address) {
            Some(Holder::Eip(id)) => self.eips.get(id).filter(|eip| eip.account == *account).ok_or_else(unknown),
            Some(Holder::Ordinary(id)) if self.instances.get(id).is_some_and(|owner| owner.account == *account) => {
                Err(Refusal::OrdinaryAddress { address, instance: id.clone() })
            }
            _ => Err(unknown()),
        }
    }
}
