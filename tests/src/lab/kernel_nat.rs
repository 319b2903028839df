//! The kernel's own one-to-one NAT in a lab's gateway, in place of the daemon, to compare with.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::Lab;

impl Lab {
    /// Has the gateway's kernel forward whatever it can route, untranslated.
    pub fn forward_plainly(&self) -> Result<()> {
        self.gateway.sysctl("net.ipv4.ip_forward", "1")
    }

    /// Has the gateway's kernel translate these pairs of public and private addresses by nftables. Public addresses
    /// must be of the routed pool: nobody answers ARP for others.
    pub fn translate_by_nftables(&self, pairs: &[(Ipv4Addr, Ipv4Addr)]) -> Result<()> {
        let (mut inbound, mut outbound) = (String::new(), String::new());
        for (public, private) in pairs {
            let _ = write!(inbound, "{public} : {private}, ");
            let _ = write!(outbound, "{private} : {public}, ");
        }
        let rules = format!(
            "table ip nat {{\n\
             chain in {{ type nat hook prerouting priority dstnat; dnat to ip daddr map {{ {inbound} }}; }}\n\
             chain out {{ type nat hook postrouting priority srcnat; snat to ip saddr map {{ {outbound} }}; }}\n\
             }}\n"
        );
        let file = self.directory.join("nat.nft");
        fs::write(&file, rules)?;
        self.gateway.tell(&["nft", "-f", &file.display().to_string()])?;
        self.gateway.sysctl("net.ipv4.conf.all.send_redirects", "0")?;
        self.gateway.sysctl("net.ipv4.conf.down0.send_redirects", "0")?;
        self.forward_plainly()
    }
}
