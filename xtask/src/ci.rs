//! `cargo xtask ci`: exactly what CI runs.

use anyhow::{Context as _, Result};

use crate::setup::{self, Tools};
use crate::shell;
use crate::step::Summary;
use crate::test;
use crate::tidy;

/// Run exactly what CI runs: format, lints, tidy, documentation, tests.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask ci             before a push
  CI=true cargo xtask ci     as CI does: a test that cannot run is a failure

It stops at the first part that fails; the tests come last and all run.")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<()> {
    let tools = setup::ensure(test::need())?;
    let mut summary = Summary::default();
    let outcome = parts(&tools, &mut summary);
    summary.print();
    outcome?;
    test::verdict(&summary)
}

fn parts(tools: &Tools, summary: &mut Summary) -> Result<()> {
    let quick = summary
        .part("format", || shell::cargo(["fmt", "--all", "--check"]).run().context("`cargo fmt --all` puts it right"))
        && summary.part("lints", || {
            // The feature brings in the tests that only a virtual machine runs.
            let whole = ["clippy", "--workspace", "--exclude", "nat-ebpf", "--all-targets", "--features", "tests/vm"];
            tools.cargo(whole.into_iter().chain(["--", "-D", "warnings"]))?.run()?;
            tools.clippy_of_programs().run()
        })
        && summary.part("tidy", tidy::check)
        && summary.part("documentation", || {
            let doc = tools.cargo(["doc", "--no-deps", "--workspace", "--exclude", "nat-ebpf"])?;
            doc.env("RUSTDOCFLAGS", "-D warnings").run()
        });
    if quick {
        summary.append(test::suites(&test::Args::everything(), tools)?);
    }
    Ok(())
}
