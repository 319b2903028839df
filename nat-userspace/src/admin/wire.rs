//! What crosses the socket. The rows are also what `-o json` prints, so their names and their order stay.

mod import;
mod past;
mod pool;

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

pub use self::import::{ImportRequest, Imported, PairRow, ProgressRow, StageRow};
pub use self::past::{EventRow, EventsEnd, FenceRow, HistoryReport, Pruned, TenureRow};
pub use self::pool::{PoolRow, PoolRowKind, PoolRowOrigin, PoolRowState};

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
        charge_type: Option<String>,
        package: Option<String>,
        prepaid_seconds: Option<u64>,
        #[serde(default)]
        pending: bool,
        client_token: Option<String>,
    },
    /// Answered with a [`Terminated`].
    InstanceTerminate { account: String, instance: String, vpc: Option<String> },
    /// Answered with a [`Readdressed`].
    InstanceStart { account: String, instance: String, vpc: Option<String> },
    /// Answered with a [`Readdressed`].
    InstanceStop { account: String, instance: String, vpc: Option<String>, stop_mode: StopModeRow },
    /// Answered with an [`InstanceRow`].
    InstanceRenew { account: String, instance: String, vpc: Option<String>, period_seconds: u64 },
    /// Answered with an [`InstanceRow`]. What is absent stays as it is.
    InstanceModify {
        account: String,
        instance: String,
        vpc: Option<String>,
        bandwidth_mbps: Option<u32>,
        charge_type: Option<String>,
    },
    /// Answered with a [`Readdressed`].
    InstanceReturnIp { account: String, instance: String, vpc: Option<String> },
    /// Answered with a [`Readdressed`].
    InstanceChangeIp { account: String, instance: String, vpc: Option<String> },
    /// Answered with an [`EipRow`].
    InstanceConvertIp { account: String, instance: String, vpc: Option<String>, name: Option<String> },
    /// Answered with a list of [`InstanceRow`].
    InstanceList { account: String },
    /// Answered with an [`InstanceRow`].
    InstanceShow { account: String, instance: String, vpc: Option<String> },
    /// Answered with an [`EipRow`].
    EipAllocate {
        account: String,
        address: Option<Ipv4Addr>,
        name: Option<String>,
        bandwidth_mbps: Option<u32>,
        charge_type: Option<String>,
        package: Option<String>,
        client_token: Option<String>,
    },
    /// Answered with an [`EipRow`]. What is absent stays as it is.
    EipModify {
        account: String,
        eip: String,
        name: Option<String>,
        bandwidth_mbps: Option<u32>,
        charge_type: Option<String>,
        blocked: Option<bool>,
        arrears: Option<bool>,
    },
    /// Answered with a [`Bound`].
    EipBind { account: String, eip: String, instance: String, vpc: Option<String> },
    /// Answered with an [`Unbound`]. Without `reallocate`, the policy says whether there is a new ordinary public IP.
    EipUnbind { account: String, eip: String, reallocate: Option<bool> },
    /// Answered with a [`Released`].
    EipRelease { account: String, eip: String },
    /// Answered with a list of [`EipRow`].
    EipList { account: String },
    /// Answered with an [`EipRow`].
    EipShow { account: String, eip: String },
    /// Followed by a [`PairRow`] on each of so many lines. Answered with an [`Imported`] after any number of
    /// [`Reply::Progress`].
    Import(ImportRequest),
    /// Answered with a list of [`PairRow`], by public address.
    Export { account: String },
    /// Answered with a [`PackageRow`].
    PackageCreate { account: String, name: Option<String>, bandwidth_mbps: Option<u32> },
    /// Answered with a list of [`PackageRow`].
    PackageList { account: String },
    /// Answered with a [`PackageRow`].
    PackageShow { account: String, package: String },
    /// Answered with the [`PackageRow`] as it was.
    PackageDelete { account: String, package: String },
    /// Answered with a [`PackageRow`]. A `member` is an EIP or an instance, by what finds it elsewhere.
    PackageAdd { account: String, package: String, member: String },
    /// Answered with a [`PackageRow`].
    PackageRemove { account: String, package: String, member: String },
    /// Answered with a list of [`QuotaRow`].
    QuotaList { account: String },
    /// Answered with a list of [`PoolRow`].
    PoolList {},
    /// Answered with a [`PoolRow`]. Of a pool that drains, it serves again.
    PoolAdd { pool: String, allow_reserved: bool },
    /// Answered with a [`PoolRow`].
    PoolDrain { pool: String },
    /// Answered with a [`PoolRow`], as it was.
    PoolRemove { pool: String },
    /// Answered with a [`FenceRow`].
    AddressFence { address: Ipv4Addr, reason: Option<String> },
    /// Answered with a [`FenceRow`], as it was.
    AddressUnfence { address: Ipv4Addr },
    /// Answered with a list of [`FenceRow`].
    FenceList {},
    /// Answered with a [`HistoryReport`]. `of` is a public address, or an instance's or EIP's id, or an instance's name;
    /// `at` is RFC 3339.
    History { account: String, of: String, at: Option<String> },
    /// Answered with a [`Pruned`]. `before` is RFC 3339.
    HistoryPrune { before: String },
    /// Answered with any number of [`Reply::Event`], and an [`EventsEnd`] where they are not followed. Without `since`,
    /// they begin with the next.
    Events { since: Option<u64>, follow: bool },
    /// Answered with a list of [`HostRow`]: what the maps should hold, over all accounts.
    HostList {},
    /// Answered with an [`Announced`]. Without addresses, all that are bound.
    Announce { addresses: Vec<Ipv4Addr>, per_second: u32 },
    /// Answered with a [`StatusReport`].
    Status {},
    /// Answered with a [`Reloaded`].
    Reload {},
}

impl Request {
    /// Whether it asks for a change.
    pub fn changes(&self) -> bool {
        match self {
            Request::InstanceCreate { .. }
            | Request::InstanceTerminate { .. }
            | Request::InstanceStart { .. }
            | Request::InstanceStop { .. }
            | Request::InstanceRenew { .. }
            | Request::InstanceModify { .. }
            | Request::InstanceReturnIp { .. }
            | Request::InstanceChangeIp { .. }
            | Request::InstanceConvertIp { .. }
            | Request::PackageCreate { .. }
            | Request::PackageDelete { .. }
            | Request::PackageAdd { .. }
            | Request::PackageRemove { .. }
            | Request::EipModify { .. }
            | Request::EipAllocate { .. }
            | Request::EipBind { .. }
            | Request::EipUnbind { .. }
            | Request::EipRelease { .. }
            | Request::Announce { .. }
            | Request::Reload {}
            | Request::PoolAdd { .. }
            | Request::PoolDrain { .. }
            | Request::PoolRemove { .. }
            | Request::AddressFence { .. }
            | Request::AddressUnfence { .. }
            | Request::HistoryPrune { .. } => true,
            Request::Import(import) => !import.check,
            Request::InstanceList { .. }
            | Request::InstanceShow { .. }
            | Request::EipList { .. }
            | Request::EipShow { .. }
            | Request::Export { .. }
            | Request::PackageList { .. }
            | Request::PackageShow { .. }
            | Request::QuotaList { .. }
            | Request::PoolList {}
            | Request::FenceList {}
            | Request::History { .. }
            | Request::Events { .. }
            | Request::HostList {}
            | Request::Status {} => false,
        }
    }

    /// The command's name, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Request::InstanceCreate { .. } => "instance create",
            Request::InstanceTerminate { .. } => "instance terminate",
            Request::InstanceStart { .. } => "instance start",
            Request::InstanceStop { .. } => "instance stop",
            Request::InstanceRenew { .. } => "instance renew",
            Request::InstanceModify { .. } => "instance modify",
            Request::InstanceReturnIp { .. } => "instance return-ip",
            Request::InstanceChangeIp { .. } => "instance change-ip",
            Request::InstanceConvertIp { .. } => "instance convert-ip",
            Request::InstanceList { .. } => "instance list",
            Request::InstanceShow { .. } => "instance show",
            Request::EipAllocate { .. } => "eip allocate",
            Request::EipModify { .. } => "eip modify",
            Request::EipBind { .. } => "eip bind",
            Request::EipUnbind { .. } => "eip unbind",
            Request::EipRelease { .. } => "eip release",
            Request::EipList { .. } => "eip list",
            Request::EipShow { .. } => "eip show",
            Request::Import(_) => "import",
            Request::Export { .. } => "export",
            Request::PackageCreate { .. } => "package create",
            Request::PackageList { .. } => "package list",
            Request::PackageShow { .. } => "package show",
            Request::PackageDelete { .. } => "package delete",
            Request::PackageAdd { .. } => "package add",
            Request::PackageRemove { .. } => "package remove",
            Request::QuotaList { .. } => "quota",
            Request::PoolList {} => "pool list",
            Request::PoolAdd { .. } => "pool add",
            Request::PoolDrain { .. } => "pool drain",
            Request::PoolRemove { .. } => "pool remove",
            Request::AddressFence { .. } => "address fence",
            Request::AddressUnfence { .. } => "address unfence",
            Request::FenceList {} => "address list",
            Request::History { .. } => "history",
            Request::HistoryPrune { .. } => "history prune",
            Request::Events { .. } => "events",
            Request::HostList {} => "host list",
            Request::Announce { .. } => "announce",
            Request::Status {} => "status",
            Request::Reload {} => "config reload",
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
    /// It is under way, and another line follows.
    Progress(ProgressRow),
    /// Something that happened, and another line follows.
    Event(Box<EventRow>),
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
    /// Of an import, the pair that is to blame, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<usize>,
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
    pub package_id: Option<String>,
    pub state: InstanceStateRow,
    /// Of a stopped one.
    pub stop_mode: Option<StopModeRow>,
    /// RFC 3339.
    pub state_since: String,
    pub billing: BillingRow,
    /// When a prepaid one expires, or is destroyed where it is in the recycle bin; RFC 3339.
    pub due_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// How far an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum InstanceStateRow {
    Pending,
    Running,
    Stopped,
    /// In the recycle bin.
    Shutdown,
    /// No more.
    Terminated,
}

/// What a stopped instance costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopModeRow {
    /// As much as a running one; it keeps its ordinary public IP.
    KeepCharging,
    /// Nothing; its ordinary public IP goes back to the pool.
    StopCharging,
}

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum BillingRow {
    Postpaid,
    Prepaid,
}

/// An instance, and what a command did to its ordinary public IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readdressed {
    /// The instance.
    #[serde(flatten)]
    pub instance: InstanceRow,
    /// What went back to the pool.
    pub released_ip: Option<Ipv4Addr>,
    /// What the pool gave.
    pub assigned_ip: Option<Ipv4Addr>,
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

/// What is being announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Addresses on a link, told about twice each from now on.
    pub announced: usize,
    /// Addresses in a routed pool, which nobody asks for by ARP.
    pub routed: usize,
    /// How many are told about in a second.
    pub per_second: u32,
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
    /// What became of the instance: shut down it can be renewed out of the recycle bin.
    pub state_now: InstanceStateRow,
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
    pub bandwidth_mbps: u32,
    /// Always false as long as rates are not enforced.
    pub bandwidth_enforced: bool,
    pub charge_type: String,
    pub package_id: Option<String>,
    /// Under attack and blackholed: it cannot be bound.
    pub blocked: bool,
    /// Not paid for: it cannot be bound.
    pub arrears: bool,
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

/// A bandwidth package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the user knows them")]
pub struct PackageRow {
    pub id: String,
    pub account: String,
    pub name: Option<String>,
    /// None is no limit.
    pub bandwidth_mbps: Option<u32>,
    /// Always false as long as rates are not enforced.
    pub bandwidth_enforced: bool,
    /// EIPs and instances that share it, by id.
    pub members: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// How much an account has used up of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRow {
    /// Of what, by the cloud API's name where it has one.
    pub quota: String,
    /// So much.
    pub used: u32,
    /// Of so much; none is no limit.
    pub limit: Option<u32>,
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
    /// Addresses that are out of service.
    pub fences: Vec<FenceRow>,
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

/// What became of a configuration that was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Settings that changed and are in effect.
    pub in_effect: Vec<String>,
    /// Settings that differ from those in effect until the daemon is restarted.
    pub waiting_for_restart: Vec<String>,
    /// Both as a sentence.
    pub message: String,
}
