//! What crosses the socket of ranges.

use serde::{Deserialize, Serialize};

/// One range of the pool. `held + cooling_down + free + set_aside` is `members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// The range.
    pub prefix: String,
    /// How it is reached.
    pub kind: PoolRowKind,
    /// Whether it hands out addresses.
    pub state: PoolRowState,
    /// Where it is from.
    pub origin: PoolRowOrigin,
    /// Addresses that can be handed out at all.
    pub members: u64,
    /// Ordinary public IPs and EIPs.
    pub held: u64,
    /// Released and resting.
    pub cooling_down: u64,
    /// Free now.
    pub free: u64,
    /// Not held and not handed out: another host answers for them, they are fenced, or the range drains.
    pub set_aside: u64,
    /// Addresses of the range that are never handed out.
    pub withheld: u64,
}

/// Whether a range hands out addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum PoolRowState {
    Serving,
    Draining,
}

/// Where a range is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolRowOrigin {
    /// The configuration has it.
    Configured,
    /// Only a command has added it.
    Added,
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
