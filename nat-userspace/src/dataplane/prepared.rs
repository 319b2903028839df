//! A start in two parts, so that the first can go on while the store is being read.

use anyhow::{Result, bail};

use super::bindings::Bindings;
use super::earlier::Earlier;
use super::network::{Topology, Watch};
use super::pins::{Lock, Pins};
use super::plan::Plan;
use super::program::{Program, refuse_occupied};
use super::sysctl::HostSettings;
use super::tables::present;
use super::{DataPlane, guard};
use crate::address::Prefix;

/// Whether there is nothing on this host of an earlier start: no pins of any layout.
pub fn is_first_start(plan: &Plan) -> bool {
    Pins::under(&plan.bpf_dir).versions().is_empty()
}

/// A packet path whose program is loaded, and of which nothing outside its pins can be noticed yet.
pub struct Prepared {
    parts: Option<Box<Parts>>,
    /// The pins, where they were made for this.
    made: Option<Pins>,
    lock: Option<Lock>,
}

/// What the first part of a start leaves to the second.
pub(super) struct Parts {
    pub(super) plan: Plan,
    pub(super) watch: Watch,
    pub(super) program: Program,
    pub(super) bindings: Bindings,
    pub(super) pins: Pins,
    pub(super) earlier: Option<Earlier>,
    /// Whether nothing is attached yet.
    pub(super) first: bool,
}

impl Prepared {
    /// `made` says that the pins were made for this.
    pub(super) fn new(parts: Parts, lock: Lock, made: bool) -> Prepared {
        Prepared { made: made.then(|| parts.pins.clone()), parts: Some(Box::new(parts)), lock: Some(lock) }
    }

    /// Makes these the public ranges, which are known in full only when the store has been read.
    pub fn set_pools(&mut self, pools: Vec<Prefix>) {
        if let Some(parts) = &mut self.parts {
            parts.plan.pools = pools;
        }
    }

    /// The second part of the start: puts up the guard and sets the host's settings. Nothing is swept and nothing
    /// attached yet.
    pub fn put_up(mut self) -> Result<DataPlane> {
        self.made = None;
        let (Some(parts), Some(lock)) = (self.parts.take(), self.lock.take()) else {
            bail!("the packet path has been put up already");
        };
        let undoing = parts.first.then(|| (parts.plan.clone(), parts.pins.clone()));
        let result = DataPlane::assemble(*parts, lock);
        if let (Err(_), Some((plan, pins))) = (&result, undoing) {
            undo(&plan, &pins);
        }
        result
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Under the lock still, so that they are nobody else's.
        let Some(pins) = self.made.take() else { return };
        if let Err(error) = pins.remove().and_then(|_| pins.unmount()) {
            tracing::warn!("cleaning up after the failed start: {error:#}");
        }
    }
}

/// Leaves nothing behind of a first start that failed. What resists is removed by `eipgate detach`.
pub(super) fn undo(plan: &Plan, pins: &Pins) {
    let settings = HostSettings::open(&plan.state_dir).and_then(HostSettings::restore);
    let unpinned = pins.remove().and_then(|_| pins.unmount());
    for error in [settings.err(), guard::take_down().err(), unpinned.err()].into_iter().flatten() {
        tracing::warn!("cleaning up after the failed start: {error:#}");
    }
}

/// Refuses a start that could never serve: no interface of the plan exists, or another program is on one. An interface
/// that comes late is waited for.
pub(super) fn check_links(plan: &Plan, topology: &Topology, pins: &Pins) -> Result<()> {
    if plan.uplinks.is_empty() || plan.downlinks.is_empty() {
        bail!("a gateway needs at least one uplink and one downlink; give --uplink and --downlink or a configuration");
    }
    if present(plan, topology).is_empty() {
        let names: Vec<_> = plan.links().map(|link| link.interface.clone()).collect();
        bail!("none of the interfaces {} exists; `ip link` lists those that do", names.join(", "));
    }
    // Asked before anything is touched: the guard and the settings of whoever is there are not ours to change.
    let ours = pins.links();
    for link in present(plan, topology) {
        if !ours.contains_key(&link.interface.index) {
            refuse_occupied(link.interface)?;
        }
    }
    Ok(())
}
