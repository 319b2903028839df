//! The guard: nftables rules for whatever reaches the kernel when the program is not there to stop it.
//!
//! Links are denied by name and allowed by index. An interface that is deleted and made anew keeps its name and gets
//! another index, so it is denied until the program is on it again. And what the program hands to the kernel carries a
//! secret source MAC, without which nothing is forwarded even if the program is taken off the interface. Frames that the program redirects never pass
//! here; for them the program's own default deny is the proof.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::address::Prefix;

const TABLES: [(&str, &str); 2] = [("inet", "eipgate"), ("arp", "eipgate")];

/// Ranges that never show outside (RFC 1918, RFC 6598, RFC 3927).
const PRIVATE: &str = "10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16";

/// What the guard stands around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Names of the uplinks, with VLAN sub-interfaces.
    pub uplink_names: Vec<String>,
    /// Names of the downlinks, with VLAN sub-interfaces.
    pub downlink_names: Vec<String>,
    /// Indices of the uplinks the program is on.
    pub uplinks: Vec<u32>,
    /// Indices of the downlinks the program is on.
    pub downlinks: Vec<u32>,
    /// The public ranges.
    pub pools: Vec<Prefix>,
    /// The gateway's own addresses that may be seen outside.
    pub own: Vec<Ipv4Addr>,
    /// Private ranges that are the uplinks' own business: their networks, and the martian exceptions.
    pub outside: Vec<Prefix>,
    /// Addresses at which instances ask about themselves, by HTTP.
    pub asked_at: Vec<Ipv4Addr>,
    /// Source MAC by which the program marks what it hands to the kernel.
    pub mark: [u8; 6],
}

/// Puts the guard up, or replaces it in one transaction.
pub fn put_up(guard: &Guard) -> Result<()> {
    nft(&script(guard)).context("putting up the guard (nftables tables inet eipgate and arp eipgate)")
}

/// Whether both tables are there.
///
/// # Errors
/// That there is no nft to ask, in one sentence.
pub fn stands() -> Result<bool, String> {
    for (family, name) in TABLES {
        let mut list = Command::new("nft");
        list.args(["list", "table", family, name]).stdout(Stdio::null()).stderr(Stdio::null());
        let status = list.status().map_err(|error| format!("the program nft cannot be started: {error}"))?;
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the guard down; says what was removed.
pub fn take_down() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (family, name) in TABLES {
        let list = Command::new("nft").args(["list", "table", family, name]).output().context("running nft")?;
        if list.status.success() {
            nft(&format!("delete table {family} {name}\n")).context("removing the guard")?;
            lines.push(format!("removed nftables table {family} {name}"));
        }
    }
    Ok(lines)
}

fn nft(script: &str) -> Result<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        command.spawn().context("the program nft cannot be started; install it with `apt-get install nftables`")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).context("writing to nft")?;
    }
    let output = child.wait_with_output().context("waiting for nft")?;
    if !output.status.success() {
        bail!("nft refused the rules: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn script(guard: &Guard) -> String {
    let mut text = String::new();
    for (family, name) in TABLES {
        // Naming a table before deleting it makes the deletion succeed whether or not it was there.
        let _ = writeln!(text, "table {family} {name}\ndelete table {family} {name}");
    }
    let set = |name: &str, kind: &str, flags: &str, elements: Vec<String>| {
        let elements = elements.join(", ");
        let elements = if elements.is_empty() { elements } else { format!(" elements = {{ {elements} }}") };
        format!("  set {name} {{ type {kind};{flags}{elements} }}\n")
    };
    let names = |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
    let every = [names(&guard.uplink_names), names(&guard.downlink_names)].concat();
    let numbers = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect();
    let own: Vec<String> = guard.own.iter().map(Ipv4Addr::to_string).collect();
    let own_raw: Vec<String> = guard.own.iter().map(|address| format!("{:#010x}", u32::from(*address))).collect();

    text += "table inet eipgate {\n";
    text += &set("ours", "ifname", "", every);
    text += &set("uplink_names", "ifname", "", names(&guard.uplink_names));
    text += &set("uplinks", "iface_index", "", numbers(&guard.uplinks));
    text += &set("downlinks", "iface_index", "", numbers(&guard.downlinks));
    let pools = guard.pools.iter().map(|pool| format!("{}/{}", pool.first(), pool.length())).collect();
    text += &set("pools", "ipv4_addr", " flags interval;", pools);
    text += &set("own", "ipv4_addr", "", own.clone());
    let outside = guard.outside.iter().map(|prefix| format!("{}/{}", prefix.first(), prefix.length())).collect();
    text += &set("outside", "ipv4_addr", " flags interval; auto-merge;", outside);
    let [a, b, c, d, e, f] = guard.mark;
    let marked = format!("ether saddr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    text += "  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    meta nfproto != ipv4 accept
    iifname != @ours oifname != @ours accept
";
    let _ = writeln!(text, "    {marked} iif @downlinks oif @uplinks ip saddr @pools counter accept");
    let _ = writeln!(text, "    {marked} iif @uplinks oif @downlinks counter accept");
    let _ = writeln!(text, "    {marked} iif @downlinks oif @downlinks ip saddr @pools counter accept");
    text += "    counter drop
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
    meta nfproto != ipv4 accept
    oifname != @uplink_names accept
";
    let _ = writeln!(text, "    ip saddr != @own ip saddr {{ {PRIVATE} }} counter drop");
    let _ = writeln!(text, "    ip daddr != @outside ip daddr {{ {PRIVATE} }} counter drop");
    // The kernel's ICMP errors quote packets as translated. Only those about packets to the gateway itself may leave:
    // 64 bits of ICMP header and 128 bits into the quoted IP header stands its destination.
    let errors = "icmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem }";
    if own_raw.is_empty() {
        let _ = writeln!(text, "    {errors} counter drop");
    } else {
        let _ = writeln!(text, "    {errors} @th,192,32 != {{ {} }} counter drop", own_raw.join(", "));
    }
    text += "  }\n";
    text += &input(&guard.asked_at);
    text += "}\ntable arp eipgate {\n";
    text += &set("uplink_names", "ifname", "", names(&guard.uplink_names));
    text += &set("own", "ipv4_addr", "", own);
    text += "  chain output {
    type filter hook output priority filter; policy accept;
    oifname != @uplink_names accept
";
    let _ = writeln!(text, "    arp saddr ip != @own arp saddr ip {{ {PRIVATE} }} counter drop");
    text += "  }\n}\n";
    text
}

/// The kernel takes a packet for any of its addresses from whatever link it comes by, so where these may be asked at is
/// said here: by downlinks the program is on, which lets instances through only.
fn input(asked_at: &[Ipv4Addr]) -> String {
    if asked_at.is_empty() {
        return String::new();
    }
    let addresses = asked_at.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "  chain input {{
    type filter hook input priority filter - 10; policy accept;
    ip daddr != {{ {addresses} }} accept
    iif @downlinks tcp dport 80 counter accept
    iif @downlinks icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} counter accept
    counter drop
  }}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_denies_by_name_and_allows_by_index() {
        let guard = Guard {
            uplink_names: vec!["up0".into()],
            downlink_names: vec!["down0".into()],
            uplinks: vec![2],
            downlinks: vec![3],
            pools: vec!["203.0.113.0/24".parse().unwrap()],
            own: vec![Ipv4Addr::new(198, 51, 100, 2)],
            outside: vec![],
            asked_at: vec![],
            mark: [2, 0, 0, 0, 0, 0xab],
        };
        let script = script(&guard);
        assert!(script.contains(r#"set ours { type ifname; elements = { "up0", "down0" } }"#), "{script}");
        assert!(script.contains("set uplinks { type iface_index; elements = { 2 } }"));
        assert!(
            script.contains("ether saddr 02:00:00:00:00:ab iif @uplinks oif @downlinks counter accept"),
            "{script}"
        );
        assert!(script.contains("@th,192,32 != { 0xc6336402 } counter drop"));
        assert!(!script.contains("hook input"), "{script}");
    }

    #[test]
    fn who_asks_about_himself_comes_by_a_downlink_with_the_program() {
        let script = script(&Guard { asked_at: vec![Ipv4Addr::new(169, 254, 0, 23)], ..Guard::default() });
        let asked = "ip daddr != { 169.254.0.23 } accept\n    iif @downlinks tcp dport 80 counter accept";
        assert!(script.contains(asked), "{script}");
    }

    #[test]
    fn a_guard_around_nothing_is_still_a_script() {
        let script = script(&Guard::default());
        assert!(script.contains("set pools { type ipv4_addr; flags interval; }"), "{script}");
    }
}
