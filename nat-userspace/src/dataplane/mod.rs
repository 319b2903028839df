//! The packet path as the daemon sees it: the program on its interfaces, the maps, the guard, the host's settings.
//!
//! [`DataPlane`] joins the parts. It knows nothing of ledger or store: it is told about hosts and makes the kernel
//! equal to that.

mod arp;
mod attachment;
mod audit;
mod bindings;
mod counters;
mod detach;
pub mod doctor;
mod earlier;
mod environment;
pub mod explain;
pub mod foreseen;
mod guard;
mod hops;
pub mod inspect;
mod limits;
mod link_local;
mod link_slots;
mod marks;
pub mod monitor;
mod network;
mod page_slots;
mod pins;
mod plan;
mod pools;
mod preflight;
mod prepared;
mod program;
mod routing;
mod slots;
mod status;
mod sys;
mod sysctl;
mod table;
mod tables;
mod takeover;
mod unattended;
mod written;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use crate::address::{Prefix, VpcId};
pub use arp::ANNOUNCEMENTS_PER_SECOND;
use arp::{Arp, Claim, Port};
use audit::Audit;
use bindings::Bindings;
pub use bindings::Drift;
pub use detach::detach;
use earlier::Earlier;
pub use environment::{Environment, OwnAddress, environment};
use guard::Guard;
pub use limits::{Limits, MAX_PAIRS};
pub use link_local::{ADDRESSES as ASKED_AT, Downlink};
pub use network::AttachMode;
use network::{Topology, Watch};
use pins::{Lock, Pins};
pub use plan::{Host, LinkPlan, Mode, Plan, ProgramLog, Tuning};
use prepared::{Parts, check_links, undo};
pub use prepared::{Prepared, is_first_start};
pub use program::OBJECT;
use program::Program;
use routing::Routing;
pub use status::{HopStatus, LinkStatus, MapUse, NotReady, PlaneStatus};
use sysctl::HostSettings;
use tables::{KernelTables, Tables};
pub use unattended::{Unattended, doubt};

/// Puts up the guard alone, for the time before the daemon serves: with no program there, nothing is forwarded between
/// the links, and nothing private leaves by an uplink. The daemon replaces it when it starts.
///
/// # Errors
/// A program that is already on a link: its guard stands, and this one would stop what it hands to the kernel.
pub async fn put_up_guard(plan: &Plan) -> Result<()> {
    preflight::check()?;
    let (handle, task) = network::connect()?;
    let topology = network::read(&handle).await;
    task.abort();
    let topology = topology?;
    if let Some(link) = tables::present(plan, &topology).iter().find(|link| link.interface.xdp.is_some()) {
        bail!("interface {} has its program already, and a guard with it; nothing was changed", link.interface.name);
    }
    let routing = Routing::new(plan, &topology, &Routing::default());
    guard::put_up(&guard_for(plan, &routing, &[], [0; 6]))
}

/// What [`DataPlane::turn`] has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing the ledger cares about.
    Quiet,
    /// Another host on an uplink claims a pool address.
    Duplicate {
        /// The address.
        address: Ipv4Addr,
        /// Who claims it.
        mac: [u8; 6],
    },
    /// The other host is gone.
    DuplicateGone {
        /// The address.
        address: Ipv4Addr,
    },
    /// The host was given an address that lies in a pool.
    OwnAddressInPool {
        /// The address.
        address: Ipv4Addr,
    },
    /// Somebody else has changed the maps, in one sentence. They want to be reconciled.
    Meddled(String),
    /// Something is not as it should be, in one sentence.
    Degraded(String),
    /// Everything is as it should be again.
    Recovered,
}

/// The packet path.
pub struct DataPlane {
    plan: Plan,
    program: Program,
    bindings: Bindings,
    tables: KernelTables,
    /// The network that the tables were last made to fit.
    followed: Arc<Routing>,
    written: Tables,
    settings: HostSettings,
    guard: Option<Guard>,
    /// Source MAC of packets handed to the kernel.
    mark: [u8; 6],
    watch: Watch,
    arp: Arp,
    audit: Audit,
    program_log: Option<JoinHandle<()>>,
    tick: Interval,
    problems: Vec<String>,
    /// Where instances can ask about themselves.
    downlinks: watch::Sender<Vec<Downlink>>,
    told: BTreeSet<Ipv4Addr>,
    /// Attaching starts only when the maps have been reconciled.
    serving: bool,
    pins: Pins,
    /// What is left to take over of an earlier layout.
    earlier: Option<Earlier>,
    _lock: Lock,
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        if let Some(task) = self.program_log.take() {
            task.abort();
        }
    }
}

impl DataPlane {
    /// Takes the pins, puts up the guard, sets the host's settings and loads the program over maps that are there or
    /// made now. Nothing is swept and nothing attached yet.
    pub async fn start(plan: Plan) -> Result<DataPlane> {
        DataPlane::prepare(plan).await?.put_up()
    }

    /// The first part of the start: takes the pins and loads the program. Nothing outside the pins is changed, and where
    /// there were none, dropping what this answers removes them again.
    pub async fn prepare(plan: Plan) -> Result<Prepared> {
        preflight::check()?;
        std::fs::create_dir_all(&plan.state_dir).with_context(|| format!("creating {}", plan.state_dir.display()))?;
        let subscription = network::subscribe().await?;
        let topology = subscription.topology();
        let pins = Pins::under(&plan.bpf_dir);
        check_links(&plan, topology, &pins)?;
        let lock = pins.prepare(plan.allow_private_mount)?;
        // What an earlier daemon left attached goes on forwarding meanwhile, and keeps its place behind the guard.
        let first = pins.links().is_empty();
        let fresh = pins.capacity("COUNTERS").is_none();
        match Self::load(&plan, topology, &pins, fresh) {
            Err(error) => {
                if first {
                    undo(&plan, &pins);
                }
                Err(error)
            }
            Ok((program, bindings, earlier)) => {
                let doubter = bindings.doubter(&plan);
                let watch = subscription.follow(move |topology| doubter.hear(topology));
                let parts = Parts { plan, watch, program, bindings, pins, earlier, first };
                Ok(Prepared::new(parts, lock, fresh))
            }
        }
    }

    fn load(
        plan: &Plan,
        topology: &Topology,
        pins: &Pins,
        fresh: bool,
    ) -> Result<(Program, Bindings, Option<Earlier>)> {
        plan.limits.check_pins(pins)?;
        let earlier = Earlier::open(pins)?;
        let taking_over = earlier.is_some();
        tracing::info!("{}", plan.limits.memory(limits::cpus()?, taking_over)?);
        let program = Program::load(pins, plan.limits, plan.mode, plan.program_log, taking_over)?;
        let routing = Routing::new(plan, topology, &Routing::default());
        Ok((program, Bindings::open(pins, plan.limits, routing, fresh)?, earlier))
    }

    fn assemble(parts: Parts, lock: Lock) -> Result<DataPlane> {
        let Parts { plan, watch, mut program, bindings, pins, earlier, .. } = parts;
        let mut settings = HostSettings::open(&plan.state_dir)?;
        let mut tables = KernelTables::open(&pins)?;
        let mark = tables.set_settings(&plan, earlier.as_ref().map(Earlier::mark))?;
        let attached: Vec<u32> = pins.links().into_keys().collect();
        let guard = guard_for(&plan, &bindings.network(), &attached, mark);
        // The guard first: from `ip_forward` on, the kernel would carry what the program is not yet there to stop.
        guard::put_up(&guard)?;
        settings.set_global()?;
        let program_log = follow_program_log(&mut program, plan.program_log);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let audit = Audit::start(pins.clone(), plan.limits.slot_bits(), bindings.written());
        Ok(DataPlane {
            program,
            bindings,
            tables,
            followed: Arc::default(),
            written: Tables::default(),
            settings,
            guard: Some(guard),
            mark,
            watch,
            arp: Arp::start()?,
            audit,
            program_log,
            tick,
            problems: Vec::new(),
            downlinks: watch::Sender::default(),
            told: BTreeSet::new(),
            serving: false,
            pins,
            earlier,
            _lock: lock,
            plan,
        })
    }

    /// Makes the bindings equal to `hosts`, touching only what differs.
    pub fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift> {
        let drift = self.bindings.reconcile(hosts);
        self.want_next_hops();
        drift
    }

    /// Puts the program on every link's interface that exists, and sweeps it off every other. Interfaces that are
    /// missing now are attached when they appear.
    pub async fn attach(&mut self) -> Result<()> {
        self.serving = true;
        let network = self.bindings.network();
        let present = tables::present(&self.plan, network.topology());
        let wanted: BTreeSet<u32> = present.iter().map(|link| link.interface.index).collect();
        for ifindex in self.program.sweep(|ifindex| wanted.contains(&ifindex)) {
            tracing::info!("took the program off interface {ifindex}, which is no longer configured or gone");
        }
        let fresh = self.pins.links().is_empty();
        self.carry()?;
        let result = self.follow(Fresh::Yes);
        if result.is_err() && fresh {
            self.program.sweep(|_| false);
            undo(&self.plan, &self.pins);
        }
        result?;
        self.take_over()?;
        for problem in &self.problems {
            tracing::warn!("{problem}");
        }
        self.placed().await;
        self.watch.refresh().await;
        // Forwarding has been on since the settings were made, which is only seen now.
        self.follow(Fresh::No)?;
        for link in self.status().links.iter().filter(|link| link.attached) {
            let mode = link.mode.as_deref().unwrap_or("unknown");
            tracing::info!("the kernel says: program {} on {} in {mode} mode", self.program.id(), link.interface);
        }
        Ok(())
    }

    /// Makes one instance what `host` says, in effect on the next packet.
    pub fn set_host(&mut self, host: &Host) -> Result<()> {
        let done = self.bindings.set(host);
        self.want_next_hops();
        done
    }

    /// Makes sure that these can be set without waiting, before something is taken away for it.
    pub fn make_room(&mut self, hosts: &[Host]) -> Result<()> {
        self.bindings.make_room(hosts)
    }

    /// Makes many instances what `hosts` say, in this order, and tells now and then how many are done.
    pub fn set_hosts(&mut self, hosts: &[Host], progress: &mut dyn FnMut(usize)) -> Result<()> {
        for (done, host) in hosts.iter().enumerate() {
            progress(done);
            self.bindings.set(host)?;
        }
        self.want_next_hops();
        Ok(())
    }

    /// Forgets an instance.
    pub fn remove_host(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()> {
        let done = self.bindings.remove(vpc.as_str(), private);
        self.want_next_hops();
        done
    }

    /// Tells the uplink's neighbours that addresses are here now, where they are on-link, so many a second. Answers how
    /// many are.
    pub fn announce(&mut self, addresses: &[Ipv4Addr], per_second: u32) -> usize {
        self.arp.announce(addresses, per_second)
    }

    /// Waits for the next thing to happen to the network or the kernel's side of the gateway, and follows it.
    /// Cancelling it loses nothing: each wait is on state that stays.
    ///
    /// # Errors
    /// Somebody has ended whom only another start brings back. If it was the one who follows the network, the kernel has
    /// been asked about each packet since.
    pub async fn turn(&mut self) -> Result<Notice> {
        loop {
            let mut fresh = Fresh::No;
            tokio::select! {
                changed = self.watch.topology.changed() => changed.context("nobody follows the network any more")?,
                claim = self.arp.claims.recv() => {
                    return match claim.context("nobody watches ARP any more")? {
                        Claim::Duplicate(address, mac) => Ok(Notice::Duplicate { address, mac }),
                        Claim::Gone(address) => Ok(Notice::DuplicateGone { address }),
                    };
                }
                () = self.bindings.rested() => {
                    if let Err(error) = self.bindings.settle(&self.followed) {
                        return Ok(Notice::Degraded(format!("{error:#}")));
                    }
                    continue;
                }
                Ok(()) = self.audit.found.changed() => {
                    let found = self.audit.found.borrow_and_update().clone();
                    return Ok(match self.bindings.learn_anew(&self.pins) {
                        Ok(()) => Notice::Meddled(found),
                        Err(error) => Notice::Degraded(format!("{found}, and the maps cannot be read anew: {error:#}")),
                    });
                }
                _ = self.tick.tick() => fresh = Fresh::Yes,
            }
            if !self.serving {
                continue;
            }
            let before = std::mem::take(&mut self.problems);
            if let Err(error) = self.follow(fresh) {
                self.problems.push(format!("{error:#}"));
            }
            if self.problems != before {
                return Ok(match self.problems.first() {
                    Some(_) => Notice::Degraded(self.problems.join("; ")),
                    None => Notice::Recovered,
                });
            }
            if let Some(notice) = self.own_address_in_pool() {
                return Ok(notice);
            }
        }
    }

    /// Where the pins are.
    pub fn bpf_dir(&self) -> &Path {
        &self.plan.bpf_dir
    }

    /// Changes what can change, in effect on the next packet.
    pub fn retune(&mut self, tuning: &Tuning) -> Result<()> {
        self.plan.tuning.clone_from(tuning);
        // What is wrong with the network is told by `turn`, which compares with what was wrong before.
        let problems = self.problems.clone();
        let followed = self.follow(Fresh::No);
        self.problems = problems;
        followed
    }

    /// Makes tables, guard, host settings and attachments fit the network as it is now. What is not true any more, packets
    /// do not use since it was heard of; what is true now is made ready when the tables stand.
    fn follow(&mut self, fresh: Fresh) -> Result<()> {
        // What is published from here on is for another turn.
        self.watch.topology.mark_unchanged();
        let network = self.bindings.network();
        let topology = network.topology();
        let tables = Tables::compute(&self.plan, topology, &network);
        if tables != self.written {
            self.tables.write(&tables)?;
            self.written = tables;
        }
        self.followed = Arc::clone(&network);
        self.bindings.settle(&network)?;
        self.attach_present(topology)?;
        self.tables.set_redirects_multi_buffer(self.redirects_multi_buffer())?;
        let attached: Vec<u32> = self.program.attached().collect();
        let guard = guard_for(&self.plan, &network, &attached, self.mark);
        if self.guard.as_ref() != Some(&guard) || (fresh == Fresh::Yes && guard::stands() != Ok(true)) {
            self.guard = None;
            guard::put_up(&guard)?;
            self.guard = Some(guard);
        }
        self.arp.set_ports(ports(&self.plan, topology));
        self.place_link_local(topology, &attached)?;
        self.want_next_hops();
        Ok(())
    }

    fn attach_present(&mut self, topology: &Topology) -> Result<()> {
        let gone: Vec<u32> =
            self.program.attached().filter(|ifindex| !topology.interfaces.contains_key(ifindex)).collect();
        for ifindex in gone {
            tracing::warn!("interface {ifindex} is gone; its traffic stops until one of that name appears");
            self.program.forget(ifindex);
        }
        for link in self.plan.links() {
            let Some(interface) = topology.named(&link.interface) else {
                self.problems.push(format!("interface {} does not exist; waiting for it", link.interface));
                continue;
            };
            let replaced = self.program.is_attached(interface.index)
                && interface.xdp.is_some_and(|(id, _)| id != self.program.id());
            if replaced {
                self.problems.push(format!(
                    "another program (id {}) has taken our place on interface {}",
                    interface.xdp.map_or(0, |(id, _)| id),
                    interface.name
                ));
            }
            if interface.xdp.is_none() && self.program.was_taken_off(interface.index) {
                tracing::warn!("somebody has taken the program off {}; it is put there again", interface.name);
                self.program.forget(interface.index);
            }
            if self.program.is_attached(interface.index) {
                continue;
            }
            self.settings.set_interface(&interface.name)?;
            if self.plan.mode == Mode::Generic {
                // Aggregated frames are larger than the MTU, so a forwarder would refuse them as too big.
                match self.settings.switch_off_gro(&interface.name) {
                    Ok(true) => tracing::info!("switched off GRO on {}, for generic XDP", interface.name),
                    Ok(false) => {}
                    Err(error) => tracing::warn!("GRO on {} could not be switched off: {error:#}", interface.name),
                }
            }
            // Without its tag a frame belongs to another link, and so to another VPC.
            match self.settings.switch_off_vlan_stripping(&interface.name) {
                Ok(true) => tracing::info!("{} leaves VLAN tags on frames from now on", interface.name),
                Ok(false) => {}
                Err(error) => {
                    let name = &interface.name;
                    tracing::warn!("{name} takes VLAN tags off received frames and cannot be told not to: {error:#}");
                }
            }
            self.program.attach(interface)?;
            tracing::info!("attached to {} (index {})", interface.name, interface.index);
        }
        Ok(())
    }

    /// Whether every link sends redirected frames of several buffers, which some drivers do only with a program on them.
    /// A kernel that cannot be asked is one that does not redirect any.
    fn redirects_multi_buffer(&self) -> bool {
        let sends = |ifindex| network::xdp_features(ifindex).is_ok_and(|features| features.transmit_segments);
        self.plan.mode == Mode::Generic || self.program.attached().all(sends)
    }

    /// Asks for every next hop to be kept resolved: those that bindings use, and gateways of routes over our links.
    fn want_next_hops(&mut self) {
        let mut hops = self.bindings.hops();
        hops.begin_rest();
        self.watch.wanted.send_if_modified(|wanted| hops.want(wanted));
    }
}

/// Whether to look at the kernel anew for what nobody tells us about. It costs a process, so once a second is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

fn guard_for(plan: &Plan, network: &Routing, attached: &[u32], mark: [u8; 6]) -> Guard {
    let topology = network.topology();
    let mut guard = Guard { pools: plan.pools.clone(), mark, ..Guard::default() };
    guard.outside = plan.tuning.martian_exceptions.clone();
    for link in plan.links() {
        let names = match link.vpc {
            None => &mut guard.uplink_names,
            Some(_) => &mut guard.downlink_names,
        };
        if !names.contains(&link.interface) {
            names.push(link.interface.clone());
        }
    }
    for link in tables::present(plan, topology) {
        let (names, indices) = match link.plan.vpc {
            None => (&mut guard.uplink_names, &mut guard.uplinks),
            Some(_) => (&mut guard.downlink_names, &mut guard.downlinks),
        };
        if link.plan.vpc.is_none() {
            let own = topology.addresses.iter().filter(|own| own.ifindex == link.routing.index);
            guard.outside.extend(own.filter_map(|own| Prefix::containing(own.address, own.length).ok()));
        }
        if !names.contains(&link.routing.name) {
            names.push(link.routing.name.clone());
        }
        if attached.contains(&link.interface.index) && !indices.contains(&link.routing.index) {
            indices.push(link.routing.index);
        }
    }
    if plan.metadata {
        guard.asked_at = link_local::ADDRESSES.to_vec();
    }
    guard.own = Tables::compute(plan, topology, network).own_outside();
    guard
}

fn ports(plan: &Plan, topology: &Topology) -> Vec<Port> {
    let uplinks = tables::present(plan, topology).into_iter().filter(|link| link.plan.vpc.is_none());
    let port = |link: tables::Present<'_>| {
        let on_link = |pool: &&Prefix| {
            topology.addresses.iter().filter(|own| own.ifindex == link.routing.index).any(|own| {
                Prefix::containing(own.address, own.length)
                    .is_ok_and(|connected| connected.contains(pool.first()) && connected.contains(pool.last()))
            })
        };
        let pools = plan.pools.iter().filter(on_link).copied().collect();
        Some(Port { ifindex: link.interface.index, mac: link.interface.mac?, tags: link.plan.tags.clone(), pools })
    };
    uplinks.filter_map(port).collect()
}

/// Prints what the program logs, for whoever debugs it.
fn follow_program_log(program: &mut Program, level: ProgramLog) -> Option<JoinHandle<()>> {
    if level == ProgramLog::Off {
        return None;
    }
    let logger = aya_log::EbpfLogger::init(program.ebpf());
    let mut logger = match logger.map_err(anyhow::Error::from).and_then(|logger| Ok(sys::watch(logger)?)) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!("the program's log cannot be read: {error:#}");
            return None;
        }
    };
    Some(tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }))
}
