//! Private addresses for instances that ask for none in particular.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Gateway, GatewayError, PacketPath};
use crate::address::{Ledger, Prefix, VpcId};

/// Where the search for a free address of each VPC goes on: an address that was just given up is not given to the next
/// instance, and a full beginning is not searched again and again.
#[derive(Debug, Default)]
pub(super) struct Cursors(BTreeMap<VpcId, Ipv4Addr>);

impl<P: PacketPath> Gateway<P> {
    /// The configured ranges of a VPC.
    pub(super) fn configured_ranges(&self, vpc: &VpcId) -> Vec<Prefix> {
        let config = self.configuration.in_effect.borrow();
        config.private_ranges.iter().filter(|range| range.vpc == *vpc).map(|range| range.prefix).collect()
    }

    /// The configured ranges of a VPC; where there are none, the networks its downlinks are in.
    fn ranges(&self, vpc: &VpcId) -> Vec<Prefix> {
        let configured = self.configured_ranges(vpc);
        if !configured.is_empty() {
            return configured;
        }
        let config = self.configuration.in_effect.borrow();
        let own = self.path.environment().own;
        let downlinks =
            config.downlinks.iter().filter(|downlink| downlink.vpc == *vpc && downlink.link.tags.is_empty());
        let networks = downlinks.flat_map(|downlink| own.iter().filter(|own| own.interface == downlink.link.interface));
        networks.filter_map(|own| Prefix::containing(own.address, own.length).ok()).collect()
    }

    /// So many different addresses that no instance of the VPC carries.
    pub(super) fn choose_private(&mut self, vpc: &VpcId, count: usize) -> Result<Vec<Ipv4Addr>, GatewayError> {
        let ranges = self.ranges(vpc);
        let own: Vec<Ipv4Addr> = self.path.environment().own.iter().map(|own| own.address).collect();
        let last = self.cursors.0.get(vpc).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let is_free = |address: &Ipv4Addr| is_usable(&self.ledger, vpc, *address) && !own.contains(address);
        let after = members(&ranges, last).filter(is_free);
        let before = members(&ranges, Ipv4Addr::UNSPECIFIED).take_while(|address| *address <= last).filter(is_free);
        let chosen: Vec<Ipv4Addr> = after.chain(before).take(count).collect();
        match chosen.last() {
            Some(latest) if chosen.len() == count => {
                self.cursors.0.insert(vpc.clone(), *latest);
                Ok(chosen)
            }
            _ if count == 0 => Ok(chosen),
            _ => Err(GatewayError::NoPrivateAddress { vpc: vpc.clone(), ranges }),
        }
    }
}

fn is_usable(ledger: &Ledger, vpc: &VpcId, address: Ipv4Addr) -> bool {
    ledger.instance_at(vpc, address).is_none() && ledger.pool().range_of(address).is_none()
}

/// The addresses of the ranges above `last`, ascending, without those that name a network or all of its hosts.
fn members(ranges: &[Prefix], last: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
    let mut ranges = ranges.to_vec();
    ranges.sort();
    ranges.into_iter().flat_map(move |range| {
        let reserved = u32::from(range.length() < 31);
        let first = (range.first().to_bits() + reserved).max(last.to_bits().saturating_add(1));
        (first..=range.last().to_bits() - reserved).map(Ipv4Addr::from_bits)
    })
}
