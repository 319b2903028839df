//! Whether somebody else has changed the pair tables: read now and then beside their writer, as packets find them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Result;
use nat_common::abi::{PrivateKey, PublicAddr};
use nat_common::pairs::{Inbound, Outbound};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::hops;
use super::pins::Pins;
use super::table::{self, Lookup};
use super::written::Written;

/// Between two readings, at least.
const EVERY: Duration = Duration::from_secs(30);
/// At most this part of the time goes into readings, however many pairs there are.
const SHARE: u32 = 200;
/// What a change under way makes different is not so any more by then.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the tables. Dropped, it stops.
pub struct Audit {
    /// What is wrong, in a sentence, each time that something is.
    pub found: watch::Receiver<String>,
    task: JoinHandle<()>,
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Audit {
    /// Starts to read the tables under these pins.
    pub fn start(pins: Pins, slot_bits: u32, written: Written) -> Audit {
        let (publish, found) = watch::channel(String::new());
        let reader = Reader { pins, slot_bits, written };
        Audit { found, task: tokio::spawn(audit(reader, publish)) }
    }
}

/// Who reads.
#[derive(Clone)]
struct Reader {
    pins: Pins,
    slot_bits: u32,
    written: Written,
}

/// What a reading found.
#[derive(Default)]
struct Found {
    /// Pairs that are bound in one direction only.
    one_way: BTreeSet<(PublicAddr, PrivateKey)>,
    /// Parts of the instances of which some are bound to something else than was written.
    differing: BTreeSet<usize>,
}

impl Found {
    /// What another reading found, too.
    fn and(&self, other: &Found) -> Found {
        Found { one_way: &self.one_way & &other.one_way, differing: &self.differing & &other.differing }
    }

    /// In a sentence; none where there is nothing.
    fn told(&self) -> Option<String> {
        if let Some((public, key)) = self.one_way.first() {
            return Some(format!(
                "{} of the pairs are bound in one direction only, {} and {} among them",
                self.one_way.len(),
                Ipv4Addr::from(public.0),
                Ipv4Addr::from(key.address.0)
            ));
        }
        let instances = self.differing.len();
        (instances > 0).then(|| format!("instances are bound otherwise than was decided, {instances} at least"))
    }
}

async fn audit(reader: Reader, publish: watch::Sender<String>) {
    let mut pause = EVERY;
    loop {
        sleep(pause).await;
        let began = Instant::now();
        let Some(seen) = look(&reader).await else { continue };
        pause = EVERY.max(began.elapsed() * SHARE);
        if seen.told().is_none() {
            continue;
        }
        sleep(AGAIN).await;
        let Some(again) = look(&reader).await else { continue };
        if let Some(found) = seen.and(&again).told() {
            publish.send_replace(found);
        }
    }
}

async fn look(reader: &Reader) -> Option<Found> {
    let reader = reader.clone();
    let seen = spawn_blocking(move || reader.read()).await.ok()?;
    seen.inspect_err(|error| tracing::warn!("the maps could not be read beside their writer: {error:#}")).ok()
}

impl Reader {
    fn read(&self) -> Result<Found> {
        let Reader { pins, slot_bits, written } = self;
        let mut one_way = BTreeSet::new();
        let outbound = Lookup::<PrivateKey>::open(pins, table::OUTBOUND)?;
        let inbound = Lookup::<PublicAddr>::open(pins, table::INBOUND)?;
        let holder = |cell: u64, vpcs: &[u32]| {
            let cell = Inbound::unpack(cell, *slot_bits);
            PrivateKey { vpc: vpcs.get(cell.hop as usize).copied().unwrap_or(0), address: cell.private }
        };
        let cells = table::read::<PublicAddr>(pins, table::INBOUND)?;
        let vpcs = hops::vpcs(pins)?;
        for (public, cell) in cells {
            let key = holder(cell, &vpcs);
            if Outbound::unpack(outbound.get(key)).public != public {
                one_way.insert((public, key));
            }
        }
        let (bound, differing) = written.compare(|| {
            let cells = table::read::<PrivateKey>(pins, table::OUTBOUND)?;
            anyhow::Ok(cells.into_iter().map(|(key, cell)| (key, Outbound::unpack(cell).public)).collect())
        })?;
        let vpcs = hops::vpcs(pins)?;
        for (key, public) in bound {
            if public != PublicAddr::NONE && holder(inbound.get(public), &vpcs) != key {
                one_way.insert((public, key));
            }
        }
        Ok(Found { one_way, differing })
    }
}
