//! The machine as a whole: kernel, rights, memory, pins, guard, clock.

use std::fs;
use std::path::Path;

use aya::maps::PerCpuArray;
use nat_common::abi::VerdictCounter;
use nat_common::verdict::Verdict;
use nix::sys::resource::{Resource, getrlimit};

use super::super::limits;
use super::super::pins::{self, Pins};
use super::super::plan::Plan;
use super::super::{counters, guard, preflight, sys};
use super::Finding;

/// Descriptors a daemon with all its maps, sockets and connections gets by with.
const DESCRIPTORS: u64 = 1024;

pub fn examine(plan: &Plan) -> Vec<Finding> {
    let pins = Pins::under(&plan.bpf_dir);
    let attached = !pins.links().is_empty();
    let mut findings = vec![kernel(), btf(Path::new("/sys/kernel/btf/vmlinux")), capabilities()];
    findings.push(jit(fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").ok().as_deref()));
    findings.push(bpffs(&pins));
    findings.push(layout(&pins));
    findings.push(memory(plan, &pins));
    findings.push(descriptors());
    findings.push(guard(attached));
    findings.push(clock());
    findings.push(unfinished_checksums(&pins));
    findings
}

fn kernel() -> Finding {
    let release = preflight::release();
    match preflight::check_kernel(&release) {
        Ok(()) => Finding::ok("kernel", format!("Linux {release}")),
        Err(error) => Finding::failure("kernel", error.to_string()).mend("apt-get install linux-image-amd64 && reboot"),
    }
}

fn btf(file: &Path) -> Finding {
    if file.exists() {
        return Finding::ok("btf", "the kernel describes its types");
    }
    let told = format!("{} is missing: the kernel was built without CONFIG_DEBUG_INFO_BTF", file.display());
    Finding::warning("btf", told).mend("apt-get install linux-image-amd64 && reboot")
}

fn capabilities() -> Finding {
    match preflight::check_own_capabilities() {
        Ok(()) => Finding::ok("capabilities", "this process may load the program"),
        Err(error) => Finding::failure("capabilities", error.to_string()).mend("sudo eipgate doctor"),
    }
}

fn jit(setting: Option<&str>) -> Finding {
    match setting.map(str::trim) {
        None => Finding::unknown("jit", "net.core.bpf_jit_enable is not shown in this network namespace"),
        Some("0") => Finding::warning("jit", "BPF programs are interpreted, which is many times slower")
            .mend("sysctl -w net.core.bpf_jit_enable=1"),
        Some(_) => Finding::ok("jit", "BPF programs are compiled"),
    }
}

fn bpffs(pins: &Pins) -> Finding {
    let root = pins.root().display();
    if let Err(reason) = pins::check_mount_namespace() {
        return Finding::failure("bpffs", reason).mend("nsenter --net=/run/netns/NAME eipgate run");
    }
    match pins.is_bpffs() {
        Ok(true) => Finding::ok("bpffs", format!("mounted on {root}")),
        Ok(false) => Finding::ok("bpffs", format!("none on {root} yet; the daemon mounts it")),
        Err(_) => Finding::ok("bpffs", format!("{root} is not there yet; the daemon makes and mounts it")),
    }
}

fn layout(pins: &Pins) -> Finding {
    match pins.check_directories().and_then(|()| pins.check_layout()) {
        Err(error) => Finding::failure("pins", format!("{error:#}"))
            .mend(format!("eipgate detach --bpf-dir {}", pins.root().display())),
        Ok(()) if pins.map("SETTINGS").exists() => Finding::ok("pins", "the pinned maps are of this version's layout"),
        Ok(()) => Finding::ok("pins", "nothing is pinned yet"),
    }
}

fn memory(plan: &Plan, pins: &Pins) -> Finding {
    let memory = match limits::cpus().and_then(|cpus| plan.limits.memory(cpus, false)) {
        Ok(memory) => memory,
        Err(error) => {
            return Finding::failure("memory", format!("{error:#}")).mend("lower max_pairs in the configuration");
        }
    };
    if let Err(error) = plan.limits.check_pins(pins) {
        return Finding::failure("memory", format!("{error:#}")).mend("eipgate detach");
    }
    let told = memory.to_string();
    if pins.capacity("COUNTERS").is_some() {
        return Finding::ok("memory", format!("{told}: taken"));
    }
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    match available.map(|kilobytes| kilobytes * 1024) {
        None => Finding::unknown("memory", "/proc/meminfo does not say how much memory is available"),
        Some(there) if there < memory.pairs + memory.counters => {
            Finding::failure("memory", format!("{told}, and only {} MB are available", there / 1_000_000))
                .mend("lower max_pairs, or set counters = false")
        }
        Some(there) => Finding::ok("memory", format!("{told}, of {} MB available", there / 1_000_000)),
    }
}

fn descriptors() -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Err(error) => Finding::unknown("limits", format!("the limit of open files cannot be read: {error}")),
        Ok((soft, _)) if soft < DESCRIPTORS => {
            Finding::warning("limits", format!("{soft} open files are allowed, and {DESCRIPTORS} may be needed"))
                .mend(format!("ulimit -n {DESCRIPTORS}"))
        }
        Ok((soft, _)) => {
            Finding::ok("limits", format!("{soft} open files; maps need no locked memory since Linux 5.11"))
        }
    }
}

fn guard(attached: bool) -> Finding {
    match (guard::stands(), attached) {
        (Ok(true), _) => Finding::ok("guard", "both nftables tables stand"),
        (Err(error), _) => Finding::failure("guard", error).mend("apt-get install nftables"),
        (Ok(false), true) => {
            Finding::failure("guard", "a table of the guard is missing: the kernel may leak private packets")
                .mend("systemctl restart eipgate")
        }
        (Ok(false), false) => {
            Finding::warning("guard", "nothing is attached and no guard stands, so the kernel may forward untranslated")
                .mend("eipgate guard")
        }
    }
}

fn clock() -> Finding {
    match sys::clock() {
        Err(error) => Finding::unknown("clock", format!("the kernel does not say whether the clock is right: {error}")),
        Ok(clock) => clock_standing(clock),
    }
}

fn clock_standing(clock: sys::Clock) -> Finding {
    let off = clock.worst_microseconds / 1000;
    if !clock.synchronised {
        Finding::warning("clock", "nothing keeps the clock right; histories and cool-downs go by it")
            .mend("timedatectl set-ntp true")
    } else if off > 1000 {
        Finding::warning("clock", format!("the clock may be off by {off} ms"))
            .mend("systemctl restart systemd-timesyncd")
    } else {
        Finding::ok("clock", format!("kept right to {off} ms"))
    }
}

fn unfinished_checksums(pins: &Pins) -> Finding {
    let counted = pins.open::<PerCpuArray<_, VerdictCounter>>("VERDICTS").ok();
    let values = counted.and_then(|map| map.get(&(Verdict::UnfinishedChecksum as u32), 0).ok());
    match values.map(|values| counters::sum(values.iter().map(|value| value.packets))) {
        None => Finding::unknown("checksum_offload", "nothing is attached that would have counted"),
        Some(0) => Finding::ok("checksum_offload", "no packet came with a checksum left to hardware"),
        Some(packets) => Finding::warning(
            "checksum_offload",
            format!("{packets} packets came with a checksum left to hardware that is not there, and were dropped"),
        )
        .mend("ethtool -K IF tx off    # on the sending side of the veth or tap"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;

    #[test]
    fn an_interpreter_is_warned_of() {
        assert_eq!(jit(Some("1\n")).standing, Standing::Ok);
        assert_eq!(jit(Some("0\n")).mend.as_deref(), Some("sysctl -w net.core.bpf_jit_enable=1"));
        assert_eq!(jit(None).standing, Standing::Unknown);
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_warned_of() {
        let clock = |synchronised, worst_microseconds| clock_standing(sys::Clock { synchronised, worst_microseconds });
        assert_eq!(clock(true, 20_000).standing, Standing::Ok);
        assert_eq!(clock(true, 2_000_000).standing, Standing::Warning);
        assert_eq!(clock(false, 0).mend.as_deref(), Some("timedatectl set-ntp true"));
    }

    #[test]
    fn a_kernel_without_btf_is_warned_of() {
        assert_eq!(btf(Path::new("/nowhere/vmlinux")).standing, Standing::Warning);
        assert_eq!(btf(Path::new("/")).standing, Standing::Ok);
    }
}
