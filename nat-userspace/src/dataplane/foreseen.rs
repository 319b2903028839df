//! What the daemon would have packets do without asking the kernel, for whoever compares the two.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use nat_common::abi::Hop;

use super::network;
use super::plan::Plan;
use super::routing::{Reason, Routing};

/// The next hops that follow from the network as it was read.
pub struct Foreseen(Routing);

/// Reads the network of the calling thread's namespace.
pub fn read(plan: &Plan) -> Result<Foreseen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("making a runtime")?;
    let topology = runtime.block_on(async {
        let (handle, task) = network::connect()?;
        let topology = network::read(&handle).await;
        task.abort();
        topology
    })?;
    Ok(Foreseen(Routing::new(plan, &topology, &Routing::default())))
}

impl Foreseen {
    /// How a packet to an instance would leave.
    ///
    /// # Errors
    /// Why the kernel would be asked.
    pub fn towards(&self, vpc: u32, private: Ipv4Addr) -> Result<Hop, Reason> {
        self.0.towards(vpc, private).and_then(|key| self.0.hop(&key))
    }

    /// How a packet to a host on the Internet would leave.
    ///
    /// # Errors
    /// Why the kernel would be asked.
    pub fn outside(&self, destination: Ipv4Addr) -> Result<Hop, Reason> {
        let network =
            |address: Ipv4Addr, length: u8| u32::from(address).checked_shr(32 - u32::from(length)).unwrap_or(0);
        // A mark is for a /24, so longer prefixes count for all of theirs.
        let mut marked = self.0.marked().map(|(address, length)| (address, length.min(24)));
        if marked.any(|(address, length)| network(address, length) == network(destination, length)) {
            return Err("a route other than the default is near");
        }
        self.0.internet().and_then(|key| self.0.hop(&key))
    }
}
