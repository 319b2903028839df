//! Where things are: the workspace root, cargo's target directory, the project's own tools, log files.

use std::env;
use std::path::{Path, PathBuf};

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The install root of the tools `setup` builds. Not below `CARGO_TARGET_DIR`: one that changes from command to command
/// would have bpf-linker compiled anew each time.
pub(crate) fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// A log file of `setup`, kept for reading after a failure.
pub(crate) fn log_file(name: &str) -> PathBuf {
    root().join("target").join(name)
}
