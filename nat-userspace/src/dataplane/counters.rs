//! Counters of addresses: a stretch of elements for each CPU, written by the program, summed by whoever reads. Where an
//! earlier layout was taken over there is one stretch more, which no program writes: what was carried until then.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use nat_common::abi::AddressCounters;
use serde::Serialize;

use super::pins::Pins;
use super::sys::Words;

/// Words of 64 bits in an element.
const WORDS: usize = size_of::<AddressCounters>() / size_of::<u64>();

/// Packets and IP bytes of one public address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Towards the instance.
    pub packets_in: u64,
    /// Towards the instance, IP total length.
    pub bytes_in: u64,
    /// From the instance.
    pub packets_out: u64,
    /// From the instance, IP total length.
    pub bytes_out: u64,
}

/// The sum of what several CPUs have counted. It goes round at 2^64 like each of them, so that the difference between two
/// readings is what was counted in between.
pub fn sum(counted: impl IntoIterator<Item = u64>) -> u64 {
    counted.into_iter().fold(0, u64::wrapping_add)
}

/// The counters in the kernel.
pub struct Counters {
    words: Words,
    /// Elements of one CPU; 0 where addresses are not counted.
    of_a_cpu: usize,
    /// Words of an element; the first four count.
    width: usize,
}

impl Counters {
    /// Opens the pinned array for its one writer beside the program.
    pub fn open(pins: &Pins, of_a_cpu: u32) -> Result<Counters> {
        Ok(Counters { words: pins.words("COUNTERS", true)?, of_a_cpu: of_a_cpu as usize, width: WORDS })
    }

    /// Opens it for reading only.
    pub fn read_only(pins: &Pins, of_a_cpu: u32) -> Result<Counters> {
        Counters::of_an_earlier_layout(pins, of_a_cpu, None)
    }

    /// Opens those of a layout whose elements may have had another size, for reading only.
    pub fn of_an_earlier_layout(pins: &Pins, of_a_cpu: u32, size: Option<usize>) -> Result<Counters> {
        let width = size.map_or(WORDS, |bytes| bytes / size_of::<u64>());
        Ok(Counters { words: pins.words("COUNTERS", false)?, of_a_cpu: of_a_cpu as usize, width })
    }

    /// What an address carried, on all CPUs.
    pub fn of(&self, slot: u32) -> Traffic {
        let word = |place: usize| {
            let counted = self.elements(slot).filter_map(|element| element.get(place));
            sum(counted.map(|word| word.load(Ordering::Relaxed)))
        };
        let [packets_in, bytes_in, packets_out, bytes_out] = [0, 1, 2, 3].map(word);
        Traffic { packets_in, bytes_in, packets_out, bytes_out }
    }

    /// Sets them to 0, for a slot no address has.
    pub fn clear(&self, slot: u32) {
        for word in self.elements(slot).flatten() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Sets what an address carried under an earlier layout. Saying it again changes nothing, so a start that was cut
    /// short can be done over.
    pub fn carry(&self, slot: u32, traffic: Traffic, cpus: u32) -> Result<()> {
        if self.of_a_cpu == 0 {
            return Ok(());
        }
        let element = self.elements(slot).nth(cpus as usize);
        ensure!(
            element.is_some(),
            "the maps were not made to take over counters; run `eipgate detach` and start again"
        );
        let Traffic { packets_in, bytes_in, packets_out, bytes_out } = traffic;
        let places = element.into_iter().flatten();
        places.zip([packets_in, bytes_in, packets_out, bytes_out]).for_each(|(p, v)| p.store(v, Ordering::Relaxed));
        Ok(())
    }

    fn elements(&self, slot: u32) -> impl Iterator<Item = &[AtomicU64]> {
        let counted = (slot as usize) < self.of_a_cpu;
        let first = if counted { slot as usize * self.width } else { usize::MAX };
        let all = self.words.words().get(first..).unwrap_or_default();
        all.chunks((self.of_a_cpu * self.width).max(self.width)).filter_map(|of_a_cpu| of_a_cpu.get(..self.width))
    }
}
