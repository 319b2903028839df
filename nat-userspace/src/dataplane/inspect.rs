//! The pinned maps as an operator reads them, with or without a daemon.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use nat_common::abi::{PrivateKey, PublicAddr, Settings, VerdictCounter, Vpc};
use nat_common::pairs::{Inbound, Outbound};
use nat_common::verdict::Verdict;
use serde::Serialize;

use super::counters::{Counters, sum};
use super::explain::action_name;
use super::hops;
use super::limits::Limits;
use super::pins::Pins;
use super::table::{self, Lookup};

pub use super::counters::Traffic;

/// A public address and whose it is, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The public address.
    pub public: Ipv4Addr,
    /// The VPC's name, or `#number` where no downlink of it is configured.
    pub vpc: String,
    /// The private address.
    pub private: Ipv4Addr,
    /// Whether packets from Internet to instance are translated.
    pub inbound: bool,
    /// Whether packets from instance to Internet are translated.
    pub outbound: bool,
    /// What it carried since it was bound.
    pub traffic: Traffic,
}

/// An instance without a public address, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unbound {
    /// The VPC's name.
    pub vpc: String,
    /// The private address.
    pub private: Ipv4Addr,
}

/// What became of packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictRow {
    /// Name of the verdict.
    pub verdict: &'static str,
    /// forward, reply, pass or drop.
    pub action: &'static str,
    /// Packets with it.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// What it means.
    pub explanation: &'static str,
}

/// The pinned maps.
pub struct Maps {
    pins: Pins,
    slot_bits: u32,
    counters: Counters,
    verdicts: PerCpuArray<MapData, VerdictCounter>,
    vpcs: BTreeMap<u32, String>,
}

/// Opens the pinned maps of this version's layout.
///
/// # Errors
/// No maps there, or maps of another layout.
pub fn open(bpf_dir: &Path) -> Result<Maps> {
    let pins = Pins::under(bpf_dir);
    pins.check_layout()?;
    let vpcs: HashMap<MapData, u32, Vpc> = pins.open("VPCS")?;
    let named = vpcs.iter().map(|entry| {
        let (number, vpc) = entry?;
        let name = &vpc.name[..(vpc.name_length as usize).min(vpc.name.len())];
        anyhow::Ok((number, String::from_utf8_lossy(name).into_owned()))
    });
    let settings: Array<MapData, Settings> = pins.open("SETTINGS")?;
    let settings = settings.get(&0, 0).context("reading SETTINGS")?;
    Ok(Maps {
        slot_bits: Limits::of(&settings).slot_bits(),
        counters: Counters::read_only(&pins, settings.counters_per_cpu)?,
        verdicts: pins.open("VERDICTS")?,
        pins: pins.clone(),
        vpcs: named.collect::<Result<_>>().context("reading VPCS")?,
    })
}

/// Whether a gateway of this version's layout has its maps pinned there.
pub fn are_pinned(bpf_dir: &Path) -> bool {
    Pins::under(bpf_dir).map("SETTINGS").exists()
}

impl Maps {
    /// Every public address in either direction, in order.
    pub fn pairs(&self) -> Result<Vec<Pair>> {
        let vpc_of = hops::vpcs(&self.pins)?;
        let mut pairs = BTreeMap::new();
        for (public, cell) in table::read::<PublicAddr>(&self.pins, table::INBOUND)? {
            let value = Inbound::unpack(cell, self.slot_bits);
            let vpc = vpc_of.get(value.hop as usize).copied().unwrap_or(0);
            pairs.insert((public, PrivateKey { vpc, address: value.private }), (true, false, value.slot));
        }
        for (key, value) in self.outbound()? {
            if value.public != PublicAddr::NONE {
                pairs.entry((value.public, key)).or_insert((false, false, value.slot)).1 = true;
            }
        }
        let pair = |((public, key), (inbound, outbound, slot)): ((PublicAddr, PrivateKey), (bool, bool, u32))| Pair {
            public: public.0.into(),
            vpc: self.vpc(key.vpc),
            private: key.address.0.into(),
            inbound,
            outbound,
            traffic: self.counters.of(slot),
        };
        Ok(pairs.into_iter().map(pair).collect())
    }

    /// What each of these public addresses carried since it was bound, in this order, those that are not bound left out.
    /// It costs what so many look-ups cost, however many pairs there are.
    pub fn traffic_of(&self, addresses: &[Ipv4Addr]) -> Result<Vec<(Ipv4Addr, Traffic)>> {
        let inbound = Lookup::open(&self.pins, table::INBOUND)?;
        let traffic = |public: &Ipv4Addr| {
            let cell = inbound.get(PublicAddr(public.octets()));
            (cell != 0).then(|| (*public, self.counters.of(Inbound::unpack(cell, self.slot_bits).slot)))
        };
        Ok(addresses.iter().filter_map(traffic).collect())
    }

    /// Every instance without a public address, in order.
    pub fn unbound(&self) -> Result<Vec<Unbound>> {
        let without = self.outbound()?.into_iter().filter(|(_, value)| value.public == PublicAddr::NONE);
        Ok(without.map(|(key, _)| Unbound { vpc: self.vpc(key.vpc), private: key.address.0.into() }).collect())
    }

    fn outbound(&self) -> Result<Vec<(PrivateKey, Outbound)>> {
        let cells = table::read::<PrivateKey>(&self.pins, table::OUTBOUND)?;
        Ok(cells.into_iter().map(|(key, cell)| (key, Outbound::unpack(cell))).collect())
    }

    /// Every verdict that was counted, or all.
    pub fn verdicts(&self) -> Result<Vec<VerdictRow>> {
        let mut rows = Vec::new();
        for verdict in Verdict::ALL {
            let mut values = self.verdicts.get(&(*verdict as u32), 0).context("reading VERDICTS")?.to_vec();
            // What was counted under an earlier layout stands behind.
            if self.verdicts.len() > Verdict::COUNT {
                let earlier = self.verdicts.get(&(Verdict::COUNT + *verdict as u32), 0).context("reading VERDICTS")?;
                values.extend(earlier.iter());
            }
            rows.push(VerdictRow {
                verdict: verdict.name(),
                action: action_name(*verdict),
                packets: sum(values.iter().map(|value| value.packets)),
                bytes: sum(values.iter().map(|value| value.bytes)),
                explanation: verdict.explanation(),
            });
        }
        Ok(rows)
    }

    /// Differences between the two directions, one sentence each; none is as it should be.
    pub fn verify(&self) -> Result<Vec<String>> {
        let pairs = self.pairs()?;
        let mut defects = Vec::new();
        for pair in &pairs {
            let Pair { public, private, vpc, .. } = pair;
            if !pair.outbound {
                defects.push(format!("{public} is bound inbound to {private} in {vpc}, which does not go out by it"));
            }
            if !pair.inbound {
                defects.push(format!("{private} in {vpc} goes out by {public}, which is not bound inbound to it"));
            }
        }
        Ok(defects)
    }

    fn vpc(&self, number: u32) -> String {
        self.vpcs.get(&number).cloned().unwrap_or_else(|| format!("#{number}"))
    }
}
