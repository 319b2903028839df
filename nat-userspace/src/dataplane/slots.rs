//! Counter slots: one for each public address that is bound, and none in the hands of two.

use super::sys;

/// Which slots belong to no address.
pub struct Slots {
    taken: Vec<bool>,
    /// How many are not taken.
    spare: usize,
    /// Those that are free, and some that have been taken by name since.
    free: Vec<u32>,
    /// Given up, and perhaps still in the hands of a packet that was on its way when that happened.
    retired: Vec<u32>,
}

impl Slots {
    /// The slots, of which these are taken.
    pub fn new(taken: Vec<bool>) -> Slots {
        let free: Vec<u32> = (0..).zip(&taken).filter(|(_, taken)| !**taken).map(|(slot, _)| slot).collect();
        Slots { taken, spare: free.len(), free, retired: Vec::new() }
    }

    /// Makes sure that so many can be taken, if there are so many at all. That may take a grace period.
    pub fn make_room(&mut self, wanted: usize) {
        self.make_room_by(wanted, sys::grace_period);
    }

    fn make_room_by(&mut self, wanted: usize, rest: impl FnOnce()) {
        if self.spare >= wanted || self.retired.is_empty() {
            return;
        }
        rest();
        let taken = &mut self.taken;
        self.free.retain(|slot| !taken[*slot as usize]);
        for slot in &self.retired {
            taken[*slot as usize] = false;
        }
        self.spare += self.retired.len();
        self.free.append(&mut self.retired);
    }

    /// A slot, without waiting: the one wanted if it is free, or any other.
    pub fn take(&mut self, wanted: Option<u32>) -> Option<u32> {
        let taken = &mut self.taken;
        let is_free = |slot: &u32| taken.get(*slot as usize) == Some(&false);
        let any = || std::iter::from_fn(|| self.free.pop()).find(is_free);
        let slot = wanted.filter(is_free).or_else(any)?;
        taken[slot as usize] = true;
        self.spare -= 1;
        Some(slot)
    }

    /// Gives back one that no packet has heard of.
    pub fn give_back(&mut self, slot: u32) {
        self.taken[slot as usize] = false;
        self.spare += 1;
        self.free.push(slot);
    }

    /// Gives up one that packets may be counting in.
    pub fn retire(&mut self, slot: u32) {
        self.retired.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes room; answers whether that took a grace period.
    fn rests(slots: &mut Slots, wanted: usize) -> bool {
        let mut rested = false;
        slots.make_room_by(wanted, || rested = true);
        rested
    }

    #[test]
    fn a_slot_is_nobodys_again_after_a_grace_period_which_taking_never_waits_for() {
        let mut slots = Slots::new(vec![false, true, false]);
        assert_eq!((slots.take(Some(1)), slots.take(Some(0)), slots.take(None)), (Some(2), Some(0), None));
        slots.retire(1);
        assert_eq!(slots.take(Some(1)), None, "a packet may still count in it");
        assert!(rests(&mut slots, 1) && !rests(&mut slots, 1));
        assert_eq!(slots.take(None), Some(1));
        slots.give_back(1);
        assert!(!rests(&mut slots, 1), "no packet has heard of it");
        assert_eq!((slots.take(Some(1)), slots.take(None)), (Some(1), None));
    }

    #[test]
    fn room_is_made_for_as_many_as_are_wanted_and_never_in_vain() {
        let mut slots = Slots::new(vec![false; 4]);
        let held: Vec<u32> = (0..4).filter_map(|slot| slots.take(Some(slot))).collect();
        assert_eq!(held, [0, 1, 2, 3]);
        assert!(!rests(&mut slots, 1), "nothing would come of it");
        slots.retire(0);
        slots.retire(3);
        assert!(rests(&mut slots, 2));
        assert_eq!(slots.take(Some(3)), Some(3));
        slots.retire(2);
        assert!(!rests(&mut slots, 1) && rests(&mut slots, 2));
        // Those that were taken by name stand in no list twice.
        assert_eq!((slots.take(None), slots.take(None), slots.take(None)), (Some(2), Some(0), None));
    }
}
