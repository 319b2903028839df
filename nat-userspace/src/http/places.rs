//! The places that connections take, and who gives up one when all are taken.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// For so long nobody is asked to give up a place: who sends at once may still have waited for a processor or a round
/// trip. With all places taken, each is given to somebody new as often as this allows and no more; who comes faster
/// waits in the listener's queue.
const GRACE: Duration = Duration::from_millis(100);

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

/// Why nobody gives up a place now.
enum Kept {
    /// Nobody has been waited for long enough before this moment.
    NotBefore(Instant),
    /// Everybody is being answered.
    AllAnswered,
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

    /// A place for that peer. Where all are taken, somebody who keeps us waiting gives up theirs; where nobody does for
    /// long enough, this waits.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Place {
        loop {
            let changed = self.changed.notified();
            match self.try_take(peer) {
                Ok(place) => return place,
                Err(Kept::NotBefore(moment)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(moment) => {}
                },
                Err(Kept::AllAnswered) => changed.await,
            }
        }
    }

    fn try_take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Kept> {
        let mut table = self.table();
        if table.taken.len() >= self.most {
            table.give_up_one()?;
        }
        let number = table.next;
        table.next += 1;
        let given_up = Arc::new(Notify::new());
        table.taken.insert(number, Taken { peer, waiting: Some(Instant::now()), given_up: Arc::clone(&given_up) });
        *table.by_peer.entry(peer).or_default() += 1;
        Ok(Place { places: Arc::clone(self), number, given_up })
    }

    /// Has somebody who keeps us waiting give up a place, so that a file descriptor becomes free; nobody where none has
    /// waited long enough.
    pub(super) fn give_up_one(&self) {
        let _ = self.table().give_up_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Of those who have been waited for long enough, those of the address with the most places; of those, the one waited
    /// for longest.
    fn give_up_one(&mut self) -> Result<(), Kept> {
        let now = Instant::now();
        let waiting =
            || self.taken.iter().filter_map(|(number, taken)| Some((*number, taken.peer, taken.waiting? + GRACE)));
        let places = |peer: &IpAddr| self.by_peer.get(peer).copied().unwrap_or_default();
        let over = waiting().filter(|(.., until)| *until <= now);
        let chosen = over.min_by_key(|(_, peer, until)| (std::cmp::Reverse(places(peer)), *until));
        let Some((number, ..)) = chosen else {
            return Err(waiting().map(|(.., until)| until).min().map_or(Kept::AllAnswered, Kept::NotBefore));
        };
        if let Some(taken) = self.remove(number) {
            taken.given_up.notify_one();
        }
        Ok(())
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

    #[tokio::test(start_paused = true)]
    async fn the_longest_waiting_of_the_busiest_peer_gives_up_its_place() {
        let places = Places::new(3);
        let lone = places.take(peer(1)).await;
        let first = places.take(peer(2)).await;
        let second = places.take(peer(2)).await;
        let third = places.take(peer(3)).await;
        assert_eq!([&lone, &first, &second, &third].map(is_given_up), [false, true, false, false]);
        // Now all have one place each, so only time counts.
        let fourth = places.take(peer(2)).await;
        assert_eq!([&lone, &second, &third, &fourth].map(is_given_up), [true, false, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_keeps_its_place() {
        let places = Places::new(2);
        let first = places.take(peer(1)).await;
        let second = places.take(peer(1)).await;
        first.answer();
        second.answer();
        assert!(matches!(places.try_take(peer(2)), Err(Kept::AllAnswered)));
        first.wait();
        let third = places.take(peer(2)).await;
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

    /// A client that was connected may be kept from sending for a moment, and a flood fills all places within one.
    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_keeps_its_place_for_a_moment_however_many_follow() {
        let places = Places::new(3);
        let began = Instant::now();
        let polite = places.take(peer(1)).await;
        let mut flood = Vec::new();
        while !is_given_up(&polite) {
            flood.push(places.take(peer(1)).await);
        }
        assert!(began.elapsed() >= Duration::from_millis(100), "cut off after {:?}", began.elapsed());
        // The flood goes on at the rate at which places are given up, which is not none.
        let began = Instant::now();
        for _ in 0..30 {
            flood.push(places.take(peer(1)).await);
        }
        assert!(began.elapsed() <= Duration::from_millis(1100), "30 connections took {:?}", began.elapsed());
    }
}
