//! Changes that share a flush, because they arrived while another was under way.
//!
//! Each is decided on top of those before it, so the ledger is ahead of the store while a group is put together. Nobody
//! sees that: reads wait until the group is settled, every answer waits for the flush, and where it fails the ledger
//! becomes again what is stored.

use std::mem::take;
use std::time::Instant;

use tracing::error;

use crate::address::{Change, Ledger};
use crate::store::StoreError;

use super::handle::{Answering, Job};
use super::hosts::{Earlier, Touched};
use super::{Gateway, GatewayError, PacketPath, tell};

/// Changes decided and not yet committed.
#[derive(Default)]
pub(super) struct Group {
    changes: Vec<Decided>,
}

struct Decided {
    change: Change,
    /// The hosts it has made different.
    touched: Touched,
    began: Instant,
}

impl Group {
    pub(super) fn join(&mut self, change: &Change, ledger: &mut Ledger, began: Instant) {
        let earlier = Earlier::to(change, ledger);
        ledger.apply(change);
        self.changes.push(Decided { change: change.clone(), touched: earlier.touched(ledger), began });
    }
}

/// How the ledger stands to a group that is to be settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// It shows the group's changes and no others.
    ByTheGroup,
    /// It also shows changes that come to nothing, or half of one.
    ByMore,
}

impl<P: PacketPath> Gateway<P> {
    /// Does what has arrived: changes first, by one flush, and then what wants to be alone.
    pub(super) fn serve(&mut self, jobs: impl Iterator<Item = Job>) {
        let (mut shared, mut alone) = (Vec::new(), Vec::new());
        for job in jobs {
            match job {
                Job::Shared(job) => shared.push(job),
                Job::Alone(job) => alone.push(job),
            }
        }
        if shared.len() > 1 && !self.one_by_one {
            let mut group = Group::default();
            let mut answers: Vec<(Answering, usize)> = Vec::with_capacity(shared.len());
            for job in shared {
                let before = group.changes.len();
                self.group = Some(group);
                let done = job(self);
                group = self.group.take().unwrap_or_default();
                match done {
                    Ok(answering) => answers.push((answering, group.changes.len() - before)),
                    Err(panicked) if self.midway || group.changes.len() > before => {
                        error!("{panicked}");
                        group.changes.truncate(before);
                        self.settle(take(&mut group), take(&mut answers), Ahead::ByMore);
                    }
                    Err(panicked) => error!("{panicked}"),
                }
                if self.lost.is_some() {
                    return;
                }
            }
            self.settle(group, answers, Ahead::ByTheGroup);
        } else {
            for job in shared {
                match job(self) {
                    Ok(answer) => answer(Ok(())),
                    Err(panicked) => self.recover(&panicked),
                }
            }
        }
        for job in alone {
            // What is not known to be stored is shown to nobody.
            if self.lost.is_some() {
                return;
            }
            if let Err(panicked) = job(self) {
                self.recover(&panicked);
            }
        }
    }

    /// Commits a group, brings its changes into effect in their order, and answers each with what became of its own.
    fn settle(&mut self, group: Group, answers: Vec<(Answering, usize)>, ahead: Ahead) {
        let committed = match group.changes.as_slice() {
            [] => Ok(()),
            changes => self.attempt(|gateway| gateway.commit(changes.iter().map(|decided| &decided.change))),
        };
        if committed.is_err() || ahead == Ahead::ByMore {
            self.restore_ledger();
        }
        if ahead == Ahead::ByMore {
            self.follow_restored();
        }
        if let Err(failure) = committed {
            return answers.into_iter().for_each(|(answer, _)| answer(Err(failure.clone())));
        }
        let mut changes = group.changes.into_iter();
        for (answer, own) in answers {
            let mut fate: Result<(), GatewayError> = Ok(());
            for Decided { change, touched, began } in changes.by_ref().take(own) {
                tell(&change);
                fate = fate.and(self.attempt(|gateway| gateway.write_maps(&touched, &mut |_| {})));
                self.tally.effects.observe(began.elapsed());
            }
            answer(fate);
        }
    }

    /// Makes the ledger what is stored, where it shows changes of which nothing is.
    pub(super) fn restore_ledger(&mut self) {
        match self.store.load().map_err(anyhow::Error::from).and_then(|snapshot| self.restored(snapshot)) {
            Ok(ledger) => {
                self.ledger = ledger;
                let now = self.outside.now();
                self.ledger.nothing_released_after(now);
            }
            Err(failure) => {
                error!("what is stored cannot be read back: {failure:#}");
                let path = self.store.path().to_owned();
                self.lost = Some(StoreError::Corrupt { path, problem: format!("{failure:#}") });
            }
        }
    }
}
