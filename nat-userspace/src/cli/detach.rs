//! `eipgate detach`: the only way to take the gateway off a machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use tokio::runtime::Builder;

use super::failure::Failure;
use super::output::{print, show};
use super::{Context, DEFAULT_BPF_DIR, DEFAULT_STATE_DIR};

/// Take the program, the maps of every version, kept neighbours and the guard off this machine, restore the settings found
/// at the start, and say so line by line. The daemon must not run. Traffic stops; the stored state stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eipgate detach")]
pub(super) struct Args {
    /// Where the program and its maps are pinned.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_BPF_DIR)]
    pub(super) bpf_dir: PathBuf,

    /// Where the daemon keeps its state, the settings to restore among it.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    pub(super) state_dir: PathBuf,
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let removed = runtime.block_on(crate::dataplane::detach(&args.bpf_dir, &args.state_dir))?;
    print(&show(context.format, &Removed { removed }, |Removed { removed }| match removed[..] {
        [] => "there was nothing to remove".into(),
        _ => removed.join("\n"),
    }))?;
    Ok(ExitCode::SUCCESS)
}
