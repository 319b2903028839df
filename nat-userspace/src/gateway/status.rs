//! How the gateway is, at one moment.

use crate::address::{Capacity, Time};
use crate::dataplane::PlaneStatus;

/// What `status` shows.
#[derive(Clone, Debug)]
pub struct Status {
    /// When it began to serve.
    pub since: Time,
    /// Why it is degraded, in sentences; empty when it is not.
    pub problems: Vec<String>,
    /// Whether the maps may be behind the ledger.
    pub dirty: bool,
    /// How many instances there are.
    pub instances: usize,
    /// How many of them have a public address.
    pub pairs: usize,
    /// How many EIPs there are.
    pub eips: usize,
    /// Held addresses that the present pools do not have.
    pub held_outside_pools: usize,
    /// Settings that are configured and wait for a restart.
    pub waiting: Vec<&'static str>,
    /// What the maps hold at most.
    pub capacity: Capacity,
    /// What the data plane says of itself.
    pub plane: PlaneStatus,
}
