//! `cargo xtask setup`: everything that building, testing and trying out eipgate needs, brought once and checked always.
//!
//! No stamp file says that setup ran. Each run looks at the things themselves: the compiler and its library source, the
//! linker and the LLVM it loads, the programs on PATH. All of that takes a fraction of a second.

mod apt;
mod clients;
mod compiler;
mod linker;
mod programs;
mod promtool;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::privilege;
use crate::shell::{self, Run};
use crate::step::Step;
use crate::workspace;

use apt::Apt;
use clients::Client;
use compiler::Compiler;
use linker::Linker;
use programs::Program;

const STEPS: usize = 6;

/// rustup answers at once or hangs in retries; a longer download is the user's to start.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// Bring everything that building and testing need; a second run only checks.
#[derive(clap::Args)]
#[command(after_help = "\
What it brings:
  eBPF compiler   Rust 1.96.0 with rust-src: from rustup, or on Debian 12 from the packages
                  rustc-web cargo-web rust-web-src rust-web-clippy
                  (nothing of your rustup changes)
  bpf-linker      0.13.0 for LLVM 22, compiled into target/tools (a few minutes, once)
  promtool        from Debian's package of Prometheus, unpacked into target/tools and not installed
  clients         the cloud's own Python SDK, tccli and Node SDK, by pip and npm into target/tools:
                  tests and demonstration drive the API with them
  programs        nft, ip, ping, tcpdump and others that the daemon, the lab and the tests run

Examples:
  cargo xtask setup   as root; as anyone else it says what to install where packages are missing

Set EIPGATE_EBPF_TOOLCHAIN to a rustup toolchain or an installation prefix to choose the eBPF compiler yourself.")]
pub(crate) struct Args {}

/// What the next command is going to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Compile: the eBPF compiler and the linker.
    Build,
    /// Run the gateway in the lab as well: also the programs.
    Run,
    /// Run it in virtual machines: also qemu and what makes their images.
    Machines,
}

/// What compiling the eBPF program takes, found and checked.
pub(crate) struct Tools {
    compiler: Compiler,
    linker: Linker,
}

impl Tools {
    /// A cargo that can compile the eBPF program: nat-userspace's build script reads the toolchain, the compiler looks
    /// for bpf-linker on PATH.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Run> {
        let bin = self.linker.path.parent().context("bpf-linker stands in no directory")?;
        let path = shell::path_with(bin)?;
        Ok(shell::cargo(args).env("EIPGATE_EBPF_TOOLCHAIN", &self.compiler.toolchain).env("PATH", path))
    }

    /// Lints of the programs themselves, which only their own compiler can read.
    pub(crate) fn clippy_of_programs(&self) -> Run {
        let words = ["run", &self.compiler.toolchain, "cargo", "clippy", "--package", "nat-ebpf", "--release"];
        let target = ["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--target-dir", "target/ebpf-lints"];
        let run = Run::new("rustup").args(words).args(target).args(["--", "-D", "warnings"]);
        // The bootstrap switch lets the stable compiler read `core` for the BPF target.
        let architecture = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
        run.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", architecture)
    }
}

pub(crate) fn run(_: &Args) -> Result<()> {
    bring(Need::Run)?;
    println!("Everything is here. Next: `cargo xtask demo` or `cargo xtask test`.");
    Ok(())
}

/// Runs what is missing of setup before another command; silent where nothing is.
pub(crate) fn ensure(need: Need) -> Result<Tools> {
    let missing = Missing::look(need);
    missing.into_tools().or_else(|missing| {
        println!("Setup is incomplete, missing: {}", missing.describe());
        bring(need)
    })
}

/// What is here and what is not.
struct Missing {
    compiler: Option<Compiler>,
    linker: Option<Linker>,
    programs: Vec<&'static Program>,
    promtool: bool,
    clients: Vec<&'static Client>,
}

impl Missing {
    fn look(need: Need) -> Self {
        let compiler = compiler::find();
        let llvm = compiler.as_ref().map_or(linker::LLVM, |compiler| compiler.llvm);
        let programs = match need {
            Need::Build => Vec::new(),
            Need::Run => programs::missing(|command| shell::find_program(command).is_some()),
            Need::Machines => programs::missing_for_machines(|command| shell::find_program(command).is_some()),
        };
        let promtool = need == Need::Run && promtool::find().is_none();
        let clients = if need == Need::Run { clients::missing() } else { Vec::new() };
        Self { compiler, linker: linker::find(llvm), programs, promtool, clients }
    }

    fn into_tools(self) -> Result<Tools, Box<Self>> {
        match self {
            Self { compiler: Some(compiler), linker: Some(linker), programs, promtool: false, clients }
                if programs.is_empty() && clients.is_empty() =>
            {
                Ok(Tools { compiler, linker })
            }
            missing => Err(Box::new(missing)),
        }
    }

    /// The packages that would bring what is missing; `with_compiler` where the compiler comes from apt.
    fn packages(&self, with_compiler: bool) -> Vec<&'static str> {
        let mut packages = Vec::new();
        if self.compiler.is_none() && with_compiler {
            packages.extend(compiler::PACKAGES);
        }
        if self.linker.is_none() && linker::llvm_prefix().is_none() {
            packages.extend(linker::PACKAGES);
        }
        packages.extend(self.programs.iter().map(|program| program.package));
        packages
    }

    fn describe(&self) -> String {
        let mut things: Vec<String> = Vec::new();
        if self.compiler.is_none() {
            things.push("eBPF compiler".into());
        }
        if self.linker.is_none() {
            things.push("bpf-linker".into());
        }
        things.extend(self.programs.iter().map(|program| program.command.to_owned()));
        things.extend(self.promtool.then(|| "promtool".to_owned()));
        things.extend(self.clients.iter().map(|client| client.name.to_owned()));
        if things.is_empty() { "nothing".into() } else { things.join(", ") }
    }
}

fn bring(need: Need) -> Result<Tools> {
    let step = Step::begin(1, STEPS, "look at what is here");
    let missing = Missing::look(need);
    step.done(format_args!("missing: {}", missing.describe()));

    let step = Step::begin(2, STEPS, "packages");
    finish(step, |step| bring_packages(&missing, step))?;

    let step = Step::begin(3, STEPS, "eBPF compiler");
    let compiler = finish(step, |step| {
        let compiler = bring_compiler(step)?;
        let said = compiler.to_string();
        Ok((compiler, said))
    })?;

    let step = Step::begin(4, STEPS, "bpf-linker");
    let linker = finish(step, |step| {
        let linker = bring_linker(compiler.llvm, step)?;
        let said = linker.to_string();
        Ok((linker, said))
    })?;

    if need == Need::Run {
        let step = Step::begin(5, STEPS, "promtool");
        finish(step, |step| Ok(((), promtool::bring(step)?.display().to_string())))?;
        let step = Step::begin(6, STEPS, "the cloud's clients");
        finish(step, |step| Ok(((), clients::bring(step)?)))?;
    }
    Ok(Tools { compiler, linker })
}

/// Closes the step's line with what the work said.
fn finish<T>(mut step: Step, work: impl FnOnce(&mut Step) -> Result<(T, String)>) -> Result<T> {
    match work(&mut step) {
        Ok((value, said)) => {
            step.done(said);
            Ok(value)
        }
        Err(error) => {
            step.failed();
            Err(error)
        }
    }
}

fn bring_packages(missing: &Missing, step: &mut Step) -> Result<((), String)> {
    let debian_12 = apt::on_debian_12();
    let packages = missing.packages(debian_12);
    if packages.is_empty() {
        return Ok(((), "none missing".into()));
    }
    for program in &missing.programs {
        step.note(format_args!("{}: {}", program.command, program.reason));
    }
    if shell::find_program("apt-get").is_none() {
        bail!("there is no apt-get here; install what Debian calls: {}", packages.join(" "));
    }
    if !privilege::is_root() {
        bail!(
            "installing packages takes root. Run:\n\n    {}\n\nand then this command again.",
            apt::by_hand(&packages)
        );
    }
    let apt = Apt::new();
    apt.update(step);
    let packages = if debian_12 && missing.compiler.is_none() && !apt.offers("rustc-web", compiler::RELEASE)? {
        step.note(format_args!("apt has no rustc-web {}: rustup is next", compiler::RELEASE));
        missing.packages(false)
    } else {
        packages
    };
    if packages.is_empty() {
        return Ok(((), "none to install".into()));
    }
    step.note(format_args!("installing {}", packages.join(" ")));
    apt.install(&packages, step).with_context(|| format!("apt could not install {}", packages.join(" ")))?;
    let still = missing.programs.iter().filter(|program| shell::find_program(program.command).is_none());
    let still: Vec<&str> = still.map(|program| program.command).collect();
    if !still.is_empty() {
        bail!("apt installed everything, but these are still not on PATH: {}", still.join(", "));
    }
    Ok(((), format!("{} installed", packages.len())))
}

fn bring_compiler(step: &mut Step) -> Result<Compiler> {
    if let Some(compiler) = compiler::find() {
        return Ok(compiler);
    }
    if let Some(chosen) = compiler::chosen() {
        bail!(
            "EIPGATE_EBPF_TOOLCHAIN={chosen} is no Rust {} or later with rust-src and clippy: correct it, or unset it and let setup choose",
            compiler::RELEASE
        );
    }
    let install = compiler::rustup_install();
    let by_hand = format!("Run `{}` and then this command again.", install.shown());
    if shell::find_program("rustup").is_none() {
        bail!(
            "there is no rustup here to bring Rust {}. Install it from https://rustup.rs. {by_hand}",
            compiler::RELEASE
        );
    }
    step.note(format_args!("{} (at most {} s)", install.shown(), RUSTUP_LIMIT.as_secs()));
    install.run_logged(step, &workspace::log_file("setup-rustup.log"), Some(RUSTUP_LIMIT)).context(by_hand)?;
    compiler::find()
        .with_context(|| format!("rustup installed Rust {}, but it has no rust-src or no clippy", compiler::RELEASE))
}

fn bring_linker(llvm: u32, step: &mut Step) -> Result<Linker> {
    if let Some(linker) = linker::find(llvm) {
        return Ok(linker);
    }
    if llvm > linker::LLVM {
        bail!(
            "the eBPF compiler has LLVM {llvm} and setup can build bpf-linker for LLVM {} only: put a bpf-linker of LLVM {llvm} or later on PATH, or choose another compiler with EIPGATE_EBPF_TOOLCHAIN",
            linker::LLVM
        );
    }
    let prefix = linker::llvm_prefix().with_context(|| {
        format!("there is no LLVM {} with its headers here. Install it ({})", linker::LLVM, linker::PACKAGES.join(" "))
    })?;
    let install = linker::install(&prefix);
    step.note(format_args!("{} (a few minutes)", install.shown()));
    install.run_logged(step, &workspace::log_file("setup-bpf-linker.log"), None)?;
    linker::find(llvm).with_context(|| {
        format!("bpf-linker was built into {} but does not run there", workspace::tools_dir().display())
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Missing, compiler::Compiler, linker::Linker, programs};

    fn compiler() -> Compiler {
        Compiler { toolchain: "/usr".into(), release: (1, 96, 0), llvm: 22 }
    }

    fn linker() -> Linker {
        Linker { path: PathBuf::from("/opt/bin/bpf-linker"), llvm: 22 }
    }

    #[test]
    fn nothing_missing_gives_the_tools() {
        let missing = Missing {
            compiler: Some(compiler()),
            linker: Some(linker()),
            programs: Vec::new(),
            promtool: false,
            clients: Vec::new(),
        };
        assert_eq!(missing.describe(), "nothing");
        assert!(missing.packages(true).is_empty());
        assert!(missing.into_tools().is_ok());
    }

    #[test]
    fn a_missing_program_is_asked_of_apt_by_its_package() {
        let programs = programs::missing(|command| command != "nft");
        let missing = Missing {
            compiler: Some(compiler()),
            linker: Some(linker()),
            programs,
            promtool: false,
            clients: Vec::new(),
        };
        assert_eq!(missing.describe(), "nft");
        assert_eq!(missing.packages(true), ["nftables"]);
        assert!(missing.into_tools().is_err());
    }

    #[test]
    fn the_compiler_comes_from_apt_only_where_asked() {
        let missing = Missing {
            compiler: None,
            linker: Some(linker()),
            programs: Vec::new(),
            promtool: false,
            clients: Vec::new(),
        };
        assert!(missing.packages(true).contains(&"rustc-web"));
        assert!(missing.packages(false).is_empty());
        assert_eq!(missing.describe(), "eBPF compiler");
    }
}
