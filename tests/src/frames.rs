//! Ethernet frames for the packet-path tests: built byte by byte with every checksum computed in full, taken apart
//! again in words ([`explain`]), verified ([`verify_checksums`]) and compared field by field ([`diff`]).
//!
//! ```ignore
//! let lost = Packet::new(remote, private).udp(5000, 53, b"query").build();
//! let error = Packet::new(private, remote).ttl(9).icmp_error(3, 3, [0; 4], &lost, 28);
//! let frame = Frame::new(host_mac, gateway_mac).vlan(7).ip(&error).build();
//! println!("{}", explain(&frame));
//! ```

use std::fmt::Write;
use std::net::Ipv4Addr;

use etherparse::{EtherType, IpNumber};

pub type Mac = [u8; 6];

pub const IPV4: u16 = 0x0800;
pub const ARP: u16 = 0x0806;
pub const IPV6: u16 = 0x86dd;
pub const VLAN: u16 = 0x8100;
pub const SERVICE_VLAN: u16 = 0x88a8;

pub const ICMP: u8 = 1;
pub const IPIP: u8 = 4;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const DCCP: u8 = 33;
pub const GRE: u8 = 47;
pub const ESP: u8 = 50;
pub const AH: u8 = 51;
pub const SCTP: u8 = 132;
pub const UDP_LITE: u8 = 136;

pub const DONT_FRAGMENT: u16 = 0x4000;
pub const MORE_FRAGMENTS: u16 = 0x2000;
pub const OFFSET: u16 = 0x1fff;

// ---- checksum arithmetic ----

/// Folds a sum of 16 or 32 bit words to the 16 bit one's-complement sum.
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The one's-complement sum of the bytes as big-endian 16 bit words, an odd last byte padded with zero.
pub fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(4);
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    let total: u64 = words.map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))).sum();
    fold(total + u64::from(u32::from_be_bytes(last)))
}

/// The sum of the pseudo-header that TCP, UDP, UDP-Lite and DCCP put before their segment.
pub fn pseudo_header_sum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> u16 {
    fold(u64::from(u32::from(source)) + u64::from(u32::from(destination)) + u64::from(protocol) + length as u64)
}

/// Where in its header a protocol keeps a 16 bit one's-complement checksum.
pub fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP | UDP_LITE | DCCP => Some(6),
        ICMP => Some(2),
        _ => None,
    }
}

/// The right checksum of `covered` (a segment, or the part of it under the checksum), whatever its field holds.
/// `length` goes into the pseudo-header. 0 stands for 0; senders of UDP and UDP-Lite turn it into 0xffff.
pub fn right_checksum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, length: usize, covered: &[u8]) -> u16 {
    let at = checksum_offset(protocol).expect("a protocol with a checksum");
    let pseudo = if protocol == ICMP { 0 } else { pseudo_header_sum(protocol, source, destination, length) };
    let parts = [pseudo, sum(&covered[..at]), sum(&covered[at + 2..])];
    !fold(parts.into_iter().map(u64::from).sum())
}

/// CRC32c as SCTP uses it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut crc, mut bit) = (index as u32, 0);
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// Makes the IPv4 header that starts the bytes right; leaves alone what is no whole header.
pub fn seal_header(packet: &mut [u8]) {
    let length = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if length >= 20 && length <= packet.len() {
        let right = right_header_checksum(&packet[..length]);
        packet[10..12].copy_from_slice(&right.to_be_bytes());
    }
}

/// The right checksum of an IPv4 header, whatever its field holds.
pub fn right_header_checksum(header: &[u8]) -> u16 {
    !fold(u64::from(sum(&header[..10])) + u64::from(sum(&header[12..])))
}

/// Computes the L4 checksum of an unfragmented IPv4 packet anew, as far as it has one and is long enough.
pub fn seal_transport(packet: &mut [u8]) {
    let Some(ip) = Ip::parse(packet) else { return };
    let (protocol, source, destination, start, end) =
        (ip.protocol(), ip.source(), ip.destination(), ip.header_length(), ip.end());
    if let Some(right) = transport_checksum(protocol, source, destination, &packet[start..end]) {
        let at = start + checksum_offset(protocol).expect("it has just been computed");
        let right = if right == 0 && matches!(protocol, UDP | UDP_LITE) { 0xffff } else { right };
        packet[at..at + 2].copy_from_slice(&right.to_be_bytes());
    } else if protocol == SCTP && end - start >= 12 {
        let at = start + 8;
        packet[at..at + 4].fill(0);
        let crc = crc32c(&packet[start..end]);
        packet[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The right checksum of a whole segment by its protocol's own rules of length and coverage;
/// `None` where there is none, or the segment's length fields make no sense.
pub fn transport_checksum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> Option<u16> {
    let at = checksum_offset(protocol)?;
    if segment.len() < at + 2 || (matches!(protocol, UDP | UDP_LITE) && segment.len() < 8) {
        return None;
    }
    let (length, covered) = match protocol {
        UDP => (usize::from(word(segment, 4)), usize::from(word(segment, 4))),
        UDP_LITE if word(segment, 4) == 0 => (segment.len(), segment.len()),
        UDP_LITE => (segment.len(), usize::from(word(segment, 4))),
        DCCP if segment[5] & 15 == 0 => (segment.len(), segment.len()),
        DCCP => (segment.len(), usize::from(segment[4]) * 4 + (usize::from(segment[5] & 15) - 1) * 4),
        _ => (segment.len(), segment.len()),
    };
    (at + 2..=segment.len())
        .contains(&covered)
        .then(|| right_checksum(protocol, source, destination, length, &segment[..covered]))
}

// ---- looking at bytes ----

/// The 16 bit word at an offset.
pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The IPv4 address at an offset.
pub fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// Whether an ICMP type is one of the errors, redirect among them.
pub fn is_icmp_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// Where the payload of the Ethernet header and however many tags begins, and its type.
pub fn payload(frame: &[u8]) -> Option<(u16, usize)> {
    let mut at = 12;
    loop {
        let ethertype = word(frame.get(at..at + 2)?, 0);
        if !matches!(ethertype, VLAN | SERVICE_VLAN) {
            return Some((ethertype, at + 2));
        }
        at += 4;
    }
}

/// An IPv4 packet whose header is whole, lenient about everything else.
#[derive(Clone, Copy)]
pub struct Ip<'a>(pub &'a [u8]);

impl<'a> Ip<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let ip = Self(bytes);
        (bytes.len() >= 20 && bytes[0] >> 4 == 4 && ip.header_length() >= 20 && ip.header_length() <= bytes.len())
            .then_some(ip)
    }
    pub fn header_length(self) -> usize {
        usize::from(self.0[0] & 15) * 4
    }
    pub fn total_length(self) -> usize {
        usize::from(word(self.0, 2))
    }
    /// Where the packet ends in its bytes: by its total length, or where it was cut.
    pub fn end(self) -> usize {
        self.total_length().clamp(self.header_length(), self.0.len().max(self.header_length()))
    }
    pub fn is_whole(self) -> bool {
        (self.header_length()..=self.0.len()).contains(&self.total_length())
    }
    pub fn protocol(self) -> u8 {
        self.0[9]
    }
    pub fn ttl(self) -> u8 {
        self.0[8]
    }
    pub fn source(self) -> Ipv4Addr {
        address(self.0, 12)
    }
    pub fn destination(self) -> Ipv4Addr {
        address(self.0, 16)
    }
    /// In units of eight bytes.
    pub fn fragment_offset(self) -> u16 {
        word(self.0, 6) & OFFSET
    }
    pub fn is_fragment(self) -> bool {
        word(self.0, 6) & (OFFSET | MORE_FRAGMENTS) != 0
    }
    pub fn header(self) -> &'a [u8] {
        &self.0[..self.header_length()]
    }
    pub fn payload(self) -> &'a [u8] {
        &self.0[self.header_length()..self.end()]
    }
    /// The packet quoted by an ICMP error.
    pub fn quotation(self) -> Option<&'a [u8]> {
        let icmp = self.payload();
        (self.protocol() == ICMP && self.fragment_offset() == 0 && icmp.len() > 8 && is_icmp_error(icmp[0]))
            .then(|| &icmp[8..])
    }
}

// ---- building ----

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

// ---- fields ----

/// A field of a frame: where it lies and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub at: usize,
    pub length: usize,
    /// `""`, `"quoted "` (by an ICMP error) or `"inner "` (of IP in IP).
    pub within: &'static str,
    pub name: &'static str,
}

impl Field {
    /// A checksum for which 0x0000 and 0xffff mean the same.
    pub fn is_plain_checksum(&self) -> bool {
        self.within != "inner "
            && matches!(self.name, "ip checksum" | "tcp checksum" | "icmp checksum" | "dccp checksum")
    }
}

/// Every field of a frame, as far as its bytes reach, in order.
pub fn fields(frame: &[u8]) -> Vec<Field> {
    let mut walk = Walk { frame, fields: Vec::with_capacity(40), within: "" };
    walk.row(0, frame.len(), &[(6, "ethernet destination"), (6, "ethernet source")]);
    let Some((ethertype, start)) = payload(frame) else {
        walk.row(12, frame.len(), &[(2, "ethernet type"), (2, "tag control"), (2, "ethernet type")]);
        return walk.fields;
    };
    for at in (12..start - 2).step_by(4) {
        walk.row(at, frame.len(), &[(2, "tag type"), (2, "tag control")]);
    }
    walk.row(start - 2, frame.len(), &[(2, "ethernet type")]);
    match ethertype {
        IPV4 => walk.ip(start, frame.len()),
        ARP => walk.row(start, frame.len(), ARP_ROW),
        _ => {}
    }
    walk.fields
}

const ARP_ROW: &[(usize, &str)] = &[
    (2, "arp hardware type"),
    (2, "arp protocol type"),
    (1, "arp hardware length"),
    (1, "arp protocol length"),
    (2, "arp operation"),
    (6, "arp sender mac"),
    (4, "arp sender address"),
    (6, "arp target mac"),
    (4, "arp target address"),
];
const IP_ROW: &[(usize, &str)] = &[
    (1, "ip version and header length"),
    (1, "ip tos"),
    (2, "ip total length"),
    (2, "ip id"),
    (2, "ip fragment"),
    (1, "ip ttl"),
    (1, "ip protocol"),
    (2, "ip checksum"),
    (4, "ip source"),
    (4, "ip destination"),
];
const TCP_ROW: &[(usize, &str)] = &[
    (2, "tcp source port"),
    (2, "tcp destination port"),
    (4, "tcp sequence"),
    (4, "tcp acknowledgement"),
    (1, "tcp data offset"),
    (1, "tcp flags"),
    (2, "tcp window"),
    (2, "tcp checksum"),
    (2, "tcp urgent pointer"),
];
const UDP_ROW: &[(usize, &str)] =
    &[(2, "udp source port"), (2, "udp destination port"), (2, "udp length"), (2, "udp checksum")];
const UDP_LITE_ROW: &[(usize, &str)] = &[
    (2, "udp-lite source port"),
    (2, "udp-lite destination port"),
    (2, "udp-lite coverage"),
    (2, "udp-lite checksum"),
];
const DCCP_ROW: &[(usize, &str)] = &[
    (2, "dccp source port"),
    (2, "dccp destination port"),
    (1, "dccp data offset"),
    (1, "dccp coverage"),
    (2, "dccp checksum"),
];
const SCTP_ROW: &[(usize, &str)] =
    &[(2, "sctp source port"), (2, "sctp destination port"), (4, "sctp tag"), (4, "sctp checksum")];
const ICMP_ROW: &[(usize, &str)] =
    &[(1, "icmp type"), (1, "icmp code"), (2, "icmp checksum"), (2, "icmp word 4"), (2, "icmp word 6")];

struct Walk<'a> {
    frame: &'a [u8],
    fields: Vec<Field>,
    within: &'static str,
}

impl Walk<'_> {
    fn row(&mut self, mut at: usize, end: usize, row: &[(usize, &'static str)]) {
        for &(length, name) in row {
            if at + length > end {
                return;
            }
            self.fields.push(Field { at, length, within: self.within, name });
            at += length;
        }
    }

    fn ip(&mut self, at: usize, end: usize) {
        self.row(at, end, IP_ROW);
        let Some(ip) = Ip::parse(&self.frame[at..end]) else { return };
        let (start, end) = (at + ip.header_length(), at + ip.end());
        if ip.header_length() > 20 {
            self.row(at + 20, start, &[(ip.header_length() - 20, "ip options")]);
        }
        if ip.fragment_offset() != 0 {
            return self.rest(start, end);
        }
        let row = match ip.protocol() {
            TCP => TCP_ROW,
            UDP => UDP_ROW,
            UDP_LITE => UDP_LITE_ROW,
            DCCP => DCCP_ROW,
            SCTP => SCTP_ROW,
            ICMP => ICMP_ROW,
            _ => &[],
        };
        self.row(start, end, row);
        if self.within.is_empty() && (ip.quotation().is_some() || ip.protocol() == IPIP) {
            let (within, skip) = if ip.protocol() == IPIP { ("inner ", 0) } else { ("quoted ", 8) };
            self.within = within;
            self.ip(start + skip, end);
        } else {
            self.rest(start + row.iter().map(|(length, _)| length).sum::<usize>(), end);
        }
    }

    fn rest(&mut self, at: usize, end: usize) {
        if at < end {
            self.fields.push(Field { at, length: end - at, within: self.within, name: "data" });
        }
    }
}

/// Names the fields in which two frames differ, one to a line; empty when they are equal.
pub fn diff(a: &[u8], b: &[u8]) -> String {
    let mut text = String::new();
    if a.len() != b.len() {
        let _ = writeln!(text, "length: {} -> {}", a.len(), b.len());
    }
    let end = a.len().min(b.len());
    let mut named = vec![false; end];
    for field in fields(a) {
        let range = field.at..(field.at + field.length).min(end);
        if range.start >= range.end {
            continue;
        }
        named[range.clone()].fill(true);
        if a[range.clone()] == b[range.clone()] {
            continue;
        }
        let first = range.clone().find(|at| a[*at] != b[*at]).expect("they differ");
        let shown = if range.len() <= 6 { range } else { first..range.end.min(first + 8) };
        let (old, new) = (hex(&a[shown.clone()]), hex(&b[shown.clone()]));
        let _ = write!(text, "{}{} @{}: {old} -> {new}", field.within, field.name, shown.start);
        if field.length == 4 && matches!(field.name, "ip source" | "ip destination") {
            let _ = write!(text, " ({} -> {})", address(a, field.at), address(b, field.at));
        }
        text.push('\n');
    }
    if let Some(at) = (0..end).find(|at| !named[*at] && a[*at] != b[*at]) {
        let last = (at..end).rfind(|at| !named[*at] && a[*at] != b[*at]).expect("there is a first");
        let _ = writeln!(text, "unnamed bytes @{at}..={last}: {:02x} -> {:02x} first", a[at], b[at]);
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

// ---- explaining ----

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// A readable description of a frame, a line or two for each layer.
pub fn explain(frame: &[u8]) -> String {
    let mut text = String::new();
    if frame.len() < 14 {
        return format!("{} bytes, no Ethernet header: {}\n", frame.len(), hex(frame));
    }
    let _ = write!(text, "ethernet {} > {}, {} bytes", mac(&frame[6..12]), mac(&frame[..6]), frame.len());
    let Some((ethertype, start)) = payload(frame) else {
        return text + ", cut inside a VLAN tag\n";
    };
    for at in (12..start - 2).step_by(4) {
        let control = word(frame, at + 2);
        let _ = write!(text, ", vlan {} (tpid {:04x}", control & 0xfff, word(frame, at));
        let _ = if control >> 12 != 0 { write!(text, ", priority {:x})", control >> 12) } else { write!(text, ")") };
    }
    let body = &frame[start..];
    match ethertype {
        IPV4 => {
            let used = Ip::parse(body).map_or(body.len(), Ip::end);
            if used < body.len() {
                let _ = write!(text, ", trailer {} bytes", body.len() - used);
            }
            text.push('\n');
            explain_ip(&mut text, body, "");
        }
        ARP if body.len() >= 28 => {
            let operation = match word(body, 6) {
                1 => "request".into(),
                2 => "reply".into(),
                other => format!("operation {other}"),
            };
            let odd = if body[..6] == [0, 1, 8, 0, 6, 4] { "" } else { " (not Ethernet/IPv4)" };
            let (sender, target) = (address(body, 14), address(body, 24));
            let (sender_mac, target_mac) = (mac(&body[8..14]), mac(&body[18..24]));
            let _ = writeln!(text, "\narp {operation}{odd}: {sender} at {sender_mac} > {target} at {target_mac}");
        }
        other => {
            let _ = writeln!(text, ", {:?}, {} bytes: {}", EtherType(other), body.len(), hex(head(body)));
        }
    }
    text
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(32)]
}

fn explain_ip(text: &mut String, bytes: &[u8], indent: &str) {
    let Some(ip) = Ip::parse(bytes) else {
        let _ = writeln!(text, "{indent}no whole IPv4 header in {} bytes: {}", bytes.len(), hex(head(bytes)));
        return;
    };
    let (fragment, protocol) = (word(bytes, 6), ip.protocol());
    let _ = write!(text, "{indent}ip {} > {}, ttl {}, ", ip.source(), ip.destination(), ip.ttl());
    let _ = match IpNumber(protocol).keyword_str() {
        Some(name) => write!(text, "{name} ({protocol})"),
        None => write!(text, "protocol {protocol}"),
    };
    let _ = write!(text, ", length {}", ip.total_length());
    if !ip.is_whole() {
        let _ = write!(text, " (present {})", bytes.len());
    }
    let _ = write!(text, ", id {:04x}, tos {:02x}", word(bytes, 4), bytes[1]);
    for (bit, name) in [(0x8000, "RESERVED"), (DONT_FRAGMENT, "DF"), (MORE_FRAGMENTS, "MF")] {
        if fragment & bit != 0 {
            let _ = write!(text, ", {name}");
        }
    }
    if fragment & OFFSET != 0 {
        let _ = write!(text, ", fragment at {}", (fragment & OFFSET) * 8);
    }
    if ip.header_length() > 20 {
        let _ = write!(text, ", options {}", hex(&ip.header()[20..]));
    }
    text.push_str(", checksum ");
    judge_checksum(text, word(bytes, 10), right_header_checksum(ip.header()));
    text.push('\n');
    if ip.fragment_offset() != 0 {
        let _ = writeln!(text, "{indent}  later fragment, {} bytes", ip.payload().len());
        return;
    }
    explain_transport(text, ip, indent);
}

fn judge_checksum(text: &mut String, found: u16, right: u16) {
    let same = found % 0xffff == right % 0xffff;
    let _ = write!(text, "{found:04x}");
    let _ = if same { write!(text, " right") } else { write!(text, " WRONG, should be {right:04x}") };
}

fn explain_transport(text: &mut String, ip: Ip, indent: &str) {
    let (protocol, segment) = (ip.protocol(), ip.payload());
    let _ = write!(text, "{indent}  ");
    if matches!(protocol, TCP | UDP | UDP_LITE | DCCP | SCTP) && segment.len() >= 4 {
        let _ = write!(text, "ports {} > {}, ", word(segment, 0), word(segment, 2));
    }
    match protocol {
        TCP if segment.len() >= 14 => {
            let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
            let set = names.iter().enumerate().filter(|(bit, _)| segment[13] >> bit & 1 == 1);
            let flags = set.map(|(_, name)| *name).collect::<Vec<_>>().join("+");
            let number = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
            let _ = write!(text, "{}, seq {number}, ", if flags.is_empty() { "no flags" } else { &flags });
        }
        UDP | UDP_LITE if segment.len() >= 6 => {
            let name = if protocol == UDP { "length" } else { "coverage" };
            let _ = write!(text, "{name} {}, ", word(segment, 4));
        }
        ICMP if segment.len() >= 2 => {
            let _ = write!(text, "{} (type {} code {})", icmp_name(segment[0]), segment[0], segment[1]);
            if segment.len() >= 8 {
                let _ = write!(text, " {:04x} {:04x}", word(segment, 4), word(segment, 6));
            }
            text.push_str(", ");
        }
        _ => {}
    }
    let at = checksum_offset(protocol);
    match at.filter(|at| at + 2 <= segment.len()).map(|at| word(segment, at)) {
        Some(0) if protocol == UDP => text.push_str("no checksum, "),
        Some(found) => {
            text.push_str("checksum ");
            let right = transport_checksum(protocol, ip.source(), ip.destination(), segment);
            match right.filter(|_| ip.is_whole() && !ip.is_fragment()) {
                Some(right) => judge_checksum(text, found, right),
                None => drop(write!(text, "{found:04x} not verifiable")),
            }
            let bare = pseudo_header_sum(protocol, ip.source(), ip.destination(), segment.len());
            let unfinished = protocol != ICMP && found == bare;
            text.push_str(if unfinished { " (the bare pseudo-header sum), " } else { ", " });
        }
        None => {}
    }
    let _ = writeln!(text, "{} bytes", segment.len());
    if let Some(quoted) = ip.quotation() {
        if segment[5] != 0 {
            let _ = writeln!(text, "{indent}  rfc 4884 quotation length {}", usize::from(segment[5]) * 4);
        }
        let _ = writeln!(text, "{indent}  quoting {} bytes:", quoted.len());
        explain_ip(text, quoted, &format!("{indent}    "));
    } else if protocol == IPIP {
        explain_ip(text, segment, &format!("{indent}    "));
    }
}

fn icmp_name(kind: u8) -> &'static str {
    match kind {
        0 => "echo reply",
        3 => "destination unreachable",
        4 => "source quench",
        5 => "redirect",
        8 => "echo request",
        9 => "router advertisement",
        10 => "router solicitation",
        11 => "time exceeded",
        12 => "parameter problem",
        13 => "timestamp request",
        14 => "timestamp reply",
        17 => "address mask request",
        18 => "address mask reply",
        _ => "icmp",
    }
}

// ---- verifying ----

/// Verifies every checksum of a frame in software: IP header, L4 of unfragmented packets, and inside an ICMP error the
/// quoted header and, where the quotation is complete, its L4. What is not IPv4 is right.
pub fn verify_checksums(frame: &[u8]) -> Result<(), String> {
    match payload(frame) {
        Some((IPV4, start)) => verify_packet(&frame[start..], ""),
        _ => Ok(()),
    }
}

fn verify_packet(bytes: &[u8], within: &str) -> Result<(), String> {
    let ip = Ip::parse(bytes).ok_or_else(|| format!("{within}IPv4 header is not whole"))?;
    verify(&format!("{within}ip"), word(bytes, 10), right_header_checksum(ip.header()))?;
    if !ip.is_whole() && within.is_empty() {
        return Err(format!("total length {} of {} bytes", ip.total_length(), bytes.len()));
    }
    let segment = ip.payload();
    if ip.is_fragment() || !ip.is_whole() {
        return Ok(());
    }
    let name = format!("{within}{}", IpNumber(ip.protocol()).keyword_str().unwrap_or("transport").to_lowercase());
    if let Some(at) = checksum_offset(ip.protocol()) {
        let found = segment.get(at..at + 2).ok_or_else(|| format!("{name}: no checksum in {} bytes", segment.len()))?;
        let found = word(found, 0);
        if !(ip.protocol() == UDP && found == 0) {
            let right = transport_checksum(ip.protocol(), ip.source(), ip.destination(), segment)
                .ok_or_else(|| format!("{name}: length or coverage field makes no sense"))?;
            verify(&name, found, right)?;
            if ip.protocol() == UDP_LITE && found == 0 {
                return Err(format!("{name}: checksum 0 is not legal"));
            }
        }
    } else if ip.protocol() == SCTP && segment.len() >= 12 {
        let mut zeroed = segment.to_vec();
        zeroed[8..12].fill(0);
        if crc32c(&zeroed).to_le_bytes() != segment[8..12] {
            return Err(format!("{name}: CRC32c is wrong"));
        }
    }
    match ip.quotation() {
        Some(quoted) if within.is_empty() => verify_packet(quoted, "quoted "),
        _ => Ok(()),
    }
}

fn verify(name: &str, found: u16, right: u16) -> Result<(), String> {
    if found % 0xffff == right % 0xffff {
        return Ok(());
    }
    Err(format!("{name} checksum is {found:04x}, should be {right:04x}"))
}

// ---- addresses shown ----

/// Where in a frame an address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Where {
    OuterSource,
    OuterDestination,
    QuotedSource,
    QuotedDestination,
    /// Of the packet carried by IP in IP: the sender's own affair, not translated.
    InnerSource,
    InnerDestination,
    ArpSender,
    ArpTarget,
}

/// Every IPv4 address a frame shows, under any number of tags and however broken the rest of the packet is.
pub fn ipv4_addresses(frame: &[u8]) -> Vec<(Where, Ipv4Addr)> {
    let mut shown = Vec::new();
    let Some((ethertype, start)) = payload(frame) else { return shown };
    let body = &frame[start..];
    match ethertype {
        ARP if body.len() >= 28 => {
            shown.extend([(Where::ArpSender, address(body, 14)), (Where::ArpTarget, address(body, 24))]);
        }
        IPV4 if body.len() >= 20 => {
            shown.extend([(Where::OuterSource, address(body, 12)), (Where::OuterDestination, address(body, 16))]);
            let Some(ip) = Ip::parse(body) else { return shown };
            let quoted = ip.quotation().unwrap_or(&[]);
            if quoted.len() >= 20 {
                shown.push((Where::QuotedSource, address(quoted, 12)));
                shown.push((Where::QuotedDestination, address(quoted, 16)));
            }
            let inner = ip.payload();
            if ip.protocol() == IPIP && ip.fragment_offset() == 0 && inner.len() >= 20 {
                shown.push((Where::InnerSource, address(inner, 12)));
                shown.push((Where::InnerDestination, address(inner, 16)));
            }
        }
        _ => {}
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice, checksum::Sum16BitWords};

    const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
    const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
    const MACS: (Mac, Mac) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

    fn every_kind() -> Vec<Packet> {
        let packet = || Packet::new(A, B);
        let quoted = packet().tcp(1, 2, b"the packet that got lost on its way through the net").build();
        vec![
            packet().tcp(1, 2, b"odd").flags(0x18).sequence(77),
            packet().udp(53, 5353, b"data"),
            packet().udp_without_checksum(53, 5353, b"data"),
            packet().udp_lite(1, 2, 0, b"all"),
            packet().udp_lite(1, 2, 8, b"header only"),
            packet().dccp(1, 2, b"datagram"),
            packet().sctp(1, 2, &[0, 3, 0, 5, 1, 0, 0, 0]),
            packet().gre(IPV4, &quoted),
            packet().esp(9, 1, b"secret"),
            packet().ah(253, 9, b"signed"),
            packet().ipip(&quoted),
            packet().protocol(200, b"whatever"),
            packet().echo(1, 2, b"ping").options(&[7, 7, 4, 0, 0, 0, 0]).tos(3).dont_fragment(),
            packet().echo_reply(1, 2, b"ping"),
            packet().timestamp(1, 2),
            packet().icmp_error(11, 0, [0; 4], &quoted, 28),
            packet().too_big(1400, &quoted, 548),
            packet().icmp_error(3, 1, [0; 4], &quoted, 128).extension(&[0, 8, 1, 1, 0, 1, 0x2f, 0xff]),
        ]
    }

    #[test]
    fn built_packets_verify_and_damaged_ones_do_not() {
        for packet in every_kind() {
            let frame = Frame::new(MACS.0, MACS.1).qinq(100, 7).ip(&packet).padded().build();
            verify_checksums(&frame).unwrap_or_else(|error| panic!("{error}\n{}", explain(&frame)));
            let mut damaged = frame.clone();
            damaged[22 + 8] ^= 1;
            assert!(verify_checksums(&damaged).unwrap_err().starts_with("ip checksum"));
        }
        let wrong = Packet::new(A, B).udp(1, 2, b"x").wrong_checksum(1);
        assert!(verify_checksums(&Frame::new(MACS.0, MACS.1).ip(&wrong).build()).is_err());
    }

    #[test]
    fn etherparse_agrees() {
        for packet in every_kind() {
            let frame = Frame::new(MACS.0, MACS.1).vlan(7).ip(&packet).build();
            let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
            let header = ip.header().to_header();
            assert_eq!(header.calc_header_checksum(), header.header_checksum);
            match &sliced.transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    let right = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).unwrap();
                    assert_eq!(right, tcp.checksum());
                }
                Some(TransportSlice::Udp(udp)) if udp.checksum() != 0 => {
                    let right = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
                    assert_eq!(right, udp.checksum());
                }
                Some(TransportSlice::Icmpv4(icmp)) => {
                    assert_eq!(Sum16BitWords::new().add_slice(icmp.slice()).ones_complement(), 0);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn sums_agree_with_etherparse_at_every_length() {
        let bytes: Vec<u8> = (0..1501_u32).map(|index| (index * 251 + index / 3) as u8).collect();
        for length in 0..bytes.len() {
            let theirs = Sum16BitWords::new().add_slice(&bytes[..length]).ones_complement().to_be();
            assert_eq!(!sum(&bytes[..length]), theirs, "{length} bytes");
        }
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn fragments_reassemble() {
        let packet = Packet::new(A, B).udp(1, 2, &[7; 3000]).build();
        let cut = fragments(&packet, 1500);
        assert_eq!(cut.len(), 3);
        assert_eq!(cut.iter().flat_map(|part| part[20..].to_vec()).collect::<Vec<_>>(), packet[20..]);
        assert_eq!(cut.iter().map(|part| word(part, 6)).collect::<Vec<_>>(), [0x2000, 0x2000 + 185, 370]);
    }

    #[test]
    fn explains_and_compares() {
        let quoted = Packet::new(A, B).udp(5000, 53, b"query").build();
        let error = Packet::new(B, A).icmp_error(3, 3, [0; 4], &quoted, 28);
        let frame = Frame::new(MACS.0, MACS.1).vlan(7).ip(&error).build();
        let text = explain(&frame);
        for part in ["vlan 7", "203.0.113.77 > 10.1.0.9", "destination unreachable", "ports 5000 > 53", "right"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let mut other = frame.clone();
        other[18 + 8] = 3;
        other[18 + 28 + 12] = 192;
        let told = "ip ttl @26: 40 -> 03\nquoted ip source @58: 0a010009 -> c0010009 (10.1.0.9 -> 192.1.0.9)\n";
        assert_eq!(diff(&frame, &other), told);
        assert_eq!(diff(&frame, &frame), "");
        assert_eq!(
            ipv4_addresses(&frame),
            [
                (Where::OuterSource, B),
                (Where::OuterDestination, A),
                (Where::QuotedSource, A),
                (Where::QuotedDestination, B)
            ]
        );
        let arp = Frame::new(MACS.0, [255; 6]).arp(&Arp::request(MACS.0, A, B)).padded().build();
        assert_eq!((arp.len(), ipv4_addresses(&arp)), (60, vec![(Where::ArpSender, A), (Where::ArpTarget, B)]));
        assert!(explain(&arp).contains("arp request: 10.1.0.9 at 02:00:00:00:00:01 > 203.0.113.77"));
    }
}
