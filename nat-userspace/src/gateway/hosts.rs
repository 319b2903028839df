//! The ledger as the packet path needs it: who carries which private address, with which public one.

use std::net::Ipv4Addr;

use crate::address::{Change, Fact, Instance, InstanceId, Ledger, SoundSnapshot, VpcId};
use crate::dataplane::Host;

/// Every instance, with a public address in effect or without: invariant 2 in one line.
pub(super) fn hosts(ledger: &Ledger) -> Vec<Host> {
    let fenced = |public: Ipv4Addr| ledger.fence(public).is_some();
    collect(ledger.instances().len(), ledger.instances_with_public(), fenced)
}

/// The same of a ledger that is not built yet.
pub(super) fn hosts_stored(content: &SoundSnapshot) -> Vec<Host> {
    let fenced = |public: Ipv4Addr| content.is_fenced(public);
    collect(content.instances().len(), content.instances_with_public(), fenced)
}

fn collect<'a>(
    count: usize,
    instances: impl Iterator<Item = (&'a Instance, Option<Ipv4Addr>)>,
    fenced: impl Fn(Ipv4Addr) -> bool,
) -> Vec<Host> {
    let mut hosts = Vec::with_capacity(count);
    hosts.extend(instances.map(|(instance, public)| Host {
        vpc: instance.vpc.clone(),
        private: instance.private,
        public: public.filter(|public| !fenced(*public)),
    }));
    hosts
}

pub(super) fn host_of(ledger: &Ledger, instance: &Instance) -> Host {
    let public = ledger.public_in_effect(&instance.id);
    Host { vpc: instance.vpc.clone(), private: instance.private, public }
}

/// The hosts that a change is about, as they are before it.
pub(super) struct Earlier {
    /// By id, each once.
    hosts: Vec<(InstanceId, Option<Host>)>,
    pools: bool,
}

impl Earlier {
    /// Before `change` is applied to `ledger`.
    pub(super) fn to(change: &Change, ledger: &Ledger) -> Earlier {
        let pools = change.facts.iter().any(|fact| matches!(fact, Fact::PoolAdded { .. } | Fact::PoolRemoved { .. }));
        let mut named: Vec<&InstanceId> = change.facts.iter().filter_map(|fact| instance_in(fact, ledger)).collect();
        named.sort_unstable();
        named.dedup();
        let known = |id: &InstanceId| ledger.instance(id).map(|instance| host_of(ledger, instance));
        Earlier { hosts: named.into_iter().map(|id| (id.clone(), known(id))).collect(), pools }
    }

    /// What the change has made different, now that it is applied.
    pub(super) fn touched(self, ledger: &Ledger) -> Touched {
        let mut touched = Touched { pools: self.pools, ..Touched::default() };
        for (id, earlier) in self.hosts {
            match ledger.instance(&id).map(|instance| host_of(ledger, instance)) {
                Some(host) if earlier.as_ref() != Some(&host) => {
                    let before = earlier.and_then(|host| host.public);
                    touched.announced.extend(host.public.filter(|public| Some(*public) != before));
                    touched.set.push(host);
                }
                Some(_) => {}
                None => touched.removed.extend(earlier.map(|host| (host.vpc, host.private))),
            }
        }
        // An address is taken away from one host before another gets it.
        touched.set.sort_by_key(|host| host.public.is_some());
        touched
    }
}

/// The hosts that a change has made different.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) removed: Vec<(VpcId, Ipv4Addr)>,
    pub(super) set: Vec<Host>,
    /// Public addresses that now serve a host they did not serve before.
    pub(super) announced: Vec<Ipv4Addr>,
    /// Whether ranges came or went.
    pub(super) pools: bool,
}

fn instance_in<'a>(fact: &'a Fact, ledger: &'a Ledger) -> Option<&'a InstanceId> {
    match fact {
        Fact::InstanceCreated(instance) => Some(&instance.id),
        Fact::InstanceTerminated { instance }
        | Fact::OrdinaryAssigned { instance, .. }
        | Fact::OrdinaryReleased { instance, .. }
        | Fact::OrdinaryConverted { instance, .. }
        | Fact::EipBound { instance, .. }
        | Fact::EipUnbound { instance, .. } => Some(instance),
        Fact::EipAllocated(eip) => eip.bound_to.as_ref(),
        Fact::AddressFenced { address, .. } | Fact::AddressUnfenced { address } => {
            ledger.served_by(*address).map(|instance| &instance.id)
        }
        Fact::InstanceMoved { .. }
        | Fact::InstanceRenewed { .. }
        | Fact::InstanceTerms { .. }
        | Fact::InstanceAltered { .. }
        | Fact::EipChanged { .. }
        | Fact::EipReleased { .. }
        | Fact::PackageCreated(_)
        | Fact::PackageChanged(_)
        | Fact::PackageDeleted { .. }
        | Fact::DayCounted(_)
        | Fact::TokenUsed(_)
        | Fact::TokenForgotten { .. }
        | Fact::DuplicateMarked { .. }
        | Fact::DuplicateCleared { .. }
        | Fact::PoolAdded { .. }
        | Fact::PoolDrained { .. }
        | Fact::PoolResumed { .. }
        | Fact::PoolRemoved { .. } => None,
    }
}
