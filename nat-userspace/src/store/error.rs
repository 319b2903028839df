//! Why the store cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Error, ErrorCode};
use thiserror::Error;

use super::schema::VERSION;

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
    /// The file is an SQLite database of another program.
    #[error("{} is another program's database (application id {found:#x}); nothing was changed: choose another state directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: u32,
    },
    /// The state was written by a later daemon.
    #[error("{} has format version {found}, but this eipgate knows versions 1 to {VERSION}; nothing was changed: run the eipgate that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The state was written by an earlier daemon, and only the start of one brings it forward.
    #[error("{} has format version {found}, and this eipgate's is {VERSION}; nothing was changed: start the daemon, which brings it forward", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The state was written by an earlier daemon in a format that is not read any more.
    #[error("{} is the state of an earlier eipgate, which this one does not read; nothing was changed: run the earlier one, or move the file away to start empty", path.display())]
    Former {
        /// The file.
        path: PathBuf,
    },
    /// There is no state to be copied.
    #[error("there is no state at {}; is the state directory right?", path.display())]
    Nothing {
        /// Where it would be.
        path: PathBuf,
    },
    /// A copy would replace something.
    #[error("{} exists already, and a backup replaces nothing; name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
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
    /// SQLite refused, and nothing was committed.
    #[error("cannot {action} {}: {source}", path.display())]
    Sql {
        /// What was attempted, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
    /// The change is in the log, but it could not be made durable: whether it is committed cannot be told.
    #[error("cannot make {} durable: {source}", path.display())]
    Uncertain {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
}

struct Pid(Option<u32>);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

/// What a commit that failed in its last step means. Where the disk is full or the database locked, the mark that
/// completes the transaction was never written. After any other failure, as of a sync, it may be in the log, and the
/// next start would find it there.
pub(super) fn at_commit(source: Error, path: PathBuf) -> StoreError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => StoreError::Sql { action: "write to", path, source },
        _ => StoreError::Uncertain { path, source },
    }
}

/// What a failure to read means: damage, unless the system did not let us.
pub(super) fn unreadable(path: &Path, source: &Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::DatabaseBusy) => {
            StoreError::Io { action: "read", path, source: io::Error::other(source.to_string()) }
        }
        _ => StoreError::Corrupt { path, problem: source.to_string() },
    }
}
