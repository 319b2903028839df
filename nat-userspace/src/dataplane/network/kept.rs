//! Next hops the kernel is asked to keep resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourExtFlags, NeighbourState};
use rtnetlink::Handle;
use tokio::sync::watch::Receiver;
use tokio::time::MissedTickBehavior;

use super::{NextHop, Topology};

/// Makes every wanted next hop a managed neighbour, now and whenever one is lost: the kernel resolves it ahead of traffic
/// and keeps it resolved, which packets that XDP forwards would not do. A task of its own, because thousands of them
/// must not hold up news of the network.
pub async fn keep(handle: Handle, mut wanted: Receiver<BTreeSet<NextHop>>, mut topology: Receiver<Topology>) {
    // What the kernel refused is tried again: interfaces come up.
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let missing: Vec<NextHop> = {
            let neighbours = topology.borrow_and_update().neighbours.clone();
            let kept = |next_hop: &&NextHop| neighbours.get(next_hop).is_some_and(|neighbour| neighbour.kept);
            wanted.borrow_and_update().iter().filter(|next_hop| !kept(next_hop)).copied().collect()
        };
        for (ifindex, address) in missing {
            let request = handle.neighbours().add(ifindex, IpAddr::V4(address));
            let mut request = request.state(NeighbourState::None).replace();
            request.message_mut().attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
            if let Err(error) = request.execute().await {
                tracing::debug!("next hop {address} on interface {ifindex} cannot be kept resolved: {error}");
            }
        }
        let still_there = tokio::select! {
            changed = wanted.changed() => changed.is_ok(),
            changed = topology.changed() => changed.is_ok(),
            _ = tick.tick() => true,
        };
        if !still_there {
            return;
        }
    }
}

/// Removes the neighbours on these interfaces, and on VLAN sub-interfaces of them, that the kernel was asked to keep
/// resolved; says which. It finds again whom it needs.
pub async fn let_go(interfaces: &BTreeSet<u32>) -> Result<Vec<String>> {
    if interfaces.is_empty() {
        return Ok(Vec::new());
    }
    let (handle, task) = super::connect()?;
    let result = remove_kept(&handle, interfaces).await;
    task.abort();
    result
}

async fn remove_kept(handle: &Handle, interfaces: &BTreeSet<u32>) -> Result<Vec<String>> {
    let all = super::links::read(handle).await?;
    let on_ours = |index: u32| {
        let mut at = Some(index);
        // Two tags at most.
        (0..3).any(|_| {
            let here = at.is_some_and(|index| interfaces.contains(&index));
            at = at.and_then(|index| all.get(&index)?.vlan).map(|(below, _)| below);
            here
        })
    };
    let mut found = Vec::new();
    let mut messages = handle.neighbours().get().set_address_family(AddressFamily::Inet).execute();
    while let Some(message) = messages.try_next().await.context("listing the host's neighbours")? {
        let managed = |attribute: &NeighbourAttribute| {
            let NeighbourAttribute::ExtFlags(flags) = attribute else { return false };
            flags.contains(NeighbourExtFlags::Managed)
        };
        if message.attributes.iter().any(managed) && on_ours(message.header.ifindex) {
            found.push(message);
        }
    }
    let mut removed = BTreeMap::<String, Vec<Ipv4Addr>>::new();
    for message in found {
        let Some(((index, address), _)) = super::neighbours::neighbour(&message) else { continue };
        let name = all.get(&index).map_or_else(|| index.to_string(), |interface| interface.name.clone());
        if handle.neighbours().del(message).execute().await.is_ok() {
            removed.entry(name).or_default().push(address);
        }
    }
    Ok(removed.into_iter().flat_map(|(name, addresses)| said(&name, &addresses)).collect())
}

/// A line for each neighbour where they are few; one for all of an interface with many instances behind it.
fn said(interface: &str, addresses: &[Ipv4Addr]) -> Vec<String> {
    const FEW: usize = 8;
    if addresses.len() > FEW {
        return vec![format!("removed {} neighbours on {interface}, which were kept resolved", addresses.len())];
    }
    let line = |address| format!("removed the neighbour {address} on {interface}, which was kept resolved");
    addresses.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_neighbours_are_told_in_one_line() {
        let addresses: Vec<Ipv4Addr> = (1..=1000).map(|number| Ipv4Addr::from_bits(0x0a00_0000 + number)).collect();
        assert_eq!(said("eth1", &addresses), ["removed 1000 neighbours on eth1, which were kept resolved"]);
        let [one, another] = ["10.0.0.1", "10.0.0.2"]
            .map(|address| format!("removed the neighbour {address} on eth1, which was kept resolved"));
        assert_eq!(said("eth1", &addresses[..2]), [one, another]);
    }
}
