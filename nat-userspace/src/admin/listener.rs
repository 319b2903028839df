//! The socket file: made so that nobody connects before its mode and group are set, replaced only when nobody answers.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Group;

use crate::config::Config;

/// A bound socket, whose file goes away with it.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    path: PathBuf,
    /// Pairs that an import may have.
    pub(super) most_pairs: usize,
    /// Device and inode: a file that another daemon put in its place is not ours to remove.
    identity: (u64, u64),
}

impl Listener {
    /// Binds the configured socket. Connections wait until they are served.
    pub fn bind(config: &Config) -> Result<Listener> {
        let path = &config.socket;
        let group = config.socket_group.as_deref().map(group_id).transpose()?;
        clear_the_way(path)?;
        let parent = path.parent().context("a socket has a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;

        // Bound inside a directory of our own and moved only when its mode is set.
        let private = parent.join(format!(".eipgate-{}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&private)
            .with_context(|| format!("cannot create {}", private.display()))?;
        let bound = bind_within(&private, path, group, config.socket_mode);
        let _ = fs::remove_dir_all(&private);
        let socket = bound.with_context(|| format!("cannot make the socket {}", path.display()))?;
        let made = fs::symlink_metadata(path)?;
        let most_pairs = config.max_pairs as usize;
        Ok(Listener { socket, path: path.clone(), most_pairs, identity: (made.dev(), made.ino()) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let present = fs::symlink_metadata(&self.path).map(|present| (present.dev(), present.ino()));
        if present.is_ok_and(|present| present == self.identity) {
            // Nothing is left to do about a file that does not go away.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_within(private: &Path, path: &Path, group: Option<u32>, mode: u32) -> Result<UnixListener> {
    let hidden = private.join("s");
    let socket = UnixListener::bind(&hidden)?;
    if let Some(group) = group {
        chown(&hidden, None, Some(group)).context("cannot give it to its group")?;
    }
    fs::set_permissions(&hidden, Permissions::from_mode(mode))?;
    fs::rename(&hidden, path)?;
    Ok(socket)
}

fn group_id(name: &str) -> Result<u32> {
    let group = Group::from_name(name).with_context(|| format!("cannot look up the group {name:?} of the socket"))?;
    Ok(group
        .ok_or_else(|| anyhow!("there is no group {name:?} to give the socket to; create it or change socket_group"))?
        .gid
        .as_raw())
}

/// Leaves nothing at `path`, or says why that cannot be.
fn clear_the_way(path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("cannot look at {shown}: {error}"),
        Ok(found) => ensure!(found.file_type().is_socket(), "{shown} is not a socket and is left alone; move it away"),
    }
    match UnixStream::connect(path) {
        Ok(other) => {
            let pid = getsockopt(&other, PeerCredentials).map(|credentials| credentials.pid());
            let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            bail!("another eipgate{pid} already answers on {shown}; stop it, or give this one its own socket")
        }
        // Nobody answers: a daemon that died left it behind.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("cannot remove the stale socket {shown}"))
        }
        Err(error) => bail!("cannot tell whether a daemon answers on {shown}: {error}"),
    }
}
