//! The next hops as two tasks share them: the gateway's, which has bindings name them and makes them ready, and the one
//! that hears of the network, which doubts them at once, however long the gateway's is busy.
//!
//! One lock guards all of them, and under it stands the newest network anybody has heard of. Nothing becomes ready by
//! older knowledge: [`Hops::settle`] is told which network it is to go by, and leaves the work to the next turn where
//! that is not the newest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::network::Topology;
use super::super::plan::Plan;
use super::super::routing::Routing;
use super::Hops;

/// Clones share the same next hops.
#[derive(Clone)]
pub struct SharedHops(Arc<Mutex<Hops>>);

impl SharedHops {
    /// Next hops to share.
    pub fn new(hops: Hops) -> SharedHops {
        SharedHops(Arc::new(Mutex::new(hops)))
    }

    /// The next hops, for a moment: packets may be going the wrong way for as long as somebody who knows has to wait.
    pub fn lock(&self) -> MutexGuard<'_, Hops> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one who is told of the network before anybody else.
    pub fn doubter(&self, plan: &Plan) -> Doubter {
        Doubter { hops: self.clone(), plan: plan.clone() }
    }
}

/// Doubts next hops the moment it hears of another network. When it goes, nobody hears of the network any more, so the
/// kernel is asked about each packet.
pub struct Doubter {
    hops: SharedHops,
    plan: Plan,
}

impl Doubter {
    /// Takes note of what the network is now.
    pub fn hear(&self, topology: &Topology) {
        // Long lists of routes take a while to sort, without the lock: what is known is changed by nobody else.
        let before = Arc::clone(self.hops.lock().routing());
        let routing = Arc::new(Routing::new(&self.plan, topology, &before));
        self.hops.lock().doubt(routing);
    }
}

impl Drop for Doubter {
    fn drop(&mut self) {
        self.hops.lock().give_up();
    }
}
