//! Whether frames that arrived are what their gateway should have made of them, in software.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::addresses::{Pairs, REMOTE};
use super::kit::{Kit, Sighting};
use super::meter::{self, Place};
use super::site::Site;
use super::traffic::Traffic;
use super::wires::{self, MAGIC};
use crate::frames::{IPV4, Ip, Mac, payload, verify_checksums};

/// What a gateway does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing but new Ethernet addresses.
    Carry,
    /// Takes the TTL down as well.
    Forward,
    /// Translates as well.
    Translate,
    /// Sends it back.
    Return,
    /// Nothing arrives anywhere.
    Drop,
}

/// What is expected of frames at the sink.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// What was sent.
    pub traffic: Traffic,
    /// What the gateway does.
    pub work: Work,
    /// Ethernet address of the interface they arrive at.
    pub mac: Mac,
    /// Where pairs from this one on may lead as well: first such pair, and private address of pair 0 there.
    pub rebound: Option<(u32, Ipv4Addr)>,
}

impl Expected {
    /// At a site's sink.
    pub fn at(site: &Site, traffic: Traffic, work: Work) -> Self {
        let [from, to] = site.ends(traffic.direction);
        let mac = if work == Work::Return { from.mac } else { to.mac };
        Self { traffic, work, mac, rebound: None }
    }

    /// The pair a frame is of, or what is wrong with it.
    pub fn check(&self, frame: &[u8]) -> Result<u32, String> {
        if frame.len() != self.traffic.length as usize {
            return Err(format!("{} bytes instead of {}", frame.len(), self.traffic.length));
        }
        if frame[..6] != self.mac {
            return Err(format!("sent to {:02x?} instead of {:02x?}", &frame[..6], self.mac));
        }
        let Some((IPV4, start)) = payload(frame) else { return Err("not an IPv4 frame".into()) };
        let ip = Ip::parse(&frame[start..]).ok_or("its IPv4 header is not whole")?;
        verify_checksums(frame)?;
        let udp = ip.payload();
        let (magic, index) = (number(udp, 8)?, number(udp, 12)?);
        let pairs = self.traffic.pairs;
        if magic != MAGIC || index >= pairs.count || udp[16..].iter().any(|byte| *byte != 0) {
            return Err("its payload is not what was sent".into());
        }
        let lowered = matches!(self.work, Work::Forward | Work::Translate);
        let ttl = wires::TTL - u8::from(lowered);
        if ip.ttl() != ttl {
            return Err(format!("TTL {} instead of {ttl}", ip.ttl()));
        }
        let expect = |what: &str, found: Ipv4Addr, right: Ipv4Addr| {
            let wrong = found != right;
            if wrong { Err(format!("pair {index}: {what} {found} instead of {right}")) } else { Ok(()) }
        };
        let (source, destination) = self.sent(pairs, index);
        match self.work {
            Work::Translate => self.translated(pairs, index, ip)?,
            _ => {
                expect("source", ip.source(), source.unwrap_or(ip.source()))?;
                expect("destination", ip.destination(), destination)?;
            }
        }
        let ports = number(udp, 0)?;
        let to = u32::from(wires::DESTINATION_PORT);
        let one_flow = u32::from(wires::SOURCE_PORT) << 16 | to;
        let ports_right = if self.traffic.flows == wires::ONE_FLOW { ports == one_flow } else { ports & 0xffff == to };
        if ports_right { Ok(index) } else { Err(format!("ports {} and {}", ports >> 16, ports & 0xffff)) }
    }

    /// Source and destination as they were sent; the source of new flows is one of many.
    fn sent(&self, pairs: Pairs, index: u32) -> (Option<Ipv4Addr>, Ipv4Addr) {
        let remote = (self.traffic.flows == wires::ONE_FLOW).then_some(REMOTE);
        match self.traffic.direction {
            wires::INBOUND => (remote, pairs.public(index)),
            wires::OUTBOUND => (Some(pairs.private(index)), remote.unwrap_or(REMOTE)),
            _ => (Some(pairs.private(index)), pairs.public((index + 1) % pairs.count)),
        }
    }

    fn translated(&self, pairs: Pairs, index: u32, ip: Ip<'_>) -> Result<(), String> {
        let remote = |found: Ipv4Addr| match self.traffic.flows {
            wires::ONE_FLOW => found == REMOTE,
            _ => found.octets()[..2] == REMOTE.octets()[..2],
        };
        let (source_right, destination_right) = match self.traffic.direction {
            wires::INBOUND => (remote(ip.source()), self.leads_to(pairs, index, ip.destination())),
            wires::OUTBOUND => (ip.source() == pairs.public(index), remote(ip.destination())),
            _ => {
                let other = (index + 1) % pairs.count;
                (ip.source() == pairs.public(index), self.leads_to(pairs, other, ip.destination()))
            }
        };
        if source_right && destination_right {
            return Ok(());
        }
        let wrong = if source_right { "destination" } else { "source" };
        Err(format!("pair {index}: {} to {}, the {wrong} is wrong", ip.source(), ip.destination()))
    }

    fn leads_to(&self, pairs: Pairs, index: u32, private: Ipv4Addr) -> bool {
        let rebound = self.rebound.filter(|(first, _)| index >= *first);
        private == pairs.private(index)
            || rebound.is_some_and(|(_, base)| private == super::addresses::private(base, index))
    }
}

/// The 32-bit number at an offset of a UDP datagram.
fn number(udp: &[u8], at: usize) -> Result<u32, String> {
    let bytes = udp.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    bytes.map(u32::from_be_bytes).ok_or_else(|| format!("a datagram of {} bytes", udp.len()))
}

/// Checks frames that all must be right; the first that is not is the reason.
pub fn check_all(expected: &Expected, frames: &[Sighting]) -> Result<BTreeSet<u32>, String> {
    frames.iter().map(|Sighting(frame)| expected.check(frame)).collect()
}

/// Sends a packet of each of these pairs, from `first` on, and says what is wrong with those that arrive. Whatever keeps
/// state per flow has all of it afterwards.
pub fn sweep(
    kit: &mut Kit,
    place: Place<'_>,
    site: &Site,
    expected: &Expected,
    most: u32,
) -> Result<Result<(), String>> {
    let traffic = expected.traffic.in_order();
    let stream = site.stream(&traffic);
    let pairs = traffic.pairs.count;
    let packets = pairs.clamp(2 * meter::BATCH, most.max(2 * meter::BATCH));
    let mut left = packets;
    let mut found = BTreeSet::new();
    kit.set_position(0)?;
    kit.sightings()?;
    while left > 0 {
        // Nobody reads while the generator runs.
        let chunk = left.min(Kit::room(traffic.length) / 64 * 64);
        kit.set_watch(wires::COPY, 0)?;
        let run = meter::run(kit, place, stream, chunk)?;
        kit.set_watch(wires::COUNT, 0)?;
        let frames = kit.sightings()?;
        if expected.work == Work::Drop {
            return Ok(if run.arrived == 0 { Ok(()) } else { Err(format!("{} packets arrived", run.arrived)) });
        }
        match check_all(expected, &frames) {
            Ok(seen) => found.extend(seen),
            Err(wrong) => return Ok(Err(wrong)),
        }
        if run.arrived != run.sent || frames.len() as u64 != run.sent {
            return Ok(Err(format!("{} packets sent, {} arrived, {} seen", run.sent, run.arrived, frames.len())));
        }
        left -= chunk;
    }
    let right = found.len() == packets.min(pairs) as usize;
    Ok(if right { Ok(()) } else { Err(format!("{} pairs of {pairs} were seen", found.len())) })
}
