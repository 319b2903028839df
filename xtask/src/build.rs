//! `cargo xtask build`: the `eipgate` binary with its eBPF program inside.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::setup::{self, Need, Tools};
use crate::workspace;

/// Build the `eipgate` binary, its eBPF program included.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask build             target/debug/eipgate
  cargo xtask build --release   target/release/eipgate, the one to install")]
pub(crate) struct Args {
    /// Build with optimisations, as the binary is installed
    #[arg(long)]
    release: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    fn flag(self) -> Option<&'static str> {
        match self {
            Profile::Dev => None,
            Profile::Release => Some("--release"),
        }
    }

    fn dir(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let tools = setup::ensure(Need::Build)?;
    let profile = if args.release { Profile::Release } else { Profile::Dev };
    let bin = binary(&tools, "nat-userspace", "eipgate", profile)?;
    println!("{}", bin.display());
    Ok(())
}

/// Builds the daemon of the version after this one, as far as tests of upgrades need one, and says where it is.
pub(crate) fn next(tools: &Tools) -> Result<PathBuf> {
    build(tools, "nat-userspace", "eipgate-next", Profile::Dev, &["--features", "next-layout"])
}

/// Builds one binary of the workspace and says where it is.
pub(crate) fn binary(tools: &Tools, package: &str, bin: &str, profile: Profile) -> Result<PathBuf> {
    build(tools, package, bin, profile, &[])
}

fn build(tools: &Tools, package: &str, bin: &str, profile: Profile, more: &[&str]) -> Result<PathBuf> {
    let args = ["build", "-p", package, "--bin", bin].into_iter().chain(profile.flag()).chain(more.iter().copied());
    tools.cargo(args)?.run().with_context(|| format!("building {bin}"))?;
    let path = workspace::target_dir().join(profile.dir()).join(bin);
    ensure!(path.exists(), "cargo built {bin}, but not as {}: is build.target-dir configured?", path.display());
    Ok(path)
}
