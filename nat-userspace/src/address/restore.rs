//! The ledger as plain data, for a store to keep and to bring back.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use super::stock::Stock;
use super::{AccountId, Eip, EipId, Holder, Instance, InstanceId, Ledger, Pool, Prefix, Time, VpcId};

/// Everything a ledger knows apart from its pool. What is not here follows from it.
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
}

impl Ledger {
    /// What to store, each list in ascending order.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            instances: self.instances.values().cloned().collect(),
            eips: self.eips.values().cloned().collect(),
            released: self.stock.released().iter().map(|(address, at)| (*address, *at)).collect(),
            duplicates: self.duplicates().collect(),
        }
    }

    /// The ledger with this content, in any order. Refuses content that contradicts itself. Addresses held outside the
    /// pool stay held: see [`Ledger::held_outside_pool`].
    pub fn restore(pool: Pool, snapshot: Snapshot) -> Result<Ledger, RestoreError> {
        let mut ledger = Ledger::new(pool);
        for instance in snapshot.instances {
            ledger.check_instance(&instance)?;
            ledger.insert_instance(instance);
        }
        for eip in snapshot.eips {
            ledger.check_eip(&eip)?;
            ledger.insert_eip(eip);
        }
        for (address, at) in snapshot.released {
            check_released(&ledger.stock, address)?;
            ledger.stock.release(address, at);
        }
        for address in snapshot.duplicates {
            ledger.stock.mark_duplicate(address);
        }
        Ok(ledger)
    }

    /// Whether the ledger is consistent: each public address is held at most once and by an object that says so, every
    /// index agrees with the objects, and each range's counts add up to its members. Costs as much as a restore.
    pub fn check_invariants(&self) -> Result<(), String> {
        let rebuilt = Ledger::restore(self.pool().clone(), self.snapshot()).map_err(|error| error.to_string())?;
        if rebuilt != *self {
            return Err("the ledger's indexes differ from what its instances and EIPs say".to_string());
        }
        for totals in self.range_totals(Time::default()) {
            if totals.held + totals.cooling + totals.free + totals.duplicates != totals.members {
                return Err(format!("the counts of pool {} do not add up: {totals:?}", totals.prefix));
            }
        }
        Ok(())
    }

    fn check_instance(&self, instance: &Instance) -> Result<(), RestoreError> {
        let id = &instance.id;
        if self.instances.contains_key(id) {
            return Err(RestoreError::InstanceTwice { instance: id.clone() });
        }
        if let Some(range) = self.pool().range_of(instance.private) {
            let (private, pool) = (instance.private, range.prefix());
            return Err(RestoreError::PrivateAddressInPool { instance: id.clone(), private, pool });
        }
        if let Some(other) = self.instance_at(&instance.vpc, instance.private) {
            let (vpc, private, holders) = (instance.vpc.clone(), instance.private, [other.id.clone(), id.clone()]);
            return Err(RestoreError::PrivateAddressTwice { vpc, private, holders });
        }
        if let Some(name) = &instance.name
            && let Some(other) = self.by_name.get(&(instance.account.clone(), name.clone()))
        {
            let (account, name, holders) = (instance.account.clone(), name.clone(), [other.clone(), id.clone()]);
            return Err(RestoreError::NameTwice { account, name, holders });
        }
        let Some(address) = instance.ordinary else { return Ok(()) };
        if instance.bandwidth_mbps == 0 {
            return Err(RestoreError::OrdinaryWithoutBandwidth { instance: id.clone(), address });
        }
        self.check_unheld(address, Holder::Ordinary(id.clone()))
    }

    fn check_eip(&self, eip: &Eip) -> Result<(), RestoreError> {
        if self.eips.contains_key(&eip.id) {
            return Err(RestoreError::EipTwice { eip: eip.id.clone() });
        }
        self.check_unheld(eip.address, Holder::Eip(eip.id.clone()))?;
        let Some(bound_to) = &eip.bound_to else { return Ok(()) };
        let owned = self.instances.get(bound_to).filter(|instance| instance.account == eip.account);
        let Some(instance) = owned else {
            return Err(RestoreError::UnknownInstance { eip: eip.id.clone(), instance: bound_to.clone() });
        };
        match self.association_of(bound_to) {
            Some(other) => Err(RestoreError::TwoPublicAddresses {
                instance: instance.id.clone(),
                addresses: [other.public, eip.address],
            }),
            None => Ok(()),
        }
    }

    fn check_unheld(&self, address: Ipv4Addr, second: Holder) -> Result<(), RestoreError> {
        match self.holder(address) {
            Some(first) => Err(RestoreError::HeldTwice { address, holders: [first.clone(), second] }),
            None => Ok(()),
        }
    }
}

fn check_released(stock: &Stock, address: Ipv4Addr) -> Result<(), RestoreError> {
    if let Some(holder) = stock.holder(address) {
        return Err(RestoreError::ReleasedButHeld { address, holder: holder.clone() });
    }
    if stock.released().contains_key(&address) {
        return Err(RestoreError::ReleasedTwice { address });
    }
    Ok(())
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
    /// Two instances of an account have one name.
    NameTwice { account: AccountId, name: String, holders: [InstanceId; 2] },
    /// A public address has two holders.
    HeldTwice { address: Ipv4Addr, holders: [Holder; 2] },
    /// An EIP is bound to an instance its account does not have.
    UnknownInstance { eip: EipId, instance: InstanceId },
    /// An instance has two EIPs, or one beside its ordinary public IP.
    TwoPublicAddresses { instance: InstanceId, addresses: [Ipv4Addr; 2] },
    /// An instance without bandwidth has an ordinary public IP.
    OrdinaryWithoutBandwidth { instance: InstanceId, address: Ipv4Addr },
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
            RestoreError::NameTwice { account, name, holders: [one, other] } => {
                write!(f, "the name {name:?} of account {account} is stored for both instance {one} and {other}")
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
