//! What each account owns, in lists of which any page is found at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::ranked::Ranked;
use super::{AccountId, Eip, EipId, Instance, InstanceId, Ledger, Package, PackageId, VpcId};

/// The objects of one account.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Owned {
    pub(super) instances: Ranked<InstanceId>,
    /// Those of the instances that have an ordinary public IP.
    pub(super) with_ordinary: Ranked<InstanceId>,
    pub(super) eips: Ranked<EipId>,
    pub(super) bound: Ranked<EipId>,
    pub(super) unbound: Ranked<EipId>,
    /// The EIPs that have a name, which need not be the only one to have it.
    pub(super) eips_by_name: BTreeSet<(String, EipId)>,
    pub(super) packages: Ranked<PackageId>,
}

impl Owned {
    fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.eips.is_empty() && self.packages.is_empty()
    }

    pub(super) fn add_eip(&mut self, eip: &Eip) {
        self.eips.insert(eip.id.clone());
        self.set_bound(&eip.id, eip.bound_to.is_some());
        self.eips_by_name.extend(eip.terms.name.iter().map(|name| (name.clone(), eip.id.clone())));
    }

    pub(super) fn remove_eip(&mut self, eip: &Eip) {
        self.eips.remove(&eip.id);
        self.bound.remove(&eip.id);
        self.unbound.remove(&eip.id);
        if let Some(name) = &eip.terms.name {
            self.eips_by_name.remove(&(name.clone(), eip.id.clone()));
        }
    }

    pub(super) fn set_bound(&mut self, eip: &EipId, is_bound: bool) {
        let (to, from) =
            if is_bound { (&mut self.bound, &mut self.unbound) } else { (&mut self.unbound, &mut self.bound) };
        from.remove(eip);
        to.insert(eip.clone());
    }

    pub(super) fn add_instance(&mut self, instance: &Instance) {
        self.instances.insert(instance.id.clone());
        self.set_ordinary(&instance.id, instance.ordinary.is_some());
    }

    pub(super) fn remove_instance(&mut self, instance: &Instance) {
        self.instances.remove(&instance.id);
        self.with_ordinary.remove(&instance.id);
    }

    pub(super) fn set_ordinary(&mut self, instance: &InstanceId, has: bool) {
        if has {
            self.with_ordinary.insert(instance.clone());
        } else {
            self.with_ordinary.remove(instance);
        }
    }
}

impl Ledger {
    /// What every account owns, by walking everything there is.
    pub(super) fn all_owned(&self) -> BTreeMap<AccountId, Owned> {
        let mut all = BTreeMap::<AccountId, Owned>::new();
        let mut of = |account: &AccountId, add: &mut dyn FnMut(&mut Owned)| match all.get_mut(account) {
            Some(owned) => add(owned),
            None => add(all.entry(account.clone()).or_default()),
        };
        self.instances.values().for_each(|instance| of(&instance.account, &mut |owned| owned.add_instance(instance)));
        self.eips.values().for_each(|eip| of(&eip.account, &mut |owned| owned.add_eip(eip)));
        let packages = self.packages.values();
        packages.for_each(|package| of(&package.account, &mut |owned| owned.packages.insert(package.id.clone())));
        all
    }

    pub(super) fn owned(&self, account: &AccountId) -> Option<&Owned> {
        self.owned.get(account)
    }

    /// Alters what an account owns, and forgets an account that owns nothing.
    pub(super) fn alter_owned(&mut self, account: &AccountId, alter: impl FnOnce(&mut Owned)) {
        match self.owned.get_mut(account) {
            Some(owned) => alter(owned),
            None => alter(self.owned.entry(account.clone()).or_default()),
        }
        if self.owned.get(account).is_some_and(Owned::is_empty) {
            self.owned.remove(account);
        }
    }

    /// How many instances the account has.
    pub fn instance_count(&self, account: &AccountId) -> usize {
        self.owned(account).map_or(0, |owned| owned.instances.len())
    }

    /// The account's instances by id, from the n-th on.
    pub fn instances_from(&self, account: &AccountId, rank: usize) -> impl Iterator<Item = &Instance> {
        let ids = self.owned(account).into_iter().flat_map(move |owned| owned.instances.from(rank));
        ids.filter_map(|id| self.instances.get(id))
    }

    /// The account's instances by id, those behind one.
    pub fn instances_behind<'a>(
        &'a self,
        account: &AccountId,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let ids = self.owned(account).map(|owned| owned.instances.behind(id));
        ids.into_iter().flatten().filter_map(|id| self.instances.get(id))
    }

    /// How many of the account's instances have an ordinary public IP.
    pub fn ordinary_count(&self, account: &AccountId) -> usize {
        self.owned(account).map_or(0, |owned| owned.with_ordinary.len())
    }

    /// The account's instances that have an ordinary public IP, by id, from the n-th on.
    pub fn with_ordinary_from(&self, account: &AccountId, rank: usize) -> impl Iterator<Item = &Instance> {
        let ids = self.owned(account).into_iter().flat_map(move |owned| owned.with_ordinary.from(rank));
        ids.filter_map(|id| self.instances.get(id))
    }

    /// The account's instances that have an ordinary public IP, by id, those behind one.
    pub fn with_ordinary_behind<'a>(
        &'a self,
        account: &AccountId,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let ids = self.owned(account).map(|owned| owned.with_ordinary.behind(id));
        ids.into_iter().flatten().filter_map(|id| self.instances.get(id))
    }

    /// The account's EIPs by id, from the n-th on.
    pub fn eips_from(&self, account: &AccountId, rank: usize) -> impl Iterator<Item = &Eip> {
        let ids = self.owned(account).into_iter().flat_map(move |owned| owned.eips.from(rank));
        ids.filter_map(|id| self.eips.get(id))
    }

    /// The account's EIPs by id, those behind one.
    pub fn eips_behind<'a>(&'a self, account: &AccountId, id: Option<&str>) -> impl Iterator<Item = &'a Eip> + use<'a> {
        let ids = self.owned(account).map(|owned| owned.eips.behind(id));
        ids.into_iter().flatten().filter_map(|id| self.eips.get(id))
    }

    /// How many of the account's EIPs are bound, or are not.
    pub fn bound_count(&self, account: &AccountId, bound: bool) -> usize {
        self.owned(account).map_or(0, |owned| if bound { owned.bound.len() } else { owned.unbound.len() })
    }

    /// The account's EIPs that are bound, or that are not, by id, from the n-th on.
    pub fn bound_from(&self, account: &AccountId, bound: bool, rank: usize) -> impl Iterator<Item = &Eip> {
        let list = self.owned(account).map(|owned| if bound { &owned.bound } else { &owned.unbound });
        let ids = list.into_iter().flat_map(move |list| list.from(rank));
        ids.filter_map(|id| self.eips.get(id))
    }

    /// The account's EIPs that are bound, or that are not, by id, those behind one.
    pub fn bound_behind<'a>(
        &'a self,
        account: &AccountId,
        bound: bool,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Eip> + use<'a> {
        let list = self.owned(account).map(|owned| if bound { &owned.bound } else { &owned.unbound });
        let ids = list.map(|list| list.behind(id));
        ids.into_iter().flatten().filter_map(|id| self.eips.get(id))
    }

    /// The account's EIPs of this name by id, those behind one.
    pub fn eips_named<'a>(
        &'a self,
        account: &AccountId,
        name: &str,
        behind: Option<&EipId>,
    ) -> impl Iterator<Item = &'a Eip> + use<'a> {
        let name = name.to_owned();
        let from = match behind {
            Some(id) => Excluded((name.clone(), id.clone())),
            None => Included((name.clone(), EipId::before_all())),
        };
        let found = self.owned(account).map(|owned| owned.eips_by_name.range((from, Unbounded)));
        let found = found.into_iter().flatten().take_while(move |(found, _)| *found == name);
        found.filter_map(|(_, id)| self.eips.get(id))
    }

    /// The account's instances of this name.
    pub fn instances_named(&self, account: &AccountId, name: &str) -> impl Iterator<Item = &Instance> {
        let from = (account.clone(), name.to_string(), InstanceId::before_all());
        let found = self.by_name.range(from..);
        let is_it = move |(owner, found, _): &&(AccountId, String, InstanceId)| owner == account && found == name;
        found.take_while(is_it).filter_map(|(_, _, id)| self.instances.get(id))
    }

    /// The account's instances of this name by id, those behind one.
    pub fn instances_named_behind<'a>(
        &'a self,
        account: &AccountId,
        name: &str,
        behind: Option<&InstanceId>,
    ) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let (account, name) = (account.clone(), name.to_owned());
        let from = match behind {
            Some(id) => Excluded((account.clone(), name.clone(), id.clone())),
            None => Included((account.clone(), name.clone(), InstanceId::before_all())),
        };
        let found = self.by_name.range((from, Unbounded));
        let found = found.take_while(move |(owner, found, _)| *owner == account && *found == name);
        found.filter_map(|(_, _, id)| self.instances.get(id))
    }

    /// The instances that carry this private address, in every VPC, whoever owns them.
    pub fn instances_at(&self, private: Ipv4Addr) -> impl Iterator<Item = &Instance> {
        let from = self.by_private.range((private, VpcId::before_all())..);
        from.take_while(move |((address, _), _)| *address == private).filter_map(|(_, id)| self.instances.get(id))
    }

    /// How many packages the account has.
    pub fn package_count(&self, account: &AccountId) -> usize {
        self.owned(account).map_or(0, |owned| owned.packages.len())
    }

    /// The account's packages by id, those behind one.
    pub fn packages_behind<'a>(
        &'a self,
        account: &AccountId,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Package> + use<'a> {
        let ids = self.owned(account).map(|owned| owned.packages.behind(id));
        ids.into_iter().flatten().filter_map(|id| self.packages.get(id))
    }

    /// The account's packages by id, from the n-th on.
    pub fn packages_from(&self, account: &AccountId, rank: usize) -> impl Iterator<Item = &Package> {
        let ids = self.owned(account).into_iter().flat_map(move |owned| owned.packages.from(rank));
        ids.filter_map(|id| self.packages.get(id))
    }
}
