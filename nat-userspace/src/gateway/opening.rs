//! The start, in the only order there is: pool, store in full, ledger, and only then the maps.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use tracing::{info, warn};

use crate::address::{Capacity, Ledger, VpcId};
use crate::config::{Config, check_vpcs};
use crate::dataplane::{self, DataPlane, Environment};
use crate::store::Store;

use super::{Gateway, Outside, PacketPath, hosts, plan, pool};

/// A store read in full and found good. Only this leads to a [`Gateway`], so no map is touched without it (invariant 3).
pub struct Opened {
    ledger: Ledger,
    store: Store,
    config: Config,
}

impl Opened {
    /// Builds the pool, locks and reads the store, and restores the ledger. Changes nothing.
    pub fn new(config: &Config, environment: &Environment) -> Result<Opened> {
        let pool = pool::pool(config, environment)?;
        let (store, snapshot) = Store::open(&config.state_dir)?;
        let path = store.path().display().to_string();
        let contradiction = || format!("{path} contradicts itself or the configuration, and nothing was changed");
        let ledger = Ledger::restore(pool, snapshot).with_context(contradiction)?;

        let (pairs, instances) = (ledger.association_count(), ledger.instances().len());
        ensure!(pairs <= config.max_pairs as usize, "{pairs} pairs are stored; raise max_pairs to that at least");
        ensure!(
            instances <= config.max_instances as usize,
            "{instances} instances are stored; raise max_instances to that at least"
        );
        let vpcs = config.vpcs();
        let stored: BTreeSet<&VpcId> = ledger.instances().map(|instance| &instance.vpc).collect();
        check_vpcs(vpcs.iter().chain(stored.iter().copied()))?;
        for vpc in stored.iter().filter(|vpc| !vpcs.contains(**vpc)) {
            warn!(%vpc, "instances are stored in a VPC that no downlink belongs to; they cannot be reached");
        }
        for (address, holder) in ledger.held_outside_pool() {
            warn!(%address, "{holder} holds an address that no pool has; it keeps it");
        }
        Ok(Opened { ledger, store, config: config.clone() })
    }

    /// Takes over a packet path: makes its maps equal to the ledger and then attaches it.
    pub async fn take_over<P: PacketPath>(self, mut path: P, mut outside: Outside) -> Result<Gateway<P>> {
        // A mistyped state directory looks like a new gateway. Believing it would sweep every binding that serves now.
        let held: u64 = path.status().maps.iter().map(|map| map.entries).sum();
        ensure!(
            held == 0 || self.store.path().exists(),
            "the maps hold {held} entries of an earlier daemon, and there is no state at {}; is the state directory \
             right? (`eipgate detach` makes a fresh start, and stops traffic)",
            self.store.path().display()
        );
        let drift = path.reconcile(&hosts(&self.ledger)).context("cannot bring the maps in step with the ledger")?;
        info!(drift.added, drift.removed, drift.changed, "the maps are in step with the ledger");
        path.attach().await?;
        let capacity =
            Capacity { pairs: self.config.max_pairs as usize, instances: self.config.max_instances as usize };
        Ok(Gateway {
            unconfirmed: self.ledger.duplicates().collect(),
            ledger: self.ledger,
            store: self.store,
            path,
            capacity,
            vpcs: self.config.vpcs(),
            since: outside.now(),
            outside,
            dirty: None,
            degraded: None,
            own_in_pool: BTreeSet::new(),
            lost: None,
        })
    }
}

/// Starts the gateway of this machine, up to the point where it could serve.
pub async fn start(config: &Config) -> Result<Gateway<DataPlane>> {
    if config.pools.is_empty() {
        warn!("no pool is configured, so there is no public address to hand out");
    }
    let environment = dataplane::environment(&plan::uplinks(config)).await?;
    let opened = Opened::new(config, &environment)?;
    let outside = Outside::of_this_machine().context("cannot open /dev/urandom")?;
    let path = DataPlane::start(plan::plan(config)).await?;
    opened.take_over(path, outside).await
}

/// Puts up the guard of a gateway that does not serve yet.
pub async fn put_up_guard(config: &Config) -> Result<()> {
    dataplane::put_up_guard(&plan::plan(config)).await
}
