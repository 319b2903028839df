//! The reference translator: what the gateway must do with a frame, written for clarity from the contract and not from
//! the program. It rebuilds what leaves and computes checksums in full, keeping exactly the error an arriving
//! checksum had; the program updates them incrementally, so agreement means something.
//!
//! [`judge`] gives verdict, action and expected bytes; [`frames_equal`] compares those with what the program made.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use crate::frames::{
    self, AH, ARP, DCCP, DONT_FRAGMENT, Frame, ICMP, IPV4, IPV6, Ip, MORE_FRAGMENTS, Mac, OFFSET, Packet, SERVICE_VLAN,
    TCP, UDP, UDP_LITE, VLAN, address, checksum_offset, fold, is_icmp_error, pseudo_header_sum, right_checksum,
    right_header_checksum, sum, word,
};

/// Every verdict [`judge`] gives. The program has others for what the reference does not model, such as policers, and
/// `icmp-rate-limited` in place of any `*-reply` of ICMP.
pub const VERDICTS: [&str; 49] = [
    "malformed-ethernet",
    "arp-reply",
    "pass-arp",
    "pass-ipv6",
    "pass-not-ip",
    "unknown-link",
    "pass-other-mac",
    "malformed-ip",
    "bad-ip-checksum",
    "malformed-options",
    "source-route",
    "pass-broadcast",
    "pass-link-multicast",
    "multicast-destination",
    "martian-destination",
    "group-mac-unicast",
    "pass-own-address",
    "spoofed-source",
    "martian-source",
    "unbound-address",
    "not-ours",
    "unknown-source",
    "no-public-address",
    "private-destination",
    "ah-untranslatable",
    "tiny-fragment",
    "truncated-transport",
    "unfinished-checksum",
    "icmp-redirect",
    "icmp-router-discovery",
    "malformed-quotation",
    "nested-icmp-error",
    "quotation-mismatch",
    "ttl-exceeded-reply",
    "ttl-exceeded-silent",
    "no-route",
    "net-unreachable-reply",
    "host-unreachable-reply",
    "unreachable-silent",
    "route-blackhole",
    "route-prohibit",
    "wrong-egress",
    "too-big-reply",
    "too-big-silent",
    "handed-fragmentation",
    "handed-neighbour",
    "inbound",
    "outbound",
    "hairpin",
];

// ---- the gateway's surroundings ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Uplink,
    Downlink { vpc: u32 },
}

/// One of the gateway's links: an interface, or a VLAN or QinQ on it.
#[derive(Clone, Debug)]
pub struct Link {
    pub ifindex: u32,
    /// VLAN ids, the outer one first.
    pub tags: Vec<u16>,
    pub mac: Mac,
    /// The gateway's own address on it: the source of its ICMP errors.
    pub address: Option<Ipv4Addr>,
    pub side: Side,
    pub connected: Vec<(Ipv4Addr, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub public: Ipv4Addr,
    pub vpc: u32,
    pub private: Ipv4Addr,
}

/// What the gateway asks about the way out: the packet as translated.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub ingress: u32,
    /// The VPC of the binding the packet goes to; `None` towards the Internet.
    pub vpc: Option<u32>,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub tos: u8,
    pub total_length: u16,
}

/// The way out, as routes and neighbours have it.
#[derive(Clone, Debug)]
pub enum Route {
    Forward {
        ifindex: u32,
        tags: Vec<u16>,
        dst_mac: Mac,
        src_mac: Mac,
        mtu: u32,
    },
    NoNeighbour {
        ifindex: u32,
        tags: Vec<u16>,
        mtu: u32,
    },
    /// No route at all: answered with net unreachable.
    NoRoute,
    /// Not to be forwarded for another reason (local or broadcast destination): dropped as `no-route`.
    NotForwarded,
    Blackhole,
    /// An unreachable route: answered with host unreachable.
    Unreachable,
    Prohibit,
}

/// Asks the routes.
pub type Router = Box<dyn Fn(&Query) -> Route + Send + Sync>;

/// The gateway and its surroundings. Fill in the lists, then call [`World::index`].
pub struct World {
    pub links: Vec<Link>,
    pub pools: Vec<(Ipv4Addr, u8)>,
    pub pairs: Vec<Pair>,
    /// Instances without a public address.
    pub private_only: Vec<(u32, Ipv4Addr)>,
    /// The gateway's own addresses: `None` reachable by any link, `Some` by downlinks of that VPC only.
    pub own: Vec<(Ipv4Addr, Option<u32>)>,
    pub martian_exceptions: Vec<(Ipv4Addr, u8)>,
    pub route: Router,
    /// Addresses on the Internet worth sending to, for the generator (those whose routes differ).
    pub remotes: Vec<Ipv4Addr>,
    pub indexes: Indexes,
}

/// The lists of a [`World`] by key.
#[derive(Default)]
pub struct Indexes {
    inbound: HashMap<Ipv4Addr, (u32, Ipv4Addr)>,
    outbound: HashMap<(u32, Ipv4Addr), Ipv4Addr>,
    private_only: HashSet<(u32, Ipv4Addr)>,
    by_vpc: HashMap<u32, Vec<Pair>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            pools: Vec::new(),
            pairs: Vec::new(),
            private_only: Vec::new(),
            own: Vec::new(),
            martian_exceptions: Vec::new(),
            route: Box::new(|_| Route::NoRoute),
            remotes: Vec::new(),
            indexes: Indexes::default(),
        }
    }
}

impl World {
    /// Builds the indexes; to be called again after the lists change.
    pub fn index(mut self) -> Self {
        let mut by_vpc: HashMap<u32, Vec<Pair>> = HashMap::new();
        for pair in &self.pairs {
            by_vpc.entry(pair.vpc).or_default().push(*pair);
        }
        self.indexes = Indexes {
            by_vpc,
            inbound: self.pairs.iter().map(|pair| (pair.public, (pair.vpc, pair.private))).collect(),
            outbound: self.pairs.iter().map(|pair| ((pair.vpc, pair.private), pair.public)).collect(),
            private_only: self.private_only.iter().copied().collect(),
        };
        self
    }
    pub fn link(&self, ifindex: u32, tags: &[u16]) -> Option<&Link> {
        self.links.iter().find(|link| link.ifindex == ifindex && link.tags == tags)
    }
    /// The VPC and private address a public one serves.
    pub fn private(&self, public: Ipv4Addr) -> Option<(u32, Ipv4Addr)> {
        self.indexes.inbound.get(&public).copied()
    }
    pub fn public(&self, vpc: u32, private: Ipv4Addr) -> Option<Ipv4Addr> {
        self.indexes.outbound.get(&(vpc, private)).copied()
    }
    /// The bound instances of a VPC.
    pub fn pairs_of(&self, vpc: u32) -> &[Pair] {
        self.indexes.by_vpc.get(&vpc).map_or(&[], Vec::as_slice)
    }
    pub fn in_pool(&self, address: Ipv4Addr) -> bool {
        within(address, &self.pools)
    }
    fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own.iter().any(|(own, _)| *own == address)
    }
    fn is_own_from(&self, address: Ipv4Addr, side: Side) -> bool {
        self.own
            .iter()
            .any(|(own, scope)| *own == address && scope.is_none_or(|scope| side == Side::Downlink { vpc: scope }))
    }
}

/// Whether an address lies in one of the prefixes.
pub fn within(address: Ipv4Addr, prefixes: &[(Ipv4Addr, u8)]) -> bool {
    prefixes.iter().any(|(prefix, length)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
        (u32::from(address) ^ u32::from(*prefix)) & mask == 0
    })
}

const PRIVATE: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
];
const MARTIAN: [(Ipv4Addr, u8); 3] =
    [(Ipv4Addr::new(0, 0, 0, 0), 8), (Ipv4Addr::new(127, 0, 0, 0), 8), (Ipv4Addr::new(224, 0, 0, 0), 3)];

// ---- the judgement ----

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
type Whole<'a> = Ip<'a>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Inbound,
    Outbound,
    Hairpin,
}

/// The addresses a packet leaves with.
#[derive(Clone, Copy, Debug)]
struct Translation {
    way: Way,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    /// Of the packet quoted by an ICMP error: set while its transport is checked.
    quoted: Option<(Ipv4Addr, Ipv4Addr)>,
    /// The VPC of the binding the packet goes to.
    to_vpc: Option<u32>,
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
        Some((vpc, private)) => {
            Ok(Translation { way: Way::Inbound, source, destination: private, quoted: None, to_vpc: Some(vpc) })
        }
        None if world.in_pool(destination) => refuse("unbound-address"),
        None => refuse("not-ours"),
    }
}

/// 8. From an instance.
fn from_downlink(world: &World, link: &Link, vpc: u32, packet: Whole) -> Step<Translation> {
    let (source, destination) = (packet.source(), packet.destination());
    let public = world.public(vpc, source);
    let has_none = world.indexes.private_only.contains(&(vpc, source));
    if world.is_own_from(destination, link.side) {
        let known = public.is_some() || has_none || within(source, &link.connected);
        return Err(if known { Judgement::pass("pass-own-address") } else { Judgement::drop("unknown-source") });
    }
    let Some(source) = public.or_else(|| public_of_quoted(world, vpc, packet)) else {
        return refuse(if has_none { "no-public-address" } else { "unknown-source" });
    };
    if !world.in_pool(destination) {
        unless(within(destination, &PRIVATE), "private-destination")?;
        return Ok(Translation { way: Way::Outbound, source, destination, quoted: None, to_vpc: None });
    }
    let Some((vpc, private)) = world.private(destination) else { return refuse("unbound-address") };
    Ok(Translation { way: Way::Hairpin, source, destination: private, quoted: None, to_vpc: Some(vpc) })
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
    let query = Query {
        ingress: arrival.ingress,
        vpc: translation.to_vpc,
        source: translation.source,
        destination: translation.destination,
        protocol: packet.protocol(),
        tos: packet.0[1],
        total_length: packet.0.len() as u16,
    };
    let (ifindex, tags, macs, mtu) = match (world.route)(&query) {
        Route::Forward { ifindex, tags, dst_mac, src_mac, mtu } => (ifindex, tags, Some((dst_mac, src_mac)), mtu),
        Route::NoNeighbour { ifindex, tags, mtu } => (ifindex, tags, None, mtu),
        Route::NoRoute => return reply(arrival, link, packet, Told::NetUnreachable),
        Route::Unreachable => return reply(arrival, link, packet, Told::HostUnreachable),
        Route::NotForwarded => return Judgement::drop("no-route"),
        Route::Blackhole => return Judgement::drop("route-blackhole"),
        Route::Prohibit => return Judgement::drop("route-prohibit"),
    };
    let egress = world.link(ifindex, &tags).map(|link| link.side);
    let wanted = translation.to_vpc.map_or(Side::Uplink, |vpc| Side::Downlink { vpc });
    if egress != Some(wanted) {
        return Judgement::drop("wrong-egress");
    }
    let too_big = packet.0.len() > mtu as usize;
    if too_big && word(packet.0, 6) & DONT_FRAGMENT != 0 {
        return reply(arrival, link, packet, Told::TooBig { mtu });
    }
    let (frame, start) = (arrival.frame, arrival.start);
    let trailer = &frame[start + packet.0.len()..];
    match macs {
        Some((dst_mac, src_mac)) if !too_big => {
            let header = Frame::new(src_mac, dst_mac).tags(&tags).build();
            let leaving = [&header, &translated(packet, translation, packet.ttl() - 1)[..], trailer].concat();
            let verdict = match translation.way {
                Way::Inbound => "inbound",
                Way::Outbound => "outbound",
                Way::Hairpin => "hairpin",
            };
            Judgement::redirect(verdict, leaving, ifindex)
        }
        _ => {
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

// ---- rebuilding ----

/// A packet with its new addresses and TTL, every checksum as right or as wrong as it was.
fn translated(packet: Whole, translation: &Translation, ttl: u8) -> Vec<u8> {
    let (old, mut new) = (packet.0, packet.0.to_vec());
    let (start, protocol) = (packet.header_length(), packet.protocol());
    new[8] = ttl;
    new[12..16].copy_from_slice(&translation.source.octets());
    new[16..20].copy_from_slice(&translation.destination.octets());
    frames::seal_header(&mut new);
    if let Some((source, destination)) = translation.quoted {
        translate_quoted(&mut new[start + 8..], source, destination);
    }
    let Some(at) = checksum_offset(protocol).filter(|_| packet.fragment_offset() == 0) else { return new };
    if protocol == ICMP && translation.quoted.is_none() {
        return new;
    }
    let found = word(old, start + at);
    if protocol == UDP && found == 0 {
        return new;
    }
    // The part of a datagram in a first fragment has no checksum of its own; there only the addresses' change counts.
    let value = if protocol != ICMP && word(old, 6) & MORE_FRAGMENTS != 0 {
        adjusted(found, addresses(old), addresses(&new))
    } else {
        let right = |packet: &[u8]| {
            let segment = &packet[start..];
            let covered = covered(protocol, segment);
            right_checksum(protocol, address(packet, 12), address(packet, 16), segment.len(), &segment[..covered])
        };
        with_error(found, right(old), right(&new))
    };
    put_checksum(&mut new, start + at, protocol, value);
    new
}

/// How much of a segment its checksum covers; the whole where a coverage field makes no sense.
fn covered(protocol: u8, segment: &[u8]) -> usize {
    let said = if protocol == UDP_LITE { usize::from(word(segment, 4)) } else { 0 };
    if (8..=segment.len()).contains(&said) { said } else { segment.len() }
}

/// Gives a quoted packet, perhaps cut, its addresses; corrects its checksums as far as they are there.
fn translate_quoted(quoted: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
    let ip = Ip(quoted);
    let (length, protocol, later) = (ip.header_length(), ip.protocol(), word(quoted, 6) & OFFSET != 0);
    let (before, right_before) = (addresses(quoted), right_header_checksum(&quoted[..length]));
    quoted[12..16].copy_from_slice(&source.octets());
    quoted[16..20].copy_from_slice(&destination.octets());
    let value = with_error(word(quoted, 10), right_before, right_header_checksum(&quoted[..length]));
    quoted[10..12].copy_from_slice(&value.to_be_bytes());

    let Some(at) = checksum_offset(protocol).map(|at| length + at) else { return };
    if protocol == ICMP || later || quoted.len() < at + 2 {
        return;
    }
    let found = word(quoted, at);
    if protocol != UDP || found != 0 {
        let value = adjusted(found, before, addresses(quoted));
        put_checksum(quoted, at, protocol, value);
    }
}

/// The sum of a packet's addresses.
fn addresses(packet: &[u8]) -> u16 {
    sum(&packet[12..20])
}

/// A checksum that keeps, after a change, the one's-complement error it had before.
fn with_error(found: u16, right_before: u16, right_after: u16) -> u16 {
    fold(u64::from(found) + u64::from(!right_before) + u64::from(right_after)) % 0xffff
}

/// RFC 1624 equation 3: a checksum after some words under it changed, by their sums before and after.
fn adjusted(found: u16, before: u16, after: u16) -> u16 {
    !fold(u64::from(!found) + u64::from(!before) + u64::from(after)) % 0xffff
}

fn put_checksum(packet: &mut [u8], at: usize, protocol: u8, value: u16) {
    let value = if value == 0 && matches!(protocol, UDP | UDP_LITE) { 0xffff } else { value };
    packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

// ---- comparing ----

/// Compares byte for byte. Only where an IP, TCP, ICMP or DCCP checksum (quoted ones included) is 0x0000 in one and
/// 0xffff in the other, which mean the same, is the difference forgiven.
pub fn frames_equal(expected: &[u8], got: &[u8]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let mut forgiven = got.to_vec();
    for field in frames::fields(expected).iter().filter(|field| field.is_plain_checksum()) {
        let range = field.at..field.at + 2;
        let both = (expected.get(range.clone()), got.get(range.clone()));
        if matches!(both, (Some([0, 0]), Some([0xff, 0xff])) | (Some([0xff, 0xff]), Some([0, 0]))) {
            forgiven[range.clone()].copy_from_slice(&expected[range]);
        }
    }
    if expected == forgiven { Ok(()) } else { Err(frames::diff(expected, &forgiven)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Where, explain, ipv4_addresses, verify_checksums};
    use crate::generate::{Generator, sample_world};

    const REMOTE: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 15);
    const HOST: Mac = [2, 0xaa, 0, 0, 0, 1];

    fn from(world: &World, link: usize, packet: &Packet) -> (u32, Vec<u8>) {
        let link = &world.links[link];
        (link.ifindex, Frame::new(HOST, link.mac).tags(&link.tags).ip(packet).trailer(b"trail").build())
    }

    /// The sample world, one of its pairs whose ways in and out are plain, and the indexes of its links.
    fn setting() -> (World, Pair, usize, usize) {
        let world = sample_world();
        let plain = |address: Ipv4Addr| address.octets()[3] % 16 == 15;
        let pair = *world.pairs.iter().find(|pair| pair.vpc == 1 && plain(pair.private)).expect("one is plain");
        let place = |side| world.links.iter().position(|link| link.side == side).expect("there is such a link");
        let (uplink, downlink) = (place(Side::Uplink), place(Side::Downlink { vpc: 1 }));
        (world, pair, uplink, downlink)
    }

    fn swap_addresses(packet: &mut [u8]) {
        let (source, destination) = packet[12..20].split_at_mut(4);
        source.swap_with_slice(destination);
    }

    #[test]
    fn out_and_back_restores_every_protocol() {
        let (world, pair, uplink, downlink) = setting();
        let quoted = Packet::new(REMOTE, pair.private).udp(53, 5000, b"answer").build();
        let packet = || Packet::new(pair.private, REMOTE).ttl(9).dont_fragment();
        let all = [
            packet().tcp(1, 2, b"odd"),
            packet().tcp(1, 2, b"odd").wrong_checksum(77),
            packet().udp(1, 2, b"data"),
            packet().udp(1, 2, b"data").wrong_checksum(0x8000),
            packet().udp_without_checksum(1, 2, b"data"),
            packet().udp_lite(1, 2, 8, b"data"),
            packet().udp_lite(1, 2, 5, b"illegal coverage").transport_checksum(0x1234),
            packet().dccp(1, 2, b"data"),
            packet().sctp(1, 2, b"data"),
            packet().gre(0x0800, &quoted),
            packet().ipip(&quoted),
            packet().esp(1, 2, b"data"),
            packet().echo(1, 2, b"data").options(&[7, 7, 4, 0, 0, 0, 0]),
            packet().timestamp(3, 4),
            packet().tcp(1, 2, b"first").more_fragments(),
            packet().udp(1, 2, b"later").fragment_offset(100),
        ];
        for original in all {
            let (ingress, frame) = from(&world, downlink, &original);
            let out = judge(&world, ingress, &frame);
            assert_eq!((out.verdict, out.action, out.egress), ("outbound", Action::Redirect, Some(2)));
            let mut back = out.frame.unwrap();
            assert_eq!(address(&back, 26), pair.public);
            assert_eq!(verify_checksums(&frame).is_ok(), verify_checksums(&back).is_ok(), "{}", explain(&back));
            swap_addresses(&mut back[14..]);
            back[..6].copy_from_slice(&world.links[uplink].mac);
            let back = judge(&world, world.links[uplink].ifindex, &back);
            assert_eq!((back.verdict, back.action), ("inbound", Action::Redirect));
            let mut restored = back.frame.unwrap();
            swap_addresses(&mut restored[14..]);
            restored[14 + 8] += 2;
            frames::seal_header(&mut restored[14..]);
            restored[..12].copy_from_slice(&frame[..12]);
            frames_equal(&frame, &restored).unwrap();
        }
    }

    #[test]
    fn errors_show_each_side_its_own_addresses() {
        let (world, pair, uplink, downlink) = setting();
        let router = Ipv4Addr::new(9, 9, 9, 31);
        // At 37 bytes the quotation ends inside the TCP checksum, which nobody can correct then.
        for keep in (20..60).filter(|keep| *keep != 37) {
            let lost = Packet::new(pair.public, REMOTE).tcp(1, 2, b"lost on its way").build();
            let (ingress, frame) = from(&world, uplink, &Packet::new(router, pair.public).too_big(1400, &lost, keep));
            let inside = judge(&world, ingress, &frame);
            assert_eq!(inside.verdict, "inbound");
            let inside = inside.frame.unwrap();
            let wanted = Packet::new(router, pair.private).ttl(63).too_big(
                1400,
                &Packet::new(pair.private, REMOTE).tcp(1, 2, b"lost on its way").build(),
                keep,
            );
            let macs = [&inside[6..12], &inside[..6]].map(|mac| mac.try_into().unwrap());
            let wanted = Frame::new(macs[0], macs[1]).ip(&wanted).trailer(b"trail").build();
            frames_equal(&wanted, &inside).unwrap();
            verify_checksums(&inside).unwrap();

            let lost = Packet::new(REMOTE, pair.private).udp(53, 5000, b"query").build();
            // From the instance itself, and from a router of the VPC that has no public address (RFC 5508 REQ-5c).
            for source in [pair.private, Ipv4Addr::new(10, 77, 0, 1)] {
                let packet = Packet::new(source, REMOTE).icmp_error(3, 3, [0; 4], &lost, keep);
                let (ingress, frame) = from(&world, downlink, &packet);
                let outside = judge(&world, ingress, &frame);
                assert_eq!(outside.verdict, "outbound", "{}", explain(&frame));
                let outside = outside.frame.unwrap();
                verify_checksums(&outside).unwrap();
                let shown = [
                    (Where::OuterSource, pair.public),
                    (Where::OuterDestination, REMOTE),
                    (Where::QuotedSource, REMOTE),
                    (Where::QuotedDestination, pair.public),
                ];
                assert_eq!(ipv4_addresses(&outside), shown);
            }
        }
    }

    #[test]
    fn hairpin_translates_both_ends_and_the_quotation() {
        let (world, pair, _, downlink) = setting();
        let plain = |other: &&Pair| other.private.octets()[3] % 16 == 15 && other.public != pair.public;
        let other = *world.pairs.iter().find(plain).unwrap();
        // What `pair` got from `other`: other's public address to pair's private one.
        let got = Packet::new(other.public, pair.private).udp(7, 8, b"hello").build();
        let error = Packet::new(pair.private, other.public).icmp_error(3, 3, [0; 4], &got, 28);
        let (ingress, frame) = from(&world, downlink, &error);
        let judged = judge(&world, ingress, &frame);
        assert_eq!(judged.verdict, "hairpin", "{}", explain(&frame));
        let leaving = judged.frame.unwrap();
        verify_checksums(&leaving).unwrap();
        let shown: Vec<_> = ipv4_addresses(&leaving).into_iter().map(|(_, address)| address).collect();
        assert_eq!(shown, [pair.public, other.private, other.private, pair.public]);
    }

    #[test]
    fn zero_checksums_keep_their_meaning() {
        let (world, pair, uplink, _) = setting();
        for (packet, meant) in [
            (Packet::new(REMOTE, pair.public).udp(1, 2, b"data"), 0xffff),
            (Packet::new(REMOTE, pair.public).udp_lite(1, 2, 0, b"data"), 0xffff),
            (Packet::new(REMOTE, pair.public).tcp(1, 2, b"data"), 0),
        ] {
            // A source port under which the translated packet's checksum is zero.
            let mut bytes = packet.build();
            let at = 20 + checksum_offset(bytes[9]).unwrap();
            let wanted = fold(u64::from(sum(&pair.private.octets())) + u64::from(!sum(&pair.public.octets())));
            let port = fold(u64::from(word(&bytes, 20)) + u64::from(word(&bytes, at)) + u64::from(!wanted));
            bytes[20..22].copy_from_slice(&port.to_be_bytes());
            frames::seal_transport(&mut bytes);
            assert_eq!(word(&bytes, at), wanted);
            let link = &world.links[uplink];
            let frame = Frame::new(HOST, link.mac).tags(&link.tags).carry(IPV4, &bytes).build();
            let leaving = judge(&world, link.ifindex, &frame).frame.unwrap();
            let start = frames::payload(&leaving).unwrap().1;
            assert_eq!(word(&leaving[start..], at), meant);
            verify_checksums(&leaving).unwrap();
        }
    }

    #[test]
    fn equality_forgives_only_zero_and_ffff_of_plain_checksums() {
        let (_, pair, ..) = setting();
        let frame = |packet: &Packet| Frame::new(HOST, HOST).ip(packet).build();
        let tcp = Packet::new(REMOTE, pair.public).tcp(1, 2, b"");
        let (zero, ones, other) = (tcp.clone().transport_checksum(0), tcp.clone().transport_checksum(0xffff), tcp);
        assert_eq!(frames_equal(&frame(&zero), &frame(&ones)), Ok(()));
        assert!(frames_equal(&frame(&zero), &frame(&other)).is_err());
        let udp = Packet::new(REMOTE, pair.public).udp(1, 2, b"");
        assert!(
            frames_equal(&frame(&udp.clone().transport_checksum(0)), &frame(&udp.transport_checksum(0xffff))).is_err()
        );
    }

    #[test]
    fn replies_quote_the_packet_as_its_sender_knows_it() {
        let (world, pair, uplink, downlink) = setting();
        let long = Packet::new(REMOTE, pair.public).ttl(1).udp(1, 2, &[9; 900]);
        let (ingress, frame) = from(&world, uplink, &long);
        let judged = judge(&world, ingress, &frame);
        assert_eq!((judged.verdict, judged.egress), ("ttl-exceeded-reply", Some(ingress)));
        let reply = judged.frame.unwrap();
        assert_eq!((reply.len(), &reply[..6], &reply[6..12]), (14 + 576, &frame[6..12], &frame[..6]));
        assert_eq!(reply[14 + 28..], frame[14..14 + 548]);
        verify_checksums(&reply).unwrap();

        let big = Packet::new(pair.private, Ipv4Addr::new(9, 9, 9, 7)).dont_fragment().udp(1, 2, &[9; 1450]);
        let (ingress, frame) = from(&world, downlink, &big);
        let judged = judge(&world, ingress, &frame);
        assert_eq!(judged.verdict, "too-big-reply");
        let reply = judged.frame.unwrap();
        assert_eq!((reply[14 + 20], reply[14 + 21], word(&reply, 14 + 26)), (3, 4, 1400));
        let error = Packet::new(REMOTE, pair.public).ttl(1).icmp_error(3, 3, [0; 4], &reply[14..], 48);
        let (ingress, frame) = from(&world, uplink, &error);
        assert_eq!(judge(&world, ingress, &frame).action, Action::Drop);
    }

    /// Properties no reading of the contract can be without, over a great many frames.
    #[test]
    fn nothing_private_leaves_and_right_stays_right() {
        let world = sample_world();
        let mut generator = Generator::new(0xe19);
        let known: HashSet<_> = VERDICTS.into_iter().collect();
        for _ in 0..200_000 {
            let (ingress, frame) = generator.next(&world);
            let judged = judge(&world, ingress, &frame);
            assert!(known.contains(judged.verdict), "{}", judged.verdict);
            let named_pass = judged.verdict.starts_with("pass-") || judged.verdict.starts_with("handed-");
            assert_eq!(judged.action == Action::Pass, named_pass);
            let Some(leaving) = &judged.frame else { continue };
            if verify_checksums(&frame).is_ok() {
                verify_checksums(leaving)
                    .unwrap_or_else(|error| panic!("{error}\n{}{}", explain(&frame), explain(leaving)));
            }
            if judged.verdict != "outbound" {
                continue;
            }
            let arrived: Vec<_> = ipv4_addresses(&frame);
            for (place, shown) in ipv4_addresses(leaving) {
                match place {
                    Where::OuterSource | Where::QuotedDestination => assert!(world.private(shown).is_some()),
                    _ => assert!(arrived.contains(&(place, shown))),
                }
            }
        }
    }
}
