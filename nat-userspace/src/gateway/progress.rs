//! How far a large change is, for whoever waits for it.

/// A moment of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How much of `total` is done.
    pub done: usize,
    /// 0 where the stage is one step.
    pub total: usize,
}

/// The steps of a change, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The ledger looks whether it can be.
    Deciding,
    /// The store makes it durable.
    Committing,
    /// The maps get it.
    Writing,
}

impl Stage {
    /// At its beginning.
    pub fn begun(self) -> Progress {
        Progress { stage: self, done: 0, total: 0 }
    }
}

/// Who is told.
pub type Listener<'a> = &'a mut dyn FnMut(Progress);
