//! Which pool addresses are held, resting, marked, or free, and which of the free ones is next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::intervals::Intervals;
use super::{EipId, Exclusion, Fence, InstanceId, Pool, PoolRange, PoolState, Prefix, Refusal, Time};

/// Who holds a public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The instance whose ordinary public IP it is.
    Ordinary(InstanceId),
    /// The EIP whose address it is.
    Eip(EipId),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Ordinary(instance) => write!(f, "instance {instance}"),
            Holder::Eip(eip) => write!(f, "EIP {eip}"),
        }
    }
}

/// How the members of one range are used. `held + cooling + free + set_aside` is `members`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeTotals {
    /// The range.
    pub prefix: Prefix,
    /// Addresses that can be handed out at all.
    pub members: u64,
    /// Ordinary public IPs and EIPs.
    pub held: u64,
    /// Released and resting.
    pub cooling: u64,
    /// Free now.
    pub free: u64,
    /// Not held and not handed out: another host answers for them, they are fenced, or their range drains.
    pub set_aside: u64,
}

/// Every address the gateway has ever dealt with, by what may be done with it. Nothing is kept for an address never
/// used: those are the intervals of `fresh`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stock {
    pool: Pool,
    held: BTreeMap<Ipv4Addr, Holder>,
    /// How many of them are no members of the pool.
    held_outside: usize,
    /// Addresses never used that may be handed out.
    fresh: Intervals,
    /// When each address that was used and is not held now was given up, in the pool or not: a pool that shrinks and
    /// grows again must still know who rests.
    released: BTreeMap<Ipv4Addr, Time>,
    /// The part of `released` that may be handed out, longest released first.
    queue: BTreeSet<(Time, Ipv4Addr)>,
    /// Another host on the link answers for these.
    duplicates: BTreeSet<Ipv4Addr>,
    /// Not to be handed out, nor in effect while held, until an operator says otherwise; in a pool or not.
    fences: BTreeMap<Ipv4Addr, Fence>,
}

impl Stock {
    pub(super) fn new(pool: Pool) -> Self {
        let fresh = pool.offered_intervals();
        Self {
            pool,
            held: BTreeMap::new(),
            held_outside: 0,
            fresh,
            released: BTreeMap::new(),
            queue: BTreeSet::new(),
            duplicates: BTreeSet::new(),
            fences: BTreeMap::new(),
        }
    }

    /// A stock in which this is so. The lists are ascending, and no address is both held and released.
    pub(super) fn restored(
        pool: Pool,
        held: Vec<(Ipv4Addr, Holder)>,
        released: Vec<(Ipv4Addr, Time)>,
        duplicates: BTreeSet<Ipv4Addr>,
        fences: BTreeMap<Ipv4Addr, Fence>,
    ) -> Self {
        let mut stock = Self {
            held: held.into_iter().collect(),
            released: released.into_iter().collect(),
            duplicates,
            fences,
            ..Self::new(pool)
        };
        stock.sort_out();
        stock
    }

    /// Changes the ranges.
    pub(super) fn change_pool(&mut self, change: impl FnOnce(&mut Pool)) {
        change(&mut self.pool);
        self.sort_out();
    }

    /// Works out anew what may be handed out, by walking every address that was ever used.
    fn sort_out(&mut self) {
        let mut used: Vec<Ipv4Addr> = self.held.keys().chain(self.released.keys()).copied().collect();
        used.extend(self.duplicates.iter().chain(self.fences.keys()));
        used.sort();
        let offered = self.released.iter().filter(|(address, _)| self.may_be_offered(**address));
        self.queue = offered.map(|(address, at)| (*at, *address)).collect();
        self.fresh = self.pool.offered_intervals().without(&used);
        self.held_outside = self.held.keys().filter(|address| !self.pool.is_member(**address)).count();
    }

    /// Whether the address may be handed out when nobody holds it and it does not rest.
    fn may_be_offered(&self, address: Ipv4Addr) -> bool {
        self.pool.offers(address) && !self.is_set_aside(address)
    }

    fn is_set_aside(&self, address: Ipv4Addr) -> bool {
        self.duplicates.contains(&address) || self.fences.contains_key(&address)
    }

    /// What was released after `now` was released now.
    pub(super) fn nothing_released_after(&mut self, now: Time) {
        for (address, at) in self.released.iter_mut().filter(|(_, at)| **at > now) {
            if self.queue.remove(&(*at, *address)) {
                self.queue.insert((now, *address));
            }
            *at = now;
        }
    }

    pub(super) fn set_cool_down(&mut self, cool_down: Duration) {
        self.pool.set_cool_down(cool_down);
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<&Holder> {
        self.held.get(&address)
    }

    pub(super) fn held(&self) -> &BTreeMap<Ipv4Addr, Holder> {
        &self.held
    }

    pub(super) fn held_outside(&self) -> usize {
        self.held_outside
    }

    pub(super) fn released(&self) -> &BTreeMap<Ipv4Addr, Time> {
        &self.released
    }

    pub(super) fn duplicates(&self) -> &BTreeSet<Ipv4Addr> {
        &self.duplicates
    }

    pub(super) fn fences(&self) -> &BTreeMap<Ipv4Addr, Fence> {
        &self.fences
    }

    /// The address released longest ago, those never used first and in ascending order, and none that is `kept_back`.
    pub(super) fn next_free(&self, now: Time, kept_back: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let rested = self.queue.iter().take_while(|(at, _)| self.rests_until(*at) <= now).map(|(_, address)| *address);
        self.fresh.iter().chain(rested).find(|address| !kept_back(*address))
    }

    /// When the first of the resting addresses other than `except` becomes free.
    pub(super) fn next_rested(&self, now: Time, except: Option<Ipv4Addr>) -> Option<Time> {
        self.cooling(now).find(|(address, _)| Some(*address) != except).map(|(_, until)| until)
    }

    /// Whether this very address may be handed out, or why not.
    pub(super) fn check_free(&self, address: Ipv4Addr, now: Time) -> Result<(), Refusal> {
        let range = self.pool.range_of(address).ok_or(Refusal::NotInPool { address })?;
        if !range.is_member(address) {
            return Err(Refusal::Excluded { address, reason: Exclusion::Withheld });
        }
        if self.held.contains_key(&address) {
            return Err(Refusal::AddressTaken { address });
        }
        if self.fences.contains_key(&address) {
            return Err(Refusal::Excluded { address, reason: Exclusion::Fenced });
        }
        if self.duplicates.contains(&address) {
            return Err(Refusal::Excluded { address, reason: Exclusion::Duplicate });
        }
        if range.state() == PoolState::Draining {
            return Err(Refusal::Excluded { address, reason: Exclusion::Draining });
        }
        match self.released.get(&address).map(|at| self.rests_until(*at)) {
            Some(until) if until > now => Err(Refusal::CoolingDown { address, until }),
            _ => Ok(()),
        }
    }

    /// The addresses resting now, with the time each becomes free, soonest first.
    pub(super) fn cooling(&self, now: Time) -> impl Iterator<Item = (Ipv4Addr, Time)> + '_ {
        let oldest = Time(now.0.saturating_add(1)).before(self.pool.cool_down());
        let resting = self.queue.range((oldest, Ipv4Addr::UNSPECIFIED)..);
        resting.map(|(at, address)| (*address, self.rests_until(*at)))
    }

    /// The address goes to `holder`. It must not be held.
    pub(super) fn hold(&mut self, address: Ipv4Addr, holder: Holder) {
        match self.released.remove(&address) {
            Some(at) => {
                self.queue.remove(&(at, address));
            }
            None => self.fresh.remove(address),
        }
        self.held_outside += usize::from(!self.pool.is_member(address));
        let earlier = self.held.insert(address, holder);
        assert!(earlier.is_none(), "an address is handed out only while nobody holds it");
    }

    /// The address, held until now, is about to be held by another, without a moment in between.
    pub(super) fn hand_over(&mut self, address: Ipv4Addr) {
        self.held.remove(&address).expect("only an address that is held is handed over");
        self.held_outside -= usize::from(!self.pool.is_member(address));
    }

    /// The address, held until now, begins to rest.
    pub(super) fn release(&mut self, address: Ipv4Addr, at: Time) {
        self.held.remove(&address).expect("only an address that is held is given up");
        self.held_outside -= usize::from(!self.pool.is_member(address));
        self.released.insert(address, at);
        if self.may_be_offered(address) {
            self.queue.insert((at, address));
        }
    }

    /// Sets the address aside; a holder keeps it.
    pub(super) fn mark_duplicate(&mut self, address: Ipv4Addr) {
        self.duplicates.insert(address);
        self.withdraw(address);
    }

    /// Undoes [`Stock::mark_duplicate`].
    pub(super) fn clear_duplicate(&mut self, address: Ipv4Addr) {
        if self.duplicates.remove(&address) {
            self.offer(address);
        }
    }

    /// Sets the address aside; a holder keeps it, and it is not in effect.
    pub(super) fn fence(&mut self, address: Ipv4Addr, fence: Fence) {
        self.fences.insert(address, fence);
        self.withdraw(address);
    }

    /// Undoes [`Stock::fence`].
    pub(super) fn unfence(&mut self, address: Ipv4Addr) {
        if self.fences.remove(&address).is_some() {
            self.offer(address);
        }
    }

    fn withdraw(&mut self, address: Ipv4Addr) {
        match self.released.get(&address) {
            Some(at) => {
                self.queue.remove(&(*at, address));
            }
            None => self.fresh.remove(address),
        }
    }

    /// Undoes [`Stock::withdraw`], where nothing else stands against it.
    fn offer(&mut self, address: Ipv4Addr) {
        if !self.may_be_offered(address) || self.held.contains_key(&address) {
            return;
        }
        match self.released.get(&address) {
            Some(at) => {
                self.queue.insert((*at, address));
            }
            None => self.fresh.insert(address),
        }
    }

    /// How the members of the range are used. Walks every used address of the range.
    pub(super) fn totals(&self, range: &PoolRange, now: Time) -> RangeTotals {
        let prefix = range.prefix();
        let within = prefix.first()..=prefix.last();
        let count = |addresses: &mut dyn Iterator<Item = Ipv4Addr>| {
            addresses.filter(|address| range.is_member(*address)).count() as u64
        };
        let held = count(&mut self.held.range(within.clone()).map(|(address, _)| *address));
        let members = range.members();
        if range.state() == PoolState::Draining {
            return RangeTotals { prefix, members, held, cooling: 0, free: 0, set_aside: members - held };
        }
        let offered = || self.released.range(within.clone()).filter(|(address, _)| !self.is_set_aside(**address));
        let is_resting = |at: Time| self.rests_until(at) > now;
        let rested = count(&mut offered().filter(|(_, at)| !is_resting(**at)).map(|(address, _)| *address));
        let fenced = self.fences.range(within.clone()).map(|(address, _)| *address);
        let others = self.duplicates.range(within.clone()).filter(|address| !self.fences.contains_key(*address));
        let mut set_aside = fenced.chain(others.copied()).filter(|address| !self.held.contains_key(address));
        RangeTotals {
            prefix,
            members,
            held,
            cooling: count(&mut offered().filter(|(_, at)| is_resting(**at)).map(|(address, _)| *address)),
            free: rested + self.fresh.count_within(prefix.first(), prefix.last()),
            set_aside: count(&mut set_aside),
        }
    }

    fn rests_until(&self, released_at: Time) -> Time {
        released_at.after(self.pool.cool_down())
    }
}
