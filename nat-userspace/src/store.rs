//! Durable truth: the ledger's content in one SQLite database, of which a commit writes what changed.
//!
//! A commit is one transaction in a write-ahead log that is synced before the commit is believed, so that a crash at any
//! moment leaves all of a change or nothing of it. The directory is locked while a daemon has it open.
//!
//! Opening reads and writes nothing but the lock, unless the database is of an earlier version: the database is made, or opened for writing, by the first commit. A
//! daemon that was killed leaves a log with changes that are not in the database file yet; SQLite then makes its index
//! of that log (`state.db-shm`) anew to read it, and neither the log nor the database is altered.

mod backup;
mod check;
mod details;
mod error;
mod history;
mod lock;
mod ranges;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rusqlite::{Connection, TransactionBehavior};
use tracing::info;

use crate::address::{Change, Snapshot, Time};

pub use self::backup::backup;
pub use self::check::{Examined, examine};
pub use self::error::StoreError;
use self::error::{at_commit, unreadable};
pub use self::history::{History, Reader};
use self::lock::Lock;

const STATE: &str = "state.db";
/// Where a new database is put together until it is whole.
const NEXT: &str = "state.db.new";
/// What kept the state before there was a database.
const FORMER: &str = "state.json";

/// The state directory, held by this process alone.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    state: PathBuf,
    /// Opened by the first commit.
    writer: Option<Connection>,
    _lock: Lock,
}

impl Store {
    /// Locks the directory, making it where it is missing, and reads in full what was committed last. Nothing that is
    /// committed in an existing directory is changed, unless it is of an earlier version: see [`Store::load`].
    ///
    /// # Errors
    /// Another daemon holds the directory, or its state is damaged, of a later version, or not this program's.
    pub fn open(directory: &Path) -> Result<(Store, Snapshot), StoreError> {
        let store = Store::lock(directory)?;
        let snapshot = store.load()?;
        Ok((store, snapshot))
    }

    /// The first half of [`Store::open`]: locks the directory, making it where it is missing.
    ///
    /// # Errors
    /// Another daemon holds the directory.
    pub fn lock(directory: &Path) -> Result<Store, StoreError> {
        let failed = |source| StoreError::Io { action: "create", path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(failed)?;
        let lock = Lock::take(directory)?;
        let (directory, state) = (directory.to_owned(), directory.join(STATE));
        Ok(Store { directory, state, writer: None, _lock: lock })
    }

    /// The file that holds the state. It exists once something has been committed.
    pub fn path(&self) -> &Path {
        &self.state
    }

    /// Makes a change part of the committed state, in full and durably. After an error nothing of it is, unless the
    /// error is [`StoreError::Uncertain`].
    ///
    /// # Errors
    /// The system or SQLite refused, or the change contradicts what is stored.
    pub fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        self.commit_all([change])
    }

    /// As [`Store::commit`], for several changes in their order, which share one flush: all of them or none.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_all<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) -> Result<(), StoreError> {
        let path = self.state.clone();
        let failed = |source| StoreError::Sql { action: "write to", path: path.clone(), source };
        let writer = self.writer()?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        changes.into_iter().try_for_each(|change| write::change(&transaction, change)).map_err(failed)?;
        transaction.commit().map_err(|source| at_commit(source, path.clone()))
    }

    /// What follows [`StoreError::Uncertain`]: closes the database, checks what the disk really has of it, and writes the
    /// log into it by flushes of their own. Only then may more be committed. Reads in full what came of it.
    ///
    /// A flush that failed is never repeated: the system forgets the failure with the pages it was about, and the second
    /// flush would succeed without them.
    ///
    /// # Errors
    /// What is there is damaged, or the disk still fails. It may be tried again.
    pub fn reopen(&mut self) -> Result<Snapshot, StoreError> {
        self.writer = None;
        if !self.state.exists() {
            return self.load();
        }
        for file in [&self.state, &schema::log_of(&self.state)] {
            forget_cached(file)?;
        }
        schema::check_header(&self.state)?;
        let writer = schema::open_to_write(&self.state).map_err(|source| unreadable(&self.state, &source))?;
        schema::check_version(&writer, &self.state)?;
        if let Some(problem) = check::integrity(&writer).map_err(|source| unreadable(&self.state, &source))?.pop() {
            return Err(StoreError::Corrupt { path: self.state.clone(), problem });
        }
        schema::empty_log(&writer).map_err(|source| self.failed("flush", source))?;
        let snapshot = self.load()?;
        self.writer = Some(writer);
        Ok(snapshot)
    }

    fn failed(&self, action: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Sql { action, path: self.state.clone(), source }
    }

    /// What has happened, to be read beside this.
    pub fn history(&self) -> History {
        History::new(self.state.clone())
    }

    /// Gives up a stretch of the history before a moment: see `eipgate history prune`. Answers how many events went, and
    /// where to go on, or `None` at the end.
    ///
    /// # Errors
    /// The system or SQLite refused.
    pub fn prune(&mut self, cursor: u64, before: Time, now: Time) -> Result<(usize, Option<u64>), StoreError> {
        let path = self.state.clone();
        let failed = |source| StoreError::Sql { action: "prune the history in", path: path.clone(), source };
        if !path.exists() {
            return Ok((0, None));
        }
        let transaction = self.writer()?.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let pruned = history::prune(&transaction, cursor, before, now).map_err(failed)?;
        transaction.commit().map_err(|source| at_commit(source, path.clone()))?;
        Ok(pruned)
    }

    fn writer(&mut self) -> Result<&mut Connection, StoreError> {
        if self.writer.is_none() {
            if !self.state.exists() {
                self.create()?;
            }
            self.writer = Some(schema::open_to_write(&self.state).map_err(|source| self.failed("open", source))?);
        }
        Ok(self.writer.as_mut().expect("made above"))
    }

    /// Makes an empty database. It is put in place whole, so that a crash leaves none or one that can be used.
    fn create(&self) -> Result<(), StoreError> {
        let next = self.directory.join(NEXT);
        let failed = |action| move |source| StoreError::Io { action, path: self.directory.join(NEXT), source };
        // A crash may have left one that is not whole.
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next).map_err(failed("create"))?;
        schema::fill(&next).map_err(|source| StoreError::Sql { action: "create", path: next.clone(), source })?;
        fs::rename(&next, &self.state).map_err(failed("rename"))?;
        let directory = File::open(&self.directory).map_err(failed("open the directory of"))?;
        directory.sync_all().map_err(failed("sync the directory of"))
    }

    /// The second half: reads in full what was committed last. A state of an earlier version is brought up to this one, if
    /// it can be read in full and not otherwise; only then is anything written.
    ///
    /// # Errors
    /// The state is damaged, of a later version, or not this program's.
    pub fn load(&self) -> Result<Snapshot, StoreError> {
        if !self.state.exists() {
            let former = self.directory.join(FORMER);
            return if former.exists() { Err(StoreError::Former { path: former }) } else { Ok(Snapshot::default()) };
        }
        schema::check_header(&self.state)?;
        let reader = schema::open_to_read(&self.state).map_err(|source| unreadable(&self.state, &source))?;
        let version = schema::version(&reader, &self.state)?;
        if version < schema::VERSION {
            drop(reader);
            return self.load_and_step_forward(version);
        }
        let another = || schema::open_to_read(&self.state);
        read::snapshot(&reader, Some(another)).map_err(|problem| problem.at(&self.state))
    }

    fn load_and_step_forward(&self, version: u32) -> Result<Snapshot, StoreError> {
        let failed = |source| StoreError::Sql { action: "bring to this version", path: self.state.clone(), source };
        let mut writer = schema::open_to_write(&self.state).map_err(failed)?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        schema::step_forward(&transaction, version).map_err(|source| unreadable(&self.state, &source))?;
        // Another reader would not see what is not committed yet.
        let alone: Option<fn() -> Result<Connection, rusqlite::Error>> = None;
        let snapshot = read::snapshot(&transaction, alone).map_err(|problem| problem.at(&self.state))?;
        transaction.commit().map_err(|source| at_commit(source, self.state.clone()))?;
        info!("{} was of format version {version} and is of version {} now", self.state.display(), schema::VERSION);
        Ok(snapshot)
    }
}

/// Makes the next reader ask the disk: after a failed flush the system's copy may be all there is.
fn forget_cached(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { action: "read", path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => {
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(|errno| failed(errno.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
