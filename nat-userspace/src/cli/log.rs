//! The daemon's log: to the journal with its fields where systemd connected us to it, else to standard error.

use std::env;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use nix::sys::stat::fstat;
use tokio::sync::watch;
use tracing::warn;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Config, LogFormat, LogLevel};
use crate::dataplane::ProgramLog;

/// Changes what is logged.
pub(super) struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    program: ProgramLog,
}

type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Output = Box<dyn Layer<Filtered> + Send + Sync>;

/// Begins to log.
pub(super) fn start(config: &Config) -> Result<Level> {
    let program = config.program_log;
    let (filter, handle) = reload::Layer::new(filter(config.log_level, program)?);
    let (output, complaint) = output(config.log_format);
    let layers = tracing_subscriber::registry().with(filter);
    layers.with(output).try_init().context("cannot begin to log")?;
    if let Some(complaint) = complaint {
        warn!("{complaint}");
    }
    Ok(Level { filter: handle, program })
}

impl Level {
    /// Logs what the configuration says, whenever that changes.
    pub(super) async fn follow(self, mut configuration: watch::Receiver<Arc<Config>>) {
        while configuration.changed().await.is_ok() {
            let level = configuration.borrow_and_update().log_level;
            let changed = filter(level, self.program).and_then(|filter| Ok(self.filter.reload(filter)?));
            if let Err(error) = changed {
                warn!("the log stays as it is: {error:#}");
            }
        }
    }
}

/// What the program itself logs comes under its crate's name and is shown whatever RUST_LOG says: it was asked for.
fn filter(level: LogLevel, program: ProgramLog) -> Result<EnvFilter> {
    let filter = EnvFilter::builder().with_default_directive(level.name().parse()?).from_env_lossy();
    Ok(filter.add_directive(format!("nat_ebpf={program}").parse()?))
}

/// Where the log goes, and what is wrong with where it should go.
fn output(format: LogFormat) -> (Output, Option<String>) {
    let mut complaint = None;
    if format == LogFormat::Auto && is_journal(env::var("JOURNAL_STREAM").ok().as_deref()) {
        match tracing_journald::layer() {
            Ok(journal) => return (Box::new(journal.with_syslog_identifier("eipgate".into())), None),
            Err(error) => complaint = Some(format!("the journal cannot be reached, so the log has no fields: {error}")),
        }
    }
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(io::stderr);
    let output: Output = match format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
        LogFormat::Auto | LogFormat::Text => Box::new(lines.with_ansi(io::stderr().is_terminal())),
    };
    (output, complaint)
}

/// Whether standard error is what systemd connected to the journal: a child that was given another one inherits the
/// variable all the same, which is why it names device and inode.
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    fstat(io::stderr().as_fd())
        .is_ok_and(|stderr| device.parse() == Ok(stderr.st_dev) && inode.parse() == Ok(stderr.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_standard_error_is_counts_as_the_journal() {
        let stderr = fstat(io::stderr().as_fd()).unwrap();
        let (device, inode) = (stderr.st_dev, stderr.st_ino);
        assert!(is_journal(Some(&format!("{device}:{inode}"))));
        assert!(!is_journal(Some(&format!("{device}:{}", inode + 1))));
        assert!(!is_journal(Some("8")));
        assert!(!is_journal(None));
    }
}
