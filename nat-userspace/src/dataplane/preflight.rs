//! What the kernel and this process must offer, asked before anything is touched.

use std::fs;

use anyhow::{Result, bail};

/// Capabilities by bit, with what each is for.
const NEEDED: [(u32, &str, &str); 4] = [
    (12, "CAP_NET_ADMIN", "attach XDP, set interfaces and nftables"),
    (13, "CAP_NET_RAW", "announce addresses by ARP"),
    (38, "CAP_PERFMON", "load a program that reads packets by computed offsets"),
    (39, "CAP_BPF", "load the program and its maps"),
];

/// CAP_SYS_ADMIN covers CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;

/// Refuses with one sentence where something is missing.
pub fn check() -> Result<()> {
    check_own_capabilities()?;
    check_kernel(&release())
}

/// The kernel's release.
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Refuses a process that may not do what the daemon does.
pub fn check_own_capabilities() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    check_capabilities(effective(&status))
}

/// The effective capability set in a `/proc/<pid>/status`.
fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn check_capabilities(effective: u64) -> Result<()> {
    let has = |bit: u32| effective & (1 << bit) != 0 || (bit >= 38 && effective & (1 << SYS_ADMIN) != 0);
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(bit, ..)| !has(*bit))
        .map(|(_, name, purpose)| format!("{name} (to {purpose})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this process lacks {}; run eipgate as root", missing.join(", "))
}

/// Refuses a kernel that is too old.
pub fn check_kernel(release: &str) -> Result<()> {
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < (6, 1) {
        bail!("this kernel is {release}, and eipgate needs Linux 6.1 or later; boot a newer one");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_and_a_missing_capability_are_named() {
        assert!(check_kernel("5.10.0-28-amd64").unwrap_err().to_string().contains("5.10.0-28-amd64"));
        assert!(check_kernel("6.1.0-13-amd64").is_ok());
        assert!(check_kernel("6.18.44").is_ok());
        let nobody = check_capabilities(0).unwrap_err().to_string();
        assert!(nobody.contains("CAP_NET_ADMIN") && nobody.contains("run eipgate as root"), "{nobody}");
        assert!(check_capabilities(1 << 12 | 1 << 13 | 1 << SYS_ADMIN).is_ok());
    }

    #[test]
    fn the_effective_set_is_read_from_the_status_file() {
        assert_eq!(effective("Name:\tx\nCapEff:\t00000000a80425fb\n"), 0xa804_25fb);
        assert_eq!(effective(""), 0);
    }
}
