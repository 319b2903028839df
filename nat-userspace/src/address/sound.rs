//! Stored content that has been found free of contradictions: enough to know every packet's way, before the ledger with all
//! its indexes is built from it.

use std::cmp::Ordering::Equal;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::ranked::Ranked;
use super::stock::Stock;
use super::{
    AccountId, Eip, Fence, Holder, Instance, InstanceId, Ledger, Member, Package, PackageId, Policy, Pool,
    RestoreError, Snapshot, Time,
};

/// A [`Snapshot`] of which a ledger can be made without fail.
#[derive(Debug)]
pub struct SoundSnapshot {
    pool: Pool,
    /// In the order of their ids, as are the EIPs.
    snapshot: Snapshot,
    private_order: Vec<usize>,
    bound: Vec<(usize, usize)>,
    held: Vec<(Ipv4Addr, Holder)>,
    members: BTreeMap<PackageId, Ranked<Member>>,
    fences: BTreeMap<Ipv4Addr, Fence>,
}

impl SoundSnapshot {
    /// Takes content in any order; fastest when instances and EIPs are in the order of their ids. Refuses content that
    /// contradicts itself. Addresses held outside the pool stay held: see [`Ledger::held_outside_pool`].
    pub fn new(pool: Pool, mut snapshot: Snapshot) -> Result<SoundSnapshot, RestoreError> {
        // Sorted lists show what is there twice, and trees are made from them without a search for each entry.
        snapshot.instances.sort_by(|one, other| one.id.cmp(&other.id));
        snapshot.eips.sort_by(|one, other| one.id.cmp(&other.id));
        snapshot.released.sort();
        let Snapshot { instances, eips, released, packages, .. } = &snapshot;
        check_instances(&pool, instances)?;
        check_eips(eips)?;
        let private_order = in_private_order(instances)?;
        let bound = bound_eips(instances, eips)?;
        let held = held(instances, eips)?;
        check_released(released, &held)?;
        let members = members(instances, eips, packages)?;
        let fences = std::mem::take(&mut snapshot.fences).into_iter().collect();
        Ok(SoundSnapshot { pool, snapshot, private_order, bound, held, members, fences })
    }

    /// The ranges of public addresses.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Every instance, in the order of ids.
    pub fn instances(&self) -> &[Instance] {
        &self.snapshot.instances
    }

    /// Every instance with its public address, fenced or not, by id.
    pub fn instances_with_public(&self) -> impl Iterator<Item = (&Instance, Option<Ipv4Addr>)> {
        let mut bound = self.bound.iter().peekable();
        self.instances().iter().enumerate().map(move |(at, instance)| {
            let eip = bound.next_if(|(place, _)| *place == at).map(|(_, eip)| self.snapshot.eips[*eip].address);
            (instance, eip.or(instance.ordinary))
        })
    }

    /// How many associations there are.
    pub fn association_count(&self) -> usize {
        // Held addresses are ordinary ones, each an association, and EIPs, of which only the bound ones are.
        self.held.len() - self.snapshot.eips.len() + self.bound.len()
    }

    /// Whether the address is out of service.
    pub fn is_fenced(&self, address: Ipv4Addr) -> bool {
        self.fences.contains_key(&address)
    }

    /// The ledger with this content.
    pub fn into_ledger(self) -> Ledger {
        let SoundSnapshot { pool, snapshot, private_order, bound, held, members, fences } = self;
        let Snapshot { instances, eips, released, duplicates, packages, days, tokens, fences: _, standings } = snapshot;
        let by_private = private_order.into_iter().map(|at| &instances[at]);
        let by_private =
            by_private.map(|instance| ((instance.private, instance.vpc.clone()), instance.id.clone())).collect();
        let by_name = by_name(&instances);
        let eip_of = bound.into_iter().map(|(at, eip)| (instances[at].id.clone(), eips[eip].id.clone())).collect();
        let mut ledger = Ledger {
            stock: Stock::restored(pool, held, released, duplicates.into_iter().collect(), fences),
            instances: instances.into_iter().map(|instance| (instance.id.clone(), instance)).collect(),
            eips: eips.into_iter().map(|eip| (eip.id.clone(), eip)).collect(),
            by_private,
            by_name,
            eip_of,
            owned: BTreeMap::new(),
            packages: packages.into_iter().map(|package| (package.id.clone(), package)).collect(),
            members,
            due: BTreeSet::new(),
            days: days.into_iter().map(|count| ((count.account, count.what), (count.day, count.count))).collect(),
            tokens_by_age: tokens.iter().map(|used| (used.at, used.account.clone(), used.token.clone())).collect(),
            tokens: tokens.into_iter().map(|used| ((used.account.clone(), used.token.clone()), used)).collect(),
            policy: Policy::default(),
            standings: standings.into_iter().collect(),
        };
        ledger.owned = ledger.all_owned();
        ledger.with_policy(Policy::default())
    }
}

fn check_instances(pool: &Pool, by_id: &[Instance]) -> Result<(), RestoreError> {
    if let Some([_, twice]) = first_equal(by_id, |instance| &instance.id) {
        return Err(RestoreError::InstanceTwice { instance: twice.id.clone() });
    }
    for Instance { id, private, ordinary, bandwidth_mbps, state, .. } in by_id {
        if let Some(range) = pool.range_of(*private) {
            let (instance, private, pool) = (id.clone(), *private, range.prefix());
            return Err(RestoreError::PrivateAddressInPool { instance, private, pool });
        }
        if let (Some(address), 0) = (*ordinary, bandwidth_mbps) {
            return Err(RestoreError::OrdinaryWithoutBandwidth { instance: id.clone(), address });
        }
        if let Some(address) = ordinary.filter(|_| !state.keeps_ordinary()) {
            return Err(RestoreError::OrdinaryWhileOff { instance: id.clone(), address, state: *state });
        }
    }
    Ok(())
}

fn check_eips(by_id: &[Eip]) -> Result<(), RestoreError> {
    match first_equal(by_id, |eip| &eip.id) {
        Some([_, twice]) => Err(RestoreError::EipTwice { eip: twice.id.clone() }),
        None => Ok(()),
    }
}

/// The places of the instances in the order of their private addresses, of which a VPC has each once.
fn in_private_order(instances: &[Instance]) -> Result<Vec<usize>, RestoreError> {
    let mut order: Vec<(Ipv4Addr, usize)> =
        instances.iter().enumerate().map(|(at, instance)| (instance.private, at)).collect();
    order.sort_by(|(one, at), (other, there)| {
        one.cmp(other).then_with(|| instances[*at].vpc.cmp(&instances[*there].vpc))
    });
    let key = |(private, at): &(Ipv4Addr, usize)| (*private, &instances[*at].vpc);
    if let Some([(private, one), (_, other)]) = first_equal(&order, key) {
        let holders = [instances[*one].id.clone(), instances[*other].id.clone()];
        let vpc = instances[*one].vpc.clone();
        return Err(RestoreError::PrivateAddressTwice { vpc, private: *private, holders });
    }
    Ok(order.into_iter().map(|(_, at)| at).collect())
}

/// Several instances may have one name.
fn by_name(instances: &[Instance]) -> BTreeSet<(AccountId, String, InstanceId)> {
    let named = instances.iter().filter_map(|instance| Some((&instance.account, instance.name.as_ref()?, instance)));
    let mut sorted: Vec<(u64, &AccountId, &String, &Instance)> =
        named.map(|(account, name, of)| (beginning(name), account, name, of)).collect();
    sorted.sort_by(|one, other| {
        // Most accounts are the same text in the same place, which need not be compared.
        let account = if same_place(one.1, other.1) { Equal } else { one.1.cmp(other.1) };
        account.then(one.0.cmp(&other.0)).then_with(|| (one.2, &one.3.id).cmp(&(other.2, &other.3.id)))
    });
    sorted.into_iter().map(|(_, account, name, of)| (account.clone(), name.clone(), of.id.clone())).collect()
}

fn same_place(one: &AccountId, other: &AccountId) -> bool {
    std::ptr::eq(one.as_str(), other.as_str())
}

/// The first bytes of a text as a number of the same order, which decides most comparisons without a look at the text.
fn beginning(text: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, byte) in bytes.iter_mut().zip(text.bytes()) {
        *to = byte;
    }
    u64::from_be_bytes(bytes)
}

/// Each instance that has an EIP bound, with that EIP, as their places in the two lists and in the order of instances.
/// The instance must be there, of the same account and without another public address.
fn bound_eips(instances: &[Instance], eips: &[Eip]) -> Result<Vec<(usize, usize)>, RestoreError> {
    let bound = eips.iter().enumerate().filter_map(|(at, eip)| Some((eip.bound_to.as_ref()?, at)));
    let mut sorted: Vec<(&InstanceId, usize)> = bound.collect();
    sorted.sort_by_key(|(instance, _)| *instance);
    if let Some([(instance, one), (_, other)]) = first_equal(&sorted, |(instance, _)| *instance) {
        let addresses = [eips[*one].address, eips[*other].address];
        return Err(RestoreError::TwoPublicAddresses { instance: (*instance).clone(), addresses });
    }
    let mut known = instances.iter().enumerate().peekable();
    let mut pairs = Vec::with_capacity(sorted.len());
    for (id, at) in sorted {
        let eip = &eips[at];
        while known.next_if(|(_, instance)| instance.id < *id).is_some() {}
        let owned = known.peek().filter(|(_, instance)| instance.id == *id && instance.account == eip.account);
        let Some((place, instance)) = owned else {
            return Err(RestoreError::UnknownInstance { eip: eip.id.clone(), instance: id.clone() });
        };
        if let Some(ordinary) = instance.ordinary {
            let addresses = [ordinary, eip.address];
            return Err(RestoreError::TwoPublicAddresses { instance: id.clone(), addresses });
        }
        pairs.push((*place, at));
    }
    Ok(pairs)
}

/// Every held address with its holder, ascending.
fn held(instances: &[Instance], eips: &[Eip]) -> Result<Vec<(Ipv4Addr, Holder)>, RestoreError> {
    let ordinary = instances.iter().filter_map(|instance| Some((instance.ordinary?, &instance.id)));
    let ordinary = ordinary.map(|(address, id)| (address, Holder::Ordinary(id.clone())));
    let elastic = eips.iter().map(|eip| (eip.address, Holder::Eip(eip.id.clone())));
    let mut held: Vec<(Ipv4Addr, Holder)> = ordinary.chain(elastic).collect();
    held.sort_by_key(|(address, _)| *address);
    match first_equal(&held, |(address, _)| *address) {
        Some([one, other]) => {
            Err(RestoreError::HeldTwice { address: one.0, holders: [one.1.clone(), other.1.clone()] })
        }
        None => Ok(held),
    }
}

fn check_released(released: &[(Ipv4Addr, Time)], held: &[(Ipv4Addr, Holder)]) -> Result<(), RestoreError> {
    if let Some([one, _]) = first_equal(released, |(address, _)| *address) {
        return Err(RestoreError::ReleasedTwice { address: one.0 });
    }
    for (address, _) in released {
        if let Ok(at) = held.binary_search_by_key(address, |(held, _)| *held) {
            return Err(RestoreError::ReleasedButHeld { address: *address, holder: held[at].1.clone() });
        }
    }
    Ok(())
}

/// Who shares each package, which must be of the same account.
fn members(
    instances: &[Instance],
    eips: &[Eip],
    packages: &[Package],
) -> Result<BTreeMap<PackageId, Ranked<Member>>, RestoreError> {
    let known: BTreeMap<&PackageId, &AccountId> =
        packages.iter().map(|package| (&package.id, &package.account)).collect();
    let instances = instances
        .iter()
        .filter_map(|one| Some((one.package.as_ref()?, &one.account, Member::Instance(one.id.clone()))));
    let eips =
        eips.iter().filter_map(|one| Some((one.terms.package.as_ref()?, &one.account, Member::Eip(one.id.clone()))));
    let mut members: BTreeMap<PackageId, Ranked<Member>> = BTreeMap::new();
    for (package, account, member) in instances.chain(eips) {
        if known.get(package) != Some(&account) {
            return Err(RestoreError::UnknownPackage { member, package: package.clone() });
        }
        members.entry(package.clone()).or_default().insert(member);
    }
    Ok(members)
}

/// The first two neighbours of a sorted list that have one key.
fn first_equal<'a, T, K: PartialEq>(sorted: &'a [T], key: impl Fn(&'a T) -> K) -> Option<[&'a T; 2]> {
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    pairs.into_iter().find(|(one, other)| key(one) == key(other)).map(|(one, other)| [one, other])
}
