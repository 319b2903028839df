//! IPv4 routes of the tables that every packet is looked up in: local, main, default.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::NextHop;

/// Number of the table `local`.
const LOCAL: u32 = 255;
/// Number of the table `main`.
pub const MAIN: u32 = 254;
/// Number of the table `default`.
const DEFAULT: u32 = 253;

/// The routes, and whom they lead by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// In the kernel's order, where those to one prefix come as it tries them.
    pub list: Vec<Route>,
    /// Gateways of all of them, those with several next hops too.
    pub gateways: BTreeSet<NextHop>,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Number of the table it stands in.
    pub table: u32,
    /// Where it leads: network address ...
    pub address: Ipv4Addr,
    /// ... and length of the prefix.
    pub length: u8,
    /// The only TOS it is for, 0 for any.
    pub tos: u8,
    /// Metric; the least is taken.
    pub metric: u32,
    /// How.
    pub way: Way,
}

/// What a route says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Out of an interface, to a gateway or to the destination itself.
    Hop {
        /// Index of the interface.
        ifindex: u32,
        /// The gateway.
        gateway: Option<Ipv4Addr>,
    },
    /// Nowhere at present: the kernel goes on as if it were not there.
    Dead,
    /// To nobody, or by ways that only the kernel follows; the words say what.
    Other(&'static str),
}

/// Reads all of them.
pub async fn read(handle: &Handle) -> Result<Routes> {
    let mut routes = Routes::default();
    let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let mut messages = handle.route().get(query).execute();
    while let Some(message) = messages.try_next().await.context("listing the host's routes")? {
        if message.header.address_family != AddressFamily::Inet {
            continue;
        }
        collect_gateways(&message, &mut routes.gateways);
        routes.list.extend(route(&message));
    }
    Ok(routes)
}

/// `None` for what is no route but something the kernel has learned beside one, and for tables nobody asks.
fn route(message: &RouteMessage) -> Option<Route> {
    let RouteHeader { destination_prefix_length: length, tos, flags, .. } = message.header;
    let mut route = Route {
        table: message.header.table.into(),
        address: Ipv4Addr::UNSPECIFIED,
        length,
        tos,
        metric: 0,
        way: Way::Dead,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => route.address = *address,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            _ => {}
        }
    }
    if flags.contains(RouteFlags::Cloned) || ![LOCAL, MAIN, DEFAULT].contains(&route.table) {
        return None;
    }
    route.way = way(message);
    Some(route)
}

fn way(message: &RouteMessage) -> Way {
    let flags = message.header.flags;
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::BlackHole => return Way::Other("its route is a black hole"),
        RouteType::Unreachable => return Way::Other("its route says unreachable"),
        RouteType::Prohibit => return Way::Other("its route says prohibited"),
        RouteType::Throw => return Way::Other("its route ends the search in its table"),
        _ => return Way::Other("its route leads to the gateway itself"),
    }
    let (mut oif, mut gateway) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => oif = Some(*ifindex),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => {
                return Way::Other("its route has a gateway that is no IPv4 address");
            }
            RouteAttribute::MultiPath(_) => return Way::Other("its route has several next hops"),
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => return Way::Other("its route is a tunnel"),
            RouteAttribute::Metrics(metrics) if metrics.iter().any(limits_mtu) => {
                return Way::Other("its route has an MTU of its own");
            }
            _ => {}
        }
    }
    if flags.contains(RouteFlags::Dead) {
        return Way::Dead;
    }
    if flags.contains(RouteFlags::Linkdown) {
        // Whether the kernel still takes it is a setting of the interface.
        return Way::Other("its route's interface has no carrier");
    }
    match oif {
        Some(ifindex) => Way::Hop { ifindex, gateway },
        None => Way::Other("its route names no interface"),
    }
}

fn limits_mtu(metric: &RouteMetric) -> bool {
    matches!(metric, RouteMetric::Mtu(_) | RouteMetric::Lock(_))
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
