//! The programs the daemon, the lab and the tests run, and the Debian package of each.

pub(super) struct Program {
    /// Looked for on PATH and in the administration directories.
    pub(super) command: &'static str,
    pub(super) package: &'static str,
    /// What goes without it.
    pub(super) reason: &'static str,
}

/// The one list: a program that the gateway or a test starts to use is added here.
const PROGRAMS: [Program; 16] = [
    Program { command: "nft", package: "nftables", reason: "the guard outside XDP, and the tests that read it" },
    Program { command: "ip", package: "iproute2", reason: "the lab's namespaces, links and routes" },
    Program { command: "ping", package: "iputils-ping", reason: "echo, record route, timestamps and big packets" },
    Program { command: "arping", package: "iputils-arping", reason: "ARP as a neighbour on the wire sends it" },
    Program { command: "tcpdump", package: "tcpdump", reason: "captures that prove no private address is shown" },
    Program { command: "traceroute", package: "traceroute", reason: "TTL and the ICMP errors about it" },
    Program { command: "ethtool", package: "ethtool", reason: "checksum offload off on the lab's links" },
    Program { command: "curl", package: "curl", reason: "HTTP through the gateway, to its API and its metadata" },
    Program { command: "bpftool", package: "bpftool", reason: "a second opinion on programs, maps and pins" },
    Program { command: "iperf3", package: "iperf3", reason: "throughput and policers under load" },
    Program { command: "iptables-legacy", package: "iptables", reason: "a gateway the benchmark compares with" },
    Program { command: "nc", package: "netcat-openbsd", reason: "TCP and UDP conversations from a shell" },
    Program { command: "strace", package: "strace", reason: "faults at a chosen system call of the daemon" },
    Program { command: "sqlite3", package: "sqlite3", reason: "a second reader of the stored state" },
    Program { command: "python3", package: "python3-minimal", reason: "small servers and senders on the lab's hosts" },
    Program { command: "chromium", package: "chromium", reason: "the console as people see it" },
];

/// What virtual machines take on top, brought only when they are asked for.
const FOR_MACHINES: [Program; 7] = [
    Program { command: "qemu-system-x86_64", package: "qemu-system-x86", reason: "the machines" },
    Program { command: "mmdebstrap", package: "mmdebstrap", reason: "the machines' root file system" },
    Program { command: "mke2fs", package: "e2fsprogs", reason: "the image it is in" },
    Program { command: "cpio", package: "cpio", reason: "what the machines boot from" },
    Program { command: "xz", package: "xz-utils", reason: "modules of newer kernels are packed" },
    Program { command: "strip", package: "binutils", reason: "test programs go in without debug information" },
    Program { command: "unshare", package: "util-linux", reason: "the machines' network is a namespace" },
];

/// What running the gateway takes that `found` does not find.
pub(super) fn missing(found: impl Fn(&str) -> bool) -> Vec<&'static Program> {
    PROGRAMS.iter().filter(|program| !found(program.command)).collect()
}

/// What virtual machines take that `found` does not find.
pub(super) fn missing_for_machines(found: impl Fn(&str) -> bool) -> Vec<&'static Program> {
    PROGRAMS.iter().chain(&FOR_MACHINES).filter(|program| !found(program.command)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use crate::shell;

    use super::{PROGRAMS, missing, missing_for_machines};

    #[test]
    fn all_are_missing_from_an_empty_path() {
        let nowhere = || [PathBuf::from("/nonexistent")];
        assert_eq!(missing(|command| shell::find_in(nowhere(), command).is_some()).len(), PROGRAMS.len());
        assert!(missing(|_| true).is_empty());
    }

    #[test]
    fn no_program_is_listed_twice() {
        let all = missing_for_machines(|_| false);
        let commands: BTreeSet<_> = all.iter().map(|program| program.command).collect();
        assert_eq!(commands.len(), all.len());
    }
}
