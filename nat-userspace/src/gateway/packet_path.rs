//! What the gateway asks of the side that owns the maps: the kernel's in operation, a recording in tests.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::watch;

use crate::address::{Prefix, VpcId};
use crate::dataplane::{DataPlane, Downlink, Drift, Environment, Host, Notice, PlaneStatus, Tuning};

use super::Meter;
use super::meter::PinnedMeter;

/// The packet path as the gateway drives it.
pub trait PacketPath {
    /// Makes the maps equal to these hosts, whatever they hold.
    fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift>;

    /// Attaches to the interfaces.
    fn attach(&mut self) -> impl Future<Output = Result<()>>;

    /// Makes sure that hosts can be set without waiting, before anything is taken away from others for it.
    fn make_room(&mut self, _: &[Host]) -> Result<()> {
        Ok(())
    }

    /// Makes a host known, or changes it; in effect on the next packet.
    fn set_host(&mut self, host: &Host) -> Result<()>;

    /// Makes many hosts known, or changes them, in this order, and tells after some of them how many are done. Those
    /// that were done before an error stay.
    fn set_hosts(&mut self, hosts: &[Host], progress: &mut dyn FnMut(usize)) -> Result<()> {
        for (done, host) in hosts.iter().enumerate() {
            progress(done);
            self.set_host(host)?;
        }
        Ok(())
    }

    /// Forgets a host.
    fn remove_host(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()>;

    /// What the host's network looks like to whoever makes pools.
    fn environment(&self) -> Environment;

    /// Makes these the public ranges, in effect when this returns.
    fn set_pools(&mut self, pools: &[Prefix]) -> Result<()>;

    /// Tells the link who has these public addresses now, so many a second; answers how many are on a link.
    fn announce(&mut self, addresses: &[Ipv4Addr], per_second: u32) -> usize;

    /// Waits for something the gateway should know. May be dropped at any time.
    ///
    /// # Errors
    /// What only another start of the daemon mends.
    fn turn(&mut self) -> impl Future<Output = Result<Notice>>;

    /// How it is.
    fn status(&self) -> PlaneStatus;

    /// How it is as far as it knows without asking anybody.
    fn glance(&self) -> PlaneStatus;

    /// Changes what can change while it serves.
    fn retune(&mut self, tuning: &Tuning) -> Result<()>;

    /// The downlinks whose instances can ask about themselves, now and later.
    fn downlinks(&self) -> watch::Receiver<Vec<Downlink>>;

    /// The MAC address of an instance, where it is known as a neighbour.
    fn mac(&self, vpc: &VpcId, private: Ipv4Addr) -> Option<[u8; 6]>;

    /// What reads its counters.
    fn meter(&self) -> Arc<dyn Meter>;
}

impl PacketPath for DataPlane {
    fn make_room(&mut self, hosts: &[Host]) -> Result<()> {
        self.make_room(hosts)
    }

    fn set_hosts(&mut self, hosts: &[Host], progress: &mut dyn FnMut(usize)) -> Result<()> {
        self.set_hosts(hosts, progress)
    }

    fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift> {
        self.reconcile(hosts)
    }

    async fn attach(&mut self) -> Result<()> {
        self.attach().await
    }

    fn set_host(&mut self, host: &Host) -> Result<()> {
        self.set_host(host)
    }

    fn remove_host(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()> {
        self.remove_host(vpc, private)
    }

    fn environment(&self) -> Environment {
        self.environment()
    }

    fn set_pools(&mut self, pools: &[Prefix]) -> Result<()> {
        self.set_pools(pools)
    }

    fn announce(&mut self, addresses: &[Ipv4Addr], per_second: u32) -> usize {
        self.announce(addresses, per_second)
    }

    async fn turn(&mut self) -> Result<Notice> {
        self.turn().await
    }

    fn status(&self) -> PlaneStatus {
        self.status()
    }

    fn glance(&self) -> PlaneStatus {
        self.glance()
    }

    fn retune(&mut self, tuning: &Tuning) -> Result<()> {
        self.retune(tuning)
    }

    fn downlinks(&self) -> watch::Receiver<Vec<Downlink>> {
        self.downlinks()
    }

    fn mac(&self, vpc: &VpcId, private: Ipv4Addr) -> Option<[u8; 6]> {
        self.mac(vpc, private)
    }

    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(PinnedMeter { bpf_dir: self.bpf_dir().to_owned() })
    }
}
