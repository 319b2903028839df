//! The fields of a frame by name, and what differs between two frames.

use std::fmt::Write;

use super::explain::hex;
use super::*;

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
