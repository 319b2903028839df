//! What the gateway asks of the side that owns the maps: the kernel's in operation, a recording in tests.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::address::VpcId;
use crate::dataplane::{DataPlane, Drift, Host, Notice, PlaneStatus};

/// The packet path as the gateway drives it.
pub trait PacketPath {
    /// Makes the maps equal to these hosts, whatever they hold.
    fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift>;

    /// Attaches to the interfaces.
    fn attach(&mut self) -> impl Future<Output = Result<()>>;

    /// Makes a host known, or changes it; in effect on the next packet.
    fn set_host(&mut self, host: &Host) -> Result<()>;

    /// Forgets a host.
    fn remove_host(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()>;

    /// Tells the link who has a public address now.
    fn announce(&mut self, public: Ipv4Addr);

    /// Waits for something the gateway should know. May be dropped at any time.
    fn turn(&mut self) -> impl Future<Output = Notice>;

    /// How it is.
    fn status(&self) -> PlaneStatus;
}

impl PacketPath for DataPlane {
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

    fn announce(&mut self, public: Ipv4Addr) {
        self.announce(public);
    }

    async fn turn(&mut self) -> Notice {
        self.turn().await
    }

    fn status(&self) -> PlaneStatus {
        self.status()
    }
}
