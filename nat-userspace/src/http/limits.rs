//! What a listener allows its clients.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};

/// What a listener allows its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time. Never more than a quarter of the files that this process may have open, so that store,
    /// maps and the other listeners go on whatever happens here.
    pub connections: usize,
    /// Time for a request's head, counted from the connection's beginning or the answer before.
    pub head: Duration,
    /// Time for a request's body.
    pub body: Duration,
    /// Time for all requests of one connection; the answer under way is finished.
    pub connection: Duration,
    /// Bytes of a head, at least 8192.
    pub head_bytes: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 512,
            head: Duration::from_secs(15),
            body: Duration::from_secs(15),
            connection: Duration::from_secs(600),
            head_bytes: 32 << 10,
            body_bytes: 256 << 10,
        }
    }
}

impl Limits {
    /// As many connections as may really be had.
    pub(super) fn places(&self) -> usize {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let share = usize::try_from(files / 4).unwrap_or(usize::MAX);
        self.connections.min(share).max(1)
    }
}
