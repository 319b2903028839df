//! `eipgate run`: the daemon, from its configuration to its last reply.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::geteuid;
use sd_notify::NotifyState;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use crate::address::Prefix;
use crate::admin::Listener;
use crate::config::{Config, Downlink, Link, Overrides, parse_time_span};
use crate::dataplane::{Mode, ProgramLog};
use crate::gateway::{self, BYPASS, Handle};

/// Run the gateway in the foreground. Ending it by any signal leaves programs, maps and traffic as they are; only
/// `eipgate detach` takes them away.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eipgate run
  eipgate run --uplink eth0 --downlink eth1 --pool 198.51.100.0/24
  eipgate run --uplink eth0:100 --downlink eth0:200=blue --downlink eth0:300.7=green --pool 198.51.100.0/24 \\
              --xdp-mode generic --cool-down 1h")]
pub(super) struct Args {
    /// The configuration file; flags win over it. [default: /etc/eipgate/eipgate.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// An interface towards the Internet; may be repeated.
    #[arg(long = "uplink", value_name = "IF[:VLAN[.VLAN]]")]
    uplinks: Vec<Link>,

    /// An interface towards the instances, and their VPC (vpc-default if not given); may be repeated.
    #[arg(long = "downlink", value_name = "IF[:VLAN[.VLAN]][=VPC]")]
    downlinks: Vec<Downlink>,

    /// A range of public addresses to hand out; may be repeated.
    #[arg(long = "pool", value_name = "CIDR")]
    pools: Vec<Prefix>,

    /// Accept pools in private, documentation and benchmark ranges, for labs.
    #[arg(long)]
    allow_reserved_pools: bool,

    /// How long a released address rests before it is handed out again, like 10m or 0s. [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_time_span)]
    cool_down: Option<Duration>,

    /// How the program is attached: native (in the driver) or generic. [default: native]
    #[arg(long, value_name = "native|generic")]
    xdp_mode: Option<Mode>,

    /// Where the durable state is kept. [default: /var/lib/eipgate]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where the program and its maps are pinned. [default: /run/eipgate/bpf]
    #[arg(long, value_name = "DIR")]
    bpf_dir: Option<PathBuf>,
}

impl Args {
    fn overrides(self, socket: Option<PathBuf>) -> Overrides {
        Overrides {
            uplinks: self.uplinks,
            downlinks: self.downlinks,
            pools: self.pools,
            allow_reserved_pools: self.allow_reserved_pools,
            cool_down: self.cool_down,
            xdp_mode: self.xdp_mode,
            state_dir: self.state_dir,
            bpf_dir: self.bpf_dir,
            socket,
        }
    }
}

pub(super) fn run(args: Args, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let config = config(args, socket)?;
    log_to_stderr(config.program_log)?;
    // The gateway runs on this thread, where its writes to disk keep nobody else waiting; these are for conversations.
    finish(Builder::new_multi_thread().worker_threads(2).enable_all().build(), serve(&config))
}

/// `eipgate guard`: takes what `run` takes and puts up the guard alone.
pub(super) fn guard(args: Args) -> Result<ExitCode, Failure> {
    let config = config(args, None)?;
    finish(Builder::new_current_thread().enable_all().build(), gateway::put_up_guard(&config))
}

fn config(mut args: Args, socket: Option<PathBuf>) -> Result<Config, Failure> {
    let file = args.config.take();
    Ok(Config::load(file.as_deref(), args.overrides(socket))?)
}

fn finish(
    runtime: io::Result<tokio::runtime::Runtime>,
    work: impl Future<Output = Result<()>>,
) -> Result<ExitCode, Failure> {
    let runtime = runtime.context("cannot start the runtime")?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome.map_err(|error| {
        let sentence = format!("{error:#}");
        let hint = if geteuid().is_root() || sentence.contains("root") { "" } else { "; run it as root" };
        Failure { status: 1, sentence: format!("{sentence}{hint}") }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the program itself logs comes under its crate's name and is shown whatever RUST_LOG says: it was asked for.
fn log_to_stderr(program: ProgramLog) -> Result<()> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let filter = filter.add_directive(format!("nat_ebpf={program}").parse()?);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    subscriber.with_ansi(io::stderr().is_terminal()).init();
    Ok(())
}

async fn serve(config: &Config) -> Result<()> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    info!("{BYPASS}");
    // Bound before anything is touched, so that what is wrong with it is said in time; served when all is in place.
    let listener = Listener::bind(config)?;
    let gateway = tokio::select! {
        started = gateway::start(config) => started?,
        () = &mut stop => return Ok(()),
    };
    let socket = listener.path().display().to_string();
    let (handle, jobs) = Handle::new();
    let server = listener.serve(handle)?;
    info!(socket, version = env!("CARGO_PKG_VERSION"), "serving");
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);

    let outcome = gateway.run(jobs, stop).await;
    notify(&[NotifyState::Stopping]);
    server.close().await;
    if outcome.is_ok() {
        info!("stopped; programs, maps and traffic stay as they are until `eipgate detach`");
    }
    outcome
}

/// Ends with SIGTERM or SIGINT. SIGHUP is only answered in the log: the configuration is read at the start.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => warn!("SIGHUP changes nothing; restart to read the configuration, traffic goes on"),
            }
        }
    })
}

fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot tell systemd: {error}");
    }
}
