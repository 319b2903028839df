//! How edges reach the gateway's task: they send it jobs, which it does one after the other.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::address::{Change, Command, EipId, InstanceId, Ledger, PackageId, Prefix, Time, VpcId};
use crate::store::History;

use super::defect::{Panicked, guarded};
use super::progress::Listener;
use super::{GatewayError, Meter, Reloaded, Status, Vitals};

/// Requests that wait while others are served; as many changes may share a flush.
pub(super) const QUEUE: usize = 256;

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

    /// An id that no package has.
    fn new_package_id(&mut self) -> PackageId;

    /// So many ids that no instance has, ascending: what is stored in the order of its ids is stored fastest.
    fn new_instance_ids(&mut self, count: usize) -> Vec<InstanceId>;

    /// So many ids that no EIP has, ascending.
    fn new_eip_ids(&mut self, count: usize) -> Vec<EipId>;

    /// The VPCs that there are, ascending.
    fn vpcs(&self) -> Vec<VpcId>;

    /// The ranges of private addresses that are configured for a VPC.
    fn private_ranges(&self, vpc: &VpcId) -> Vec<Prefix>;

    /// So many private addresses that no instance of the VPC carries, for instances that ask for none in particular.
    fn private_addresses(&mut self, vpc: &VpcId, count: usize) -> Result<Vec<Ipv4Addr>, GatewayError>;

    /// Makes a change. It is durable and in effect on the next packet when this returns, or, within
    /// [`Handle::change`], when that does.
    fn perform(&mut self, command: Command) -> Result<Change, GatewayError> {
        self.perform_telling(command, &mut |_| {})
    }

    /// As [`Operations::perform`], and tells on the way how far it is.
    fn perform_telling(&mut self, command: Command, listener: Listener<'_>) -> Result<Change, GatewayError>;

    /// The command that adds this range, as the host's network is now.
    fn pool_addition(&self, prefix: Prefix, allow_reserved: bool) -> Result<Command, GatewayError>;

    /// What has happened, to be read beside the gateway's task.
    fn past(&self) -> Past;

    /// Gives up a stretch of the history: how many events went, and where to go on, or `None` at the end.
    fn prune_history(&mut self, cursor: u64, before: Time) -> Result<(usize, Option<u64>), GatewayError>;

    /// Whether the change would be made now, or why not. Changes nothing.
    fn check(&mut self, command: Command) -> Result<(), GatewayError>;

    /// Tells the links that these public addresses are here, so many a second; answers how many are on a link.
    fn announce(&mut self, addresses: &[Ipv4Addr], per_second: u32) -> usize;

    /// How the gateway is.
    fn status(&mut self) -> Status;

    /// Reads the configuration again. Where it is wrong, or the packet path does not take it, the one in effect stays.
    fn reload(&mut self) -> Result<Reloaded, GatewayError>;

    /// The gateway in figures, at times those of a moment ago; see there for what that spares.
    fn vitals(&mut self) -> Arc<Vitals>;

    /// The MAC address of an instance, where the host knows it as a neighbour.
    fn mac(&self, vpc: &VpcId, private: Ipv4Addr) -> Option<[u8; 6]>;

    /// What reads the kernel's counters.
    fn meter(&self) -> Arc<dyn Meter>;
}

/// The history, and word of each commit.
pub struct Past {
    /// What has happened.
    pub history: History,
    /// Changes with each commit.
    pub commits: watch::Receiver<()>,
}

/// What a job does. Where it panics, the one who asked has been told so.
type Work<T> = Box<dyn FnOnce(&mut dyn Operations) -> Result<T, Panicked> + Send>;

/// Work for the gateway's task.
pub enum Job {
    /// Answered when it is done.
    Alone(Work<()>),
    /// Its changes may share a flush with those of others, and it is answered only after that.
    Shared(Work<Answering>),
}

/// Gives the answer, once it is known what became of the changes.
pub type Answering = Box<dyn FnOnce(Result<(), GatewayError>) + Send>;

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
    ) -> Result<T, GatewayError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Alone(Box::new(move |operations| {
            let (done, panicked) = match guarded(|| work(operations)) {
                Ok(done) => (Ok(done), Ok(())),
                Err(panicked) => (Err(GatewayError::Defect), Err(panicked)),
            };
            // The one who asked may have gone.
            let _ = answer.send(done);
            panicked
        }));
        self.jobs.send(job).await.map_err(|_| GatewayError::Stopping)?;
        answered.await.unwrap_or(Err(GatewayError::Stopping))
    }

    /// As [`Handle::ask`], for work that makes changes. Others may come in between its end and its answer, which is
    /// given when its changes are durable and in effect; where they cannot be, that is the answer.
    pub async fn change<T: Send + 'static, E: From<GatewayError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Operations) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, GatewayError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Shared(Box::new(move |operations| match guarded(|| work(operations)) {
            Ok(made) => Ok(Box::new(move |fate: Result<(), GatewayError>| {
                // What was refused may have been so because of a change that came to nothing.
                let _ = answer.send(Ok(fate.map_err(E::from).and(made)));
            })),
            Err(panicked) => {
                let _ = answer.send(Err(GatewayError::Defect));
                Err(panicked)
            }
        }));
        self.jobs.send(job).await.map_err(|_| GatewayError::Stopping)?;
        answered.await.unwrap_or(Err(GatewayError::Stopping))
    }
}
