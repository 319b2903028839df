//! What has happened, as the history keeps it: one line for each thing that became true.

use std::net::Ipv4Addr;

use super::{AccountId, EipId, InstanceId, Time, VpcId};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $name:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$kind,)*];

            /// A name that stays the same from version to version.
            pub fn name(self) -> &'static str {
                match self { $(EventKind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// There is an instance.
    InstanceCreated = "instance_created",
    /// It is no more.
    InstanceTerminated = "instance_terminated",
    /// It came into another state.
    InstanceMoved = "instance_moved",
    /// It is paid for up to another time.
    InstanceRenewed = "instance_renewed",
    /// What it was promised is different.
    InstanceChanged = "instance_changed",
    /// The pool gave an instance its ordinary public IP.
    OrdinaryAssigned = "ordinary_assigned",
    /// An instance gave it up.
    OrdinaryReleased = "ordinary_released",
    /// The pool gave an account an EIP.
    EipAllocated = "eip_allocated",
    /// An EIP began to serve an instance.
    EipBound = "eip_bound",
    /// An EIP ended to serve an instance.
    EipUnbound = "eip_unbound",
    /// The account gave an EIP back.
    EipReleased = "eip_released",
    /// An address came with its instance from another gateway.
    Imported = "imported",
    /// An instance's ordinary public IP became an EIP bound to it.
    Converted = "converted",
    /// What was agreed about an EIP is different.
    EipChanged = "eip_changed",
    /// There is a bandwidth package.
    PackageCreated = "package_created",
    /// Its total or its name is different.
    PackageChanged = "package_changed",
    /// It is no more.
    PackageDeleted = "package_deleted",
    /// The address was held when the history began.
    Recorded = "recorded",
    /// An operator took an address out of service.
    AddressFenced = "address_fenced",
    /// An operator put it into service again.
    AddressUnfenced = "address_unfenced",
    /// Another host on the link answered for an address.
    DuplicateMarked = "duplicate_marked",
    /// None does any more.
    DuplicateCleared = "duplicate_cleared",
    /// There is one more range.
    PoolAdded = "pool_added",
    /// A range hands out nothing more.
    PoolDrained = "pool_drained",
    /// It does again.
    PoolResumed = "pool_resumed",
    /// A range is no more.
    PoolRemoved = "pool_removed",
}

/// Something that happened. What it does not concern is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts events: each has a higher one than all before it, and none is used twice.
    pub revision: u64,
    /// When.
    pub at: Time,
    /// What.
    pub kind: EventKind,
    /// The public address.
    pub address: Option<Ipv4Addr>,
    /// The instance.
    pub instance: Option<InstanceId>,
    /// The EIP.
    pub eip: Option<EipId>,
    /// The owner of instance or EIP.
    pub account: Option<AccountId>,
    /// The VPC of the instance.
    pub vpc: Option<VpcId>,
    /// The private address of the instance.
    pub private: Option<Ipv4Addr>,
    /// The name of the instance.
    pub name: Option<String>,
    /// The reason of a fence, the range, the state, the package, or what was agreed.
    pub detail: Option<String>,
}
