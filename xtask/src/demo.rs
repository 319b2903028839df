//! `cargo xtask demo`: the gateway at work, in one command.

use std::ffi::OsString;

use anyhow::Result;

use crate::lab;

/// Show the gateway at work in the lab, step by step.
#[derive(clap::Args)]
#[command(after_help = "\
Examples, as root:
  cargo xtask demo          put the lab up, show it, take it down
  cargo xtask demo --keep   leave it up: `cargo xtask lab enter HOST` goes on from there")]
pub(crate) struct Args {
    /// Leave the lab up at the end
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut words: Vec<OsString> = vec!["demo".into()];
    if args.keep {
        words.push("--keep".into());
    }
    lab::become_lab(words)
}
