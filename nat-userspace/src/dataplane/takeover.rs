//! Taking over from a version of eipgate with another layout: what only the kernel knows, and the end of the old maps.
//!
//! The new maps are filled from the store and the program is swapped through the old links, one interface after the
//! other; each interface has one whole version or the other, and a packet needs no more. What addresses have carried is
//! said before that and, for good, when no packet can be counted the old way any more. Only then the old maps go. Each
//! step can be done over, so a start that was cut short anywhere is finished by the next.

use anyhow::{Context as _, Result};
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use nat_common::abi::VerdictCounter;
use nat_common::verdict::Verdict;

use super::{DataPlane, sys};

impl DataPlane {
    /// Counts on from what the earlier layout has counted.
    pub(super) fn carry(&mut self) -> Result<()> {
        let Some(earlier) = &self.earlier else { return Ok(()) };
        let carried = earlier.carried()?;
        let kept = self.bindings.carry(&carried)?;
        let mut verdicts: PerCpuArray<MapData, VerdictCounter> = self.pins.open("VERDICTS")?;
        let cpus = super::limits::cpus()? as usize;
        for (index, counter) in (Verdict::COUNT..verdicts.len()).zip(earlier.verdicts()?) {
            let mut values = vec![VerdictCounter::default(); cpus];
            values[..1].fill(counter);
            verdicts.set(index, PerCpuValues::try_from(values)?, 0).context("writing VERDICTS")?;
        }
        tracing::debug!(kept, of = carried.len(), layout = earlier.version(), "counters are carried over");
        Ok(())
    }

    /// Ends the earlier layout, once its program is on no interface.
    pub(super) fn take_over(&mut self) -> Result<()> {
        if let Some(earlier) = &self.earlier {
            let version = earlier.version();
            // A packet that met the old program may still be counted by it.
            sys::grace_period();
            self.carry()?;
            tracing::info!("took over from a version of eipgate with layout {version}");
            if !self.plan.limits.counters {
                tracing::warn!("counters are switched off, so what addresses carried until now is forgotten");
            }
        }
        self.earlier = None;
        if let Some(pins) = self.pins.earlier() {
            for line in pins.remove()? {
                tracing::info!("{line}");
            }
        }
        Ok(())
    }
}
