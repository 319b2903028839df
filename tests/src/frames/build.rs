//! Packets and frames under construction.

use std::net::Ipv4Addr;

use super::*;

/// What the L4 checksum of a built packet becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seal {
    Right,
    /// The right one plus this, in one's complement.
    Off(u16),
    Value(u16),
    /// The bare pseudo-header sum a local stack leaves for its device to finish.
    Unfinished,
    Untouched,
}

/// An IPv4 packet under construction. Without a protocol method it carries protocol 253 and nothing.
#[derive(Clone, Debug)]
pub struct Packet {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    tos: u8,
    id: u16,
    fragment: u16,
    options: Vec<u8>,
    protocol: u8,
    payload: Vec<u8>,
    total_length: Option<u16>,
    header_checksum: Option<u16>,
    seal: Seal,
}

impl Packet {
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            tos: 0,
            id: 0x1d1d,
            fragment: 0,
            options: Vec::new(),
            protocol: 253,
            payload: Vec::new(),
            total_length: None,
            header_checksum: None,
            seal: Seal::Right,
        }
    }
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }
    /// The whole former type-of-service byte, ECN bits included.
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }
    pub fn dont_fragment(mut self) -> Self {
        self.fragment |= DONT_FRAGMENT;
        self
    }
    pub fn more_fragments(mut self) -> Self {
        self.fragment |= MORE_FRAGMENTS;
        self
    }
    /// In units of eight bytes.
    pub fn fragment_offset(mut self, offset: u16) -> Self {
        self.fragment = self.fragment & !OFFSET | offset & OFFSET;
        self
    }
    /// Any options, padded with end-of-list to whole words; at most 40 bytes.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options[..options.len().min(40)].to_vec();
        self.options.resize(self.options.len().next_multiple_of(4), 0);
        self
    }
    pub fn total_length(mut self, length: u16) -> Self {
        self.total_length = Some(length);
        self
    }
    pub fn header_checksum(mut self, value: u16) -> Self {
        self.header_checksum = Some(value);
        self
    }
    pub fn transport_checksum(mut self, value: u16) -> Self {
        self.seal = Seal::Value(value);
        self
    }
    /// The right L4 checksum plus this error, in one's complement.
    pub fn wrong_checksum(mut self, error: u16) -> Self {
        self.seal = Seal::Off(error);
        self
    }
    pub fn unfinished_checksum(mut self) -> Self {
        self.seal = Seal::Unfinished;
        self
    }

    /// Any protocol with any bytes, left as they are.
    pub fn protocol(mut self, protocol: u8, payload: &[u8]) -> Self {
        self.seal = Seal::Untouched;
        self.carry(protocol, payload, &[])
    }
    /// A segment with ACK set and 20 bytes of header.
    pub fn tcp(self, source: u16, destination: u16, data: &[u8]) -> Self {
        let mut header = [0; 20];
        header[..4].copy_from_slice(&ports(source, destination));
        header[4..12].copy_from_slice(&[0x10, 0, 0, 1, 0x20, 0, 0, 1]);
        header[12..16].copy_from_slice(&[0x50, 0x10, 0xff, 0x00]);
        self.carry(TCP, &header, data)
    }
    /// Changes the flags of a TCP segment (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128).
    pub fn flags(mut self, flags: u8) -> Self {
        self.payload[13] = flags;
        self
    }
    /// Changes the sequence number of a TCP segment.
    pub fn sequence(mut self, number: u32) -> Self {
        self.payload[4..8].copy_from_slice(&number.to_be_bytes());
        self
    }
    pub fn udp(self, source: u16, destination: u16, data: &[u8]) -> Self {
        let mut header = [0; 8];
        header[..4].copy_from_slice(&ports(source, destination));
        header[4..6].copy_from_slice(&(8 + data.len() as u16).to_be_bytes());
        self.carry(UDP, &header, data)
    }
    /// UDP whose sender computed no checksum.
    pub fn udp_without_checksum(self, source: u16, destination: u16, data: &[u8]) -> Self {
        self.udp(source, destination, data).transport_checksum(0)
    }
    /// `coverage` 0 covers everything; otherwise 8 or more.
    pub fn udp_lite(self, source: u16, destination: u16, coverage: u16, data: &[u8]) -> Self {
        let mut header = [0; 8];
        header[..4].copy_from_slice(&ports(source, destination));
        header[4..6].copy_from_slice(&coverage.to_be_bytes());
        self.carry(UDP_LITE, &header, data)
    }
    /// A DCCP-Data packet with the long sequence number.
    pub fn dccp(self, source: u16, destination: u16, data: &[u8]) -> Self {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&ports(source, destination));
        header[4..10].copy_from_slice(&[4, 0, 0, 0, (2 << 1) | 1, 0]);
        header[15] = 1;
        self.carry(DCCP, &header, data)
    }
    pub fn sctp(self, source: u16, destination: u16, chunks: &[u8]) -> Self {
        let mut header = [0; 12];
        header[..4].copy_from_slice(&ports(source, destination));
        header[4..8].copy_from_slice(&[0xca, 0xfe, 0, 1]);
        self.carry(SCTP, &header, chunks)
    }
    /// GRE without key, sequence or checksum.
    pub fn gre(self, ethertype: u16, inner: &[u8]) -> Self {
        let [high, low] = ethertype.to_be_bytes();
        self.carry(GRE, &[0, 0, high, low], inner)
    }
    pub fn esp(self, spi: u32, sequence: u32, data: &[u8]) -> Self {
        let (spi, sequence) = (spi.to_be_bytes(), sequence.to_be_bytes());
        self.carry(ESP, &[spi, sequence].concat(), data)
    }
    /// An authentication header with a 12 byte integrity value.
    pub fn ah(self, next: u8, spi: u32, data: &[u8]) -> Self {
        let mut header = [0x5a; 24];
        header[..4].copy_from_slice(&[next, 4, 0, 0]);
        header[4..8].copy_from_slice(&spi.to_be_bytes());
        header[8..12].copy_from_slice(&[0, 0, 0, 1]);
        self.carry(AH, &header, data)
    }
    /// IP in IP, around a packet already built.
    pub fn ipip(self, inner: &[u8]) -> Self {
        self.carry(IPIP, &[], inner)
    }
    /// Any ICMP message; `rest` are header bytes 4 to 8.
    pub fn icmp(self, kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Self {
        let [a, b, c, d] = rest;
        self.carry(ICMP, &[kind, code, 0, 0, a, b, c, d], data)
    }
    pub fn echo(self, identifier: u16, sequence: u16, data: &[u8]) -> Self {
        self.icmp(8, 0, ports(identifier, sequence), data)
    }
    pub fn echo_reply(self, identifier: u16, sequence: u16, data: &[u8]) -> Self {
        self.icmp(0, 0, ports(identifier, sequence), data)
    }
    pub fn timestamp(self, identifier: u16, sequence: u16) -> Self {
        self.icmp(13, 0, ports(identifier, sequence), &[0; 12])
    }
    /// An ICMP error quoting at most `keep` bytes of a packet.
    pub fn icmp_error(self, kind: u8, code: u8, rest: [u8; 4], quoted: &[u8], keep: usize) -> Self {
        self.icmp(kind, code, rest, &quoted[..quoted.len().min(keep)])
    }
    /// Fragmentation needed, telling an MTU.
    pub fn too_big(self, mtu: u16, quoted: &[u8], keep: usize) -> Self {
        let [high, low] = mtu.to_be_bytes();
        self.icmp_error(3, 4, [0, 0, high, low], quoted, keep)
    }
    /// Turns an ICMP error into one with RFC 4884 length and extension: the quotation is padded to 128 bytes or
    /// whole words, its length noted, and an extension structure with these objects appended.
    pub fn extension(mut self, objects: &[u8]) -> Self {
        let quoted = (self.payload.len() - 8).max(128).next_multiple_of(4);
        self.payload.resize(8 + quoted, 0);
        self.payload[5] = (quoted / 4) as u8;
        let mut structure = [&[0x20, 0, 0, 0], objects].concat();
        let right = !sum(&structure);
        structure[2..4].copy_from_slice(&right.to_be_bytes());
        self.payload.extend(structure);
        self
    }

    fn carry(mut self, protocol: u8, header: &[u8], data: &[u8]) -> Self {
        self.protocol = protocol;
        self.payload = Vec::with_capacity(header.len() + data.len());
        self.payload.extend_from_slice(header);
        self.payload.extend_from_slice(data);
        self
    }

    /// The packet's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        self.write(&mut packet);
        packet
    }

    /// Appends the packet's bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let length = 20 + self.options.len();
        bytes.reserve(length + self.payload.len());
        bytes.extend_from_slice(&[0x40 | (length / 4) as u8, self.tos]);
        let total = self.total_length.unwrap_or((length + self.payload.len()) as u16);
        for field in [total, self.id, self.fragment] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&[self.ttl, self.protocol, 0, 0]);
        bytes.extend_from_slice(&self.source.octets());
        bytes.extend_from_slice(&self.destination.octets());
        bytes.extend_from_slice(&self.options);
        bytes.extend_from_slice(&self.payload);
        let packet = &mut bytes[start..];
        match self.header_checksum {
            Some(value) => packet[10..12].copy_from_slice(&value.to_be_bytes()),
            None => seal_header(packet),
        }
        if self.fragment & OFFSET == 0 && self.seal != Seal::Untouched {
            self.seal(packet, length);
        }
    }

    fn seal(&self, packet: &mut [u8], start: usize) {
        if self.seal == Seal::Right {
            return seal_transport(packet);
        }
        let Some(at) = checksum_offset(self.protocol).map(|at| start + at) else { return };
        if packet.len() < at + 2 {
            return;
        }
        let value = match self.seal {
            Seal::Off(error) => {
                seal_transport(packet);
                fold(u64::from(word(packet, at)) + u64::from(error))
            }
            Seal::Value(value) => value,
            _ => pseudo_header_sum(self.protocol, self.source, self.destination, packet.len() - start),
        };
        packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

fn ports(source: u16, destination: u16) -> [u8; 4] {
    ((u32::from(source) << 16) | u32::from(destination)).to_be_bytes()
}

/// Cuts an option-less packet into fragments whose total length is at most `mtu`, as a router would.
pub fn fragments(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let (header, data) = packet.split_at(20);
    let piece = (mtu - 20) & !7;
    let mut cut: Vec<Vec<u8>> = data.chunks(piece).map(|part| [header, part].concat()).collect();
    let count = cut.len();
    for (index, fragment) in cut.iter_mut().enumerate() {
        let more = if index + 1 < count { MORE_FRAGMENTS } else { 0 };
        let place = (word(header, 6) + (index * piece / 8) as u16) | more;
        let length = fragment.len() as u16;
        fragment[2..4].copy_from_slice(&length.to_be_bytes());
        fragment[6..8].copy_from_slice(&place.to_be_bytes());
        seal_header(fragment);
    }
    cut
}

/// An ARP message for Ethernet and IPv4.
#[derive(Clone, Copy, Debug)]
pub struct Arp {
    pub operation: u16,
    pub sender: (Mac, Ipv4Addr),
    pub target: (Mac, Ipv4Addr),
}

impl Arp {
    pub fn request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { operation: 1, sender: (mac, sender), target: ([0; 6], target) }
    }
    pub fn probe(mac: Mac, target: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, target)
    }
    pub fn announcement(mac: Mac, address: Ipv4Addr) -> Self {
        Self::request(mac, address, address)
    }
    pub fn reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Self {
        Self { operation: 2, sender, target }
    }
    pub fn bytes(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        bytes[6..8].copy_from_slice(&self.operation.to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender.0);
        bytes[14..18].copy_from_slice(&self.sender.1.octets());
        bytes[18..24].copy_from_slice(&self.target.0);
        bytes[24..28].copy_from_slice(&self.target.1.octets());
        bytes
    }
}

/// An Ethernet frame under construction.
#[derive(Clone, Debug)]
pub struct Frame {
    source: Mac,
    destination: Mac,
    tags: Vec<(u16, u16)>,
    ethertype: u16,
    payload: Vec<u8>,
    trailer: Vec<u8>,
    padded: bool,
}

impl Frame {
    pub fn new(source: Mac, destination: Mac) -> Self {
        let (tags, payload, trailer) = Default::default();
        Self { source, destination, tags, ethertype: IPV4, payload, trailer, padded: false }
    }
    pub fn vlan(self, id: u16) -> Self {
        self.tag(VLAN, id)
    }
    pub fn qinq(self, outer: u16, inner: u16) -> Self {
        self.tag(SERVICE_VLAN, outer).tag(VLAN, inner)
    }
    /// Tags as a link of the gateway has them: none, one, or an outer and an inner one.
    pub fn tags(self, ids: &[u16]) -> Self {
        match ids {
            [] => self,
            [id] => self.vlan(*id),
            [outer, inner] => self.qinq(*outer, *inner),
            _ => panic!("a link has two tags at most"),
        }
    }
    /// One more tag with any TPID and any tag control (priority, drop eligibility, id).
    pub fn tag(mut self, tpid: u16, control: u16) -> Self {
        self.tags.push((tpid, control));
        self
    }
    /// Changes the TPID of a tag, the outer one being 0.
    pub fn tpid(mut self, tag: usize, tpid: u16) -> Self {
        self.tags[tag].0 = tpid;
        self
    }
    /// Sets the priority and drop eligibility bits (the upper four) of a tag.
    pub fn priority(mut self, tag: usize, bits: u16) -> Self {
        self.tags[tag].1 |= bits << 12;
        self
    }
    pub fn ip(mut self, packet: &Packet) -> Self {
        self.ethertype = IPV4;
        packet.write(&mut self.payload);
        self
    }
    pub fn arp(self, arp: &Arp) -> Self {
        self.carry(ARP, &arp.bytes())
    }
    pub fn carry(mut self, ethertype: u16, payload: &[u8]) -> Self {
        self.ethertype = ethertype;
        self.payload = payload.to_vec();
        self
    }
    /// Bytes after the payload that belong to no packet.
    pub fn trailer(mut self, bytes: &[u8]) -> Self {
        self.trailer = bytes.to_vec();
        self
    }
    /// Pads with zeros to Ethernet's 60 bytes.
    pub fn padded(mut self) -> Self {
        self.padded = true;
        self
    }
    pub fn build(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(64 + self.payload.len() + self.trailer.len());
        frame.extend_from_slice(&self.destination);
        frame.extend_from_slice(&self.source);
        for (tpid, control) in &self.tags {
            frame.extend_from_slice(&tpid.to_be_bytes());
            frame.extend_from_slice(&control.to_be_bytes());
        }
        frame.extend_from_slice(&self.ethertype.to_be_bytes());
        frame.extend_from_slice(&self.payload);
        frame.extend_from_slice(&self.trailer);
        if self.padded && frame.len() < 60 {
            frame.resize(60, 0);
        }
        frame
    }
}
