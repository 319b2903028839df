//! Frames in words.

use std::fmt::Write;

use etherparse::{EtherType, IpNumber};

use super::*;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

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
