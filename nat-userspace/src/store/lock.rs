//! One daemon per state directory: an advisory lock that dies with its process, and says whose it is.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::StoreError;

const FILE: &str = "lock";
/// How long a lock is asked for again before it is believed to be held.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// Held until dropped. The file stays behind: removing it would let two daemons lock two files of one name.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    pub(super) fn take(directory: &Path) -> Result<Lock, StoreError> {
        let path = directory.join(FILE);
        let failed = |source| StoreError::Io { action: "lock", path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o640);
        // A daemon that was killed while it started a program shares the lock with that child until the child is up.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = options.open(&path).map_err(failed)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut file) => {
                    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
                    return Ok(Lock { _file: file });
                }
                Err((_, Errno::EWOULDBLOCK)) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err((_, Errno::EWOULDBLOCK)) => {
                    let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                    return Err(StoreError::Locked { directory: directory.to_owned(), pid });
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
    }
}
