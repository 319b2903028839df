//! Why a command was not done, or not in full.

use thiserror::Error;

use crate::address::{Refusal, RefusalKind, VpcId};

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

/// Why a command was not done. All but [`GatewayError::NotInEffect`] have changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// The ledger's rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No downlink belongs to the VPC, so no instance in it could be reached.
    #[error("there is no VPC {vpc}, for no downlink belongs to it; there is {}", list(known))]
    UnknownVpc {
        /// The one asked for.
        vpc: VpcId,
        /// Those of the downlinks.
        known: Vec<VpcId>,
    },
    /// The change could not be made durable.
    #[error("the change could not be stored and was not made: {0}")]
    NotStored(String),
    /// The change is committed but the maps do not show it yet.
    #[error("the change is stored but not in effect yet, and is tried again every second: {0}")]
    NotInEffect(String),
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
            GatewayError::NotStored(_) | GatewayError::NotInEffect(_) | GatewayError::Stopping => Kind::Internal,
        }
    }

    /// A name that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        match self {
            GatewayError::Refused(refusal) => refusal.code(),
            GatewayError::UnknownVpc { .. } => "unknown-vpc",
            GatewayError::NotStored(_) => "not-stored",
            GatewayError::NotInEffect(_) => "not-in-effect",
            GatewayError::Stopping => "stopping",
        }
    }
}

fn list(vpcs: &[VpcId]) -> String {
    vpcs.iter().map(VpcId::as_str).collect::<Vec<_>>().join(", ")
}
