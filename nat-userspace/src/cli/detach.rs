//! `eipgate detach`: the only way to take the gateway off a machine.

use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::{Context, DEFAULT_BPF_DIR, DEFAULT_STATE_DIR};

/// Take the program, its maps and the guard off this machine, restore the settings found at the start, and say so. The
/// daemon must not run. Traffic stops; the stored state stays.
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

pub(super) fn run(args: &Args, _context: &Context) -> Result<ExitCode, Failure> {
    let removed = crate::dataplane::detach(&args.bpf_dir, &args.state_dir)?;
    if removed.is_empty() {
        super::output::print("there was nothing to remove")?;
    }
    for line in removed {
        super::output::print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}
