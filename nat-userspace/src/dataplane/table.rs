//! One pair table in the kernel: pages of cells for addresses that cluster by /24, a plain hash for those that do not.
//!
//! A page costs 2 KiB whether it is full or not, a sparse entry some 100 bytes and a look-up of two cold lines of cache.
//! So an address starts out sparse, and the network that gathers [`CROWD`] of them gets a page. Packets look for a page
//! first: the page is complete before the kernel is told of it, and only then the sparse entries go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use aya::Pod;
use aya::maps::{HashMap, MapData};
use nat_common::abi::{PrivateAddr, PrivateKey, PublicAddr, Sparse};
use nat_common::pairs::{self, PAGE, Page};

use super::page_slots::PageSlots;
use super::pins::Pins;
use super::sys::{self, Bulk, Words};

/// Addresses of one /24 that are worth a page.
pub const CROWD: usize = 32;

/// An address as a table knows it.
pub trait Key: Pod + Ord + std::hash::Hash {
    /// VPC number, 0 for a public address.
    fn vpc(&self) -> u32;
    /// The address.
    fn address(&self) -> [u8; 4];
    /// The same key with another address.
    fn with(&self, address: [u8; 4]) -> Self;

    /// The key of the page its network has.
    fn network(&self) -> Self {
        self.with(pairs::network(self.address()))
    }
}

impl Key for PublicAddr {
    fn vpc(&self) -> u32 {
        0
    }

    fn address(&self) -> [u8; 4] {
        self.0
    }

    fn with(&self, address: [u8; 4]) -> Self {
        PublicAddr(address)
    }
}

impl Key for PrivateKey {
    fn vpc(&self) -> u32 {
        self.vpc
    }

    fn address(&self) -> [u8; 4] {
        self.address.0
    }

    fn with(&self, address: [u8; 4]) -> Self {
        PrivateKey { vpc: self.vpc, address: PrivateAddr(address) }
    }
}

/// Names of the three maps of a table.
#[derive(Clone, Copy)]
pub struct Names {
    /// The hash of networks.
    pub pages: &'static str,
    /// The array of cells.
    pub cells: &'static str,
    /// The plain hash.
    pub sparse: &'static str,
}

/// The inbound table's maps.
pub const INBOUND: Names = Names { pages: "INBOUND_PAGES", cells: "INBOUND_CELLS", sparse: "INBOUND_SPARSE" };
/// The outbound table's maps.
pub const OUTBOUND: Names = Names { pages: "OUTBOUND_PAGES", cells: "OUTBOUND_CELLS", sparse: "OUTBOUND_SPARSE" };

/// Pages of a table for so many addresses: an eighth more than they fill, because networks are rarely full.
pub fn pages_for(addresses: u32) -> u32 {
    (addresses / PAGE).saturating_mul(9) / 8 + 16
}

struct PageUse {
    number: u32,
    used: u32,
}

/// A table for its one writer, who knows what it wrote.
pub struct Table<K> {
    names: Names,
    pages: HashMap<MapData, K, u64>,
    sparse: HashMap<MapData, K, Sparse>,
    cells: Words,
    slots: PageSlots,
    paged: foldhash::HashMap<K, PageUse>,
    alone: BTreeSet<K>,
    free: Vec<u32>,
    /// Pages given up, which a packet may still be looking at.
    retired: Vec<u32>,
    length: usize,
    /// The two hashes again, for many entries in one call.
    bulk: (Bulk, Bulk),
}

impl<K: Key> Table<K> {
    /// Opens the pinned maps and learns what they hold. A page that nothing leads to, left by a writer that was killed,
    /// is cleared and free.
    pub fn open(pins: &Pins, names: Names) -> Result<Table<K>> {
        let pages: HashMap<MapData, K, u64> = pins.open(names.pages)?;
        let sparse: HashMap<MapData, K, Sparse> = pins.open(names.sparse)?;
        let cells = pins.words(names.cells, true)?;
        let mut table = Table {
            names,
            paged: foldhash::HashMap::default(),
            alone: BTreeSet::new(),
            free: Vec::new(),
            retired: Vec::new(),
            length: 0,
            bulk: (pins.bulk(names.pages)?, pins.bulk(names.sparse)?),
            pages,
            sparse,
            cells,
            slots: PageSlots::open(pins)?,
        };
        table.learn(pins)?;
        Ok(table)
    }

    fn learn(&mut self, pins: &Pins) -> Result<()> {
        let mut taken = BTreeMap::new();
        for (network, word) in dump::<K, u64>(pins, self.names.pages)? {
            taken.insert(Page(word).raw_number(), network);
        }
        for number in (0..self.cells.words().len() as u32 / PAGE).rev() {
            let used = self.page(number).filter(|cell| *cell != 0).count() as u32;
            match taken.get(&number) {
                Some(network) => {
                    self.lead_to(*network, number, used);
                    self.length += used as usize;
                }
                None => {
                    if used > 0 {
                        self.clear(number);
                    }
                    self.free.push(number);
                }
            }
        }
        for (key, _) in dump::<K, Sparse>(pins, self.names.sparse)? {
            if self.paged.contains_key(&key.network()) {
                // Its writer was killed between making the page and this.
                self.sparse.remove(&key).with_context(|| self.failed("clearing", &key))?;
            } else {
                self.alone.insert(key);
                self.length += 1;
            }
        }
        Ok(())
    }

    /// Addresses in the table.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The cell of an address; 0 for none.
    pub fn get(&self, key: &K) -> Result<u64> {
        if let Some(page) = self.paged.get(&key.network()) {
            return Ok(self.cell(page.number, key).load(Ordering::Relaxed));
        }
        if !self.alone.contains(key) {
            return Ok(0);
        }
        let entry = self.sparse.get(key, 0).with_context(|| self.failed("reading", key))?;
        Ok(entry.cell)
    }

    /// Number of the cell an address has or would have, where its network has a page.
    pub fn number(&self, key: &K) -> Option<u32> {
        let page = self.paged.get(&key.network())?;
        Some(page.number * PAGE + pairs::cell_in_page(key.address()))
    }

    /// Makes sure that an address can be given a cell without waiting. That may take a grace period.
    pub fn make_room(&mut self, key: &K) {
        let network = key.network();
        let has_place = self.paged.contains_key(&network) || self.alone.contains(key);
        if !has_place && self.alone_in(network).count() + 1 >= CROWD {
            self.rest_pages();
        }
    }

    /// Gives an address a cell that is not 0, in effect on the next packet.
    pub fn set(&mut self, key: K, cell: u64) -> Result<()> {
        debug_assert_ne!(cell, 0, "an empty cell is removed, not set");
        let network = key.network();
        if let Some(page) = self.paged.get_mut(&network) {
            let place = &self.cells.words()[(page.number * PAGE + pairs::cell_in_page(key.address())) as usize];
            if place.swap(cell, Ordering::Release) == 0 {
                page.used += 1;
                self.length += 1;
            }
            return Ok(());
        }
        if self.alone.contains(&key) {
            return self.set_sparse(&key, cell);
        }
        let crowd: Vec<K> = self.alone_in(network).collect();
        if crowd.len() + 1 >= CROWD
            && let Some(number) = self.free.pop()
        {
            return self.gather(number, &crowd, key, cell);
        }
        self.set_sparse(&key, cell)?;
        self.alone.insert(key);
        self.length += 1;
        Ok(())
    }

    /// Takes an address out; answers whether it was there.
    pub fn remove(&mut self, key: &K) -> Result<bool> {
        let network = key.network();
        if let Some(page) = self.paged.get_mut(&network) {
            let place = &self.cells.words()[(page.number * PAGE + pairs::cell_in_page(key.address())) as usize];
            if place.swap(0, Ordering::Release) == 0 {
                return Ok(false);
            }
            page.used -= 1;
            self.length -= 1;
            if page.used == 0 {
                let number = page.number;
                self.slots.withdraw(network.vpc(), network.address());
                self.pages.remove(&network).with_context(|| self.failed("closing the page of", key))?;
                self.paged.remove(&network);
                self.retired.push(number);
            }
            return Ok(true);
        }
        if !self.alone.contains(key) {
            return Ok(false);
        }
        self.sparse.remove(key).with_context(|| self.failed("removing", key))?;
        self.alone.remove(key);
        self.length -= 1;
        Ok(true)
    }

    /// Gives networks that will hold a crowd their pages at once, so that a bulk load does not gather each first. `keys`
    /// are in order.
    pub fn prepare(&mut self, keys: &[K]) -> Result<()> {
        let mut empty: Vec<(K, u32)> = Vec::new();
        for crowd in keys.chunk_by(|one, other| one.network() == other.network()) {
            let [first, ..] = crowd else { continue };
            let network = first.network();
            if self.paged.contains_key(&network) || self.alone_in(network).count() + crowd.len() < CROWD {
                continue;
            }
            let members: Vec<K> = self.alone_in(network).collect();
            self.rest_pages();
            let Some(number) = self.free.pop() else { break };
            if members.is_empty() {
                empty.push((network, number));
            } else {
                self.open_page(number, network, &members)?;
            }
        }
        self.open_empty(&empty)
    }

    /// Opens pages that nothing has to move into, all in a few calls.
    fn open_empty(&mut self, pages: &[(K, u32)]) -> Result<()> {
        let word = |(network, number): &(K, u32)| (*network, Page::new(network.vpc(), network.address(), *number).0);
        let words: Vec<(K, u64)> = pages.iter().map(word).collect();
        // The pages were cleared when they became free; that must be seen before the way to them.
        std::sync::atomic::fence(Ordering::Release);
        let (written, error) = self.bulk.0.insert(&words);
        let (open, closed) = pages.split_at(written.min(pages.len()));
        for (network, number) in open {
            self.lead_to(*network, *number, 0);
        }
        self.free.extend(closed.iter().map(|(_, number)| *number));
        match (error, closed.first()) {
            (Some(error), Some((network, _))) => {
                Err(error).with_context(|| self.failed("opening the page of", network))
            }
            (Some(error), None) => Err(error).context("opening pages"),
            (None, _) => Ok(()),
        }
    }

    /// Fills an empty table with cells, of which none is 0. The keys are in order, each there once, and have been
    /// prepared for.
    pub fn fill(&mut self, entries: &[(K, u64)]) -> Result<()> {
        let mut alone: Vec<(K, Sparse)> = Vec::new();
        for crowd in entries.chunk_by(|(one, _), (other, _)| one.network() == other.network()) {
            let [(first, _), ..] = crowd else { continue };
            let Some(page) = self.paged.get_mut(&first.network()) else {
                let sparse =
                    |(key, cell): &(K, u64)| (*key, Sparse { tag: pairs::tag(key.vpc(), key.address()), cell: *cell });
                alone.extend(crowd.iter().map(sparse));
                continue;
            };
            let cells = &self.cells.words()[(page.number * PAGE) as usize..];
            for (key, cell) in crowd {
                cells[pairs::cell_in_page(key.address()) as usize].store(*cell, Ordering::Release);
            }
            page.used += crowd.len() as u32;
            self.length += crowd.len();
        }
        let (written, error) = self.bulk.1.insert(&alone);
        let (in_place, left) = alone.split_at(written.min(alone.len()));
        self.length += in_place.len();
        self.alone.extend(in_place.iter().map(|(key, _)| *key));
        // Whatever refused the first of those left says so again, to one who tells of it.
        for (key, entry) in left {
            self.set(*key, entry.cell)?;
        }
        match error {
            Some(error) if left.is_empty() => Err(error).with_context(|| format!("filling {}", self.names.sparse)),
            _ => Ok(()),
        }
    }

    /// Every address with its cell, in order.
    pub fn entries(&self) -> Result<Vec<(K, u64)>> {
        let mut entries = Vec::with_capacity(self.length);
        for (network, page) in &self.paged {
            for (last, cell) in (0..=u8::MAX).zip(self.page(page.number)).filter(|(_, cell)| *cell != 0) {
                let [a, b, c, _] = network.address();
                entries.push((network.with([a, b, c, last]), cell));
            }
        }
        for key in &self.alone {
            entries.push((*key, self.get(key)?));
        }
        entries.sort_unstable_by_key(|(key, _)| *key);
        Ok(entries)
    }

    /// Lets `change` replace every cell: 0 and the cell itself leave it as it is.
    pub fn rewrite(&mut self, mut change: impl FnMut(K, u64) -> u64) -> Result<()> {
        for (network, page) in &self.paged {
            let [a, b, c, _] = network.address();
            for last in 0..=u8::MAX {
                let key = network.with([a, b, c, last]);
                let place = self.cell(page.number, &key);
                let cell = place.load(Ordering::Relaxed);
                let wanted = if cell == 0 { 0 } else { change(key, cell) };
                if wanted != 0 && wanted != cell {
                    place.store(wanted, Ordering::Release);
                }
            }
        }
        for key in self.alone.clone() {
            let cell = self.get(&key)?;
            let wanted = change(key, cell);
            if wanted != 0 && wanted != cell {
                self.set_sparse(&key, wanted)?;
            }
        }
        Ok(())
    }

    fn gather(&mut self, number: u32, crowd: &[K], key: K, cell: u64) -> Result<()> {
        self.cell(number, &key).store(cell, Ordering::Relaxed);
        let network = key.network();
        if let Err(error) = self.open_page(number, network, crowd) {
            self.clear(number);
            self.free.push(number);
            return Err(error);
        }
        if let Some(page) = self.paged.get_mut(&network) {
            page.used += 1;
        }
        self.length += 1;
        Ok(())
    }

    /// Moves the members of a network into a page: the page first, in full, then the way to it, then what it replaces.
    fn open_page(&mut self, number: u32, network: K, members: &[K]) -> Result<()> {
        for member in members {
            let cell = self.get(member)?;
            self.cell(number, member).store(cell, Ordering::Relaxed);
        }
        std::sync::atomic::fence(Ordering::Release);
        let page = Page::new(network.vpc(), network.address(), number);
        self.pages.insert(network, page.0, 0).with_context(|| self.failed("opening the page of", &network))?;
        self.lead_to(network, number, members.len() as u32);
        for member in members {
            self.sparse.remove(member).with_context(|| self.failed("moving", member))?;
            self.alone.remove(member);
        }
        Ok(())
    }

    /// Notes a page that its hash leads to by now, and has packets find it without hashing.
    fn lead_to(&mut self, network: K, number: u32, used: u32) {
        self.slots.offer(network.vpc(), network.address(), number);
        self.paged.insert(network, PageUse { number, used });
    }

    /// Waits until there is a page that no packet can be looking at, if that would help.
    fn rest_pages(&mut self) {
        if self.free.is_empty() && !self.retired.is_empty() {
            sys::grace_period();
            self.free.append(&mut self.retired);
        }
    }

    /// Addresses of a network that has no page.
    fn alone_in(&self, network: K) -> impl Iterator<Item = K> + '_ {
        self.alone.range(network..=network.with(last(network))).copied()
    }

    fn set_sparse(&mut self, key: &K, cell: u64) -> Result<()> {
        let entry = Sparse { tag: pairs::tag(key.vpc(), key.address()), cell };
        match self.sparse.insert(key, entry, 0) {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => bail!(
                "{} is full: no room for {}, which shares its /24 with fewer than {CROWD} others; raise max_pairs and \
                 max_instances",
                self.names.sparse,
                Ipv4Addr::from(key.address())
            ),
            Err(error) => Err(error).with_context(|| self.failed("writing", key)),
        }
    }

    fn cell(&self, number: u32, key: &K) -> &std::sync::atomic::AtomicU64 {
        &self.cells.words()[(number * PAGE + pairs::cell_in_page(key.address())) as usize]
    }

    fn page(&self, number: u32) -> impl Iterator<Item = u64> + '_ {
        let first = (number * PAGE) as usize;
        self.cells.words()[first..first + PAGE as usize].iter().map(|cell| cell.load(Ordering::Relaxed))
    }

    fn clear(&self, number: u32) {
        let first = (number * PAGE) as usize;
        for cell in &self.cells.words()[first..first + PAGE as usize] {
            cell.store(0, Ordering::Relaxed);
        }
    }

    fn failed(&self, action: &str, key: &K) -> String {
        format!("{action} {} in {}", Ipv4Addr::from(key.address()), self.names.sparse)
    }
}

/// Every address of a pinned table with its cell, in order, for a reader beside the writer.
pub fn read<K: Key>(pins: &Pins, names: Names) -> Result<Vec<(K, u64)>> {
    let cells = pins.words(names.cells, false)?;
    let mut entries = BTreeMap::new();
    for (key, entry) in dump::<K, Sparse>(pins, names.sparse)? {
        entries.insert(key, entry.cell);
    }
    // A page outranks sparse entries, as it does for packets.
    for (network, word) in dump::<K, u64>(pins, names.pages)? {
        let [a, b, c, _] = network.address();
        let first = (Page(word).raw_number() * PAGE) as usize;
        for (last, cell) in (0..=u8::MAX).zip(cells.words().get(first..).unwrap_or_default()) {
            let cell = cell.load(Ordering::Relaxed);
            if cell != 0 {
                entries.insert(network.with([a, b, c, last]), cell);
            }
        }
    }
    Ok(entries.into_iter().collect())
}

/// A pinned table for a reader beside the writer who asks for single addresses.
pub struct Lookup<K> {
    pages: HashMap<MapData, K, u64>,
    cells: Words,
    sparse: HashMap<MapData, K, Sparse>,
}

impl<K: Key> Lookup<K> {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins, names: Names) -> Result<Lookup<K>> {
        let (pages, sparse) = (pins.open(names.pages)?, pins.open(names.sparse)?);
        Ok(Lookup { pages, cells: pins.words(names.cells, false)?, sparse })
    }

    /// The cell of an address, 0 for none.
    pub fn get(&self, key: K) -> u64 {
        let page = self.pages.get(&key.network(), 0).ok();
        if let Some(number) = page.and_then(|word| Page(word).number(key.vpc(), key.network().address())) {
            let index = (number * PAGE + pairs::cell_in_page(key.address())) as usize;
            return self.cells.words().get(index).map_or(0, |cell| cell.load(Ordering::Relaxed));
        }
        let entry = self.sparse.get(&key, 0).ok();
        let own = entry.filter(|entry| entry.tag == pairs::tag(key.vpc(), key.address()));
        own.map_or(0, |entry| entry.cell)
    }
}

/// The cell of one address of a pinned table, 0 for none, for a reader beside the writer.
pub fn find<K: Key>(pins: &Pins, names: Names, key: K) -> Result<u64> {
    Ok(Lookup::open(pins, names)?.get(key))
}

fn dump<K: Pod, V: Pod>(pins: &Pins, name: &str) -> Result<Vec<(K, V)>> {
    pins.bulk(name)?.entries().with_context(|| format!("reading {name}"))
}

fn last<K: Key>(network: K) -> [u8; 4] {
    let [a, b, c, _] = network.address();
    [a, b, c, u8::MAX]
}

fn is_full(error: &aya::maps::MapError) -> bool {
    matches!(error, aya::maps::MapError::SyscallError(call)
        if call.io_error.raw_os_error() == Some(nix::errno::Errno::E2BIG as i32)
            || call.io_error.kind() == std::io::ErrorKind::OutOfMemory)
}
