//! What `status` says of the next hops.

use nat_common::abi::{DEFAULT_HOP, HOP_READY};

use super::super::routing::Reason;
use super::super::status::{HopStatus, NotReady};
use super::Hops;

/// Most elements that are not ready which `status` names.
const NAMED: usize = 8;

impl Hops {
    /// How many next hops packets use without asking, and why not the others.
    pub fn status(&self) -> HopStatus {
        let mut without = self.without.values().filter(|(bindings, _)| *bindings > 0);
        let mut status = HopStatus {
            instances_without: without.clone().map(|(bindings, _)| bindings).sum(),
            instances_reason: without.next_back().map(|(_, reason)| (*reason).to_owned()),
            ..HopStatus::default()
        };
        let internet = self.routing.internet();
        let default = (DEFAULT_HOP, internet.as_ref().ok().copied(), internet);
        let used = self.used.iter().filter_map(|(index, used)| Some((*index, used.key, Ok(used.key?))));
        for (index, key, known) in std::iter::once(default).chain(used) {
            if self.elements.read(index).state == HOP_READY {
                status.ready += 1;
                continue;
            }
            status.asked += 1;
            if status.not_ready.len() < NAMED {
                let reason: Reason = match known.and_then(|key| self.routing.hop(&key)) {
                    Ok(_) => "it is about to be ready",
                    Err(reason) => reason,
                };
                let interface = key.and_then(|key| self.routing.interface(key.ifindex)).map(str::to_owned);
                let address = key.map(|key| key.gateway);
                status.not_ready.push(NotReady {
                    internet: index == DEFAULT_HOP,
                    interface,
                    address,
                    reason: reason.into(),
                });
            }
        }
        status
    }
}
