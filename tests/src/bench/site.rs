//! Three namespaces in a row: generator, gateway, sink.
//!
//! ```text
//!  generator ───── gateway ───── sink
//!       gen0       up0 down0     snk0
//!  150.1.0.1       .2    .1      192.168.255.2     10.0.0.0/8 is behind the sink, the Internet behind the generator
//! ```
//!
//! No offloads, one queue, neighbours that never change: what a packet costs is what the gateway does with it. Both ends
//! have a program, so that the gateway may redirect into its side of either pair.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use super::addresses::{PRIVATE_RANGE, PUBLIC_RANGES, REMOTE};
use super::traffic::Traffic;
use super::wires::{self, Stream, Way};
use crate::frames::Mac;
use crate::lab::Namespace;
use crate::lab::namespace::ip_batch;
use crate::lab::remains::{self, Undo};

/// Address of the generator on its link.
pub const UPSTREAM: Ipv4Addr = Ipv4Addr::new(150, 1, 0, 1);
/// Address of the sink on its link.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 255, 2);

const HOSTS: [&str; 3] = ["generator", "gateway", "sink"];

/// Numbers of labs of the same process are below.
const FIRST: u32 = 1_000_000;

/// A number that no site and no run of this process has had.
fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One end of a veth pair.
#[derive(Clone, Debug)]
pub struct Port {
    /// Where it is.
    pub namespace: Namespace,
    /// Its name.
    pub name: &'static str,
    /// Its number there.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// The three hosts of one gateway under test; removed when dropped.
pub struct Site {
    /// Common to the names of its namespaces.
    pub name: String,
    /// For sockets, state, logs and rules.
    pub directory: PathBuf,
    /// The generator's end of the uplink.
    pub gen0: Port,
    /// The gateway's uplink.
    pub up0: Port,
    /// The gateway's downlink.
    pub down0: Port,
    /// The sink's end of the downlink.
    pub snk0: Port,
    undo: Undo,
}

/// Whether the gateway translates, which decides where its routes lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// Private addresses are behind the downlink.
    Private,
    /// Public ones too, because they arrive there as they are.
    PublicToo,
}

impl Site {
    /// Makes the hosts and joins them; everything is up and nothing forwards yet.
    pub fn make(undo: &Undo, routes: Routes) -> Result<Self> {
        let (name, directory) = undo.make(|remains| {
            if remains.name.is_empty() {
                remains.name = format!("eg-{}-{}", process::id(), FIRST + next());
                remains.directory = remains::home().join(&remains.name);
            }
            let name = format!("{}-site{}", remains.name, next());
            let directory = remains.directory.join(&name);
            fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
            let hosts = HOSTS.map(|host| format!("{name}-{host}"));
            ip_batch(&[], &hosts.each_ref().map(|host| format!("netns add {host}\n")).concat())?;
            remains.namespaces.extend(hosts);
            Ok((name, directory))
        })?;
        let [generator, gateway, sink] = HOSTS.map(|host| format!("{name}-{host}"));
        let [generator, gateway, sink] = [generator, gateway, sink].map(Namespace::named);
        for namespace in [&generator, &gateway, &sink] {
            namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
            namespace.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
            namespace.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
        }
        let queues = "numtxqueues 1 numrxqueues 1";
        let join = |from: &str, host: &Namespace, to: &str, peer: &Namespace| {
            let (host, peer) = (&host.name, &peer.name);
            format!("link add {from} netns {host} {queues} type veth peer name {to} netns {peer} {queues}\n")
        };
        ip_batch(&[], &(join("gen0", &generator, "up0", &gateway) + &join("down0", &gateway, "snk0", &sink)))?;
        let port = |namespace: &Namespace, name: &'static str| -> Result<Port> {
            namespace.features(name, &["tx", "off", "tso", "off", "gso", "off", "gro", "off"])?;
            let index = namespace.run(|| nix::net::if_::if_nametoindex(name))?;
            Ok(Port { namespace: namespace.clone(), name, index, mac: namespace.mac(name)? })
        };
        let site = Self {
            gen0: port(&generator, "gen0")?,
            up0: port(&gateway, "up0")?,
            down0: port(&gateway, "down0")?,
            snk0: port(&sink, "snk0")?,
            name,
            directory,
            undo: undo.clone(),
        };
        site.address(routes)?;
        Ok(site)
    }

    fn address(&self, routes: Routes) -> Result<()> {
        let neighbour = |address: Ipv4Addr, port: &Port, of: &Port| {
            format!("neigh add {address} lladdr {} dev {} nud permanent\n", shown(of.mac), port.name)
        };
        self.gen0
            .namespace
            .ip(&(String::from("link set lo up\nlink set gen0 up\naddr add 150.1.0.1/30 dev gen0\n")
                + &format!("addr add {REMOTE}/32 dev gen0\nroute add default via 150.1.0.2\n")
                + &neighbour(Ipv4Addr::new(150, 1, 0, 2), &self.gen0, &self.up0)))?;
        self.snk0
            .namespace
            .ip(&(String::from("link set lo up\nlink set snk0 up\naddr add 192.168.255.2/30 dev snk0\n")
                + "route add default via 192.168.255.1\n"
                + &neighbour(Ipv4Addr::new(192, 168, 255, 1), &self.snk0, &self.down0)))?;
        let mut lines = String::from("link set lo up\nlink set up0 up\nlink set down0 up\n");
        lines += "addr add 150.1.0.2/30 dev up0\naddr add 192.168.255.1/30 dev down0\n";
        lines += &format!("route add default via {UPSTREAM}\nroute add {PRIVATE_RANGE} via {INSIDE}\n");
        if routes == Routes::PublicToo {
            for range in PUBLIC_RANGES {
                lines += &format!("route add {range} via {INSIDE}\n");
            }
        }
        lines += &neighbour(UPSTREAM, &self.up0, &self.gen0);
        lines += &neighbour(INSIDE, &self.down0, &self.snk0);
        self.up0.namespace.ip(&lines)
    }

    /// The gateway's namespace.
    pub fn gateway(&self) -> &Namespace {
        &self.up0.namespace
    }

    /// Where packets of a direction are made, and where the sink gets them.
    pub fn ends(&self, direction: u32) -> [&Port; 2] {
        match direction {
            wires::INBOUND => [&self.gen0, &self.snk0],
            wires::OUTBOUND => [&self.snk0, &self.gen0],
            _ => [&self.snk0, &self.snk0],
        }
    }

    /// The packets of some traffic here.
    pub fn stream(&self, traffic: &Traffic) -> Stream {
        let [from, _] = self.ends(traffic.direction);
        let gateway = if traffic.direction == wires::INBOUND { &self.up0 } else { &self.down0 };
        traffic.stream(from.index, ethernet(gateway.mac, from.mac))
    }

    /// Where a program with constant addresses sends what comes by the uplink, and what comes by the downlink.
    pub fn ways(&self) -> [Way; 2] {
        let way = |out: &Port, to: &Port| Way { ifindex: out.index, ethernet: ethernet(to.mac, out.mac) };
        [way(&self.down0, &self.snk0), way(&self.up0, &self.gen0)]
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for port in [&self.gen0, &self.up0, &self.snk0] {
            tell(port.namespace.remove());
        }
        // Pins of a daemon, and its memory with them.
        tell(remains::unmount_below(&self.directory));
        tell(fs::remove_dir_all(&self.directory).context("cannot remove the directory of a site"));
        let names = [&self.gen0, &self.up0, &self.snk0].map(|port| port.namespace.name.clone());
        // Where everything is being undone already, there is nothing to forget.
        let _ = self.undo.make(|remains| {
            remains.namespaces.retain(|name| !names.contains(name));
            Ok(())
        });
    }
}

/// What went wrong is no reason to leave the rest.
fn tell(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("bench: {error:#}");
    }
}

/// Destination and source as they stand in a frame.
fn ethernet(destination: Mac, source: Mac) -> [u8; 12] {
    let mut both = [0; 12];
    both[..6].copy_from_slice(&destination);
    both[6..].copy_from_slice(&source);
    both
}

fn shown(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
