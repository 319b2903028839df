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
    pub fn start(pins: Pins, slot_bits: u32) -> Audit {
        let (publish, found) = watch::channel(String::new());
        Audit { found, task: tokio::spawn(audit(pins, slot_bits, publish)) }
    }
}

async fn audit(pins: Pins, slot_bits: u32, publish: watch::Sender<String>) {
    let mut pause = EVERY;
    loop {
        sleep(pause).await;
        let began = Instant::now();
        let Some(seen) = look(&pins, slot_bits).await else { continue };
        pause = EVERY.max(began.elapsed() * SHARE);
        if seen.is_empty() {
            continue;
        }
        sleep(AGAIN).await;
        let Some(again) = look(&pins, slot_bits).await else { continue };
        let stays: Vec<_> = seen.intersection(&again).collect();
        if let Some((public, key)) = stays.first() {
            publish.send_replace(format!(
                "{} of the pairs are bound in one direction only, {} and {} among them",
                stays.len(),
                Ipv4Addr::from(public.0),
                Ipv4Addr::from(key.address.0)
            ));
        }
    }
}

async fn look(pins: &Pins, slot_bits: u32) -> Option<BTreeSet<(PublicAddr, PrivateKey)>> {
    let pins = pins.clone();
    let seen = spawn_blocking(move || one_way(&pins, slot_bits)).await.ok()?;
    seen.inspect_err(|error| tracing::warn!("the maps could not be read beside their writer: {error:#}")).ok()
}

/// Pairs that are bound in one direction only.
fn one_way(pins: &Pins, slot_bits: u32) -> Result<BTreeSet<(PublicAddr, PrivateKey)>> {
    let mut found = BTreeSet::new();
    let outbound = Lookup::<PrivateKey>::open(pins, table::OUTBOUND)?;
    let inbound = Lookup::<PublicAddr>::open(pins, table::INBOUND)?;
    let holder = |cell: u64, vpcs: &[u32]| {
        let cell = Inbound::unpack(cell, slot_bits);
        PrivateKey { vpc: vpcs.get(cell.hop as usize).copied().unwrap_or(0), address: cell.private }
    };
    let cells = table::read::<PublicAddr>(pins, table::INBOUND)?;
    let vpcs = hops::vpcs(pins)?;
    for (public, cell) in cells {
        let key = holder(cell, &vpcs);
        if Outbound::unpack(outbound.get(key)).public != public {
            found.insert((public, key));
        }
    }
    let cells = table::read::<PrivateKey>(pins, table::OUTBOUND)?;
    let vpcs = hops::vpcs(pins)?;
    for (key, cell) in cells {
        let public = Outbound::unpack(cell).public;
        if public != PublicAddr::NONE && holder(inbound.get(public), &vpcs) != key {
            found.insert((public, key));
        }
    }
    Ok(found)
}
