//! Where the maps and links outlive the daemon: a directory on a bpffs whose name carries the layout's version.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::maps::{Map, MapData, MapError, MapInfo, MapType};
use nat_common::abi::{self, ABI_VERSION, MAP_NAMES};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::earlier;
use super::sys::{Bulk, Words};

/// The pin directory of a layout, and those of others beside it.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    version: u32,
}

/// Holds the right to write to the pins; the kernel releases it with the process.
pub struct Lock(#[expect(dead_code, reason = "held, never read")] Flock<OwnedFd>);

/// What a process without `--allow-private-mount` is told.
const PRIVATE_MOUNT: &str = "this process is in a private mount namespace: a bpffs mounted here would die with it and \
take the XDP program off the interfaces; start it with `nsenter --net` instead of `ip netns exec`, or set \
allow_private_mount";

impl Pins {
    /// The pins of this build's layout under a directory.
    pub fn under(bpf_dir: &Path) -> Pins {
        Pins { root: bpf_dir.to_path_buf(), version: ABI_VERSION }
    }

    /// The pins of another layout beside these.
    pub fn of_layout(&self, version: u32) -> Pins {
        Pins { root: self.root.clone(), version }
    }

    /// Which layout's they are.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The directory given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory whose name carries the version of the layout.
    pub fn directory(&self) -> PathBuf {
        self.root.join(format!("v{}", self.version))
    }

    /// Pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Pin of the link on an interface.
    pub fn link(&self, ifindex: u32) -> PathBuf {
        self.directory().join(format!("link-{ifindex}"))
    }

    /// The pinned link of each interface, in this directory or that of another layout.
    pub fn links(&self) -> BTreeMap<u32, PathBuf> {
        let mut links = BTreeMap::new();
        for version in self.versions().into_iter().filter(|version| *version != self.version).chain([self.version]) {
            links.extend(self.of_layout(version).own_links());
        }
        links
    }

    fn own_links(&self) -> Vec<(u32, PathBuf)> {
        let links = entries(&self.directory()).into_iter();
        links.filter_map(|path| Some((name(&path).strip_prefix("link-")?.parse().ok()?, path.clone()))).collect()
    }

    /// The layouts that have a directory here.
    pub fn versions(&self) -> Vec<u32> {
        let mut versions: Vec<u32> = entries(&self.root).iter().filter_map(|path| version(path)).collect();
        versions.sort_unstable();
        versions
    }

    /// The layout before this one that an earlier daemon has left and this build can read.
    pub fn earlier(&self) -> Option<Pins> {
        let version = self.versions().into_iter().find(|version| *version < self.version)?;
        Some(self.of_layout(version))
    }

    /// Mounts a bpffs where there is none, makes the directory, and takes the lock.
    pub fn prepare(&self, allow_private_mount: bool) -> Result<Lock> {
        fs::create_dir_all(&self.root).with_context(|| format!("creating {}", self.root.display()))?;
        if let Err(reason) = check_mount_namespace().or_else(|reason| self.given_by_another_namespace().ok_or(reason)) {
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
        self.check_directories()?;
        fs::create_dir_all(self.directory()).with_context(|| format!("creating {}", self.directory().display()))?;
        Ok(lock)
    }

    /// Refuses what this build does not know: layouts of later versions, those it cannot take over, and pins that
    /// somebody else has made or taken away.
    pub fn check_directories(&self) -> Result<()> {
        let own = self.version;
        for path in entries(&self.root).iter().filter(|path| path.is_dir()) {
            let shown = path.display();
            match version(path) {
                None => bail!("{shown} is nothing of eipgate's; move it elsewhere or set another bpf_dir"),
                Some(other) if other > own => bail!(
                    "{shown} is of a newer version of eipgate, with layout {other} where this one has {own}; start that \
                     version, or run `eipgate detach`, which stops traffic, and start this one"
                ),
                Some(other) if other < own && !earlier::is_known(other) => bail!(
                    "{shown} is of a version of eipgate with layout {other}, which this one with layout {own} cannot \
                     take over; run `eipgate detach`, which stops traffic, and start again"
                ),
                Some(other) => self.of_layout(other).check_names()?,
            }
        }
        let earlier: Vec<u32> = self.versions().into_iter().filter(|version| *version < own).collect();
        if let [first, second, ..] = earlier[..] {
            bail!(
                "an upgrade from layout {first} to layout {second} was cut short; start the version of eipgate that has \
                 layout {second} once more before this one"
            );
        }
        Ok(())
    }

    /// A link without all its maps would be served by empty ones, and counters would begin at 0 without a word.
    fn check_names(&self) -> Result<()> {
        let again = "run `eipgate detach`, which stops traffic, and start again";
        let directory = self.directory();
        let linked = !self.own_links().is_empty();
        for path in entries(&directory) {
            let name = name(&path);
            if !name.starts_with("link-") && !MAP_NAMES.contains(&name) {
                bail!("{} is no pin of eipgate's; remove it, or {again}", path.display());
            }
        }
        match MAP_NAMES.iter().find(|name| !self.map(name).exists()) {
            Some(missing) if linked => bail!("the map {missing} is missing in {}; {again}", directory.display()),
            _ => Ok(()),
        }
    }

    /// `Some` where a bpffs is mounted there that was mounted in another mount namespace and lives on in that one, as
    /// where systemd mounts it for a service that sees the host's files through a namespace of its own.
    fn given_by_another_namespace(&self) -> Option<()> {
        let root = self.root.canonicalize().ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        (self.is_bpffs().ok()? && is_received(&mounts, &root)).then_some(())
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

    /// Holds every pinned map against the layout it should have: reopening a map of another layout would read and
    /// write beyond its values.
    pub fn check_layout(&self) -> Result<()> {
        for (name, kind, key, value) in LAYOUT {
            let value = &earlier::value_size(self.version, name).unwrap_or(*value);
            let path = self.map(name);
            if !path.exists() {
                continue;
            }
            let info =
                MapInfo::from_pin(&path).with_context(|| format!("opening the pinned map {}", path.display()))?;
            let (key_size, value_size) = (info.key_size(), info.value_size());
            if info.map_type()? != *kind || key_size != *key as u32 || value_size != *value as u32 {
                bail!(
                    "the pinned map {} is not of layout {} (key {key_size}, value {value_size} bytes; wanted {key} and \
                     {value}); run `eipgate detach`, which stops traffic, and start again",
                    path.display(),
                    self.version
                );
            }
        }
        Ok(())
    }

    /// Opens a pinned map.
    pub fn open<T: TryFrom<Map, Error = MapError>>(&self, name: &str) -> Result<T> {
        Ok(T::try_from(Map::from_map_data(self.raw(name)?.0)?)?)
    }

    /// A pinned map as it is, and what it is. Opened by its pin, because opening by id takes CAP_SYS_ADMIN.
    fn raw(&self, name: &str) -> Result<(MapData, MapInfo)> {
        let map = MapData::from_pin(self.map(name)).with_context(|| {
            format!("no map {name} under {}; is the gateway attached, and --bpf-dir right?", self.root.display())
        })?;
        let info = map.info()?;
        Ok((map, info))
    }

    /// A pinned hash map, for many entries in one call.
    pub fn bulk(&self, name: &str) -> Result<Bulk> {
        Ok(Bulk::new(self.raw(name)?.0)?)
    }

    /// The elements of a pinned array map, as shared memory.
    pub fn words(&self, name: &str, writable: bool) -> Result<Words> {
        let (map, info) = self.raw(name)?;
        let words = info.max_entries() as usize * (info.value_size() as usize).div_ceil(size_of::<u64>());
        Words::map(map.fd().as_fd(), words, writable).with_context(|| format!("mapping {}", self.map(name).display()))
    }

    /// Elements of a pinned map, if it is there.
    pub fn capacity(&self, name: &str) -> Option<u32> {
        MapInfo::from_pin(self.map(name)).ok().map(|info| info.max_entries())
    }

    /// Removes every pin of this layout and the directory; says what it removed.
    pub fn remove(&self) -> Result<Vec<String>> {
        let directory = self.directory();
        if !directory.exists() {
            return Ok(Vec::new());
        }
        // The counters first: a directory without them has nothing left that is kept nowhere else.
        let first = Some(self.map("COUNTERS")).filter(|path| path.exists());
        let rest = entries(&directory).into_iter().filter(|path| Some(path) != first.as_ref());
        for path in first.iter().cloned().chain(rest) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        fs::remove_dir(&directory).with_context(|| format!("removing {}", directory.display()))?;
        Ok(vec![format!("removed the maps in {}", directory.display())])
    }

    /// Removes the mount if nothing is in it; says so.
    pub fn unmount(&self) -> Result<Option<String>> {
        if !entries(&self.root).is_empty() || !self.is_bpffs()? || !is_mount_point(&self.root) {
            return Ok(None);
        }
        umount(&self.root).with_context(|| format!("unmounting {}", self.root.display()))?;
        Ok(Some(format!("unmounted {}", self.root.display())))
    }
}

/// What is in a directory. Some kernels put iterators named *.debug into every bpffs; they are nobody's pins.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_none_or(|extension| extension != "debug")).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The layout a directory is named after.
fn version(path: &Path) -> Option<u32> {
    name(path).strip_prefix('v')?.parse().ok()
}

fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(path) != path.parent().and_then(device)
}

/// Whether the mount on a directory, the last where there are several, follows one in another mount namespace: in a
/// `/proc/PID/mountinfo`, field 5 is the mount point, and `master:` among the optional fields names whom it follows.
fn is_received(mountinfo: &str, directory: &Path) -> bool {
    let mounts = mountinfo.lines().filter_map(|line| line.split_once(" - "));
    let mut on_it = mounts.filter(|(mount, _)| mount.split(' ').nth(4).map(Path::new) == Some(directory));
    on_it.next_back().is_some_and(|(mount, _)| mount.split(' ').skip(6).any(|field| field.starts_with("master:")))
}

/// Whether this process sees the host's own mounts, whose lifetime is the host's.
/// Whether a mount made here would outlive the process.
pub fn check_mount_namespace() -> Result<(), String> {
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
    ("INBOUND_PAGES", MapType::Hash, size_of::<abi::PublicAddr>(), 8),
    ("INBOUND_CELLS", MapType::Array, 4, 8),
    ("INBOUND_SPARSE", MapType::Hash, size_of::<abi::PublicAddr>(), size_of::<abi::Sparse>()),
    ("OUTBOUND_PAGES", MapType::Hash, size_of::<abi::PrivateKey>(), 8),
    ("OUTBOUND_CELLS", MapType::Array, 4, 8),
    ("OUTBOUND_SPARSE", MapType::Hash, size_of::<abi::PrivateKey>(), size_of::<abi::Sparse>()),
    ("PAGE_SLOTS", MapType::Array, 4, size_of::<abi::PageSlot>()),
    ("COUNTERS", MapType::Array, 4, size_of::<abi::AddressCounters>()),
    ("VERDICTS", MapType::PerCpuArray, 4, size_of::<abi::VerdictCounter>()),
    ("LINKS", MapType::Hash, size_of::<abi::LinkKey>(), size_of::<abi::Link>()),
    ("LINK_SLOTS", MapType::Array, 4, size_of::<abi::LinkSlot>()),
    ("HOPS", MapType::Array, 4, size_of::<abi::Hop>()),
    ("MARKS", MapType::Array, 4, 8),
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
    fn only_a_mount_that_follows_one_elsewhere_is_received() {
        let own = "40 30 0:50 / /run/eipgate/bpf rw,relatime shared:9 - bpf bpffs rw,mode=700\n";
        let received = "41 30 0:51 / /run/eipgate/bpf rw,relatime shared:9 master:4 - bpf bpffs rw,mode=700\n";
        let root = "30 1 8:1 / / rw shared:1 master:1 - ext4 /dev/sda1 rw\n";
        let directory = Path::new("/run/eipgate/bpf");
        assert!(is_received(&format!("{root}{received}"), directory));
        assert!(!is_received(&format!("{root}{own}"), directory));
        // What is mounted last is what is seen.
        assert!(!is_received(&format!("{received}{own}"), directory));
        assert!(!is_received(root, directory));
    }

    #[test]
    fn the_layout_lists_every_pinned_map() {
        let names: Vec<&str> = LAYOUT.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, abi::MAP_NAMES);
    }
}
