//! Elastic IPs.

use std::net::Ipv4Addr;

use super::{AccountId, EipId, InstanceId, Time};

/// An elastic IP: allocated to an account, it keeps its address until it is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eip {
    /// Unique over all accounts.
    pub id: EipId,
    /// The owner.
    pub account: AccountId,
    /// Its public address, from allocation to release.
    pub address: Ipv4Addr,
    /// For people; neither unique nor a way to find the EIP.
    pub name: Option<String>,
    /// The instance it serves, if any.
    pub bound_to: Option<InstanceId>,
    /// When it was allocated.
    pub created: Time,
}
