//! Work that panics on the gateway's task. It ends alone: who asked for it is told, and the gateway serves on.
//!
//! A panic before a change is begun, or after it is in effect, has touched nothing. One in the middle leaves the ledger or
//! the maps with a part of it, so the ledger becomes again what is stored, and the maps follow. The store itself has all
//! of the change or nothing of it, since its transaction is rolled back where it is left without being committed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::anyhow;
use thiserror::Error;
use tracing::error;

use super::{Gateway, GatewayError, PacketPath};

/// What a panic said.
#[derive(Debug, Error)]
#[error("work for the gateway ended in a defect: {0}")]
pub struct Panicked(String);

impl From<Box<dyn Any + Send>> for Panicked {
    fn from(said: Box<dyn Any + Send>) -> Self {
        let text = said.downcast_ref::<String>().cloned();
        let text = text.or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Panicked(text.unwrap_or_else(|| "it does not say why".to_owned()))
    }
}

/// Does the work, and answers what it said where it panicked. What it was doing to anything outside of it then has to be
/// looked at by the caller.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(Panicked::from)
}

impl<P: PacketPath> Gateway<P> {
    /// Does a part of a change, after which ledger, store and maps agree, also where it panics.
    pub(super) fn attempt(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<(), GatewayError>,
    ) -> Result<(), GatewayError> {
        self.midway = true;
        let done = guarded(|| part(self));
        let done = done.unwrap_or_else(|panicked| {
            self.recover(&panicked);
            Err(GatewayError::Defect)
        });
        self.midway = false;
        done
    }

    /// Makes ledger and maps what is stored, if a change was left in the middle.
    pub(super) fn recover(&mut self, panicked: &Panicked) {
        error!("{panicked}");
        if self.midway {
            self.restore_ledger();
            self.follow_restored();
        }
    }

    /// After the ledger was restored: which of its hosts the maps show otherwise is not known.
    pub(super) fn follow_restored(&mut self) {
        self.midway = false;
        if self.lost.is_none() {
            self.mark_dirty(&anyhow!("a change was broken off by a defect"));
            self.reconcile();
        }
    }
}
