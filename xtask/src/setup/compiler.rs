//! The compiler of the eBPF side: Rust 1.96.0 with its lints and the source of its library, which is compiled for the BPF
//! target.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::shell::{self, Run};

/// The release the eBPF side is written and tested with. A later one from Debian's security updates is taken as well.
pub(super) const RELEASE: &str = "1.96.0";
const OLDEST: (u32, u32, u32) = (1, 96, 0);

/// Debian 12's own, installed below `/usr`; `rustup run /usr cargo` uses it there without knowing it.
pub(super) const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];
const DEBIAN_PREFIX: &str = "/usr";

/// Names the toolchain, here and to nat-userspace's build script.
const CHOICE: &str = "EIPGATE_EBPF_TOOLCHAIN";

pub(super) struct Compiler {
    /// What `rustup run` takes: a toolchain's name or an installation prefix.
    pub(super) toolchain: String,
    pub(super) release: (u32, u32, u32),
    /// Major version. The linker reads what the compiler wrote, so its LLVM must not be older.
    pub(super) llvm: u32,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.release;
        write!(f, "Rust {major}.{minor}.{patch} of {} with LLVM {}", self.toolchain, self.llvm)
    }
}

/// The user's own choice, if there is one.
pub(super) fn chosen() -> Option<String> {
    env::var(CHOICE).ok().filter(|name| !name.is_empty())
}

/// The user's choice and nothing else where there is one; else rustup's 1.96.0; else Debian's.
pub(super) fn find() -> Option<Compiler> {
    let known = rustup_toolchains();
    if let Some(name) = chosen() {
        let prefix = if name.starts_with('/') { Some(PathBuf::from(&name)) } else { prefix_of(&known, &name) };
        return inspect(name, &prefix?);
    }
    let from_rustup = prefix_of(&known, RELEASE).and_then(|prefix| inspect(RELEASE.to_owned(), &prefix));
    from_rustup.or_else(|| inspect(DEBIAN_PREFIX.to_owned(), Path::new(DEBIAN_PREFIX)))
}

pub(super) fn rustup_install() -> Run {
    let args =
        ["toolchain", "install", RELEASE, "--component", "rust-src,clippy", "--profile", "minimal", "--no-self-update"];
    Run::new("rustup").args(args)
}

fn inspect(toolchain: String, prefix: &Path) -> Option<Compiler> {
    let rustc = prefix.join("bin/rustc");
    let library = prefix.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    let clippy = prefix.join("bin/cargo-clippy");
    if !shell::is_executable(&rustc) || !shell::is_executable(&clippy) || !library.exists() {
        return None;
    }
    let said = Run::new(&rustc).args(["--version", "--verbose"]).output().ok()?;
    let release = release(&said)?;
    (release >= OLDEST).then_some(Compiler { toolchain, release, llvm: llvm_major(&said)? })
}

/// rustup's toolchains with their prefixes; none where there is no rustup.
fn rustup_toolchains() -> Vec<(String, PathBuf)> {
    let said = Run::new("rustup").args(["toolchain", "list", "--verbose"]).output().unwrap_or_default();
    said.lines().filter_map(toolchain_line).collect()
}

/// `1.96.0-x86_64-unknown-linux-gnu (active) /home/someone/.rustup/toolchains/1.96.0-…`
fn toolchain_line(line: &str) -> Option<(String, PathBuf)> {
    let name = line.split_whitespace().next()?;
    let path = line.get(line.find(" /").or_else(|| line.find("\t/"))? + 1..)?;
    Some((name.to_owned(), PathBuf::from(path.trim())))
}

/// The prefix of `name`, given in full or without the host.
fn prefix_of(toolchains: &[(String, PathBuf)], name: &str) -> Option<PathBuf> {
    let matches = |known: &str| known.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    toolchains.iter().find(|(known, _)| matches(known)).map(|(_, prefix)| prefix.clone())
}

fn release(verbose_version: &str) -> Option<(u32, u32, u32)> {
    let text = field(verbose_version, "release:")?;
    let mut numbers = text.split(['.', '-']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

fn llvm_major(verbose_version: &str) -> Option<u32> {
    field(verbose_version, "LLVM version:")?.split('.').next()?.parse().ok()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{llvm_major, prefix_of, release, toolchain_line};

    const VERBOSE: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
                           host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn release_and_llvm_are_read_from_rustc() {
        assert_eq!(release(VERBOSE), Some((1, 96, 0)));
        assert_eq!(llvm_major(VERBOSE), Some(22));
        assert_eq!(release("release: 1.98.0-nightly\n"), Some((1, 98, 0)));
        assert_eq!(release("rustc"), None);
    }

    #[test]
    fn a_toolchain_is_found_by_release_and_not_by_a_longer_one() {
        let lines = "stable-x86_64-unknown-linux-gnu (active, default) /r/stable\n1.96.01-x /r/other\n\
                     1.96.0-x86_64-unknown-linux-gnu /r/1.96.0\nebpf\t/opt/ebpf\nno toolchains\n";
        let known: Vec<_> = lines.lines().filter_map(toolchain_line).collect();
        assert_eq!(known.len(), 4);
        assert_eq!(prefix_of(&known, "1.96.0"), Some(PathBuf::from("/r/1.96.0")));
        assert_eq!(prefix_of(&known, "ebpf"), Some(PathBuf::from("/opt/ebpf")));
        assert_eq!(prefix_of(&known, "1.95.0"), None);
    }
}
