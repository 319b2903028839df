//! The data plane as `status` shows it.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{DataPlane, guard};

/// One link in `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Name of the interface.
    pub interface: String,
    /// VLAN ids, outermost first.
    pub tags: Vec<u16>,
    /// `uplink` or `downlink`.
    pub side: String,
    /// The VPC of a downlink.
    pub vpc: Option<String>,
    /// Whether the program is on it.
    pub attached: bool,
    /// How, read back from the kernel: native, generic, hardware or multiple.
    pub mode: Option<String>,
    /// Index of the interface, where it exists.
    pub ifindex: Option<u32>,
    /// MTU in bytes, where it exists.
    pub mtu: Option<u32>,
    /// Whether the interface is up.
    pub up: bool,
}

/// How full a map is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapUse {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Most it can hold.
    pub capacity: u64,
}

/// The next hops that packets use without asking the kernel about each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopStatus {
    /// Used without asking.
    pub ready: u64,
    /// Where the kernel is asked about each packet.
    pub asked: u64,
    /// The first of those, and why.
    pub not_ready: Vec<NotReady>,
    /// Instances with a public address that have no next hop of their own to be ready.
    pub instances_without: u64,
    /// Why one of them has none.
    pub instances_reason: Option<String>,
}

/// A next hop that is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReady {
    /// Whether it is that of the default route.
    pub internet: bool,
    /// Interface it leaves by, as the kernel's routes name it, where that is known.
    pub interface: Option<String>,
    /// Address of the gateway, or of the instance itself, where that is known.
    pub address: Option<Ipv4Addr>,
    /// Why the kernel is asked.
    pub reason: String,
}

/// The data plane in `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneStatus {
    /// Id of the program in the kernel.
    pub program_id: Option<u32>,
    /// Whether the guard stands.
    pub guard: bool,
    /// Every configured link.
    pub links: Vec<LinkStatus>,
    /// The maps that can run full.
    pub maps: Vec<MapUse>,
    /// The next hops.
    pub next_hops: HopStatus,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}

impl DataPlane {
    /// What `status` shows.
    pub fn status(&self) -> PlaneStatus {
        PlaneStatus { guard: guard::stands() == Ok(true), ..self.glance() }
    }

    /// What is known without asking the kernel. The guard is looked after once a second, and is not known to stand where
    /// it could not be put up.
    pub fn glance(&self) -> PlaneStatus {
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
        let earlier = self.earlier.as_ref().and_then(|earlier| {
            let entries = earlier.entries().ok()?;
            Some(usage(&format!("layout {}", earlier.version()), entries, self.plan.limits.pairs))
        });
        let maps = [
            usage("inbound", self.bindings.pairs(), self.plan.limits.pairs),
            usage("outbound", self.bindings.instances(), self.plan.limits.instances),
        ];
        PlaneStatus {
            program_id: Some(self.program.id()),
            guard: self.guard.is_some(),
            links: links.collect(),
            maps: maps.into_iter().chain(earlier).collect(),
            next_hops: self.bindings.hops().status(),
            problems: self.problems.clone(),
        }
    }
}
