//! Which hosts a lab has, how they are joined, and how they are made.
//!
//! ```text
//!  internet ────── router ────── gateway ────── switch ──┬── a  10.0.0.11
//!  192.0.2.10   .1        .1   .2 up0  down0 .1 (bridge) ├── b  10.0.0.12
//!     192.0.2.0/24    198.51.100.0/24      10.0.0.0/24   └── c  10.0.0.13
//!
//!  pools: 198.51.100.64/27 on the link between router and gateway,
//!         203.0.113.0/28 routed to the gateway
//! ```
//!
//! The Internet's side uses documentation ranges only, so that a private address there is always a leak.
//!
//! Every interface is set up so that XDP works on veth pairs as it does on hardware, and so that captures see the
//! frames of the wire:
//! - transmit checksums and segmentation are off: a redirected frame loses the mark that its checksum is unfinished,
//!   and would arrive with a wrong one (T01);
//! - GRO is on: without it, or a program, a veth drops what is redirected to its peer (T04, T05);
//! - and merges nothing (`gro_max_size`): a capture would see the merged packet, whose checksum nobody computes;
//! - one queue: frames keep their order from hop to hop, so one sent later that has arrived is proof that those
//!   before it have too, or never will.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::thread;

use anyhow::{Context as _, Result};

use super::namespace::{Namespace, ip_batch};

pub const INTERNET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The router, as the Internet host sees it.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The router, as the gateway sees it.
pub const UPSTREAM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The gateway, as the Internet sees it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The gateway, as its instances see it.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
pub const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);
pub const C: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 13);
/// The second router, where there is one, as the gateway sees it.
pub const SECOND_UPSTREAM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 129);
/// In the second VPC, where there is one: the same address as [`A`].
pub const D: Ipv4Addr = A;

pub const ON_LINK_POOL: &str = "198.51.100.64/27";
pub const ROUTED_POOL: &str = "203.0.113.0/28";

/// A stretch of wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Internet host to router.
    Internet,
    /// Router to gateway.
    Transit,
    /// Gateway to switch.
    Downlink,
    /// Switch to each instance.
    Instances,
}

/// The shape of a lab.
#[derive(Clone, Debug)]
pub struct Topology {
    /// MTU of links that differ from Ethernet's 1500.
    pub mtu: Vec<(Link, u32)>,
    /// A second downlink `down1` with one instance `d`, numbered exactly like the first.
    pub second_vpc: bool,
    /// A second uplink `up1` with a `second` router of its own and another way from there to the Internet host.
    pub second_uplink: bool,
}

/// Two ends of a veth pair: namespace and interface.
struct Pair {
    link: Link,
    ends: [(&'static str, &'static str); 2],
}

const PAIRS: [Pair; 6] = [
    Pair { link: Link::Internet, ends: [("internet", "eth0"), ("router", "inet0")] },
    Pair { link: Link::Transit, ends: [("router", "gate0"), ("gateway", "up0")] },
    Pair { link: Link::Downlink, ends: [("gateway", "down0"), ("switch", "gate0")] },
    Pair { link: Link::Instances, ends: [("switch", "port-a"), ("a", "eth0")] },
    Pair { link: Link::Instances, ends: [("switch", "port-b"), ("b", "eth0")] },
    Pair { link: Link::Instances, ends: [("switch", "port-c"), ("c", "eth0")] },
];
const SECOND_VPC: Pair = Pair { link: Link::Instances, ends: [("gateway", "down1"), ("d", "eth0")] };

const SECOND_UPLINK: [Pair; 2] = [
    Pair { link: Link::Transit, ends: [("second", "gate0"), ("gateway", "up1")] },
    Pair { link: Link::Internet, ends: [("internet", "eth1"), ("second", "inet0")] },
];

const HOSTS: [&str; 7] = ["internet", "router", "gateway", "switch", "a", "b", "c"];

impl Topology {
    pub fn hosts(&self) -> Vec<&'static str> {
        let more = [self.second_vpc.then_some("d"), self.second_uplink.then_some("second")];
        HOSTS.into_iter().chain(more.into_iter().flatten()).collect()
    }

    pub fn mtu_of(&self, link: Link) -> u32 {
        self.mtu.iter().rev().find(|(other, _)| *other == link).map_or(1500, |(_, mtu)| *mtu)
    }

    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        let second_uplink = if self.second_uplink { &SECOND_UPLINK[..] } else { &[] };
        PAIRS.iter().chain(self.second_vpc.then_some(&SECOND_VPC)).chain(second_uplink)
    }

    /// Makes every namespace and veth pair; everything is still down.
    pub fn make(&self, lab: &str) -> Result<()> {
        let mut lines = String::new();
        for host in self.hosts() {
            let _ = writeln!(lines, "netns add {lab}-{host}");
        }
        ip_batch(&[], &lines)?;
        self.each_host(lab, |_, namespace| prepare(namespace))?;
        lines.clear();
        for pair in self.pairs() {
            lines.push_str(&self.pair(lab, pair));
        }
        make_links(lab, &lines)
    }

    /// Gives every interface its settings, addresses and routes and brings it up.
    pub fn bring_up(&self, lab: &str) -> Result<()> {
        let interfaces_of = |host: &str| -> Vec<&str> {
            let ends = self.pairs().flat_map(|pair| pair.ends).filter(|(end, _)| *end == host);
            ends.map(|(_, interface)| interface).collect()
        };
        // All of them before any is up: whether frames may be redirected into a veth is decided when it comes up, by
        // whether its peer has GRO by then; a peer that gets it later while down is not noticed.
        self.each_host(lab, |host, namespace| {
            interfaces_of(host).into_iter().try_for_each(|interface| settle_interface(namespace, interface))
        })?;
        self.each_host(lab, |host, namespace| {
            let mut lines = String::from("link set lo up\n");
            if host == "switch" {
                lines.push_str("link add br0 type bridge\n");
            }
            for interface in interfaces_of(host) {
                if host == "switch" {
                    let _ = writeln!(lines, "link set {interface} master br0");
                }
                let _ = writeln!(lines, "link set {interface} up");
            }
            lines.push_str(addressing(host));
            if host == "gateway" && self.second_vpc {
                lines.push_str("addr add 10.0.0.1/24 dev down1\n");
            }
            if host == "gateway" && self.second_uplink {
                lines.push_str("addr add 203.0.113.130/29 dev up1\n");
            }
            if host == "internet" && self.second_uplink {
                lines.push_str("addr add 203.0.113.202/29 dev eth1\n");
            }
            namespace.ip(&lines)
        })
    }

    /// The link between router and gateway made anew, both ends still down and without addresses.
    pub fn make_transit(&self, lab: &str) -> Result<()> {
        make_links(lab, &self.pair(lab, &PAIRS[1]))?;
        for host in ["router", "gateway"] {
            let namespace = Namespace::named(format!("{lab}-{host}"));
            settle_interface(&namespace, if host == "router" { "gate0" } else { "up0" })?;
        }
        Ok(())
    }

    /// The words that make a veth pair.
    fn pair(&self, lab: &str, pair: &Pair) -> String {
        let mtu = self.mtu_of(pair.link);
        let [(host, interface), (peer, other)] = pair.ends;
        let queues = "numtxqueues 1 numrxqueues 1";
        format!(
            "link add {interface} netns {lab}-{host} mtu {mtu} {queues} type veth \
             peer name {other} netns {lab}-{peer} mtu {mtu} {queues}\n"
        )
    }

    fn each_host(&self, lab: &str, work: impl Fn(&str, &Namespace) -> Result<()> + Sync) -> Result<()> {
        let done = |host: &str| {
            let namespace = Namespace::named(format!("{lab}-{host}"));
            work(host, &namespace).with_context(|| format!("cannot make {}", namespace.name))
        };
        thread::scope(|scope| {
            let threads: Vec<_> = self.hosts().into_iter().map(|host| scope.spawn(move || done(host))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("it returns its errors"))
        })
    }
}

/// Runs lines that make links. Older kernels refuse a name that is taken where the command is run, as `eth0` is on most
/// hosts, so they are run in a namespace of the lab.
fn make_links(lab: &str, lines: &str) -> Result<()> {
    ip_batch(&["-n", &format!("{lab}-internet")], lines)
}

/// Sets what interfaces take over when they are made.
fn prepare(namespace: &Namespace) -> Result<()> {
    // IPv6 addresses are good at once, and nobody solicits routers that are not there.
    namespace.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
    namespace.sysctl("net.ipv6.conf.default.router_solicitations", "0")?;
    // Hosts answer every probe of a traceroute, not one a second.
    namespace.sysctl("net.ipv4.icmp_ratelimit", "0")
}

fn settle_interface(namespace: &Namespace, interface: &str) -> Result<()> {
    namespace.features(interface, &["tx", "off", "tso", "off", "gso", "off", "gro", "on"])?;
    namespace.ip(&format!("link set {interface} gro_max_size 1\n"))
}

fn addressing(host: &str) -> &'static str {
    match host {
        "internet" => "addr add 192.0.2.10/24 dev eth0\nroute add default via 192.0.2.1\n",
        "router" => {
            "addr add 192.0.2.1/24 dev inet0\naddr add 198.51.100.1/24 dev gate0\n\
             route add 203.0.113.0/28 via 198.51.100.2\n"
        }
        "gateway" => {
            "addr add 198.51.100.2/24 dev up0\naddr add 10.0.0.1/24 dev down0\n\
             route add default via 198.51.100.1\n"
        }
        "switch" => "link set br0 up\n",
        "a" => "addr add 10.0.0.11/24 dev eth0\nroute add default via 10.0.0.1\n",
        "b" => "addr add 10.0.0.12/24 dev eth0\nroute add default via 10.0.0.1\n",
        "c" => "addr add 10.0.0.13/24 dev eth0\nroute add default via 10.0.0.1\n",
        "second" => {
            "addr add 203.0.113.129/29 dev gate0\naddr add 203.0.113.201/29 dev inet0\n\
             route add 192.0.2.0/24 via 203.0.113.202\n"
        }
        "d" => "addr add 10.0.0.11/24 dev eth0\nroute add default via 10.0.0.1\n",
        _ => "",
    }
}
