//! What a command changes: facts, in the order they hold.

use std::net::Ipv4Addr;

use super::{
    AccountId, ChargeType, ClientToken, DayCount, Eip, EipId, EipTerms, Fence, Instance, InstanceDetail, InstanceId,
    InstanceState, Package, PackageId, PoolRange, Prefix, Standing, Time, UsedToken,
};

/// The facts one command makes true, all or none. Empty when what was asked for holds already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// In the order they are applied.
    pub facts: Vec<Fact>,
    /// When it was decided, for the history.
    pub at: Time,
}

impl Change {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// The addresses taken out of the pool, for example to be probed on the link before the change is stored.
    pub fn taken(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::InstanceCreated(instance) => instance.ordinary,
            Fact::OrdinaryAssigned { address, .. } => Some(*address),
            Fact::EipAllocated(eip) => Some(eip.address),
            _ => None,
        })
    }
}

/// One thing that has become true. Facts are to be stored as they are: they carry every time and id they depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An instance. Its ordinary public IP, where it comes with one, no longer counts as released.
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
    /// An instance came into another state.
    InstanceMoved {
        /// Which instance.
        instance: InstanceId,
        /// Which state.
        state: InstanceState,
        /// Whether its next start assigns an ordinary public IP.
        owed: bool,
        /// When.
        at: Time,
    },
    /// A prepaid instance is paid for up to another time.
    InstanceRenewed {
        /// Which instance.
        instance: InstanceId,
        /// Up to when.
        until: Time,
    },
    /// What an instance was promised is different.
    InstanceTerms {
        /// Which instance.
        instance: InstanceId,
        /// In Mbit/s.
        bandwidth_mbps: u32,
        /// How it is charged.
        charge_type: ChargeType,
        /// The package that shares it.
        package: Option<PackageId>,
    },
    /// What is remembered of an instance is different.
    InstanceAltered {
        /// Which instance.
        instance: InstanceId,
        /// Its name.
        name: Option<String>,
        /// All of it, as it is now.
        detail: Option<Box<InstanceDetail>>,
    },
    /// An instance's ordinary public IP is the address of an EIP from now on, which is bound to that instance.
    OrdinaryConverted {
        /// Which instance.
        instance: InstanceId,
        /// The EIP.
        eip: Eip,
    },
    /// The pool gave an account an EIP. Its address no longer counts as released. The instance it is bound to, where it
    /// comes bound, was created before.
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
    /// What may be changed about an EIP is different.
    EipChanged {
        /// Which EIP.
        eip: EipId,
        /// All of it, as it is now.
        terms: EipTerms,
    },
    /// A bandwidth package.
    PackageCreated(Package),
    /// A bandwidth package is different, and this is how it is now.
    PackageChanged(Package),
    /// A bandwidth package, which nobody shared, is no more.
    PackageDeleted {
        /// Which package.
        package: PackageId,
    },
    /// An account did once more what is counted by the day.
    DayCounted(DayCount),
    /// A client token stands for what was made before, in place of what it may have stood for.
    TokenUsed(UsedToken),
    /// A client token no longer stands for anything.
    TokenForgotten {
        /// Whose it was.
        account: AccountId,
        /// The token.
        token: ClientToken,
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
    /// An address is out of service, held or not.
    AddressFenced {
        /// Which address.
        address: Ipv4Addr,
        /// Why, and since when.
        fence: Fence,
    },
    /// An address is in service again.
    AddressUnfenced {
        /// Which address.
        address: Ipv4Addr,
    },
    /// There is a new range, in addition to what is configured.
    PoolAdded {
        /// The range.
        range: PoolRange,
    },
    /// A range hands out nothing more.
    PoolDrained {
        /// Which range.
        prefix: Prefix,
        /// What is to be known of it at the next start.
        standing: Standing,
    },
    /// A range that was draining hands out addresses again.
    PoolResumed {
        /// Which range.
        prefix: Prefix,
        /// What is to be known of it at the next start, if anything.
        standing: Option<Standing>,
    },
    /// A range in which nobody holds an address is no more.
    PoolRemoved {
        /// Which range.
        prefix: Prefix,
        /// What is to be known of it at the next start, if anything.
        standing: Option<Standing>,
    },
}
