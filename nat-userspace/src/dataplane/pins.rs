//! Where the maps and links outlive the daemon: a directory on a bpffs whose name carries the layout's version.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::maps::{Map, MapData, MapError, MapInfo, MapType};
use nat_common::abi::{self, ABI_VERSION};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// The pin directory of this build's layout.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

/// Holds the right to write to the pins; the kernel releases it with the process.
pub struct Lock(#[expect(dead_code, reason = "held, never read")] Flock<OwnedFd>);

/// What a process without `--allow-private-mount` is told.
const PRIVATE_MOUNT: &str = "this process is in a private mount namespace: a bpffs mounted here would die with it and \
take the XDP program off the interfaces; start it with `nsenter --net` instead of `ip netns exec`, or set \
allow_private_mount";

impl Pins {
    /// The pins under a directory.
    pub fn under(bpf_dir: &Path) -> Pins {
        Pins { root: bpf_dir.to_path_buf() }
    }

    /// The directory whose name carries the version of the layout.
    pub fn directory(&self) -> PathBuf {
        self.root.join(format!("v{ABI_VERSION}"))
    }

    /// Pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Pin of the link on an interface.
    pub fn link(&self, ifindex: u32) -> PathBuf {
        self.directory().join(format!("link-{ifindex}"))
    }

    /// Interfaces with a pinned link.
    pub fn links(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.directory()).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("link-")?.parse().ok()).collect()
    }

    /// Directories of other layouts, which this build cannot read.
    pub fn foreign(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.is_dir() && *path != self.directory()).collect()
    }

    /// Mounts a bpffs where there is none, makes the directory, and takes the lock.
    pub fn prepare(&self, allow_private_mount: bool) -> Result<Lock> {
        fs::create_dir_all(&self.root).with_context(|| format!("creating {}", self.root.display()))?;
        if let Err(reason) = check_mount_namespace() {
            if !allow_private_mount {
                bail!("{reason}");
            }
            tracing::warn!("{reason}; going on as told");
        }
        if !self.is_bpffs()? {
            mount(Some("eipgate"), &self.root, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
                .with_context(|| format!("mounting a bpffs on {}; it takes CAP_SYS_ADMIN", self.root.display()))?;
            tracing::info!("mounted a bpffs on {}", self.root.display());
        }
        let lock = self.lock()?;
        if let Some(foreign) = self.foreign().first() {
            bail!(
                "{} holds maps of another version of eipgate than this one (v{ABI_VERSION}); run that version's \
                 `eipgate detach` first",
                foreign.display()
            );
        }
        fs::create_dir_all(self.directory()).with_context(|| format!("creating {}", self.directory().display()))?;
        Ok(lock)
    }

    /// Whether a bpffs is mounted there.
    pub fn is_bpffs(&self) -> Result<bool> {
        let kind = statfs(&self.root).with_context(|| format!("looking at {}", self.root.display()))?;
        Ok(kind.filesystem_type() == BPF_FS_MAGIC)
    }

    /// Takes the lock, or says that another daemon has it.
    ///
    /// A daemon that was killed while it started a program shares the lock with that child until the child is up, so
    /// the lock is asked for again for a moment before it is believed to be held.
    pub fn lock(&self) -> Result<Lock> {
        const PAUSE: Duration = Duration::from_millis(50);
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let directory = File::open(&self.root).with_context(|| format!("opening {}", self.root.display()))?;
            match Flock::lock(OwnedFd::from(directory), FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock(lock)),
                Err((_, Errno::EWOULDBLOCK)) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err((_, Errno::EWOULDBLOCK)) => {
                    bail!("another eipgate daemon is serving with the pins in {}; stop it first", self.root.display())
                }
                Err((_, error)) => return Err(error).with_context(|| format!("locking {}", self.root.display())),
            }
        }
    }

    /// Holds every pinned map against the layout of this build: reopening a map of another layout would read and
    /// write beyond its values.
    pub fn check_layout(&self) -> Result<()> {
        for (name, kind, key, value) in LAYOUT {
            let path = self.map(name);
            if !path.exists() {
                continue;
            }
            let info =
                MapInfo::from_pin(&path).with_context(|| format!("opening the pinned map {}", path.display()))?;
            let (key_size, value_size) = (info.key_size(), info.value_size());
            if info.map_type()? != *kind || key_size != *key as u32 || value_size != *value as u32 {
                bail!(
                    "the pinned map {} is not of this version's layout (key {key_size}, value {value_size} bytes; \
                     wanted {key} and {value}); run `eipgate detach` and start again",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// Opens a pinned map.
    pub fn open<T: TryFrom<Map, Error = MapError>>(&self, name: &str) -> Result<T> {
        let path = self.map(name);
        let data = MapData::from_pin(&path).with_context(|| {
            format!("no map {name} under {}; is the gateway attached, and --bpf-dir right?", self.root.display())
        })?;
        Ok(T::try_from(Map::from_map_data(data)?)?)
    }

    /// Removes every pin of maps and the directories, and the mount if nothing else is in it. Says what it removed.
    pub fn remove(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let directory = self.directory();
        if directory.exists() {
            for entry in fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))? {
                let path = entry?.path();
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
            fs::remove_dir(&directory).with_context(|| format!("removing {}", directory.display()))?;
            lines.push(format!("removed the maps in {}", directory.display()));
        }
        // Some kernels put iterators named *.debug into every bpffs; they are nobody's pins.
        let empty = fs::read_dir(&self.root).is_ok_and(|entries| {
            entries.flatten().all(|entry| entry.path().extension().is_some_and(|extension| extension == "debug"))
        });
        if empty && self.is_bpffs()? && is_mount_point(&self.root) {
            umount(&self.root).with_context(|| format!("unmounting {}", self.root.display()))?;
            lines.push(format!("unmounted {}", self.root.display()));
        }
        Ok(lines)
    }
}

fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(path) != path.parent().and_then(device)
}

/// Whether this process sees the host's own mounts, whose lifetime is the host's.
fn check_mount_namespace() -> Result<(), String> {
    // Inode of the first mount namespace, fixed since Linux 6.17.
    const INITIAL: &str = "mnt:[4026531832]";
    let own = fs::read_link("/proc/self/ns/mnt").map_err(|error| format!("reading /proc/self/ns/mnt: {error}"))?;
    match fs::read_link("/proc/1/ns/mnt") {
        Ok(first) if first == own => Ok(()),
        // Unreadable in some containers; the inode of the first namespace tells all the same.
        Err(_) if own.as_os_str() == INITIAL => Ok(()),
        _ => Err(PRIVATE_MOUNT.into()),
    }
}

/// Name, type, key size and value size of every pinned map. The ring buffer has neither key nor value.
const LAYOUT: &[(&str, MapType, usize, usize)] = &[
    ("INBOUND", MapType::Hash, size_of::<abi::PublicAddr>(), size_of::<abi::Inbound>()),
    ("OUTBOUND", MapType::Hash, size_of::<abi::PrivateKey>(), size_of::<abi::Outbound>()),
    ("COUNTERS", MapType::PerCpuArray, 4, size_of::<abi::AddressCounters>()),
    ("VERDICTS", MapType::PerCpuArray, 4, size_of::<abi::VerdictCounter>()),
    ("LINKS", MapType::Hash, size_of::<abi::LinkKey>(), size_of::<abi::Link>()),
    ("EGRESS", MapType::Hash, size_of::<abi::EgressKey>(), size_of::<abi::Egress>()),
    ("VPCS", MapType::Hash, 4, size_of::<abi::Vpc>()),
    ("PREFIXES", MapType::LpmTrie, 8, 4),
    ("OWN", MapType::Hash, size_of::<abi::PrivateKey>(), 4),
    ("CONNECTED", MapType::LpmTrie, 4 + size_of::<abi::ConnectedKey>(), 4),
    ("UNREACHABLE", MapType::LruHash, size_of::<abi::NextHopKey>(), 4),
    ("SETTINGS", MapType::Array, 4, size_of::<abi::Settings>()),
    ("BUCKETS", MapType::Array, 4, size_of::<abi::Bucket>()),
    ("EVENTS", MapType::RingBuf, 0, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_lists_every_pinned_map() {
        let names: Vec<&str> = LAYOUT.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, abi::MAP_NAMES);
    }
}
