//! Whose packets: addresses of flows, mostly as they should be.

use std::net::Ipv4Addr;

use super::Generator;
use crate::reference::{Link, Pair, Side, World};

/// A packet's addresses and, where it is to be translated, those it leaves with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) after: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Generator {
    pub(super) fn remote(&mut self, world: &World) -> Ipv4Addr {
        if !world.remotes.is_empty() && self.percent(60) {
            return *self.pick(&world.remotes);
        }
        Ipv4Addr::from(self.rng.u32(0x0100_0000..0xe000_0000))
    }

    pub(super) fn in_prefix(&mut self, prefixes: &[(Ipv4Addr, u8)]) -> Ipv4Addr {
        if prefixes.is_empty() {
            return Ipv4Addr::from(self.rng.u32(..));
        }
        let (prefix, length) = *self.pick(prefixes);
        let host = self.rng.u32(..) & u32::MAX.checked_shr(length.into()).unwrap_or(0);
        Ipv4Addr::from(u32::from(prefix) | host)
    }

    pub(super) fn private_range(&mut self) -> Ipv4Addr {
        let low = self.rng.u16(..).to_be_bytes();
        let [a, b] = *self.pick(&[[10, 3], [172, 16], [172, 31], [192, 168], [100, 64], [100, 127], [169, 254]]);
        Ipv4Addr::new(a, b, low[0], low[1])
    }

    pub(super) fn own(&mut self, world: &World) -> Ipv4Addr {
        if world.own.is_empty() { self.remote(world) } else { self.pick(&world.own).0 }
    }

    fn odd_class(&mut self) -> Ipv4Addr {
        let [a, b, c, d] = self.rng.u32(..).to_be_bytes();
        match self.rng.u8(..8) {
            0 => Ipv4Addr::BROADCAST,
            1 | 2 => Ipv4Addr::new(224, 0, 0, d),
            3 => Ipv4Addr::new(224 + a % 16, b, c, d),
            4 => Ipv4Addr::new(0, b, c, d),
            5 => Ipv4Addr::new(127, b, c, d),
            6 => Ipv4Addr::new(240 + a % 16, b, c, d),
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    pub(super) fn pair(&mut self, world: &World, vpc: u32) -> Option<Pair> {
        let pairs = world.pairs_of(vpc);
        (!pairs.is_empty()).then(|| *self.pick(pairs))
    }

    pub(super) fn any_pair(&mut self, world: &World) -> Option<Pair> {
        (!world.pairs.is_empty()).then(|| *self.pick(&world.pairs))
    }

    pub(super) fn flow(&mut self, world: &World, link: &Link) -> Flow {
        let mut flow = match link.side {
            Side::Uplink => self.inward(world),
            Side::Downlink { vpc } => self.outward(world, vpc),
        };
        let (source, destination) = (flow.source, flow.destination);
        match self.rng.u8(..100) {
            0..4 => flow.source = self.odd_source(world, link),
            4..9 => flow.destination = self.odd_destination(world, link),
            9 => {
                flow.source = self.odd_source(world, link);
                flow.destination = self.odd_destination(world, link);
            }
            _ => {}
        }
        if (flow.source, flow.destination) != (source, destination) {
            flow.after = None;
        }
        flow
    }

    fn inward(&mut self, world: &World) -> Flow {
        let source = self.remote(world);
        match self.any_pair(world) {
            Some(pair) => Flow { source, destination: pair.public, after: Some((source, pair.private)) },
            None => Flow { source, destination: self.in_prefix(&world.pools), after: None },
        }
    }

    fn outward(&mut self, world: &World, vpc: u32) -> Flow {
        let destination = self.remote(world);
        let Some(pair) = self.pair(world, vpc) else {
            return Flow { source: self.private_range(), destination, after: None };
        };
        if self.percent(75) {
            return Flow { source: pair.private, destination, after: Some((pair.public, destination)) };
        }
        let other = if self.percent(10) { pair } else { self.any_pair(world).unwrap_or(pair) };
        Flow { source: pair.private, destination: other.public, after: Some((pair.public, other.private)) }
    }

    fn odd_source(&mut self, world: &World, link: &Link) -> Ipv4Addr {
        let pair = self.any_pair(world);
        match self.rng.u8(..8) {
            0 => self.in_prefix(&world.pools),
            1 => self.own(world),
            2 => self.odd_class(),
            3 => self.private_range(),
            4 if !world.martian_exceptions.is_empty() => self.in_prefix(&world.martian_exceptions),
            5 if !link.connected.is_empty() => self.in_prefix(&link.connected),
            6 if !world.private_only.is_empty() => self.private_only(world, link),
            _ => pair.map_or(Ipv4Addr::UNSPECIFIED, |pair| pair.private),
        }
    }

    /// An instance without public address, of the link's VPC if there is one.
    fn private_only(&mut self, world: &World, link: &Link) -> Ipv4Addr {
        let (mut vpc, mut address) = *self.pick(&world.private_only);
        for _ in 0..8 {
            if link.side != (Side::Downlink { vpc }) {
                (vpc, address) = *self.pick(&world.private_only);
            }
        }
        address
    }

    fn odd_destination(&mut self, world: &World, link: &Link) -> Ipv4Addr {
        match self.rng.u8(..10) {
            0 | 1 => self.in_prefix(&world.pools),
            2..5 => self.own(world),
            5 | 6 => self.odd_class(),
            7 => self.private_range(),
            8 if !link.connected.is_empty() => self.in_prefix(&link.connected),
            _ => self.remote(world),
        }
    }
}
