//! The packet path as the daemon sees it: the program on its interfaces, the maps, the guard, the host's settings.
//!
//! [`DataPlane`] joins the parts. It knows nothing of ledger or store: it is told about hosts and makes the kernel
//! equal to that.

mod arp;
mod bindings;
mod detach;
mod guard;
pub mod inspect;
pub mod monitor;
mod network;
mod pins;
mod plan;
mod preflight;
mod program;
mod status;
mod sys;
mod sysctl;
mod tables;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use crate::address::{Prefix, VpcId};
use arp::{Arp, Claim, Port};
use bindings::Bindings;
pub use bindings::Drift;
pub use detach::detach;
use guard::Fence;
pub use network::AttachMode;
use network::{Topology, Watch};
use pins::{Lock, Pins};
pub use plan::{Host, Limits, LinkPlan, Mode, Plan, ProgramLog};
pub use program::OBJECT;
use program::Program;
pub use status::{LinkStatus, MapUse, PlaneStatus};
use sysctl::HostSettings;
use tables::{KernelTables, Tables};

/// What the host's network looks like before the pools are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The host's own addresses.
    pub own: Vec<OwnAddress>,
}

/// One of the host's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// Name of the interface it is on.
    pub interface: String,
    /// The address itself.
    pub address: Ipv4Addr,
    /// Length of its connected prefix.
    pub length: u8,
    /// Whether that interface is an uplink or routes for one.
    pub uplink: bool,
}

/// Reads the host's own addresses.
pub async fn environment(uplinks: &[LinkPlan]) -> Result<Environment> {
    let (handle, task) = network::connect()?;
    let topology = network::read(&handle).await;
    task.abort();
    let topology = topology?;
    let routes_for = |link: &LinkPlan| {
        let below = topology.named(&link.interface)?.index;
        topology.sub_interface(below, &link.tags).or(Some(below))
    };
    let uplinks: BTreeSet<u32> = uplinks.iter().filter_map(routes_for).collect();
    let own = topology.addresses.iter().filter_map(|own| {
        Some(OwnAddress {
            interface: topology.interfaces.get(&own.ifindex)?.name.clone(),
            address: own.address,
            length: own.length,
            uplink: uplinks.contains(&own.ifindex),
        })
    });
    Ok(Environment { own: own.collect() })
}

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
    guard::put_up(&fence(plan, &topology, &[], [0; 6]))
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
    written: Tables,
    settings: HostSettings,
    fence: Option<Fence>,
    /// Source MAC of packets handed to the kernel.
    mark: [u8; 6],
    hosts: BTreeSet<(VpcId, Ipv4Addr)>,
    watch: Watch,
    arp: Arp,
    program_log: Option<JoinHandle<()>>,
    tick: Interval,
    problems: Vec<String>,
    told: BTreeSet<Ipv4Addr>,
    /// Attaching starts only when the maps have been reconciled.
    serving: bool,
    pins: Pins,
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
        preflight::check()?;
        std::fs::create_dir_all(&plan.state_dir).with_context(|| format!("creating {}", plan.state_dir.display()))?;
        let watch = network::watch().await?;
        let topology = watch.topology.borrow().clone();
        let pins = Pins::under(&plan.bpf_dir);
        check_links(&plan, &topology, &pins)?;
        let lock = pins.prepare(plan.allow_private_mount)?;
        // What an earlier daemon left attached goes on forwarding meanwhile, and keeps its place behind the fence.
        let attached = pins.links();
        match Self::load(plan.clone(), watch, &topology, pins.clone(), lock) {
            Err(error) if attached.is_empty() => {
                undo(&plan, &pins);
                Err(error)
            }
            result => result,
        }
    }

    fn load(plan: Plan, watch: Watch, topology: &Topology, pins: Pins, lock: Lock) -> Result<DataPlane> {
        let mut program = Program::load(&pins, plan.limits, plan.mode, plan.program_log)?;
        let mut settings = HostSettings::open(&plan.state_dir)?;
        let mut tables = KernelTables::open(&pins)?;
        let mark = tables.set_settings(&plan)?;
        let fence = fence(&plan, topology, &pins.links(), mark);
        // The fence first: from `ip_forward` on, the kernel would carry what the program is not yet there to stop.
        guard::put_up(&fence)?;
        settings.set_global()?;
        let program_log = follow_program_log(&mut program, plan.program_log);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let bindings = Bindings::open(&pins)?;
        Ok(DataPlane {
            program,
            bindings,
            tables,
            written: Tables::default(),
            settings,
            fence: Some(fence),
            mark,
            hosts: BTreeSet::new(),
            watch,
            arp: Arp::start()?,
            program_log,
            tick,
            problems: Vec::new(),
            told: BTreeSet::new(),
            serving: false,
            pins,
            _lock: lock,
            plan,
        })
    }

    /// Makes the bindings equal to `hosts`, touching only what differs.
    pub fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift> {
        let drift = self.bindings.reconcile(hosts)?;
        self.hosts = hosts.iter().map(|host| (host.vpc.clone(), host.private)).collect();
        self.want_next_hops();
        Ok(drift)
    }

    /// Puts the program on every link's interface that exists, and sweeps it off every other. Interfaces that are
    /// missing now are attached when they appear.
    pub async fn attach(&mut self) -> Result<()> {
        self.serving = true;
        let topology = self.watch.topology.borrow_and_update().clone();
        let wanted: BTreeSet<u32> =
            tables::present(&self.plan, &topology).iter().map(|link| link.interface.index).collect();
        for ifindex in self.program.sweep(|ifindex| wanted.contains(&ifindex)) {
            tracing::info!("took the program off interface {ifindex}, which is no longer configured or gone");
        }
        let fresh = self.pins.links().is_empty();
        let result = self.follow(&topology, Fresh::Yes);
        if result.is_err() && fresh {
            self.program.sweep(|_| false);
            undo(&self.plan, &self.pins);
        }
        result?;
        for problem in &self.problems {
            tracing::warn!("{problem}");
        }
        self.watch.refresh().await;
        for link in self.status().links.iter().filter(|link| link.attached) {
            let mode = link.mode.as_deref().unwrap_or("unknown");
            tracing::info!("the kernel says: program {} on {} in {mode} mode", self.program.id(), link.interface);
        }
        Ok(())
    }

    /// Makes one instance what `host` says, in effect on the next packet.
    pub fn set_host(&mut self, host: &Host) -> Result<()> {
        self.bindings.set(host)?;
        if self.hosts.insert((host.vpc.clone(), host.private)) {
            self.want_next_hops();
        }
        Ok(())
    }

    /// Forgets an instance.
    pub fn remove_host(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()> {
        self.bindings.remove(vpc.as_str(), private)?;
        self.hosts.remove(&(vpc.clone(), private));
        self.want_next_hops();
        Ok(())
    }

    /// Tells the uplink's neighbours that an address is here now, where it is on-link.
    pub fn announce(&mut self, public: Ipv4Addr) {
        self.arp.announce(public);
    }

    /// Waits for the next thing to happen to the network or the kernel's side of the gateway, and follows it.
    /// Cancelling it loses nothing: each wait is on state that stays.
    pub async fn turn(&mut self) -> Notice {
        loop {
            let mut fresh = Fresh::No;
            tokio::select! {
                changed = self.watch.topology.changed() => {
                    if changed.is_err() {
                        return Notice::Degraded("the watch on the network has ended; restart the daemon".into());
                    }
                }
                claim = self.arp.claims.recv() => match claim {
                    Some(Claim::Duplicate(address, mac)) => return Notice::Duplicate { address, mac },
                    Some(Claim::Gone(address)) => return Notice::DuplicateGone { address },
                    None => return Notice::Degraded("the watch on ARP has ended; restart the daemon".into()),
                },
                _ = self.tick.tick() => fresh = Fresh::Yes,
            }
            if !self.serving {
                continue;
            }
            let topology = self.watch.topology.borrow_and_update().clone();
            let before = std::mem::take(&mut self.problems);
            if let Err(error) = self.follow(&topology, fresh) {
                self.problems.push(format!("{error:#}"));
            }
            if self.problems != before {
                return match self.problems.first() {
                    Some(_) => Notice::Degraded(self.problems.join("; ")),
                    None => Notice::Recovered,
                };
            }
            if let Some(notice) = self.own_address_in_pool(&topology) {
                return notice;
            }
        }
    }

    /// What `status` shows.
    pub fn status(&self) -> PlaneStatus {
        let topology = self.watch.topology.borrow();
        let links = self.plan.links().map(|link| {
            let interface = topology.named(&link.interface);
            let mode = interface.and_then(|interface| interface.xdp).map(|(_, mode)| mode.name().to_owned());
            LinkStatus {
                interface: link.interface.clone(),
                tags: link.tags.clone(),
                side: if link.vpc.is_some() { "downlink" } else { "uplink" }.to_owned(),
                vpc: link.vpc.as_ref().map(ToString::to_string),
                attached: interface.is_some_and(|interface| self.program.is_attached(interface.index)),
                mode,
                ifindex: interface.map(|interface| interface.index),
                mtu: interface.map(|interface| interface.mtu),
                up: interface.is_some_and(|interface| interface.up),
            }
        });
        let usage = |name: &str, entries: usize, capacity: u32| MapUse {
            name: name.to_owned(),
            entries: entries as u64,
            capacity: capacity.into(),
        };
        PlaneStatus {
            program_id: Some(self.program.id()),
            guard: guard::stands(),
            links: links.collect(),
            maps: vec![
                usage("INBOUND", self.bindings.pairs(), self.plan.limits.pairs),
                usage("OUTBOUND", self.bindings.instances(), self.plan.limits.instances),
            ],
            problems: self.problems.clone(),
        }
    }

    /// Makes tables, guard, host settings and attachments fit the network as it is now.
    fn follow(&mut self, topology: &Topology, fresh: Fresh) -> Result<()> {
        let tables = Tables::compute(&self.plan, topology);
        if tables != self.written {
            self.tables.write(&tables)?;
            self.written = tables;
        }
        self.attach_present(topology)?;
        let attached: Vec<u32> = self.program.attached().collect();
        let fence = fence(&self.plan, topology, &attached, self.mark);
        if self.fence.as_ref() != Some(&fence) || (fresh == Fresh::Yes && !guard::stands()) {
            self.fence = None;
            guard::put_up(&fence)?;
            self.fence = Some(fence);
        }
        self.arp.set_ports(ports(&self.plan, topology));
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
            if self.program.is_attached(interface.index) {
                continue;
            }
            self.settings.set_interface(&interface.name)?;
            if self.plan.mode == Mode::Generic {
                // Aggregated frames are larger than the MTU, so a forwarder would refuse them as too big.
                match sys::set_gro(&interface.name, false) {
                    Ok(true) => tracing::info!("switched off GRO on {}, for generic XDP", interface.name),
                    Ok(false) => {}
                    Err(error) => tracing::warn!("GRO on {} could not be switched off: {error}", interface.name),
                }
            }
            self.program.attach(interface)?;
            tracing::info!("attached to {} (index {})", interface.name, interface.index);
        }
        Ok(())
    }

    /// Asks for every next hop to be kept resolved: gateways of routes over our links, and the instances on them.
    fn want_next_hops(&self) {
        let topology = self.watch.topology.borrow();
        let present = tables::present(&self.plan, &topology);
        let ours: BTreeSet<u32> = present.iter().map(|link| link.routing.index).collect();
        let mut wanted: BTreeSet<_> =
            topology.gateways.iter().copied().filter(|(ifindex, _)| ours.contains(ifindex)).collect();
        for link in &present {
            let Some(vpc) = &link.plan.vpc else { continue };
            for own in topology.addresses.iter().filter(|own| own.ifindex == link.routing.index) {
                let Ok(connected) = Prefix::containing(own.address, own.length) else { continue };
                let first = (vpc.clone(), connected.first());
                let last = (vpc.clone(), connected.last());
                let hosts = self.hosts.range(first..=last).map(|(_, private)| (link.routing.index, *private));
                wanted.extend(hosts);
            }
        }
        self.watch.wanted.send_if_modified(|last| std::mem::replace(last, wanted.clone()) != wanted);
    }

    fn own_address_in_pool(&mut self, topology: &Topology) -> Option<Notice> {
        let inside = topology.addresses.iter().map(|own| own.address);
        let inside = inside.filter(|address| self.plan.pools.iter().any(|pool| pool.contains(*address)));
        let inside: BTreeSet<Ipv4Addr> = inside.collect();
        let new = inside.difference(&self.told).next().copied();
        self.told = inside;
        new.map(|address| Notice::OwnAddressInPool { address })
    }
}

/// Whether to look at the kernel anew for what nobody tells us about. It costs a process, so once a second is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

/// Leaves nothing behind of a first start that failed. What resists is removed by `eipgate detach`.
fn undo(plan: &Plan, pins: &Pins) {
    let settings = HostSettings::open(&plan.state_dir).and_then(HostSettings::restore);
    for result in [settings, guard::take_down(), pins.remove()] {
        if let Err(error) = result {
            tracing::warn!("cleaning up after the failed start: {error:#}");
        }
    }
}

/// Refuses a start that could never serve: no interface of the plan exists, or another program is on one. An interface
/// that comes late is waited for.
fn check_links(plan: &Plan, topology: &Topology, pins: &Pins) -> Result<()> {
    if plan.uplinks.is_empty() || plan.downlinks.is_empty() {
        bail!("a gateway needs at least one uplink and one downlink; give --uplink and --downlink or a configuration");
    }
    if tables::present(plan, topology).is_empty() {
        let names: Vec<_> = plan.links().map(|link| link.interface.clone()).collect();
        bail!("none of the interfaces {} exists; `ip link` lists those that do", names.join(", "));
    }
    // Asked before anything is touched: the guard and the settings of whoever is there are not ours to change.
    let ours = pins.links();
    for link in tables::present(plan, topology) {
        if !ours.contains(&link.interface.index) {
            program::refuse_occupied(link.interface)?;
        }
    }
    Ok(())
}

fn fence(plan: &Plan, topology: &Topology, attached: &[u32], mark: [u8; 6]) -> Fence {
    let mut fence = Fence { pools: plan.pools.clone(), mark, ..Fence::default() };
    fence.outside = plan.martian_exceptions.clone();
    for link in plan.links() {
        let names = match link.vpc {
            None => &mut fence.uplink_names,
            Some(_) => &mut fence.downlink_names,
        };
        if !names.contains(&link.interface) {
            names.push(link.interface.clone());
        }
    }
    for link in tables::present(plan, topology) {
        let (names, indices) = match link.plan.vpc {
            None => (&mut fence.uplink_names, &mut fence.uplinks),
            Some(_) => (&mut fence.downlink_names, &mut fence.downlinks),
        };
        if link.plan.vpc.is_none() {
            let own = topology.addresses.iter().filter(|own| own.ifindex == link.routing.index);
            fence.outside.extend(own.filter_map(|own| Prefix::containing(own.address, own.length).ok()));
        }
        if !names.contains(&link.routing.name) {
            names.push(link.routing.name.clone());
        }
        if attached.contains(&link.interface.index) && !indices.contains(&link.routing.index) {
            indices.push(link.routing.index);
        }
    }
    fence.own = Tables::compute(plan, topology).own_outside();
    fence
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
