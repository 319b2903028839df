//! The start, in the only order there is: pool, store in full, its contradictions looked for, and only then the maps.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::address::{Capacity, Pool, SoundSnapshot, VpcId};
use crate::config::{Config, check_vpcs};
use crate::dataplane::{self, DataPlane, Environment};
use crate::store::Store;

use super::{Configuration, Cursors, Gateway, Kept, Outside, PacketPath, Pulse, Tally, hosts_stored, plan, pool};

/// A store read in full and found good. Only this leads to a [`Gateway`], so no map is touched without it (invariant 3).
pub struct Opened {
    content: SoundSnapshot,
    configured: Pool,
    store: Store,
    config: Config,
}

impl Opened {
    /// Builds the pool, locks and reads the store, and restores the ledger. Changes nothing.
    pub fn new(config: &Config, environment: &Environment) -> Result<Opened> {
        Locked::new(config, environment)?.read()
    }
}

/// A store that is this process's, and not read yet.
struct Locked {
    pool: Pool,
    environment: Environment,
    store: Store,
    config: Config,
}

impl Locked {
    fn new(config: &Config, environment: &Environment) -> Result<Locked> {
        let pool = pool::pool(config, environment)?;
        let store = Store::lock(&config.state_dir)?;
        Ok(Locked { pool, environment: environment.clone(), store, config: config.clone() })
    }

    fn read(self) -> Result<Opened> {
        let Locked { mut pool, environment, store, config } = self;
        let began = Instant::now();
        let snapshot = store.load()?;
        let read = began.elapsed();
        let configured = pool.clone();
        pool::follow_standings(&mut pool, &snapshot.standings, &environment)?;
        if pool.ranges().is_empty() {
            warn!("there is no pool, so there is no public address to hand out");
        }
        let path = store.path().display().to_string();
        let contradiction = || format!("{path} contradicts itself or the configuration, and nothing was changed");
        let content = SoundSnapshot::new(pool, snapshot).with_context(contradiction)?;

        let (pairs, instances) = (content.association_count(), content.instances().len());
        ensure!(pairs <= config.max_pairs as usize, "{pairs} pairs are stored; raise max_pairs to that at least");
        ensure!(
            instances <= config.max_instances as usize,
            "{instances} instances are stored; raise max_instances to that at least"
        );
        let vpcs = config.vpcs();
        let stored: BTreeSet<&VpcId> = content.instances().iter().map(|instance| &instance.vpc).collect();
        check_vpcs(vpcs.iter().chain(stored.iter().copied()))?;
        for vpc in stored.iter().filter(|vpc| !vpcs.contains(**vpc)) {
            warn!(%vpc, "instances are stored in a VPC that no downlink belongs to; they cannot be reached");
        }
        let checked = began.elapsed() - read;
        info!(
            instances,
            pairs,
            read_ms = read.as_millis(),
            checked_ms = checked.as_millis(),
            "the state is read, and sound"
        );
        Ok(Opened { content, configured, store, config })
    }
}

impl Opened {
    /// Takes over a packet path: makes its maps equal to what is stored and attaches it. The ledger, which packets do not
    /// wait for, is built meanwhile.
    pub async fn take_over<P: PacketPath>(self, mut path: P, mut outside: Outside) -> Result<Gateway<P>> {
        // A mistyped state directory looks like a new gateway. Believing it would sweep every binding that serves now.
        let held: u64 = path.status().maps.iter().map(|map| map.entries).sum();
        ensure!(
            held == 0 || self.store.path().exists(),
            "the maps hold {held} entries of an earlier daemon, and there is no state at {}; is the state directory \
             right? (`eipgate detach` makes a fresh start, and stops traffic)",
            self.store.path().display()
        );
        let hosts = hosts_stored(&self.content);
        let prefixes = self.content.pool().prefixes();
        let policy = self.config.policy();
        let since = outside.now();
        let building = tokio::task::spawn_blocking(move || {
            let mut ledger = self.content.into_ledger().with_policy(policy);
            ledger.nothing_released_after(since);
            ledger
        });
        debug!(hosts = hosts.len(), "the packet path is there and the hosts are known");
        path.set_pools(&prefixes).context("cannot make the pools known to the packet path")?;
        let drift = path.reconcile(&hosts).context("cannot bring the maps in step with the ledger")?;
        let mut tally = Tally::default();
        tally.reconciled(Some(&drift));
        info!(drift.added, drift.removed, drift.changed, "the maps are in step with the ledger");
        path.attach().await?;
        let ledger = building.await.context("building the ledger")?;
        debug!("the ledger is built");
        for (address, holder) in ledger.held_outside_pool() {
            warn!(%address, "{holder} holds an address that no pool has; it keeps it");
        }
        let capacity =
            Capacity { pairs: self.config.max_pairs as usize, instances: self.config.max_instances as usize };
        Ok(Gateway {
            unconfirmed: ledger.duplicates().collect(),
            ledger,
            store: self.store,
            path,
            capacity,
            vpcs: self.config.vpcs(),
            cursors: Cursors::default(),
            configured: self.configured,
            commits: watch::Sender::default(),
            since,
            outside,
            dirty: None,
            degraded: None,
            own_in_pool: BTreeSet::new(),
            group: None,
            one_by_one: false,
            read_only: None,
            midway: false,
            lost: None,
            configuration: Configuration::new(self.config),
            pulse: Pulse::default(),
            tally,
            kept: Kept::default(),
        })
    }
}

/// Starts the gateway of this machine, up to the point where it could serve.
pub async fn start(config: &Config) -> Result<Gateway<DataPlane>> {
    let environment = dataplane::environment(&plan::uplinks(config)).await?;
    let outside = || Outside::of_this_machine().context("cannot open /dev/urandom");
    // First of all, so that nothing another daemon has put up with this directory is touched.
    let locked = Locked::new(config, &environment)?;
    let mut plan = plan::plan(config);
    if !dataplane::is_first_start(&plan) {
        let (opened, outside) = (locked.read()?, outside()?);
        plan.pools = opened.content.pool().prefixes();
        return opened.take_over(DataPlane::start(plan).await?, outside).await;
    }
    // Nothing forwards yet, so each moment counts; and there are no maps that the store could contradict. What is made
    // before it has been read in full goes away again where it turns out to be damaged.
    let reading = tokio::task::spawn_blocking(move || locked.read());
    let prepared = DataPlane::prepare(plan).await;
    debug!("the program is loaded");
    let (opened, outside) = (reading.await.context("reading the state")??, outside()?);
    let mut prepared = prepared?;
    prepared.set_pools(opened.content.pool().prefixes());
    opened.take_over(prepared.put_up()?, outside).await
}

/// Puts up the guard of a gateway that does not serve yet.
pub async fn put_up_guard(config: &Config) -> Result<()> {
    dataplane::put_up_guard(&plan::plan(config)).await
}
