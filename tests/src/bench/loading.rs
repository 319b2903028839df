//! What putting a gateway up takes: time until it forwards, kernel memory, the daemon's own.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use aya::maps::{MapType, loaded_maps};
use serde::Serialize;

/// What putting a gateway up took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Loading {
    /// From the start of the program that loads until pairs are translated.
    pub seconds: f64,
    /// Until the daemon says that it serves, where there is one.
    pub serving_seconds: Option<f64>,
    /// How long the store was read, and looked through for contradictions, where there is one.
    pub store_seconds: Option<[f64; 2]>,
    /// Kernel memory in bytes: of maps exactly, without per-CPU ones; of nftables what slab and vmalloc grew by, which
    /// other processes change too.
    pub kernel_bytes: u64,
    /// Kernel memory of per-CPU maps in bytes, which are counters.
    pub counter_bytes: u64,
    /// Resident memory of the daemon in bytes.
    pub rss_bytes: u64,
    /// Memory of each map in bytes.
    pub maps: Vec<(String, u64)>,
}

/// Bytes that the kernel itself uses for slabs and vmalloc.
pub fn kernel_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    Ok(["Slab:", "VmallocUsed:"].into_iter().map(|name| kilobytes(&text, name).unwrap_or(0)).sum::<u64>() * 1024)
}

/// Resident memory of a process in bytes.
pub fn resident(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(kilobytes(&text, "VmRSS:").context("a process without resident memory")? * 1024)
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Memory of the maps a process holds.
pub struct Maps {
    /// Without per-CPU maps, in bytes.
    pub plain: u64,
    /// Of per-CPU maps, in bytes.
    pub per_cpu: u64,
    /// Of each map, the largest first.
    pub named: Vec<(String, u64)>,
}

/// Looks up the maps a process holds.
pub fn maps_of(pid: i32) -> Result<Maps> {
    let mut held = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        // A descriptor may be closed meanwhile.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if let (Some(id), Some(memory)) = (field(&text, "map_id:"), field(&text, "memlock:")) {
            held.insert(id, memory);
        }
    }
    let (mut plain, mut per_cpu, mut named) = (0, 0, Vec::new());
    for map in loaded_maps() {
        // Other processes' maps come and go.
        let Ok(map) = map else { continue };
        let Some(memory) = held.get(&u64::from(map.id())) else { continue };
        // Addresses are counted in a plain array with a stretch for each CPU.
        let is_per_cpu = map.name_as_str() == Some("COUNTERS")
            || matches!(map.map_type(), Ok(MapType::PerCpuArray | MapType::PerCpuHash | MapType::LruPerCpuHash));
        *(if is_per_cpu { &mut per_cpu } else { &mut plain }) += memory;
        named.push((map.name_as_str().unwrap_or("?").to_owned(), *memory));
    }
    named.sort_by_key(|(_, memory)| Reverse(*memory));
    Ok(Maps { plain, per_cpu, named })
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(kilobytes("MemFree:  1 kB\nSlab:           12345 kB\n", "Slab:"), Some(12345));
        assert_eq!(field("pos:\t0\nmemlock:\t4096\nmap_id:\t17\n", "map_id:"), Some(17));
        assert_eq!(field("pos:\t0\n", "map_id:"), None);
    }
}
