//! What is foreseen for a small gateway: two VPCs with one downlink each, one with two, and an uplink.

use std::path::PathBuf;

use nat_common::abi::vpc_number;
use proptest::prelude::*;

use super::super::limits::Limits;
use super::super::network::{Interface, Neighbour};
use super::super::plan::{LinkPlan, Mode, ProgramLog, Tuning};
use super::*;
use crate::address::VpcId;

pub const UPLINK: u32 = 2;
pub const RED: u32 = 3;
const WIDE: [u32; 2] = [4, 5];
pub const UPSTREAM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);

pub fn plan() -> Plan {
    let link = |interface: u32, vpc: Option<&str>| LinkPlan {
        interface: format!("if{interface}"),
        tags: vec![],
        vpc: vpc.map(|name| name.parse::<VpcId>().unwrap()),
    };
    Plan {
        uplinks: vec![link(UPLINK, None)],
        downlinks: vec![link(RED, Some("red")), link(WIDE[0], Some("wide")), link(WIDE[1], Some("wide"))],
        pools: vec![],
        mode: Mode::Native,
        bpf_dir: PathBuf::new(),
        state_dir: PathBuf::new(),
        limits: Limits { pairs: 1, instances: 1, counters: false },
        tuning: Tuning::default(),
        program_log: ProgramLog::Off,
        allow_private_mount: false,
        metadata: false,
    }
}

fn interface(index: u32) -> Interface {
    Interface {
        index,
        name: format!("if{index}"),
        mac: Some([2, 0, 0, 0, 0, index as u8]),
        mtu: 1500,
        up: true,
        carrier: true,
        forwarding: true,
        vlan: None,
        xdp: None,
    }
}

pub fn route(prefix: [u8; 4], length: u8, metric: u32, way: Way) -> Route {
    Route { table: MAIN, address: prefix.into(), length, tos: 0, metric, way }
}

pub fn out(ifindex: u32, gateway: Option<Ipv4Addr>) -> Way {
    Way::Hop { ifindex, gateway }
}

/// The usual routes.
pub fn routes() -> Vec<Route> {
    vec![
        route([0; 4], 0, 0, out(UPLINK, Some(UPSTREAM))),
        route([10, 0, 0, 0], 24, 0, out(RED, None)),
        route([10, 1, 0, 0], 16, 0, out(RED, Some(ROUTER))),
        route([10, 9, 0, 0], 16, 0, out(WIDE[1], None)),
        Route { table: 255, ..route([10, 0, 0, 1], 32, 0, Way::Other("its route leads to the gateway itself")) },
    ]
}

pub fn topology(list: Vec<Route>) -> Topology {
    let neighbour = |ifindex, address| {
        ((ifindex, address), Neighbour { mac: Some([2, 0, 0, 0, 1, ifindex as u8]), failed: false, kept: true })
    };
    Topology {
        interfaces: Arc::new((1..=5).map(|index| (index, interface(index))).collect()),
        routes: Arc::new(Routes { list, gateways: BTreeSet::new() }),
        neighbours: Arc::new([neighbour(UPLINK, UPSTREAM), neighbour(RED, ROUTER)].into()),
        ..Topology::default()
    }
}

fn routing(list: Vec<Route>) -> Routing {
    Routing::new(&plan(), &topology(list), &Routing::default())
}

fn with(more: Route) -> Routing {
    routing(routes().into_iter().chain([more]).collect())
}

pub fn red() -> u32 {
    vpc_number("red")
}

#[test]
fn instances_are_reached_on_the_link_or_by_a_router() {
    let routing = routing(routes());
    let key = |gateway| HopKey { vpc: red(), ifindex: RED, gateway };
    assert_eq!(routing.towards(red(), HOST), Ok(key(HOST)));
    assert_eq!(routing.towards(red(), [10, 1, 7, 7].into()), Ok(key(ROUTER)));
    assert_eq!(routing.towards(red(), [10, 2, 0, 1].into()), Err("no route leads there"), "the default is another's");
    assert_eq!(routing.towards(red(), [10, 0, 0, 1].into()), Err("a route outside the table main leads there"));
    let wide = vpc_number("wide");
    let there = Ipv4Addr::new(10, 9, 0, 1);
    assert_eq!(routing.towards(wide, there), Ok(HopKey { vpc: wide, ifindex: WIDE[1], gateway: there }));
    assert_eq!(routing.towards(wide, HOST), Err("its route leads out of another link"));
    assert!(routing.towards(7, HOST).is_err());
}

#[test]
fn a_frame_is_as_the_kernel_would_make_it() {
    let routing = routing(routes());
    let key = routing.internet().unwrap();
    let hop = routing.hop(&key).unwrap();
    assert_eq!((hop.state, hop.vpc, hop.ifindex, hop.mtu), (HOP_READY, 0, UPLINK, 1500));
    assert_eq!(hop.macs, [2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 2]);
    let key = routing.towards(red(), HOST).unwrap();
    assert_eq!(routing.hop(&key), Err("its MAC address is not known"));
}

#[test]
fn what_is_not_modelled_is_asked_for() {
    let default = |metric, way| route([0; 4], 0, metric, way);
    assert!(with(default(0, out(UPLINK, Some(ROUTER)))).internet().is_err(), "two equal ones");
    assert!(with(default(5, out(UPLINK, Some(ROUTER)))).internet().is_ok(), "a worse one");
    assert!(with(Route { tos: 16, ..default(5, out(UPLINK, Some(ROUTER))) }).internet().is_err());
    assert!(with(Route { table: 253, ..default(5, out(UPLINK, Some(ROUTER))) }).internet().is_err());
    for way in [Way::Other("several"), out(UPLINK, None), out(WIDE[0], Some(ROUTER))] {
        let mut list = routes();
        list[0].way = way;
        assert!(routing(list).internet().is_err(), "{way:?}");
    }
    // Another route to a part of the link's network, by the same interface or not, or to nowhere.
    let part = |way| with(route([10, 0, 0, 8], 29, 0, way)).towards(red(), HOST);
    let on_link = routing(routes()).towards(red(), HOST);
    assert_eq!(part(out(UPLINK, Some(UPSTREAM))), on_link, "constrained to its own link");
    assert_eq!(part(Way::Dead), on_link);
    assert_eq!(part(Way::Other("black hole")), Err("black hole"), "whatever the interface");
    assert_ne!(part(out(RED, Some(ROUTER))), on_link);
}

#[test]
fn everything_that_a_frame_needs_is_needed() {
    let key = routing(routes()).internet().unwrap();
    let broken = |break_it: &dyn Fn(&mut Topology)| {
        let mut topology = topology(routes());
        break_it(&mut topology);
        Routing::new(&plan(), &topology, &Routing::default()).hop(&key)
    };
    let interface = |change: fn(&mut Interface)| {
        broken(&|topology| change(Arc::make_mut(&mut topology.interfaces).get_mut(&UPLINK).unwrap()))
    };
    assert!(broken(&|_| {}).is_ok());
    assert!(interface(|it| it.up = false).is_err());
    assert!(interface(|it| it.carrier = false).is_err());
    assert!(interface(|it| it.mac = None).is_err());
    assert!(interface(|it| it.forwarding = false).is_ok(), "the ingress is asked, and has a flag of its own");
    assert!(broken(&|topology| topology.policy = Policy::Rules).is_err());
    assert!(broken(&|topology| topology.policy = Policy::PathMtu).is_err());
    assert!(broken(&|topology| Arc::make_mut(&mut topology.neighbours).clear()).is_err());
}

fn any_route() -> impl Strategy<Value = Route> {
    let way = prop_oneof![
        6 => (2u32..6, proptest::option::of(0u8..4))
            .prop_map(|(ifindex, host)| out(ifindex, host.map(|host| Ipv4Addr::new(10, 0, 0, host)))),
        1 => Just(Way::Dead),
        1 => Just(Way::Other("other")),
    ];
    let table = prop_oneof![9 => Just(MAIN), 1 => Just(255u32)];
    (table, 0u8..4, prop_oneof![Just(0u8), Just(8), Just(24), Just(29), Just(32)], 0u32..3, way).prop_map(
        |(table, host, length, metric, way)| {
            let address = Ipv4Addr::from(masked(Ipv4Addr::new(10, 0, 0, 8 * host), length));
            Route { table, address, length, tos: 0, metric, way }
        },
    )
}

proptest! {
    /// Whoever is led elsewhere by a change of routes is among those that may have moved.
    #[test]
    fn nobody_moves_unnoticed(
        before in proptest::collection::vec(any_route(), 0..12),
        gone in any::<prop::sample::Index>(),
        new in any_route(),
    ) {
        let mut after = before.clone();
        if !after.is_empty() {
            after.remove(gone.index(after.len()));
        }
        after.push(new);
        let then = routing(before);
        let now = Routing::new(&plan(), &topology(after), &then);
        let moved = now.moved(&then);
        for vpc in [red(), vpc_number("wide")] {
            for host in 0..40 {
                let private = Ipv4Addr::new(10, 0, 0, host);
                if now.towards(vpc, private) != then.towards(vpc, private) {
                    prop_assert!(moved.has(vpc, private), "{private}: {moved:?}");
                }
            }
        }
    }

    /// A default next hop is only for destinations without a mark.
    #[test]
    fn what_has_no_mark_goes_the_default_way(list in proptest::collection::vec(any_route(), 0..12)) {
        let routing = routing(list.clone());
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
        let marked = routing.marked().any(|(address, length)| masked(elsewhere, length) == u32::from(address));
        if let (Ok(key), false) = (routing.internet(), marked) {
            let best = list.iter().filter(|route| route.length == 0 && matches!(route.way, Way::Hop { .. }));
            let best = best.min_by_key(|route| route.metric).unwrap();
            prop_assert_eq!(best.way, out(key.ifindex, Some(key.gateway)));
        }
    }
}
