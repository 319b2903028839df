//! Durable truth: the ledger's content in one JSON file, replaced whole on every commit.
//!
//! A commit writes the new content beside the old, makes it durable and renames it into place, so that a crash at any
//! moment leaves one or the other in full. That costs time in proportion to the ledger, which is the price of having
//! nothing to recover: the file is the state. The directory is locked while a daemon has it open.

mod document;
mod lock;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::address::Snapshot;

use self::lock::Lock;

const STATE: &str = "state.json";
const NEXT: &str = "state.json.new";

/// The state directory, held by this process alone.
#[derive(Debug)]
pub struct Store {
    state: PathBuf,
    next: PathBuf,
    directory: File,
    _lock: Lock,
}

impl Store {
    /// Locks the directory, making it where it is missing, and reads in full what was committed last. Nothing in an
    /// existing directory is changed.
    pub fn open(directory: &Path) -> Result<(Store, Snapshot), StoreError> {
        let failed = |action| move |source| StoreError::Io { action, path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(failed("create"))?;
        let lock = Lock::take(directory)?;
        let store = Store {
            state: directory.join(STATE),
            next: directory.join(NEXT),
            directory: File::open(directory).map_err(failed("open"))?,
            _lock: lock,
        };
        let snapshot = store.load()?;
        Ok((store, snapshot))
    }

    /// The file that holds the state.
    pub fn path(&self) -> &Path {
        &self.state
    }

    /// Makes this content the committed one. After an error the earlier one still is, unless the error is
    /// [`StoreError::Uncertain`].
    pub fn commit(&mut self, content: &Snapshot) -> Result<(), StoreError> {
        let mut text = document::write(content);
        text.push(b'\n');
        self.write_next(&text).map_err(|source| StoreError::Io { action: "write", path: self.next.clone(), source })?;
        fs::rename(&self.next, &self.state).map_err(|source| StoreError::Io {
            action: "replace",
            path: self.state.clone(),
            source,
        })?;
        self.directory.sync_all().map_err(|source| StoreError::Uncertain { path: self.state.clone(), source })
    }

    fn write_next(&self, text: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.next)?;
        file.write_all(text)?;
        file.sync_all()
    }

    fn load(&self) -> Result<Snapshot, StoreError> {
        match fs::read(&self.state) {
            Ok(text) => document::read(&text).map_err(|problem| problem.at(&self.state)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Snapshot::default()),
            Err(source) => Err(StoreError::Io { action: "read", path: self.state.clone(), source }),
        }
    }
}

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another daemon holds the directory.
    #[error("another eipgate{} already runs on {}; stop it, or give this one its own state directory", Pid(*pid), directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The other daemon, where it says so.
        pid: Option<u32>,
    },
    /// The state is not what a daemon wrote.
    #[error("{} is damaged ({problem}); nothing was changed: bring back a good copy, or move it away to start empty", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The state was written by a later daemon.
    #[error("{} has format version {found}, but this eipgate knows version {known} only; nothing was changed: run the eipgate that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The system refused, and nothing was committed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The new state is in place, but may not outlive a power failure: whether it is committed cannot be told.
    #[error("cannot make {} durable: {source}", path.display())]
    Uncertain {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

struct Pid(Option<u32>);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}
