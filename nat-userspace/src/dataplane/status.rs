//! The data plane as `status` shows it.

use serde::{Deserialize, Serialize};

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
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}
