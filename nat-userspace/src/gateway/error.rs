//! Why a command was not done, or not in full.

use std::fmt;
use std::net::Ipv4Addr;

use thiserror::Error;

use crate::address::{Prefix, Refusal, RefusalKind, Time, VpcId};

/// What to make of an error without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The object does not exist, or not for this account.
    NotFound,
    /// The present state does not permit it.
    Conflict,
    /// It could never be done as asked.
    Invalid,
    /// Something has run out.
    Exhausted,
    /// The fault is the gateway's, not the caller's.
    Internal,
}

/// Why a command was not done. All but [`GatewayError::NotInEffect`] have changed nothing, and of what was broken off by
/// [`GatewayError::Defect`] there is all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// The ledger's rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No downlink belongs to the VPC, so no instance in it could be reached.
    #[error("{}there is no VPC {vpc}, for no downlink belongs to it; there is {}", Pair(*pair), list(known))]
    UnknownVpc {
        /// Of an import, the pair that asks for it, counted from 0.
        pair: Option<usize>,
        /// The one asked for.
        vpc: VpcId,
        /// Those of the downlinks.
        known: Vec<VpcId>,
    },
    /// No private address can be chosen in the VPC.
    #[error("no private address is free in VPC {vpc}, {}", Ranges(ranges))]
    NoPrivateAddress {
        /// The VPC.
        vpc: VpcId,
        /// Where it was looked for.
        ranges: Vec<Prefix>,
    },
    /// The range holds an address of the host.
    #[error(
        "pool {pool} contains {address}, the gateway's own address on {interface}; \
         give the gateway another address or choose another pool"
    )]
    OwnAddressInPool {
        /// The range.
        pool: Prefix,
        /// The host's address.
        address: Ipv4Addr,
        /// Where it has it.
        interface: String,
    },
    /// What has not happened yet cannot be given up.
    #[error("the history cannot be pruned up to {before}, which is still to come; give a time that has passed")]
    PruningAhead {
        /// The time asked for.
        before: Time,
    },
    /// The change could not be made durable.
    #[error("the change could not be stored and was not made: {0}")]
    NotStored(String),
    /// A flush has failed, and what is on the disk has not been checked since.
    #[error("the store is read-only and nothing was changed, because {0}; it is reopened and checked every second")]
    ReadOnly(String),
    /// The change is committed but the maps do not show it yet.
    #[error("the change is stored but not in effect yet, and is tried again every second: {0}")]
    NotInEffect(String),
    /// The new configuration is not to be had.
    #[error("the configuration in effect is kept: {0}")]
    NotReloaded(String),
    /// The gateway's own code failed on it.
    #[error(
        "a defect of the gateway broke this off, and its log says more; look whether it was done before asking for it again"
    )]
    Defect,
    /// The daemon is about to end.
    #[error("the gateway is stopping")]
    Stopping,
}

impl GatewayError {
    /// The rough kind, as for an exit status.
    pub fn kind(&self) -> Kind {
        match self {
            GatewayError::Refused(refusal) => match refusal.kind() {
                RefusalKind::NotFound => Kind::NotFound,
                RefusalKind::Conflict => Kind::Conflict,
                RefusalKind::Invalid => Kind::Invalid,
                RefusalKind::Exhausted => Kind::Exhausted,
            },
            GatewayError::UnknownVpc { .. } => Kind::NotFound,
            GatewayError::NotReloaded(_) => Kind::Invalid,
            GatewayError::NoPrivateAddress { .. } => Kind::Exhausted,
            GatewayError::OwnAddressInPool { .. } => Kind::Conflict,
            GatewayError::PruningAhead { .. } => Kind::Invalid,
            GatewayError::NotStored(_)
            | GatewayError::ReadOnly(_)
            | GatewayError::NotInEffect(_)
            | GatewayError::Defect
            | GatewayError::Stopping => Kind::Internal,
        }
    }

    /// Of an import, the pair that is to blame, counted from 0, and why it is.
    pub fn pair(&self) -> Option<(usize, GatewayError)> {
        match self {
            GatewayError::Refused(Refusal::Pair { index, refusal }) => Some((*index, (**refusal).clone().into())),
            GatewayError::UnknownVpc { pair: Some(index), vpc, known } => {
                Some((*index, GatewayError::UnknownVpc { pair: None, vpc: vpc.clone(), known: known.clone() }))
            }
            _ => None,
        }
    }

    /// A name that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        match self {
            GatewayError::Refused(refusal) => refusal.code(),
            GatewayError::UnknownVpc { .. } => "unknown-vpc",
            GatewayError::NoPrivateAddress { .. } => "no-private-address",
            GatewayError::OwnAddressInPool { .. } => "own-address-in-pool",
            GatewayError::PruningAhead { .. } => "pruning-ahead",
            GatewayError::NotStored(_) => "not-stored",
            GatewayError::ReadOnly(_) => "read-only",
            GatewayError::NotInEffect(_) => "not-in-effect",
            GatewayError::NotReloaded(_) => "not-reloaded",
            GatewayError::Defect => "defect",
            GatewayError::Stopping => "stopping",
        }
    }
}

struct Pair(Option<usize>);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "pair {index}: "))
    }
}

struct Ranges<'a>(&'a [Prefix]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => write!(f, "for no range of it is known: ask for an address, or set private_ranges"),
            ranges => {
                let ranges: Vec<String> = ranges.iter().map(Prefix::to_string).collect();
                write!(f, "where all of {} is in use: ask for an address, or set private_ranges", ranges.join(", "))
            }
        }
    }
}

fn list(vpcs: &[VpcId]) -> String {
    vpcs.iter().map(VpcId::as_str).collect::<Vec<_>>().join(", ")
}
