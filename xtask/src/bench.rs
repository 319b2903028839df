//! `cargo xtask bench`: what a packet costs, in eipgate and in other gateways on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::lab;

/// Measure eipgate beside other gateways, in network namespaces.
#[derive(clap::Args)]
#[command(after_help = "\
Examples, as root, on a machine that does nothing else:
  cargo xtask bench                                  everything, in a quarter of an hour
  cargo xtask bench --quick                          a first look, in three minutes
  cargo xtask bench --only 'in 1k' --only static     single rows, and those they need
  cargo xtask bench --only changes                   one part: alone, two-core, tcp, api, changes
  cargo xtask bench --json all.json --svg chart.svg  keep every sample, draw the chart")]
pub(crate) struct Args {
    /// A first look, in a few minutes
    #[arg(long)]
    quick: bool,
    /// Write every sample to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the chart into a file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only rows with this in their names, or one of the parts alone, two-core, tcp, api, changes; may be given several times
    #[arg(long, value_name = "WORDS")]
    only: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut words: Vec<OsString> = Vec::new();
    if args.quick {
        words.push("--quick".into());
    }
    let mut option = |name: &str, value: Option<&Path>| {
        words.extend(value.into_iter().flat_map(|value| [name.into(), value.as_os_str().to_owned()]));
    };
    option("--json", args.json.as_deref());
    option("--svg", args.svg.as_deref());
    for only in &args.only {
        words.extend(["--only".into(), only.clone()]);
    }
    lab::become_program("eipgate-bench", words)
}
