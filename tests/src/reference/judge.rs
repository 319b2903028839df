//! The judgement, step by step.

use std::net::Ipv4Addr;

use super::rebuild::translated;
use super::{Link, Neighbour, Query, Route, Side, World, within};
use crate::frames::{
    self, AH, ARP, DCCP, DONT_FRAGMENT, Frame, ICMP, IPV4, IPV6, Ip, Mac, Packet, SERVICE_VLAN, TCP, UDP, UDP_LITE,
    VLAN, address, checksum_offset, fold, is_icmp_error, pseudo_header_sum, sum, word,
};

const PRIVATE: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
];
const MARTIAN: [(Ipv4Addr, u8); 3] =
    [(Ipv4Addr::new(0, 0, 0, 0), 8), (Ipv4Addr::new(127, 0, 0, 0), 8), (Ipv4Addr::new(224, 0, 0, 0), 3)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pass,
    Drop,
    Redirect,
}

/// What must become of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: &'static str,
    pub action: Action,
    /// The bytes leaving, or handed to the kernel; `None` where the frame stays as it arrived or is dropped.
    pub frame: Option<Vec<u8>>,
    /// The interface a redirected frame leaves by.
    pub egress: Option<u32>,
}

impl Judgement {
    fn drop(verdict: &'static str) -> Self {
        Self { verdict, action: Action::Drop, frame: None, egress: None }
    }
    fn pass(verdict: &'static str) -> Self {
        Self { verdict, action: Action::Pass, frame: None, egress: None }
    }
    fn redirect(verdict: &'static str, frame: Vec<u8>, egress: u32) -> Self {
        Self { verdict, action: Action::Redirect, frame: Some(frame), egress: Some(egress) }
    }
    /// The bytes that must come out for a frame that went in; `None` for a drop.
    pub fn expected<'a>(&'a self, arrived: &'a [u8]) -> Option<&'a [u8]> {
        (self.action != Action::Drop).then(|| self.frame.as_deref().unwrap_or(arrived))
    }
}

/// What must become of a frame arriving by an interface.
pub fn judge(world: &World, ingress: u32, frame: &[u8]) -> Judgement {
    consider(world, ingress, frame).unwrap_or_else(|early| early)
}

type Step<T> = Result<T, Judgement>;

fn refuse<T>(verdict: &'static str) -> Step<T> {
    Err(Judgement::drop(verdict))
}

fn unless(wrong: bool, verdict: &'static str) -> Step<()> {
    if wrong { refuse(verdict) } else { Ok(()) }
}

/// A frame whose Ethernet header and tags are whole.
struct Arrival<'a> {
    ingress: u32,
    frame: &'a [u8],
    tags: Vec<u16>,
    ethertype: u16,
    /// Where the payload begins.
    start: usize,
}

impl Arrival<'_> {
    fn destination(&self) -> Mac {
        self.frame[..6].try_into().expect("six bytes")
    }
    fn source(&self) -> Mac {
        self.frame[6..12].try_into().expect("six bytes")
    }
    fn to_group(&self) -> bool {
        self.frame[0] & 1 == 1
    }
    fn to_another(&self, mac: Mac) -> bool {
        !self.to_group() && self.destination() != mac
    }
    /// This frame's Ethernet header with other addresses, tags as they arrived.
    fn header_back(&self, mac: Mac) -> Vec<u8> {
        [&self.source()[..], &mac[..], &self.frame[12..self.start]].concat()
    }
}

/// An IPv4 packet whose header is right: its bytes from the header to its total length, nothing of the trailer.
pub(super) type Whole<'a> = Ip<'a>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Inbound,
    Outbound,
    Hairpin,
}

/// The addresses a packet leaves with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Translation {
    pub(super) direction: Direction,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    /// Of the packet quoted by an ICMP error: set while its transport is checked.
    pub(super) quoted: Option<(Ipv4Addr, Ipv4Addr)>,
    /// The VPC of the binding the packet goes to.
    pub(super) to_vpc: Option<u32>,
}

fn consider(world: &World, ingress: u32, frame: &[u8]) -> Step<Judgement> {
    let arrival = ethernet(ingress, frame)?;
    let link = world.link(ingress, &arrival.tags);
    if arrival.ethertype != IPV4 {
        return Ok(not_ipv4(world, link, &arrival));
    }
    let Some(link) = link else { return refuse("unknown-link") };
    if arrival.to_another(link.mac) {
        return Err(Judgement::pass("pass-other-mac"));
    }
    let packet = ip_header(&frame[arrival.start..])?;
    options(&packet.header()[20..])?;
    destination_class(packet.destination())?;
    unless(arrival.to_group(), "group-mac-unicast")?;
    let mut translation = match link.side {
        Side::Uplink => from_uplink(world, packet)?,
        Side::Downlink { vpc } => from_downlink(world, link, vpc, packet)?,
    };
    transport(packet)?;
    translation.quoted = quotation(world, link, packet, &translation)?;
    if packet.ttl() <= 1 {
        return Ok(reply(&arrival, link, packet, Told::TtlExceeded));
    }
    Ok(leave(world, &arrival, link, packet, &translation))
}

/// 1. Ethernet and up to two tags.
fn ethernet(ingress: u32, frame: &[u8]) -> Step<Arrival<'_>> {
    unless(frame.len() < 14, "malformed-ethernet")?;
    let (mut tags, mut start) = (Vec::new(), 14);
    let mut ethertype = word(frame, 12);
    while matches!(ethertype, VLAN | SERVICE_VLAN) {
        unless(tags.len() == 2 || frame.len() < start + 4, "malformed-ethernet")?;
        tags.push(word(frame, start) & 0xfff);
        ethertype = word(frame, start + 2);
        start += 4;
    }
    Ok(Arrival { ingress, frame, tags, ethertype, start })
}

fn not_ipv4(world: &World, link: Option<&Link>, arrival: &Arrival) -> Judgement {
    match arrival.ethertype {
        ARP => link.and_then(|link| arp(world, link, arrival)).unwrap_or(Judgement::pass("pass-arp")),
        IPV6 => Judgement::pass("pass-ipv6"),
        _ => Judgement::pass("pass-not-ip"),
    }
}

/// Answers who-has for a bound public address on an uplink.
fn arp(world: &World, link: &Link, arrival: &Arrival) -> Option<Judgement> {
    let message = arrival.frame[arrival.start..].first_chunk::<28>()?;
    let (sender, target) = (address(message, 14), address(message, 24));
    let asked = link.side == Side::Uplink
        && !arrival.to_another(link.mac)
        && message[..8] == [0, 1, 8, 0, 6, 4, 0, 1]
        && sender != target
        && world.private(target).is_some();
    if !asked {
        return None;
    }
    let asker: Mac = message[8..14].try_into().expect("six bytes");
    let answer = frames::Arp::reply((link.mac, target), (asker, sender));
    let frame = [&arrival.header_back(link.mac), &answer.bytes()[..], &arrival.frame[arrival.start + 28..]].concat();
    Some(Judgement::redirect("arp-reply", frame, arrival.ingress))
}

/// 4. The IP header; gives the packet without what follows its total length.
fn ip_header(bytes: &[u8]) -> Step<Whole<'_>> {
    let Some(ip) = Ip::parse(bytes) else { return refuse("malformed-ip") };
    unless(!ip.is_whole(), "malformed-ip")?;
    unless(sum(ip.header()) != 0xffff, "bad-ip-checksum")?;
    Ok(Ip(&bytes[..ip.total_length()]))
}

/// 5. The options, in order: the first thing wrong decides.
fn options(mut rest: &[u8]) -> Step<()> {
    while let [kind, after @ ..] = rest {
        rest = match (kind, after) {
            (0, _) => return Ok(()),
            (1, _) => after,
            (_, [length, ..]) if *length >= 2 && usize::from(*length) <= rest.len() => {
                unless(matches!(kind, 131 | 137), "source-route")?;
                &rest[usize::from(*length)..]
            }
            _ => return refuse("malformed-options"),
        };
    }
    Ok(())
}

/// 6. Destinations that are nobody's own.
fn destination_class(destination: Ipv4Addr) -> Step<()> {
    match destination.octets() {
        [255, 255, 255, 255] => Err(Judgement::pass("pass-broadcast")),
        [224, 0, 0, _] => Err(Judgement::pass("pass-link-multicast")),
        [224..=239, ..] => refuse("multicast-destination"),
        [0 | 127 | 240.., ..] => refuse("martian-destination"),
        _ => Ok(()),
    }
}

/// 8. From the Internet.
fn from_uplink(world: &World, packet: Whole) -> Step<Translation> {
    let (source, destination) = (packet.source(), packet.destination());
    let spoofed = world.in_pool(source) || world.is_own(source);
    unless(spoofed, "spoofed-source")?;
    if world.is_own_from(destination, Side::Uplink) {
        return Err(Judgement::pass("pass-own-address"));
    }
    let martian = within(source, &PRIVATE) || within(source, &MARTIAN);
    unless(martian && !within(source, &world.martian_exceptions), "martian-source")?;
    match world.private(destination) {
        Some((vpc, private)) => Ok(Translation {
            direction: Direction::Inbound,
            source,
            destination: private,
            quoted: None,
            to_vpc: Some(vpc),
        }),
        None if world.in_pool(destination) => refuse("unbound-address"),
        None => refuse("not-ours"),
    }
}

/// 8. From an instance.
fn from_downlink(world: &World, link: &Link, vpc: u32, packet: Whole) -> Step<Translation> {
    let (source, destination) = (packet.source(), packet.destination());
    let public = world.public(vpc, source);
    let has_none = world.is_private_only(vpc, source);
    if world.is_own_from(destination, link.side) {
        let neighbour = world.is_connected(vpc, source) && !world.instances_only.contains(&destination);
        let known = public.is_some() || has_none || neighbour;
        return Err(if known { Judgement::pass("pass-own-address") } else { Judgement::drop("unknown-source") });
    }
    let Some(source) = public.or_else(|| public_of_quoted(world, vpc, packet)) else {
        return refuse(if has_none { "no-public-address" } else { "unknown-source" });
    };
    if !world.in_pool(destination) {
        unless(within(destination, &PRIVATE), "private-destination")?;
        return Ok(Translation { direction: Direction::Outbound, source, destination, quoted: None, to_vpc: None });
    }
    let Some((vpc, private)) = world.private(destination) else { return refuse("unbound-address") };
    Ok(Translation { direction: Direction::Hairpin, source, destination: private, quoted: None, to_vpc: Some(vpc) })
}

/// RFC 5508 REQ-5c: a router between instances and gateway reports an error about a bound instance's packet.
fn public_of_quoted(world: &World, vpc: u32, packet: Whole) -> Option<Ipv4Addr> {
    let icmp = packet.payload();
    let an_error = packet.protocol() == ICMP && packet.fragment_offset() == 0 && icmp.len() >= 28;
    (an_error && is_icmp_error(icmp[0]) && icmp[0] != 5).then(|| world.public(vpc, address(icmp, 24)))?
}

/// 9. Whether the transport can be translated.
fn transport(packet: Whole) -> Step<()> {
    let (protocol, segment) = (packet.protocol(), packet.payload());
    unless(protocol == AH, "ah-untranslatable")?;
    if packet.fragment_offset() > 0 {
        return unless(protocol == TCP && packet.fragment_offset() == 1, "tiny-fragment");
    }
    let fragment = packet.is_fragment();
    let needed = match protocol {
        TCP if fragment => 18,
        TCP => 20,
        UDP | UDP_LITE | DCCP | ICMP => 8,
        _ => 0,
    };
    let cut = if fragment { "tiny-fragment" } else { "truncated-transport" };
    unless(segment.len() < needed, cut)?;
    if matches!(protocol, TCP | UDP) && !fragment {
        let pseudo = pseudo_header_sum(protocol, packet.source(), packet.destination(), segment.len());
        let bare = word(segment, checksum_offset(protocol).expect("TCP and UDP have one")) == pseudo;
        let verifies = bare && fold(u64::from(pseudo) + u64::from(sum(segment))) == 0xffff;
        unless(bare && !verifies, "unfinished-checksum")?;
    }
    if protocol == ICMP {
        unless(segment[0] == 5, "icmp-redirect")?;
        unless(matches!(segment[0], 9 | 10), "icmp-router-discovery")?;
    }
    Ok(())
}

/// 9. The addresses the packet quoted by an ICMP error leaves with.
fn quotation(
    world: &World,
    link: &Link,
    packet: Whole,
    translation: &Translation,
) -> Step<Option<(Ipv4Addr, Ipv4Addr)>> {
    let icmp = packet.payload();
    if packet.protocol() != ICMP || packet.fragment_offset() > 0 || !is_icmp_error(icmp[0]) {
        return Ok(None);
    }
    let Some(quoted) = Ip::parse(&icmp[8..]) else { return refuse("malformed-quotation") };
    let kind = icmp[8..].get(quoted.header_length());
    let nested = quoted.protocol() == ICMP && quoted.fragment_offset() == 0;
    unless(nested && kind.is_some_and(|kind| is_icmp_error(*kind)), "nested-icmp-error")?;

    let mismatch = Judgement::drop("quotation-mismatch");
    if quoted.source() != packet.destination() {
        return Err(mismatch);
    }
    let source = translation.destination;
    let destination = match link.side {
        Side::Uplink => quoted.destination(),
        Side::Downlink { vpc } => world.public(vpc, quoted.destination()).ok_or(mismatch)?,
    };
    Ok(Some((source, destination)))
}

/// 11 and 12. Finds the way out and takes it.
fn leave(world: &World, arrival: &Arrival, link: &Link, packet: Whole, translation: &Translation) -> Judgement {
    let by = translation.to_vpc.and_then(|vpc| world.only_device(vpc));
    let (device, mtu, neighbour) = match world.route(Query { destination: translation.destination, by }) {
        Route::Out { device, mtu, neighbour } => (device, mtu, neighbour),
        Route::NoRoute => return reply(arrival, link, packet, Told::NetUnreachable),
        Route::Unreachable => return reply(arrival, link, packet, Told::HostUnreachable),
        Route::Tunnel => return Judgement::drop("tunnel-route"),
        Route::Blackhole => return Judgement::drop("route-blackhole"),
        Route::Prohibit => return Judgement::drop("route-prohibit"),
    };
    let wanted = translation.to_vpc.map_or(Side::Uplink, |vpc| Side::Downlink { vpc });
    let Some(egress) = world.links.iter().find(|link| link.device == device && link.side == wanted) else {
        return Judgement::drop("wrong-egress");
    };
    let too_big = packet.0.len() > mtu as usize;
    if too_big && word(packet.0, 6) & DONT_FRAGMENT != 0 {
        return reply(arrival, link, packet, Told::TooBig { mtu });
    }
    if !too_big && neighbour == Neighbour::Dead {
        return reply(arrival, link, packet, Told::HostUnreachable);
    }
    let (frame, start) = (arrival.frame, arrival.start);
    let trailer = &frame[start + packet.0.len()..];
    match neighbour {
        Neighbour::At(mac) if !too_big => {
            let header = Frame::new(egress.mac, mac).tags(&egress.tags).build();
            let leaving = [&header, &translated(packet, translation, packet.ttl() - 1)[..], trailer].concat();
            let verdict = match translation.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
                Direction::Hairpin => "hairpin",
            };
            Judgement::redirect(verdict, leaving, egress.ifindex)
        }
        _ => {
            // What the kernel would do with the packet: it knows neither VPCs nor tags without a sub-interface.
            let own = world.route(Query { destination: translation.destination, by: None });
            let same = matches!(own, Route::Out { device: found, .. } if found == device);
            if !same || egress.is_hidden_from_kernel() {
                return Judgement::drop("kernel-route-differs");
            }
            let handed = [&frame[..start], &translated(packet, translation, packet.ttl())[..], trailer].concat();
            let verdict = if too_big { "handed-fragmentation" } else { "handed-neighbour" };
            Judgement { frame: Some(handed), ..Judgement::pass(verdict) }
        }
    }
}

// ---- replies of the gateway's own ----

#[derive(Clone, Copy, Debug)]
enum Told {
    TtlExceeded,
    NetUnreachable,
    HostUnreachable,
    TooBig { mtu: u32 },
}

/// 10 and 11. An ICMP error about the packet as it arrived, to its sender, where one may be sent.
fn reply(arrival: &Arrival, link: &Link, packet: Whole, told: Told) -> Judgement {
    let (verdict, silent, kind, code, mtu) = match told {
        Told::TtlExceeded => ("ttl-exceeded-reply", "ttl-exceeded-silent", 11, 0, 0),
        Told::NetUnreachable => ("net-unreachable-reply", "unreachable-silent", 3, 0, 0),
        Told::HostUnreachable => ("host-unreachable-reply", "unreachable-silent", 3, 1, 0),
        Told::TooBig { mtu } => ("too-big-reply", "too-big-silent", 3, 4, mtu.min(0xffff) as u16),
    };
    let source = packet.source();
    let nobody = source.is_unspecified() || source.is_multicast() || source.is_broadcast() || source.is_loopback();
    let about_error = packet.protocol() == ICMP && packet.payload().first().is_some_and(|kind| is_icmp_error(*kind));
    let Some(own) = link.address.filter(|_| !nobody && !about_error && packet.fragment_offset() == 0) else {
        return Judgement::drop(silent);
    };
    let [high, low] = mtu.to_be_bytes();
    let message = Packet::new(own, source).tos(0xc0).id(0).icmp_error(kind, code, [0, 0, high, low], packet.0, 548);
    let mut frame = arrival.header_back(link.mac);
    message.write(&mut frame);
    Judgement::redirect(verdict, frame, arrival.ingress)
}
