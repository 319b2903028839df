//! Fences: addresses an operator has taken out of service, held or not, until they are let in again.

use std::net::Ipv4Addr;

use super::{Fact, Ledger, Refusal, Time};

const LONGEST_REASON: usize = 256;

/// Why and since when an address is out of service. It is not handed out; who holds it keeps it, and no traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// For people.
    pub reason: Option<String>,
    /// When it was put up.
    pub since: Time,
}

impl Ledger {
    /// The fence around a public address.
    pub fn fence(&self, address: Ipv4Addr) -> Option<&Fence> {
        self.stock.fences().get(&address)
    }

    /// Every fenced address, ascending.
    pub fn fences(&self) -> impl ExactSizeIterator<Item = (Ipv4Addr, &Fence)> {
        self.stock.fences().iter().map(|(address, fence)| (*address, fence))
    }

    pub(super) fn fence_address(
        &self,
        address: Ipv4Addr,
        reason: Option<String>,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        if let Some(problem) = reason.as_deref().and_then(reason_problem) {
            return Err(Refusal::ReasonInvalid { problem });
        }
        if let Some(Fence { reason, since }) = self.fence(address) {
            return Err(Refusal::AlreadyFenced { address, since: *since, reason: reason.clone() });
        }
        if self.pool().range_of(address).is_none() && self.holder(address).is_none() {
            return Err(Refusal::NotInPool { address });
        }
        Ok(vec![Fact::AddressFenced { address, fence: Fence { reason, since: now } }])
    }

    /// Never refused for the pools' sake: a fence may outlast the pool it was put up in.
    pub(super) fn unfence_address(&self, address: Ipv4Addr) -> Result<Vec<Fact>, Refusal> {
        match self.fence(address) {
            Some(_) => Ok(vec![Fact::AddressUnfenced { address }]),
            None => Err(Refusal::NotFenced { address }),
        }
    }
}

fn reason_problem(reason: &str) -> Option<&'static str> {
    if reason.trim().is_empty() {
        return Some("is empty; leave it out instead");
    }
    if reason.chars().count() > LONGEST_REASON {
        return Some("is longer than 256 characters");
    }
    reason.chars().any(char::is_control).then_some("contains control characters")
}
