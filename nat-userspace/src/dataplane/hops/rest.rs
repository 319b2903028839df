//! Grace periods, one at a time, each waited for by a thread of its own.

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::super::sys;

/// Grace periods are numbered; what was doubted in one that is over can be written.
pub type Epoch = u64;

/// Which grace period packets begin in, and which are over.
pub struct Rest {
    now: Epoch,
    over: watch::Sender<Epoch>,
    /// The thread that waits for the end of the one before.
    waiting: Option<JoinHandle<()>>,
}

impl Rest {
    /// Of packets that began earlier nothing is known.
    pub fn new() -> Rest {
        Rest { now: 1, over: watch::Sender::new(0), waiting: None }
    }

    /// The one in which packets begin now.
    pub fn now(&self) -> Epoch {
        self.now
    }

    /// Whether no packet is on its way any more that began in it.
    pub fn is_over(&self, epoch: Epoch) -> bool {
        epoch <= *self.over.borrow()
    }

    /// Has the present one be waited for, unless the one before still is.
    pub fn begin(&mut self) {
        // A thread that was not run to its end has waited for nothing.
        let under_way = self.waiting.as_ref().is_some_and(|waiting| !waiting.is_finished());
        if under_way && !self.is_over(self.now - 1) {
            return;
        }
        let (ending, over) = (self.now, self.over.clone());
        self.now += 1;
        self.waiting = Some(spawn_blocking(move || {
            sys::grace_period();
            over.send_replace(ending);
        }));
    }

    /// Tells of each that is over.
    pub fn ends(&self) -> watch::Receiver<Epoch> {
        self.over.subscribe()
    }
}
