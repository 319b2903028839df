//! The places that connections take, and who gives up one when all are taken.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// The places of one listener.
pub(super) struct Places {
    most: usize,
    table: Mutex<Table>,
    /// Somebody left, or began to wait for its client.
    changed: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    taken: BTreeMap<u64, Taken>,
    by_peer: HashMap<IpAddr, usize>,
}

struct Taken {
    peer: IpAddr,
    /// Since when its client has been waited for; none while it is being answered.
    waiting: Option<Instant>,
    given_up: Arc<Notify>,
}

/// A place, free again when this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Places { most, table: Mutex::default(), changed: Notify::new() })
    }

    /// A place for that peer. Where all are taken, somebody who keeps us waiting gives up theirs; where nobody does,
    /// this waits.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Place {
        loop {
            let changed = self.changed.notified();
            if let Some(place) = self.try_take(peer) {
                return place;
            }
            changed.await;
        }
    }

    fn try_take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut table = self.table();
        if table.taken.len() >= self.most && !table.give_up_one() {
            return None;
        }
        let number = table.next;
        table.next += 1;
        let given_up = Arc::new(Notify::new());
        table.taken.insert(number, Taken { peer, waiting: Some(Instant::now()), given_up: Arc::clone(&given_up) });
        *table.by_peer.entry(peer).or_default() += 1;
        Some(Place { places: Arc::clone(self), number, given_up })
    }

    /// Has somebody who keeps us waiting give up a place, so that a file descriptor becomes free.
    pub(super) fn give_up_one(&self) -> bool {
        self.table().give_up_one()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Of those who wait, those of the address with the most places; of those, who has waited longest.
    fn give_up_one(&mut self) -> bool {
        let waiting = self.taken.iter().filter_map(|(number, taken)| Some((*number, taken.peer, taken.waiting?)));
        let places = |peer: &IpAddr| self.by_peer.get(peer).copied().unwrap_or_default();
        let chosen = waiting.min_by_key(|(_, peer, since)| (std::cmp::Reverse(places(peer)), *since));
        let Some((number, ..)) = chosen else { return false };
        if let Some(taken) = self.remove(number) {
            taken.given_up.notify_one();
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Taken> {
        let taken = self.taken.remove(&number)?;
        if let Some(count) = self.by_peer.get_mut(&taken.peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&taken.peer);
            }
        }
        Some(taken)
    }
}

impl Place {
    /// Ends when the place was given to somebody else.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// While its client is answered nobody takes it away.
    pub(super) fn answer(&self) {
        self.wait_since(None);
    }

    /// From now on the client is waited for.
    pub(super) fn wait(&self) {
        self.wait_since(Some(Instant::now()));
        self.places.changed.notify_one();
    }

    fn wait_since(&self, waiting: Option<Instant>) {
        if let Some(taken) = self.places.table().taken.get_mut(&self.number) {
            taken.waiting = waiting;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().remove(self.number);
        self.places.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn is_given_up(place: &Place) -> bool {
        !place.places.table().taken.contains_key(&place.number)
    }

    #[test]
    fn the_longest_waiting_of_the_busiest_peer_gives_up_its_place() {
        let places = Places::new(3);
        let lone = places.try_take(peer(1)).unwrap();
        let first = places.try_take(peer(2)).unwrap();
        let second = places.try_take(peer(2)).unwrap();
        let third = places.try_take(peer(3)).unwrap();
        assert_eq!([&lone, &first, &second, &third].map(is_given_up), [false, true, false, false]);
        // Now all have one place each, so only time counts.
        let fourth = places.try_take(peer(2)).unwrap();
        assert_eq!([&lone, &second, &third, &fourth].map(is_given_up), [true, false, false, false]);
    }

    #[test]
    fn who_is_answered_keeps_its_place() {
        let places = Places::new(2);
        let first = places.try_take(peer(1)).unwrap();
        let second = places.try_take(peer(1)).unwrap();
        first.answer();
        second.answer();
        assert!(places.try_take(peer(2)).is_none());
        first.wait();
        let third = places.try_take(peer(2)).unwrap();
        assert_eq!([&first, &second, &third].map(is_given_up), [true, false, false]);
        drop((first, second, third));
        assert!(places.table().taken.is_empty() && places.table().by_peer.is_empty());
    }

    #[tokio::test]
    async fn where_all_are_answered_one_waits_for_an_end() {
        let places = Places::new(1);
        let first = places.take(peer(1)).await;
        first.answer();
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { drop(places.take(peer(2)).await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
