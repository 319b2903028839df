//! `cargo xtask bench`: what a packet costs, in eipgate and in other gateways on this machine.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::lab;
use crate::workspace;

/// Measure eipgate beside other gateways, in network namespaces.
#[derive(clap::Args)]
#[command(after_help = "\
Examples, as root, on a machine that does nothing else:
  cargo xtask bench                                  everything, in a quarter of an hour
  cargo xtask bench --quick                          a first look, in three minutes
  cargo xtask bench --only 'in 1k' --only static     single rows, and those they need
  cargo xtask bench --only changes                   one part: alone, two-core, tcp, api, changes
  cargo xtask bench --json all.json --svg chart.svg  samples and chart into these files

Every sample is kept in target/bench.json and the chart drawn in target/bench.svg, unless other files are named.")]
pub(crate) struct Args {
    /// A first look, in a few minutes
    #[arg(long)]
    quick: bool,
    /// Write every sample to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the chart into this file
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
    let target = workspace::root().join("target");
    let mut option = |name: &str, value: Option<&PathBuf>| {
        let file = value.cloned().unwrap_or_else(|| target.join(format!("bench.{name}")));
        words.extend([format!("--{name}").into(), file.into_os_string()]);
    };
    option("json", args.json.as_ref());
    option("svg", args.svg.as_ref());
    for only in &args.only {
        words.extend(["--only".into(), only.clone()]);
    }
    lab::become_program("eipgate-bench", words)
}
