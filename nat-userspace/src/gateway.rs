//! One task owns the ledger, the store and the data plane, and joins them.
//!
//! Every change goes the same way: decided by the ledger, committed to the store, applied to the ledger, written to the
//! maps, answered. Those that arrive while others are being flushed share the next flush (see `group`). The committed
//! state is the truth and the maps follow it: what could not be written is marked and reconciled until it is.

mod check;
mod defect;
mod describe;
#[cfg(test)]
mod detached;
mod doctor;
mod error;
mod group;
mod handle;
mod hosts;
mod meter;
mod opening;
mod outside;
mod packet_path;
mod plan;
mod pool;
mod private;
mod progress;
mod pulse;
mod reload;
mod status;
#[cfg(test)]
mod tests;
mod vitals;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use crate::address::{
    Capacity, Change, Command, EipId, InstanceId, Ledger, PackageId, Pool, Prefix, Snapshot, Time, VpcId,
};
use crate::dataplane::{ANNOUNCEMENTS_PER_SECOND, Drift, Notice, PlaneStatus};
pub use crate::dataplane::{ASKED_AT, Downlink};
use crate::store::{Store, StoreError};

pub use self::check::{Area, Finding, Report, Severity, check};
use self::describe::describe;
#[cfg(test)]
pub(crate) use self::detached::Detached;
pub use self::doctor::doctor;
pub use self::error::{GatewayError, Kind};
use self::group::Group;
pub use self::handle::{Handle, Operations, Past};
use self::handle::{Job, QUEUE};
use self::hosts::{Earlier, Touched, hosts, hosts_stored};
pub use self::meter::{AddressTraffic, Meter, Traffic, VerdictRow};
pub use self::opening::{Opened, put_up_guard, start};
pub use self::outside::Outside;
pub use self::packet_path::PacketPath;
use self::private::Cursors;
use self::progress::Listener;
pub use self::progress::{Progress, Stage};
use self::pulse::Pulse;
use self::reload::Configuration;
pub use self::reload::{Reading, Reloaded, check_configuration, waiting};
pub use self::status::Status;
use self::vitals::Kept;
pub use self::vitals::{BOUNDS, Histogram, Tally, Vitals};

/// Said at every start and in every status, because it surprises everybody once.
pub const BYPASS: &str = "nftables and conntrack do not see the traffic this gateway forwards, nor does tcpdump; \
                          `eipgate monitor` shows it";
/// How often the maps are tried again after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How late the end of a prepaid instance may be noticed.
const LATENESS: Duration = Duration::from_secs(1);
/// How long an address set aside by an earlier daemon stays so without being seen in use again.
const DOUBT: Duration = Duration::from_secs(300);

/// The owner of everything, generic over the packet path it drives.
pub struct Gateway<P> {
    ledger: Ledger,
    store: Store,
    path: P,
    outside: Outside,
    capacity: Capacity,
    vpcs: BTreeSet<VpcId>,
    cursors: Cursors,
    /// The ranges as configured, of which the store knows what commands have made.
    configured: Pool,
    /// Told of each commit, for those who follow the history.
    commits: watch::Sender<()>,
    since: Time,
    /// Why the maps may differ from the ledger, if they may.
    dirty: Option<String>,
    /// What the data plane said last, if it is not well.
    degraded: Option<String>,
    own_in_pool: BTreeSet<Ipv4Addr>,
    /// Set aside by an earlier daemon, and not seen to be in use elsewhere since.
    unconfirmed: BTreeSet<Ipv4Addr>,
    /// The changes that wait for the flush they share, while they are being decided.
    group: Option<Group>,
    /// Since a flush failed, and until one succeeds, no two changes share one: the ledger then never has to forget.
    one_by_one: bool,
    /// Why nothing is committed at present: a flush failed, and the store is not reopened and checked yet.
    read_only: Option<String>,
    /// Set while a change is being made, so that after a panic it is known whether there may be half of one.
    midway: bool,
    /// Set when what is committed cannot be read back. Only a restart can find out.
    lost: Option<StoreError>,
    configuration: Configuration,
    pulse: Pulse,
    tally: Tally,
    kept: Kept,
}

impl<P: PacketPath> Gateway<P> {
    /// Serves jobs and watches the data plane until `stop`. Whatever it returns, traffic goes on as it is.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>, stop: impl Future<Output = ()>) -> Result<()> {
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = interval(LATENESS);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let doubt = sleep(DOUBT);
        tokio::pin!(stop, doubt);
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                1.. = jobs.recv_many(&mut waiting, QUEUE) => self.serve(waiting.drain(..)),
                notice = self.path.turn() => {
                    self.take_notice(notice.context("stopping, because only a start mends this; traffic goes on")?);
                }
                _ = retry.tick(), if self.read_only.is_some() || self.dirty.is_some() => self.mend(),
                () = self.pulse.due() => self.pulse.beat(),
                _ = expiry.tick(), if self.ledger.next_due().is_some() => self.expire(),
                () = &mut doubt, if !self.unconfirmed.is_empty() => self.clear_unconfirmed(),
            }
            if let Some(lost) = self.lost.take() {
                return Err(lost).context("stopping, because only a start can tell what is stored; traffic goes on");
            }
        }
    }

    /// Decides, commits, applies and writes to the maps, in this order.
    fn change(&mut self, command: Command, listener: Listener<'_>) -> Result<Change, GatewayError> {
        listener(Stage::Deciding.begun());
        let began = Instant::now();
        let now = self.outside.now();
        let change = self.ledger.decide(command, now, self.capacity)?;
        if change.is_empty() {
            return Ok(change);
        }
        if let Some(why) = &self.read_only {
            return Err(GatewayError::ReadOnly(why.clone()));
        }
        self.midway = true;
        let made = self.make(&change, began, listener);
        self.midway = false;
        made.map(|()| change)
    }

    fn make(&mut self, change: &Change, began: Instant, listener: Listener<'_>) -> Result<(), GatewayError> {
        if let Some(group) = &mut self.group {
            group.join(change, &mut self.ledger, began);
            return Ok(());
        }
        listener(Stage::Committing.begun());
        self.commit([change])?;
        let earlier = Earlier::to(change, &self.ledger);
        self.ledger.apply(change);
        self.write_maps(&earlier.touched(&self.ledger), listener)?;
        self.tally.effects.observe(began.elapsed());
        Ok(())
    }

    fn commit<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) -> Result<(), GatewayError> {
        if self.lost.is_some() {
            return Err(GatewayError::Stopping);
        }
        let began = Instant::now();
        let committed = self.store.commit_all(changes);
        self.one_by_one = committed.is_err();
        match &committed {
            Ok(()) => self.tally.committed(began.elapsed()),
            Err(_) => self.tally.commit_refused(),
        }
        if committed.is_ok() {
            self.commits.send_replace(());
        }
        committed.map_err(|failure| self.not_stored(failure))
    }

    fn not_stored(&mut self, failure: StoreError) -> GatewayError {
        error!("{failure}");
        if matches!(failure, StoreError::Uncertain { .. }) {
            self.read_only = Some(failure.to_string());
        }
        GatewayError::NotStored(failure.to_string())
    }

    fn write_maps(&mut self, touched: &Touched, listener: Listener<'_>) -> Result<(), GatewayError> {
        // Writing single hosts is right only on top of maps that are: an entry left over from a write that failed
        // could give a second instance the same public address.
        let written =
            if self.dirty.is_some() { self.reconcile_maps().map(drop) } else { self.write_touched(touched, listener) };
        match written {
            Ok(()) => self.mark_clean(),
            Err(failure) => {
                self.mark_dirty(&failure);
                return Err(GatewayError::NotInEffect(format!("{failure:#}")));
            }
        }
        if !touched.announced.is_empty() {
            self.path.announce(&touched.announced, ANNOUNCEMENTS_PER_SECOND);
        }
        Ok(())
    }

    fn write_touched(&mut self, touched: &Touched, listener: Listener<'_>) -> Result<()> {
        if touched.pools {
            self.path.set_pools(&self.ledger.pool().prefixes())?;
        }
        self.path.make_room(&touched.set)?;
        for (vpc, private) in &touched.removed {
            self.path.remove_host(vpc, *private)?;
        }
        let total = touched.set.len();
        listener(Progress { stage: Stage::Writing, done: 0, total });
        self.path.set_hosts(&touched.set, &mut |done| listener(Progress { stage: Stage::Writing, done, total }))
    }

    fn reconcile_maps(&mut self) -> Result<Drift> {
        let pools = self.path.set_pools(&self.ledger.pool().prefixes());
        let outcome = pools.and_then(|()| self.path.reconcile(&hosts(&self.ledger)));
        self.tally.reconciled(outcome.as_ref().ok());
        outcome
    }

    /// What is tried every second while something is wrong.
    fn mend(&mut self) {
        if self.read_only.is_some() {
            self.reopen();
        }
        if self.dirty.is_some() {
            self.reconcile();
        }
    }

    /// Looks what a flush that failed has left on the disk: all of its changes or none. None of them was acknowledged,
    /// so that either is right.
    fn reopen(&mut self) {
        match self.store.reopen().map_err(Into::into).and_then(|snapshot| self.restored(snapshot)) {
            Ok(ledger) => {
                info!("the store is reopened and checked, and takes changes again");
                self.read_only = None;
                if ledger != self.ledger {
                    self.ledger = ledger;
                    self.mark_dirty(&anyhow!("the changes of the flush that failed are on the disk after all"));
                }
            }
            Err(failure) => {
                let reason = format!("{failure:#}");
                if self.read_only.as_ref() != Some(&reason) {
                    error!("the store stays read-only: {reason}");
                }
                self.read_only = Some(reason);
            }
        }
    }

    fn restored(&self, snapshot: Snapshot) -> Result<Ledger> {
        let mut pool = self.configured.clone();
        pool.set_cool_down(self.ledger.pool().cool_down());
        pool::follow_standings(&mut pool, &snapshot.standings, &self.path.environment())?;
        Ok(Ledger::restore(pool, snapshot)?.with_policy(self.ledger.policy().clone()))
    }

    fn reconcile(&mut self) {
        match self.reconcile_maps() {
            Ok(drift) => {
                info!(drift.added, drift.removed, drift.changed, "the maps are in step with the ledger again");
                self.mark_clean();
            }
            Err(failure) => self.mark_dirty(&failure),
        }
    }

    fn mark_dirty(&mut self, failure: &anyhow::Error) {
        let reason = format!("{failure:#}");
        if self.dirty.as_ref() != Some(&reason) {
            error!("the maps are behind the ledger, and are tried again every second: {reason}");
        }
        self.dirty = Some(reason);
    }

    fn mark_clean(&mut self) {
        self.dirty = None;
    }

    fn take_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Quiet => {}
            Notice::Duplicate { address, mac } => {
                let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
                warn!(%address, mac, "another host on the link answers for a pool address");
                self.unconfirmed.remove(&address);
                self.observe(Command::MarkDuplicate { address });
            }
            Notice::DuplicateGone { address } => {
                info!(%address, "no other host answers for this pool address any more");
                self.own_in_pool.remove(&address);
                self.unconfirmed.remove(&address);
                self.observe(Command::ClearDuplicate { address });
            }
            Notice::OwnAddressInPool { address } => {
                // One that is withheld anyway has been there from the start: an on-link pool leaves the gateway's out.
                if self.ledger.pool().is_member(address) {
                    error!(%address, "the gateway itself was given an address of a pool");
                    self.own_in_pool.insert(address);
                    self.unconfirmed.remove(&address);
                    self.observe(Command::MarkDuplicate { address });
                }
            }
            Notice::Meddled(what) => {
                warn!("somebody else has changed the maps, which are made right: {what}");
                self.reconcile();
            }
            Notice::Degraded(reason) => {
                error!("degraded: {reason}");
                self.degraded = Some(reason);
            }
            Notice::Recovered => {
                info!("recovered");
                self.degraded = None;
            }
        }
    }

    /// The data plane asks the link for every address of its pools at each start, so silence means nobody.
    fn clear_unconfirmed(&mut self) {
        for address in std::mem::take(&mut self.unconfirmed) {
            self.observe(Command::ClearDuplicate { address });
        }
    }

    /// Refuses instances in a VPC that is not there, which the ledger does not know.
    fn check_vpcs(&self, command: &Command) -> Result<(), GatewayError> {
        let unknown = |pair, vpc: &VpcId| {
            let known = self.vpcs.iter().cloned().collect();
            Err(GatewayError::UnknownVpc { pair, vpc: vpc.clone(), known })
        };
        match command {
            Command::Together(together) => together.commands.iter().try_for_each(|command| self.check_vpcs(command)),
            Command::CreateInstance(new) if !self.vpcs.contains(&new.vpc) => unknown(None, &new.vpc),
            Command::ImportPairs(import) => {
                let strange = import.pairs.iter().position(|pair| !self.vpcs.contains(&pair.vpc));
                strange.map_or(Ok(()), |index| unknown(Some(index), &import.pairs[index].vpc))
            }
            _ => Ok(()),
        }
    }

    /// Tells the ledger the time where that makes a difference.
    fn expire(&mut self) {
        let now = self.outside.now();
        if self.read_only.is_none() && self.ledger.next_due().is_some_and(|due| due <= now) {
            self.observe(Command::Expire);
        }
    }

    fn observe(&mut self, command: Command) {
        let observed = self.attempt(|gateway| gateway.change(command, &mut |_| {}).map(|change| tell(&change)));
        if let Err(failure) = observed {
            warn!("the observation is not recorded: {failure}");
        }
    }
}

impl<P: PacketPath> Operations for Gateway<P> {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn now(&mut self) -> Time {
        self.outside.now()
    }

    fn new_instance_id(&mut self) -> InstanceId {
        self.outside.draw_id("ins-", |id| self.ledger.instance(id).is_none())
    }

    fn new_eip_id(&mut self) -> EipId {
        self.outside.draw_id("eip-", |id| self.ledger.eip(id).is_none())
    }

    fn new_package_id(&mut self) -> PackageId {
        self.outside.draw_id("bwp-", |id| self.ledger.package(id).is_none())
    }

    fn new_instance_ids(&mut self, count: usize) -> Vec<InstanceId> {
        self.outside.draw_ids("ins-", count, |id| self.ledger.instance(id).is_none())
    }

    fn new_eip_ids(&mut self, count: usize) -> Vec<EipId> {
        self.outside.draw_ids("eip-", count, |id| self.ledger.eip(id).is_none())
    }

    fn vpcs(&self) -> Vec<VpcId> {
        self.vpcs.iter().cloned().collect()
    }

    fn private_ranges(&self, vpc: &VpcId) -> Vec<Prefix> {
        self.configured_ranges(vpc)
    }

    fn private_addresses(&mut self, vpc: &VpcId, count: usize) -> Result<Vec<Ipv4Addr>, GatewayError> {
        self.choose_private(vpc, count)
    }

    fn perform_telling(&mut self, command: Command, listener: Listener<'_>) -> Result<Change, GatewayError> {
        self.check_vpcs(&command)?;
        let imported = match &command {
            Command::ImportPairs(import) => Some((import.pairs.len(), import.account.clone())),
            _ => None,
        };
        let change = self.change(command, listener)?;
        match imported {
            Some((pairs, account)) => info!("imported {pairs} pairs of account {account}"),
            // Those of a group are told when they are stored.
            None if self.group.is_some() => {}
            None => tell(&change),
        }
        Ok(change)
    }

    fn pool_addition(&self, prefix: Prefix, allow_reserved: bool) -> Result<Command, GatewayError> {
        let definition = pool::define(prefix, &self.path.environment())?;
        let configured = self.configuration.in_effect.borrow().allow_reserved_pools;
        let reserved = pool::reserved(allow_reserved || configured);
        Ok(Command::AddPool { definition, reserved })
    }

    fn past(&self) -> Past {
        Past { history: self.store.history(), commits: self.commits.subscribe() }
    }

    fn prune_history(&mut self, cursor: u64, before: Time) -> Result<(usize, Option<u64>), GatewayError> {
        let now = self.outside.now();
        if before > now {
            return Err(GatewayError::PruningAhead { before });
        }
        if self.lost.is_some() {
            return Err(GatewayError::Stopping);
        }
        self.store.prune(cursor, before, now).map_err(|failure| self.not_stored(failure))
    }

    fn check(&mut self, command: Command) -> Result<(), GatewayError> {
        self.check_vpcs(&command)?;
        let now = self.outside.now();
        Ok(self.ledger.decide(command, now, self.capacity).map(drop)?)
    }

    fn announce(&mut self, addresses: &[Ipv4Addr], per_second: u32) -> usize {
        self.path.announce(addresses, per_second)
    }

    fn status(&mut self) -> Status {
        self.describe(self.path.status())
    }

    fn reload(&mut self) -> Result<Reloaded, GatewayError> {
        self.midway = true;
        let reloaded = self.reload_configuration();
        self.midway = false;
        reloaded
    }

    fn vitals(&mut self) -> Arc<Vitals> {
        if let Some(kept) = self.kept.present() {
            return kept;
        }
        let began = Instant::now();
        let at = self.outside.now();
        let status = self.describe(self.path.glance());
        let vitals = Vitals { status, at, pools: self.ledger.range_totals(at), tally: self.tally.clone() };
        self.kept.keep(began, vitals)
    }

    fn mac(&self, vpc: &VpcId, private: Ipv4Addr) -> Option<[u8; 6]> {
        self.path.mac(vpc, private)
    }

    fn meter(&self) -> Arc<dyn Meter> {
        self.path.meter()
    }
}

impl<P: PacketPath> Gateway<P> {
    /// The downlinks whose instances can ask about themselves, now and later.
    pub fn downlinks(&self) -> watch::Receiver<Vec<Downlink>> {
        self.path.downlinks()
    }

    fn describe(&self, plane: PlaneStatus) -> Status {
        let mut problems: Vec<String> = Vec::new();
        problems.extend(self.read_only.iter().map(|reason| format!("the store is read-only: {reason}")));
        problems.extend(self.dirty.iter().map(|reason| format!("the maps are behind the ledger: {reason}")));
        let own = self.own_in_pool.iter();
        problems.extend(own.map(|address| {
            format!("the gateway itself was given {address}, an address of a pool; take it away and restart the daemon")
        }));
        let claimed = self.ledger.duplicates().filter(|address| !self.own_in_pool.contains(address));
        problems.extend(claimed.map(|address| {
            format!(
                "another host on an uplink claims {address}, an address of a pool; it is not handed out until that ends"
            )
        }));
        // What the data plane says now is newer than what it told last, and tells each problem by itself.
        if plane.problems.is_empty() {
            problems.extend(self.degraded.clone());
        } else {
            problems.extend(plane.problems.iter().cloned());
        }
        Status {
            since: self.since,
            problems,
            dirty: self.dirty.is_some(),
            instances: self.ledger.instances().len(),
            pairs: self.ledger.association_count(),
            eips: self.ledger.eips().len(),
            held_outside_pools: self.ledger.held_outside_pool_count(),
            waiting: self.configuration.waiting.clone(),
            capacity: self.capacity,
            plane,
        }
    }
}

fn tell(change: &Change) {
    change.facts.iter().filter_map(describe).for_each(|line| info!("{line}"));
}
