//! `cargo xtask deb`: a Debian package of the binary and of what an operator wants beside it.

mod check;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::build::{self, Profile};
use crate::setup::{self, Need};
use crate::shell::Run;
use crate::workspace;

/// Build a Debian package and say where it is.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask deb           target/deb/eipgate_VERSION_ARCHITECTURE.deb
  cargo xtask deb --check   and install, upgrade, remove and purge it in a throw-away root (takes root)
  cargo xtask deb --dev     from the unoptimised build, for tests

The package installs on Debian 12 or later: dpkg -i FILE, or apt-get install ./FILE")]
pub(crate) struct Args {
    /// Build without optimisations
    #[arg(long)]
    dev: bool,
    /// Package this binary instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    binary: Option<PathBuf>,
    /// Try the package in a throw-away root
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = match &args.binary {
        Some(binary) => binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?,
        None => {
            let profile = if args.dev { Profile::Dev } else { Profile::Release };
            build::binary(&setup::ensure(Need::Build)?, "nat-userspace", "eipgate", profile)?
        }
    };
    let package = package(&binary)?;
    if args.check {
        check::run(&package)?;
    }
    println!("{}", package.display());
    Ok(())
}

/// Packages a binary and tries the package, as the tests do.
pub(crate) fn package_and_check(binary: &Path) -> Result<()> {
    check::run(&package(binary)?)
}

/// The package of a binary.
pub(crate) fn package(binary: &Path) -> Result<PathBuf> {
    let place = workspace::target_dir().join("deb");
    let root = place.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    let architecture = Run::new("dpkg").args(["--print-architecture"]).output()?.trim().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    tree::lay_out(&root, binary, version, &architecture)?;
    let package = place.join(format!("eipgate_{version}_{architecture}.deb"));
    let built = Run::new("dpkg-deb").args(["--root-owner-group", "-Zxz", "--build"]).args([&root, &package]);
    built.output().context("dpkg-deb could not build the package")?;
    Ok(package)
}
