//! A packet path without a kernel: it remembers what it was told, and fails when asked to.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Result, anyhow, ensure};
use tokio::sync::watch;

use super::PacketPath;
use crate::address::{Prefix, VpcId};
use crate::dataplane::{
    Downlink, Drift, Environment, HopStatus, Host, LinkStatus, MapUse, Notice, PlaneStatus, Tuning,
};

use super::{AddressTraffic, Meter, Traffic, VerdictRow};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// With so many hosts.
    Reconcile(usize),
    Attach,
    Set(Host),
    Remove(VpcId, Ipv4Addr),
    Announce(Ipv4Addr),
    Retune(Tuning),
    Pools(Vec<Prefix>),
}

/// Clones share one recording, so that a test keeps one and the gateway gets the other.
#[derive(Clone, Default)]
pub(crate) struct Detached(Arc<Mutex<Recording>>);

/// What the maps would hold: every host with its public address.
pub(crate) type Maps = BTreeMap<(VpcId, Ipv4Addr), Option<Ipv4Addr>>;

#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) told: Vec<Told>,
    pub(crate) maps: Maps,
    pub(crate) fails: bool,
    /// The next call does.
    pub(crate) panics: bool,
    /// Why the next turn is the last.
    pub(crate) ends: Option<&'static str>,
    pub(crate) problems: Vec<String>,
    pub(crate) environment: Environment,
    pub(crate) pools: Option<Vec<Prefix>>,
}

impl Detached {
    pub(crate) fn recording(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap()
    }

    /// What it was told since this was asked last.
    pub(crate) fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.recording().told)
    }

    fn told_to(&self, told: Told) -> Result<MutexGuard<'_, Recording>> {
        let panics = std::mem::take(&mut self.recording().panics);
        assert!(!panics, "a defect");
        let mut recording = self.recording();
        recording.told.push(told);
        ensure!(!recording.fails, "the kernel said no");
        Ok(recording)
    }
}

impl PacketPath for Detached {
    fn reconcile(&mut self, hosts: &[Host]) -> Result<Drift> {
        let mut recording = self.told_to(Told::Reconcile(hosts.len()))?;
        recording.maps = hosts.iter().map(|host| ((host.vpc.clone(), host.private), host.public)).collect();
        Ok(Drift::default())
    }

    async fn attach(&mut self) -> Result<()> {
        self.told_to(Told::Attach).map(drop)
    }

    fn set_host(&mut self, host: &Host) -> Result<()> {
        self.told_to(Told::Set(host.clone()))?.maps.insert((host.vpc.clone(), host.private), host.public);
        Ok(())
    }

    fn remove_host(&mut self, vpc: &VpcId, private: Ipv4Addr) -> Result<()> {
        self.told_to(Told::Remove(vpc.clone(), private))?.maps.remove(&(vpc.clone(), private));
        Ok(())
    }

    fn environment(&self) -> Environment {
        self.recording().environment.clone()
    }

    fn set_pools(&mut self, pools: &[Prefix]) -> Result<()> {
        let known = self.recording().pools.replace(pools.to_vec());
        match known {
            Some(known) if known != pools => self.told_to(Told::Pools(pools.to_vec())).map(drop),
            // What it begins with, or has already.
            _ => Ok(()),
        }
    }

    fn announce(&mut self, addresses: &[Ipv4Addr], _: u32) -> usize {
        self.recording().told.extend(addresses.iter().copied().map(Told::Announce));
        addresses.len()
    }

    async fn turn(&mut self) -> Result<Notice> {
        let ends = self.recording().ends;
        match ends {
            Some(why) => Err(anyhow!(why)),
            None => pending().await,
        }
    }

    fn glance(&self) -> PlaneStatus {
        self.status()
    }

    fn retune(&mut self, tuning: &Tuning) -> Result<()> {
        self.told_to(Told::Retune(tuning.clone())).map(drop)
    }

    fn downlinks(&self) -> watch::Receiver<Vec<Downlink>> {
        watch::Sender::default().subscribe()
    }

    /// The private address stands in it.
    fn mac(&self, _: &VpcId, private: Ipv4Addr) -> Option<[u8; 6]> {
        let [a, b, c, d] = private.octets();
        Some([0x52, 0x54, a, b, c, d])
    }

    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(self.clone())
    }

    fn status(&self) -> PlaneStatus {
        let link = |interface: &str, side: &str, vpc: Option<&str>, mode: Option<&str>| LinkStatus {
            interface: interface.into(),
            tags: vec![],
            side: side.into(),
            vpc: vpc.map(Into::into),
            attached: mode.is_some(),
            mode: mode.map(Into::into),
            ifindex: mode.map(|_| 2),
            mtu: mode.map(|_| 1500),
            up: mode.is_some(),
        };
        let recording = self.recording();
        PlaneStatus {
            program_id: Some(42),
            guard: true,
            links: vec![
                link("eth0", "uplink", None, Some("native")),
                link("eth1", "downlink", Some("vpc-default"), None),
            ],
            maps: vec![MapUse { name: "OUTBOUND".into(), entries: recording.maps.len() as u64, capacity: 3 }],
            next_hops: HopStatus::default(),
            problems: recording.problems.clone(),
        }
    }
}

impl Meter for Detached {
    fn verdicts(&self) -> Result<Vec<VerdictRow>> {
        ensure!(!self.recording().fails, "the kernel said no");
        let row =
            |verdict, action, packets| VerdictRow { verdict, action, packets, bytes: 60 * packets, explanation: "" };
        Ok(vec![row("inbound", "forward", 7), row("unknown-source", "drop", 2)])
    }

    /// Each address has carried as many packets as its last number.
    fn busiest(&self, most: usize) -> Result<Vec<AddressTraffic>> {
        let mut all: Vec<Ipv4Addr> = self.recording().maps.values().copied().flatten().collect();
        all.sort_by_key(|public| std::cmp::Reverse(public.octets()[3]));
        let traffic = |public: Ipv4Addr| Traffic { packets_in: public.octets()[3].into(), ..Traffic::default() };
        Ok(all.into_iter().take(most).map(|public| AddressTraffic { public, traffic: traffic(public) }).collect())
    }

    fn of(&self, addresses: &[Ipv4Addr]) -> Result<Vec<AddressTraffic>> {
        let all = self.busiest(usize::MAX)?;
        let traffic = |public: &Ipv4Addr| all.iter().find(|one| one.public == *public).cloned();
        Ok(addresses.iter().filter_map(traffic).collect())
    }
}
