//! What callers ask of the ledger.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{
    AccountId, ChargeType, ClientToken, EipChanges, EipDetail, EipId, Import, InstanceChanges, InstanceDetail,
    InstanceId, Member, Package, PackageChanges, PackageId, PoolDefinition, Prefix, ReservedRanges, StopMode, Together,
    VpcId,
};

/// A request to change the ledger. Each names the account that asks: to it, another account's objects do not exist. What
/// is about addresses and ranges themselves, and the passing of time, is the operator's or the gateway's own, and names
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make an instance known, with an ordinary public IP when its bandwidth is above 0.
    CreateInstance(NewInstance),
    /// End an instance. Its ordinary public IP goes back to the pool; an EIP stays the account's. A prepaid instance goes
    /// to the recycle bin first, and is no more when it is terminated there.
    TerminateInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
    },
    /// Let an instance that is pending or stopped run, with a new ordinary public IP where it is owed one.
    StartInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
    },
    /// Stop a running instance, which gives up its ordinary public IP where that costs nothing from then on.
    StopInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
        /// What it costs while it is off.
        mode: StopMode,
    },
    /// Pay for a prepaid instance for longer, from its end or, where that has passed, from now. One in the recycle bin
    /// comes back, stopped.
    RenewInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
        /// How much longer.
        period: Duration,
    },
    /// Change an instance's public bandwidth or how it is charged. What is not given stays.
    ModifyInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
        /// In Mbit/s.
        bandwidth_mbps: Option<u32>,
        /// How it is charged.
        charge_type: Option<ChargeType>,
    },
    /// Give an instance's ordinary public IP back to the pool, where the policy lets users do so.
    ReturnOrdinary {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
    },
    /// Exchange an instance's ordinary public IP for another, where the policy lets users do so.
    ChangeOrdinary {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
    },
    /// Make an instance's ordinary public IP an EIP that stays bound to it. There is no way back.
    ConvertOrdinary {
        /// The id the EIP shall have.
        id: EipId,
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
        /// A name for people.
        name: Option<String>,
    },
    /// Give the account an EIP.
    AllocateEip(NewEip),
    /// Change what may be changed about an EIP.
    ModifyEip {
        /// Who asks.
        account: AccountId,
        /// Which EIP.
        eip: EipId,
        /// What shall be different.
        changes: EipChanges,
    },
    /// Let an unbound EIP serve an instance, whose ordinary public IP goes back to the pool.
    BindEip {
        /// Who asks.
        account: AccountId,
        /// Which EIP.
        eip: EipId,
        /// Which instance.
        instance: InstanceId,
    },
    /// Take an EIP off its instance, which may get a new ordinary public IP.
    UnbindEip {
        /// Who asks.
        account: AccountId,
        /// Which EIP.
        eip: EipId,
        /// Whether the instance gets a new ordinary public IP.
        reallocate: Reallocate,
    },
    /// Give an unbound EIP back to the pool.
    ReleaseEip {
        /// Who asks.
        account: AccountId,
        /// Which EIP.
        eip: EipId,
    },
    /// Make a bandwidth package. When it was created is the time of the command.
    CreatePackage(Package),
    /// End a bandwidth package that nobody shares.
    DeletePackage {
        /// Who asks.
        account: AccountId,
        /// Which package.
        package: PackageId,
    },
    /// Let an instance's ordinary public IP or an EIP share a package.
    AddMember {
        /// Who asks.
        account: AccountId,
        /// Which package.
        package: PackageId,
        /// Who joins.
        member: Member,
    },
    /// Take a member out of its package; it is charged by traffic from then on.
    RemoveMember {
        /// Who asks.
        account: AccountId,
        /// Which package.
        package: PackageId,
        /// Who leaves.
        member: Member,
    },
    /// Change what may be changed about a package.
    ModifyPackage {
        /// Who asks.
        account: AccountId,
        /// Which package.
        package: PackageId,
        /// What shall be different.
        changes: PackageChanges,
    },
    /// Change what is remembered of an instance, and what changes no packet.
    AlterInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
        /// What shall be different.
        changes: InstanceChanges,
    },
    /// Carry out several commands, all or none.
    Together(Together),
    /// Make many instances known, each with a public address: all of them or none.
    ImportPairs(Import),
    /// Do what the time given has made due. Nothing, where nothing is.
    Expire,
    /// Another host on the link answers for this address: do not hand it out.
    MarkDuplicate {
        /// The address.
        address: Ipv4Addr,
    },
    /// No other host answers for this address any more.
    ClearDuplicate {
        /// The address.
        address: Ipv4Addr,
    },
    /// Take an address out of service: not handed out, and without traffic where it is held.
    FenceAddress {
        /// The address.
        address: Ipv4Addr,
        /// For people.
        reason: Option<String>,
    },
    /// Put an address into service again.
    UnfenceAddress {
        /// The address.
        address: Ipv4Addr,
    },
    /// Hand out addresses of one more range, or again of one that drains.
    AddPool {
        /// The range.
        definition: PoolDefinition,
        /// Whether it may be one that is not routed on the Internet.
        reserved: ReservedRanges,
    },
    /// Hand out no more addresses of a range.
    DrainPool {
        /// The range.
        prefix: Prefix,
    },
    /// Give up a range in which nobody holds an address.
    RemovePool {
        /// The range.
        prefix: Prefix,
    },
}

/// The instance a [`Command::CreateInstance`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInstance {
    /// The id it shall have.
    pub id: InstanceId,
    /// Who asks.
    pub account: AccountId,
    /// The address space of `private`.
    pub vpc: VpcId,
    /// What its network card carries.
    pub private: Ipv4Addr,
    /// A name, if any.
    pub name: Option<String>,
    /// Whether others of the account may have that name.
    pub naming: Naming,
    /// Public bandwidth in Mbit/s; 0 means no ordinary public IP.
    pub bandwidth_mbps: u32,
    /// How the bandwidth is charged.
    pub charge_type: ChargeType,
    /// The package that shares its bandwidth.
    pub package: Option<PackageId>,
    /// Paid for this long in advance, or by the hour afterwards.
    pub prepaid: Option<Duration>,
    /// Whether it runs already.
    pub begins: Begins,
    /// What shall be remembered of it, if anything.
    pub detail: Option<Box<InstanceDetail>>,
    /// Makes it safe to ask again.
    pub token: Option<ClientToken>,
}

impl NewInstance {
    /// One that runs, without public bandwidth, paid for by the hour.
    pub fn new(id: InstanceId, account: AccountId, vpc: VpcId, private: Ipv4Addr) -> Self {
        NewInstance {
            id,
            account,
            vpc,
            private,
            name: None,
            naming: Naming::default(),
            bandwidth_mbps: 0,
            charge_type: ChargeType::default(),
            package: None,
            prepaid: None,
            begins: Begins::Running,
            detail: None,
            token: None,
        }
    }
}

/// Whether a name tells an instance from the others of its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// A name that another instance has is refused.
    #[default]
    Unique,
    /// As the cloud's API has it: several may have one name, and are not found by it then.
    Shared,
}

/// The state an instance begins in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begins {
    /// It will be started.
    Pending,
    /// It runs.
    #[default]
    Running,
}

/// The EIP a [`Command::AllocateEip`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEip {
    /// The id it shall have.
    pub id: EipId,
    /// Who asks.
    pub account: AccountId,
    /// This very address, or any.
    pub address: Option<Ipv4Addr>,
    /// A name for people.
    pub name: Option<String>,
    /// In Mbit/s.
    pub bandwidth_mbps: u32,
    /// How the bandwidth is charged.
    pub charge_type: ChargeType,
    /// The package that shares its bandwidth.
    pub package: Option<PackageId>,
    /// What shall be remembered of it, if anything.
    pub detail: Option<Box<EipDetail>>,
    /// Makes it safe to ask again.
    pub token: Option<ClientToken>,
}

impl NewEip {
    /// Any address, at the least bandwidth.
    pub fn new(id: EipId, account: AccountId) -> Self {
        NewEip {
            id,
            account,
            address: None,
            name: None,
            bandwidth_mbps: 1,
            charge_type: ChargeType::OF_EIPS,
            package: None,
            detail: None,
            token: None,
        }
    }
}

/// Whether an instance gets a new ordinary public IP when its EIP is unbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reallocate {
    /// As the policy says; never without bandwidth.
    #[default]
    ByPolicy,
    /// Yes, or the unbinding is refused.
    Yes,
    /// No.
    No,
}

/// How much the packet path's maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Associations: instances with a public address.
    pub pairs: usize,
    /// Instances, with a public address or without.
    pub instances: usize,
}

impl Capacity {
    /// No limit.
    pub const UNLIMITED: Capacity = Capacity { pairs: usize::MAX, instances: usize::MAX };
}
