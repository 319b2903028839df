//! A sorted set that knows which of its items is the n-th, for pages of long lists.

use std::borrow::Borrow;

/// Items a chunk holds before it is cut in two. The n-th item of a million is found by adding up about two thousand
/// lengths, and an insertion moves one chunk at most.
const CHUNK: usize = 1024;

/// Each item once, ascending.
#[derive(Clone, Debug)]
pub(super) struct Ranked<T> {
    /// None of them empty.
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Ranked { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Ord> Ranked<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn insert(&mut self, item: T) {
        // What comes in order needs no search.
        if let Some(last) = self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK && chunk.last() < Some(&item)) {
            last.push(item);
            self.len += 1;
            return;
        }
        let Some(at) = self.chunk_of(&item) else {
            self.chunks.push(vec![item]);
            self.len = 1;
            return;
        };
        let chunk = &mut self.chunks[at];
        let Err(place) = chunk.binary_search(&item) else { return };
        chunk.insert(place, item);
        self.len += 1;
        if chunk.len() > CHUNK {
            // What comes in order is only ever added at the end, and leaves full chunks behind.
            let cut = if place + 1 == chunk.len() { CHUNK } else { CHUNK / 2 };
            let rest = chunk.split_off(cut);
            self.chunks.insert(at + 1, rest);
        }
    }

    pub(super) fn remove(&mut self, item: &T) {
        let Some(at) = self.chunk_of(item) else { return };
        let Ok(place) = self.chunks[at].binary_search(item) else { return };
        self.chunks[at].remove(place);
        self.len -= 1;
        if self.chunks[at].is_empty() {
            self.chunks.remove(at);
        }
    }

    /// The items from the n-th on, counted from 0.
    pub(super) fn from(&self, mut rank: usize) -> impl Iterator<Item = &T> {
        let mut first = 0;
        while let Some(chunk) = self.chunks.get(first).filter(|chunk| chunk.len() <= rank) {
            rank -= chunk.len();
            first += 1;
        }
        self.chunks[first..].iter().flatten().skip(rank)
    }

    /// The items above this one, which need not be among them, or all.
    pub(super) fn behind<'a, Q: Ord + ?Sized>(&'a self, item: Option<&Q>) -> impl Iterator<Item = &'a T> + use<'a, T, Q>
    where
        T: Borrow<Q>,
    {
        let (chunk, place) = item.map_or((0, 0), |item| {
            let at = self.chunks.partition_point(|chunk| chunk[0].borrow() <= item).saturating_sub(1);
            let place = self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|other| other.borrow() <= item));
            (at, place)
        });
        self.chunks[chunk..].iter().flatten().skip(place)
    }

    /// The chunk that holds the item or should; none where there are no chunks.
    fn chunk_of(&self, item: &T) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk[0] <= *item);
        (!self.chunks.is_empty()).then(|| after.saturating_sub(1))
    }
}

impl<T: Ord> PartialEq for Ranked<T> {
    /// How the items are cut into chunks depends on how they came, and does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.from(0).eq(other.from(0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_order_out_of_order_and_twice_is_the_same() {
        let (mut ascending, mut mixed) = (Ranked::default(), Ranked::default());
        for number in 0..10_000_u32 {
            ascending.insert(number);
            mixed.insert(number * 7919 % 10_000);
            mixed.insert(number * 7919 % 10_000);
        }
        assert!(ascending == mixed);
        assert_eq!(mixed.from(9_990).copied().collect::<Vec<_>>(), (9_990..10_000).collect::<Vec<_>>());
        assert_eq!(mixed.from(10_000).count(), 0);
        assert!(ascending.chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK));
    }

    proptest! {
        #[test]
        fn it_is_a_set_with_ranks(steps in prop::collection::vec((any::<bool>(), 0..3000_u16), 0..4000), rank in 0..3000_usize) {
            let (mut ranked, mut set) = (Ranked::default(), BTreeSet::new());
            for (insert, item) in steps {
                if insert {
                    ranked.insert(item);
                    set.insert(item);
                } else {
                    ranked.remove(&item);
                    set.remove(&item);
                }
            }
            prop_assert_eq!(ranked.len(), set.len());
            prop_assert!(ranked.from(rank).eq(set.iter().skip(rank)));
            let item = rank as u16;
            prop_assert!(ranked.behind(Some(&item)).eq(set.range(item + 1..)));
            prop_assert!(ranked.behind(None::<&u16>).eq(&set));
            prop_assert!(ranked.chunks.iter().all(|chunk| !chunk.is_empty()));
        }
    }
}
