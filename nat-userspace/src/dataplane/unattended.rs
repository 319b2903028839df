//! A gateway whose daemon is dead. The pins' lock keeps one from starting meanwhile.
//!
//! Its bindings, that is what an event does to the maps without ledger and store, are for whoever measures that alone.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::bindings::Bindings;
use super::hops;
use super::network;
use super::pins::{Lock, Pins};
use super::plan::{Host, Plan};
use super::routing::Routing;
use crate::address::VpcId;

/// The maps, and the right to write them.
pub struct Unattended {
    bindings: Bindings,
    _lock: Lock,
}

impl Unattended {
    /// Takes the pins of a gateway and reads the network of the calling thread's namespace once.
    ///
    /// # Errors
    /// No maps there, maps made for other limits than the plan's, or a daemon that serves.
    pub async fn open(plan: &Plan) -> Result<Unattended> {
        let pins = Pins::under(&plan.bpf_dir);
        let lock = pins.lock()?;
        plan.limits.check_pins(&pins)?;
        let (handle, task) = network::connect()?;
        let topology = network::read(&handle).await;
        task.abort();
        let routing = Routing::new(plan, &topology?, &Routing::default());
        let mut bindings = Bindings::open(&pins, plan.limits, routing, false)?;
        // The daemon has made the tables beside fit the network, which stays as it is while somebody measures.
        let network = bindings.network();
        bindings.settle(&network)?;
        Ok(Unattended { bindings, _lock: lock })
    }

    /// Makes sure that an instance can be set without waiting.
    pub fn make_room(&mut self, host: &Host) -> Result<()> {
        self.bindings.make_room(std::slice::from_ref(host))
    }

    /// Makes an instance what `host` says, in effect on the next packet.
    pub fn set(&mut self, host: &Host) -> Result<()> {
        self.bindings.set(host)
    }

    /// Forgets an instance.
    pub fn remove(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()> {
        self.bindings.remove(vpc.as_str(), private)
    }
}

/// Has packets ask the kernel for their next hops until a daemon follows the network again. Answers how many next hops a
/// killed daemon had left as it last knew them.
///
/// # Errors
/// A daemon that serves, or maps of another layout.
pub fn doubt(bpf_dir: &Path) -> Result<usize> {
    let pins = Pins::under(bpf_dir);
    if !pins.directory().exists() {
        return Ok(0);
    }
    let _lock = pins.lock()?;
    pins.check_layout()?;
    hops::ask_from_now_on(&pins)
}
