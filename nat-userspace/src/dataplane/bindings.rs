//! Associations become bindings: the pair tables made equal to what the ledger holds.
//!
//! The two directions cannot change in one step, so the order matters. A packet that meets a binding in between may be
//! dropped, counted; it must never be carried under a third address. So the old way out is closed first, the way in
//! is moved, and the new way out opened last.

use std::collections::HashMap;
use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::{Arc, MutexGuard};

use anyhow::{Context as _, Result, bail};
use nat_common::abi::{PrivateAddr, PrivateKey, PublicAddr, vpc_number};
use nat_common::pairs::{Inbound, Outbound, PAGE, cell_in_page};
use tokio::sync::watch;

use super::counters::Counters;
use super::earlier::Carried;
use super::hops::{self, Doubter, Epoch, Hops, SharedHops};
use super::limits::{self, Limits};
use super::pins::Pins;
use super::plan::{Host, Plan};
use super::routing::Routing;
use super::slots::Slots;
use super::table::{self, Key as _, Table, pages_for};
use super::written::Written;

/// Entries a reconciliation added, removed and changed, over both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Missing in the kernel.
    pub added: usize,
    /// In the kernel without a reason.
    pub removed: usize,
    /// In the kernel with another value.
    pub changed: usize,
}

impl Drift {
    /// Whether the maps were as they should be.
    pub fn is_none(self) -> bool {
        self == Drift::default()
    }
}

/// The bindings in the kernel.
pub struct Bindings {
    inbound: Table<PublicAddr>,
    outbound: Table<PrivateKey>,
    /// What was written to `outbound`, for readers.
    written: Written,
    hops: SharedHops,
    /// Grace periods of next hops that are over.
    rested: watch::Receiver<Epoch>,
    counters: Counters,
    slots: Slots,
    slot_bits: u32,
    pairs: u32,
    /// Whether the maps were made just now, so that all counters are 0.
    fresh: bool,
}

/// A way in for a public address.
enum WayIn {
    /// Stands already, with these counters.
    Open { slot: u32 },
    /// Has everything it takes, and is not open yet.
    Ready { hop: u32, slot: u32 },
}

/// Counter slots for so many pairs: one for each cell of the inbound pages, so that an address has the slot of its
/// cell's number and packets can reach for both at once; and with that some more than pairs, so that few changes have to
/// wait for a slot to come to rest.
pub fn slots_for(pairs: u32) -> u32 {
    pages_for(pairs) * PAGE
}

impl Bindings {
    /// Opens the pinned maps, made for these limits, and learns what they hold: nothing where they are `fresh`.
    pub fn open(pins: &Pins, limits: Limits, routing: Routing, fresh: bool) -> Result<Bindings> {
        let slot_bits = limits.slot_bits();
        let hops = Hops::open(pins, hops::capacity(pins, slot_bits)?, Arc::new(routing))?;
        let mut bindings = Bindings {
            inbound: Table::open(pins, table::INBOUND)?,
            outbound: Table::open(pins, table::OUTBOUND)?,
            written: Written::default(),
            rested: hops.rested(),
            hops: SharedHops::new(hops),
            counters: Counters::open(pins, limits.counters_per_cpu())?,
            slots: Slots::new(Vec::new()),
            slot_bits,
            pairs: limits.pairs,
            fresh,
        };
        bindings.learn()?;
        Ok(bindings)
    }

    /// Learns anew what the maps hold, because somebody else has changed them.
    pub fn learn_anew(&mut self, pins: &Pins) -> Result<()> {
        (self.inbound, self.outbound) = (Table::open(pins, table::INBOUND)?, Table::open(pins, table::OUTBOUND)?);
        self.hops.lock().learn();
        self.fresh = false;
        self.learn()
    }

    /// Learns which counters and next hops the bindings name.
    fn learn(&mut self) -> Result<()> {
        let mut taken = vec![false; slots_for(self.pairs) as usize];
        let mut misled = false;
        for (_, cell) in self.inbound.entries()? {
            let cell = Inbound::unpack(cell, self.slot_bits);
            if let Some(taken) = taken.get_mut(cell.slot as usize) {
                *taken = true;
            }
            misled |= !self.hops.lock().adopt(cell.hop, Ipv4Addr::from(cell.private.0));
        }
        // Before anything else: what an earlier daemon left ready and is not true now.
        self.hops.lock().ask_about(|_| false);
        if misled {
            self.lead_anew(|_, _| true, |_, _| {})?;
        }
        self.hops.lock().drop_unused();
        self.slots = Slots::new(taken);
        Ok(())
    }

    /// The one who is told of the network before anybody else.
    pub fn doubter(&self, plan: &Plan) -> Doubter {
        self.hops.doubter(plan)
    }

    /// What the network is now, as far as anybody has heard.
    pub fn network(&self) -> Arc<Routing> {
        Arc::clone(self.hops.lock().routing())
    }

    /// What has been written, as somebody who reads beside this can compare it.
    pub fn written(&self) -> Written {
        self.written.clone()
    }

    /// Waits for the end of a grace period; then [`Bindings::settle`] has something to do.
    pub async fn rested(&mut self) {
        if self.rested.changed().await.is_err() {
            pending().await
        }
    }

    /// Lets the bindings whose next hops may have moved name those they have now, then makes ready what can be, if the
    /// network is still this one. What fails is tried again the next time, and nothing is made ready before.
    pub fn settle(&mut self, network: &Arc<Routing>) -> Result<()> {
        let moved = self.hops.lock().moved().clone();
        if !moved.is_empty() {
            self.lead_anew(|vpc, private| moved.has(vpc, private), Hops::release)?;
        }
        self.hops.lock().settle(network);
        Ok(())
    }

    /// Lets every binding that is concerned name the element it should, and tells of those it named before.
    fn lead_anew(
        &mut self,
        concerns: impl Fn(u32, Ipv4Addr) -> bool,
        mut gone: impl FnMut(&mut Hops, u32),
    ) -> Result<()> {
        let (shared, slot_bits) = (&self.hops, self.slot_bits);
        self.inbound.rewrite(|_, cell| {
            let found = Inbound::unpack(cell, slot_bits);
            // For one binding at a time: whoever hears of the network does not wait for a million.
            let mut hops = shared.lock();
            let (vpc, private) = (hops.vpc(found.hop), Ipv4Addr::from(found.private.0));
            // An element of no VPC is nobody's: such a binding is about to be swept.
            if vpc == 0 || !concerns(vpc, private) || hops.leads(found.hop, vpc, private) {
                return cell;
            }
            let Ok(hop) = hops.towards(vpc, private) else { return cell };
            gone(&mut hops, found.hop);
            Inbound { hop, ..found }.pack(slot_bits)
        })
    }

    /// Credits addresses with what they have carried under an earlier layout, where they still serve the same instance.
    /// Answers for how many that was so.
    pub fn carry(&self, carried: &[Carried]) -> Result<usize> {
        let (cpus, mut kept) = (limits::cpus()?, 0);
        for Carried { public, holder, traffic } in carried {
            let cell = Inbound::unpack(self.inbound.get(public)?, self.slot_bits);
            // Element 0 of the next hops is none, so nobody's cell names no VPC.
            if (self.hops.lock().vpc(cell.hop), cell.private) == (holder.vpc, holder.address) && cell.hop != 0 {
                self.counters.carry(cell.slot, *traffic, cpus)?;
                kept += 1;
            }
        }
        Ok(kept)
    }

    /// The next hops, for a moment.
    pub fn hops(&self) -> MutexGuard<'_, Hops> {
        self.hops.lock()
    }

    /// Public addresses bound.
    pub fn pairs(&self) -> usize {
        self.inbound.len()
    }

    /// Instances known.
    pub fn instances(&self) -> usize {
        self.outbound.len()
    }

    /// Makes the tables equal to `hosts`, touching only what differs. Wrong entries go before right ones come, so that
    /// no address is ever in use twice.
    pub fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift> {
        let mut numbers = Numbers::default();
        let mut wanted: Vec<(PrivateKey, Option<PublicAddr>)> =
            hosts.iter().map(|host| (numbers.key(host), host.public.map(public))).collect();
        // Hosts mostly come in order, which a stable sort sees.
        wanted.sort_by_key(|(key, _)| *key);
        let empty = self.inbound.len() == 0 && self.outbound.len() == 0;
        let drift = if empty && wanted.is_sorted_by(|(one, _), (other, _)| one < other) {
            self.fill(&wanted)
        } else {
            self.replace(&wanted)
        }?;
        self.written.is_now(&wanted);
        Ok(drift)
    }

    /// Makes tables that hold something equal to what is wanted, which is in order.
    fn replace(&mut self, wanted: &[(PrivateKey, Option<PublicAddr>)]) -> Result<Drift> {
        let mut drift = Drift::default();
        self.sweep(wanted, &mut drift)?;

        let keys: Vec<PrivateKey> = wanted.iter().map(|(key, _)| *key).collect();
        self.outbound.prepare(&keys)?;
        let mut addresses: Vec<PublicAddr> = wanted.iter().filter_map(|(_, public)| *public).collect();
        addresses.sort_unstable();
        self.inbound.prepare(&addresses)?;
        // Every way in that is there now is right.
        self.slots.make_room(addresses.len().saturating_sub(self.inbound.len()));
        for (key, address) in wanted {
            let before = self.outbound.get(key)?;
            let cell = match address {
                None => Outbound::NOWHERE.pack(),
                Some(address) => {
                    let way = self.way_in(address, key, 0)?;
                    drift.added += usize::from(matches!(way, WayIn::Ready { .. }));
                    Outbound { public: *address, slot: self.open_way(address, key, way)? }.pack()
                }
            };
            if before != cell {
                drift.added += usize::from(before == 0);
                self.outbound.set(*key, cell)?;
            }
        }
        Ok(drift)
    }

    /// Fills empty tables. `wanted` is in order.
    fn fill(&mut self, wanted: &[(PrivateKey, Option<PublicAddr>)]) -> Result<Drift> {
        let keys: Vec<PrivateKey> = wanted.iter().map(|(key, _)| *key).collect();
        let mut bound: Vec<(PublicAddr, usize)> =
            wanted.iter().enumerate().filter_map(|(at, (_, public))| Some(((*public)?, at))).collect();
        bound.sort_by_key(|(address, _)| *address);
        if let Some([(twice, _), _]) = bound.array_windows().find(|[(one, _), (other, _)]| one == other) {
            bail!("{} is bound to two instances", Ipv4Addr::from(twice.0));
        }
        if bound.len() > self.pairs as usize {
            bail!("all {} pairs the maps were made for are in use; raise max_pairs", self.pairs);
        }
        self.outbound.prepare(&keys)?;
        self.inbound.prepare(&bound.iter().map(|(address, _)| *address).collect::<Vec<_>>())?;

        self.slots.make_room(bound.len());
        let hops = self.hops_towards(wanted)?;
        let nowhere = Outbound::NOWHERE.pack();
        let mut outbound: Vec<(PrivateKey, u64)> = keys.into_iter().map(|key| (key, nowhere)).collect();
        let mut inbound: Vec<(PublicAddr, u64)> = Vec::with_capacity(bound.len());
        for network in bound.chunk_by(|(one, _), (other, _)| one.network() == other.network()) {
            let [(first, _), ..] = network else { continue };
            let page = self.inbound.number(&first.network());
            for (address, at) in network {
                let number = page.map(|page| page + cell_in_page(address.0));
                let Some(slot) = self.slots.take(number) else {
                    bail!("no counters are free for {}", Ipv4Addr::from(address.0));
                };
                if !self.fresh {
                    // A new binding starts at 0.
                    self.counters.clear(slot);
                }
                let (key, cell) = &mut outbound[*at];
                *cell = Outbound { public: *address, slot }.pack();
                inbound.push((*address, Inbound { private: key.address, hop: hops[*at], slot }.pack(self.slot_bits)));
            }
        }
        self.fresh = false;
        if let Err(error) = self.inbound.fill(&inbound) {
            // What has become of none is nobody's, for whoever tries again.
            for (_, cell) in inbound.iter().filter(|(address, _)| self.inbound.get(address).is_ok_and(|cell| cell == 0))
            {
                let Inbound { slot, hop, .. } = Inbound::unpack(*cell, self.slot_bits);
                self.slots.give_back(slot);
                self.hops.lock().release(hop);
            }
            return Err(error).context("binding inbound");
        }
        self.outbound.fill(&outbound).context("binding outbound")?;
        Ok(Drift { added: inbound.len() + outbound.len(), ..Drift::default() })
    }

    /// The element towards each instance that has a public address, counted; 0 for the others. The routes are asked once
    /// for a /24 that they treat as one.
    fn hops_towards(&mut self, wanted: &[(PrivateKey, Option<PublicAddr>)]) -> Result<Vec<u32>> {
        let split = self.network().split();
        let mut hops = Vec::with_capacity(wanted.len());
        for network in wanted.chunk_by(|(one, _), (other, _)| one.network() == other.network()) {
            let [(first, _), ..] = network else { continue };
            let users = network.iter().filter(|(_, public)| public.is_some()).count() as u32;
            let mut shared = self.hops.lock();
            let all = shared.towards_network(first.vpc, Ipv4Addr::from(first.address.0), users, &split)?;
            for (key, public) in network {
                hops.push(match (public, all) {
                    (None, _) => 0,
                    (Some(_), Some(hop)) => hop,
                    (Some(_), None) => shared.towards(key.vpc, Ipv4Addr::from(key.address.0))?,
                });
            }
        }
        Ok(hops)
    }

    /// Takes out, or closes, what is not wanted. `wanted` is in order.
    fn sweep(&mut self, wanted: &[(PrivateKey, Option<PublicAddr>)], drift: &mut Drift) -> Result<()> {
        if self.inbound.len() == 0 && self.outbound.len() == 0 {
            return Ok(());
        }
        let find = |key: &PrivateKey| {
            let place = wanted.binary_search_by_key(key, |(key, _)| *key).ok()?;
            wanted.get(place).map(|(_, public)| public.unwrap_or(PublicAddr::NONE))
        };
        for (key, cell) in self.outbound.entries()? {
            let before = Outbound::unpack(cell).public;
            match find(&key) {
                None => {
                    self.outbound.remove(&key)?;
                    drift.removed += 1;
                }
                Some(address) if address != before && before != PublicAddr::NONE => {
                    self.outbound.set(key, Outbound::NOWHERE.pack())?;
                    drift.changed += 1;
                }
                Some(_) => {}
            }
        }
        for (address, cell) in self.inbound.entries()? {
            let before = Inbound::unpack(cell, self.slot_bits);
            let holder = PrivateKey { vpc: self.hops.lock().vpc(before.hop), address: before.private };
            if find(&holder) != Some(address) {
                self.remove_inbound(&address)?;
                drift.removed += 1;
            }
        }
        Ok(())
    }

    /// Makes one instance what `host` says, in effect on the next packet.
    pub fn set(&mut self, host: &Host) -> Result<()> {
        let (key, wanted) = (key(host), host.public.map(public));
        let written = self.written.clone();
        let changing = written.change(key);
        let before = self.outbound.get(&key)?;
        self.bind(key, before, wanted)?;
        changing.done(bound_to(before), Some(wanted.unwrap_or(PublicAddr::NONE)));
        Ok(())
    }

    /// Binds an instance, whose cell outbound is that by now, to the wanted address.
    fn bind(&mut self, key: PrivateKey, before: u64, wanted: Option<PublicAddr>) -> Result<()> {
        let old = Outbound::unpack(before).public;
        let leaves = before != 0 && old != PublicAddr::NONE && Some(old) != wanted;
        // All that may have to be waited for comes before the first closing: until it is over, the old binding serves.
        self.outbound.make_room(&key);
        let way = wanted.map(|address| self.way_in(&address, &key, leaves.into())).transpose();
        if leaves && let Err(error) = self.close(key, &old) {
            if let Ok(Some(WayIn::Ready { hop, slot })) = way {
                self.give_back(hop, slot);
            }
            return Err(error);
        }
        let Some((address, way)) = wanted.zip(way?) else {
            return self.outbound.set(key, Outbound::NOWHERE.pack());
        };
        let slot = self.open_way(&address, &key, way)?;
        if let Err(error) = self.outbound.set(key, Outbound { public: address, slot }.pack()) {
            // Half a binding would answer from outside only; none is better than half.
            self.remove_inbound(&address)?;
            return Err(error);
        }
        Ok(())
    }

    /// Makes room for instances that will be set one by one, so that nothing has to be waited for in between: an address
    /// may have left one of them and not be with the next yet. Networks that will be crowded get their pages at once.
    pub fn make_room(&mut self, hosts: &[Host]) -> Result<()> {
        let mut addresses: Vec<PublicAddr> = hosts.iter().filter_map(|host| host.public.map(public)).collect();
        let new = addresses.iter().filter(|address| self.inbound.get(address).is_ok_and(|cell| cell == 0)).count();
        self.slots.make_room(new);
        let mut keys: Vec<PrivateKey> = hosts.iter().map(key).collect();
        keys.sort_unstable();
        self.outbound.prepare(&keys)?;
        addresses.sort_unstable();
        self.inbound.prepare(&addresses)
    }

    /// Forgets an instance.
    pub fn remove(&mut self, vpc: &str, private: Ipv4Addr) -> Result<()> {
        let key = PrivateKey { vpc: vpc_number(vpc), address: PrivateAddr(private.octets()) };
        let written = self.written.clone();
        let changing = written.change(key);
        let before = self.outbound.get(&key)?;
        let old = bound_to(before);
        if before != 0 {
            self.outbound.remove(&key)?;
        }
        if let Some(address) = old.filter(|address| *address != PublicAddr::NONE) {
            self.remove_inbound(&address)?;
        }
        changing.done(old, None);
        Ok(())
    }

    /// The way in for an address that is to serve an instance, ready to be opened when so many others are closed. It may
    /// have to wait for a grace period, opening it may not.
    fn way_in(&mut self, address: &PublicAddr, key: &PrivateKey, closing: usize) -> Result<WayIn> {
        let cell = self.inbound.get(address)?;
        if cell != 0 {
            let there = Inbound::unpack(cell, self.slot_bits);
            if there.private != key.address || self.hops.lock().vpc(there.hop) != key.vpc {
                bail!("{} is bound to another instance in the kernel", Ipv4Addr::from(address.0));
            }
            return Ok(WayIn::Open { slot: there.slot });
        }
        if self.inbound.len() >= self.pairs as usize + closing {
            bail!("all {} pairs the maps were made for are in use; raise max_pairs", self.pairs);
        }
        self.inbound.make_room(address);
        self.slots.make_room(1);
        let hop = self.hops.lock().towards(key.vpc, Ipv4Addr::from(key.address.0))?;
        let Some(slot) = self.slots.take(self.inbound.number(address)) else {
            self.hops.lock().release(hop);
            bail!("no counters are free for {}", Ipv4Addr::from(address.0));
        };
        // A new binding starts at 0.
        self.counters.clear(slot);
        self.fresh = false;
        Ok(WayIn::Ready { hop, slot })
    }

    /// Opens a way in that is not open yet. Answers its counters.
    fn open_way(&mut self, address: &PublicAddr, key: &PrivateKey, way: WayIn) -> Result<u32> {
        let (hop, slot) = match way {
            WayIn::Open { slot } => return Ok(slot),
            WayIn::Ready { hop, slot } => (hop, slot),
        };
        let cell = Inbound { private: key.address, hop, slot }.pack(self.slot_bits);
        if let Err(error) = self.inbound.set(*address, cell) {
            self.give_back(hop, slot);
            return Err(error).with_context(|| format!("binding {} inbound", Ipv4Addr::from(address.0)));
        }
        Ok(slot)
    }

    fn give_back(&mut self, hop: u32, slot: u32) {
        self.slots.give_back(slot);
        self.hops.lock().release(hop);
    }

    /// Takes an instance its public address.
    fn close(&mut self, key: PrivateKey, old: &PublicAddr) -> Result<()> {
        self.outbound.set(key, Outbound::NOWHERE.pack()).context("closing an outbound binding")?;
        self.remove_inbound(old)
    }

    fn remove_inbound(&mut self, address: &PublicAddr) -> Result<()> {
        let cell = self.inbound.get(address)?;
        if cell != 0 {
            self.inbound.remove(address)?;
            let cell = Inbound::unpack(cell, self.slot_bits);
            self.slots.retire(cell.slot);
            self.hops.lock().release(cell.hop);
        }
        Ok(())
    }
}

impl Drop for Bindings {
    /// Not left to the last owner of the next hops: the one who hears of the network may outlive the process's last act.
    fn drop(&mut self) {
        self.hops.lock().give_up();
    }
}

/// VPC numbers already worked out: a bulk load names few VPCs very often.
#[derive(Default)]
struct Numbers<'a>(HashMap<&'a str, u32>);

impl<'a> Numbers<'a> {
    fn key(&mut self, host: &'a Host) -> PrivateKey {
        let name = host.vpc.as_str();
        let vpc = *self.0.entry(name).or_insert_with(|| vpc_number(name));
        PrivateKey { vpc, address: PrivateAddr(host.private.octets()) }
    }
}

/// What an outbound cell says; none where the instance is not known.
fn bound_to(cell: u64) -> Option<PublicAddr> {
    (cell != 0).then(|| Outbound::unpack(cell).public)
}

fn key(host: &Host) -> PrivateKey {
    PrivateKey { vpc: vpc_number(host.vpc.as_str()), address: PrivateAddr(host.private.octets()) }
}

fn public(address: Ipv4Addr) -> PublicAddr {
    PublicAddr(address.octets())
}
