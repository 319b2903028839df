//! The gateway's surroundings: links, pools, bindings, and the routes and neighbours of its host.
//!
//! One description serves both sides of the comparison: the reference asks it, and [`crate::program::Program`] builds
//! a network namespace from it and asks the kernel.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use crate::frames::Mac;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Uplink,
    Downlink { vpc: u32 },
}

/// One of the gateway's links: an interface, or a VLAN or QinQ on it.
#[derive(Clone, Debug)]
pub struct Link {
    pub ifindex: u32,
    /// VLAN ids, the outer one first.
    pub tags: Vec<u16>,
    /// The interface whose routes apply to it: the VLAN sub-interface where the host has one, else `ifindex` too.
    pub device: u32,
    pub mac: Mac,
    /// The gateway's own address on it: the source of its ICMP errors.
    pub address: Option<Ipv4Addr>,
    pub side: Side,
    pub connected: Vec<(Ipv4Addr, u8)>,
}

impl Link {
    /// Whether what the kernel sends by the device leaves without the link's tags: they are known to the program only.
    pub fn is_hidden_from_kernel(&self) -> bool {
        self.device == self.ifindex && !self.tags.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub public: Ipv4Addr,
    pub vpc: u32,
    pub private: Ipv4Addr,
}

/// An interface of the host.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub index: u32,
    pub mac: Mac,
    pub mtu: u32,
}

/// Where an entry of the host's routing table leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a router.
    Via {
        device: u32,
        gateway: Ipv4Addr,
    },
    /// To neighbours.
    On {
        device: u32,
    },
    /// Into a tunnel that the route itself describes.
    Tunnel {
        device: u32,
    },
    /// To the host itself.
    Local,
    Broadcast {
        device: u32,
    },
    Blackhole,
    Unreachable,
    Prohibit,
    /// Nowhere, as though there were no entry for it or for anything around it.
    Throw,
}

impl Way {
    /// The index of the loopback interface.
    const LOOPBACK: u32 = 1;

    /// The interface it leads to; refusals have none.
    pub fn device(self) -> Option<u32> {
        match self {
            Way::Via { device, .. } | Way::On { device } | Way::Tunnel { device } | Way::Broadcast { device } => {
                Some(device)
            }
            Way::Local => Some(Self::LOOPBACK),
            Way::Blackhole | Way::Unreachable | Way::Prohibit | Way::Throw => None,
        }
    }
}

/// An entry of the host's routing table. Of two for the same prefix the earlier one counts.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub prefix: (Ipv4Addr, u8),
    pub way: Way,
    /// A locked MTU of the route's own in place of the device's.
    pub mtu: Option<u32>,
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    At(Mac),
    Unresolved,
    /// Known not to answer ARP.
    Dead,
}

/// A question about the way out: the packet as translated.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub destination: Ipv4Addr,
    /// The device it must leave by, if that is not the routes' to choose.
    pub by: Option<u32>,
}

/// The way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Out { device: u32, mtu: u32, neighbour: Neighbour },
    NoRoute,
    Tunnel,
    Blackhole,
    Unreachable,
    Prohibit,
}

/// The gateway and its surroundings. Fill in the lists, then call [`World::index`].
#[derive(Clone, Default)]
pub struct World {
    pub links: Vec<Link>,
    pub pools: Vec<(Ipv4Addr, u8)>,
    pub pairs: Vec<Pair>,
    /// Instances without a public address.
    pub private_only: Vec<(u32, Ipv4Addr)>,
    /// The gateway's own addresses: `None` reachable by any link, `Some` by downlinks of that VPC only.
    pub own: Vec<(Ipv4Addr, Option<u32>)>,
    /// Those of them that only instances reach.
    pub instances_only: Vec<Ipv4Addr>,
    pub martian_exceptions: Vec<(Ipv4Addr, u8)>,
    pub devices: Vec<Device>,
    pub entries: Vec<Entry>,
    /// Neighbours by device and address; every other one is unresolved.
    pub neighbours: Vec<(u32, Ipv4Addr, Neighbour)>,
    /// Addresses on the Internet worth sending to, for the generator (those whose routes differ).
    pub remotes: Vec<Ipv4Addr>,
    /// Made by [`World::index`].
    pub indexes: Indexes,
}

/// The lists of a [`World`] by key.
#[derive(Clone, Default)]
pub struct Indexes {
    inbound: HashMap<Ipv4Addr, (u32, Ipv4Addr)>,
    outbound: HashMap<(u32, Ipv4Addr), Ipv4Addr>,
    private_only: HashSet<(u32, Ipv4Addr)>,
    by_vpc: HashMap<u32, Vec<Pair>>,
    hosts: HashMap<Ipv4Addr, Vec<Entry>>,
    networks: Vec<Entry>,
    neighbours: HashMap<(u32, Ipv4Addr), Neighbour>,
}

impl World {
    /// Builds the indexes; to be called again after the lists change.
    pub fn index(mut self) -> Self {
        let mut by_vpc: HashMap<u32, Vec<Pair>> = HashMap::new();
        for pair in &self.pairs {
            by_vpc.entry(pair.vpc).or_default().push(*pair);
        }
        let mut hosts: HashMap<Ipv4Addr, Vec<Entry>> = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.prefix.1 == 32) {
            hosts.entry(entry.prefix.0).or_default().push(*entry);
        }
        let mut networks: Vec<Entry> = self.entries.iter().filter(|entry| entry.prefix.1 < 32).copied().collect();
        networks.sort_by_key(|entry| 32 - entry.prefix.1);
        self.indexes = Indexes {
            by_vpc,
            inbound: self.pairs.iter().map(|pair| (pair.public, (pair.vpc, pair.private))).collect(),
            outbound: self.pairs.iter().map(|pair| ((pair.vpc, pair.private), pair.public)).collect(),
            private_only: self.private_only.iter().copied().collect(),
            hosts,
            networks,
            neighbours: self.neighbours.iter().map(|(device, at, known)| ((*device, *at), *known)).collect(),
        };
        self
    }
    /// The link of these tags; a VLAN id of 0 carries a priority and no VLAN (802.1Q 6.9).
    pub fn link(&self, ifindex: u32, tags: &[u16]) -> Option<&Link> {
        let tags: Vec<_> = tags.iter().copied().filter(|id| *id != 0).collect();
        self.links.iter().find(|link| link.ifindex == ifindex && link.tags == tags)
    }
    /// The VPC and private address a public one serves.
    pub fn private(&self, public: Ipv4Addr) -> Option<(u32, Ipv4Addr)> {
        self.indexes.inbound.get(&public).copied()
    }
    pub fn public(&self, vpc: u32, private: Ipv4Addr) -> Option<Ipv4Addr> {
        self.indexes.outbound.get(&(vpc, private)).copied()
    }
    /// Whether an instance lives there that has no public address.
    pub fn is_private_only(&self, vpc: u32, private: Ipv4Addr) -> bool {
        self.indexes.private_only.contains(&(vpc, private))
    }
    /// The bound instances of a VPC.
    pub fn pairs_of(&self, vpc: u32) -> &[Pair] {
        self.indexes.by_vpc.get(&vpc).map_or(&[], Vec::as_slice)
    }
    pub fn in_pool(&self, address: Ipv4Addr) -> bool {
        within(address, &self.pools)
    }
    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own.iter().any(|(own, _)| *own == address)
    }
    pub fn is_own_from(&self, address: Ipv4Addr, side: Side) -> bool {
        self.own
            .iter()
            .any(|(own, scope)| *own == address && scope.is_none_or(|scope| side == Side::Downlink { vpc: scope }))
    }
    /// Whether an address lies in a prefix connected to one of the VPC's downlinks.
    pub fn is_connected(&self, vpc: u32, address: Ipv4Addr) -> bool {
        let links = self.links.iter().filter(|link| link.side == Side::Downlink { vpc });
        links.into_iter().any(|link| within(address, &link.connected))
    }
    /// The device every packet into a VPC must leave by; `None` where it has several, and the routes choose.
    pub fn only_device(&self, vpc: u32) -> Option<u32> {
        let links = self.links.iter().filter(|link| link.side == Side::Downlink { vpc });
        let devices: HashSet<_> = links.map(|link| link.device).collect();
        if devices.len() == 1 { devices.into_iter().next() } else { None }
    }
    /// The VPCs that have downlinks.
    pub fn vpcs(&self) -> HashSet<u32> {
        let vpc = |link: &Link| if let Side::Downlink { vpc } = link.side { Some(vpc) } else { None };
        self.links.iter().filter_map(vpc).collect()
    }

    /// The way out: the longest prefix that leads to the device asked for, refusals leading to all of them.
    pub fn route(&self, query: Query) -> Route {
        let Indexes { hosts, networks, neighbours, .. } = &self.indexes;
        let exact = hosts.get(&query.destination).map_or(&[][..], Vec::as_slice).iter();
        let around = networks.iter().filter(|entry| within(query.destination, &[entry.prefix]));
        let fits = |entry: &&Entry| match (query.by, entry.way.device()) {
            (Some(wanted), Some(device)) => wanted == device,
            _ => true,
        };
        let Some(entry) = exact.chain(around).find(fits) else { return Route::NoRoute };
        let (device, next) = match entry.way {
            Way::Via { device, gateway } => (device, gateway),
            Way::On { device } => (device, query.destination),
            Way::Tunnel { .. } => return Route::Tunnel,
            Way::Local | Way::Broadcast { .. } | Way::Throw => return Route::NoRoute,
            Way::Blackhole => return Route::Blackhole,
            Way::Unreachable => return Route::Unreachable,
            Way::Prohibit => return Route::Prohibit,
        };
        let mtu = entry.mtu.unwrap_or_else(|| self.device(device).mtu);
        let neighbour = neighbours.get(&(device, next)).copied().unwrap_or(Neighbour::Unresolved);
        Route::Out { device, mtu, neighbour }
    }

    /// # Panics
    /// Where there is no such device.
    pub fn device(&self, index: u32) -> &Device {
        self.devices.iter().find(|device| device.index == index).expect("routes lead to devices there are")
    }
}

/// Whether an address lies in one of the prefixes.
pub fn within(address: Ipv4Addr, prefixes: &[(Ipv4Addr, u8)]) -> bool {
    prefixes.iter().any(|(prefix, length)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
        (u32::from(address) ^ u32::from(*prefix)) & mask == 0
    })
}
