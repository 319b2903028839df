//! Where a daemon keeps things, for commands that look there without it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use serde::Deserialize;

use super::{DEFAULT_BPF_DIR, DEFAULT_FILE, DEFAULT_SOCKET, DEFAULT_STATE_DIR, file};

/// The places that a configuration names. What else is in it is not judged: a mistake elsewhere must keep nobody from
/// looking at a gateway or from taking it off.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Places {
    /// The durable state.
    pub state_dir: PathBuf,
    /// Pinned programs and maps.
    pub bpf_dir: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Places { state_dir: DEFAULT_STATE_DIR.into(), bpf_dir: DEFAULT_BPF_DIR.into(), socket: DEFAULT_SOCKET.into() }
    }
}

impl Places {
    /// What the file says, or the usual one where there is any.
    ///
    /// # Errors
    /// A file that cannot be read, is not TOML, or names a place that is not a text.
    pub fn read(file: Option<&Path>) -> Result<Places> {
        let default = Path::new(DEFAULT_FILE);
        let Some(path) = file.or_else(|| default.exists().then_some(default)) else { return Ok(Places::default()) };
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the configuration {}", path.display()))?;
        toml::from_str(&text).map_err(|error| {
            let (line, problem) = file::located(&text, &error);
            anyhow!("{}:{line}: {problem}", path.display())
        })
    }
}
