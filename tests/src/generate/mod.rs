//! Random frames for comparing the program with the reference: a weighted mix of sound traffic in every protocol and
//! direction, of everything the gateway refuses, and of damage done to both; and a shrinker for what fails.
//!
//! The same seed and world give the same frames.

mod addresses;
mod damage;
mod packets;
mod shrink;

#[cfg(test)]
mod tests;

use fastrand::Rng;

use crate::frames::{self, IPV4};
use crate::reference::{Side, World};

pub use shrink::{SHRINK_ATTEMPTS, shrink};

/// Makes frames, one after another, for ever.
pub struct Generator {
    rng: Rng,
    /// Bounds on a frame's length. The defaults suit `BPF_PROG_TEST_RUN` of a program without fragments.
    pub smallest: usize,
    pub largest: usize,
    /// Where payloads are cut from.
    noise: Vec<u8>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut noise = vec![0; 16384];
        rng.fill(&mut noise);
        Self { rng, smallest: 14, largest: 3500, noise }
    }

    /// The next frame and the interface it arrives by.
    pub fn next(&mut self, world: &World) -> (u32, Vec<u8>) {
        let side = if self.percent(45) { Side::Uplink } else { Side::Downlink { vpc: 0 } };
        let link = loop {
            let link = self.pick(&world.links);
            if (link.side == Side::Uplink) == (side == Side::Uplink) || self.percent(10) {
                break link;
            }
        };
        let mut frame = match self.rng.u8(..100) {
            0..5 => self.arp(world, link),
            5..7 => self.other_ethertype(link),
            _ => self.ip_frame(world, link),
        };
        if self.percent(12) {
            for _ in 0..self.rng.u8(1..=3) {
                self.mutate(&mut frame);
            }
            if self.percent(65) {
                reseal(&mut frame);
            }
        }
        frame.truncate(self.largest);
        while frame.len() < self.smallest {
            frame.push(self.rng.u8(..));
        }
        (link.ifindex, frame)
    }

    fn percent(&mut self, chance: u8) -> bool {
        self.rng.u8(..100) < chance
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.usize(..from.len())]
    }

    fn data(&mut self, length: usize) -> Vec<u8> {
        let start = self.rng.usize(..=self.noise.len() - length);
        self.noise[start..start + length].to_vec()
    }

    /// A length for a payload: mostly short, often at a usual MTU, at times long.
    fn length(&mut self) -> usize {
        match self.rng.u8(..100) {
            0..55 => self.rng.usize(..64),
            55..80 => self.rng.usize(..600),
            80..84 => 576 - 28 - 20 + self.rng.usize(..40),
            84..88 => 1400 - 60 + self.rng.usize(..70),
            88..94 => 1500 - 60 + self.rng.usize(..70),
            94..99 => self.rng.usize(..2000),
            _ => self.rng.usize(..4000),
        }
    }
}

/// Makes the IP header checksum of a frame right, where there is a header.
pub fn reseal(frame: &mut [u8]) {
    if let Some((IPV4, start)) = frames::payload(frame) {
        frames::seal_header(&mut frame[start..]);
    }
}
