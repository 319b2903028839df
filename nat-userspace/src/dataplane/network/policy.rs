//! What decides about routes beside the tables: policy rules, and a setting.

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, IpVersion};

/// Whether tables alone decide where a packet goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// They do: the kernel's three rules are there and no others.
    #[default]
    Tables,
    /// Rules of the operator decide too, by source, mark, interface or whatever.
    Rules,
    /// The kernel holds packets against path MTUs that only it knows (`net.ipv4.ip_forward_use_pmtu`).
    PathMtu,
}

/// Priority and table of the rules every namespace is born with.
const STANDARD: [(u32, u32); 3] = [(0, 255), (32_766, 254), (32_767, 253)];

/// Reads the rules and the setting.
pub async fn read(handle: &Handle) -> Result<Policy> {
    let mut found = Vec::new();
    let mut rules = handle.rule().get(IpVersion::V4).execute();
    while let Some(message) = rules.try_next().await.context("listing the host's policy rules")? {
        found.push(standard(&message));
    }
    if found != STANDARD.map(Some) {
        return Ok(Policy::Rules);
    }
    // Kernels without the setting never do it.
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward_use_pmtu");
    Ok(if setting.is_ok_and(|setting| setting.trim() != "0") { Policy::PathMtu } else { Policy::Tables })
}

/// Priority and table of a rule that does nothing but name a table.
fn standard(rule: &RuleMessage) -> Option<(u32, u32)> {
    let header = &rule.header;
    if header.action != RuleAction::ToTable || !header.flags.is_empty() {
        return None;
    }
    if (header.src_len, header.dst_len, header.tos) != (0, 0, 0) {
        return None;
    }
    let (mut priority, mut table) = (0, header.table.into());
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Protocol(_) | RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            _ => return None,
        }
    }
    Some((priority, table))
}
