//! Random frames for comparing the program with the reference: a weighted mix of sound traffic in every protocol and
//! direction, of everything the gateway refuses, and of damage done to both; and a shrinker for what fails.
//!
//! The same seed and world give the same frames.

use std::net::Ipv4Addr;

use fastrand::Rng;

use crate::frames::{
    self, ARP, Arp, DCCP, Frame, ICMP, IPV4, IPV6, Ip, Mac, Packet, SERVICE_VLAN, TCP, UDP, UDP_LITE, VLAN,
    checksum_offset, fold, sum, word,
};
use crate::reference::{Link, Pair, Route, Side, World};

/// Makes frames, one after another, for ever.
pub struct Generator {
    rng: Rng,
    /// Bounds on a frame's length. The defaults suit `BPF_PROG_TEST_RUN` of a program without fragments.
    pub smallest: usize,
    pub largest: usize,
    /// Where payloads are cut from.
    noise: Vec<u8>,
}

/// A packet's addresses and, where it is to be translated, those it leaves with.
#[derive(Clone, Copy, Debug)]
struct Flow {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    after: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut noise = vec![0; 16384];
        rng.fill(&mut noise);
        Self { rng, smallest: 14, largest: 3500, noise }
    }

    /// The next frame and the interface it arrives by.
    pub fn next(&mut self, world: &World) -> (u32, Vec<u8>) {
        let side = if self.percent(45) { Side::Uplink } else { Side::Downlink { vpc: 0 } };
        let link = loop {
            let link = self.pick(&world.links);
            if (link.side == Side::Uplink) == (side == Side::Uplink) || self.percent(10) {
                break link;
            }
        };
        let mut frame = match self.rng.u8(..100) {
            0..5 => self.arp(world, link),
            5..7 => self.other_ethertype(link),
            _ => self.ip_frame(world, link),
        };
        if self.percent(12) {
            for _ in 0..self.rng.u8(1..=3) {
                self.mutate(&mut frame);
            }
            if self.percent(65) {
                reseal(&mut frame);
            }
        }
        frame.truncate(self.largest);
        while frame.len() < self.smallest {
            frame.push(self.rng.u8(..));
        }
        (link.ifindex, frame)
    }

    fn percent(&mut self, chance: u8) -> bool {
        self.rng.u8(..100) < chance
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.usize(..from.len())]
    }

    fn data(&mut self, length: usize) -> Vec<u8> {
        let start = self.rng.usize(..=self.noise.len() - length);
        self.noise[start..start + length].to_vec()
    }

    /// A length for a payload: mostly short, often at a usual MTU, at times long.
    fn length(&mut self) -> usize {
        match self.rng.u8(..100) {
            0..55 => self.rng.usize(..64),
            55..80 => self.rng.usize(..600),
            80..84 => 576 - 28 - 20 + self.rng.usize(..40),
            84..88 => 1400 - 60 + self.rng.usize(..70),
            88..94 => 1500 - 60 + self.rng.usize(..70),
            94..99 => self.rng.usize(..2000),
            _ => self.rng.usize(..4000),
        }
    }

    // ---- addresses ----

    fn remote(&mut self, world: &World) -> Ipv4Addr {
        if !world.remotes.is_empty() && self.percent(60) {
            return *self.pick(&world.remotes);
        }
        Ipv4Addr::from(self.rng.u32(0x0100_0000..0xe000_0000))
    }

    fn in_prefix(&mut self, prefixes: &[(Ipv4Addr, u8)]) -> Ipv4Addr {
        if prefixes.is_empty() {
            return Ipv4Addr::from(self.rng.u32(..));
        }
        let (prefix, length) = *self.pick(prefixes);
        let host = self.rng.u32(..) & u32::MAX.checked_shr(length.into()).unwrap_or(0);
        Ipv4Addr::from(u32::from(prefix) | host)
    }

    fn private_range(&mut self) -> Ipv4Addr {
        let low = self.rng.u16(..).to_be_bytes();
        let [a, b] = *self.pick(&[[10, 3], [172, 16], [172, 31], [192, 168], [100, 64], [100, 127], [169, 254]]);
        Ipv4Addr::new(a, b, low[0], low[1])
    }

    fn own(&mut self, world: &World) -> Ipv4Addr {
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

    fn pair(&mut self, world: &World, vpc: u32) -> Option<Pair> {
        let pairs = world.pairs_of(vpc);
        (!pairs.is_empty()).then(|| *self.pick(pairs))
    }

    fn any_pair(&mut self, world: &World) -> Option<Pair> {
        (!world.pairs.is_empty()).then(|| *self.pick(&world.pairs))
    }

    fn flow(&mut self, world: &World, link: &Link) -> Flow {
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

    // ---- packets ----

    fn ip_frame(&mut self, world: &World, link: &Link) -> Vec<u8> {
        let flow = self.flow(world, link);
        let mut packet = Packet::new(flow.source, flow.destination);
        packet = match self.rng.u8(..100) {
            0..22 => self.icmp_error(world, link, flow, packet),
            _ => self.transport(packet),
        };
        packet = self.header(packet, 9);
        match self.rng.u8(..100) {
            0..3 => packet = packet.wrong_checksum(self.rng.u16(..)),
            3 => packet = packet.transport_checksum(0),
            4 => packet = packet.transport_checksum(0xffff),
            5 => packet = packet.unfinished_checksum(),
            6 => packet = packet.header_checksum(self.rng.u16(..)),
            7 if self.percent(40) => packet = packet.total_length(self.rng.u16(..2000)),
            _ => {}
        }
        let mut bytes = packet.build();
        if self.percent(5) {
            self.land_on_zero(&mut bytes, flow);
        }
        let frame = self.envelope(link).carry(IPV4, &bytes);
        self.ending(frame)
    }

    /// Header fields of any value; `odd` is the chance in a hundred each for fragments and options.
    fn header(&mut self, packet: Packet, odd: u8) -> Packet {
        let ttl = match self.rng.u8(..100) {
            0..6 => 1,
            6 => 0,
            7..10 => 2,
            10..50 => 64,
            _ => self.rng.u8(2..),
        };
        let mut packet = packet.ttl(ttl).tos(self.rng.u8(..)).id(self.rng.u16(..));
        if self.percent(50) {
            packet = packet.dont_fragment();
        }
        if self.percent(odd) {
            packet = match self.rng.u8(..8) {
                0..4 => packet.more_fragments(),
                4 => packet.fragment_offset(self.rng.u16(1..=2)),
                5 => packet.fragment_offset(self.rng.u16(1..=2)).more_fragments(),
                6 => packet.fragment_offset(1 << self.rng.u16(..13)),
                _ => packet.fragment_offset(self.rng.u16(..8192)).more_fragments(),
            };
        }
        if self.percent(odd) {
            let options = self.options();
            packet = packet.options(&options);
        }
        packet
    }

    fn options(&mut self) -> Vec<u8> {
        let mut options = Vec::new();
        for _ in 0..self.rng.u8(1..=4) {
            match self.rng.u8(..100) {
                0..20 => options.push(1),
                20..40 => options.extend([148, 4, 0, 0]),
                40..60 => {
                    let slots = self.rng.u8(1..=3);
                    options.extend([7, 3 + 4 * slots, 4]);
                    options.extend(self.data(usize::from(slots) * 4));
                }
                60..75 => options.extend([68, 8, 5, 0, 1, 2, 3, 4]),
                75..80 => options.extend([self.rng.choice([131, 137]).unwrap_or(131), 7, 4, 9, 9, 9, 9]),
                80..85 => options.extend([self.rng.u8(2..), self.rng.u8(..8)]),
                85..90 => options.push(self.rng.u8(2..)),
                90..95 => options.push(0),
                _ => {
                    let length = self.rng.u8(2..12);
                    options.extend([self.rng.u8(2..), length]);
                    options.extend(self.data(usize::from(length) - 2));
                }
            }
        }
        options
    }

    /// Any protocol but an ICMP error.
    fn transport(&mut self, packet: Packet) -> Packet {
        let length = self.length();
        let start = self.rng.usize(..=self.noise.len() - length);
        let (source, destination) = (self.rng.u16(..), self.rng.u16(..));
        let kind = self.rng.u8(..100);
        let (protocol, reserved) = (self.rng.u8(..), self.rng.u32(..));
        let coverage = match self.rng.u8(..4) {
            0 => 0,
            1 => 8,
            2 => self.rng.u16(8..=8 + length as u16),
            _ => self.rng.u16(..2048),
        };
        let short = self.rng.usize(..24).min(length);
        let icmp_kind = *self.pick(&[0, 1, 8, 9, 10, 13, 14, 15, 17, 18, 30, 42, 255]);
        let flags = self.rng.u8(..);
        let data = &self.noise[start..start + length];
        match kind {
            0..26 => packet.tcp(source, destination, data).flags(flags).sequence(reserved),
            26..44 => packet.udp(source, destination, data),
            44..48 => packet.udp_without_checksum(source, destination, data),
            48..55 => packet.udp_lite(source, destination, coverage, data),
            55..60 => packet.dccp(source, destination, data),
            60..64 => packet.sctp(source, destination, data),
            64..67 => packet.gre(IPV4, data),
            67..70 => packet.esp(reserved, 1, data),
            70..73 => packet.ah(TCP, reserved, data),
            73..75 => {
                let inner = Packet::new(Ipv4Addr::from(reserved), Ipv4Addr::new(10, 0, 0, 1)).udp(1, 2, data).build();
                packet.ipip(&inner)
            }
            75..78 => packet.protocol(protocol, data),
            // A protocol with a checksum, too short for it.
            78..82 => {
                packet.protocol(*self.rng.choice(&[TCP, UDP, UDP_LITE, DCCP, ICMP]).unwrap_or(&TCP), &data[..short])
            }
            82..90 => packet.echo(source, destination, data),
            90..94 => packet.echo_reply(source, destination, data),
            94..96 => packet.timestamp(source, destination),
            _ => packet.icmp(icmp_kind, flags % 16, reserved.to_be_bytes(), data),
        }
    }

    /// An ICMP error about a packet of the flow's, seen by this link: mostly a sound one.
    fn icmp_error(&mut self, world: &World, link: &Link, flow: Flow, packet: Packet) -> Packet {
        let Flow { source, mut destination, .. } = flow;
        let mut blamed = source;
        match link.side {
            Side::Uplink if self.percent(40) => blamed = self.remote(world),
            Side::Downlink { vpc } if self.percent(20) || world.public(vpc, source).is_none() => {
                blamed = self.pair(world, vpc).map_or(source, |pair| pair.private);
            }
            _ => {}
        }
        match self.rng.u8(..100) {
            0..3 => destination = self.remote(world),
            3..5 => destination = self.in_prefix(&world.pools),
            5..7 => blamed = self.private_range(),
            7..9 => blamed = self.in_prefix(&world.pools),
            _ => {}
        }
        let mut quoted = self.quoted(destination, blamed);
        if let Some((_, receiver)) = flow.after
            && self.percent(5)
        {
            let public = match link.side {
                Side::Uplink => Some(blamed),
                Side::Downlink { vpc } => world.public(vpc, blamed),
            };
            let after = public.map(|public| (receiver, public));
            self.land_on_zero(&mut quoted, Flow { source: destination, destination: blamed, after });
        }
        let keep = match self.rng.u8(..100) {
            0..30 => 28,
            30..45 => self.rng.usize(20..=64),
            45..50 => self.rng.usize(..28),
            50..60 => 40,
            60..80 => 548,
            80..85 => 128,
            _ => quoted.len(),
        };
        let mut rest = if self.percent(85) { [0; 4] } else { self.rng.u32(..).to_be_bytes() };
        let (kind, code) = match self.rng.u8(..100) {
            0..25 => (3, self.rng.u8(..16)),
            25..50 => {
                let mtu = self.rng.u16(..1600);
                rest[2..].copy_from_slice(&mtu.to_be_bytes());
                (3, 4)
            }
            50..85 => (11, self.rng.u8(..2)),
            85..90 => (12, self.rng.u8(..3)),
            90..95 => (4, 0),
            95..97 => (5, self.rng.u8(..4)),
            _ => (*self.pick(&[3, 11]), self.rng.u8(..)),
        };
        let packet = packet.icmp_error(kind, code, rest, &quoted, keep);
        if self.percent(8) && keep < 500 { packet.extension(&[0, 8, 1, 1, 0, 1, 0x2f, 0xff]) } else { packet }
    }

    fn quoted(&mut self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let packet = Packet::new(source, destination);
        let packet = if self.percent(4) {
            let lost = Packet::new(destination, source).udp(1, 2, b"lost").build();
            let kind = *self.pick(&[3, 4, 5, 11, 12]);
            packet.icmp_error(kind, 0, [0; 4], &lost, 28)
        } else {
            self.transport(packet)
        };
        let mut bytes = self.header(packet, 8).build();
        bytes.truncate(2000);
        let start = Ip(&bytes).header_length();
        let zero_like = *self.pick(&[0, 0xffff, 0x1234_u16]);
        match self.rng.u8(..100) {
            0..6 => bytes[10..12].copy_from_slice(&zero_like.to_be_bytes()),
            6..12 => {
                let at = start + checksum_offset(bytes[9]).unwrap_or(0);
                if at + 2 <= bytes.len() {
                    bytes[at..at + 2].copy_from_slice(&zero_like.to_be_bytes());
                }
            }
            12..14 => bytes[0] = self.rng.u8(..),
            // An ordinary router's: the TTL is used up.
            14..40 => bytes[8] = 0,
            _ => {}
        }
        bytes
    }

    /// Chooses the packet's ID or a word of its L4 header so that a right checksum is zero before or after translation.
    fn land_on_zero(&mut self, packet: &mut [u8], flow: Flow) {
        let (old, new) = (addresses(flow.source, flow.destination), flow.after.map(|(a, b)| addresses(a, b)));
        let after = new.map_or(0, |new| fold(u64::from(new) + u64::from(!old)));
        let Some(ip) = Ip::parse(packet) else { return };
        let (start, end, protocol, later) = (ip.header_length(), ip.end(), ip.protocol(), ip.fragment_offset() != 0);
        let target = match self.rng.u8(..4) {
            0 => 0,
            1 => 0xffff,
            2 => after,
            // The outer checksum of an ICMP error changes the other way, with the quoted packet's checksum.
            _ if protocol == ICMP => !after,
            _ => fold(u64::from(after) + u64::from(!0x0100_u16)),
        };
        let (checksum, free) = match checksum_offset(protocol) {
            Some(at) if !later && self.percent(75) => (start + at, start + if protocol == ICMP { 4 } else { 0 }),
            _ => (10, 4),
        };
        if checksum + 2 <= end && free + 2 <= end {
            let parts = [word(packet, free), word(packet, checksum), !target];
            let value = fold(parts.into_iter().map(u64::from).sum());
            packet[free..free + 2].copy_from_slice(&value.to_be_bytes());
            packet[checksum..checksum + 2].copy_from_slice(&target.to_be_bytes());
            if checksum != 10 {
                frames::seal_header(packet);
            }
        }
    }

    // ---- frames ----

    fn mac(&mut self) -> Mac {
        let [_, _, a, b, c, d, e, f] = self.rng.u64(..).to_be_bytes();
        [a & 0xfe, b, c, d, e, f]
    }

    /// An empty frame that arrives by a link, mostly as it should.
    fn envelope(&mut self, link: &Link) -> Frame {
        let destination = match self.rng.u8(..200) {
            0 => [0xff; 6],
            1 => [1, 0, 0x5e, self.rng.u8(..128), self.rng.u8(..), self.rng.u8(..)],
            2 | 3 => self.mac(),
            4 => {
                let mut near = link.mac;
                near[self.rng.usize(..6)] ^= 1 << self.rng.u8(..8);
                near
            }
            _ => link.mac,
        };
        let mut frame = Frame::new(self.mac(), destination);
        let mut tags = link.tags.clone();
        if self.percent(2) {
            match self.rng.u8(..4) {
                0 => drop(tags.pop()),
                1 => tags.push(self.rng.u16(..4096)),
                2 => tags.insert(0, 0),
                _ => tags.iter_mut().for_each(|tag| *tag ^= 1),
            }
        }
        let count = tags.len();
        for (index, id) in tags.into_iter().enumerate() {
            let usual = if count == 2 && index == 0 { SERVICE_VLAN } else { VLAN };
            let tpid = if self.percent(90) { usual } else { *self.pick(&[VLAN, SERVICE_VLAN]) };
            let priority = if self.percent(80) { 0 } else { self.rng.u16(..16) << 12 };
            frame = frame.tag(tpid, id | priority);
        }
        frame
    }

    fn ending(&mut self, frame: Frame) -> Vec<u8> {
        match self.rng.u8(..100) {
            0..8 => {
                let length = self.rng.usize(1..50);
                let trailer = self.data(length);
                frame.trailer(&trailer).build()
            }
            8..40 => frame.padded().build(),
            _ => frame.build(),
        }
    }

    fn arp(&mut self, world: &World, link: &Link) -> Vec<u8> {
        let mut frame = self.envelope(link);
        let (mac, sender) = (self.mac(), self.remote(world));
        let pair = self.any_pair(world);
        let target = match self.rng.u8(..10) {
            0 => self.in_prefix(&world.pools),
            1 => self.own(world),
            2 => self.remote(world),
            _ => pair.map_or(sender, |pair| if self.percent(90) { pair.public } else { pair.private }),
        };
        let arp = match self.rng.u8(..10) {
            0 => Arp::probe(mac, target),
            1 => Arp::announcement(mac, target),
            2 => Arp::reply((mac, sender), (link.mac, target)),
            3 => Arp { operation: self.rng.u16(..4), ..Arp::request(mac, sender, target) },
            _ => Arp::request(mac, sender, target),
        };
        frame = frame.arp(&arp);
        let mut bytes = self.ending(frame);
        if self.percent(60) {
            bytes[..6].fill(0xff);
        }
        if self.percent(2) {
            let length = self.rng.usize(14..=bytes.len());
            bytes.truncate(length);
        }
        bytes
    }

    fn other_ethertype(&mut self, link: &Link) -> Vec<u8> {
        let length = self.length();
        let data = self.data(length);
        let other = self.rng.u16(..);
        let ethertype = *self.pick(&[IPV6, IPV6, ARP, VLAN, SERVICE_VLAN, 0x88cc, 0x9100, 0x05ff, 0x0600, 46, other]);
        self.envelope(link).carry(ethertype, &data).build()
    }

    // ---- damage ----

    /// Damages a frame in one way.
    pub fn mutate(&mut self, frame: &mut Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        match self.rng.u8(..100) {
            0..20 => {
                let at = self.rng.usize(..frame.len());
                frame[at] ^= 1 << self.rng.u8(..8);
            }
            20..30 => {
                let at = self.rng.usize(..frame.len().min(80));
                frame[at] = self.rng.u8(..);
            }
            30..42 => {
                let end = if self.percent(70) { frame.len().min(90) } else { frame.len() };
                let length = self.rng.usize(..=end);
                frame.truncate(length);
            }
            42..48 => {
                let length = self.rng.usize(1..80);
                frame.extend(self.data(length));
            }
            48..52 => {
                // Tags come, stay or go.
                if frame.len() >= 18 && self.percent(50) {
                    frame.drain(12..16);
                } else if frame.len() >= 14 {
                    let tag = [0x81, 0, 0, self.rng.u8(..8)];
                    frame.splice(12..12, tag);
                }
            }
            52..56 if frame.len() >= 12 => {
                let (destination, source) = frame.split_at_mut(6);
                destination.swap_with_slice(&mut source[..6]);
            }
            56..60 if frame.len() >= 2 => {
                let at = self.rng.usize(..frame.len() - 1);
                let value = *self.pick(&[0, 0xffff, 0x8100, 0x0800, 1, 0x8000_u16]);
                frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
            }
            _ => self.mutate_field(frame),
        }
    }

    fn mutate_field(&mut self, frame: &mut [u8]) {
        let fields = frames::fields(frame);
        if fields.is_empty() {
            return;
        }
        let field = self.pick(&fields);
        let bytes = &mut frame[field.at..field.at + field.length];
        match self.rng.u8(..6) {
            0 => bytes.fill(0),
            1 => bytes.fill(0xff),
            2 => {
                let last = bytes.len() - 1;
                let step = if self.rng.bool() { 1 } else { 0xff };
                bytes[last] = bytes[last].wrapping_add(step);
            }
            3 => bytes.iter_mut().for_each(|byte| *byte = self.rng.u8(..)),
            _ => {
                let at = self.rng.usize(..bytes.len());
                bytes[at] ^= 1 << self.rng.u8(..8);
            }
        }
    }
}

fn addresses(a: Ipv4Addr, b: Ipv4Addr) -> u16 {
    fold(u64::from(sum(&a.octets())) + u64::from(sum(&b.octets())))
}

/// Makes the IP header checksum of a frame right, where there is a header.
pub fn reseal(frame: &mut [u8]) {
    if let Some((IPV4, start)) = frames::payload(frame) {
        frames::seal_header(&mut frame[start..]);
    }
}

// ---- shrinking ----

/// How often [`shrink`] asks at most.
pub const SHRINK_ATTEMPTS: usize = 5000;

/// A frame as short and as full of zeros as can be found for which `still_fails` holds; the frame given must.
pub fn shrink(frame: &[u8], mut still_fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = frame.to_vec();
    let mut left = SHRINK_ATTEMPTS;
    while left > 0 {
        let before = best.clone();
        for step in STEPS {
            step(&best.clone(), &mut |candidate| {
                for (header, transport) in [(false, false), (true, false), (true, true)] {
                    let mut candidate = candidate.to_vec();
                    seal(&mut candidate, header, transport);
                    if left > 0 && weight(&candidate) < weight(&best) {
                        left -= 1;
                        if still_fails(&candidate) {
                            best = candidate;
                            return true;
                        }
                    }
                }
                false
            });
        }
        if best == before {
            break;
        }
    }
    best
}

/// Makes smaller frames of one, offering each; goes on from an accepted one where it can.
type ShrinkStep = fn(&[u8], &mut dyn FnMut(&[u8]) -> bool);

const STEPS: [ShrinkStep; 4] = [without_a_tag, without_options, shorter, emptier];

fn weight(frame: &[u8]) -> (usize, usize) {
    (frame.len(), frame.iter().filter(|byte| **byte != 0).count())
}

fn seal(frame: &mut [u8], header: bool, transport: bool) {
    if header {
        reseal(frame);
    }
    if transport && let Some((IPV4, start)) = frames::payload(frame) {
        frames::seal_transport(&mut frame[start..]);
    }
}

fn without_a_tag(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    if frame.len() >= 18 && matches!(word(frame, 12), VLAN | SERVICE_VLAN) {
        offer(&[&frame[..12], &frame[16..]].concat());
    }
}

fn without_options(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    let Some((IPV4, start)) = frames::payload(frame) else { return };
    let Some(ip) = Ip::parse(&frame[start..]).filter(|ip| ip.header_length() > 20) else { return };
    let (cut, total) = (ip.header_length() - 20, word(frame, start + 2));
    let mut plain = [&frame[..start + 20], &frame[start + 20 + cut..]].concat();
    plain[start] = 0x45;
    plain[start + 2..start + 4].copy_from_slice(&total.wrapping_sub(cut as u16).to_be_bytes());
    offer(&plain);
}

fn shorter(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    let (mut frame, mut cut) = (frame.to_vec(), frame.len() / 2);
    while cut > 0 {
        let plain = &frame[..frame.len().saturating_sub(cut)];
        if offer(plain) {
            frame = plain.to_vec();
            continue;
        }
        let mut fitted = plain.to_vec();
        if let Some((IPV4, start)) = frames::payload(plain)
            && plain.len() >= start + 4
        {
            let total = (plain.len() - start) as u16;
            fitted[start + 2..start + 4].copy_from_slice(&total.to_be_bytes());
            if offer(&fitted) {
                frame = fitted;
                continue;
            }
        }
        cut /= 2;
    }
}

fn emptier(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    let mut frame = frame.to_vec();
    let fields = frames::fields(&frame).into_iter().map(|field| field.at..field.at + field.length);
    let chunks = [256, 32, 4, 1].into_iter().flat_map(|size| {
        let length = frame.len();
        (0..length).step_by(size).map(move |at| at..(at + size).min(length))
    });
    for range in fields.chain(chunks).collect::<Vec<_>>() {
        let mut emptied = frame.clone();
        emptied[range].fill(0);
        if emptied != frame && offer(&emptied) {
            frame = emptied;
        }
    }
}

// ---- a world ----

/// A gateway with two uplinks (one on a VLAN) and five downlinks (untagged, tagged, double tagged) of three VPCs with
/// overlapping addresses. How a route goes depends on the last byte of where it leads, modulo 16; 15 is plain.
pub fn sample_world() -> World {
    let link = |ifindex: u32, tags: &[u16], side, address: Option<[u8; 4]>, connected: &[([u8; 4], u8)]| Link {
        ifindex,
        tags: tags.to_vec(),
        mac: [2, 0xe1, 0, ifindex as u8, 0, 1],
        address: address.map(Ipv4Addr::from),
        side,
        connected: connected.iter().map(|(prefix, length)| (Ipv4Addr::from(*prefix), *length)).collect(),
    };
    let down = |vpc| Side::Downlink { vpc };
    let links = vec![
        link(2, &[], Side::Uplink, Some([192, 0, 2, 1]), &[([192, 0, 2, 0], 24)]),
        link(2, &[100], Side::Uplink, None, &[]),
        link(3, &[], down(1), Some([10, 1, 0, 1]), &[([10, 1, 0, 0], 24)]),
        link(3, &[7], down(2), Some([10, 1, 0, 1]), &[([10, 1, 0, 0], 24)]),
        link(3, &[200, 7], down(3), Some([192, 168, 3, 1]), &[([192, 168, 3, 0], 24)]),
        link(4, &[], down(1), None, &[]),
        link(4, &[7], down(3), Some([192, 168, 4, 1]), &[]),
    ];
    let pairs = (0..96_u8).map(|index| {
        let (vpc, host) = (u32::from(index % 3) + 1, index / 3);
        let private = if vpc == 3 { [192, 168, 3, 16 + host] } else { [10, 1, 0, 16 + host] };
        let public = if index % 8 == 7 { [100, 64, 8, index / 8] } else { [198, 51, 100, 32 + index] };
        Pair { public: public.into(), vpc, private: private.into() }
    });
    World {
        route: Box::new(sample_route(links.clone())),
        links,
        pools: vec![(Ipv4Addr::new(198, 51, 100, 0), 24), (Ipv4Addr::new(100, 64, 8, 0), 27)],
        pairs: pairs.collect(),
        private_only: (1..4)
            .flat_map(|vpc| (0..16).map(move |host| (vpc, Ipv4Addr::new(10, 1, 0, 200 + host))))
            .collect(),
        own: vec![
            (Ipv4Addr::new(192, 0, 2, 1), None),
            (Ipv4Addr::new(198, 51, 100, 1), None),
            (Ipv4Addr::new(10, 1, 0, 1), Some(1)),
            (Ipv4Addr::new(10, 1, 0, 1), Some(2)),
            (Ipv4Addr::new(192, 168, 3, 1), Some(3)),
            (Ipv4Addr::new(11, 1, 1, 1), Some(3)),
        ],
        martian_exceptions: vec![(Ipv4Addr::new(10, 255, 0, 0), 16), (Ipv4Addr::new(127, 9, 0, 0), 16)],
        remotes: (0..32).map(|last| Ipv4Addr::new(9, 9, 9, last)).collect(),
        ..World::default()
    }
    .index()
}

fn sample_route(links: Vec<Link>) -> impl Fn(&crate::reference::Query) -> Route {
    move |query| {
        let last = query.destination.octets()[3];
        let of_way = |link: &&Link| match query.vpc {
            None => link.side == Side::Uplink,
            Some(vpc) => link.side == Side::Downlink { vpc },
        };
        let link = match last % 16 {
            6 => links.iter().find(|link| !of_way(link)),
            8 | 9 => links.iter().rfind(of_way),
            _ => links.iter().find(of_way),
        };
        let Some(link) = link else { return Route::NoRoute };
        let mtu = match last % 16 {
            7 | 8 => 1400,
            9 | 10 => 576,
            12 => 68,
            _ => 1500,
        };
        let (ifindex, tags) = (link.ifindex, link.tags.clone());
        match last % 16 {
            0 => Route::NoRoute,
            1 => Route::Unreachable,
            2 => Route::Blackhole,
            3 => Route::Prohibit,
            4 => Route::NotForwarded,
            5 | 10 => Route::NoNeighbour { ifindex, tags, mtu },
            11 => Route::Forward { ifindex: 99, tags, dst_mac: [2; 6], src_mac: link.mac, mtu },
            _ => Route::Forward { ifindex, tags, dst_mac: [2, 0xbb, 0, 0, 0, last], src_mac: link.mac, mtu },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{VERDICTS, judge};
    use std::collections::BTreeMap;

    #[test]
    fn reaches_every_verdict_often() {
        let (world, mut generator) = (sample_world(), Generator::new(7));
        let mut seen: BTreeMap<_, u32> = VERDICTS.into_iter().map(|verdict| (verdict, 0)).collect();
        for _ in 0..400_000 {
            let (ingress, frame) = generator.next(&world);
            assert!((14..=3500).contains(&frame.len()));
            *seen.entry(judge(&world, ingress, &frame).verdict).or_default() += 1;
        }
        println!("{seen:#?}");
        assert!(seen.values().all(|count| *count >= 100), "{seen:#?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_frames() {
        let world = sample_world();
        let (mut a, mut b) = (Generator::new(3), Generator::new(3));
        assert!((0..2000).all(|_| a.next(&world) == b.next(&world)));
    }

    #[test]
    fn checksums_land_on_zero_on_either_side() {
        let (world, mut generator) = (sample_world(), Generator::new(5));
        let mut seen = BTreeMap::<_, u32>::new();
        for _ in 0..400_000 {
            let (ingress, frame) = generator.next(&world);
            let judged = judge(&world, ingress, &frame);
            let Some(leaving) = judged.frame.filter(|_| matches!(judged.verdict, "inbound" | "outbound" | "hairpin"))
            else {
                continue;
            };
            for (when, bytes) in [("before", &frame), ("after", &leaving)] {
                for field in frames::fields(bytes).into_iter().filter(|field| field.name.ends_with("checksum")) {
                    let value = &bytes[field.at..field.at + field.length];
                    if matches!(value, [0, 0] | [0xff, 0xff]) {
                        *seen.entry((when, field.within, field.name, value[0])).or_default() += 1;
                    }
                }
            }
        }
        println!("{seen:#?}");
        for name in ["ip checksum", "tcp checksum", "icmp checksum", "dccp checksum"] {
            assert!(seen[&("before", "", name, 0)] > 20 && seen[&("after", "", name, 0)] > 20, "{name}");
        }
        assert!(
            seen[&("after", "", "udp checksum", 0xff)] > 20 && seen[&("after", "", "udp-lite checksum", 0xff)] > 20
        );
    }

    #[test]
    fn shrinks_to_the_heart_of_the_matter() {
        let (world, mut generator) = (sample_world(), Generator::new(11));
        for verdict in ["hairpin", "quotation-mismatch", "source-route", "outbound", "too-big-reply"] {
            let (ingress, frame) = loop {
                let (ingress, frame) = generator.next(&world);
                if judge(&world, ingress, &frame).verdict == verdict && frame.len() > 200 {
                    break (ingress, frame);
                }
            };
            let mut asked = 0;
            let small = shrink(&frame, |candidate| {
                asked += 1;
                judge(&world, ingress, candidate).verdict == verdict
            });
            assert_eq!(judge(&world, ingress, &small).verdict, verdict);
            assert!(asked <= SHRINK_ATTEMPTS);
            if verdict != "too-big-reply" {
                assert!(small.len() <= 14 + 8 + 20 + 40 + 20, "{}", frames::explain(&small));
            }
        }
    }
}
