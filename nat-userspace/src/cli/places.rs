//! Where commands look without the daemon: where the command line says, else where its configuration says.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::config::{self, DEFAULT_SOCKET};

/// The places of the daemon's configuration, or why they are not known: who names every place needs no configuration.
#[derive(Debug)]
pub(super) struct Places {
    /// The file was named on the command line.
    named: bool,
    configured: Result<config::Places>,
}

impl Places {
    pub(super) fn of(file: Option<&Path>) -> Places {
        Places { named: file.is_some(), configured: config::Places::read(file) }
    }

    pub(super) fn socket(&self, given: Option<PathBuf>) -> Result<PathBuf> {
        match &self.configured {
            // Whoever may use the socket need not be one who may read the configuration.
            Err(_) if !self.named => Ok(given.unwrap_or_else(|| DEFAULT_SOCKET.into())),
            _ => self.place(given.as_deref(), |places| &places.socket),
        }
    }

    pub(super) fn bpf_dir(&self, given: Option<&Path>) -> Result<PathBuf> {
        self.place(given, |places| &places.bpf_dir)
    }

    pub(super) fn state_dir(&self, given: Option<&Path>) -> Result<PathBuf> {
        self.place(given, |places| &places.state_dir)
    }

    fn place(&self, given: Option<&Path>, of: fn(&config::Places) -> &PathBuf) -> Result<PathBuf> {
        match (given, &self.configured) {
            (Some(given), _) => Ok(given.to_owned()),
            (None, Ok(places)) => Ok(of(places).clone()),
            (None, Err(error)) => {
                Err(anyhow!("{error:#}; mend it, or say where things are with --socket, --bpf-dir and --state-dir"))
            }
        }
    }
}
