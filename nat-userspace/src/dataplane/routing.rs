//! Where the kernel's FIB would send a packet, foreseen from what netlink tells: no I/O, and no answer where the FIB
//! weighs anything that is not modelled here. Then the program asks the FIB itself, which is always right.
//!
//! The questions are those of `ask_kernel` in the program: into a VPC with one downlink, routes by that interface only;
//! into one with several, and to the Internet, whatever route is the best.

#[cfg(test)]
pub mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use nat_common::abi::{Egress, EgressKey, HOP_READY, Hop};

use super::network::{MAIN, Policy, Route, Routes, Topology, Way};
use super::plan::Plan;
use super::tables;

/// What a next hop is: everything that makes the frame's way, before it is known how to get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopKey {
    /// VPC it leads into, 0 for the Internet.
    pub vpc: u32,
    /// Interface the route leaves by, as the FIB names it.
    pub ifindex: u32,
    /// Whose MAC address the frame carries: a gateway's, or the destination's own.
    pub gateway: Ipv4Addr,
}

/// Mask of a network of length 24.
pub const NETWORK: u32 = 0xffff_ff00;

/// Why there is no next hop that could be known, or why it is not known now.
pub type Reason = &'static str;

/// What the kernel would do, as of one topology.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    topology: Topology,
    index: Arc<Index>,
    egress: BTreeMap<EgressKey, Egress>,
    /// VPCs with downlinks, and the interface their routes are constrained to.
    vpcs: BTreeMap<u32, Option<u32>>,
}

/// The routes by prefix.
#[derive(Debug, Default)]
struct Index {
    /// Routes to each prefix in the order the kernel tries them.
    prefixes: foldhash::HashMap<(u8, u32), Vec<Route>>,
    /// The lengths there are, longest first.
    lengths: Vec<u8>,
}

/// What a change of routes may have moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved(BTreeMap<u32, Vec<(u8, u32)>>);

impl Moved {
    /// Whether nothing has moved.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what has moved later.
    pub fn add(&mut self, later: Moved) {
        for (vpc, prefixes) in later.0 {
            self.0.entry(vpc).or_default().extend(prefixes);
        }
    }

    /// Whether something in the VPC may have.
    pub fn in_vpc(&self, vpc: u32) -> bool {
        self.0.contains_key(&vpc)
    }

    /// Whether this instance may have.
    pub fn has(&self, vpc: u32, private: Ipv4Addr) -> bool {
        let inside = |(length, network): &(u8, u32)| masked(private, *length) == *network;
        self.0.get(&vpc).is_some_and(|prefixes| prefixes.iter().any(inside))
    }
}

impl Routing {
    /// What follows from plan and topology. What follows from unchanged routes is taken over from the one before.
    pub fn new(plan: &Plan, topology: &Topology, before: &Routing) -> Routing {
        let present = tables::present(plan, topology);
        let mut vpcs: BTreeMap<u32, Option<u32>> = BTreeMap::new();
        for link in present.iter().filter(|link| link.vpc() != 0) {
            vpcs.entry(link.vpc()).and_modify(|only| *only = None).or_insert(Some(link.routing.index));
        }
        let same = Arc::ptr_eq(&topology.routes, &before.topology.routes);
        Routing {
            topology: topology.clone(),
            index: if same { before.index.clone() } else { Arc::new(Index::new(&topology.routes)) },
            egress: present.iter().map(tables::Present::egress).collect(),
            vpcs,
        }
    }

    /// The next hop towards an instance.
    ///
    /// # Errors
    /// Why it has none that could be known.
    pub fn towards(&self, vpc: u32, private: Ipv4Addr) -> Result<HopKey, Reason> {
        let only = *self.vpcs.get(&vpc).ok_or("its VPC has no downlink now")?;
        self.leading(vpc, private, only)
    }

    /// Networks of length 24 in which the routes do not treat all addresses alike.
    pub fn split(&self) -> HashSet<u32> {
        let longer = self.index.prefixes.keys().filter(|(length, _)| *length > 24);
        longer.map(|(_, network)| network & NETWORK).collect()
    }

    /// The next hop to all of the Internet that no route but the default leads to.
    ///
    /// # Errors
    /// Why there is none that could be known.
    pub fn internet(&self) -> Result<HopKey, Reason> {
        let anywhere = Ipv4Addr::UNSPECIFIED;
        if self.index.at(0, anywhere).any(|route| route.table != MAIN) {
            return Err("there is a default route outside the table main");
        }
        let (ifindex, gateway) = self.index.choose(0, anywhere, None)?.ok_or("there is no default route")?;
        // Without a gateway each destination is a neighbour of its own.
        let gateway = gateway.ok_or("the default route has no gateway")?;
        self.own(HopKey { vpc: 0, ifindex, gateway })
    }

    fn leading(&self, vpc: u32, destination: Ipv4Addr, only: Option<u32>) -> Result<HopKey, Reason> {
        let lengths = &self.index.lengths;
        // The tables local and main are one or two, depending on the past; where the first says anything, they differ.
        if lengths.iter().any(|length| self.index.at(*length, destination).any(|route| route.table != MAIN)) {
            return Err("a route outside the table main leads there");
        }
        for length in lengths {
            if let Some((ifindex, gateway)) = self.index.choose(*length, destination, only)? {
                return self.own(HopKey { vpc, ifindex, gateway: gateway.unwrap_or(destination) });
            }
        }
        Err("no route leads there")
    }

    fn own(&self, key: HopKey) -> Result<HopKey, Reason> {
        let there = self.egress.contains_key(&EgressKey { fib_ifindex: key.ifindex, vpc: key.vpc });
        if there { Ok(key) } else { Err("its route leads out of another link") }
    }

    /// What a frame to this next hop looks like.
    ///
    /// # Errors
    /// Why the program has to ask the kernel now.
    pub fn hop(&self, key: &HopKey) -> Result<Hop, Reason> {
        match self.topology.policy {
            Policy::Tables => {}
            Policy::Rules => return Err("policy rules decide about routes"),
            Policy::PathMtu => return Err("net.ipv4.ip_forward_use_pmtu is set"),
        }
        let egress =
            self.egress.get(&EgressKey { fib_ifindex: key.ifindex, vpc: key.vpc }).ok_or("its link is gone")?;
        let interfaces = &self.topology.interfaces;
        let (Some(below), Some(routing)) = (interfaces.get(&egress.ifindex), interfaces.get(&key.ifindex)) else {
            return Err("its interface is gone");
        };
        if !(below.up && below.carrier && routing.up && routing.carrier) {
            return Err("its interface is down");
        }
        // Where the route is constrained to an interface, that one's setting is asked instead of the ingress's.
        if self.vpcs.get(&key.vpc).is_some_and(Option::is_some) && !routing.forwarding {
            return Err("forwarding is off on its interface");
        }
        let own = routing.mac.ok_or("its interface has no MAC address")?;
        let neighbour = self.topology.neighbours.get(&(key.ifindex, key.gateway));
        let theirs = neighbour.and_then(|neighbour| neighbour.mac).ok_or("its MAC address is not known")?;
        let mut macs = [0; 12];
        macs[..6].copy_from_slice(&theirs);
        macs[6..].copy_from_slice(&own);
        Ok(Hop {
            state: HOP_READY,
            vpc: key.vpc,
            ifindex: egress.ifindex,
            mtu: routing.mtu.min(0xffff),
            outer: egress.outer,
            inner: egress.inner,
            macs,
        })
    }

    /// The network this follows from.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Prefixes that a route other than a default leads to.
    pub fn marked(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> {
        let prefixes = self.index.prefixes.keys().filter(|(length, _)| *length != 0);
        prefixes.map(|(length, network)| (Ipv4Addr::from(*network), *length))
    }

    /// Gateways of routes over our links.
    pub fn gateways(&self) -> impl Iterator<Item = (u32, Ipv4Addr)> {
        let ours: BTreeSet<u32> = self.egress.keys().map(|key| key.fib_ifindex).collect();
        self.topology.routes.gateways.iter().copied().filter(move |(ifindex, _)| ours.contains(ifindex))
    }

    /// Name of an interface.
    pub fn interface(&self, ifindex: u32) -> Option<&str> {
        self.topology.interfaces.get(&ifindex).map(|interface| interface.name.as_str())
    }

    /// Whether a route other than a default leads where none did before.
    pub fn marks_more(&self, before: &Routing) -> bool {
        let new = |prefix: &(u8, u32)| prefix.0 != 0 && !before.index.prefixes.contains_key(prefix);
        !Arc::ptr_eq(&self.index, &before.index) && self.index.prefixes.keys().any(new)
    }

    /// Whether what one of our links receives was forwarded before and is no more.
    pub fn forwards_less(&self, before: &Routing) -> bool {
        let forwards = |routing: &Routing, ifindex: u32| {
            routing.topology.interfaces.get(&ifindex).is_some_and(|interface| interface.forwarding)
        };
        let mut ours = before.egress.keys().map(|key| key.fib_ifindex);
        !Arc::ptr_eq(&self.topology.interfaces, &before.topology.interfaces)
            && ours.any(|ifindex| forwards(before, ifindex) && !forwards(self, ifindex))
    }

    /// Whose next hops may differ from those before.
    pub fn moved(&self, before: &Routing) -> Moved {
        let mut moved = Moved::default();
        let links_changed = self.vpcs != before.vpcs || self.egress != before.egress;
        let same_routes = Arc::ptr_eq(&self.index, &before.index);
        if same_routes && !links_changed {
            return moved;
        }
        let changed: Vec<&Route> = if same_routes { Vec::new() } else { self.index.differing(&before.index) };
        for (vpc, only) in &self.vpcs {
            // Routes by other interfaces are none for a VPC that is constrained to one.
            let matters = |route: &&&Route| match (route.way, only) {
                (Way::Hop { ifindex, .. }, Some(only)) if route.table == MAIN && route.tos == 0 => ifindex == *only,
                _ => true,
            };
            let mut prefixes: Vec<(u8, u32)> = changed
                .iter()
                .filter(matters)
                .map(|route| (route.length, masked(route.address, route.length)))
                .collect();
            if links_changed {
                prefixes = vec![(0, 0)];
            }
            if !prefixes.is_empty() {
                prefixes.dedup();
                moved.0.insert(*vpc, prefixes);
            }
        }
        for vpc in before.vpcs.keys().filter(|vpc| !self.vpcs.contains_key(vpc)) {
            moved.0.insert(*vpc, vec![(0, 0)]);
        }
        moved
    }
}

impl Index {
    fn new(routes: &Routes) -> Index {
        let mut prefixes: foldhash::HashMap<(u8, u32), Vec<Route>> = foldhash::HashMap::default();
        for route in &routes.list {
            prefixes.entry((route.length, masked(route.address, route.length))).or_default().push(*route);
        }
        // Stable, because of equal metrics the kernel tries the first it shows first.
        prefixes.values_mut().for_each(|routes| routes.sort_by_key(|route| route.metric));
        let lengths: BTreeSet<u8> = prefixes.keys().map(|(length, _)| *length).collect();
        Index { prefixes, lengths: lengths.into_iter().rev().collect() }
    }

    /// Every route, of this index and another, to a prefix that the two lead to differently. Lists are compared, not
    /// sets: two routes may be alike, and one of them go.
    fn differing<'a>(&'a self, other: &'a Index) -> Vec<&'a Route> {
        let prefixes: BTreeSet<_> = self.prefixes.keys().chain(other.prefixes.keys()).collect();
        let lists = prefixes.into_iter().map(|prefix| [self.prefixes.get(prefix), other.prefixes.get(prefix)]);
        lists.filter(|[one, other]| one != other).flatten().flatten().flatten().collect()
    }

    /// Routes to the prefix of that length around an address.
    fn at(&self, length: u8, address: Ipv4Addr) -> impl Iterator<Item = &Route> {
        self.prefixes.get(&(length, masked(address, length))).into_iter().flatten()
    }

    /// The route of this length the kernel takes, if it takes one and does not go on to shorter ones.
    fn choose(
        &self,
        length: u8,
        destination: Ipv4Addr,
        only: Option<u32>,
    ) -> Result<Option<(u32, Option<Ipv4Addr>)>, Reason> {
        let routes = || self.at(length, destination).filter(|route| route.table == MAIN);
        if routes().any(|route| route.tos != 0) {
            return Err("a route for one TOS leads there");
        }
        let taken = |route: &&Route| match route.way {
            Way::Hop { ifindex, .. } => only.is_none_or(|only| only == ifindex),
            Way::Dead => false,
            Way::Other(_) => true,
        };
        let mut fitting = routes().filter(taken);
        let Some(first) = fitting.next() else { return Ok(None) };
        if fitting.next().is_some_and(|second| second.metric == first.metric) {
            return Err("several equal routes lead there");
        }
        match first.way {
            Way::Hop { ifindex, gateway } => Ok(Some((ifindex, gateway))),
            Way::Other(reason) => Err(reason),
            Way::Dead => Ok(None),
        }
    }
}

fn masked(address: Ipv4Addr, length: u8) -> u32 {
    u32::from(address) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}
