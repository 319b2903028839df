//! One task owns the ledger, the store and the data plane, and joins them.
//!
//! Every change goes the same way: decided by the ledger, committed to the store, applied to the ledger, written to the
//! maps, answered. The committed state is the truth and the maps follow it: what could not be written is marked and
//! reconciled until it is.

#[cfg(test)]
mod detached;
mod error;
mod handle;
mod hosts;
mod opening;
mod outside;
mod packet_path;
mod plan;
mod pool;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use crate::address::{Capacity, Change, Command, EipId, Fact, InstanceId, Ledger, Time, VpcId};
use crate::dataplane::Notice;
use crate::store::{Store, StoreError};

#[cfg(test)]
pub(crate) use self::detached::Detached;
pub use self::error::{GatewayError, Kind};
use self::handle::Job;
pub use self::handle::{Handle, Operations, Stopped};
use self::hosts::{Touched, hosts};
pub use self::opening::{Opened, put_up_guard, start};
pub use self::outside::Outside;
pub use self::packet_path::PacketPath;
pub use self::status::Status;

/// Said at every start and in every status, because it surprises everybody once.
pub const BYPASS: &str = "nftables and conntrack do not see the traffic this gateway forwards, nor does tcpdump; \
                          `eipgate monitor` shows it";
/// How often the maps are tried again after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
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
    since: Time,
    /// Why the maps may differ from the ledger, if they may.
    dirty: Option<String>,
    /// What the data plane said last, if it is not well.
    degraded: Option<String>,
    own_in_pool: BTreeSet<Ipv4Addr>,
    /// Set aside by an earlier daemon, and not seen to be in use elsewhere since.
    unconfirmed: BTreeSet<Ipv4Addr>,
    /// Set when it cannot be told what is committed. Only a restart can find out.
    lost: Option<StoreError>,
}

impl<P: PacketPath> Gateway<P> {
    /// Serves jobs and watches the data plane until `stop`. Whatever it returns, traffic goes on as it is.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>, stop: impl Future<Output = ()>) -> Result<()> {
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let doubt = sleep(DOUBT);
        tokio::pin!(stop, doubt);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                Some(job) = jobs.recv() => job(&mut self),
                notice = self.path.turn() => self.take_notice(notice),
                _ = retry.tick(), if self.dirty.is_some() => self.reconcile(),
                () = &mut doubt, if !self.unconfirmed.is_empty() => self.clear_unconfirmed(),
            }
            if let Some(lost) = self.lost.take() {
                return Err(lost).context("stopping, because only a start can tell what is stored; traffic goes on");
            }
        }
    }

    /// Decides, commits, applies and writes to the maps, in this order.
    fn change(&mut self, command: Command) -> Result<Change, GatewayError> {
        let now = self.outside.now();
        let change = self.ledger.decide(command, now, self.capacity)?;
        if change.is_empty() {
            return Ok(change);
        }
        let mut next = self.ledger.clone();
        next.apply(&change);
        self.commit(&next)?;
        let before = std::mem::replace(&mut self.ledger, next);
        self.write_maps(&before, &change)?;
        Ok(change)
    }

    fn commit(&mut self, next: &Ledger) -> Result<(), GatewayError> {
        if self.lost.is_some() {
            return Err(GatewayError::Stopping);
        }
        self.store.commit(&next.snapshot()).map_err(|failure| {
            error!("{failure}");
            let told = GatewayError::NotStored(failure.to_string());
            if matches!(failure, StoreError::Uncertain { .. }) {
                self.lost = Some(failure);
            }
            told
        })
    }

    fn write_maps(&mut self, before: &Ledger, change: &Change) -> Result<(), GatewayError> {
        let touched = Touched::by(change, before, &self.ledger);
        // Writing single hosts is right only on top of maps that are: an entry left over from a write that failed
        // could give a second instance the same public address.
        let written = if self.dirty.is_some() {
            self.path.reconcile(&hosts(&self.ledger)).map(drop)
        } else {
            self.write_hosts(&touched)
        };
        match written {
            Ok(()) => self.mark_clean(),
            Err(failure) => {
                self.mark_dirty(&failure);
                return Err(GatewayError::NotInEffect(format!("{failure:#}")));
            }
        }
        for public in touched.announced() {
            self.path.announce(public);
        }
        Ok(())
    }

    fn write_hosts(&mut self, touched: &Touched) -> Result<()> {
        for (vpc, private) in &touched.removed {
            self.path.remove_host(vpc, *private)?;
        }
        for set in &touched.set {
            self.path.set_host(&set.host)?;
        }
        Ok(())
    }

    fn reconcile(&mut self) {
        match self.path.reconcile(&hosts(&self.ledger)) {
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

    fn observe(&mut self, command: Command) {
        if let Err(failure) = self.change(command) {
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

    fn perform(&mut self, command: Command) -> Result<Change, GatewayError> {
        if let Command::CreateInstance(new) = &command
            && !self.vpcs.contains(&new.vpc)
        {
            return Err(GatewayError::UnknownVpc { vpc: new.vpc.clone(), known: self.vpcs.iter().cloned().collect() });
        }
        let change = self.change(command)?;
        for fact in &change.facts {
            info!("{}", describe(fact));
        }
        Ok(change)
    }

    fn status(&mut self) -> Status {
        let plane = self.path.status();
        let mut problems: Vec<String> = Vec::new();
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
            held_outside_pools: self.ledger.held_outside_pool().count(),
            capacity: self.capacity,
            plane,
        }
    }
}

/// A fact as a line of the log.
fn describe(fact: &Fact) -> String {
    match fact {
        Fact::InstanceCreated(new) => format!("instance {} created: {} in {}", new.id, new.private, new.vpc),
        Fact::InstanceTerminated { instance } => format!("instance {instance} terminated"),
        Fact::OrdinaryAssigned { instance, address } => format!("instance {instance} got ordinary public IP {address}"),
        Fact::OrdinaryReleased { instance, address, .. } => {
            format!("instance {instance} gave up ordinary public IP {address}")
        }
        Fact::EipAllocated(eip) => format!("EIP {} allocated: {}", eip.id, eip.address),
        Fact::EipBound { eip, instance } => format!("EIP {eip} bound to instance {instance}"),
        Fact::EipUnbound { eip, instance } => format!("EIP {eip} unbound from instance {instance}"),
        Fact::EipReleased { eip, address, .. } => format!("EIP {eip} released: {address}"),
        Fact::DuplicateMarked { address } => format!("{address} set aside"),
        Fact::DuplicateCleared { address } => format!("{address} no longer set aside"),
    }
}
