//! Compiles the XDP program with the toolchain that `cargo xtask setup` brought and puts the object into OUT_DIR.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain, build_ebpf};

const TOOLCHAIN: &str = "EIPGATE_EBPF_TOOLCHAIN";

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    let crates = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    println!("cargo:rerun-if-changed={}", crates.join("nat-common/src").display());

    // The tools of the workspace come first, so that a plain `cargo build` finds what setup installed.
    let own = crates.join("target/tools/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(own).chain(env::split_paths(&path)))?;
    if !env::split_paths(&path).any(|directory| directory.join("bpf-linker").exists()) {
        bail!("bpf-linker is missing, and the XDP program cannot be built without it: run `cargo xtask setup`");
    }
    let toolchain = env::var(TOOLCHAIN).unwrap_or_else(|_| default_toolchain());
    // SAFETY: a build script is single-threaded here; nothing reads the environment meanwhile.
    unsafe {
        env::set_var("PATH", path);
        // Lets the stable compiler build `core` for the BPF target.
        env::set_var("RUSTC_BOOTSTRAP", "1");
    }
    let root = crates.join("nat-ebpf");
    let root = fs::canonicalize(&root).with_context(|| format!("no crate at {}", root.display()))?;
    let package =
        Package { name: "nat-ebpf", root_dir: root.to_str().context("path is not UTF-8")?, ..Package::default() };
    build_ebpf([package], Toolchain::Custom(&toolchain))
        .with_context(|| format!("building the XDP program with toolchain {toolchain}; `cargo xtask setup` brings one"))
}

/// Debian's compiler by its prefix where rust-src is installed with it, else the one rustup has.
fn default_toolchain() -> String {
    let debian = Path::new("/usr/lib/rustlib/src/rust/library/core").exists() && Path::new("/usr/bin/rustc").exists();
    if debian { "/usr".into() } else { "1.96.0".into() }
}
