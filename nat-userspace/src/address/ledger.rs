//! The committed state: every instance, every EIP, and who holds which public address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::stock::Stock;
use super::{
    AccountId, Association, Change, Eip, EipId, Fact, Holder, Instance, InstanceId, Pool, RangeTotals, Refusal, Time,
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
    pub(super) by_name: BTreeMap<(AccountId, String), InstanceId>,
    /// The bound EIP of each instance that has one.
    pub(super) eip_of: BTreeMap<InstanceId, EipId>,
}

impl Ledger {
    /// A ledger in which nothing has happened yet.
    pub fn new(pool: Pool) -> Self {
        Self {
            stock: Stock::new(pool),
            instances: BTreeMap::new(),
            eips: BTreeMap::new(),
            by_private: BTreeMap::new(),
            by_name: BTreeMap::new(),
            eip_of: BTreeMap::new(),
        }
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
                self.known_instance(instance).ordinary = Some(*address);
            }
            Fact::OrdinaryReleased { instance, address, at } => {
                self.stock.release(*address, *at);
                let instance = self.known_instance(instance);
                instance.ordinary = None;
                instance.last_ordinary = Some(*address);
            }
            Fact::EipAllocated(eip) => self.insert_eip(eip.clone()),
            Fact::EipBound { eip, instance } => {
                self.known_eip(eip).bound_to = Some(instance.clone());
                self.eip_of.insert(instance.clone(), eip.clone());
            }
            Fact::EipUnbound { eip, instance } => {
                self.known_eip(eip).bound_to = None;
                self.eip_of.remove(instance);
            }
            Fact::EipReleased { eip, address, at } => {
                self.stock.release(*address, *at);
                self.eips.remove(eip);
            }
            Fact::DuplicateMarked { address } => self.stock.mark_duplicate(*address),
            Fact::DuplicateCleared { address } => self.stock.clear_duplicate(*address),
        }
    }

    pub(super) fn insert_instance(&mut self, instance: Instance) {
        let id = &instance.id;
        if let Some(address) = instance.ordinary {
            self.stock.hold(address, Holder::Ordinary(id.clone()));
        }
        if let Some(name) = &instance.name {
            self.by_name.insert((instance.account.clone(), name.clone()), id.clone());
        }
        self.by_private.insert((instance.private, instance.vpc.clone()), id.clone());
        self.instances.insert(id.clone(), instance);
    }

    fn remove_instance(&mut self, id: &InstanceId) {
        let instance = self.instances.remove(id).expect("a terminated instance was created before");
        self.by_private.remove(&(instance.private, instance.vpc));
        if let Some(name) = instance.name {
            self.by_name.remove(&(instance.account, name));
        }
    }

    pub(super) fn insert_eip(&mut self, eip: Eip) {
        self.stock.hold(eip.address, Holder::Eip(eip.id.clone()));
        if let Some(instance) = &eip.bound_to {
            self.eip_of.insert(instance.clone(), eip.id.clone());
        }
        self.eips.insert(eip.id.clone(), eip);
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

    /// How many associations there are.
    pub fn association_count(&self) -> usize {
        // Held addresses are ordinary ones, each an association, and EIPs, of which only the bound ones are.
        self.stock.held().len() - self.eips.len() + self.eip_of.len()
    }

    /// The association of an instance, if it has a public address.
    pub fn association_of(&self, instance: &InstanceId) -> Option<Association> {
        self.association(self.instances.get(instance)?)
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

    /// The account's instance with this id, name or private address. An id wins over a name. With `vpc`, only that
    /// VPC's instances are looked at; without, an address used in several VPCs is refused.
    pub fn find_instance(
        &self,
        account: &AccountId,
        selector: &str,
        vpc: Option<&VpcId>,
    ) -> Result<&Instance, Refusal> {
        let visible = |instance: &&Instance| instance.account == *account && vpc.is_none_or(|vpc| instance.vpc == *vpc);
        let by_name = || {
            let id = self.by_name.get(&(account.clone(), selector.to_string()))?;
            self.instances.get(id).filter(visible)
        };
        if let Some(instance) = self.instances.get(selector).filter(visible).or_else(by_name) {
            return Ok(instance);
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
