//! What crosses the socket. The rows are also what `-o json` prints, so their names and their order stay.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A request line longer than this is refused.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// What a client asks for. `account` is the one it acts for. An `instance` is an id, a name or a private address, with
/// `vpc` where that is not enough; an `eip` is an id or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named like the flags of the command line, which has help")]
pub enum Request {
    /// Answered with an [`InstanceRow`].
    InstanceCreate {
        account: String,
        vpc: String,
        private_ip: Ipv4Addr,
        name: Option<String>,
        bandwidth_mbps: u32,
        charge_type: String,
    },
    /// Answered with a [`Terminated`].
    InstanceTerminate { account: String, instance: String, vpc: Option<String> },
    /// Answered with a list of [`InstanceRow`].
    InstanceList { account: String },
    /// Answered with an [`InstanceRow`].
    InstanceShow { account: String, instance: String, vpc: Option<String> },
    /// Answered with an [`EipRow`].
    EipAllocate { account: String, address: Option<Ipv4Addr>, name: Option<String> },
    /// Answered with a [`Bound`].
    EipBind { account: String, eip: String, instance: String, vpc: Option<String> },
    /// Answered with an [`Unbound`]. Without `reallocate`, a new ordinary public IP follows from the bandwidth.
    EipUnbind { account: String, eip: String, reallocate: Option<bool> },
    /// Answered with a [`Released`].
    EipRelease { account: String, eip: String },
    /// Answered with a list of [`EipRow`].
    EipList { account: String },
    /// Answered with an [`EipRow`].
    EipShow { account: String, eip: String },
    /// Answered with a list of [`PoolRow`].
    PoolList {},
    /// Answered with a list of [`HostRow`]: what the maps should hold, over all accounts.
    HostList {},
    /// Answered with a [`StatusReport`].
    Status {},
}

impl Request {
    /// Whether it asks for a change.
    pub fn changes(&self) -> bool {
        match self {
            Request::InstanceCreate { .. }
            | Request::InstanceTerminate { .. }
            | Request::EipAllocate { .. }
            | Request::EipBind { .. }
            | Request::EipUnbind { .. }
            | Request::EipRelease { .. } => true,
            Request::InstanceList { .. }
            | Request::InstanceShow { .. }
            | Request::EipList { .. }
            | Request::EipShow { .. }
            | Request::PoolList {}
            | Request::HostList {}
            | Request::Status {} => false,
        }
    }

    /// The command's name, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Request::InstanceCreate { .. } => "instance create",
            Request::InstanceTerminate { .. } => "instance terminate",
            Request::InstanceList { .. } => "instance list",
            Request::InstanceShow { .. } => "instance show",
            Request::EipAllocate { .. } => "eip allocate",
            Request::EipBind { .. } => "eip bind",
            Request::EipUnbind { .. } => "eip unbind",
            Request::EipRelease { .. } => "eip release",
            Request::EipList { .. } => "eip list",
            Request::EipShow { .. } => "eip show",
            Request::PoolList {} => "pool list",
            Request::HostList {} => "host list",
            Request::Status {} => "status",
        }
    }
}

/// A reply line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// It is done, and in effect on the next packet.
    Ok(T),
    /// It is not, or not in full.
    Error(Complaint),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Roughly.
    pub kind: ComplaintKind,
    /// Exactly, for programs.
    pub code: String,
    /// Exactly, for people: one sentence.
    pub message: String,
}

/// What to make of a complaint without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComplaintKind {
    /// The object does not exist, or not for this account.
    NotFound,
    /// The present state does not permit it.
    Conflict,
    /// It could never be done as asked.
    Invalid,
    /// Something has run out.
    Exhausted,
    /// The fault is the gateway's.
    Internal,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the user knows them")]
pub struct InstanceRow {
    pub id: String,
    pub account: String,
    pub name: Option<String>,
    pub vpc: String,
    pub private_ip: Ipv4Addr,
    pub public_ip: Option<Ipv4Addr>,
    pub public_ip_kind: Option<PublicIpKind>,
    pub eip_id: Option<String>,
    pub bandwidth_mbps: u32,
    /// Always false as long as rates are not enforced.
    pub bandwidth_enforced: bool,
    pub charge_type: String,
    /// RFC 3339.
    pub created_at: String,
}

/// What a public address is to its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicIpKind {
    /// It lives and dies with the instance.
    Ordinary,
    /// It is the account's.
    Eip,
}

/// A terminated instance as it was, and what became of its public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    /// The instance.
    #[serde(flatten)]
    pub instance: InstanceRow,
    /// The ordinary public IP that went back to the pool.
    pub released_ip: Option<Ipv4Addr>,
    /// The EIP that stays the account's.
    pub unbound_eip: Option<String>,
}

/// An EIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the user knows them")]
pub struct EipRow {
    pub id: String,
    pub account: String,
    pub name: Option<String>,
    pub address: Ipv4Addr,
    pub state: EipState,
    pub instance_id: Option<String>,
    pub vpc: Option<String>,
    pub private_ip: Option<Ipv4Addr>,
    /// RFC 3339.
    pub created_at: String,
}

/// Whether an EIP serves an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EipState {
    Bound,
    Unbound,
}

/// An EIP just bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The EIP.
    #[serde(flatten)]
    pub eip: EipRow,
    /// The instance's ordinary public IP that went back to the pool.
    pub released_ip: Option<Ipv4Addr>,
}

/// An EIP just unbound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbound {
    /// The EIP.
    #[serde(flatten)]
    pub eip: EipRow,
    /// The instance it served.
    pub unbound_from: String,
    /// That instance's new ordinary public IP.
    pub assigned_ip: Option<Ipv4Addr>,
}

/// An EIP just released, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The EIP.
    #[serde(flatten)]
    pub eip: EipRow,
    /// When its address may be handed out again, RFC 3339.
    pub rests_until: String,
}

/// One range of the pool. `held + cooling_down + free + set_aside` is `members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// The range.
    pub prefix: String,
    /// How it is reached.
    pub kind: PoolRowKind,
    /// Addresses that can be handed out at all.
    pub members: u64,
    /// Ordinary public IPs and EIPs.
    pub held: u64,
    /// Released and resting.
    pub cooling_down: u64,
    /// Free now.
    pub free: u64,
    /// Not held, and not handed out because another host answers for them.
    pub set_aside: u64,
    /// Addresses of the range that are never handed out.
    pub withheld: u64,
}

/// How a range is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolRowKind {
    /// By a route to the gateway.
    Routed,
    /// By ARP on an uplink.
    OnLink,
}

/// An instance as the maps should have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct HostRow {
    pub vpc: String,
    pub private_ip: Ipv4Addr,
    pub public_ip: Option<Ipv4Addr>,
    pub instance_id: String,
}

/// How the gateway is. `Plane` is what the data plane says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport<Plane> {
    /// Of the daemon.
    pub version: String,
    /// Of the daemon.
    pub pid: u32,
    /// RFC 3339.
    pub serving_since: String,
    /// Whether `problems` has any.
    pub degraded: bool,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
    /// Whether the maps may be behind the ledger.
    pub dirty: bool,
    /// Instances, over all accounts.
    pub instances: Usage,
    /// Instances with a public address.
    pub pairs: Usage,
    /// EIPs, bound or not.
    pub eips: usize,
    /// Held addresses that the present pools do not have.
    pub held_outside_pools: usize,
    /// What the data plane says.
    pub data_plane: Plane,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// How much of a limit is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Usage {
    pub entries: usize,
    pub capacity: usize,
}
