//! The machines' root file system, of Debian's packages, and what finds it at boot.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shell::Run;

use super::kernel::Kernel;
use super::{directory, sh, write_executable};

const INIT: &str = include_str!("guest/init");
const START: &str = include_str!("guest/start");

/// What the tests run, and the shell that starts them.
const PACKAGES: &str = "bpftool,busybox-static,curl,ethtool,iperf3,iproute2,iptables,iputils-arping,iputils-ping,kmod,\
                        netcat-openbsd,nftables,procps,python3-minimal,sqlite3,systemd,systemd-sysv,tcpdump,traceroute,\
                        udev";

/// What has to be loaded before the disk is there; drivers that are built in have no file.
const MODULES: [&str; 2] = ["virtio_pci", "virtio_blk"];

/// An ext4 image for a kernel, made once.
pub(super) fn root(kernel: &Kernel) -> Result<PathBuf> {
    let image = directory().join(format!("root-{}-{:016x}.ext4", kernel.version, hash(&[PACKAGES, START])));
    if image.exists() {
        return Ok(image);
    }
    let tree = packages()?;
    println!("making {}", image.display());
    write_executable(&tree.join("sbin/start"), START)?;
    // One kernel's modules at a time, so that an image holds what its kernel can load and nothing else.
    let script = r#"
        mkdir -p "$1/payload"; rm -rf "$1/lib/modules"; mkdir -p "$1/lib/modules"
        cp -a "$2" "$1/lib/modules/"; chroot "$1" depmod "$3"
        rm -f "$4.part"; mke2fs -q -t ext4 -d "$1" "$4.part" 1G; mv "$4.part" "$4""#;
    sh(script, &[&tree, &kernel.modules(), kernel.version.as_ref(), &image]).context("making the root image")?;
    Ok(image)
}

/// The file system as a directory, brought by mmdebstrap once.
fn packages() -> Result<PathBuf> {
    let tree = directory().join(format!("tree-{:016x}", hash(&[PACKAGES])));
    if !tree.exists() {
        println!("bringing Debian's packages for the machines, which takes a minute or two");
        let beside = tree.with_extension("part");
        if beside.exists() {
            fs::remove_dir_all(&beside)?;
        }
        let include = format!("--include={PACKAGES}");
        let words = ["--quiet", "--variant=minbase", &include, "bookworm"];
        Run::new("mmdebstrap").args(words).args([&beside]).output().context("bringing the packages")?;
        fs::rename(&beside, &tree)?;
    }
    Ok(tree)
}

/// The archive the kernel unpacks before there is a disk.
pub(super) fn initramfs(kernel: &Kernel) -> Result<PathBuf> {
    let archive = directory().join(format!("initramfs-{}-{:016x}.gz", kernel.version, hash(&[INIT])));
    if archive.exists() {
        return Ok(archive);
    }
    let tree = packages()?;
    let inside = archive.with_extension("tree");
    fs::create_dir_all(inside.join("bin"))?;
    for mount in ["dev", "root"] {
        fs::create_dir_all(inside.join(mount))?;
    }
    fs::copy(tree.join("bin/busybox"), inside.join("bin/busybox")).context("no static busybox in the packages")?;
    write_executable(&inside.join("init"), INIT)?;
    let listed = tree.join("lib/modules").join(&kernel.version).join("modules.dep");
    let listed = fs::read_to_string(&listed).with_context(|| format!("no list of modules {}", listed.display()))?;
    let mut order = String::new();
    for file in in_order(&listed, &MODULES) {
        let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let plain = name.trim_end_matches(".xz");
        let unpack = if plain == name { r#"cp "$1" "$2""# } else { r#"xz -dc "$1" >"$2""# };
        sh(unpack, &[&kernel.modules().join(file), &inside.join(plain)])?;
        order.push_str(plain);
        order.push('\n');
    }
    fs::write(inside.join("order"), order)?;
    let script = r#"cd "$1"; find . | cpio -o -H newc --quiet | gzip -1 >"$2.part"; mv "$2.part" "$2""#;
    sh(script, &[&inside, &archive]).context("making the initramfs")?;
    fs::remove_dir_all(&inside)?;
    Ok(archive)
}

/// The files of modules, each after those it needs, from the text of a `modules.dep`.
fn in_order<'a>(listed: &'a str, wanted: &[&str]) -> Vec<&'a str> {
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for module in wanted {
        let is_it = |file: &str| {
            let name = file.rsplit('/').next().unwrap_or_default();
            name.split_once('.').is_some_and(|(stem, _)| stem == *module)
        };
        let Some((file, needs)) = listed.lines().filter_map(|line| line.split_once(':')).find(|(file, _)| is_it(file))
        else {
            continue;
        };
        // The list names the nearest first.
        for file in needs.split_whitespace().rev().chain([file]) {
            if seen.insert(file) {
                order.push(file);
            }
        }
    }
    order
}

/// Stands for a recipe in a file's name, so that another recipe makes another file.
fn hash(recipe: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn a_module_comes_after_what_it_needs_and_only_once() {
        let listed = "a/virtio_blk.ko.xz: a/virtio.ko.xz a/ring.ko.xz\na/ring.ko.xz:\nb/virtio_pci.ko: a/virtio.ko.xz a/ring.ko.xz\n";
        assert_eq!(
            in_order(listed, &["virtio_pci", "virtio_blk", "built_in"]),
            ["a/ring.ko.xz", "a/virtio.ko.xz", "b/virtio_pci.ko", "a/virtio_blk.ko.xz"]
        );
    }
}
