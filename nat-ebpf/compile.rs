//! How build scripts compile a program of this crate, with the toolchain that `cargo xtask setup` brought.
//!
//! A plain cargo call inside cargo: its output is shown only when it fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail};

const TOOLCHAIN: &str = "EIPGATE_EBPF_TOOLCHAIN";

/// Compiles the binary of that name and puts the object into OUT_DIR under the same name.
pub fn compile(program: &str) -> anyhow::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let root = fs::canonicalize(&root).with_context(|| format!("no workspace at {}", root.display()))?;
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    for source in ["nat-ebpf", "nat-common/src", "nat-common/Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }

    // The tools of the workspace come first, so that a plain `cargo build` finds what setup installed.
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(root.join("target/tools/bin")).chain(env::split_paths(&path)))?;
    if !env::split_paths(&path).any(|directory| directory.join("bpf-linker").exists()) {
        bail!("bpf-linker is missing, and the XDP program cannot be built without it: run `cargo xtask setup`");
    }
    let toolchain = env::var(TOOLCHAIN).unwrap_or_else(|_| default_toolchain());
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let built = out.join("ebpf");

    let mut cargo = Command::new("rustup");
    cargo.args(["run", &toolchain, "cargo", "build", "--package", "nat-ebpf", "--bin", program, "--release"]);
    cargo.args(["--target", target, "-Z", "build-std=core", "--target-dir"]).arg(&built).current_dir(&root);
    if env::var_os("CARGO_FEATURE_NEXT_LAYOUT").is_some() {
        cargo.args(["--features", "nat-ebpf/next-layout"]);
    }
    // The host's settings must not reach a build for another target.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_") || name.starts_with("RUST")) {
            cargo.env_remove(name);
        }
    }
    for kept in ["CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = env::var_os(kept) {
            cargo.env(kept, value);
        }
    }
    // The bootstrap switch lets the stable compiler build `core` for the BPF target.
    let architecture = format!("--cfg=bpf_target_arch=\"{}\"", env::var("CARGO_CFG_TARGET_ARCH")?);
    let flags = [architecture.as_str(), "-Cdebuginfo=2", "-Ctarget-cpu=v3", "-Clink-arg=--btf"].join("\x1f");
    cargo.env("PATH", path).env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags);
    let output = cargo.output().with_context(|| format!("starting {cargo:?}; is rustup installed?"))?;
    if !output.status.success() {
        bail!(
            "building the XDP program {program} with toolchain {toolchain} failed; `cargo xtask setup` brings one that works\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::copy(built.join(target).join("release").join(program), out.join(program)).context("keeping the object")?;
    Ok(())
}

/// What setup chooses: the release rustup has, else Debian's compiler by its prefix.
fn default_toolchain() -> String {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let debian = Path::new("/usr/lib/rustlib/src/rust/library/core").exists() && Path::new("/usr/bin/rustc").exists();
    if debian && !listed.contains("1.96.0") { "/usr".into() } else { "1.96.0".into() }
}
