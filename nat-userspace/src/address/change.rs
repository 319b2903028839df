//! What a command changes: facts, in the order they hold.

use std::net::Ipv4Addr;

use super::{Eip, EipId, Instance, InstanceId, Time};

/// The facts one command makes true, all or none. Empty when what was asked for holds already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// In the order they are applied.
    pub facts: Vec<Fact>,
}

impl Change {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// The addresses taken out of the pool, for example to be probed on the link before the change is stored.
    pub fn taken(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::OrdinaryAssigned { address, .. } => Some(*address),
            Fact::EipAllocated(eip) => Some(eip.address),
            _ => None,
        })
    }
}

/// One thing that has become true. Facts are to be stored as they are: they carry every time and id they depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An instance, without a public address yet.
    InstanceCreated(Instance),
    /// An instance is no more. Its public addresses were dealt with by facts before this one.
    InstanceTerminated {
        /// Which.
        instance: InstanceId,
    },
    /// The pool gave an instance its ordinary public IP.
    OrdinaryAssigned {
        /// Which instance.
        instance: InstanceId,
        /// Which address; it no longer counts as released.
        address: Ipv4Addr,
    },
    /// An instance gave up its ordinary public IP, which rests from now on.
    OrdinaryReleased {
        /// Which instance.
        instance: InstanceId,
        /// Which address.
        address: Ipv4Addr,
        /// When it began to rest.
        at: Time,
    },
    /// The pool gave an account an EIP, unbound. Its address no longer counts as released.
    EipAllocated(Eip),
    /// An EIP serves an instance.
    EipBound {
        /// Which EIP.
        eip: EipId,
        /// Which instance.
        instance: InstanceId,
    },
    /// An EIP serves its instance no more.
    EipUnbound {
        /// Which EIP.
        eip: EipId,
        /// Which instance.
        instance: InstanceId,
    },
    /// An EIP is no more, and its address rests from now on.
    EipReleased {
        /// Which EIP.
        eip: EipId,
        /// Which address.
        address: Ipv4Addr,
        /// When it began to rest.
        at: Time,
    },
    /// Another host on the link answers for this address.
    DuplicateMarked {
        /// Which address.
        address: Ipv4Addr,
    },
    /// No other host answers for this address any more.
    DuplicateCleared {
        /// Which address.
        address: Ipv4Addr,
    },
}
