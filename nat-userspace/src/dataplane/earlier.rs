//! What an earlier version of eipgate has left in the kernel under another layout, as far as it is kept nowhere else.
//!
//! Everything else is filled from the store. Whoever raises `ABI_VERSION` freezes here what the layout before it had
//! otherwise, so that a gateway is upgraded without forgetting what its addresses have carried.

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, PerCpuArray};
use nat_common::abi::{PrivateKey, PublicAddr, Settings, VerdictCounter};
use nat_common::pairs::Inbound;

use super::counters::{Counters, Traffic, sum};
use super::hops;
use super::limits::Limits;
use super::pins::Pins;
use super::table;

/// Layouts this build can take over, and where the size of a map's values was another one than it is now.
const LAYOUTS: [(u32, &[(&str, usize)]); 1] = [(2, &[("COUNTERS", 32)])];

/// Whether this build can take over what was left under a layout.
pub fn is_known(version: u32) -> bool {
    LAYOUTS.iter().any(|(known, _)| *known == version)
}

/// Bytes of a map's values under an earlier layout, where that is known and another than now.
pub fn value_size(version: u32, map: &str) -> Option<usize> {
    let (_, sizes) = LAYOUTS.iter().find(|(known, _)| *known == version)?;
    sizes.iter().find(|(name, _)| *name == map).map(|(_, size)| *size)
}

/// The maps of an earlier layout, whose program may still be at work.
pub struct Earlier {
    pins: Pins,
    settings: Settings,
}

/// What an address carried under the earlier layout, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The public address.
    pub public: PublicAddr,
    /// The instance that had it.
    pub holder: PrivateKey,
    /// What it carried.
    pub traffic: Traffic,
}

impl Earlier {
    /// Opens what an earlier version has left, if there is anything that matters.
    pub fn open(pins: &Pins) -> Result<Option<Earlier>> {
        // Where the counters are gone already, an earlier start was cut short while it removed what it had taken over.
        let Some(pins) = pins.earlier().filter(|pins| pins.map("COUNTERS").exists()) else { return Ok(None) };
        pins.check_layout()?;
        let settings: Array<MapData, Settings> = pins.open("SETTINGS")?;
        let settings = settings.get(&0, 0).context("reading SETTINGS")?;
        // A first start that was cut short has left maps that were never used.
        Ok((settings.max_pairs != 0).then_some(Earlier { pins, settings }))
    }

    /// Its layout.
    pub fn version(&self) -> u32 {
        self.pins.version()
    }

    /// Source MAC by which its program marks what it hands to the kernel.
    pub fn mark(&self) -> [u8; 6] {
        self.settings.handover_mac
    }

    /// How many bindings and instances it holds.
    pub fn entries(&self) -> Result<usize> {
        let outbound = table::read::<PrivateKey>(&self.pins, table::OUTBOUND)?.len();
        Ok(table::read::<PublicAddr>(&self.pins, table::INBOUND)?.len() + outbound)
    }

    /// What every address has carried so far.
    pub fn carried(&self) -> Result<Vec<Carried>> {
        let bits = Limits::of(&self.settings).slot_bits();
        let vpc_of = hops::vpcs(&self.pins)?;
        let size = value_size(self.version(), "COUNTERS");
        let counters = Counters::of_an_earlier_layout(&self.pins, self.settings.counters_per_cpu, size)?;
        let inbound = table::read::<PublicAddr>(&self.pins, table::INBOUND)?.into_iter();
        let carried = inbound.map(|(public, cell)| {
            let cell = Inbound::unpack(cell, bits);
            let vpc = vpc_of.get(cell.hop as usize).copied().unwrap_or(0);
            let holder = PrivateKey { vpc, address: cell.private };
            Carried { public, holder, traffic: counters.of(cell.slot) }
        });
        Ok(carried.collect())
    }

    /// How often each verdict was given so far. Their order has not changed since layout 2.
    pub fn verdicts(&self) -> Result<Vec<VerdictCounter>> {
        let verdicts: PerCpuArray<MapData, VerdictCounter> = self.pins.open("VERDICTS")?;
        let counted = |index: u32| {
            let values = verdicts.get(&index, 0).context("reading VERDICTS")?;
            Ok(VerdictCounter {
                packets: sum(values.iter().map(|value| value.packets)),
                bytes: sum(values.iter().map(|value| value.bytes)),
            })
        };
        (0..verdicts.len()).map(counted).collect()
    }
}
