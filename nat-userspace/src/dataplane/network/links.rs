//! Network interfaces.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecUnspec, InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp,
    XdpAttached,
};
use rtnetlink::Handle;

/// How the kernel says a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the stack, on a socket buffer.
    Generic,
    /// In the network card.
    Hardware,
    /// Several at once.
    Multiple,
}

impl AttachMode {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            AttachMode::Native => "native",
            AttachMode::Generic => "generic",
            AttachMode::Hardware => "hardware",
            AttachMode::Multiple => "multiple",
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index, unique for its lifetime and never reused.
    pub index: u32,
    /// Its name at present.
    pub name: String,
    /// Its MAC address; `None` where it has none of six bytes.
    pub mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether its wire is connected, as far as the driver can tell.
    pub carrier: bool,
    /// Whether the kernel forwards IPv4 packets that arrive by it.
    pub forwarding: bool,
    /// The interface below and the VLAN id, for a VLAN sub-interface.
    pub vlan: Option<(u32, u16)>,
    /// The XDP program on it: its id and mode.
    pub xdp: Option<(u32, AttachMode)>,
}

/// Reads all of them, by index.
pub async fn read(handle: &Handle) -> Result<BTreeMap<u32, Interface>> {
    let mut interfaces = BTreeMap::new();
    let mut links = handle.link().get().execute();
    while let Some(message) = links.try_next().await.context("listing the host's interfaces")? {
        let interface = interface(message);
        interfaces.insert(interface.index, interface);
    }
    Ok(interfaces)
}

fn interface(message: LinkMessage) -> Interface {
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        forwarding: false,
        vlan: None,
        xdp: None,
    };
    let (mut below, mut vlan) = (None, None);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name = name,
            LinkAttribute::Address(mac) => interface.mac = mac.try_into().ok(),
            LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
            LinkAttribute::Link(index) => below = Some(index),
            LinkAttribute::LinkInfo(infos) => vlan = vlan_id(&infos),
            LinkAttribute::AfSpecUnspec(families) => interface.forwarding = forwards(&families),
            LinkAttribute::Xdp(xdp) => interface.xdp = attached(&xdp),
            _ => {}
        }
    }
    interface.vlan = below.zip(vlan);
    interface
}

fn vlan_id(infos: &[LinkInfo]) -> Option<u16> {
    if !infos.contains(&LinkInfo::Kind(InfoKind::Vlan)) {
        return None;
    }
    infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(data)) => data.iter().find_map(|item| match item {
            InfoVlan::Id(id) => Some(*id),
            _ => None,
        }),
        _ => None,
    })
}

fn attached(xdp: &[LinkXdp]) -> Option<(u32, AttachMode)> {
    let mode = xdp.iter().find_map(|item| match item {
        LinkXdp::Attached(XdpAttached::Driver) => Some(AttachMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(AttachMode::Generic),
        LinkXdp::Attached(XdpAttached::Hardware) => Some(AttachMode::Hardware),
        LinkXdp::Attached(XdpAttached::Multiple) => Some(AttachMode::Multiple),
        _ => None,
    })?;
    let id = xdp.iter().find_map(|item| match item {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    });
    Some((id.unwrap_or(0), mode))
}

fn forwards(families: &[AfSpecUnspec]) -> bool {
    families.iter().any(|family| match family {
        AfSpecUnspec::Inet(inet) => {
            inet.iter().any(|item| matches!(item, AfSpecInet::DevConf(settings) if settings.forwarding != 0))
        }
        _ => false,
    })
}
