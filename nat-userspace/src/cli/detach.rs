//! `eipgate detach`: the only way to take the gateway off a machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::IgnoredAny;
use tokio::runtime::Builder;

use super::Context;
use super::failure::Failure;
use super::output::{print, show};
use crate::admin::wire::Request;

/// Take the program, the maps of every version, kept neighbours and the guard off this machine, restore the settings found
/// at the start, and say so line by line. The daemon must not run. Traffic stops; the stored state stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eipgate detach")]
pub(super) struct Args {
    /// Where the program and its maps are pinned. [default: as configured, else /run/eipgate/bpf]
    #[arg(long, value_name = "DIR")]
    pub(super) bpf_dir: Option<PathBuf>,

    /// Where the daemon keeps its state, the settings to restore among it. [default: as configured, else /var/lib/eipgate]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let bpf_dir = context.places.bpf_dir(args.bpf_dir.as_deref())?;
    let state_dir = context.places.state_dir(args.state_dir.as_deref())?;
    // The pins say so themselves, unless the daemon was started with others than are configured.
    if args.bpf_dir.is_none() && context.client.ask::<IgnoredAny>(&Request::Status {}).is_ok() {
        let sentence = format!("a daemon is serving at {}; stop it first", context.client.socket().display());
        return Err(Failure { status: 4, sentence });
    }
    let removed = runtime.block_on(crate::dataplane::detach(&bpf_dir, &state_dir))?;
    print(&show(context.format, &Removed { removed }, |Removed { removed }| match removed[..] {
        [] => "there was nothing to remove".into(),
        _ => removed.join("\n"),
    }))?;
    Ok(ExitCode::SUCCESS)
}
