//! The host's network as netlink tells it: interfaces, addresses, routes, rules and neighbours, kept current by a task.

mod features;
mod kept;
mod links;
mod neighbours;
mod placed;
mod policy;
mod routes;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::address::AddressAttribute;
use rtnetlink::Handle;
use tokio::task::JoinHandle;

pub use features::{XdpFeatures, xdp_features};
pub use kept::let_go;
pub use links::{AttachMode, Interface};
pub use neighbours::Neighbour;
pub use placed::{Placing, take_all_off};
pub use policy::Policy;
pub use routes::{MAIN, Route, Routes, Way};
pub use watch::{Watch, subscribe};

/// An IPv4 address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// Interface it is on.
    pub ifindex: u32,
    /// The address itself.
    pub address: Ipv4Addr,
    /// Length of its connected prefix.
    pub length: u8,
}

/// A next hop: where, and which address to resolve there.
pub type NextHop = (u32, Ipv4Addr);

/// Everything the data plane follows. Cheap to clone, and to compare with what it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Interfaces by index.
    pub interfaces: Arc<BTreeMap<u32, Interface>>,
    /// The host's own addresses.
    pub addresses: Arc<Vec<OwnAddress>>,
    /// IPv4 routes of the tables that every packet is looked up in.
    pub routes: Arc<Routes>,
    /// What else decides about routes.
    pub policy: Policy,
    /// IPv4 neighbours.
    pub neighbours: Arc<BTreeMap<NextHop, Neighbour>>,
}

impl Topology {
    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.values().find(|interface| interface.name == name)
    }

    /// The host's addresses that come without a network, by interface.
    pub fn placed(&self) -> BTreeSet<placed::Place> {
        let alone = self.addresses.iter().filter(|own| own.length == 32);
        alone.map(|own| (own.ifindex, own.address)).collect()
    }

    /// The VLAN sub-interface for `tags`, outermost first, above an interface; itself for no tags.
    pub fn sub_interface(&self, below: u32, tags: &[u16]) -> Option<u32> {
        let Some((tag, rest)) = tags.split_first() else { return Some(below) };
        let above = self.interfaces.values().find(|interface| interface.vlan == Some((below, *tag)))?;
        self.sub_interface(above.index, rest)
    }
}

/// A connection for questions; its task ends with the handle.
pub fn connect() -> Result<(Handle, JoinHandle<()>)> {
    let (connection, handle, _) = rtnetlink::new_connection().context("opening a netlink socket")?;
    Ok((handle, tokio::spawn(connection)))
}

/// Reads everything once.
pub async fn read(handle: &Handle) -> Result<Topology> {
    Ok(Topology {
        interfaces: links::read(handle).await?.into(),
        addresses: read_addresses(handle).await?.into(),
        routes: routes::read(handle).await?.into(),
        policy: policy::read(handle).await?,
        neighbours: neighbours::read(handle).await?.into(),
    })
}

async fn read_addresses(handle: &Handle) -> Result<Vec<OwnAddress>> {
    let mut found = Vec::new();
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses.try_next().await.context("listing the host's addresses")? {
        // `Local` is the host's own; on a point-to-point link `Address` is the peer's.
        let own = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        if let Some(address) = own {
            let (ifindex, length) = (message.header.index, message.header.prefix_len);
            found.push(OwnAddress { ifindex, address, length });
        }
    }
    Ok(found)
}
