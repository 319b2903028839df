//! What crosses the socket of fences, history and events.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::PublicIpKind;

/// A fenced address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceRow {
    /// The address.
    pub address: Ipv4Addr,
    /// Why, for people.
    pub reason: Option<String>,
    /// RFC 3339.
    pub since: String,
    /// Whose ordinary public IP or EIP it is.
    pub held_by: Option<String>,
    /// The instance that is without traffic because of it.
    pub instance_id: Option<String>,
}

/// An answer out of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// In the order they began.
    pub tenures: Vec<TenureRow>,
    /// RFC 3339; what ended before may be missing, because it was pruned.
    pub pruned_before: Option<String>,
}

/// A time in which an address was in the same hands, or fenced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the user knows them")]
pub struct TenureRow {
    pub address: Ipv4Addr,
    /// Absent where this tells of a fence.
    pub public_ip_kind: Option<PublicIpKind>,
    pub fenced: bool,
    pub account: Option<String>,
    /// Absent while an EIP was bound to nothing.
    pub instance_id: Option<String>,
    pub instance_name: Option<String>,
    pub vpc: Option<String>,
    pub private_ip: Option<Ipv4Addr>,
    pub eip_id: Option<String>,
    /// RFC 3339.
    pub from: String,
    /// The name of the event it began with.
    pub came: String,
    pub from_revision: u64,
    /// RFC 3339; absent while it lasts.
    pub until: Option<String>,
    /// The name of the event it ended with.
    pub went: Option<String>,
    pub until_revision: Option<u64>,
    /// Of a fence.
    pub reason: Option<String>,
}

/// What a pruning removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// So many events.
    pub events: usize,
    /// RFC 3339.
    pub before: String,
}

/// Something that happened; what it does not concern is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the user knows them")]
pub struct EventRow {
    /// Higher than of all events before, and never used twice.
    pub revision: u64,
    /// RFC 3339.
    pub at: String,
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ip: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eip_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What was agreed, or which package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The end of a list of events that is not followed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsEnd {
    /// The last event told; the next list goes on from here.
    pub revision: u64,
}
