//! `eipgate run`: the daemon, from its configuration to its last reply.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;
use sd_notify::NotifyState;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::failure::Failure;
use super::log::{self, Level};
use super::service;
use crate::address::Prefix;
use crate::admin::Listener;
use crate::api;
use crate::config::{Config, Downlink, Link, Overrides, parse_time_span};
use crate::console;
use crate::credentials::Credentials;
use crate::dataplane::Mode;
use crate::gateway::{self, BYPASS, Handle, Reading};
use crate::http::Tls;
use crate::{metadata, metrics};

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

pub(super) fn run(args: Args, file: Option<PathBuf>, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let flags = args.overrides(socket);
    let read = move || Config::load(file.as_deref(), flags.clone());
    let config = read()?;
    let level = log::start(&config)?;
    // The gateway runs on this thread, where its writes to disk keep nobody else waiting; these are for conversations.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    finish(runtime, serve(config, Box::new(read), level))
}

/// `eipgate guard`: takes what `run` takes and puts up the guard alone.
pub(super) fn guard(args: Args, file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let config = config(args, file)?;
    finish(Builder::new_current_thread().enable_all().build(), gateway::put_up_guard(&config))
}

pub(super) fn config(args: Args, file: Option<PathBuf>) -> Result<Config, Failure> {
    Ok(Config::load(file.as_deref(), args.overrides(None))?)
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

async fn serve(config: Config, reading: Reading, level: Level) -> Result<()> {
    let stop = stop_signal()?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    tokio::pin!(stop);
    info!("{BYPASS}");
    // Bound before anything is touched, so that what is wrong with it is said in time; served when all is in place.
    let listener = Listener::bind(&config)?;
    let metrics = metrics::Listener::bind(&config).await?;
    let credentials = Credentials::configured(&config)?;
    let tls = Tls::configured(&config)?;
    let api = api::Listener::bind(&config).await?;
    let console = console::Listener::bind(&config).await?;
    let gateway = tokio::select! {
        started = gateway::start(&config) => started?,
        () = &mut stop => return Ok(()),
        never = service::ignore(&mut hangup) => never,
    };
    let gateway = service::under_watch(gateway.reading_again_by(reading));
    let socket = listener.path().display().to_string();
    let (handle, jobs) = Handle::new();
    let server = listener.serve(handle.clone())?;
    let metrics = metrics.map(|listener| listener.serve(handle.clone(), gateway.configuration()));
    // Whoever takes credentials has them: the configuration was refused otherwise.
    let console = console.zip(credentials.clone()).map(|(listener, credentials)| {
        listener.serve(tls.clone(), credentials, handle.clone(), gateway.configuration())
    });
    let api = api
        .zip(credentials)
        .map(|(listener, credentials)| listener.serve(tls, credentials, handle.clone(), gateway.configuration()));
    let metadata = metadata::serve(handle.clone(), gateway.configuration(), gateway.downlinks())?;
    let level = tokio::spawn(level.follow(gateway.configuration()));
    let reloads = tokio::spawn(service::reload_on(hangup, handle));
    info!(socket, version = env!("CARGO_PKG_VERSION"), "serving");
    service::notify(&[NotifyState::Ready, NotifyState::Status("serving")]);

    let outcome = gateway.run(jobs, stop).await;
    service::notify(&[NotifyState::Stopping]);
    reloads.abort();
    level.abort();
    drop((metrics, metadata));
    for server in [api, console].into_iter().flatten() {
        server.close().await;
    }
    server.close().await;
    if outcome.is_ok() {
        info!("stopped; programs, maps and traffic stay as they are until `eipgate detach`");
    }
    outcome
}

/// Ends with SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    // Whoever started us may have blocked them for itself, and a daemon that cannot be stopped helps nobody.
    let ours = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    ours.thread_unblock().context("cannot unblock signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
