//! How much the maps hold, and what memory that takes. Fixed when they are made.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, MapData};
use nat_common::abi::{AddressCounters, Hop, MARK_WORDS, Settings, Sparse};
use nat_common::pairs::{self, PAGE};
use nat_common::verdict::Verdict;

use super::bindings::slots_for;
use super::pins::Pins;
use super::table::pages_for;

/// Most pairs a gateway can be made for.
pub const MAX_PAIRS: u32 = 1_000_000;

/// How many entries the maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Public addresses bound at one time.
    pub pairs: u32,
    /// Instances, bound or not.
    pub instances: u32,
    /// Whether each address has packet and byte counters.
    pub counters: bool,
}

impl Limits {
    /// The limits the pinned maps were made for.
    pub fn of(settings: &Settings) -> Limits {
        Limits {
            pairs: settings.max_pairs,
            instances: settings.max_instances,
            counters: settings.counters_per_cpu != 0,
        }
    }

    /// Bits of an inbound cell that index counters.
    pub fn slot_bits(self) -> u32 {
        pairs::slot_bits(slots_for(self.pairs))
    }

    /// Counters each CPU has; 0 where addresses are not counted.
    pub fn counters_per_cpu(self) -> u32 {
        if self.counters { slots_for(self.pairs) } else { 0 }
    }

    /// Entries of every map whose size depends on the configuration, where the kernel counts for so many CPUs, with room
    /// for what an earlier layout has counted where one is taken over.
    pub fn map_sizes(self, cpus: u32, taking_over: bool) -> Result<[(&'static str, u32); 9]> {
        ensure!(self.pairs <= MAX_PAIRS, "max_pairs is {}; a gateway holds at most {MAX_PAIRS} pairs", self.pairs);
        let more = u32::from(taking_over);
        let counters = u64::from(self.counters_per_cpu()) * u64::from(cpus + more);
        let counters =
            u32::try_from(counters.max(1)).context("there are more CPUs than counters can be indexed for")?;
        let (inbound, outbound) = (pages_for(self.pairs), pages_for(self.instances));
        Ok([
            ("INBOUND_PAGES", inbound),
            ("INBOUND_CELLS", inbound * PAGE),
            ("INBOUND_SPARSE", self.pairs),
            ("OUTBOUND_PAGES", outbound),
            ("OUTBOUND_CELLS", outbound * PAGE),
            ("OUTBOUND_SPARSE", self.instances),
            ("COUNTERS", counters),
            ("VERDICTS", Verdict::COUNT * (1 + more)),
            ("HOPS", pairs::hop_capacity(self.slot_bits())),
        ])
    }

    /// The kernel memory the maps take with so many CPUs.
    pub fn memory(self, cpus: u32, taking_over: bool) -> Result<Memory> {
        let sizes = self.map_sizes(cpus, taking_over)?;
        let size =
            |name: &str| sizes.iter().find(|(map, _)| *map == name).map_or(0, |(_, entries)| u64::from(*entries));
        let buckets = |entries: u64| entries.next_power_of_two() * BUCKET;
        let of_a_table = |pages: &str, cells: &str, sparse: &str| {
            size(cells) * 8 + size(pages) * PAGE_ENTRY + buckets(size(pages)) + buckets(size(sparse))
        };
        let inbound = of_a_table("INBOUND_PAGES", "INBOUND_CELLS", "INBOUND_SPARSE");
        let outbound = of_a_table("OUTBOUND_PAGES", "OUTBOUND_CELLS", "OUTBOUND_SPARSE");
        Ok(Memory {
            limits: self,
            pairs: inbound + outbound + size("HOPS") * size_of::<Hop>() as u64 + 2 * u64::from(MARK_WORDS) * 8 + FIXED,
            counters: size("COUNTERS") * size_of::<AddressCounters>() as u64,
            cpus,
        })
    }

    /// Refuses maps that were made for other limits: a smaller map would refuse what the ledger has decided, and the
    /// program must unpack cells as they were packed.
    pub fn check_pins(self, pins: &Pins) -> Result<()> {
        if !pins.map("SETTINGS").exists() {
            return Ok(());
        }
        let settings: Array<MapData, Settings> = pins.open("SETTINGS")?;
        let made = settings.get(&0, 0).context("reading SETTINGS")?;
        let made = Limits::of(&made);
        if made.pairs != 0 && made != self {
            let Limits { pairs, instances, counters } = made;
            bail!(
                "the maps in use were made for max_pairs = {pairs}, max_instances = {instances}, counters = {counters}; \
                 set these again, or run `eipgate detach`, which stops traffic, and start anew"
            );
        }
        Ok(())
    }
}

/// Bytes of everything whose size does not depend on the limits: page slots, links, egress, own addresses, the monitor.
const FIXED: u64 = 3_000_000;
/// Bytes of a hash map's bucket.
const BUCKET: u64 = 16;
/// Bytes of an entry of a preallocated hash map with key and value of up to eight bytes.
const PAGE_ENTRY: u64 = 64;
/// Bytes a sparse entry takes when it is made: what the kernel's allocator has for 80.
const SPARSE_ENTRY: u64 = 104 + size_of::<Sparse>() as u64 / 2;

/// Kernel memory of the maps, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    limits: Limits,
    /// Both directions, next hops and marks, taken at once.
    pub pairs: u64,
    /// Counters of addresses on all CPUs, taken at once.
    pub counters: u64,
    cpus: u32,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { pairs, instances, .. } = self.limits;
        let megabytes = |bytes: u64| (bytes as f64 / 1e6).ceil();
        write!(
            f,
            "taking {} MB of kernel memory for {pairs} pairs and {instances} instances, and {} MB for counters on {} CPUs",
            megabytes(self.pairs),
            megabytes(self.counters),
            self.cpus
        )?;
        let worst = megabytes((u64::from(pairs) + u64::from(instances)) * SPARSE_ENTRY);
        write!(f, "; up to {worst} MB more where addresses are scattered, few to a /24")
    }
}

/// How many CPUs the kernel counts for.
pub fn cpus() -> Result<u32> {
    let cpus = aya::util::nr_cpus().map_err(|(what, error)| anyhow::Error::new(error).context(what))?;
    u32::try_from(cpus).context("counting the CPUs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_take_the_memory_that_is_said_before() {
        let limits = Limits { pairs: MAX_PAIRS, instances: MAX_PAIRS, counters: true };
        let memory = |cpus| limits.memory(cpus, false).unwrap();
        assert_eq!([2, 128].map(|cpus| memory(cpus).counters), [72_253_440, 4_624_220_160]);
        let said = memory(128).to_string();
        assert!(said.contains("and 4625 MB for counters on 128 CPUs"), "{said}");
        assert_eq!(memory(2).pairs, memory(128).pairs);
        // What an earlier layout has counted has the place of one CPU more.
        assert_eq!(limits.memory(2, true).unwrap().counters, memory(3).counters);
        let uncounted = Limits { counters: false, ..limits };
        assert_eq!(uncounted.memory(128, false).unwrap().counters, 32);
        // Their number has 32 bits.
        let refusal = limits.memory(5000, false).unwrap_err().to_string();
        assert_eq!(refusal, "there are more CPUs than counters can be indexed for");
    }
}
