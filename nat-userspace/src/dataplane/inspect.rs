//! The pinned maps as an operator reads them, with or without a daemon.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, MapData, PerCpuArray};
use nat_common::abi::{AddressCounters, Inbound, NO_SLOT, Outbound, PrivateKey, PublicAddr, VerdictCounter, Vpc};
use nat_common::verdict::{Action, Verdict};
use serde::Serialize;

use super::pins::Pins;

/// Packets and IP bytes of one public address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Towards the instance.
    pub packets_in: u64,
    /// Towards the instance, IP total length.
    pub bytes_in: u64,
    /// From the instance.
    pub packets_out: u64,
    /// From the instance, IP total length.
    pub bytes_out: u64,
}

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
    inbound: HashMap<MapData, PublicAddr, Inbound>,
    outbound: HashMap<MapData, PrivateKey, Outbound>,
    counters: PerCpuArray<MapData, AddressCounters>,
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
    Ok(Maps {
        inbound: pins.open("INBOUND")?,
        outbound: pins.open("OUTBOUND")?,
        counters: pins.open("COUNTERS")?,
        verdicts: pins.open("VERDICTS")?,
        vpcs: named.collect::<Result<_>>().context("reading VPCS")?,
    })
}

impl Maps {
    /// Every public address in either direction, in order.
    pub fn pairs(&self) -> Result<Vec<Pair>> {
        let mut pairs = BTreeMap::new();
        for entry in self.inbound.iter() {
            let (public, value) = entry.context("reading INBOUND")?;
            let key = PrivateKey { vpc: value.vpc, address: value.private };
            pairs.insert((public, key), (true, false, value.slot));
        }
        for entry in self.outbound.iter() {
            let (key, value) = entry.context("reading OUTBOUND")?;
            if value.public != PublicAddr::NONE {
                pairs.entry((value.public, key)).or_insert((false, false, value.slot)).1 = true;
            }
        }
        let pair = |((public, key), (inbound, outbound, slot)): ((PublicAddr, PrivateKey), (bool, bool, u32))| {
            Ok(Pair {
                public: public.0.into(),
                vpc: self.vpc(key.vpc),
                private: key.address.0.into(),
                inbound,
                outbound,
                traffic: self.traffic(slot)?,
            })
        };
        pairs.into_iter().map(pair).collect()
    }

    /// Every instance without a public address, in order.
    pub fn unbound(&self) -> Result<Vec<Unbound>> {
        let outbound: BTreeMap<PrivateKey, Outbound> =
            self.outbound.iter().collect::<Result<_, _>>().context("reading OUTBOUND")?;
        let without = outbound.into_iter().filter(|(_, value)| value.public == PublicAddr::NONE);
        Ok(without.map(|(key, _)| Unbound { vpc: self.vpc(key.vpc), private: key.address.0.into() }).collect())
    }

    /// Every verdict that was counted, or all.
    pub fn verdicts(&self) -> Result<Vec<VerdictRow>> {
        let mut rows = Vec::new();
        for verdict in Verdict::ALL {
            let values = self.verdicts.get(&(*verdict as u32), 0).context("reading VERDICTS")?;
            rows.push(VerdictRow {
                verdict: verdict.name(),
                action: match verdict.action() {
                    Action::Forward => "forward",
                    Action::Reply => "reply",
                    Action::Pass => "pass",
                    Action::Drop => "drop",
                },
                packets: values.iter().map(|value| value.packets).sum(),
                bytes: values.iter().map(|value| value.bytes).sum(),
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

    fn traffic(&self, slot: u32) -> Result<Traffic> {
        if slot == NO_SLOT {
            return Ok(Traffic::default());
        }
        let values = self.counters.get(&slot, 0).context("reading COUNTERS")?;
        let sum = |field: fn(&AddressCounters) -> u64| values.iter().map(field).sum();
        Ok(Traffic {
            packets_in: sum(|value| value.packets_in),
            bytes_in: sum(|value| value.bytes_in),
            packets_out: sum(|value| value.packets_out),
            bytes_out: sum(|value| value.bytes_out),
        })
    }
}
