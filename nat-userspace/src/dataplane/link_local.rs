//! The link-local addresses at which instances ask about themselves: on every downlink, and on no uplink.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::time::timeout;

use super::DataPlane;
use super::network::{Placing, Topology};
use super::plan::Plan;
use super::tables::{self, Present};
use crate::address::VpcId;

/// The cloud's own, and the one that other clouds have made usual.
pub const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 0, 23), Ipv4Addr::new(169, 254, 169, 254)];

/// A downlink by which the kernel receives what is for the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// Whose instances are behind it.
    pub vpc: VpcId,
    /// Name of the interface that routes for it.
    pub interface: String,
    /// Index of that interface.
    pub index: u32,
    /// The gateway's addresses on it, with the lengths of their prefixes.
    pub networks: Vec<(Ipv4Addr, u8)>,
}

/// The downlinks whose instances can ask, where they can at all: the program is on them, so that the source address says
/// who asks.
fn downlinks(plan: &Plan, topology: &Topology, attached: &[u32]) -> Vec<Downlink> {
    if !plan.metadata {
        return Vec::new();
    }
    let present = tables::present(plan, topology);
    let uplinks: BTreeSet<u32> =
        present.iter().filter(|link| link.plan.vpc.is_none()).map(|link| link.routing.index).collect();
    let answers = |link: &&Present<'_>| {
        // Tagged frames without a sub-interface are nothing to the kernel, and what is on an uplink shows outside.
        let received = link.plan.tags.is_empty() || link.routing.index != link.interface.index;
        received && attached.contains(&link.interface.index) && !uplinks.contains(&link.routing.index)
    };
    let found = present.iter().filter(answers).filter_map(|link| {
        let own = topology.addresses.iter().filter(|own| own.ifindex == link.routing.index);
        let networks = own.filter(|own| !ADDRESSES.contains(&own.address)).map(|own| (own.address, own.length));
        Some(Downlink {
            vpc: link.plan.vpc.clone()?,
            interface: link.routing.name.clone(),
            index: link.routing.index,
            networks: networks.collect(),
        })
    });
    found.collect()
}

impl DataPlane {
    /// Has the addresses at which instances ask about themselves on the downlinks they can ask by, and on no other
    /// interface on which this or an earlier daemon has put them.
    pub(super) fn place_link_local(&mut self, topology: &Topology, attached: &[u32]) -> Result<()> {
        let downlinks = downlinks(&self.plan, topology, attached);
        let (present, mut placing) = (topology.placed(), Placing::default());
        for link in &downlinks {
            for address in ADDRESSES {
                placing.wanted.insert((link.index, address));
                // One that is there and not noted is the operator's, and stays.
                if !present.contains(&(link.index, address)) {
                    self.settings.note_address(&link.interface, address)?;
                }
            }
        }
        let noted = self.settings.addresses().into_iter();
        let noted = noted.filter_map(|(interface, address)| Some((topology.named(&interface)?.index, address)));
        placing.unwanted = noted.filter(|place| !placing.wanted.contains(place)).collect();
        let modify = |old: &mut Placing| {
            let changed = *old != placing;
            *old = placing;
            changed
        };
        self.watch.placing.send_if_modified(modify);
        self.downlinks.send_if_modified(|old| {
            let changed = *old != downlinks;
            *old = downlinks;
            changed
        });
        Ok(())
    }

    /// Waits until those addresses are where they belong, or for a second: the first to ask is to be answered, too.
    pub(super) async fn placed(&mut self) {
        let wanted = self.watch.placing.borrow().wanted.clone();
        let in_place = self.watch.topology.wait_for(|topology| topology.placed().is_superset(&wanted));
        let _ = timeout(Duration::from_secs(1), in_place).await;
    }

    /// The downlinks whose instances can ask about themselves, now and later.
    pub fn downlinks(&self) -> watch::Receiver<Vec<Downlink>> {
        self.downlinks.subscribe()
    }

    /// The MAC address of an instance, where the kernel knows it as a neighbour of the VPC's downlinks.
    pub fn mac(&self, vpc: &VpcId, private: Ipv4Addr) -> Option<[u8; 6]> {
        let topology = self.watch.topology.borrow();
        let links =
            tables::present(&self.plan, &topology).into_iter().filter(|link| link.plan.vpc.as_ref() == Some(vpc));
        let mut neighbours = links.filter_map(|link| topology.neighbours.get(&(link.routing.index, private)));
        neighbours.find_map(|neighbour| neighbour.mac)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::limits::Limits;
    use super::super::network::{Interface, OwnAddress};
    use super::super::plan::{LinkPlan, Mode, ProgramLog, Tuning};
    use super::*;

    const DOWN: u32 = 3;

    fn plan(downlinks: &[(&[u16], &str)]) -> Plan {
        let link = |interface: &str, tags: &[u16], vpc: Option<&str>| LinkPlan {
            interface: interface.to_owned(),
            tags: tags.to_vec(),
            vpc: vpc.map(|name| name.parse().unwrap()),
        };
        Plan {
            uplinks: vec![link("up0", &[], None)],
            downlinks: downlinks.iter().map(|(tags, vpc)| link("down0", tags, Some(vpc))).collect(),
            pools: vec![],
            mode: Mode::Native,
            bpf_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            limits: Limits { pairs: 1, instances: 1, counters: false },
            tuning: Tuning::default(),
            program_log: ProgramLog::Off,
            allow_private_mount: false,
            metadata: true,
        }
    }

    /// An uplink, and one interface towards instances with sub-interfaces for the tags 100 and 200, numbered alike.
    fn topology() -> Topology {
        let interface = |index, name: &str, vlan| Interface {
            index,
            name: name.to_owned(),
            mac: None,
            mtu: 1500,
            up: true,
            carrier: true,
            forwarding: true,
            vlan,
            xdp: None,
        };
        let all = [
            interface(2, "up0", None),
            interface(DOWN, "down0", None),
            interface(4, "down0.100", Some((DOWN, 100))),
            interface(5, "blue", Some((DOWN, 200))),
        ];
        let own = |ifindex| OwnAddress { address: [10, 0, 0, 1].into(), length: 24, ifindex };
        Topology {
            interfaces: std::sync::Arc::new(all.into_iter().map(|interface| (interface.index, interface)).collect()),
            addresses: vec![own(4), own(5)].into(),
            ..Topology::default()
        }
    }

    fn found(planned: &[(&[u16], &str)]) -> Vec<(String, String, u32)> {
        let found = downlinks(&plan(planned), &topology(), &[DOWN]);
        found.into_iter().map(|link| (link.vpc.to_string(), link.interface, link.index)).collect()
    }

    #[test]
    fn two_tags_of_one_interface_are_two_downlinks_to_ask_by() {
        let red = ("red".to_owned(), "down0.100".to_owned(), 4);
        let blue = ("blue".to_owned(), "blue".to_owned(), 5);
        assert_eq!(found(&[(&[100], "red"), (&[200], "blue")]), [red.clone(), blue]);
        // Without a sub-interface the kernel does not receive them, and without the program nobody knows who asks.
        assert_eq!(found(&[(&[100], "red"), (&[300], "blue")]), std::slice::from_ref(&red));
        let untagged = ("green".to_owned(), "down0".to_owned(), DOWN);
        assert_eq!(found(&[(&[], "green"), (&[100], "red")]), [untagged, red]);
        assert_eq!(downlinks(&plan(&[(&[100], "red")]), &topology(), &[]), []);
        let networks = downlinks(&plan(&[(&[200], "blue")]), &topology(), &[DOWN])[0].networks.clone();
        assert_eq!(networks, [([10, 0, 0, 1].into(), 24)]);
    }
}
