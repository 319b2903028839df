//! The ledger as plain data, for a store to keep and to bring back.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use super::{
    DayCount, Eip, EipId, Fence, Holder, Instance, InstanceId, InstanceState, Ledger, Member, Package, PackageId, Pool,
    Prefix, SoundSnapshot, Standing, Time, UsedToken, VpcId,
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

    /// The ledger with this content, as [`SoundSnapshot::new`] has it. Refuses content that contradicts itself.
    pub fn restore(pool: Pool, snapshot: Snapshot) -> Result<Ledger, RestoreError> {
        SoundSnapshot::new(pool, snapshot).map(SoundSnapshot::into_ledger)
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
