//! The host's network as netlink tells it: interfaces, addresses, next hops and neighbours, kept current by a task.
//!
//! Notices are hints and a dump is the truth: after any notice, and once after subscribing, everything is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

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
    /// The interface below and the VLAN id, for a VLAN sub-interface.
    pub vlan: Option<(u32, u16)>,
    /// The XDP program on it: its id and mode.
    pub xdp: Option<(u32, AttachMode)>,
}

/// An IPv4 address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// Interface it is on.
    pub ifindex: u32,
    /// The address itself.
    pub address: Ipv4Addr,
    /// Length of its connected prefix.
    pub length: u8,
}

/// A next hop: where, and which address to resolve there.
pub type NextHop = (u32, Ipv4Addr);

/// Everything the data plane follows, as of one dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Interfaces by index.
    pub interfaces: BTreeMap<u32, Interface>,
    /// The host's own addresses.
    pub addresses: Vec<OwnAddress>,
    /// Gateways of IPv4 routes.
    pub gateways: BTreeSet<NextHop>,
    /// Neighbours that do not answer.
    pub failed: BTreeSet<NextHop>,
}

impl Topology {
    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.values().find(|interface| interface.name == name)
    }

    /// The VLAN sub-interface for `tags`, outermost first, above an interface; itself for no tags.
    pub fn sub_interface(&self, below: u32, tags: &[u16]) -> Option<u32> {
        let Some((tag, rest)) = tags.split_first() else { return Some(below) };
        let above = self.interfaces.values().find(|interface| interface.vlan == Some((below, *tag)))?;
        self.sub_interface(above.index, rest)
    }
}

/// Reads everything once.
pub async fn read(handle: &Handle) -> Result<Topology> {
    let mut topology = Topology::default();
    let mut links = handle.link().get().execute();
    while let Some(message) = links.try_next().await.context("listing the host's interfaces")? {
        let interface = interface(message);
        topology.interfaces.insert(interface.index, interface);
    }
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses.try_next().await.context("listing the host's addresses")? {
        // `Local` is the host's own; on a point-to-point link `Address` is the peer's.
        let own = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        if let Some(address) = own {
            let (ifindex, length) = (message.header.index, message.header.prefix_len);
            topology.addresses.push(OwnAddress { ifindex, address, length });
        }
    }
    let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let mut routes = handle.route().get(query).execute();
    while let Some(message) = routes.try_next().await.context("listing the host's routes")? {
        collect_gateways(&message, &mut topology.gateways);
    }
    let mut neighbours = handle.neighbours().get().set_address_family(AddressFamily::Inet).execute();
    while let Some(message) = neighbours.try_next().await.context("listing the host's neighbours")? {
        if message.header.state != NeighbourState::Failed {
            continue;
        }
        for attribute in &message.attributes {
            if let NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) = attribute {
                topology.failed.insert((message.header.ifindex, *address));
            }
        }
    }
    Ok(topology)
}

fn interface(message: LinkMessage) -> Interface {
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
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

fn collect_gateways(route: &RouteMessage, gateways: &mut BTreeSet<NextHop>) {
    let gateway = |attributes: &[RouteAttribute]| {
        attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
    };
    let oif = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    gateways.extend(oif.zip(gateway(&route.attributes)));
    for attribute in &route.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            let hops = hops.iter().filter_map(|hop| Some((hop.interface_index, gateway(&hop.attributes)?)));
            gateways.extend(hops);
        }
    }
}

/// Follows the network. Dropped, it stops.
pub struct Watch {
    /// The latest topology.
    pub topology: watch::Receiver<Topology>,
    /// Next hops the kernel is asked to keep resolved.
    pub wanted: watch::Sender<BTreeSet<NextHop>>,
    again: Arc<Notify>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Watch {
    /// Has everything read again and waits until that is done, or for a second. Putting a program on an interface is
    /// told to nobody, so whoever did it asks.
    pub async fn refresh(&mut self) {
        self.again.notify_one();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.topology.changed()).await;
    }
}

/// A connection for questions; its task ends with the handle.
pub fn connect() -> Result<(Handle, JoinHandle<()>)> {
    let (connection, handle, _) = rtnetlink::new_connection().context("opening a netlink socket")?;
    Ok((handle, tokio::spawn(connection)))
}

/// Starts to follow the network, beginning with what is there now.
pub async fn watch() -> Result<Watch> {
    let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv4Route, MulticastGroup::Neigh];
    // Two sockets: what a socket changes itself is not told to it.
    let (connection, _, mut notices) =
        rtnetlink::new_multicast_connection(&groups).context("subscribing to netlink notices")?;
    let listener = tokio::spawn(connection);
    let (handle, questions) = connect()?;
    let (publish, topology) = watch::channel(read(&handle).await?);
    let (wanted, mut wishes) = watch::channel(BTreeSet::new());
    let again = Arc::new(Notify::new());
    let asked = again.clone();
    let follower = tokio::spawn(async move {
        // Now and then without a notice too: the kernel tells nobody of an XDP program that comes or goes, and a
        // notice may be lost when the socket overruns.
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let stale = tokio::select! {
                notice = notices.next() => if notice.is_some() { true } else { return },
                changed = wishes.changed() => if changed.is_ok() { false } else { return },
                () = asked.notified() => true,
                _ = tick.tick() => true,
            };
            // A burst of notices asks for one dump, not for one each.
            while futures_util::FutureExt::now_or_never(notices.next()).flatten().is_some() {}
            if stale {
                match read(&handle).await {
                    Ok(now) => {
                        publish.send_if_modified(|last| std::mem::replace(last, now.clone()) != now);
                    }
                    Err(error) => tracing::warn!("the network could not be read, will try again: {error:#}"),
                }
            }
            let wishes = wishes.borrow_and_update().clone();
            resolve(&handle, &wishes).await;
        }
    });
    Ok(Watch { topology, wanted, again, tasks: vec![listener, questions, follower] })
}

/// Makes every wanted next hop a managed neighbour: the kernel resolves it ahead of traffic and keeps it resolved,
/// which packets that XDP forwards would not do.
async fn resolve(handle: &Handle, wanted: &BTreeSet<NextHop>) {
    let managed = managed(handle).await;
    for (ifindex, address) in wanted.difference(&managed) {
        let mut request = handle.neighbours().add(*ifindex, IpAddr::V4(*address)).state(NeighbourState::None).replace();
        request.message_mut().attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        if let Err(error) = request.execute().await {
            tracing::debug!("next hop {address} on interface {ifindex} cannot be kept resolved: {error}");
        }
    }
}

async fn managed(handle: &Handle) -> BTreeSet<NextHop> {
    let mut managed = BTreeSet::new();
    let mut neighbours = handle.neighbours().get().set_address_family(AddressFamily::Inet).execute();
    while let Ok(Some(message)) = neighbours.try_next().await {
        let permanent = message.header.state == NeighbourState::Permanent;
        let kept = message.attributes.iter().any(
            |attribute| matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed)),
        );
        for attribute in &message.attributes {
            if let NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) = attribute
                && (permanent || kept)
            {
                managed.insert((message.header.ifindex, *address));
            }
        }
    }
    managed
}
