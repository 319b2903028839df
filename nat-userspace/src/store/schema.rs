//! The database itself: its tables, what marks it as ours, and how it is opened.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, OpenFlags, Transaction};

use super::error::unreadable;
use super::{StoreError, details, history, ranges};

/// `eipg`: what `file` and we tell our databases from others by.
const APPLICATION: u32 = 0x6569_7067;
/// Of the database with every step made.
pub(super) const VERSION: u32 = 1 + STEPS.len() as u32;

/// Version 1, which stays as it is: the steps below lead on from it. An address is the number its four bytes are, first byte highest. Times are milliseconds since the Unix epoch.
///
/// The ledger keeps all rules. Those that the tables keep too cost little and are the ones whose breach would give an
/// address to two: one EIP an address, one ordinary public IP an address, one EIP an instance that exists.
pub(super) const TABLES: &str = "
CREATE TABLE instances (
    id             TEXT    NOT NULL PRIMARY KEY,
    account        TEXT    NOT NULL,
    vpc            TEXT    NOT NULL,
    private        INTEGER NOT NULL,
    name           TEXT,
    bandwidth_mbps INTEGER NOT NULL,
    charge_type    INTEGER NOT NULL,
    ordinary       INTEGER,
    last_ordinary  INTEGER,
    created_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX instances_by_ordinary ON instances (ordinary) WHERE ordinary IS NOT NULL;

CREATE TABLE eips (
    id         TEXT    NOT NULL PRIMARY KEY,
    account    TEXT    NOT NULL,
    address    INTEGER NOT NULL UNIQUE,
    name       TEXT,
    bound_to   TEXT    REFERENCES instances (id),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX eips_by_instance ON eips (bound_to) WHERE bound_to IS NOT NULL;

CREATE TABLE released (
    address INTEGER NOT NULL PRIMARY KEY,
    at_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE duplicates (
    address INTEGER NOT NULL PRIMARY KEY
) STRICT;
";

/// What leads from each version to the next, beginning with version 1. A step that was ever released stays as it is.
const STEPS: [&str; 5] = [LIFE, ranges::TABLES, history::STEP, details::STEP, details::RENEWALS];

/// Version 2: states, what was agreed, packages, quotas and client tokens. What was stored before runs, is paid for by the
/// hour, and has the least bandwidth where it is an EIP.
const LIFE: &str = "
CREATE TABLE packages (
    id             TEXT    NOT NULL PRIMARY KEY,
    account        TEXT    NOT NULL,
    name           TEXT,
    bandwidth_mbps INTEGER,
    created_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE instances ADD COLUMN state         INTEGER NOT NULL DEFAULT 2;
ALTER TABLE instances ADD COLUMN since_ms      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN owed          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN paid_until_ms INTEGER;
ALTER TABLE instances ADD COLUMN package       TEXT REFERENCES packages (id);
UPDATE instances SET since_ms = created_ms;

ALTER TABLE eips ADD COLUMN bandwidth_mbps INTEGER NOT NULL DEFAULT 1;
ALTER TABLE eips ADD COLUMN charge_type    INTEGER NOT NULL DEFAULT 2;
ALTER TABLE eips ADD COLUMN package        TEXT REFERENCES packages (id);
ALTER TABLE eips ADD COLUMN blocked        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE eips ADD COLUMN arrears        INTEGER NOT NULL DEFAULT 0;

CREATE INDEX instances_by_package ON instances (package) WHERE package IS NOT NULL;
CREATE INDEX eips_by_package ON eips (package) WHERE package IS NOT NULL;

CREATE TABLE days (
    account TEXT    NOT NULL,
    what    INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (account, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    account  TEXT    NOT NULL,
    token    TEXT    NOT NULL,
    request  TEXT    NOT NULL,
    instance TEXT,
    eip      TEXT,
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (account, token),
    CHECK ((instance IS NULL) <> (eip IS NULL))
) STRICT, WITHOUT ROWID;
";

/// How long a commit waits for somebody who looks into the database by hand.
const PATIENCE: Duration = Duration::from_secs(1);
/// Kilobytes of pages kept, so that a large import writes each page about once.
const CACHE_KB: u32 = 64 * 1024;
/// The log is cut to this after a large change has gone through it.
const LARGEST_IDLE_LOG: u32 = 16 * 1024 * 1024;

/// Makes an empty file a database without content, durable when this returns.
pub(super) fn fill(path: &Path) -> Result<(), Error> {
    let database = Connection::open_with_flags(path, WRITE)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(&format!(
        "BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {} COMMIT;",
        tables()
    ))?;
    // Closing moves the log into the file, so that its header alone says whose it is.
    database.close().map_err(|(_, error)| error)
}

const WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Opens it for commits that last.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, Error> {
    let database = Connection::open_with_flags(path, WRITE)?;
    database.busy_timeout(PATIENCE)?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "foreign_keys", true)?;
    database.pragma_update(None, "cache_size", -i64::from(CACHE_KB))?;
    // Answers with the limit it has set.
    database.pragma_update_and_check(None, "journal_size_limit", LARGEST_IDLE_LOG, |_| Ok(()))?;
    Ok(database)
}

/// Opens it without altering it. Where there is no log the file holds everything and is read as a file that does not
/// change; where there is one, it is read along and left as it is.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Error> {
    if log_of(path).metadata().is_ok_and(|log| log.len() > 0) {
        return open_beside_a_daemon(path);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{}?immutable=1", uri_path(path)), flags)
}

/// Opens it to be read while a daemon may be writing, by the protocol of its log. Neither log nor database is altered.
pub(super) fn open_beside_a_daemon(path: &Path) -> Result<Connection, Error> {
    let database = Connection::open_with_flags(path, WRITE)?;
    database.busy_timeout(PATIENCE)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(database)
}

/// The log beside a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Writes the whole log into the database, durably, and cuts it to nothing.
pub(super) fn empty_log(database: &Connection) -> Result<(), Error> {
    match database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))? {
        0 => Ok(()),
        // Somebody still reads what lies in it.
        _ => Err(Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)),
    }
}

fn uri_path(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    let encode = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    path.as_os_str().as_bytes().iter().map(encode).collect()
}

/// Refuses a file that is no database, or another program's, before SQLite gets to see it: SQLite would follow what
/// lies beside a database, and its repairs are changes.
pub(super) fn check_header(path: &Path) -> Result<(), StoreError> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let corrupt = |problem: &str| StoreError::Corrupt { path: path.to_owned(), problem: problem.to_owned() };
    let mut header = [0; 100];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(corrupt("it is too short for a database"));
        }
        Err(source) => return Err(StoreError::Io { action: "read", path: path.to_owned(), source }),
    }
    if !header.starts_with(MAGIC) {
        return Err(corrupt("it is no SQLite database"));
    }
    match u32::from_be_bytes([header[68], header[69], header[70], header[71]]) {
        APPLICATION => Ok(()),
        found => Err(StoreError::Foreign { path: path.to_owned(), found }),
    }
}

/// The version of a database that this program can use, perhaps after [`step_forward`].
pub(super) fn version(database: &Connection, path: &Path) -> Result<u32, StoreError> {
    let version = database.pragma_query_value(None, "user_version", |row| row.get(0));
    match version.map_err(|source| unreadable(path, &source))? {
        found @ 1..=VERSION => Ok(found),
        0 => Err(StoreError::Corrupt { path: path.to_owned(), problem: "format version 0 never existed".into() }),
        found => Err(StoreError::Newer { path: path.to_owned(), found }),
    }
}

/// Refuses a database of another version than this, for those who must not change it.
pub(super) fn check_version(database: &Connection, path: &Path) -> Result<(), StoreError> {
    match version(database, path)? {
        VERSION => Ok(()),
        found => Err(StoreError::Older { path: path.to_owned(), found }),
    }
}

/// The tables of this version.
pub(super) fn tables() -> String {
    [&[TABLES], STEPS.as_slice()].concat().concat()
}

/// Makes of a database of an earlier version one of this, as part of the transaction.
pub(super) fn step_forward(transaction: &Transaction<'_>, from: u32) -> Result<(), Error> {
    for step in STEPS.iter().skip(from as usize - 1) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)
}
