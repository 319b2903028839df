//! The public ranges of a packet path that runs: what the network says of them, and how they come and go.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::{DataPlane, Environment, Fresh, Notice};
use crate::address::Prefix;

impl DataPlane {
    /// The host's own addresses as they are now.
    pub fn environment(&self) -> Environment {
        Environment::of(&self.plan.uplinks, &self.watch.topology.borrow())
    }

    /// Makes these the public ranges, in the program's tables, the guard and the answers by ARP, when this returns. What
    /// fails is tried again at every turn.
    pub fn set_pools(&mut self, pools: &[Prefix]) -> Result<()> {
        if self.plan.pools == pools {
            return Ok(());
        }
        self.plan.pools = pools.to_vec();
        if !self.serving {
            return Ok(());
        }
        self.follow(Fresh::No)
    }

    pub(super) fn own_address_in_pool(&mut self) -> Option<Notice> {
        let inside = self.followed.topology().addresses.iter().map(|own| own.address);
        let inside = inside.filter(|address| self.plan.pools.iter().any(|pool| pool.contains(*address)));
        let inside: BTreeSet<Ipv4Addr> = inside.collect();
        let new = inside.difference(&self.told).next().copied();
        self.told = inside;
        new.map(|address| Notice::OwnAddressInPool { address })
    }
}
