//! `cargo xtask test`: every test there is, inside out, with a summary.

use anyhow::{Result, bail};

use crate::build::{self, Profile};
use crate::deb;
use crate::privilege;
use crate::setup::{self, Need, Tools};
use crate::shell;
use crate::step::Summary;
use crate::vm::{self, Machines};

/// The kernel tests: program vectors through the kernel's test run, the verifier, real traffic between namespaces.
const KERNEL_TESTS: &str = "tests (kernel)";

/// Build eipgate and run every test; the kernel tests need root.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                          as root: everything; else all but the kernel tests, and it says so
  cargo xtask test hairpin                  tests whose name contains `hairpin`
  cargo xtask test hairpin -- --nocapture   with an option for the test binaries
  cargo xtask test --long                   also the tests that take minutes, and virtual machines
  cargo xtask test --vm                     on Debian's kernels, in virtual machines, instead of here
  cargo xtask test --vm --kernel 6.1 t49_   one kernel, and tests whose name contains `t49_`

With CI=true a test that cannot run is a failure.")]
pub(crate) struct Args {
    /// Run the long tests too (sets EIPGATE_LONG=1), and without a filter what --vm runs
    #[arg(long)]
    long: bool,
    /// Run in virtual machines with Debian's kernels 6.1 and 6.12 and virtio NICs
    #[arg(long, conflicts_with_all = ["long", "options"])]
    vm: bool,
    /// Boot only this kernel
    #[arg(long = "kernel", value_name = "SERIES", requires = "vm")]
    kernels: Vec<String>,
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Options for the test binaries
    #[arg(last = true)]
    options: Vec<String>,
}

impl Args {
    /// What `ci` runs: everything, without the long tests.
    pub(crate) fn everything() -> Self {
        Self { long: false, vm: false, kernels: Vec::new(), filter: None, options: Vec::new() }
    }

    fn cargo<'a>(&'a self, target: &'a [&'a str]) -> Vec<&'a str> {
        let mut args = vec!["test"];
        args.extend(target);
        args.extend(self.filter.as_deref());
        if !self.options.is_empty() {
            args.push("--");
            args.extend(self.options.iter().map(String::as_str));
        }
        args
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let summary = if args.vm {
        vm::run(&Machines { kernels: &args.kernels, filter: args.filter.as_deref() })?
    } else {
        let mut summary = suites(args, &setup::ensure(need())?)?;
        if args.long && args.filter.is_none() && privilege::is_root() {
            match vm::run(&Machines { kernels: &[], filter: None }) {
                Ok(machines) => summary.append(machines),
                Err(error) => drop(summary.part("virtual machines", || Err(error))),
            }
        }
        summary
    };
    summary.print();
    verdict(&summary)
}

/// What setup must have brought: the programs are for the kernel tests only.
pub(crate) fn need() -> Need {
    if privilege::missing_capabilities().is_empty() { Need::Run } else { Need::Build }
}

/// Fails where a part failed.
pub(crate) fn verdict(summary: &Summary) -> Result<()> {
    let failures = summary.failures();
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(", "));
    }
    Ok(())
}

/// Runs all suites, also after one has failed.
pub(crate) fn suites(args: &Args, tools: &Tools) -> Result<Summary> {
    let mut summary = Summary::default();
    let bin = build::binary(tools, "nat-userspace", "eipgate", Profile::Dev)?;
    let next = build::next(tools)?;
    let suite = |summary: &mut Summary, name: &str, target: &[&str]| {
        summary.part(name, || {
            let mut cargo = tools.cargo(args.cargo(target))?.env("EIPGATE_BIN", &bin).env("EIPGATE_NEXT_BIN", &next);
            if args.long {
                cargo = cargo.env("EIPGATE_LONG", "1");
            }
            cargo.run()
        })
    };
    suite(&mut summary, "nat-common", &["-p", "nat-common"]);
    suite(&mut summary, "nat-common, as userspace sees it", &["-p", "nat-common", "--features", "user"]);
    suite(&mut summary, "nat-userspace", &["-p", "nat-userspace"]);
    suite(&mut summary, "xtask", &["-p", "xtask"]);

    if args.filter.is_none() && shell::find_program("dpkg-deb").is_some() {
        summary.part("package", || deb::package_and_check(&bin));
    }

    let missing = privilege::missing_capabilities();
    if missing.is_empty() {
        suite(&mut summary, KERNEL_TESTS, &["-p", "tests"]);
        return Ok(summary);
    }
    let why = format!("this process has no {}", missing.join(", no "));
    if privilege::in_ci() {
        summary.part(KERNEL_TESTS, || bail!("{why}, and CI must not skip them: run CI as root"));
    } else {
        suite(&mut summary, "tests (compiled only)", &["-p", "tests", "--no-run"]);
        println!(
            "\n*** The kernel tests are SKIPPED: the program under the verifier and its packet vectors,\n\
             *** the gateway between namespaces, restart and upgrade: {why}.\n\
             *** To run them: {} test",
            privilege::AS_ROOT
        );
        summary.skipped(KERNEL_TESTS, &why);
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::Args;

    #[test]
    fn filter_and_options_reach_cargo_in_its_order() {
        let args = Args { filter: Some("hairpin".into()), options: vec!["--nocapture".into()], ..Args::everything() };
        assert_eq!(args.cargo(&["-p", "tests"]), ["test", "-p", "tests", "hairpin", "--", "--nocapture"]);
        assert_eq!(Args::everything().cargo(&["-p", "xtask"]), ["test", "-p", "xtask"]);
    }
}
