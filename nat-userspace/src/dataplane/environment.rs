//! The host's own addresses, which decide how a pool is reached and whether it can be one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::network::{self, Topology};
use super::plan::LinkPlan;

/// What the host's network looks like to whoever makes pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The host's own addresses.
    pub own: Vec<OwnAddress>,
}

/// One of the host's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// Name of the interface it is on.
    pub interface: String,
    /// The address itself.
    pub address: Ipv4Addr,
    /// Length of its connected prefix.
    pub length: u8,
    /// Whether that interface is an uplink or routes for one.
    pub uplink: bool,
}

/// Reads the host's own addresses.
pub async fn environment(uplinks: &[LinkPlan]) -> Result<Environment> {
    let (handle, task) = network::connect()?;
    let topology = network::read(&handle).await;
    task.abort();
    Ok(Environment::of(uplinks, &topology?))
}

impl Environment {
    /// As the network is known to be.
    pub(super) fn of(uplinks: &[LinkPlan], topology: &Topology) -> Environment {
        let routes_for = |link: &LinkPlan| {
            let below = topology.named(&link.interface)?.index;
            topology.sub_interface(below, &link.tags).or(Some(below))
        };
        let uplinks: BTreeSet<u32> = uplinks.iter().filter_map(routes_for).collect();
        let own = topology.addresses.iter().filter_map(|own| {
            Some(OwnAddress {
                interface: topology.interfaces.get(&own.ifindex)?.name.clone(),
                address: own.address,
                length: own.length,
                uplink: uplinks.contains(&own.ifindex),
            })
        });
        Environment { own: own.collect() }
    }
}
