//! Damage done to frames.

use super::Generator;
use crate::frames;

impl Generator {
    /// Damages a frame in one way.
    pub fn mutate(&mut self, frame: &mut Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        match self.rng.u8(..100) {
            0..20 => {
                let at = self.rng.usize(..frame.len());
                frame[at] ^= 1 << self.rng.u8(..8);
            }
            20..30 => {
                let at = self.rng.usize(..frame.len().min(80));
                frame[at] = self.rng.u8(..);
            }
            30..42 => {
                let end = if self.percent(70) { frame.len().min(90) } else { frame.len() };
                let length = self.rng.usize(..=end);
                frame.truncate(length);
            }
            42..48 => {
                let length = self.rng.usize(1..80);
                frame.extend(self.data(length));
            }
            48..52 => {
                // Tags come, stay or go.
                if frame.len() >= 18 && self.percent(50) {
                    frame.drain(12..16);
                } else if frame.len() >= 14 {
                    let tag = [0x81, 0, 0, self.rng.u8(..8)];
                    frame.splice(12..12, tag);
                }
            }
            52..56 if frame.len() >= 12 => {
                let (destination, source) = frame.split_at_mut(6);
                destination.swap_with_slice(&mut source[..6]);
            }
            56..60 if frame.len() >= 2 => {
                let at = self.rng.usize(..frame.len() - 1);
                let value = *self.pick(&[0, 0xffff, 0x8100, 0x0800, 1, 0x8000_u16]);
                frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
            }
            _ => self.mutate_field(frame),
        }
    }

    fn mutate_field(&mut self, frame: &mut [u8]) {
        let fields = frames::fields(frame);
        if fields.is_empty() {
            return;
        }
        let field = self.pick(&fields);
        let bytes = &mut frame[field.at..field.at + field.length];
        match self.rng.u8(..6) {
            0 => bytes.fill(0),
            1 => bytes.fill(0xff),
            2 => {
                let last = bytes.len() - 1;
                let step = if self.rng.bool() { 1 } else { 0xff };
                bytes[last] = bytes[last].wrapping_add(step);
            }
            3 => bytes.iter_mut().for_each(|byte| *byte = self.rng.u8(..)),
            _ => {
                let at = self.rng.usize(..bytes.len());
                bytes[at] ^= 1 << self.rng.u8(..8);
            }
        }
    }
}
