//! bpf-linker: turns the compiler's bitcode into the eBPF object.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::shell::{self, Run};
use crate::workspace;

/// The major version of LLVM that setup builds bpf-linker for.
pub(super) const LLVM: u32 = 22;

/// LLVM with what building against it takes.
pub(super) const PACKAGES: [&str; 2] = ["llvm-22-dev", "libpolly-22-dev"];

const RELEASE: &str = "=0.13.0";

pub(super) struct Linker {
    pub(super) path: PathBuf,
    pub(super) llvm: u32,
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.strip_prefix(workspace::root()).unwrap_or(&self.path);
        write!(f, "{} with LLVM {}", path.display(), self.llvm)
    }
}

/// The user's own bpf-linker where its LLVM is at least `llvm`; else the one setup built.
pub(super) fn find(llvm: u32) -> Option<Linker> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([workspace::tools_dir().join("bin")]);
    let files = dirs.map(|dir| dir.join("bpf-linker")).filter(|file| shell::is_executable(file));
    files.filter_map(inspect).find(|linker| linker.llvm >= llvm)
}

pub(super) fn install(llvm_prefix: &Path) -> Run {
    let feature = format!("llvm-{LLVM}");
    let root = workspace::tools_dir();
    let scratch = workspace::root().join("target/tools-build");
    shell::cargo(["install", "bpf-linker", "--version", RELEASE, "--no-default-features", "--features", &feature])
        .args(["--locked", "--force", "--root"])
        .args([&root])
        .args(["--target-dir"])
        .args([&scratch])
        .env("LLVM_PREFIX", llvm_prefix)
}

/// The prefix of an LLVM that bpf-linker can be built against.
pub(super) fn llvm_prefix() -> Option<PathBuf> {
    let chosen = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let debian = PathBuf::from(format!("/usr/lib/llvm-{LLVM}"));
    let versioned = prefix_said_by(&format!("llvm-config-{LLVM}"));
    [chosen, Some(debian), versioned].into_iter().flatten().find(|prefix| {
        let library = format!("libLLVM.so.{LLVM}.1");
        ["lib", "lib64"]
            .iter()
            .any(|dir| prefix.join(dir).join("libLLVM.so").exists() && prefix.join(dir).join(&library).exists())
    })
}

fn prefix_said_by(llvm_config: &str) -> Option<PathBuf> {
    let said = Run::new(shell::find_program(llvm_config)?).args(["--prefix"]).output().ok()?;
    Some(PathBuf::from(said.trim()))
}

/// `bpf-linker --version` proves that it runs, but does not name its LLVM: the library it loads does, or, where LLVM is
/// linked in, the name that LLVM writes into bitcode.
fn inspect(path: PathBuf) -> Option<Linker> {
    Run::new(&path).args(["--version"]).output().ok()?;
    let loaded = Run::new("ldd").args([&path]).output().ok().and_then(|said| loaded_llvm(&said));
    let llvm = loaded.or_else(|| {
        let grep = Run::new("grep").args(["-aom1", "-E", "LLVM[0-9]+\\.[0-9]+\\.[0-9]+"]).args([&path]);
        producer_llvm(&grep.output().ok()?)
    })?;
    Some(Linker { path, llvm })
}

/// `libLLVM.so.22.1 => …`, or `libLLVM-17.so.1 => …` in older releases.
fn loaded_llvm(ldd: &str) -> Option<u32> {
    let rest = ldd.lines().find_map(|line| line.trim().strip_prefix("libLLVM"))?;
    leading_number(rest.strip_prefix(".so.").or_else(|| rest.strip_prefix('-'))?)
}

/// `LLVM22.1.8`
fn producer_llvm(grep: &str) -> Option<u32> {
    leading_number(grep.strip_prefix("LLVM")?)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{loaded_llvm, producer_llvm};

    #[test]
    fn llvm_is_read_from_the_library_loaded() {
        let ldd = "\tlinux-vdso.so.1 (0x0)\n\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x0)\n";
        assert_eq!(loaded_llvm(ldd), Some(22));
        assert_eq!(loaded_llvm("\tlibLLVM-17.so.1 => /usr/lib/libLLVM-17.so.1 (0x0)\n"), Some(17));
        assert_eq!(loaded_llvm("\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"), None);
    }

    #[test]
    fn llvm_is_read_from_its_name_where_it_is_linked_in() {
        assert_eq!(producer_llvm("LLVM23.1.0\n"), Some(23));
        assert_eq!(producer_llvm(""), None);
    }
}
