//! A copy of the committed state, made while a daemon goes on committing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{STATE, StoreError, check, read, schema};
use crate::address::Snapshot;

/// Writes what is committed in a state directory at one moment into a file that must not exist yet, reads it back and
/// answers with it. The file is a state as a daemon keeps it: under the name `state.db` in a directory of its own, the
/// next one starts on it. Whatever fails, nothing of that name is left.
///
/// # Errors
/// There is nothing to copy, the file exists, or one of the two cannot be read or written.
pub fn backup(directory: &Path, to: &Path) -> Result<Snapshot, StoreError> {
    let state = directory.join(STATE);
    if !state.exists() {
        return Err(StoreError::Nothing { path: state });
    }
    if to.symlink_metadata().is_ok() {
        return Err(StoreError::Exists { path: to.to_owned() });
    }
    schema::check_header(&state)?;
    let part = beside(to);
    let made = copy(&state, &part).and_then(|snapshot| put_in_place(&part, to).map(|()| snapshot));
    if made.is_err() {
        // The failure that is told came first.
        let _ = fs::remove_file(&part);
    }
    made
}

/// Where the copy is made until it is whole: in the same directory, so that it can be renamed.
fn beside(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    to.with_file_name(name)
}

fn copy(state: &Path, part: &Path) -> Result<Snapshot, StoreError> {
    let io = |action| move |source| StoreError::Io { action, path: part.to_owned(), source };
    let sql = |action| move |source| StoreError::Sql { action, path: part.to_owned(), source };
    // An earlier one may have been killed.
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove")(error)),
        _ => {}
    }
    // SQLite accepts an empty file, and keeps its mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(io("create"))?;
    let name = part.to_str().ok_or_else(|| io("create")(io::Error::other("its name is not UTF-8")))?;
    let source = schema::open_beside_a_daemon(state).map_err(|source| super::unreadable(state, &source))?;
    schema::check_version(&source, state)?;
    source.execute("VACUUM INTO ?", [name]).map_err(sql("copy the state to"))?;

    let copied = schema::open_to_write(part).map_err(sql("open"))?;
    // The header of a copy does not say that there is to be a log.
    copied.pragma_update(None, "journal_mode", "WAL").map_err(sql("write to"))?;
    if let Some(problem) = check::integrity(&copied).map_err(sql("read"))?.pop() {
        return Err(StoreError::Corrupt { path: part.to_owned(), problem });
    }
    let snapshot = read::snapshot(&copied, Some(|| schema::open_to_read(part))).map_err(|problem| problem.at(part))?;
    copied.close().map_err(|(_, source)| sql("close")(source))?;
    File::open(part).and_then(|file| file.sync_all()).map_err(io("sync"))?;
    Ok(snapshot)
}

fn put_in_place(part: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |action, source| StoreError::Io { action, path: to.to_owned(), source };
    match renameat2(AT_FDCWD, part, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => {}
        Err(nix::errno::Errno::EEXIST) => return Err(StoreError::Exists { path: to.to_owned() }),
        Err(errno) => return Err(failed("make", errno.into())),
    }
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| failed("sync the directory of", source))
}
