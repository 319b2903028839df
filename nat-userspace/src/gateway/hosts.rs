//! The ledger as the packet path needs it: who carries which private address, with which public one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::address::{Change, Fact, Instance, InstanceId, Ledger, VpcId};
use crate::dataplane::Host;

/// Every instance, with a public address or without: invariant 2 in one line.
pub(super) fn hosts(ledger: &Ledger) -> Vec<Host> {
    ledger.instances().map(|instance| host_of(ledger, instance)).collect()
}

pub(super) fn host_of(ledger: &Ledger, instance: &Instance) -> Host {
    let public = ledger.association_of(&instance.id).map(|association| association.public);
    Host { vpc: instance.vpc.clone(), private: instance.private, public }
}

/// The hosts that a change makes different.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) removed: Vec<(VpcId, Ipv4Addr)>,
    pub(super) set: Vec<SetHost>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SetHost {
    pub(super) host: Host,
    before: Option<Ipv4Addr>,
}

impl Touched {
    pub(super) fn by(change: &Change, before: &Ledger, after: &Ledger) -> Touched {
        let mut touched = Touched { removed: Vec::new(), set: Vec::new() };
        let instances: BTreeSet<&InstanceId> = change.facts.iter().filter_map(instance_in).collect();
        for id in instances {
            let earlier = before.instance(id).map(|instance| host_of(before, instance));
            match after.instance(id).map(|instance| host_of(after, instance)) {
                Some(host) if earlier.as_ref() != Some(&host) => {
                    touched.set.push(SetHost { host, before: earlier.and_then(|host| host.public) });
                }
                Some(_) => {}
                None => touched.removed.extend(earlier.map(|host| (host.vpc, host.private))),
            }
        }
        // An address is taken away from one host before another gets it.
        touched.set.sort_by_key(|set| set.host.public.is_some());
        touched
    }

    /// Public addresses that now serve a host they did not serve before.
    pub(super) fn announced(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.set.iter().filter(|set| set.host.public != set.before).filter_map(|set| set.host.public)
    }
}

fn instance_in(fact: &Fact) -> Option<&InstanceId> {
    match fact {
        Fact::InstanceCreated(instance) => Some(&instance.id),
        Fact::InstanceTerminated { instance }
        | Fact::OrdinaryAssigned { instance, .. }
        | Fact::OrdinaryReleased { instance, .. }
        | Fact::EipBound { instance, .. }
        | Fact::EipUnbound { instance, .. } => Some(instance),
        Fact::EipAllocated(_)
        | Fact::EipReleased { .. }
        | Fact::DuplicateMarked { .. }
        | Fact::DuplicateCleared { .. } => None,
    }
}
