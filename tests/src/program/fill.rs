//! Fills the program's maps with a world, each thing in each of the ways the daemon may have put it there: networks in
//! pages and as sparse entries by turns, next hops ready and to be asked for by turns.

use std::collections::{BTreeSet, HashMap as StdHashMap};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData};
use nat_common::abi::{
    ConnectedKey, DEFAULT_HOP, Egress, EgressKey, HOP_ASK, HOP_READY, Hop, LINK_USES_HOPS, Link as LinkValue, LinkKey,
    LinkSlot, MARKS_OF_PREFIXES, MARKS_OF_ROUTES, NextHopKey, PREFIX_INSTANCES_ONLY, PREFIX_MARTIAN_EXCEPTION,
    PREFIX_OWN, PREFIX_POOL, PageSlot, PrivateAddr, PrivateKey, PublicAddr, SIDE_DOWNLINK, SIDE_UPLINK, Sparse, Vpc,
    link_slot, mark,
};
use nat_common::ipv4;
use nat_common::pairs::{self, Inbound, Outbound, PAGE, Page};

use crate::reference::{Link, Neighbour, Pair, Query, Route, Side, World, within};

/// Writes everything.
pub fn fill(bpf: &mut Ebpf, world: &World, slot_bits: u32) -> Result<()> {
    let mut filler = Filler { bpf, pages: StdHashMap::new(), hops: DEFAULT_HOP + 1 };
    filler.pairs(world, slot_bits)?;
    filler.links(world)?;
    filler.prefixes(world)?;
    let mut own = filler.hash::<PrivateKey, u32>("OWN")?;
    for (address, vpc) in &world.own {
        own.insert(private_key(vpc.unwrap_or(0), *address), 1, 0)?;
    }
    let mut unreachable = filler.hash::<NextHopKey, u32>("UNREACHABLE")?;
    for (fib_ifindex, address, known) in &world.neighbours {
        if *known == Neighbour::Dead {
            unreachable.insert(NextHopKey { fib_ifindex: *fib_ifindex, address: address.octets() }, 1, 0)?;
        }
    }
    Ok(())
}

fn private_key(vpc: u32, address: Ipv4Addr) -> PrivateKey {
    PrivateKey { vpc, address: PrivateAddr(address.octets()) }
}

struct Filler<'a> {
    bpf: &'a mut Ebpf,
    /// Number of the page of each network that has one.
    pages: StdHashMap<(u32, [u8; 4]), u32>,
    /// First element of `HOPS` that is free.
    hops: u32,
}

impl Filler<'_> {
    fn hash<K: aya::Pod, V: aya::Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>> {
        Ok(self.bpf.map_mut(name).with_context(|| format!("no map {name}"))?.try_into()?)
    }

    fn array<V: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        Ok(self.bpf.map_mut(name).with_context(|| format!("no map {name}"))?.try_into()?)
    }

    fn pairs(&mut self, world: &World, slot_bits: u32) -> Result<()> {
        let vpcs: BTreeSet<u32> = world.pairs.iter().map(|pair| pair.vpc).collect();
        let mut ask = StdHashMap::new();
        for vpc in vpcs {
            ask.insert(vpc, self.hop(Hop { state: HOP_ASK, vpc, ..Hop::default() })?);
        }
        for (slot, pair) in (0..).zip(&world.pairs) {
            let ready = if slot % 2 == 0 { ready(world, pair) } else { None };
            let hop = match ready {
                Some(hop) => self.hop(hop)?,
                None => ask[&pair.vpc],
            };
            let cell = Inbound { private: PrivateAddr(pair.private.octets()), hop, slot }.pack(slot_bits);
            self.cell("INBOUND", 0, pair.public, PublicAddr, cell)?;
            let cell = Outbound { public: PublicAddr(pair.public.octets()), slot }.pack();
            self.outbound(pair.vpc, pair.private, cell)?;
        }
        for (vpc, address) in &world.private_only {
            self.outbound(*vpc, *address, Outbound::NOWHERE.pack())?;
        }
        Ok(())
    }

    fn outbound(&mut self, vpc: u32, address: Ipv4Addr, cell: u64) -> Result<()> {
        let key = |address| PrivateKey { vpc, address: PrivateAddr(address) };
        self.cell("OUTBOUND", vpc, address, key, cell)
    }

    /// Puts a cell into a table. Networks have pages and none by turns.
    fn cell<K: aya::Pod>(
        &mut self,
        table: &str,
        vpc: u32,
        address: Ipv4Addr,
        key: impl Fn([u8; 4]) -> K,
        cell: u64,
    ) -> Result<()> {
        let address = address.octets();
        let network = pairs::network(address);
        if (u32::from(network[1]) + u32::from(network[2]) + vpc).is_multiple_of(2) {
            let entry = Sparse { tag: pairs::tag(vpc, address), cell };
            return Ok(self.hash(&format!("{table}_SPARSE"))?.insert(key(address), entry, 0)?);
        }
        let next = self.pages.len() as u32;
        let number = *self.pages.entry((vpc, network)).or_insert(next);
        let page = Page::new(vpc, network, number);
        self.hash(&format!("{table}_PAGES"))?.insert(key(network), page.0, 0)?;
        // By turns, so that packets find their page in either place.
        let near = if number.is_multiple_of(2) { u64::from(number) + 1 } else { pairs::ASK_HASH };
        let slot = PageSlot { key: pairs::tag(vpc, network), page: near };
        self.array("PAGE_SLOTS")?.set(pairs::page_slot(vpc, network), slot, 0)?;
        let index = number * PAGE + pairs::cell_in_page(address);
        Ok(self.array(&format!("{table}_CELLS"))?.set(index, cell, 0)?)
    }

    fn hop(&mut self, hop: Hop) -> Result<u32> {
        let index = self.hops;
        self.hops += 1;
        self.array("HOPS")?.set(index, hop, 0)?;
        Ok(index)
    }

    fn links(&mut self, world: &World) -> Result<()> {
        for link in &world.links {
            let tag = |index: usize| link.tags.get(index).copied().unwrap_or(0);
            let (outer, inner) = (tag(0), tag(1));
            let (side, vpc) = match link.side {
                Side::Uplink => (SIDE_UPLINK, 0),
                Side::Downlink { vpc } => (SIDE_DOWNLINK, vpc),
            };
            let value = LinkValue {
                side,
                vpc,
                fib_ifindex: link.device,
                address: link.address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets(),
                mac: link.mac,
                flags: LINK_USES_HOPS,
            };
            let key = LinkKey { ifindex: link.ifindex, outer, inner };
            self.hash("LINKS")?.insert(key, value, 0)?;
            // By turns, so that packets find their link in either place.
            if link.tags.len() != 1 {
                self.array("LINK_SLOTS")?.set(link_slot(&key), LinkSlot { key, link: value }, 0)?;
            }
            let egress = Egress { ifindex: link.ifindex, outer, inner };
            self.hash("EGRESS")?.insert(EgressKey { fib_ifindex: link.device, vpc }, egress, 0)?;
        }
        for vpc in world.vpcs() {
            let fib_ifindex = world.only_device(vpc).unwrap_or(0);
            self.hash("VPCS")?.insert(vpc, Vpc { fib_ifindex, name_length: 0, name: [0; 32] }, 0)?;
        }
        // Whatever has no entry of its own goes the default way.
        let anywhere = Query { destination: Ipv4Addr::BROADCAST, by: None };
        if let Some(hop) = leading(world, 0, anywhere) {
            self.array("HOPS")?.set(DEFAULT_HOP, hop, 0)?;
        }
        Ok(())
    }

    fn prefixes(&mut self, world: &World) -> Result<()> {
        let flagged = |prefixes: &[(Ipv4Addr, u8)], flag| prefixes.iter().map(|prefix| (*prefix, flag)).collect();
        let own: Vec<_> = world.own.iter().map(|(address, _)| (*address, 32)).collect();
        let instances_only: Vec<_> = world.instances_only.iter().map(|address| (*address, 32)).collect();
        let ranges: [Vec<_>; 4] = [
            flagged(&world.pools, PREFIX_POOL),
            flagged(&world.martian_exceptions, PREFIX_MARTIAN_EXCEPTION),
            flagged(&own, PREFIX_OWN),
            flagged(&instances_only, PREFIX_INSTANCES_ONLY),
        ];
        let ranges = ranges.concat();
        let map = self.bpf.map_mut("PREFIXES").context("no map PREFIXES")?;
        let mut map: LpmTrie<_, [u8; 4], u32> = map.try_into()?;
        for ((address, length), _) in &ranges {
            // The longest prefix alone is found, so it has the flags of those around it too.
            let around = |((outer, shorter), _): &&((Ipv4Addr, u8), u32)| {
                shorter <= length && within(*address, &[(*outer, *shorter)])
            };
            let flags = ranges.iter().filter(around).fold(0, |flags, (_, flag)| flags | flag);
            map.insert(&Key::new(u32::from(*length), address.octets()), flags, 0)?;
        }
        let map = self.bpf.map_mut("CONNECTED").context("no map CONNECTED")?;
        let mut map: LpmTrie<_, ConnectedKey, u32> = map.try_into()?;
        for link in &world.links {
            let Side::Downlink { vpc } = link.side else { continue };
            for (address, length) in &link.connected {
                let key = ConnectedKey { vpc, address: address.octets() };
                map.insert(&Key::new(32 + u32::from(*length), key), 1, 0)?;
            }
        }
        let known: Vec<_> = ranges.iter().map(|(prefix, _)| *prefix).collect();
        let routes = world.entries.iter().map(|entry| entry.prefix).filter(|(_, length)| *length > 0);
        let routes: Vec<_> = routes.chain(known.iter().copied()).collect();
        let martians = ipv4::MARTIANS.iter().map(|(address, length)| (Ipv4Addr::from(*address), *length));
        let known: Vec<_> = known.into_iter().chain(martians.clone()).collect();
        let routes: Vec<_> = routes.into_iter().chain(martians).collect();
        self.mark(MARKS_OF_PREFIXES, &known)?;
        self.mark(MARKS_OF_ROUTES, &routes)
    }

    fn mark(&mut self, half: u32, ranges: &[(Ipv4Addr, u8)]) -> Result<()> {
        let mut words: StdHashMap<u32, u64> = StdHashMap::new();
        for (address, length) in ranges {
            let mask = u32::MAX.checked_shr(u32::from(*length)).unwrap_or(0);
            let first = u32::from(*address) & !mask;
            for network in (first >> 8)..=((first | mask) >> 8) {
                let (word, bit) = mark((network << 8).to_be_bytes());
                *words.entry(word).or_default() |= bit;
            }
        }
        let mut marks = self.array::<u64>("MARKS")?;
        for (word, bits) in words {
            marks.set(half + word, bits, 0)?;
        }
        Ok(())
    }
}

/// The next hop of a pair, where the world's routes have one that is resolved.
fn ready(world: &World, pair: &Pair) -> Option<Hop> {
    leading(world, pair.vpc, Query { destination: pair.private, by: world.only_device(pair.vpc) })
}

fn leading(world: &World, vpc: u32, query: Query) -> Option<Hop> {
    let Route::Out { device, mtu, neighbour: Neighbour::At(mac) } = world.route(query) else { return None };
    let side = if vpc == 0 { Side::Uplink } else { Side::Downlink { vpc } };
    let link = world.links.iter().find(|link| link.device == device && link.side == side)?;
    let Link { ifindex, tags, .. } = link;
    let tag = |index: usize| tags.get(index).copied().unwrap_or(0);
    let mut macs = [0; 12];
    macs[..6].copy_from_slice(&mac);
    macs[6..].copy_from_slice(&world.device(device).mac);
    Some(Hop { state: HOP_READY, vpc, ifindex: *ifindex, mtu, outer: tag(0), inner: tag(1), macs })
}
