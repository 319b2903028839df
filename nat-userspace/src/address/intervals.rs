//! A set of addresses kept as intervals, so that a /8 costs as little as a single address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// First and last address of each interval. Intervals neither overlap nor touch, so equal sets compare equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Intervals(BTreeMap<u32, u32>);

impl Intervals {
    /// Adds one address, which must not be in the set.
    pub(super) fn insert(&mut self, address: Ipv4Addr) {
        self.insert_range(address, address);
    }

    /// Adds `first..=last`, none of which may be in the set.
    pub(super) fn insert_range(&mut self, first: Ipv4Addr, last: Ipv4Addr) {
        let (mut first, mut last) = (first.to_bits(), last.to_bits());
        if let Some((&start, &end)) = self.0.range(..first).next_back()
            && end.checked_add(1) == Some(first)
        {
            first = start;
        }
        if let Some(end) = last.checked_add(1).and_then(|next| self.0.remove(&next)) {
            last = end;
        }
        self.0.insert(first, last);
    }

    /// Takes one address out; no effect when it is not in the set.
    pub(super) fn remove(&mut self, address: Ipv4Addr) {
        let address = address.to_bits();
        let Some((&first, &last)) = self.0.range(..=address).next_back() else { return };
        if last < address {
            return;
        }
        self.0.remove(&first);
        if first < address {
            self.0.insert(first, address - 1);
        }
        if address < last {
            self.0.insert(address + 1, last);
        }
    }

    /// The set without these addresses, which are ascending and need not be in it.
    pub(super) fn without(self, ascending: &[Ipv4Addr]) -> Intervals {
        let mut gone = ascending.iter().map(|address| address.to_bits()).peekable();
        let mut left = Vec::new();
        for (mut first, last) in self.0 {
            while gone.next_if(|address| *address < first).is_some() {}
            let mut open = true;
            while let Some(address) = gone.next_if(|address| *address <= last) {
                if first < address {
                    left.push((first, address - 1));
                }
                // An address that comes twice finds the interval after it.
                first = first.max(address.saturating_add(1));
                open = address < last;
            }
            if open {
                left.push((first, last));
            }
        }
        Intervals(left.into_iter().collect())
    }

    /// Every address, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.0.iter().flat_map(|(&first, &last)| first..=last).map(Ipv4Addr::from_bits)
    }

    /// How many addresses of `first..=last` are in the set.
    pub(super) fn count_within(&self, first: Ipv4Addr, last: Ipv4Addr) -> u64 {
        let (first, last) = (first.to_bits(), last.to_bits());
        let reaching_in = self.0.range(..first).next_back().filter(|(_, end)| **end >= first);
        let overlapping = reaching_in.into_iter().chain(self.0.range(first..=last));
        overlapping.map(|(&start, &end)| u64::from(end.min(last) - start.max(first)) + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(toggles in prop::collection::vec(prop_oneof![0..20u32, u32::MAX - 5..=u32::MAX], 0..80)) {
            let (mut intervals, mut set) = (Intervals::default(), BTreeSet::new());
            for bits in toggles {
                let address = Ipv4Addr::from_bits(bits);
                let added = set.insert(address);
                if added { intervals.insert(address) } else { intervals.remove(address) }
                if !added { set.remove(&address); }
                prop_assert!(intervals.iter().eq(set.iter().copied()));
                let (low, high) = (Ipv4Addr::from_bits(bits / 2), Ipv4Addr::from_bits(bits));
                prop_assert_eq!(intervals.count_within(low, high), set.range(low..=high).count() as u64);
            }
            let used: Vec<_> = set.iter().copied().collect();
            let whole = || {
                let mut whole = Intervals::default();
                whole.insert_range(Ipv4Addr::from_bits(0), Ipv4Addr::from_bits(12));
                whole.insert_range(Ipv4Addr::from_bits(u32::MAX - 3), Ipv4Addr::from_bits(u32::MAX));
                whole
            };
            let mut one_by_one = whole();
            used.iter().for_each(|address| one_by_one.remove(*address));
            let twice: Vec<_> = used.iter().flat_map(|address| [*address; 2]).collect();
            prop_assert_eq!(whole().without(&used), one_by_one.clone());
            prop_assert_eq!(whole().without(&twice), one_by_one);
            let starts: Vec<_> = intervals.0.iter().collect();
            prop_assert!(starts.windows(2).all(|pair| *pair[0].1 + 1 < *pair[1].0), "touching intervals");
        }
    }
}
