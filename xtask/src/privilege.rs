//! What this process may do: root for apt, capabilities for the kernel tests and the lab.

use std::env;
use std::fs;

/// What loading programs, attaching them and making namespaces takes, with the bit numbers of `linux/capability.h`.
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21), ("CAP_BPF", 39)];

/// How a user runs a command as root with the user's own cargo; sudo alone resets PATH.
pub(crate) const AS_ROOT: &str = "sudo -E env \"PATH=$PATH\" cargo xtask";

pub(crate) fn is_root() -> bool {
    status_field("Uid:")
        .and_then(|ids| ids.split_whitespace().nth(1).map(|effective| effective == "0"))
        .unwrap_or(false)
}

/// The capabilities the kernel tests and the lab miss here; empty where they can run.
pub(crate) fn missing_capabilities() -> Vec<&'static str> {
    let effective = status_field("CapEff:").and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    missing(effective)
}

/// CI has no excuse for skipping anything.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

fn missing(effective: u64) -> Vec<&'static str> {
    NEEDED.iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| *name).collect()
}

fn status_field(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn missing_capabilities_are_named() {
        assert!(missing(0x1ff_ffff_ffff).is_empty());
        assert_eq!(missing(0), ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_BPF"]);
        assert_eq!(missing(1 << 12 | 1 << 21), ["CAP_BPF"]);
    }
}
