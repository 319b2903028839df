//! Kernel settings of the gateway's interfaces: set while it serves, recorded once, restored by `detach`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;

use super::sys;

const RECORD: &str = "host-settings.json";

/// What the record calls generic receive offload of an interface.
const GRO: &str = "gro/";

/// What the record calls the stripping of VLAN tags on an interface.
const RX_VLAN: &str = "rxvlan/";

/// What the record calls an address on an interface: `address/INTERFACE/ADDRESS`.
const ADDRESS: &str = "address/";

/// Settings that hold for the whole host (its network namespace) with the reason for each.
pub const GLOBAL: [(&str, &str); 3] = [
    // The kernel fragments packets and resolves next hops for us, for which it must forward.
    ("ip_forward", "1"),
    // The stricter of `all` and the interface's own counts. A translated packet comes in by a downlink with a public
    // source, which reverse-path filtering takes for spoofed; the program judges sources itself.
    ("conf/all/rp_filter", "0"),
    // The looser of the two counts: a redirect would send an instance around the gateway.
    ("conf/all/send_redirects", "0"),
];

/// Settings of each uplink and downlink.
pub const INTERFACE: [(&str, &str); 5] = [
    ("forwarding", "1"),
    ("rp_filter", "0"),
    ("send_redirects", "0"),
    // Answer and ask by ARP only with addresses of the interface itself, so that no downlink address shows outside.
    ("arp_ignore", "1"),
    ("arp_announce", "2"),
];

/// Settings of neighbours on each uplink and downlink. Packets that XDP forwards confirm no neighbour, so the kernel is
/// left to ask: a host that changed its MAC without a word is found again within twenty seconds.
const NEIGHBOURS: [(&str, &str); 3] = [
    // Milliseconds an answer counts for, on average.
    ("base_reachable_time_ms", "5000"),
    // Seconds until a stale neighbour is asked.
    ("delay_first_probe_time", "1"),
    // Questions to everybody after those to the old MAC stayed unanswered.
    ("mcast_resolicit", "2"),
];

/// Sets and records.
pub struct HostSettings {
    record: PathBuf,
    /// What each setting was before the gateway first changed it, by path below `/proc/sys/net/ipv4`, and its
    /// offloads.
    before: BTreeMap<String, String>,
}

impl HostSettings {
    /// Opens the record in the state directory, empty where there is none.
    pub fn open(state_dir: &Path) -> Result<Self> {
        let record = state_dir.join(RECORD);
        let before = match fs::read(&record) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is damaged; remove it to forget the host's former settings", record.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", record.display())),
        };
        Ok(HostSettings { record, before })
    }

    /// Sets what holds for the whole host.
    pub fn set_global(&mut self) -> Result<()> {
        GLOBAL.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    /// Sets what holds for an interface.
    pub fn set_interface(&mut self, interface: &str) -> Result<()> {
        INTERFACE.iter().try_for_each(|(name, value)| self.set(&format!("conf/{interface}/{name}"), value))?;
        NEIGHBOURS.iter().try_for_each(|(name, value)| self.set(&format!("neigh/{interface}/{name}"), value))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let path = path(name);
        let now = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let now = now.trim();
        if now == value {
            return Ok(());
        }
        self.note(name, now)?;
        fs::write(&path, value).with_context(|| format!("setting {} to {value}", path.display()))
    }

    /// Switches off generic receive offload of an interface; answers whether it was on.
    pub fn switch_off_gro(&mut self, interface: &str) -> Result<bool> {
        let was_on = sys::gro(interface, None)?;
        if was_on {
            // Noted beforehand, so that no end of this process leaves a change that nobody knows of.
            self.note(&format!("{GRO}{interface}"), "on")?;
            sys::gro(interface, Some(false))?;
        }
        Ok(was_on)
    }

    /// Has an interface leave VLAN tags on the frames it receives; answers whether it took them off.
    pub fn switch_off_vlan_stripping(&mut self, interface: &str) -> Result<bool> {
        let was_on = sys::vlan_stripping(interface, None)?;
        if was_on {
            self.note(&format!("{RX_VLAN}{interface}"), "on")?;
            sys::vlan_stripping(interface, Some(false))?;
        }
        Ok(was_on)
    }

    /// Notes that an address is about to be put on an interface, where there was none.
    pub fn note_address(&mut self, interface: &str, address: Ipv4Addr) -> Result<()> {
        self.note(&format!("{ADDRESS}{interface}/{address}"), "absent")
    }

    /// The addresses that were put on interfaces, by name of the interface.
    pub fn addresses(&self) -> BTreeSet<(String, Ipv4Addr)> {
        let noted = self.before.keys().filter_map(|name| name.strip_prefix(ADDRESS)?.split_once('/'));
        noted.filter_map(|(interface, address)| Some((interface.to_owned(), address.parse().ok()?))).collect()
    }

    /// Notes what a setting was, unless that is known from before. The record is replaced in one step.
    fn note(&mut self, name: &str, value: &str) -> Result<()> {
        if self.before.contains_key(name) {
            return Ok(());
        }
        self.before.insert(name.into(), value.into());
        let text = serde_json::to_vec_pretty(&self.before).context("encoding the host's settings")?;
        let new = self.record.with_extension("new");
        fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &self.record).with_context(|| format!("writing {}", self.record.display()))
    }

    /// The interfaces, of those that exist, whose settings were changed.
    pub fn interfaces(&self) -> BTreeSet<u32> {
        let names = self.before.keys().filter_map(|name| name.split('/').nth(1));
        names.filter_map(|name| if_nametoindex(name).ok()).collect()
    }

    /// Puts every recorded setting back and forgets the record; says what was restored. Addresses are taken off before,
    /// by who can.
    pub fn restore(self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (name, value) in self.before.iter().filter(|(name, _)| !name.starts_with(ADDRESS)) {
            if let Some(interface) = name.strip_prefix(GRO) {
                if sys::gro(interface, Some(true)).is_ok() {
                    lines.push(format!("switched on GRO on {interface} again"));
                }
                continue;
            }
            if let Some(interface) = name.strip_prefix(RX_VLAN) {
                if sys::vlan_stripping(interface, Some(true)).is_ok() {
                    lines.push(format!("let {interface} take VLAN tags off received frames again"));
                }
                continue;
            }
            // An interface that is gone took its settings along.
            if fs::write(path(name), value).is_ok() {
                lines.push(format!("restored net/ipv4/{name} to {value}"));
            }
        }
        match fs::remove_file(&self.record) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", self.record.display()))
            }
            _ => Ok(lines),
        }
    }
}

/// Where a setting is, by its path below `net/ipv4`.
pub fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv4").join(name)
}
