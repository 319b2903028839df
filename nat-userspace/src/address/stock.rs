//! Which pool addresses are held, resting, marked, or free, and which of the free ones is next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use super::intervals::Intervals;
use super::{EipId, Exclusion, InstanceId, Pool, PoolRange, Prefix, Refusal, Time};

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

/// How the members of one range are used. `held + cooling + free + duplicates` is `members`.
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
    /// Not held, and set aside because another host answers for them.
    pub duplicates: u64,
}

/// Every address the gateway has ever dealt with, by what may be done with it. Nothing is kept for an address never
/// used: those are the intervals of `fresh`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stock {
    pool: Pool,
    held: BTreeMap<Ipv4Addr, Holder>,
    /// Members never used and not marked.
    fresh: Intervals,
    /// When each address that was used and is not held now was given up, in the pool or not: a pool that shrinks and
    /// grows again must still know who rests.
    released: BTreeMap<Ipv4Addr, Time>,
    /// The part of `released` that may be handed out, longest released first: members, not marked.
    queue: BTreeSet<(Time, Ipv4Addr)>,
    /// Another host on the link answers for these.
    duplicates: BTreeSet<Ipv4Addr>,
}

impl Stock {
    pub(super) fn new(pool: Pool) -> Self {
        let fresh = pool.member_intervals();
        Self {
            pool,
            held: BTreeMap::new(),
            fresh,
            released: BTreeMap::new(),
            queue: BTreeSet::new(),
            duplicates: BTreeSet::new(),
        }
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

    pub(super) fn released(&self) -> &BTreeMap<Ipv4Addr, Time> {
        &self.released
    }

    pub(super) fn duplicates(&self) -> &BTreeSet<Ipv4Addr> {
        &self.duplicates
    }

    /// The address released longest ago, those never used first and in ascending order, and never `except`.
    pub(super) fn next_free(&self, now: Time, except: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let rested = self.queue.iter().take_while(|(at, _)| self.rests_until(*at) <= now).map(|(_, address)| *address);
        self.fresh.iter().chain(rested).find(|address| Some(*address) != except)
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
        if self.duplicates.contains(&address) {
            return Err(Refusal::Excluded { address, reason: Exclusion::Duplicate });
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
        let earlier = self.held.insert(address, holder);
        assert!(earlier.is_none(), "an address is handed out only while nobody holds it");
    }

    /// The address, held or unknown until now, begins to rest.
    pub(super) fn release(&mut self, address: Ipv4Addr, at: Time) {
        self.held.remove(&address);
        self.fresh.remove(address);
        self.released.insert(address, at);
        if self.pool.is_member(address) && !self.duplicates.contains(&address) {
            self.queue.insert((at, address));
        }
    }

    /// Sets the address aside; a holder keeps it.
    pub(super) fn mark_duplicate(&mut self, address: Ipv4Addr) {
        self.duplicates.insert(address);
        match self.released.get(&address) {
            Some(at) => {
                self.queue.remove(&(*at, address));
            }
            None => self.fresh.remove(address),
        }
    }

    /// Undoes [`Stock::mark_duplicate`].
    pub(super) fn clear_duplicate(&mut self, address: Ipv4Addr) {
        let was_marked = self.duplicates.remove(&address);
        if !was_marked || !self.pool.is_member(address) || self.held.contains_key(&address) {
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
        let set_aside = |address: &Ipv4Addr| self.duplicates.contains(address);
        let offered = || self.released.range(within.clone()).filter(|(address, _)| !set_aside(address));
        let is_resting = |at: Time| self.rests_until(at) > now;
        let rested = count(&mut offered().filter(|(_, at)| !is_resting(**at)).map(|(address, _)| *address));
        let mut unheld =
            self.duplicates.range(within.clone()).copied().filter(|address| !self.held.contains_key(address));
        RangeTotals {
            prefix,
            members: range.members(),
            held: count(&mut self.held.range(within.clone()).map(|(address, _)| *address)),
            cooling: count(&mut offered().filter(|(_, at)| is_resting(**at)).map(|(address, _)| *address)),
            free: rested + self.fresh.count_within(prefix.first(), prefix.last()),
            duplicates: count(&mut unheld),
        }
    }

    fn rests_until(&self, released_at: Time) -> Time {
        released_at.after(self.pool.cool_down())
    }
}
