//! What crosses the socket of an import.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::PublicIpKind;

/// Pairs to be made, all or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Who will own the instances and EIPs.
    pub account: String,
    /// What each public address is to its instance.
    pub public_ip_kind: PublicIpKind,
    /// Of each instance.
    pub bandwidth_mbps: u32,
    /// Only whether it could be done: nothing changes.
    pub check: bool,
    /// How many lines follow.
    pub pairs: usize,
}

/// A pair, to be imported or as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as the user knows them")]
pub struct PairRow {
    pub public_ip: Ipv4Addr,
    pub private_ip: Ipv4Addr,
    pub vpc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Pairs that are new; 0 when it was only to be checked.
    pub imported: usize,
    /// Pairs that were looked at and found good.
    pub checked: usize,
    /// Whose they are.
    pub account: String,
    /// What each public address is to its instance.
    pub public_ip_kind: PublicIpKind,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRow {
    /// What is being done.
    pub stage: StageRow,
    /// How much of `total` is done.
    pub done: usize,
    /// 0 where the stage is one step.
    pub total: usize,
}

/// What is done to a request, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum StageRow {
    Deciding,
    Committing,
    Writing,
}
