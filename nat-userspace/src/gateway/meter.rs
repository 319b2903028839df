//! What the kernel counted, read beside the gateway's task, which has better things to do.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;

use crate::dataplane::inspect::{self, Pair};

pub use crate::dataplane::inspect::{Traffic, VerdictRow};

/// A public address and what it carried since it was bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressTraffic {
    /// The address.
    pub public: Ipv4Addr,
    /// What it carried.
    pub traffic: Traffic,
}

/// Reads the kernel's counters. It may take as long as there are addresses, so not on a thread that others wait for.
pub trait Meter: Send + Sync {
    /// Every verdict with its packets and bytes.
    fn verdicts(&self) -> Result<Vec<VerdictRow>>;

    /// The addresses that carried most bytes, so many at most, most first.
    fn busiest(&self, most: usize) -> Result<Vec<AddressTraffic>>;

    /// What these addresses carried, in this order, those that are not bound left out. It takes as long as they are
    /// many, and no longer.
    fn of(&self, addresses: &[Ipv4Addr]) -> Result<Vec<AddressTraffic>>;
}

/// The pinned maps, opened anew for each reading: an upgrade may have put others in their place.
pub(super) struct PinnedMeter {
    pub(super) bpf_dir: PathBuf,
}

impl Meter for PinnedMeter {
    fn verdicts(&self) -> Result<Vec<VerdictRow>> {
        inspect::open(&self.bpf_dir)?.verdicts()
    }

    fn busiest(&self, most: usize) -> Result<Vec<AddressTraffic>> {
        Ok(most_bytes(inspect::open(&self.bpf_dir)?.pairs()?, most))
    }

    fn of(&self, addresses: &[Ipv4Addr]) -> Result<Vec<AddressTraffic>> {
        let found = inspect::open(&self.bpf_dir)?.traffic_of(addresses)?;
        Ok(found.into_iter().map(|(public, traffic)| AddressTraffic { public, traffic }).collect())
    }
}

fn most_bytes(pairs: Vec<Pair>, most: usize) -> Vec<AddressTraffic> {
    // An address that is being rebound may be there twice; the way in says whose it is.
    let bound = pairs.into_iter().filter(|pair| pair.inbound);
    let mut all: Vec<AddressTraffic> =
        bound.map(|pair| AddressTraffic { public: pair.public, traffic: pair.traffic }).collect();
    let both = |traffic: &Traffic| u128::from(traffic.bytes_in) + u128::from(traffic.bytes_out);
    all.sort_by_key(|one| (std::cmp::Reverse(both(&one.traffic)), one.public));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_come_first_and_each_once() {
        let pair = |last: u8, inbound: bool, bytes_in: u64, bytes_out: u64| Pair {
            public: [8, 8, 8, last].into(),
            vpc: "vpc-default".into(),
            private: [10, 0, 0, last].into(),
            inbound,
            outbound: true,
            traffic: Traffic { bytes_in, bytes_out, ..Traffic::default() },
        };
        let pairs = vec![pair(1, true, 5, 5), pair(2, true, 0, 11), pair(2, false, 99, 0), pair(3, true, 10, 0)];
        let named: Vec<u8> = most_bytes(pairs.clone(), 2).iter().map(|one| one.public.octets()[3]).collect();
        assert_eq!(named, [2, 1]);
        assert_eq!(most_bytes(pairs, 0), []);
        // Each way by itself may have counted as far as there are numbers.
        let full = most_bytes(vec![pair(1, true, 1, 1), pair(2, true, u64::MAX, u64::MAX)], 1);
        assert_eq!(full.iter().map(|one| one.public.octets()[3]).collect::<Vec<u8>>(), [2]);
    }
}
