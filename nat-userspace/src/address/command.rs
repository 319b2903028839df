//! What callers ask of the ledger.

use std::net::Ipv4Addr;

use super::{AccountId, ChargeType, EipId, InstanceId, VpcId};

/// A request to change the ledger. Each names the account that asks: to it, another account's objects do not exist. The
/// duplicate marks are the gateway's own observation and name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make an instance known, with an ordinary public IP when its bandwidth is above 0.
    CreateInstance(NewInstance),
    /// End an instance. Its ordinary public IP goes back to the pool; an EIP stays the account's.
    TerminateInstance {
        /// Who asks.
        account: AccountId,
        /// Which instance.
        instance: InstanceId,
    },
    /// Give the account an EIP.
    AllocateEip {
        /// The id it shall have.
        id: EipId,
        /// Who asks.
        account: AccountId,
        /// This very address, or any.
        address: Option<Ipv4Addr>,
        /// A name for people.
        name: Option<String>,
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
    /// A name unique within the account, if any.
    pub name: Option<String>,
    /// Public bandwidth in Mbit/s; 0 means no ordinary public IP.
    pub bandwidth_mbps: u32,
    /// How the bandwidth is charged.
    pub charge_type: ChargeType,
}

/// Whether an instance gets a new ordinary public IP when its EIP is unbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reallocate {
    /// Yes when its bandwidth is above 0, else no.
    #[default]
    ByBandwidth,
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
