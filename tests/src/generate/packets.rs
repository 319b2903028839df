//! What is in them: packets of every protocol, ICMP errors, ARP, and the Ethernet around them.

use std::net::Ipv4Addr;

use super::Generator;
use super::addresses::Flow;
use crate::frames::{
    self, ARP, Arp, DCCP, Frame, ICMP, IPV4, IPV6, Ip, Mac, Packet, SERVICE_VLAN, TCP, UDP, UDP_LITE, VLAN,
    checksum_offset, fold, sum, word,
};
use crate::reference::{Link, Side, World};

impl Generator {
    pub(super) fn ip_frame(&mut self, world: &World, link: &Link) -> Vec<u8> {
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

    pub(super) fn arp(&mut self, world: &World, link: &Link) -> Vec<u8> {
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

    pub(super) fn other_ethertype(&mut self, link: &Link) -> Vec<u8> {
        let length = self.length();
        let data = self.data(length);
        let other = self.rng.u16(..);
        let ethertype = *self.pick(&[IPV6, IPV6, ARP, VLAN, SERVICE_VLAN, 0x88cc, 0x9100, 0x05ff, 0x0600, 46, other]);
        self.envelope(link).carry(ethertype, &data).build()
    }
}

fn addresses(a: Ipv4Addr, b: Ipv4Addr) -> u16 {
    fold(u64::from(sum(&a.octets())) + u64::from(sum(&b.octets())))
}
