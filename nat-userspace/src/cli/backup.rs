//! `eipgate backup`: the stored state in one file.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::output::{print, show};

/// Copy what is stored at this moment into FILE, which must not exist yet, whether the daemon runs or not. To go back
/// to it, stop the daemon, put FILE as `state.db` into an empty state directory, and start.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eipgate backup /var/backups/eipgate-2026-11-21.db")]
pub(super) struct Args {
    /// Where to; nothing is ever replaced.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Where the daemon keeps its state. [default: as configured, else /var/lib/eipgate]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Copied {
    file: String,
    bytes: u64,
    instances: usize,
    eips: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let state_dir = context.places.state_dir(args.state_dir.as_deref())?;
    let snapshot = crate::store::backup(&state_dir, &args.file).map_err(anyhow::Error::from)?;
    let bytes = args.file.metadata().map_or(0, |file| file.len());
    let file = args.file.display().to_string();
    let copied = Copied { file, bytes, instances: snapshot.instances.len(), eips: snapshot.eips.len() };
    print(&show(context.format, &copied, |copied| {
        let Copied { file, bytes, instances, eips } = copied;
        format!("copied {instances} instances and {eips} EIPs to {file} ({bytes} bytes), and read them back")
    }))?;
    Ok(ExitCode::SUCCESS)
}
