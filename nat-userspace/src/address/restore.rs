//! The ledger as plain data, for a store to keep and to bring back.

use std::cmp::Ordering::Equal;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use super::ranked::Ranked;
use super::stock::Stock;
use super::{
    AccountId, DayCount, Eip, EipId, Fence, Holder, Instance, InstanceId, InstanceState, Ledger, Member, Package,
    PackageId, Policy, Pool, Prefix, Standing, Time, UsedToken, VpcId,
};

/// Everything a ledger knows apart from its pool and its policy. What is not here follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every instance, with its ordinary public IP.
    pub instances: Vec<Instance>,
    /// Every EIP, with the instance it is bound to.
    pub eips: Vec<Eip>,
    /// Every address that was used and is not held now, with the time it was given up.
    pub released: Vec<(Ipv4Addr, Time)>,
    /// Every address marked as a duplicate.
    pub duplicates: Vec<Ipv4Addr>,
    /// Every bandwidth package.
    pub packages: Vec<Package>,
    /// What each account did on the last day it did it.
    pub days: Vec<DayCount>,
    /// Every client token that is remembered.
    pub tokens: Vec<UsedToken>,
    /// Every address that is fenced.
    pub fences: Vec<(Ipv4Addr, Fence)>,
    /// What was commanded about ranges. The pool a ledger is restored with already shows it.
    pub standings: Vec<(Prefix, Standing)>,
}

impl Ledger {
    /// What to store, each list in ascending order.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            instances: self.instances.values().cloned().collect(),
            eips: self.eips.values().cloned().collect(),
            released: self.stock.released().iter().map(|(address, at)| (*address, *at)).collect(),
            duplicates: self.duplicates().collect(),
            packages: self.packages.values().cloned().collect(),
            days: self
                .days
                .iter()
                .map(|((account, what), (day, count))| DayCount {
                    account: account.clone(),
                    what: *what,
                    day: *day,
                    count: *count,
                })
                .collect(),
            tokens: self.tokens().cloned().collect(),
            fences: self.fences().map(|(address, fence)| (address, fence.clone())).collect(),
            standings: self.standings().collect(),
        }
    }

    /// The ledger with this content, in any order; fastest when instances and EIPs are in the order of their ids. Refuses
    /// content that contradicts itself. Addresses held outside the pool stay held: see [`Ledger::held_outside_pool`].
    pub fn restore(pool: Pool, snapshot: Snapshot) -> Result<Ledger, RestoreError> {
        let Snapshot { mut instances, mut eips, mut released, duplicates, packages, days, tokens, fences, standings } =
            snapshot;
        // Sorted lists show what is there twice, and trees are made from them without a search for each entry.
        instances.sort_by(|one, other| one.id.cmp(&other.id));
        eips.sort_by(|one, other| one.id.cmp(&other.id));
        released.sort();
        check_instances(&pool, &instances)?;
        check_eips(&eips)?;
        let (by_private, by_name) = (by_private(&instances)?, by_name(&instances));
        let (eip_of, held) = (eip_of(&instances, &eips)?, held(&instances, &eips)?);
        check_released(&released, &held)?;
        let members = members(&instances, &eips, &packages)?;
        let (duplicates, fences) = (duplicates.into_iter().collect(), fences.into_iter().collect());
        let stock = Stock::restored(pool, held, released, duplicates, fences);
        let instances = instances.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
        let mut ledger = Ledger {
            stock,
            instances,
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
        Ok(ledger.with_policy(Policy::default()))
    }

    /// Whether the ledger is consistent: each public address is held at most once and by an object that says so, every
    /// index agrees with the objects, and each range's counts add up to its members. Costs as much as a restore.
    pub fn check_invariants(&self) -> Result<(), String> {
        let rebuilt = Ledger::restore(self.pool().clone(), self.snapshot()).map_err(|error| error.to_string())?;
        if rebuilt.with_policy(self.policy.clone()) != *self {
            return Err("the ledger's indexes differ from what its instances and EIPs say".to_string());
        }
        for totals in self.range_totals(Time::default()) {
            if totals.held + totals.cooling + totals.free + totals.set_aside != totals.members {
                return Err(format!("the counts of pool {} do not add up: {totals:?}", totals.prefix));
            }
        }
        Ok(())
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

fn by_private(instances: &[Instance]) -> Result<BTreeMap<(Ipv4Addr, VpcId), InstanceId>, RestoreError> {
    let mut sorted: Vec<&Instance> = instances.iter().collect();
    sorted.sort_by(|one, other| (one.private, &one.vpc).cmp(&(other.private, &other.vpc)));
    if let Some([one, other]) = first_equal(&sorted, |instance| (instance.private, &instance.vpc)) {
        let holders = [one.id.clone(), other.id.clone()];
        return Err(RestoreError::PrivateAddressTwice { vpc: one.vpc.clone(), private: one.private, holders });
    }
    Ok(sorted.into_iter().map(|instance| ((instance.private, instance.vpc.clone()), instance.id.clone())).collect())
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

/// Each bound EIP by its instance, which must be there, of the same account and without another public address.
fn eip_of(instances: &[Instance], eips: &[Eip]) -> Result<BTreeMap<InstanceId, EipId>, RestoreError> {
    let bound = eips.iter().filter_map(|eip| Some((eip.bound_to.as_ref()?, eip)));
    let mut sorted: Vec<(&InstanceId, &Eip)> = bound.collect();
    sorted.sort_by_key(|(instance, _)| *instance);
    let mut instances = instances.iter().peekable();
    for (id, eip) in &sorted {
        while instances.next_if(|instance| instance.id < **id).is_some() {}
        let owned = instances.peek().filter(|instance| instance.id == **id && instance.account == eip.account);
        let Some(instance) = owned else {
            return Err(RestoreError::UnknownInstance { eip: eip.id.clone(), instance: (*id).clone() });
        };
        if let Some(ordinary) = instance.ordinary {
            return Err(RestoreError::TwoPublicAddresses {
                instance: instance.id.clone(),
                addresses: [ordinary, eip.address],
            });
        }
    }
    if let Some([one, other]) = first_equal(&sorted, |(instance, _)| *instance) {
        let addresses = [one.1.address, other.1.address];
        return Err(RestoreError::TwoPublicAddresses { instance: one.0.clone(), addresses });
    }
    Ok(sorted.into_iter().map(|(instance, eip)| (instance.clone(), eip.id.clone())).collect())
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

/// How stored content contradicts itself or the pool.
#[expect(missing_docs, reason = "the fields are the objects the sentence below names")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// Two instances have one id.
    InstanceTwice { instance: InstanceId },
    /// Two EIPs have one id.
    EipTwice { eip: EipId },
    /// Two instances of a VPC have one private address.
    PrivateAddressTwice { vpc: VpcId, private: Ipv4Addr, holders: [InstanceId; 2] },
    /// The pool has grown over an instance's private address.
    PrivateAddressInPool { instance: InstanceId, private: Ipv4Addr, pool: Prefix },
    /// A public address has two holders.
    HeldTwice { address: Ipv4Addr, holders: [Holder; 2] },
    /// An EIP is bound to an instance its account does not have.
    UnknownInstance { eip: EipId, instance: InstanceId },
    /// An instance has two EIPs, or one beside its ordinary public IP.
    TwoPublicAddresses { instance: InstanceId, addresses: [Ipv4Addr; 2] },
    /// An instance without bandwidth has an ordinary public IP.
    OrdinaryWithoutBandwidth { instance: InstanceId, address: Ipv4Addr },
    /// An instance that is off without charge or in the recycle bin has an ordinary public IP.
    OrdinaryWhileOff { instance: InstanceId, address: Ipv4Addr, state: InstanceState },
    /// Somebody shares a package that the account does not have.
    UnknownPackage { member: Member, package: PackageId },
    /// An address is held and yet said to be released.
    ReleasedButHeld { address: Ipv4Addr, holder: Holder },
    /// An address is said to be released at two times.
    ReleasedTwice { address: Ipv4Addr },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::InstanceTwice { instance } => write!(f, "instance {instance} is stored twice"),
            RestoreError::EipTwice { eip } => write!(f, "EIP {eip} is stored twice"),
            RestoreError::PrivateAddressTwice { vpc, private, holders: [one, other] } => {
                write!(f, "private address {private} of VPC {vpc} is stored for both instance {one} and {other}")
            }
            RestoreError::PrivateAddressInPool { instance, private, pool } => {
                write!(f, "instance {instance} has the private address {private}, which lies in pool {pool}; ")?;
                write!(f, "change the pool")
            }
            RestoreError::HeldTwice { address, holders: [one, other] } => {
                write!(f, "public address {address} is stored for both {one} and {other}")
            }
            RestoreError::UnknownInstance { eip, instance } => {
                write!(f, "EIP {eip} is stored as bound to instance {instance}, which its account does not have")
            }
            RestoreError::TwoPublicAddresses { instance, addresses: [one, other] } => {
                write!(f, "instance {instance} is stored with two public addresses, {one} and {other}")
            }
            RestoreError::OrdinaryWithoutBandwidth { instance, address } => {
                write!(f, "instance {instance} is stored with the ordinary public IP {address} but bandwidth 0")
            }
            RestoreError::OrdinaryWhileOff { instance, address, state } => {
                write!(f, "instance {instance} is stored as {state} and yet with the ordinary public IP {address}")
            }
            RestoreError::UnknownPackage { member, package } => {
                write!(f, "{member} is stored as sharing package {package}, which its account does not have")
            }
            RestoreError::ReleasedButHeld { address, holder } => {
                write!(f, "public address {address} is stored as released but {holder} holds it")
            }
            RestoreError::ReleasedTwice { address } => {
                write!(f, "public address {address} is stored as released twice")
            }
        }
    }
}

impl Error for RestoreError {}
