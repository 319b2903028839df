//! Associations become bindings: the maps `INBOUND` and `OUTBOUND` made equal to what the ledger holds.
//!
//! The two maps cannot change in one step, so the order matters. A packet that meets a binding in between may be
//! dropped, counted; it must never be carried under a third address. So the old way out is closed first, the way in
//! is moved, and the new way out opened last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use aya::maps::{HashMap, MapData, PerCpuArray, PerCpuValues};
use nat_common::abi::{AddressCounters, Inbound, NO_SLOT, Outbound, PrivateAddr, PrivateKey, PublicAddr, vpc_number};

use super::pins::Pins;
use super::plan::Host;

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
    inbound: HashMap<MapData, PublicAddr, Inbound>,
    outbound: HashMap<MapData, PrivateKey, Outbound>,
    counters: PerCpuArray<MapData, AddressCounters>,
    /// Counter slots that belong to no address. The longest free is taken first, so that a packet still in flight
    /// under an old binding has long gone when its slot counts for another.
    free_slots: VecDeque<u32>,
    pairs: usize,
    instances: usize,
}

impl Bindings {
    /// Opens the pinned maps and learns which slots are in use.
    pub fn open(pins: &Pins) -> Result<Bindings> {
        let counters: PerCpuArray<MapData, AddressCounters> = pins.open("COUNTERS")?;
        let inbound: HashMap<MapData, PublicAddr, Inbound> = pins.open("INBOUND")?;
        let outbound: HashMap<MapData, PrivateKey, Outbound> = pins.open("OUTBOUND")?;
        let mut bindings =
            Bindings { inbound, outbound, counters, free_slots: VecDeque::new(), pairs: 0, instances: 0 };
        let taken: BTreeSet<u32> = bindings.read_inbound()?.values().map(|inbound| inbound.slot).collect();
        bindings.free_slots = (0..bindings.counters.len()).filter(|slot| !taken.contains(slot)).collect();
        bindings.pairs = taken.len();
        bindings.instances = bindings.outbound.keys().count();
        Ok(bindings)
    }

    /// Public addresses bound.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Instances known.
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// Makes the maps equal to `hosts`, touching only what differs. Wrong entries go before right ones come, so that
    /// no address is ever in use twice.
    pub fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift> {
        let mut drift = Drift::default();
        let wanted: BTreeMap<PrivateKey, Option<PublicAddr>> =
            hosts.iter().map(|host| (key(host), host.public.map(public))).collect();
        let holders: BTreeMap<PublicAddr, PrivateKey> =
            wanted.iter().filter_map(|(key, public)| Some(((*public)?, *key))).collect();

        let outbound = self.read_outbound()?;
        let inbound = self.read_inbound()?;
        let goes_out_as = |key: &PrivateKey| wanted.get(key).map(|public| public.unwrap_or(PublicAddr::NONE));
        for (key, value) in &outbound {
            match goes_out_as(key) {
                None => {
                    self.remove_outbound(key)?;
                    drift.removed += 1;
                }
                Some(address) if address != value.public && value.public != PublicAddr::NONE => {
                    self.outbound.insert(key, NOWHERE, 0).context("closing an outbound binding")?;
                    drift.changed += 1;
                }
                Some(_) => {}
            }
        }
        for (address, value) in &inbound {
            let holder = PrivateKey { vpc: value.vpc, address: value.private };
            if holders.get(address) != Some(&holder) {
                self.remove_inbound(address, value.slot)?;
                drift.removed += 1;
            }
        }
        for (key, address) in &wanted {
            let slot = match address {
                None => NO_SLOT,
                Some(address) => match inbound.get(address).filter(|_| self.inbound.get(address, 0).is_ok()) {
                    Some(value) => value.slot,
                    None => {
                        drift.added += 1;
                        self.add_inbound(address, key)?
                    }
                },
            };
            let value = Outbound { public: address.unwrap_or(PublicAddr::NONE), slot };
            if outbound.get(key) != Some(&value) {
                drift.added += usize::from(!outbound.contains_key(key));
                self.insert_outbound(key, value)?;
            }
        }
        Ok(drift)
    }

    /// Makes one instance what `host` says, in effect on the next packet.
    pub fn set(&mut self, host: &Host) -> Result<()> {
        let key = key(host);
        let old = self.outbound.get(&key, 0).ok();
        let wanted = host.public.map(public);
        if let Some(old) = old
            && old.public != PublicAddr::NONE
            && Some(old.public) != wanted
        {
            self.outbound.insert(key, NOWHERE, 0).context("closing an outbound binding")?;
            self.remove_inbound(&old.public, old.slot)?;
        }
        let Some(address) = wanted else { return self.insert_outbound(&key, NOWHERE) };
        let slot = match self.inbound.get(&address, 0) {
            Ok(value) if value.private == key.address && value.vpc == key.vpc => value.slot,
            Ok(_) => bail!("{} is bound to another instance in the kernel", Ipv4Addr::from(address.0)),
            Err(_) => self.add_inbound(&address, &key)?,
        };
        if let Err(error) = self.insert_outbound(&key, Outbound { public: address, slot }) {
            // Half a binding would answer from outside only; none is better than half.
            self.remove_inbound(&address, slot)?;
            return Err(error);
        }
        Ok(())
    }

    /// Forgets an instance.
    pub fn remove(&mut self, vpc: &str, private: Ipv4Addr) -> Result<()> {
        let key = PrivateKey { vpc: vpc_number(vpc), address: PrivateAddr(private.octets()) };
        let Ok(old) = self.outbound.get(&key, 0) else { return Ok(()) };
        self.remove_outbound(&key)?;
        if old.public != PublicAddr::NONE {
            self.remove_inbound(&old.public, old.slot)?;
        }
        Ok(())
    }

    fn add_inbound(&mut self, address: &PublicAddr, key: &PrivateKey) -> Result<u32> {
        let Some(slot) = self.free_slots.pop_front() else {
            bail!("all {} counter slots are in use; raise max_pairs", self.counters.len());
        };
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| anyhow::Error::new(error).context(what))?;
        let zero = PerCpuValues::try_from(vec![AddressCounters::default(); cpus])?;
        self.counters.set(slot, zero, 0).context("clearing an address's counters")?;
        let value = Inbound { private: key.address, vpc: key.vpc, slot };
        if let Err(error) = self.inbound.insert(address, value, 0) {
            self.free_slots.push_front(slot);
            return Err(error).with_context(|| format!("binding {} inbound", Ipv4Addr::from(address.0)));
        }
        self.pairs += 1;
        Ok(slot)
    }

    fn remove_inbound(&mut self, address: &PublicAddr, slot: u32) -> Result<()> {
        if self.inbound.remove(address).is_ok() {
            self.free_slots.push_back(slot);
            self.pairs = self.pairs.saturating_sub(1);
        }
        match self.inbound.get(address, 0) {
            Ok(_) => bail!("{} could not be unbound in the kernel", Ipv4Addr::from(address.0)),
            Err(_) => Ok(()),
        }
    }

    fn insert_outbound(&mut self, key: &PrivateKey, value: Outbound) -> Result<()> {
        let new = self.outbound.get(key, 0).is_err();
        let address = Ipv4Addr::from(key.address.0);
        self.outbound.insert(key, value, 0).with_context(|| format!("binding {address} outbound"))?;
        self.instances += usize::from(new);
        Ok(())
    }

    fn remove_outbound(&mut self, key: &PrivateKey) -> Result<()> {
        let address = Ipv4Addr::from(key.address.0);
        self.outbound.remove(key).with_context(|| format!("removing {address} outbound"))?;
        self.instances = self.instances.saturating_sub(1);
        Ok(())
    }

    fn read_inbound(&self) -> Result<BTreeMap<PublicAddr, Inbound>> {
        self.inbound.iter().collect::<Result<_, _>>().context("reading INBOUND")
    }

    fn read_outbound(&self) -> Result<BTreeMap<PrivateKey, Outbound>> {
        self.outbound.iter().collect::<Result<_, _>>().context("reading OUTBOUND")
    }
}

/// An instance without a public address.
const NOWHERE: Outbound = Outbound { public: PublicAddr::NONE, slot: NO_SLOT };

fn key(host: &Host) -> PrivateKey {
    PrivateKey { vpc: vpc_number(host.vpc.as_str()), address: PrivateAddr(host.private.octets()) }
}

fn public(address: Ipv4Addr) -> PublicAddr {
    PublicAddr(address.octets())
}
