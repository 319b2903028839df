//! Addresses that the gateway puts on interfaces of the host.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressScope};
use rtnetlink::Handle;
use tokio::sync::watch::Receiver;
use tokio::time::MissedTickBehavior;

use super::Topology;

/// An address of the length of a host, and the interface it is on.
pub type Place = (u32, Ipv4Addr);

const HOST: u8 = 32;

/// Which addresses are to be there, and which of ours are not any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placing {
    /// To be there.
    pub wanted: BTreeSet<Place>,
    /// To be there no more.
    pub unwanted: BTreeSet<Place>,
}

/// Has every wanted address on its interface and no unwanted one, now and whenever that changes.
pub async fn place(handle: Handle, mut wishes: Receiver<Placing>, mut topology: Receiver<Topology>) {
    // What the kernel refused is tried again.
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Placing { wanted, unwanted } = wishes.borrow_and_update().clone();
        let now = topology.borrow_and_update().placed();
        for (index, address) in wanted.difference(&now) {
            let mut request = handle.address().add(*index, IpAddr::V4(*address), HOST);
            // Of the host's scope, it is never chosen as the source of what the host says to others by itself.
            request.message_mut().header.scope = AddressScope::Host;
            if let Err(error) = request.execute().await {
                tracing::debug!("{address} cannot be put on interface {index}: {error}");
            }
        }
        for (index, address) in unwanted.intersection(&now) {
            if let Err(error) = take_off(&handle, *index, *address).await {
                tracing::debug!("{address} cannot be taken off interface {index}: {error:#}");
            }
        }
        let still_there = tokio::select! {
            changed = wishes.changed() => changed.is_ok(),
            changed = topology.changed() => changed.is_ok(),
            _ = tick.tick() => true,
        };
        if !still_there {
            return;
        }
    }
}

/// Takes addresses off interfaces, where they are still there; says which.
pub async fn take_all_off(places: &BTreeSet<(String, Ipv4Addr)>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if places.is_empty() {
        return Ok(lines);
    }
    let (handle, task) = super::connect()?;
    for (interface, address) in places {
        // One that is gone took its addresses along.
        let Ok(index) = nix::net::if_::if_nametoindex(interface.as_str()) else { continue };
        if take_off(&handle, index, *address).await? {
            lines.push(format!("removed {address} from {interface}"));
        }
    }
    task.abort();
    Ok(lines)
}

async fn take_off(handle: &Handle, index: u32, address: Ipv4Addr) -> Result<bool> {
    let mut all = handle.address().get().set_link_index_filter(index).execute();
    let mut found = None;
    while let Some(message) = all.try_next().await.context("listing the host's addresses")? {
        let is = |attribute: &AddressAttribute| *attribute == AddressAttribute::Local(IpAddr::V4(address));
        let ours = message.header.family == AddressFamily::Inet && message.header.prefix_len == HOST;
        if ours && message.header.index == index && message.attributes.iter().any(is) {
            found = Some(message);
        }
    }
    let Some(message) = found else { return Ok(false) };
    let removed = handle.address().del(message).execute().await;
    removed.with_context(|| format!("removing {address} from interface {index}"))?;
    Ok(true)
}
