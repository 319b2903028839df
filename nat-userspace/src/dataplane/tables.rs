//! The small tables of the program — links, egress, VPCs, prefixes, own addresses — computed from plan and network,
//! and written where they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, MapData};
use nat_common::abi::{
    ConnectedKey, Egress, EgressKey, LINK_USES_HOPS, Link, LinkKey, NextHopKey, PREFIX_INSTANCES_ONLY,
    PREFIX_MARTIAN_EXCEPTION, PREFIX_OWN, PREFIX_POOL, PrivateAddr, PrivateKey, SIDE_DOWNLINK, SIDE_UPLINK, Settings,
    Vpc, vpc_number,
};

use super::link_local;
use super::link_slots::LinkSlots;
use super::marks::{KernelMarks, Marks};
use super::network::{Interface, NextHop, Topology};
use super::pins::Pins;
use super::plan::{LinkPlan, Plan};
use super::routing::Routing;
use super::sys;

/// The tables as they should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    links: BTreeMap<LinkKey, Link>,
    egress: BTreeMap<EgressKey, Egress>,
    vpcs: BTreeMap<u32, Vpc>,
    prefixes: BTreeMap<(u8, [u8; 4]), u32>,
    own: BTreeMap<PrivateKey, u32>,
    connected: BTreeMap<(u8, [u8; 4], u32), u32>,
    unreachable: BTreeSet<NextHop>,
    marks: Marks,
}

/// A planned link that exists at present.
pub struct Present<'a> {
    /// The plan's link.
    pub plan: &'a LinkPlan,
    /// The interface the program is on.
    pub interface: &'a Interface,
    /// The interface whose routing applies: the VLAN sub-interface where there is one.
    pub routing: &'a Interface,
}

impl Present<'_> {
    /// Number of a downlink's VPC, 0 for an uplink.
    pub fn vpc(&self) -> u32 {
        self.plan.vpc.as_ref().map_or(0, |vpc| vpc_number(vpc.as_str()))
    }

    /// How a frame leaves by this link, under what the FIB and the binding call it.
    pub fn egress(&self) -> (EgressKey, Egress) {
        let (outer, inner) = tags(self.plan);
        let key = EgressKey { fib_ifindex: self.routing.index, vpc: self.vpc() };
        (key, Egress { ifindex: self.interface.index, outer, inner })
    }
}

/// The planned links whose interfaces exist.
pub fn present<'a>(plan: &'a Plan, topology: &'a Topology) -> Vec<Present<'a>> {
    let found = plan.links().filter_map(|plan| {
        let interface = topology.named(&plan.interface)?;
        let routing = topology.sub_interface(interface.index, &plan.tags);
        let routing = routing.and_then(|index| topology.interfaces.get(&index)).unwrap_or(interface);
        Some(Present { plan, interface, routing })
    });
    found.collect()
}

impl Tables {
    /// Computes every table.
    pub fn compute(plan: &Plan, topology: &Topology, routing: &Routing) -> Tables {
        let mut tables = Tables::default();
        let present = present(plan, topology);
        let mut downlinks: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for link in &present {
            let vpc = link.vpc();
            let (key, egress) = link.egress();
            let Egress { outer, inner, .. } = egress;
            let mut addresses = topology.addresses.iter().filter(|own| own.ifindex == link.routing.index);
            let address = addresses.find(|own| !asked_at(plan, own.address));
            tables.links.insert(
                LinkKey { ifindex: link.interface.index, outer, inner },
                Link {
                    side: if vpc == 0 { SIDE_UPLINK } else { SIDE_DOWNLINK },
                    vpc,
                    fib_ifindex: link.routing.index,
                    address: address.map_or([0; 4], |own| own.address.octets()),
                    mac: link.interface.mac.unwrap_or_default(),
                    flags: if link.routing.forwarding { LINK_USES_HOPS } else { 0 },
                },
            );
            tables.egress.insert(key, egress);
            if vpc != 0 {
                downlinks.entry(vpc).or_default().push(link.routing.index);
            }
        }
        for vpc in plan.downlinks.iter().filter_map(|link| link.vpc.as_ref()) {
            let number = vpc_number(vpc.as_str());
            if let Some(interfaces) = downlinks.get(&number) {
                tables.vpcs.insert(number, named_vpc(vpc.as_str(), interfaces));
            }
        }
        tables.add_own(plan, &present, topology);
        tables.add_prefixes(plan);
        for (address, length) in routing.marked() {
            tables.marks.add_route(address.octets(), length);
        }
        let failed = topology.neighbours.iter().filter(|(_, neighbour)| neighbour.failed);
        tables.unreachable = failed.map(|(place, _)| *place).collect();
        tables
    }

    fn add_own(&mut self, plan: &Plan, present: &[Present<'_>], topology: &Topology) {
        // Loopback addresses are no host's on a wire; the program calls them martian.
        for own in topology.addresses.iter().filter(|own| !own.address.is_loopback()) {
            // A downlink's address is reached from its own VPC only; every other one from everywhere.
            let vpcs: BTreeSet<u32> =
                present.iter().filter(|link| link.routing.index == own.ifindex).map(Present::vpc).collect();
            if asked_at(plan, own.address) {
                let key = |vpc| PrivateKey { vpc, address: PrivateAddr(own.address.octets()) };
                self.own.extend(vpcs.into_iter().filter(|vpc| *vpc != 0).map(|vpc| (key(vpc), 1)));
                self.prefixes.insert((32, own.address.octets()), PREFIX_OWN | PREFIX_INSTANCES_ONLY);
                continue;
            }
            let vpcs = if vpcs.is_empty() { BTreeSet::from([0]) } else { vpcs };
            for vpc in vpcs {
                self.own.insert(PrivateKey { vpc, address: PrivateAddr(own.address.octets()) }, 1);
                if vpc != 0 {
                    let network = network(own.address, own.length);
                    self.connected.insert((own.length, network, vpc), 1);
                }
            }
            self.prefixes.insert((32, own.address.octets()), PREFIX_OWN);
        }
    }

    fn add_prefixes(&mut self, plan: &Plan) {
        for (prefixes, flag) in
            [(&plan.pools, PREFIX_POOL), (&plan.tuning.martian_exceptions, PREFIX_MARTIAN_EXCEPTION)]
        {
            for prefix in prefixes {
                *self.prefixes.entry((prefix.length(), prefix.first().octets())).or_default() |= flag;
            }
        }
        // The longest prefix wins in the kernel, so each gets what holds for the ranges around it.
        let around = self.prefixes.clone();
        for ((length, address), flags) in &mut self.prefixes {
            for shorter in 0..*length {
                let outer = (shorter, network(Ipv4Addr::from(*address), shorter));
                *flags |= around.get(&outer).copied().unwrap_or(0);
            }
        }
        for (length, address) in self.prefixes.keys() {
            self.marks.add_prefix(*address, *length);
        }
    }

    /// The gateway's own addresses that may be seen on uplinks.
    pub fn own_outside(&self) -> Vec<Ipv4Addr> {
        self.own.keys().filter(|key| key.vpc == 0).map(|key| Ipv4Addr::from(key.address.0)).collect()
    }
}

/// Whether instances ask about themselves at this address: it is a downlink's, and there is no network around it.
fn asked_at(plan: &Plan, address: Ipv4Addr) -> bool {
    plan.metadata && link_local::ADDRESSES.contains(&address)
}

fn tags(plan: &LinkPlan) -> (u16, u16) {
    (plan.tags.first().copied().unwrap_or(0), plan.tags.get(1).copied().unwrap_or(0))
}

fn named_vpc(name: &str, interfaces: &[u32]) -> Vpc {
    let mut vpc = Vpc { name_length: name.len().min(32) as u32, ..Vpc::default() };
    for (to, from) in vpc.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    if let [only] = interfaces {
        vpc.fib_ifindex = *only;
    }
    vpc
}

fn network(address: Ipv4Addr, length: u8) -> [u8; 4] {
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    (u32::from(address) & mask).to_be_bytes()
}

/// The tables in the kernel.
pub struct KernelTables {
    links: HashMap<MapData, LinkKey, Link>,
    egress: HashMap<MapData, EgressKey, Egress>,
    vpcs: HashMap<MapData, u32, Vpc>,
    prefixes: LpmTrie<MapData, [u8; 4], u32>,
    own: HashMap<MapData, PrivateKey, u32>,
    connected: LpmTrie<MapData, ConnectedKey, u32>,
    unreachable: HashMap<MapData, NextHopKey, u32>,
    settings: Array<MapData, Settings>,
    link_slots: LinkSlots,
    marks: KernelMarks,
}

impl KernelTables {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins) -> Result<KernelTables> {
        Ok(KernelTables {
            links: pins.open("LINKS")?,
            egress: pins.open("EGRESS")?,
            vpcs: pins.open("VPCS")?,
            prefixes: pins.open("PREFIXES")?,
            own: pins.open("OWN")?,
            connected: pins.open("CONNECTED")?,
            unreachable: pins.open("UNREACHABLE")?,
            settings: pins.open("SETTINGS")?,
            link_slots: LinkSlots::open(pins)?,
            marks: KernelMarks::open(pins)?,
        })
    }

    /// Writes the settings that follow from the plan; a monitor that is on stays on. Answers the mark of packets handed
    /// to the kernel, which is drawn once for the life of the maps, or is that of maps taken over: the guard that stands
    /// knows it already.
    pub fn set_settings(&mut self, plan: &Plan, earlier: Option<[u8; 6]>) -> Result<[u8; 6]> {
        let vpcs: BTreeSet<_> = plan.downlinks.iter().filter_map(|link| link.vpc.as_ref()).collect();
        let before = self.settings.get(&0, 0).context("reading SETTINGS")?;
        let handover_mac = match (before.handover_mac, earlier) {
            ([0, 0, 0, 0, 0, 0], Some(earlier)) => earlier,
            ([0, 0, 0, 0, 0, 0], None) => secret_mac()?,
            (mark, _) => mark,
        };
        let settings = Settings {
            handover_mac,
            check_handover: u32::from(vpcs.len() > 1),
            icmp_errors_per_second: plan.tuning.icmp_errors_per_second,
            icmp_error_burst: plan.tuning.icmp_error_burst,
            monitor_per_second: plan.tuning.monitor_per_second,
            max_pairs: plan.limits.pairs,
            max_instances: plan.limits.instances,
            counters_per_cpu: plan.limits.counters_per_cpu(),
            ..before
        };
        self.settings.set(0, settings, 0).context("writing SETTINGS")?;
        Ok(handover_mac)
    }

    /// Says whether frames of several buffers may be redirected to every link.
    pub fn set_redirects_multi_buffer(&mut self, may: bool) -> Result<()> {
        let before = self.settings.get(&0, 0).context("reading SETTINGS")?;
        let settings = Settings { redirects_multi_buffer: u32::from(may), ..before };
        if settings == before { Ok(()) } else { self.settings.set(0, settings, 0).context("writing SETTINGS") }
    }

    /// Writes what differs. New knowledge of where addresses belong comes before links that use it.
    pub fn write(&mut self, tables: &Tables) -> Result<()> {
        sync_trie(
            &mut self.prefixes,
            tables.prefixes.iter().map(|((length, data), flags)| (u32::from(*length), *data, *flags)),
        )
        .context("writing PREFIXES")?;
        sync_trie(
            &mut self.connected,
            tables.connected.iter().map(|((length, address, vpc), flag)| {
                (32 + u32::from(*length), ConnectedKey { vpc: *vpc, address: *address }, *flag)
            }),
        )
        .context("writing CONNECTED")?;
        self.marks.write(&tables.marks);
        sync(&mut self.own, &tables.own).context("writing OWN")?;
        sync(&mut self.egress, &tables.egress).context("writing EGRESS")?;
        sync(&mut self.vpcs, &tables.vpcs).context("writing VPCS")?;
        self.write_links(&tables.links).context("writing LINKS")?;
        let unreachable = tables
            .unreachable
            .iter()
            .map(|(fib_ifindex, address)| (NextHopKey { fib_ifindex: *fib_ifindex, address: address.octets() }, 1));
        sync(&mut self.unreachable, &unreachable.collect()).context("writing UNREACHABLE")
    }
}

impl KernelTables {
    /// Links that changed or went leave both maps first, and packets in flight come out of them, before their memory
    /// becomes another link's.
    fn write_links(&mut self, wanted: &BTreeMap<LinkKey, Link>) -> Result<()> {
        let present: BTreeMap<LinkKey, Link> = self.links.iter().collect::<Result<_, _>>()?;
        let kept = |key: &LinkKey, link: &Link| wanted.get(key) == Some(link);
        let gone: Vec<LinkKey> = present.iter().filter(|(key, link)| !kept(key, link)).map(|(key, _)| *key).collect();
        for key in &gone {
            self.link_slots.clear(key);
            if !wanted.contains_key(key) {
                self.links.remove(key)?;
            }
        }
        if !gone.is_empty() {
            sys::grace_period();
        }
        sync(&mut self.links, wanted)?;
        for (key, link) in wanted {
            self.link_slots.offer(key, link);
        }
        Ok(())
    }
}

/// A locally administered unicast MAC that nobody can guess.
fn secret_mac() -> Result<[u8; 6]> {
    let mut mac = [0; 6];
    let mut random = std::fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    std::io::Read::read_exact(&mut random, &mut mac).context("reading /dev/urandom")?;
    mac[0] = (mac[0] & 0xfc) | 0x02;
    Ok(mac)
}

fn sync<K: Pod + Ord, V: Pod + PartialEq>(map: &mut HashMap<MapData, K, V>, wanted: &BTreeMap<K, V>) -> Result<()> {
    let present: BTreeMap<K, V> = map.iter().collect::<Result<_, _>>()?;
    for key in present.keys().filter(|key| !wanted.contains_key(key)) {
        map.remove(key)?;
    }
    for (key, value) in wanted.iter().filter(|(key, value)| present.get(key) != Some(value)) {
        map.insert(key, value, 0)?;
    }
    Ok(())
}

/// Like [`sync`].
fn sync_trie<K: Pod + Ord>(
    trie: &mut LpmTrie<MapData, K, u32>,
    wanted: impl Iterator<Item = (u32, K, u32)>,
) -> Result<()> {
    let wanted: BTreeMap<(u32, K), u32> = wanted.map(|(length, data, value)| ((length, data), value)).collect();
    let present: Vec<(Key<K>, u32)> = trie.iter().collect::<Result<_, _>>()?;
    let present: BTreeMap<(u32, K), u32> =
        present.into_iter().map(|(key, value)| ((key.prefix_len(), key.data()), value)).collect();
    for (place, value) in wanted.iter().filter(|(place, value)| present.get(place) != Some(value)) {
        trie.insert(&Key::new(place.0, place.1), *value, 0)?;
    }
    for place in present.keys().filter(|place| !wanted.contains_key(place)) {
        trie.remove(&Key::new(place.0, place.1))?;
    }
    Ok(())
}
