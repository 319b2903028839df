//! `cargo xtask test --vm`: the gateway on Debian's own kernels, in virtual machines with virtio NICs.
//!
//! A machine is Debian's kernel, a root image made of Debian's packages, and a tar archive with what to run in it. All
//! of it is below `target/vm`; nothing is installed on this host but qemu and what makes images.

mod acceleration;
mod image;
mod kernel;
mod machine;
mod power;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::build::{self, Profile};
use crate::deb;
use crate::privilege;
use crate::setup::{self, Need, Tools};
use crate::shell::{self, Run};
use crate::step::Summary;
use crate::workspace;

use acceleration::Acceleration;
use kernel::{Kernel, SERIES};
use machine::Machine;

/// Tests of the kernel binary that hold on any kernel and fit into minutes where the processor is emulated.
const EMULATED: &str = "vectors:: verifier:: lifecycle:: traffic::";
/// With KVM: all but measurements, budgets that are one kernel's, what takes minutes, and what takes programs or files that
/// are not in the image.
const ACCELERATED: &str = "--skip bench:: --skip size:: --skip random:: --skip bulk:: --skip growth:: --skip foreseen:: \
                           --skip api:: --skip console:: --skip cut_over:: --skip faults:: --skip metrics:: \
                           --skip service:: --skip upgrade::";

const SUITES: &str = include_str!("vm/guest/suites");
const PACKAGE: &str = include_str!("vm/guest/package");

/// Parts that a filter chooses by their whole name.
const PACKAGE_PART: &str = "package";
const POWER_PART: &str = "power cut";

/// Which machines to boot.
pub(crate) struct Machines<'a> {
    /// `6.1`, `6.12`; all where empty.
    pub(crate) kernels: &'a [String],
    /// Tests whose name contains this, of both binaries, or one part: `power cut`, `package`.
    pub(crate) filter: Option<&'a str>,
}

impl Machines<'_> {
    fn is(&self, part: &str) -> bool {
        self.filter == Some(part)
    }
}

/// Boots each kernel and runs the tests in it.
pub(crate) fn run(machines: &Machines) -> Result<Summary> {
    if !privilege::is_root() {
        bail!("a root image is made as root. Run: {} test --vm", privilege::AS_ROOT);
    }
    for asked in machines.kernels {
        ensure!(SERIES.iter().any(|series| series.name == asked), "no kernel {asked}: there are {}", kernel::names());
    }
    let tools = setup::ensure(Need::Machines)?;
    let mut summary = Summary::default();
    let chosen = |name: &str| machines.kernels.is_empty() || machines.kernels.iter().any(|kernel| kernel == name);
    let chosen: Vec<_> = SERIES.iter().filter(|series| chosen(series.name)).collect();
    let acceleration = Acceleration::here(&kernel::fetch(chosen.first().context("no kernel is chosen")?)?)?;
    println!("{acceleration}");
    let built = Built::build(&tools)?;
    for series in chosen {
        let asked = |part: &str| machines.filter.is_none() || machines.is(part);
        let mut part = |name: &str, run: &dyn Fn(&Kernel, &Path) -> Result<()>| {
            summary.part(&format!("Linux {}: {name}", series.name), || {
                let (kernel, image) = ready(series)?;
                run(&kernel, &image)
            });
        };
        if !machines.is(POWER_PART) && !machines.is(PACKAGE_PART) {
            part("tests", &|kernel, image| suites(kernel, image, &built, &acceleration, machines.filter));
        }
        if asked(POWER_PART) {
            part(POWER_PART, &|kernel, image| power::cut(kernel, image, &built.eipgate, &acceleration));
        }
        if asked(PACKAGE_PART) {
            part(PACKAGE_PART, &|kernel, image| package(kernel, image, &built.eipgate, &acceleration));
        }
    }
    Ok(summary)
}

fn ready(series: &kernel::Series) -> Result<(Kernel, PathBuf)> {
    let kernel = kernel::fetch(series)?;
    let image = image::root(&kernel)?;
    Ok((kernel, image))
}

/// What runs in the machines.
struct Built {
    eipgate: PathBuf,
    kernel: PathBuf,
    vm: PathBuf,
}

impl Built {
    fn build(tools: &Tools) -> Result<Self> {
        Ok(Self {
            eipgate: build::binary(tools, "nat-userspace", "eipgate", Profile::Dev)?,
            kernel: test_binary(tools, "kernel", &[])?,
            vm: test_binary(tools, "vm", &["--features", "vm"])?,
        })
    }
}

/// Builds a test binary of the crate `tests` and learns its name from cargo.
fn test_binary(tools: &Tools, name: &str, options: &[&str]) -> Result<PathBuf> {
    let args = ["test", "-p", "tests", "--test", name, "--no-run", "--message-format", "json"];
    let said = tools.cargo(args.into_iter().chain(options.iter().copied()))?.output()?;
    // The binaries the tests run are listed as well.
    let tests = said.lines().filter(|line| line.contains(r#""kind":["test"]"#));
    let files = tests.filter_map(|line| line.split_once(r#""executable":""#)).map(|(_, rest)| rest);
    let file = files.filter_map(|rest| rest.split('"').next()).next_back();
    file.map(PathBuf::from).with_context(|| format!("cargo built the test {name} and did not say where"))
}

fn suites(
    kernel: &Kernel,
    image: &Path,
    built: &Built,
    acceleration: &Acceleration,
    filter: Option<&str>,
) -> Result<()> {
    let payload = Payload::begin(kernel, "suites")?;
    payload.binary("eipgate", &built.eipgate)?;
    payload.binary("kernel", &built.kernel)?;
    payload.binary("vm", &built.vm)?;
    let usual = if acceleration.is_fast() { ACCELERATED } else { EMULATED };
    payload.text("kernel.options", filter.unwrap_or(usual))?;
    payload.text("vm.options", filter.unwrap_or_default())?;
    payload.text("run", SUITES)?;
    let limit = if acceleration.is_fast() { Duration::from_secs(300) } else { Duration::from_secs(1800) };
    let machine = Machine { kernel, image, keep: false, payload: payload.close()?, acceleration };
    let said = machine.run(limit)?;
    ensure!(said.ended_well(), "the machine said last:\n{}", said.last(25));
    Ok(())
}

/// Installs, runs and removes the package in a machine with systemd.
fn package(kernel: &Kernel, image: &Path, eipgate: &Path, acceleration: &Acceleration) -> Result<()> {
    let package = deb::package(eipgate)?;
    let payload = Payload::begin(kernel, "package")?;
    fs::copy(&package, payload.directory.join("eipgate.deb")).with_context(|| package.display().to_string())?;
    payload.text("run", PACKAGE)?;
    payload.text("under-systemd", "")?;
    let limit = Duration::from_secs(if acceleration.is_fast() { 120 } else { 600 });
    let said = Machine { kernel, image, keep: false, payload: payload.close()?, acceleration }.run(limit)?;
    ensure!(said.ended_well(), "the machine said last:\n{}", said.last(50));
    Ok(())
}

/// A directory that becomes the machine's second disk.
struct Payload {
    directory: PathBuf,
}

impl Payload {
    fn begin(kernel: &Kernel, name: &str) -> Result<Self> {
        let directory = directory().join(format!("payload-{name}-{}", kernel.version));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// Without debug information, which is most of it.
    fn binary(&self, name: &str, from: &Path) -> Result<()> {
        let to = self.directory.join(name);
        Run::new("strip").args(["-o".as_ref(), to.as_os_str(), from.as_os_str()]).output().map(drop)
    }

    fn text(&self, name: &str, text: &str) -> Result<()> {
        write_executable(&self.directory.join(name), text)
    }

    fn close(self) -> Result<PathBuf> {
        // Not `with_extension`: a kernel's version has dots of its own.
        let archive = PathBuf::from(format!("{}.tar", self.directory.display()));
        let words = ["-C".as_ref(), self.directory.as_os_str(), "-cf".as_ref(), archive.as_os_str(), ".".as_ref()];
        Run::new("tar").args(words).output()?;
        Ok(archive)
    }
}

fn write_executable(file: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).with_context(|| file.display().to_string())
}

/// Kernels, images and what the machines said.
fn directory() -> PathBuf {
    workspace::root().join("target/vm")
}

fn sh(script: &str, words: &[&Path]) -> Result<String> {
    Run::new("sh").args(["-ec", script, "sh"]).args(words).output()
}

/// The file that a shell would run for a command.
fn program(command: &str) -> Result<PathBuf> {
    shell::find_program(command).with_context(|| format!("{command} is missing: run `cargo xtask test --vm` as root"))
}
