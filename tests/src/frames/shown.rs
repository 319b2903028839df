//! The addresses a frame shows.

use std::net::Ipv4Addr;

use super::{ARP, IPIP, IPV4, Ip, address, payload};

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
