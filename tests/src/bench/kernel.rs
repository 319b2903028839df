//! The kernel's own forwarding and translation, as nftables and iptables set it up.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::addresses::Pairs;
use super::gateway::PATIENCE;
use super::loading::{self, Loading};
use super::site::Site;
use crate::lab::wait::locked;

/// Whether the kernel remembers flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// With connection tracking.
    Stateful,
    /// Each packet for itself.
    Stateless,
}

/// Has the kernel forward whatever it can route.
pub fn forward(site: &Site) -> Result<()> {
    let gateway = site.gateway();
    for interface in ["all", "default", "up0", "down0"] {
        gateway.sysctl(&format!("net.ipv4.conf.{interface}.send_redirects"), "0")?;
    }
    gateway.sysctl("net.ipv4.ip_forward", "1")
}

/// Has nftables translate these pairs.
pub fn nftables(site: &Site, pairs: Pairs, tracking: Tracking) -> Result<Loading> {
    let path = site.directory.join("pairs.nft");
    write_rules(&path, pairs, tracking).with_context(|| format!("cannot write {}", path.display()))?;
    forward(site)?;
    let before = loading::kernel_memory()?;
    let began = Instant::now();
    let finished = site.gateway().output(&["nft", "-f", &path.display().to_string()], PATIENCE)?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(finished.success(), "{finished}");
    let kernel_bytes = loading::kernel_memory()?.saturating_sub(before);
    fs::remove_file(&path)?;
    if tracking == Tracking::Stateful {
        keep_flows(site)?;
    }
    Ok(Loading {
        seconds,
        serving_seconds: None,
        store_seconds: None,
        kernel_bytes,
        counter_bytes: 0,
        rss_bytes: 0,
        maps: Vec::new(),
    })
}

/// Flows of the benchmark last longer than it does.
fn keep_flows(site: &Site) -> Result<()> {
    for key in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
        site.gateway().sysctl(&format!("net.netfilter.{key}"), "900")?;
    }
    Ok(())
}

/// Has iptables translate the prefix of all clustered pairs.
pub fn netmap(site: &Site) -> Result<Loading> {
    let all = Pairs::clustered(1 << 20);
    let (public, private) = (format!("{}/12", all.base()), format!("{}/12", all.private(0)));
    forward(site)?;
    let before = loading::kernel_memory()?;
    let began = Instant::now();
    let iptables = ["iptables-legacy", "-t", "nat", "-A"];
    site.gateway().tell(&[&iptables[..], &["PREROUTING", "-d", &public, "-j", "NETMAP", "--to", &private]].concat())?;
    site.gateway()
        .tell(&[&iptables[..], &["POSTROUTING", "-s", &private, "-j", "NETMAP", "--to", &public]].concat())?;
    let seconds = began.elapsed().as_secs_f64();
    let kernel_bytes = loading::kernel_memory()?.saturating_sub(before);
    keep_flows(site)?;
    Ok(Loading { seconds, kernel_bytes, ..Loading::default() })
}

fn write_rules(path: &std::path::Path, pairs: Pairs, tracking: Tracking) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "table ip nat {{")?;
    write_map(&mut file, "inbound", pairs.all())?;
    write_map(&mut file, "outbound", pairs.all().map(|(public, private)| (private, public)))?;
    let chains = match tracking {
        Tracking::Stateful => {
            "chain in { type nat hook prerouting priority dstnat; dnat to ip daddr map @inbound; }\n\
             chain out { type nat hook postrouting priority srcnat; snat to ip saddr map @outbound; }\n"
        }
        Tracking::Stateless => {
            "chain in { type filter hook prerouting priority raw; notrack; ip daddr set ip daddr map @inbound; }\n\
             chain out { type filter hook postrouting priority srcnat; ip saddr set ip saddr map @outbound; }\n"
        }
    };
    writeln!(file, "{chains}}}")?;
    Ok(file.flush()?)
}

fn write_map(
    file: &mut impl std::io::Write,
    name: &str,
    pairs: impl Iterator<Item = (Ipv4Addr, Ipv4Addr)>,
) -> Result<()> {
    writeln!(file, "map {name} {{ type ipv4_addr : ipv4_addr; elements = {{")?;
    let mut line = String::new();
    for (from, to) in pairs {
        line.clear();
        let _ = write!(line, "{from} : {to}, ");
        file.write_all(line.as_bytes())?;
    }
    writeln!(file, "}}\n}}")?;
    Ok(())
}

/// Sizes of the kernel's table of flows, which all namespaces share, as the benchmark needs them.
const SIZES: [(&str, &str); 2] = [
    ("/proc/sys/net/netfilter/nf_conntrack_buckets", "4194304"),
    ("/proc/sys/net/netfilter/nf_conntrack_max", "8388608"),
];

/// The sizes before.
static BEFORE: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

/// Room for the flows of the whole benchmark in the kernel's table; as before when dropped.
pub struct FlowTable(());

impl FlowTable {
    /// Enlarges the table, so that no flow is refused and chains stay short.
    pub fn enlarge() -> Result<Self> {
        let table = Self(());
        for (path, size) in SIZES {
            let old = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            locked(&BEFORE).push((path, old));
            fs::write(path, size).with_context(|| format!("cannot write {size} to {path}"))?;
        }
        Ok(table)
    }
}

impl Drop for FlowTable {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the table of flows its size before, where it was enlarged.
pub fn restore() {
    for (path, old) in std::mem::take(&mut *locked(&BEFORE)) {
        if let Err(error) = fs::write(path, old.trim()) {
            eprintln!("bench: cannot write {} back to {path}: {error}", old.trim());
        }
    }
}

/// How many flows the kernel remembers in all namespaces; 0 where it does not say.
pub fn flows() -> u64 {
    let table = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    let line = table.lines().find(|line| line.starts_with("nf_conntrack "));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
