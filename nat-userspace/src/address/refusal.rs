//! Why a command was refused: one sentence for people, a code for programs.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use super::{AccountId, EipId, InstanceId, Prefix, Time, VpcId};

/// What to make of a refusal without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The object does not exist, or not for this account.
    NotFound,
    /// The present state does not permit it.
    Conflict,
    /// It could never be done as asked.
    Invalid,
    /// Something has run out.
    Exhausted,
}

/// Why a pool address is not handed out although nobody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// It is excluded by the configuration, or the network's, the broadcast or the gateway's own address.
    Withheld,
    /// Another host on the link answers for it.
    Duplicate,
}

/// What the packet path's maps are full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Instances, with a public address or without.
    Instances,
    /// Associations: instances with a public address.
    Pairs,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Limit::Instances => "instances",
            Limit::Pairs => "instances with a public address",
        })
    }
}

/// Why a command was refused. A refused command has changed nothing.
#[expect(missing_docs, reason = "the fields are the objects the sentence below names")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such instance in the account.
    UnknownInstance { selector: String, account: AccountId, vpc: Option<VpcId> },
    /// No such EIP in the account.
    UnknownEip { selector: String, account: AccountId },
    /// The private address is used in several VPCs.
    AmbiguousInstance { private: Ipv4Addr, vpcs: [VpcId; 2] },
    /// An ordinary public IP was given where an EIP is needed.
    OrdinaryAddress { address: Ipv4Addr, instance: InstanceId },
    /// The id for a new instance is in use: make another.
    InstanceExists { id: InstanceId },
    /// The id for a new EIP is in use: make another.
    EipExists { id: EipId },
    /// The private address is in use in this VPC. The holder is told to its own account only.
    PrivateAddressTaken { private: Ipv4Addr, vpc: VpcId, holder: Option<InstanceId> },
    /// No instance can carry this address.
    PrivateAddressUnusable { private: Ipv4Addr, purpose: &'static str },
    /// The private address lies in a public range.
    PrivateAddressInPool { private: Ipv4Addr, pool: Prefix },
    /// The name is not one an object can have.
    NameInvalid { name: String, problem: &'static str },
    /// Another instance of the account has this name.
    NameTaken { name: String, holder: InstanceId },
    /// The address lies in no pool.
    NotInPool { address: Ipv4Addr },
    /// Somebody holds the address.
    AddressTaken { address: Ipv4Addr },
    /// The address is never handed out, or not now.
    Excluded { address: Ipv4Addr, reason: Exclusion },
    /// The address was released too short a time ago.
    CoolingDown { address: Ipv4Addr, until: Time },
    /// No address is free.
    PoolExhausted { next_free: Option<Time> },
    /// No address is free for the ordinary public IP due on unbinding.
    NoAddressToReallocate { eip: EipId, instance: InstanceId, next_free: Option<Time> },
    /// A new ordinary public IP was demanded for an instance without bandwidth.
    NoBandwidth { eip: EipId, instance: InstanceId },
    /// The EIP to bind is bound, to `instance`, which may be the very one asked for.
    EipAlreadyBound { eip: EipId, instance: InstanceId, asked: InstanceId },
    /// The instance has an EIP.
    InstanceHasEip { instance: InstanceId, eip: EipId },
    /// The EIP to unbind is not bound.
    EipNotBound { eip: EipId },
    /// The EIP to release is bound.
    EipBound { eip: EipId, instance: InstanceId },
    /// The packet path's maps are full.
    CapacityReached { what: Limit, limit: usize },
}

impl Refusal {
    /// The rough kind, as for an exit status.
    pub fn kind(&self) -> RefusalKind {
        self.classify().0
    }

    /// A name that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        self.classify().1
    }

    fn classify(&self) -> (RefusalKind, &'static str) {
        use RefusalKind::{Conflict, Exhausted, Invalid, NotFound};
        match self {
            Refusal::UnknownInstance { .. } => (NotFound, "unknown-instance"),
            Refusal::UnknownEip { .. } => (NotFound, "unknown-eip"),
            Refusal::AmbiguousInstance { .. } => (Invalid, "ambiguous-instance"),
            Refusal::OrdinaryAddress { .. } => (Conflict, "ordinary-address"),
            Refusal::InstanceExists { .. } => (Conflict, "instance-exists"),
            Refusal::EipExists { .. } => (Conflict, "eip-exists"),
            Refusal::PrivateAddressTaken { .. } => (Conflict, "private-address-taken"),
            Refusal::PrivateAddressUnusable { .. } => (Invalid, "private-address-unusable"),
            Refusal::PrivateAddressInPool { .. } => (Invalid, "private-address-in-pool"),
            Refusal::NameInvalid { .. } => (Invalid, "name-invalid"),
            Refusal::NameTaken { .. } => (Conflict, "name-taken"),
            Refusal::NotInPool { .. } => (Invalid, "not-in-pool"),
            Refusal::AddressTaken { .. } => (Conflict, "address-taken"),
            Refusal::Excluded { .. } => (Conflict, "address-excluded"),
            Refusal::CoolingDown { .. } => (Conflict, "address-cooling-down"),
            Refusal::PoolExhausted { .. } => (Exhausted, "pool-exhausted"),
            Refusal::NoAddressToReallocate { .. } => (Exhausted, "no-address-to-reallocate"),
            Refusal::NoBandwidth { .. } => (Conflict, "no-bandwidth"),
            Refusal::EipAlreadyBound { .. } => (Conflict, "eip-already-bound"),
            Refusal::InstanceHasEip { .. } => (Conflict, "instance-has-eip"),
            Refusal::EipNotBound { .. } => (Conflict, "eip-not-bound"),
            Refusal::EipBound { .. } => (Conflict, "eip-bound"),
            Refusal::CapacityReached { .. } => (Exhausted, "capacity-reached"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownInstance { selector, account, vpc: None } => {
                write!(f, "there is no instance {selector:?} in account {account}")
            }
            Refusal::UnknownInstance { selector, account, vpc: Some(vpc) } => {
                write!(f, "there is no instance {selector:?} in VPC {vpc} of account {account}")
            }
            Refusal::UnknownEip { selector, account } => {
                write!(f, "there is no EIP {selector:?} in account {account}")
            }
            Refusal::AmbiguousInstance { private, vpcs: [one, other] } => {
                write!(f, "private address {private} is used in several VPCs, among them {one} and {other}; ")?;
                write!(f, "choose one with `--vpc`")
            }
            Refusal::OrdinaryAddress { address, instance } => {
                write!(f, "{address} is the ordinary public IP of instance {instance}; it lives and dies with the ")?;
                write!(f, "instance and cannot be bound, unbound or released")
            }
            Refusal::InstanceExists { id } => write!(f, "instance id {id} is in use; choose another"),
            Refusal::EipExists { id } => write!(f, "EIP id {id} is in use; choose another"),
            Refusal::PrivateAddressTaken { private, vpc, holder } => {
                write!(f, "private address {private} is in use in VPC {vpc}")?;
                if let Some(holder) = holder {
                    write!(f, " by instance {holder}")?;
                }
                write!(f, "; choose another")
            }
            Refusal::PrivateAddressUnusable { private, purpose } => {
                write!(f, "{private} cannot be an instance's private address: it is reserved ({purpose})")
            }
            Refusal::PrivateAddressInPool { private, pool } => {
                write!(f, "{private} cannot be an instance's private address: it lies in the public pool {pool}")
            }
            Refusal::NameInvalid { name, problem } => write!(f, "{name:?} cannot be a name: it {problem}"),
            Refusal::NameTaken { name, holder } => {
                write!(f, "the name {name:?} is in use by instance {holder}; choose another")
            }
            Refusal::NotInPool { address } => {
                write!(f, "address {address} lies in no pool; `eipgate pool list` shows the pools")
            }
            Refusal::AddressTaken { address } => {
                write!(f, "address {address} is in use; choose another or let the pool choose")
            }
            Refusal::Excluded { address, reason: Exclusion::Withheld } => {
                write!(f, "address {address} is excluded from its pool; choose another or let the pool choose")
            }
            Refusal::Excluded { address, reason: Exclusion::Duplicate } => {
                write!(f, "address {address} is set aside because another host on the link answers for it; ")?;
                write!(f, "choose another or let the pool choose")
            }
            Refusal::CoolingDown { address, until } => {
                write!(f, "address {address} was released a short time ago and is not free until {until}; ")?;
                write!(f, "wait, choose another or let the pool choose")
            }
            Refusal::PoolExhausted { next_free } => {
                write!(f, "the pool has no free public address; {}", Remedy(*next_free))
            }
            Refusal::NoAddressToReallocate { eip, instance, next_free } => {
                write!(
                    f,
                    "EIP {eip} stays bound because the pool has no free address for the new ordinary public IP "
                )?;
                write!(f, "of instance {instance}; {}, or unbind with `--reallocate no`", Remedy(*next_free))
            }
            Refusal::NoBandwidth { eip, instance } => {
                write!(f, "EIP {eip} stays bound because instance {instance} has bandwidth 0 and so never gets an ")?;
                write!(f, "ordinary public IP; unbind without `--reallocate yes`")
            }
            Refusal::EipAlreadyBound { eip, instance, asked } if instance == asked => {
                write!(f, "EIP {eip} is already bound to this same instance {instance}; there is nothing to do")
            }
            Refusal::EipAlreadyBound { eip, instance, .. } => {
                write!(f, "EIP {eip} is already bound to instance {instance}; unbind it first")
            }
            Refusal::InstanceHasEip { instance, eip } => {
                write!(f, "instance {instance} already has EIP {eip}; unbind that one first")
            }
            Refusal::EipNotBound { eip } => write!(f, "EIP {eip} is not bound to any instance; there is nothing to do"),
            Refusal::EipBound { eip, instance } => {
                write!(f, "EIP {eip} cannot be released while it is bound to instance {instance}; unbind it first")
            }
            Refusal::CapacityReached { what, limit } => {
                write!(f, "the gateway is full: its maps hold {limit} {what}; raise the limit or remove some")
            }
        }
    }
}

impl Error for Refusal {}

/// What helps when no address is free.
struct Remedy(Option<Time>);

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "wait until {time} when the next becomes free, or enlarge the pool"),
            None => write!(f, "release an address or enlarge the pool"),
        }
    }
}
