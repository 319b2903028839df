//! Next hops in the kernel: which element of `HOPS` a binding names, and what stands there.
//!
//! Bindings that share a next hop share an element. What stands in one is used by packets without another question, so
//! it must be true: the moment it may not be, one store turns it into [`HOP_ASK`], and packets ask the kernel's FIB. It
//! is written anew only when no packet can be reading it any more, a grace period later, which somebody else waits for.
//!
//! Each VPC has an element of its own that only says which VPC it is, for instances without a next hop that could be
//! known, and for when elements run out.

mod elements;
mod rest;
mod shared;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::mem::take;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Result, bail};
use nat_common::abi::{DEFAULT_HOP, HOP_ASK, HOP_NONE, HOP_READY, Hop};
use tokio::sync::watch;

use self::elements::Elements;
pub use self::elements::{capacity, element, vpcs};
pub use self::rest::Epoch;
use self::rest::Rest;
pub use self::shared::{Doubter, SharedHops};
use super::network::NextHop;
use super::pins::Pins;
use super::routing::{HopKey, Moved, NETWORK, Reason, Routing};

/// The next hops, and who uses them.
pub struct Hops {
    elements: Elements,
    /// How many of them bindings can name.
    capacity: u32,
    /// The newest network that was heard of.
    routing: Arc<Routing>,
    /// Whether the tables beside are as that network wants them. Until then a next hop is only a part of the truth: marks
    /// keep packets from the default route, and links say who may use next hops at all.
    settled: bool,
    /// Instances whose next hops may be others than their bindings name.
    moved: Moved,
    /// Whether nobody hears of the network any more.
    given_up: bool,
    /// Those in use, but for the VPCs' own and that of the default route.
    used: BTreeMap<u32, Used>,
    keys: BTreeMap<HopKey, u32>,
    /// Gateways of routes over our links.
    gateways: BTreeSet<NextHop>,
    /// Next hops of either kind that came or went since somebody asked.
    turnover: Vec<HopKey>,
    /// Each VPC's own.
    own: BTreeMap<u32, u32>,
    /// How many bindings name such an element, and why the last of them does.
    without: BTreeMap<u32, (u64, Reason)>,
    /// Those in use by nobody, the longest so first, and when packets last might have begun to read them.
    free: VecDeque<(u32, Epoch)>,
    default_doubted: Epoch,
    rest: Rest,
}

/// An element in use.
#[derive(Clone, Copy, Debug)]
struct Used {
    /// Whose next hop; `None` where an earlier daemon knew.
    key: Option<HopKey>,
    /// Bindings that name it.
    users: u32,
    /// When packets last might have begun to read it as ready.
    doubted: Epoch,
}

impl Hops {
    /// Opens the pinned array, of which bindings can name the first `capacity` elements, and learns what it holds. What
    /// is ready there goes on being used; [`Hops::adopt`] and [`Hops::settle`] tell whether it is true.
    pub fn open(pins: &Pins, capacity: u32, routing: Arc<Routing>) -> Result<Hops> {
        Ok(Hops::over(Elements::open(pins)?, capacity, routing))
    }

    fn over(elements: Elements, capacity: u32, routing: Arc<Routing>) -> Hops {
        let mut hops = Hops {
            elements,
            capacity,
            routing: Arc::default(),
            settled: false,
            moved: Moved::default(),
            given_up: false,
            used: BTreeMap::new(),
            keys: BTreeMap::new(),
            gateways: BTreeSet::new(),
            turnover: Vec::new(),
            own: BTreeMap::new(),
            without: BTreeMap::new(),
            free: VecDeque::new(),
            default_doubted: 0,
            rest: Rest::new(),
        };
        hops.know(routing);
        hops.learn();
        hops
    }

    /// Learns what the array holds, and forgets who uses it.
    pub fn learn(&mut self) {
        self.turnover.extend(take(&mut self.keys).into_keys());
        self.used.clear();
        self.own.clear();
        self.without.clear();
        self.free.clear();
        for index in DEFAULT_HOP + 1..self.capacity {
            let hop = self.elements.read(index);
            match hop.state {
                HOP_NONE => self.free.push_back((index, 0)),
                HOP_ASK if hop.ifindex == 0 && !self.own.contains_key(&hop.vpc) => {
                    let _ = self.own.insert(hop.vpc, index);
                }
                _ => drop(self.used.insert(index, Used { key: None, users: 0, doubted: self.rest.now() })),
            }
        }
    }

    /// VPC number of an element.
    pub fn vpc(&self, hop: u32) -> u32 {
        self.elements.read(hop).vpc
    }

    /// Counts a binding that is there already. Answers whether it names the element it should.
    pub fn adopt(&mut self, hop: u32, private: Ipv4Addr) -> bool {
        let vpc = self.vpc(hop);
        let key = match self.routing.towards(vpc, private) {
            Ok(key) => key,
            Err(_) if self.own.get(&vpc) != Some(&hop) => return false,
            Err(reason) => {
                self.count_without(hop, reason);
                return true;
            }
        };
        let other = self.keys.get(&key).is_some_and(|other| *other != hop);
        let Some(used) = self.used.get_mut(&hop).filter(|_| !other) else { return false };
        if *used.key.get_or_insert(key) != key {
            return false;
        }
        used.users += 1;
        if self.keys.insert(key, hop).is_none() {
            self.turnover.push(key);
        }
        true
    }

    /// Gives back what nobody was found to use.
    pub fn drop_unused(&mut self) {
        let unused: Vec<u32> = self.used.iter().filter(|(_, used)| used.users == 0).map(|(index, _)| *index).collect();
        for index in unused {
            self.put_back(index);
        }
    }

    /// The element for an instance, counted as used by one binding more.
    pub fn towards(&mut self, vpc: u32, private: Ipv4Addr) -> Result<u32> {
        let own = self.own(vpc)?;
        let key = match self.routing.towards(vpc, private) {
            Ok(key) => key,
            Err(reason) => return Ok(self.count_without(own, reason)),
        };
        if let Some(index) = self.keys.get(&key) {
            if let Some(used) = self.used.get_mut(index) {
                used.users += 1;
            }
            return Ok(*index);
        }
        let Some(index) = self.take(vpc) else {
            return Ok(self.count_without(own, "there are more next hops than elements for them"));
        };
        self.used.insert(index, Used { key: Some(key), users: 1, doubted: 0 });
        self.keys.insert(key, index);
        self.turnover.push(key);
        if self.settled {
            self.settle_one(index);
        }
        Ok(index)
    }

    /// The element for so many instances of one /24, counted as used by each; `None`, and nothing counted, where it may
    /// not be the same one. `split` are the networks of [`Routing::split`].
    pub fn towards_network(
        &mut self,
        vpc: u32,
        first: Ipv4Addr,
        users: u32,
        split: &HashSet<u32>,
    ) -> Result<Option<u32>> {
        let on_link = self.routing.towards(vpc, first).is_ok_and(|key| key.gateway == first);
        if on_link || users == 0 || split.contains(&(first.to_bits() & NETWORK)) {
            return Ok(None);
        }
        let hop = self.towards(vpc, first)?;
        if let Some(used) = self.used.get_mut(&hop) {
            used.users += users - 1;
        } else if let Some((bindings, _)) = self.without.get_mut(&hop) {
            *bindings += u64::from(users - 1);
        }
        Ok(Some(hop))
    }

    /// Uncounts a binding that no packet finds any more.
    pub fn release(&mut self, hop: u32) {
        if let Some((bindings, _)) = self.without.get_mut(&hop) {
            *bindings = bindings.saturating_sub(1);
        }
        let Some(used) = self.used.get_mut(&hop) else { return };
        used.users = used.users.saturating_sub(1);
        if used.users == 0 {
            self.put_back(hop);
        }
    }

    /// Takes note of what the network is now: from here on no packet uses a next hop that is not true any more, or that
    /// only was beside tables which are not true any more.
    pub fn doubt(&mut self, routing: Arc<Routing>) {
        let before = self.know(routing);
        let moved = self.routing.moved(&before);
        let unmarked = self.routing.marks_more(&before);
        let stopped = self.routing.forwards_less(&before);
        self.settled = false;
        // What leads to the Internet belongs to no VPC.
        self.ask_about(|vpc| stopped || moved.in_vpc(vpc) || (vpc == 0 && unmarked));
        self.moved.add(moved);
    }

    /// Nobody hears of the network from here on: the kernel is asked about each packet, and nothing becomes ready. A
    /// daemon that is killed cannot do this: [`ask_from_now_on`] does it for one, or the next one confirms or corrects
    /// what was ready.
    pub fn give_up(&mut self) {
        (self.given_up, self.settled) = (true, false);
        let all = self.used.keys().copied().chain([DEFAULT_HOP]);
        for index in all.filter(|index| self.elements.read(*index).state == HOP_READY) {
            self.elements.ask(index, self.vpc(index));
        }
    }

    /// Answers what was known before.
    fn know(&mut self, routing: Arc<Routing>) -> Arc<Routing> {
        let before = std::mem::replace(&mut self.routing, routing);
        let gateways: BTreeSet<NextHop> = self.routing.gateways().collect();
        let turnover = gateways.symmetric_difference(&self.gateways);
        // Of a key only the next hop counts here.
        self.turnover.extend(turnover.map(|(ifindex, gateway)| HopKey {
            vpc: 0,
            ifindex: *ifindex,
            gateway: *gateway,
        }));
        self.gateways = gateways;
        before
    }

    /// Asks wherever what stands there is not what should, and in these VPCs everywhere.
    pub fn ask_about(&mut self, unsure: impl Fn(u32) -> bool) {
        let now = self.rest.now();
        for (index, used) in &mut self.used {
            let hop = self.elements.read(*index);
            let wanted = || used.key.and_then(|key| self.routing.hop(&key).ok());
            if hop.state == HOP_READY && (unsure(hop.vpc) || wanted() != Some(hop)) {
                self.elements.ask(*index, hop.vpc);
                used.doubted = now;
            }
        }
        let hop = self.elements.read(DEFAULT_HOP);
        let wanted = || self.routing.internet().and_then(|key| self.routing.hop(&key)).ok();
        if hop.state == HOP_READY && (unsure(0) || wanted() != Some(hop)) {
            self.elements.ask(DEFAULT_HOP, 0);
            self.default_doubted = now;
        }
    }

    /// Whether an element is the one for this instance.
    pub fn leads(&self, hop: u32, vpc: u32, private: Ipv4Addr) -> bool {
        match self.routing.towards(vpc, private) {
            Ok(key) => self.used.get(&hop).is_some_and(|used| used.key == Some(key)),
            Err(_) => self.own.get(&vpc) == Some(&hop),
        }
    }

    /// What the network is now, as far as anybody has heard.
    pub fn routing(&self) -> &Arc<Routing> {
        &self.routing
    }

    /// Whose next hops may be others than their bindings name.
    pub fn moved(&self) -> &Moved {
        &self.moved
    }

    /// Makes every next hop ready that can be, and has somebody wait for the others, now that every binding names the one
    /// it should and the tables beside are as this network wants them. Where another has been heard of since, nothing is:
    /// whoever heard of it has this come again.
    pub fn settle(&mut self, network: &Arc<Routing>) {
        if self.given_up || !Arc::ptr_eq(network, &self.routing) {
            return;
        }
        self.settled = true;
        self.moved = Moved::default();
        let indices: Vec<u32> = self.used.keys().copied().collect();
        let mut restless = self.settle_default();
        for index in indices {
            restless |= self.settle_one(index);
        }
        self.wait_if(restless);
    }

    /// Has somebody wait for elements that were given back, where no others are left.
    pub fn begin_rest(&mut self) {
        self.wait_if(false);
    }

    /// Tells of the end of each grace period that something waits for; then [`Hops::settle`] has something to do.
    pub fn rested(&self) -> watch::Receiver<Epoch> {
        self.rest.ends()
    }

    /// Brings a set of the next hops that the kernel should keep resolved up to date: those that bindings use, and
    /// gateways of routes over our links. Answers whether it has changed.
    pub fn want(&mut self, wanted: &mut BTreeSet<NextHop>) -> bool {
        let mut changed = false;
        for key in take(&mut self.turnover) {
            let next_hop = (key.ifindex, key.gateway);
            // It may be one for several reasons: an instance can be the router of others.
            let of_instances = self.own.keys().any(|vpc| self.keys.contains_key(&HopKey { vpc: *vpc, ..key }));
            let is_wanted = of_instances || self.gateways.contains(&next_hop);
            changed |= if is_wanted { wanted.insert(next_hop) } else { wanted.remove(&next_hop) };
        }
        changed
    }

    fn count_without(&mut self, own: u32, reason: Reason) -> u32 {
        let (bindings, last) = self.without.entry(own).or_insert((0, reason));
        (*bindings, *last) = (*bindings + 1, reason);
        own
    }

    fn settle_default(&mut self) -> bool {
        let Some(hop) = self.routing.internet().and_then(|key| self.routing.hop(&key)).ok() else { return false };
        self.elements.make(DEFAULT_HOP, &hop, self.rest.is_over(self.default_doubted))
    }

    /// Answers whether the element could be ready, but for packets that may still read it as it was.
    fn settle_one(&mut self, index: u32) -> bool {
        let Some(Used { key: Some(key), doubted, .. }) = self.used.get(&index) else { return false };
        let Ok(hop) = self.routing.hop(key) else { return false };
        self.elements.make(index, &hop, self.rest.is_over(*doubted))
    }

    fn wait_if(&mut self, restless: bool) {
        let starved = self.free.front().is_some_and(|(_, doubted)| !self.rest.is_over(*doubted));
        if restless || starved {
            self.rest.begin();
        }
    }

    fn own(&mut self, vpc: u32) -> Result<u32> {
        if let Some(own) = self.own.get(&vpc) {
            return Ok(*own);
        }
        let Some(index) = self.take(vpc) else {
            bail!("there are more VPCs than next hops; use fewer, or a smaller max_pairs");
        };
        self.own.insert(vpc, index);
        Ok(index)
    }

    /// An element no packet can be reading, which says no more than the VPC.
    fn take(&mut self, vpc: u32) -> Option<u32> {
        let (index, _) = self.free.pop_front_if(|(_, doubted)| self.rest.is_over(*doubted))?;
        self.elements.write(index, &Hop { state: HOP_ASK, vpc, ..Hop::default() });
        Some(index)
    }

    fn put_back(&mut self, index: u32) {
        if let Some(used) = self.used.remove(&index) {
            // Its VPC stays true for whoever still holds it.
            self.elements.ask(index, self.vpc(index));
            self.free.push_back((index, self.rest.now()));
            if let Some(key) = used.key.filter(|key| self.keys.get(key) == Some(&index)) {
                self.keys.remove(&key);
                self.turnover.push(key);
            }
        }
    }
}

/// Has the kernel be asked about each packet, where a daemon was killed and nobody sees the network change. Answers how
/// many next hops it had left ready.
pub fn ask_from_now_on(pins: &Pins) -> Result<usize> {
    let elements = Elements::open(pins)?;
    let ready = |index: &u32| elements.read(*index).state == HOP_READY;
    let left: Vec<u32> = (DEFAULT_HOP..pins.capacity("HOPS").unwrap_or(0)).filter(ready).collect();
    left.iter().for_each(|index| elements.ask(*index, elements.read(*index).vpc));
    Ok(left.len())
}
