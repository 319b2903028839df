//! The gateways that are compared, and how each is put up at a site.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::addresses::{Pairs, Spread};
use super::eipgate;
use super::kernel;
use super::kit::Kit;
use super::loading::Loading;
use super::site::{Routes, Site};
use super::verify::Work;
use crate::lab::Daemon;
use crate::lab::remains::Undo;

/// A kind of gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Drops everything: what generator and wire cost.
    Drop,
    /// Sends everything back.
    Return,
    /// Redirects with constant addresses: the floor.
    Static,
    /// Redirects as the kernel's routes say.
    Fib,
    /// One hash lookup and the arithmetic, inbound only.
    Hash,
    /// The real daemon with its program.
    Eipgate,
    /// The kernel's own forwarding.
    Forward,
    /// nftables with `dnat to … map`.
    NftStateful,
    /// nftables with `notrack` and `ip daddr set … map`.
    NftStateless,
    /// iptables with a prefix for a prefix, which allows no free mapping.
    Netmap,
}

impl Kind {
    /// As rows and results call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Drop => "xdp-drop",
            Kind::Return => "xdp-tx",
            Kind::Static => "static-redirect",
            Kind::Fib => "fib-redirect",
            Kind::Hash => "hash-nat",
            Kind::Eipgate => "eipgate",
            Kind::Forward => "forwarding",
            Kind::NftStateful => "nft-stateful",
            Kind::NftStateless => "nft-stateless",
            Kind::Netmap => "iptables-netmap",
        }
    }

    /// What it does to packets.
    pub fn work(self) -> Work {
        match self {
            Kind::Drop => Work::Drop,
            Kind::Return => Work::Return,
            Kind::Static => Work::Carry,
            Kind::Fib | Kind::Forward => Work::Forward,
            _ => Work::Translate,
        }
    }

    /// Whether it is made for a number of pairs, or is the same for all.
    pub fn has_table(self) -> bool {
        matches!(self, Kind::Hash | Kind::Eipgate | Kind::NftStateful | Kind::NftStateless)
    }

    /// The program on the gateway's interfaces, where it is one of the benchmark's own.
    fn program(self) -> Option<&'static str> {
        match self {
            Kind::Drop => Some("nothing"),
            Kind::Return => Some("back"),
            Kind::Static => Some("fixed"),
            Kind::Fib => Some("routed"),
            Kind::Hash => Some("hashed"),
            Kind::Eipgate => None,
            _ => Some("pass"),
        }
    }
}

/// A gateway that is put up, with generator and sink beside it.
pub struct Standing {
    /// Which one.
    pub kind: Kind,
    /// The pairs it was made for.
    pub pairs: Pairs,
    /// The daemon, where it is eipgate. Before the site, so that it ends before its namespace.
    pub daemon: Option<Daemon>,
    /// The programs on the gateway's interfaces, where they are the benchmark's own.
    pub programs: Option<Kit>,
    /// Where it stands.
    pub site: Site,
    /// What putting it up cost.
    pub loading: Option<Loading>,
}

/// What stands at the ends of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Sinks.
    Sinks,
    /// Hosts with sockets.
    Hosts,
}

/// Puts a gateway up for these pairs, between a generator and a sink.
pub fn put_up(undo: &Undo, kit: &mut Kit, kind: Kind, pairs: Pairs, ends: Ends) -> Result<Standing> {
    let what = || format!("cannot put up {} with {} pairs", kind.name(), pairs.count);
    let routes = if kind.work() == Work::Translate { Routes::Private } else { Routes::PublicToo };
    let site = Site::make(undo, routes).with_context(what)?;
    let program = if ends == Ends::Sinks { "sink" } else { "pass" };
    for port in [&site.gen0, &site.snk0] {
        kit.attach(program, port).with_context(what)?;
    }
    let mut standing = Standing { kind, pairs, daemon: None, programs: None, site, loading: None };
    fill(undo, kit, &mut standing, ends).with_context(what)?;
    Ok(standing)
}

fn fill(undo: &Undo, kit: &mut Kit, standing: &mut Standing, ends: Ends) -> Result<()> {
    let Standing { kind, pairs, ref site, .. } = *standing;
    if let Some(program) = kind.program() {
        let mut programs = Kit::load_gateway(site.up0.index, site.ways(), pairs.count)?;
        if kind == Kind::Hash {
            fill_hash(&mut programs, pairs)?;
        }
        for port in [&site.up0, &site.down0] {
            programs.attach(program, port)?;
        }
        standing.programs = Some(programs);
    }
    match kind {
        Kind::Forward => kernel::forward(site)?,
        Kind::NftStateful => standing.loading = Some(kernel::nftables(site, pairs, kernel::Tracking::Stateful)?),
        Kind::NftStateless => standing.loading = Some(kernel::nftables(site, pairs, kernel::Tracking::Stateless)?),
        Kind::Netmap => standing.loading = Some(kernel::netmap(site)?),
        Kind::Fib => site.gateway().sysctl("net.ipv4.ip_forward", "1")?,
        Kind::Eipgate => {
            let (daemon, loading) = eipgate::put_up(undo, kit, site, pairs, ends)?;
            standing.daemon = Some(daemon);
            standing.loading = Some(loading);
        }
        _ => {}
    }
    Ok(())
}

fn fill_hash(programs: &mut Kit, pairs: Pairs) -> Result<()> {
    ensure!(pairs.spread != Spread::Separate, "the reference NAT has no pools");
    let mut map = programs.pairs()?;
    for (public, private) in pairs.all() {
        let [public, private] = [public, private].map(|address| u32::from_ne_bytes(address.octets()));
        map.insert(public, private, 0)?;
    }
    Ok(())
}

/// Long enough for loading a million pairs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
