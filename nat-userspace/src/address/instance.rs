//! Instances, and the association of a private with a public address.

use std::fmt;
use std::net::Ipv4Addr;

use super::{AccountId, ChargeType, InstanceDetail, InstanceId, PackageId, Time, VpcId};

/// An instance behind the gateway: it carries a private address only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Unique over all accounts.
    pub id: InstanceId,
    /// The owner.
    pub account: AccountId,
    /// The address space in which `private` is unique.
    pub vpc: VpcId,
    /// What the instance's network card carries.
    pub private: Ipv4Addr,
    /// For people; the instance is found by it where no other of the account has it.
    pub name: Option<String>,
    /// Public bandwidth in Mbit/s; 0 means no ordinary public IP.
    pub bandwidth_mbps: u32,
    /// How the bandwidth is charged.
    pub charge_type: ChargeType,
    /// The package that shares its bandwidth; only where the charge type says so.
    pub package: Option<PackageId>,
    /// How the instance itself is paid for.
    pub billing: Billing,
    /// How far it is in its life.
    pub state: InstanceState,
    /// When it came into this state.
    pub since: Time,
    /// The ordinary public IP; absent while an EIP is bound or the instance is off without charge.
    pub ordinary: Option<Ipv4Addr>,
    /// The ordinary public IP given up last, which this instance never gets back in the next assignment.
    pub last_ordinary: Option<Ipv4Addr>,
    /// Whether it gets a new ordinary public IP when it is started: what it had went back to the pool when it stopped.
    pub owed: bool,
    /// When it was created.
    pub created: Time,
    /// What is remembered of it, where anything is.
    pub detail: Option<Box<InstanceDetail>>,
}

/// How far an instance is in its life. A terminated one is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceState {
    /// Made known, and not running for the first time yet.
    Pending,
    /// On.
    Running,
    /// Off.
    Stopped(StopMode),
    /// Prepaid, terminated once, and waiting in the recycle bin to be renewed or destroyed.
    Shutdown,
}

/// What a stopped instance costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopMode {
    /// As much as a running one; it keeps its ordinary public IP.
    #[default]
    KeepCharging,
    /// Nothing; its ordinary public IP went back to the pool.
    StopCharging,
}

impl InstanceState {
    /// Whether public addresses may be its own: not in the bin, nor off without charge.
    pub fn keeps_ordinary(self) -> bool {
        !matches!(self, InstanceState::Stopped(StopMode::StopCharging) | InstanceState::Shutdown)
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::Stopped(StopMode::KeepCharging) => "stopped",
            InstanceState::Stopped(StopMode::StopCharging) => "stopped without charge",
            InstanceState::Shutdown => "in the recycle bin",
        })
    }
}

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Billing {
    /// By the hour, afterwards.
    #[default]
    Postpaid,
    /// Up to a time, at which it is terminated unless it is renewed.
    Prepaid {
        /// That time.
        until: Time,
    },
}

/// The fact that `public` serves `private` in `vpc`, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Association {
    /// The address space of `private`.
    pub vpc: VpcId,
    /// What the instance carries.
    pub private: Ipv4Addr,
    /// What the Internet sees: an ordinary public IP or an EIP.
    pub public: Ipv4Addr,
}
