//! The standard world: a gateway with links of every kind, and routes of every kind to choose among.
//!
//! How a route goes depends on the last byte of where it leads, modulo 16: see `fate`.

use std::net::Ipv4Addr;

use crate::frames::Mac;
use crate::reference::{Device, Entry, Link, Neighbour, Pair, Side, Way, World};

/// Uplink, untagged, with the on-link pool.
pub const UPLINK: u32 = 2;
/// Uplink on VLAN 300, with a sub-interface.
pub const TAGGED_UPLINK: u32 = 3;
/// Uplink on VLAN 500 that the kernel does not know of.
pub const HIDDEN_UPLINK: u32 = 4;
/// Downlinks: VPC 1 untagged, VPC 2 on VLAN 100 and VPC 3 on 200.300 that the kernel does not know of.
pub const DOWNLINK: u32 = 5;
/// Downlinks: VPC 1 untagged, VPC 4 on VLAN 7 and VPC 3's second on 8.9, both with sub-interfaces.
pub const SECOND_DOWNLINK: u32 = 6;
/// No link of the gateway's.
pub const FOREIGN: u32 = 7;

const TAGGED_UPLINK_VLAN: u32 = 13;
const SECOND_DOWNLINK_VLAN: u32 = 16;
const SECOND_DOWNLINK_QINQ: u32 = 26;

/// Reached by instances of VPCs 1 and 3.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 23);
/// MTU of the second downlink and of the tagged uplink; all others have 1500.
pub const SMALL_MTU: u32 = 1400;

const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const TAGGED_ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const HIDDEN_ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 129);
const SILENT_ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const DEAD_ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);

/// What becomes of packets to an address with a last byte of this remainder modulo 16.
fn fate(last: u8) -> Fate {
    let plain = Fate { other: None, mtu: None, neighbour: Neighbour::At([2, 0xbb, 0, 0, 0, last]) };
    let other = |way| Fate { other: Some(way), ..plain };
    let mtu = |mtu| Fate { mtu: Some(mtu), ..plain };
    let neighbour = |neighbour| Fate { neighbour, ..plain };
    match last % 16 {
        0 => other(Way::Throw),
        1 => other(Way::Unreachable),
        2 => other(Way::Blackhole),
        3 => other(Way::Prohibit),
        4 => other(Way::Tunnel { device: UPLINK }),
        5 => neighbour(Neighbour::Unresolved),
        6 => other(Way::On { device: FOREIGN }),
        7 => mtu(SMALL_MTU),
        8 => other(Way::Broadcast { device: UPLINK }),
        9 => mtu(576),
        10 => Fate { mtu: Some(576), ..neighbour(Neighbour::Unresolved) },
        11 => other(Way::Local),
        12 => mtu(68),
        13 => neighbour(Neighbour::Dead),
        14 => Fate { mtu: Some(576), ..neighbour(Neighbour::Dead) },
        _ => plain,
    }
}

#[derive(Clone, Copy)]
struct Fate {
    /// A way of its own, whatever the way around it.
    other: Option<Way>,
    mtu: Option<u32>,
    neighbour: Neighbour,
}

/// The standard world. An address with a last byte of 15 modulo 16 is plain: a resolved neighbour and nothing special.
pub fn standard_world() -> World {
    let mut world = World {
        links: links(),
        devices: devices(),
        pools: vec![
            (Ipv4Addr::new(198, 51, 100, 128), 25),
            (Ipv4Addr::new(192, 0, 2, 0), 24),
            (Ipv4Addr::new(100, 64, 8, 0), 27),
        ],
        pairs: (0..128).map(pair).collect(),
        private_only: (0..64)
            .map(|index| match (u32::from(index % 4) + 1, 200 + index / 4) {
                (vpc @ 3, host) => (vpc, Ipv4Addr::new(192, 168, 3, host)),
                (vpc, host) => (vpc, Ipv4Addr::new(10, 1, 0, host)),
            })
            .collect(),
        own: vec![
            (Ipv4Addr::new(198, 51, 100, 2), None),
            (Ipv4Addr::new(203, 0, 113, 2), None),
            // In the on-link pool's range.
            (Ipv4Addr::new(198, 51, 100, 129), None),
            (Ipv4Addr::new(10, 1, 0, 1), Some(1)),
            (Ipv4Addr::new(10, 1, 0, 1), Some(4)),
            (Ipv4Addr::new(192, 168, 3, 1), Some(3)),
            // No private range, and yet for one VPC only.
            (Ipv4Addr::new(11, 1, 1, 1), Some(3)),
            // Where instances ask about themselves.
            (METADATA, Some(1)),
            (METADATA, Some(3)),
        ],
        instances_only: vec![METADATA],
        martian_exceptions: vec![(Ipv4Addr::new(10, 255, 0, 0), 16), (Ipv4Addr::new(127, 9, 0, 0), 16)],
        remotes: (9..12).flat_map(|third| (0..32).map(move |last| Ipv4Addr::new(9, 9, third, last))).collect(),
        ..World::default()
    };
    routes(&mut world);
    world.index()
}

/// The binding of this index, 0 to 127: VPCs 1 to 4 in turn, hosts 16 to 47 of each.
fn pair(index: u8) -> Pair {
    let (vpc, host) = (u32::from(index % 4) + 1, 16 + index / 4);
    let second_half = host / 32;
    let private = match vpc {
        1 => [10, 1, second_half, host],
        2 => [10, 2, 0, host],
        3 => [192, 168, 3 + second_half, host],
        _ => [10, 1 + 3 * second_half, 0, host],
    };
    let public = match index % 8 {
        7 => [100, 64, 8, index / 8],
        odd if odd % 2 == 1 => [198, 51, 100, 130 + index / 2],
        _ => [192, 0, 2, 16 + index],
    };
    Pair { public: public.into(), vpc, private: private.into() }
}

fn links() -> Vec<Link> {
    let link = |ifindex, tags: &[u16], device, side, address: [u8; 4], connected: &[([u8; 4], u8)]| Link {
        ifindex,
        tags: tags.to_vec(),
        device,
        mac: mac(ifindex),
        address: Some(Ipv4Addr::from(address)).filter(|address| !address.is_unspecified()),
        side,
        connected: connected.iter().map(|(prefix, length)| (Ipv4Addr::from(*prefix), *length)).collect(),
    };
    let vpc = |vpc| Side::Downlink { vpc };
    let shared = ([10, 1, 0, 0], 24);
    vec![
        link(UPLINK, &[], UPLINK, Side::Uplink, [198, 51, 100, 2], &[([198, 51, 100, 0], 24)]),
        link(TAGGED_UPLINK, &[300], TAGGED_UPLINK_VLAN, Side::Uplink, [203, 0, 113, 2], &[([203, 0, 113, 0], 25)]),
        link(HIDDEN_UPLINK, &[500], HIDDEN_UPLINK, Side::Uplink, [0; 4], &[]),
        link(DOWNLINK, &[], DOWNLINK, vpc(1), [10, 1, 0, 1], &[shared]),
        link(DOWNLINK, &[100], DOWNLINK, vpc(2), [0; 4], &[([10, 2, 0, 0], 24)]),
        link(DOWNLINK, &[200, 300], DOWNLINK, vpc(3), [192, 168, 3, 1], &[([192, 168, 3, 0], 24)]),
        link(SECOND_DOWNLINK, &[], SECOND_DOWNLINK, vpc(1), [10, 1, 1, 1], &[([10, 1, 1, 0], 24)]),
        link(SECOND_DOWNLINK, &[7], SECOND_DOWNLINK_VLAN, vpc(4), [10, 1, 0, 1], &[shared, ([10, 4, 0, 0], 24)]),
        link(SECOND_DOWNLINK, &[8, 9], SECOND_DOWNLINK_QINQ, vpc(3), [192, 168, 4, 1], &[([192, 168, 4, 0], 24)]),
    ]
}

fn mac(ifindex: u32) -> Mac {
    [2, 0xe1, 0, 0, 0, ifindex as u8]
}

fn devices() -> Vec<Device> {
    let device = |index, of, mtu| Device { index, mac: mac(of), mtu };
    vec![
        device(UPLINK, UPLINK, 1500),
        device(TAGGED_UPLINK, TAGGED_UPLINK, 1500),
        device(TAGGED_UPLINK_VLAN, TAGGED_UPLINK, SMALL_MTU),
        device(HIDDEN_UPLINK, HIDDEN_UPLINK, 1500),
        device(DOWNLINK, DOWNLINK, 1500),
        device(SECOND_DOWNLINK, SECOND_DOWNLINK, SMALL_MTU),
        device(SECOND_DOWNLINK_VLAN, SECOND_DOWNLINK, 1500),
        device(SECOND_DOWNLINK_QINQ, SECOND_DOWNLINK, 1500),
        device(FOREIGN, FOREIGN, 1500),
    ]
}

/// Routes and neighbours: the default, the connected prefixes, and an entry of its own for every host whose fate
/// differs from theirs.
fn routes(world: &mut World) {
    let entry = |prefix, way| Entry { prefix, way, mtu: None };
    let via = |device, gateway| Way::Via { device, gateway };
    world.entries.push(entry((Ipv4Addr::UNSPECIFIED, 0), via(UPLINK, ROUTER)));
    for (device, router) in [(UPLINK, ROUTER), (TAGGED_UPLINK_VLAN, TAGGED_ROUTER), (HIDDEN_UPLINK, HIDDEN_ROUTER)] {
        world.neighbours.push((device, router, Neighbour::At([2, 0xcc, 0, 0, 0, device as u8])));
    }
    world.neighbours.push((UPLINK, DEAD_ROUTER, Neighbour::Dead));
    for remote in &world.remotes {
        let [_, _, third, last] = remote.octets();
        let fate = fate(last);
        let way = fate.other.unwrap_or(match (third, fate.neighbour) {
            (_, Neighbour::Unresolved) => via(UPLINK, SILENT_ROUTER),
            (_, Neighbour::Dead) => via(UPLINK, DEAD_ROUTER),
            (9, _) => via(UPLINK, ROUTER),
            (10, _) => via(TAGGED_UPLINK_VLAN, TAGGED_ROUTER),
            _ => via(HIDDEN_UPLINK, HIDDEN_ROUTER),
        });
        // Where the hidden uplink's neighbours are unresolved, what the kernel does would miss the VLAN.
        let way =
            if third == 11 && way == via(UPLINK, SILENT_ROUTER) { via(HIDDEN_UPLINK, SILENT_ROUTER) } else { way };
        let mtu = fate.mtu.filter(|_| fate.other.is_none());
        world.entries.push(Entry { prefix: (*remote, 32), way, mtu });
    }
    for (own, _) in &world.own {
        if !world.entries.iter().any(|entry| entry.prefix == (*own, 32)) {
            world.entries.push(entry((*own, 32), Way::Local));
        }
    }
    for link in world.links.iter().filter(|link| link.side != Side::Uplink) {
        for prefix in &link.connected {
            world.entries.push(entry(*prefix, Way::On { device: link.device }));
        }
    }
    for pair in &world.pairs {
        let links = world.links.iter().filter(|link| link.side == Side::Downlink { vpc: pair.vpc });
        let near = |link: &&Link| crate::reference::within(pair.private, &link.connected);
        let device = links.into_iter().find(near).expect("every instance is on a link").device;
        let fate = fate(pair.private.octets()[3]);
        world.neighbours.push((device, pair.private, fate.neighbour));
        // VPC 4 shares addresses with VPC 1, whose routes these would be too.
        if pair.vpc != 4 && (fate.other.is_some() || fate.mtu.is_some()) {
            let way = fate.other.unwrap_or(Way::On { device });
            world.entries.push(Entry { prefix: (pair.private, 32), way, mtu: fate.mtu });
        }
    }
}
