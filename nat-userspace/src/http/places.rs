//! The places that connections take, and who gives up one when all are taken.

use std::cmp::Reverse;
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
    /// Somebody has left, or waits for its client.
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
    stand: Stand,
    given_up: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Stand {
    /// Its client has been waited for since then.
    Waiting(Instant),
    /// Its client is being answered.
    Answered,
    /// Was asked to give up its place and has not closed its connection yet: that still is an open file.
    Leaving,
}

/// Why there is no place now.
#[derive(Debug, PartialEq, Eq)]
enum Full {
    /// Somebody is leaving.
    OneLeaves,
    /// Nobody has been waited for long enough before this moment.
    Until(Instant),
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
                Err(Full::Until(moment)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(moment) => {}
                },
                Err(Full::OneLeaves | Full::AllAnswered) => changed.await,
            }
        }
    }

    fn try_take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Full> {
        let mut table = self.table();
        if table.taken.len() >= self.most {
            return Err(table.give_up_one());
        }
        let number = table.next;
        table.next += 1;
        let given_up = Arc::new(Notify::new());
        let stand = Stand::Waiting(Instant::now());
        table.taken.insert(number, Taken { peer, stand, given_up: Arc::clone(&given_up) });
        *table.by_peer.entry(peer).or_default() += 1;
        Ok(Place { places: Arc::clone(self), number, given_up })
    }

    /// Has somebody who keeps us waiting give up a place, so that a file descriptor becomes free; nobody where none has
    /// waited long enough.
    pub(super) fn give_up_one(&self) {
        self.table().give_up_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Asks one to leave, where none is leaving: of those who have been waited for long enough, those of the address with
    /// the most places; of those, the one waited for longest.
    fn give_up_one(&mut self) -> Full {
        if self.taken.values().any(|taken| matches!(taken.stand, Stand::Leaving)) {
            return Full::OneLeaves;
        }
        let now = Instant::now();
        let places = |peer: &IpAddr| self.by_peer.get(peer).copied().unwrap_or_default();
        let waiting = self.taken.iter().filter_map(|(number, taken)| match taken.stand {
            Stand::Waiting(since) => Some((*number, taken.peer, since + GRACE)),
            Stand::Answered | Stand::Leaving => None,
        });
        let over = waiting.clone().filter(|(.., until)| *until <= now);
        let chosen = over.min_by_key(|(_, peer, until)| (Reverse(places(peer)), *until));
        let Some((number, ..)) = chosen else {
            return waiting.map(|(.., until)| until).min().map_or(Full::AllAnswered, Full::Until);
        };
        if let Some(taken) = self.taken.get_mut(&number) {
            taken.stand = Stand::Leaving;
            taken.given_up.notify_one();
        }
        Full::OneLeaves
    }

    fn remove(&mut self, number: u64) {
        let Some(Taken { peer, .. }) = self.taken.remove(&number) else { return };
        if let Some(count) = self.by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }
}

impl Place {
    /// Ends when somebody else is to have the place, which they get when this one is dropped.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// While its client is answered nobody takes it away.
    pub(super) fn answer(&self) {
        self.stand(Stand::Answered);
    }

    /// From now on the client is waited for.
    pub(super) fn wait(&self) {
        self.stand(Stand::Waiting(Instant::now()));
        self.places.changed.notify_one();
    }

    fn stand(&self, stand: Stand) {
        match self.places.table().taken.get_mut(&self.number) {
            Some(taken) if !matches!(taken.stand, Stand::Leaving) => taken.stand = stand,
            _ => {}
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
    use futures_util::FutureExt as _;

    use super::*;

    /// Places, and who has one.
    struct Room {
        places: Arc<Places>,
        here: Vec<Place>,
    }

    impl Room {
        fn of(most: usize) -> Room {
            Room { places: Places::new(most), here: Vec::new() }
        }

        /// Somebody comes from that peer, and whoever is asked to leave does. Answers with the newcomer's number.
        async fn comes(&mut self, last: u8) -> u64 {
            let mut coming = Box::pin(self.places.take(peer(last)));
            loop {
                let Some(place) = coming.as_mut().now_or_never() else {
                    let before = self.here.len();
                    self.here.retain(|place| place.given_up().now_or_never().is_none());
                    if self.here.len() == before {
                        tokio::time::sleep(GRACE / 10).await;
                    }
                    continue;
                };
                let number = place.number;
                self.here.push(place);
                return number;
            }
        }

        fn has(&self, number: u64) -> bool {
            self.here.iter().any(|place| place.number == number)
        }

        fn place(&self, number: u64) -> &Place {
            self.here.iter().find(|place| place.number == number).unwrap()
        }
    }

    fn peer(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_waiting_of_the_busiest_peer_gives_up_its_place() {
        let mut room = Room::of(3);
        let (lone, first, second) = (room.comes(1).await, room.comes(2).await, room.comes(2).await);
        let third = room.comes(3).await;
        assert_eq!([lone, first, second, third].map(|number| room.has(number)), [true, false, true, true]);
        // Now all have one place each, so only time counts.
        let fourth = room.comes(2).await;
        assert_eq!([lone, second, third, fourth].map(|number| room.has(number)), [false, true, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_keeps_its_place() {
        let mut room = Room::of(2);
        let (first, second) = (room.comes(1).await, room.comes(1).await);
        room.place(first).answer();
        room.place(second).answer();
        assert_eq!(room.places.try_take(peer(2)).err(), Some(Full::AllAnswered));
        room.place(first).wait();
        let third = room.comes(2).await;
        assert_eq!([first, second, third].map(|number| room.has(number)), [false, true, true]);
        room.here.clear();
        assert!(room.places.table().taken.is_empty() && room.places.table().by_peer.is_empty());
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
        let mut room = Room::of(3);
        let began = Instant::now();
        let polite = room.comes(1).await;
        while room.has(polite) {
            room.comes(1).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(100), "cut off after {:?}", began.elapsed());
        // The flood goes on at the rate at which places are given up, which is not none.
        let began = Instant::now();
        for _ in 0..30 {
            room.comes(1).await;
        }
        assert!(began.elapsed() <= Duration::from_millis(1200), "30 connections took {:?}", began.elapsed());
    }

    /// However long a connection takes to close, there are never more than there are places.
    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_when_its_connection_is_closed_and_not_when_it_is_to_be() {
        let places = Places::new(2);
        let (first, second) = (places.take(peer(1)).await, places.take(peer(1)).await);
        tokio::time::advance(GRACE).await;
        for _ in 0..3 {
            assert_eq!(places.try_take(peer(1)).err(), Some(Full::OneLeaves));
            // One is enough, and an answer on the way does not call it back.
            assert!(second.given_up().now_or_never().is_none());
            first.wait();
        }
        assert!(first.given_up().now_or_never().is_some());
        drop(first);
        assert!(places.try_take(peer(1)).is_ok());
    }
}
