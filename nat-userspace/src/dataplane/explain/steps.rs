//! What the maps say about each step of the pipeline.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, MapData};
use nat_common::abi::{
    self, ConnectedKey, DEFAULT_HOP, HOP_READY, Hop, LINK_USES_HOPS, Link, LinkKey, MARKS_OF_ROUTES,
    PREFIX_INSTANCES_ONLY, PREFIX_MARTIAN_EXCEPTION, PREFIX_OWN, PREFIX_POOL, PrivateAddr, PrivateKey, PublicAddr,
    SIDE_UPLINK, Settings, Vpc,
};
use nat_common::ipv4;
use nat_common::pairs::{Inbound, Outbound};
use nat_common::verdict::{Action, Verdict};

use super::super::hops;
use super::super::limits::Limits;
use super::super::pins::Pins;
use super::super::sys::Words;
use super::super::table;
use super::{Outcome, Question, Step, Way, remedy};

/// The maps, read as the program reads them.
pub struct Facts {
    pins: Pins,
    slot_bits: u32,
    links: HashMap<MapData, LinkKey, Link>,
    vpcs: HashMap<MapData, u32, Vpc>,
    prefixes: LpmTrie<MapData, [u8; 4], u32>,
    own: HashMap<MapData, PrivateKey, u32>,
    connected: LpmTrie<MapData, ConnectedKey, u32>,
    marks: Words,
}

impl Facts {
    pub fn open(pins: &Pins, settings: Settings) -> Result<Facts> {
        Ok(Facts {
            slot_bits: Limits::of(&settings).slot_bits(),
            links: pins.open("LINKS")?,
            vpcs: pins.open("VPCS")?,
            prefixes: pins.open("PREFIXES")?,
            own: pins.open("OWN")?,
            connected: pins.open("CONNECTED")?,
            marks: pins.words("MARKS", false)?,
            pins: pins.clone(),
        })
    }

    /// Every uplink and downlink, in the order of their interfaces.
    pub fn links(&self) -> Result<Vec<(LinkKey, Link)>> {
        let mut links = self.links.iter().collect::<Result<Vec<_>, _>>().context("reading LINKS")?;
        links.sort_by_key(|(key, _)| *key);
        Ok(links)
    }

    /// Whether an address is an instance's in the VPC, or lies in the network of one of its downlinks.
    pub fn is_at_home(&self, vpc: u32, address: Ipv4Addr) -> bool {
        self.outbound(vpc, address).is_some() || self.is_connected(vpc, address)
    }

    /// An uplink, or whose downlink.
    pub fn side(&self, link: &Link) -> String {
        if link.side == SIDE_UPLINK { "an uplink".into() } else { format!("a downlink of {}", self.vpc(link.vpc)) }
    }

    fn vpc(&self, number: u32) -> String {
        let vpc = self.vpcs.get(&number, 0).ok();
        let name = vpc.map(|vpc| {
            String::from_utf8_lossy(&vpc.name[..(vpc.name_length as usize).min(vpc.name.len())]).into_owned()
        });
        name.unwrap_or_else(|| format!("a VPC without a downlink (#{number})"))
    }

    fn is_connected(&self, vpc: u32, address: Ipv4Addr) -> bool {
        self.connected.get(&Key::new(64, ConnectedKey { vpc, address: address.octets() }), 0).is_ok()
    }

    fn is_own(&self, vpc: u32, address: Ipv4Addr) -> bool {
        let is = |vpc| self.own.get(&PrivateKey { vpc, address: PrivateAddr(address.octets()) }, 0).is_ok();
        is(0) || (vpc != 0 && is(vpc))
    }

    fn flags(&self, address: Ipv4Addr) -> u32 {
        self.prefixes.get(&Key::new(32, address.octets()), 0).unwrap_or(0)
    }

    fn inbound(&self, public: Ipv4Addr) -> Option<(Inbound, Hop)> {
        let cell =
            table::find(&self.pins, table::INBOUND, PublicAddr(public.octets())).ok().filter(|cell| *cell != 0)?;
        let found = Inbound::unpack(cell, self.slot_bits);
        Some((found, self.hop(found.hop)))
    }

    fn hop(&self, index: u32) -> Hop {
        hops::element(&self.pins, index).unwrap_or_default()
    }

    fn outbound(&self, vpc: u32, private: Ipv4Addr) -> Option<Outbound> {
        let key = PrivateKey { vpc, address: PrivateAddr(private.octets()) };
        let cell = table::find(&self.pins, table::OUTBOUND, key).ok().filter(|cell| *cell != 0)?;
        Some(Outbound::unpack(cell))
    }

    /// Direction, pair, source and policer.
    pub fn steps(&self, question: &Question, link: &Link, verdict: Verdict) -> Vec<Step> {
        let Question { source, destination, .. } = question;
        let vpc = link.vpc;
        let uplink = link.side == SIDE_UPLINK;
        let to = self.inbound(*destination);
        let direction = if self.is_own(vpc, *destination) {
            "to the gateway itself"
        } else if uplink {
            "inbound"
        } else if to.is_some() {
            "hairpin: the destination is a public address of this gateway"
        } else {
            "outbound"
        };
        let whose = to.map(|(to, hop)| {
            format!("{destination} is bound to {} in {}", Ipv4Addr::from(to.private.0), self.vpc(hop.vpc))
        });
        let whose = whose.unwrap_or_else(|| match self.flags(*destination) {
            flags if flags & PREFIX_POOL != 0 => format!("{destination} is a pool address and bound to nothing"),
            _ => format!("{destination} is in no pool"),
        });
        let pair = if uplink {
            whose
        } else {
            let from = match self.outbound(vpc, *source) {
                None => format!("{source} is no instance's in {}", self.vpc(vpc)),
                Some(Outbound { public: PublicAddr::NONE, .. }) => {
                    format!("{source} in {} is an instance without a public address", self.vpc(vpc))
                }
                Some(from) => {
                    format!("{source} in {} goes out by {}", self.vpc(vpc), Ipv4Addr::from(from.public.0))
                }
            };
            if to.is_some() || self.flags(*destination) & PREFIX_POOL != 0 { format!("{from}; {whose}") } else { from }
        };
        let policer = match verdict.action() {
            Action::Forward => "none: bandwidths are recorded and not enforced yet",
            _ => "not asked",
        };
        vec![
            Step { step: "direction", finding: direction.into() },
            Step { step: "pair", finding: pair },
            Step { step: "source", finding: self.source(*source, *destination, link) },
            Step { step: "policer", finding: policer.into() },
        ]
    }

    /// What the source check finds, on either side.
    fn source(&self, source: Ipv4Addr, destination: Ipv4Addr, link: &Link) -> String {
        if link.side != SIDE_UPLINK {
            return match self.outbound(link.vpc, source) {
                Some(_) => format!("{source} is an instance's, so it is known"),
                None if self.is_connected(link.vpc, source) && self.flags(destination) & PREFIX_INSTANCES_ONLY != 0 => {
                    format!("{source} is of the downlink's own network, and only instances ask about themselves")
                }
                None if self.is_connected(link.vpc, source) => {
                    format!(
                        "{source} is of the downlink's own network: it may reach the gateway itself and nothing else"
                    )
                }
                None => format!("{source} is unknown in this VPC"),
            };
        }
        let flags = self.flags(source);
        if flags & (PREFIX_POOL | PREFIX_OWN) != 0 {
            format!("{source} is ours and cannot come from outside")
        } else if !ipv4::is_martian_source(source.octets()) {
            format!("{source} may come from the Internet")
        } else if flags & PREFIX_MARTIAN_EXCEPTION != 0 {
            format!("{source} does not exist on the Internet, but is excepted by martian_exceptions")
        } else {
            format!("{source} does not exist on the Internet")
        }
    }

    /// Where the packet goes next, or why nobody asked.
    pub fn way(&self, question: &Question, link: &Link, verdict: Verdict, outcome: &Outcome) -> Way {
        if !remedy::chose_a_way(verdict) {
            return Way::nowhere("not asked");
        }
        if matches!(verdict, Verdict::TtlExceededReply | Verdict::TtlExceededSilent) {
            return Way::nowhere("not asked: the TTL ends here");
        }
        let (index, hop) = match self.inbound(question.destination) {
            Some((to, hop)) => (to.hop, hop),
            None if self.is_marked(question.destination) => (0, Hop::default()),
            None => (DEFAULT_HOP, self.hop(DEFAULT_HOP)),
        };
        if verdict.action() == Action::Forward && outcome.asked.is_none() {
            return Way::by(&hop, "ready, so the kernel was not asked");
        }
        let longer = question_length(outcome, question) > hop.mtu;
        let why = if link.flags & LINK_USES_HOPS == 0 {
            "because its forwarding setting for the interface was off when the daemon looked"
        } else if index == 0 {
            "because a route other than the default leads to that /24 or near it"
        } else if hop.state != HOP_READY {
            "because the daemon is not certain of the next hop (`eipgate status` says why)"
        } else if longer {
            "because the packet is longer than the next hop's MTU"
        } else {
            "because this packet is not an ordinary one"
        };
        match &outcome.asked {
            Some(asked) if verdict.action() == Action::Forward => {
                Way::by(asked, &format!("the kernel was asked, {why}"))
            }
            Some(asked) if asked.mtu != 0 => {
                Way::nowhere(format!("the kernel was asked, {why}: the way's MTU is {}", asked.mtu))
            }
            _ => Way::nowhere(format!("the kernel was asked, {why}: {}", verdict.explanation())),
        }
    }

    /// Whether a route of its own leads to the address's /24, or something else is special about it.
    fn is_marked(&self, address: Ipv4Addr) -> bool {
        let (at, bit) = abi::mark(address.octets());
        let word = self.marks.words().get((MARKS_OF_ROUTES + at) as usize);
        word.is_none_or(|word| word.load(Ordering::Relaxed) & bit != 0)
    }
}

fn question_length(outcome: &Outcome, question: &Question) -> u32 {
    question.length.map_or(outcome.frame.len() as u32, u32::from)
}
