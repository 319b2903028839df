//! How edges reach the gateway's task: they send it jobs, which it does one after the other.

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::address::{Change, Command, EipId, InstanceId, Ledger, Time};

use super::{GatewayError, Status};

/// Requests that wait while one is served.
const QUEUE: usize = 64;

/// What a job may do. No map is within its reach (invariant 9).
pub trait Operations {
    /// The committed state.
    fn ledger(&self) -> &Ledger;

    /// The present moment.
    fn now(&mut self) -> Time;

    /// An id that no instance has.
    fn new_instance_id(&mut self) -> InstanceId;

    /// An id that no EIP has.
    fn new_eip_id(&mut self) -> EipId;

    /// Makes a change, durable and in effect on the next packet when this returns.
    fn perform(&mut self, command: Command) -> Result<Change, GatewayError>;

    /// How the gateway is.
    fn status(&mut self) -> Status;
}

/// Work for the gateway's task.
pub type Job = Box<dyn FnOnce(&mut dyn Operations) + Send>;

/// A way to the gateway's task, for as many as want one.
#[derive(Clone)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
}

impl Handle {
    /// A handle, and the end that the gateway serves.
    pub fn new() -> (Handle, mpsc::Receiver<Job>) {
        let (jobs, served) = mpsc::channel(QUEUE);
        (Handle { jobs }, served)
    }

    /// Has the work done with nothing else in between, and waits for what comes of it. Once begun it is done, whether
    /// or not anybody still waits.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Operations) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |operations| {
            // The one who asked may have gone.
            let _ = answer.send(work(operations));
        });
        self.jobs.send(job).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

/// The gateway no longer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the gateway is stopping")]
pub struct Stopped;
