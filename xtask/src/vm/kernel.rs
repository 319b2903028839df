//! Debian's kernels: fetched as packages, unpacked, never installed here.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::shell::Run;

use super::{directory, sh};

/// Kernels of one line, and the package that leads to the latest.
pub(super) struct Series {
    pub(super) name: &'static str,
    package: &'static str,
}

/// The oldest kernel supported, and the newest Debian 12 has.
pub(super) const SERIES: [Series; 2] = [
    Series { name: "6.1", package: "linux-image-cloud-amd64" },
    Series { name: "6.12", package: "linux-image-6.12-cloud-amd64" },
];

pub(super) fn names() -> String {
    SERIES.map(|series| series.name).join(", ")
}

/// A kernel with its modules, unpacked.
pub(super) struct Kernel {
    /// As `uname -r` says.
    pub(super) version: String,
    /// With `boot` and `lib/modules` in it.
    pub(super) tree: PathBuf,
}

impl Kernel {
    pub(super) fn vmlinuz(&self) -> PathBuf {
        self.tree.join("boot").join(format!("vmlinuz-{}", self.version))
    }

    pub(super) fn modules(&self) -> PathBuf {
        self.tree.join("lib/modules").join(&self.version)
    }
}

/// Brings the latest kernel of a series.
pub(super) fn fetch(series: &Series) -> Result<Kernel> {
    ensure!(cfg!(target_arch = "x86_64"), "the machines are made for x86-64 only");
    let depends = Run::new("apt-cache").args(["depends", series.package]).env("LC_ALL", "C").output()?;
    let package = image_package(&depends).with_context(|| {
        format!("apt knows no kernel behind {}: run apt-get update, on Debian 12 with its security", series.package)
    })?;
    let version = package.trim_start_matches("linux-image-").to_owned();
    let kernel = Kernel { tree: directory().join(format!("kernel-{version}")), version };
    if !kernel.vmlinuz().exists() {
        println!("fetching {package}");
        let beside = kernel.tree.with_extension("part");
        if beside.exists() {
            fs::remove_dir_all(&beside)?;
        }
        fs::create_dir_all(&beside).with_context(|| format!("cannot make {}", beside.display()))?;
        let script = r#"cd "$1"; apt-get download "$2"; dpkg-deb -x ./*.deb .; rm ./*.deb"#;
        sh(script, &[&beside, package.as_ref()]).with_context(|| format!("fetching {package}"))?;
        fs::rename(&beside, &kernel.tree).with_context(|| format!("keeping {}", kernel.tree.display()))?;
    }
    Ok(kernel)
}

/// What a package of no content leads to.
fn image_package(depends: &str) -> Option<&str> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
}

#[cfg(test)]
mod tests {
    use super::image_package;

    #[test]
    fn a_kernel_is_found_behind_its_series() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(image_package(depends), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(image_package("linux-image-amd64\n  Depends: <none>\n"), None);
    }
}
