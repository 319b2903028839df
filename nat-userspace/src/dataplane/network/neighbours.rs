//! IPv4 neighbours.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::Handle;

use super::NextHop;

/// A neighbour. Which of the states it is in whose address the kernel believes makes no difference to a packet, so it is
/// not told: neighbours that are merely asked again are no news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// Its MAC address, where the kernel believes it.
    pub mac: Option<[u8; 6]>,
    /// It has been asked for and does not answer.
    pub failed: bool,
    /// The kernel keeps it resolved by itself, or need not.
    pub kept: bool,
}

/// Reads all of them.
pub async fn read(handle: &Handle) -> Result<BTreeMap<NextHop, Neighbour>> {
    let mut neighbours = BTreeMap::new();
    let mut messages = handle.neighbours().get().set_address_family(AddressFamily::Inet).execute();
    while let Some(message) = messages.try_next().await.context("listing the host's neighbours")? {
        neighbours.extend(neighbour(&message));
    }
    Ok(neighbours)
}

/// What a message says, where it is about an IPv4 neighbour.
pub fn neighbour(message: &NeighbourMessage) -> Option<(NextHop, Neighbour)> {
    use NeighbourState::{Delay, Failed, Noarp, Permanent, Probe, Reachable, Stale};
    let state = message.header.state;
    let (mut address, mut mac, mut managed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(destination)) => address = Some(*destination),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            NeighbourAttribute::ExtFlags(flags) => managed = flags.contains(NeighbourExtFlags::Managed),
            _ => {}
        }
    }
    let believed = matches!(state, Reachable | Stale | Delay | Probe | Permanent | Noarp);
    let neighbour =
        Neighbour { mac: mac.filter(|_| believed), failed: state == Failed, kept: managed || state == Permanent };
    (message.header.family == AddressFamily::Inet).then_some(((message.header.ifindex, address?), neighbour))
}
