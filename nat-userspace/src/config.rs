//! What the operator decides: the configuration file, overridden by flags, checked before anything is touched.

mod file;
mod keys;
mod link;
mod log;
mod metadata;
mod places;
mod policy;
#[cfg(test)]
mod tests;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::SignedDuration;
use nat_common::abi::{Vpc, vpc_number};
use serde::Deserialize;

use crate::address::{Prefix, VpcId};
use crate::dataplane::{MAX_PAIRS, Mode, ProgramLog};

pub use self::keys::{Difference, Effect};
pub use self::link::{DEFAULT_VPC, Downlink, Link, PrivateRange};
pub use self::log::{LogFormat, LogLevel};
pub use self::metadata::MetadataToken;
pub use self::places::Places;
pub use self::policy::{OnBindChoice, OnUnbindChoice};

/// Read where no `--config` is given, if it exists.
pub const DEFAULT_FILE: &str = "/etc/eipgate/eipgate.toml";
/// The admin socket.
pub const DEFAULT_SOCKET: &str = "/run/eipgate/eipgate.sock";
/// Pinned programs and maps.
pub const DEFAULT_BPF_DIR: &str = "/run/eipgate/bpf";
/// The durable state.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/eipgate";

/// The longest VPC name that the maps can hold.
const LONGEST_VPC: usize = size_of_val(&Vpc { fib_ifindex: 0, name_length: 0, name: [0; 32] }.name);
/// Most instances the maps are ever made for.
const MOST_INSTANCES: u32 = 4_000_000;
/// The most addresses one entry of `exclude` may span; each is kept by itself.
const MOST_EXCLUDED: u64 = 1 << 16;
/// Most addresses that have metrics of their own; each is four series.
const MOST_METERED: u32 = 1000;

/// Every setting; `packaging/eipgate.toml` explains each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the sample configuration explains each key, and a test holds it to this list")]
pub struct Config {
    #[serde(deserialize_with = "file::texts")]
    pub uplinks: Vec<Link>,
    #[serde(deserialize_with = "file::texts")]
    pub downlinks: Vec<Downlink>,
    #[serde(deserialize_with = "file::texts")]
    pub pools: Vec<Prefix>,
    #[serde(deserialize_with = "file::texts")]
    pub exclude: Vec<Prefix>,
    pub allow_reserved_pools: bool,
    #[serde(deserialize_with = "file::texts")]
    pub private_ranges: Vec<PrivateRange>,
    #[serde(deserialize_with = "file::time_span")]
    pub cool_down: Duration,
    pub ordinary_ip_on_bind: OnBindChoice,
    pub ordinary_ip_on_unbind: OnUnbindChoice,
    pub return_ordinary_ip: bool,
    pub change_ordinary_ip: bool,
    pub eips_per_account: u32,
    pub reallocations_per_day: u32,
    #[serde(deserialize_with = "file::time_span")]
    pub recycle_bin: Duration,
    #[serde(deserialize_with = "file::text")]
    pub xdp_mode: Mode,
    pub state_dir: PathBuf,
    pub bpf_dir: PathBuf,
    pub socket: PathBuf,
    #[serde(deserialize_with = "file::permissions")]
    pub socket_mode: u32,
    pub socket_group: Option<String>,
    #[serde(deserialize_with = "file::texts")]
    pub martian_exceptions: Vec<Prefix>,
    pub max_pairs: u32,
    pub max_instances: u32,
    pub counters: bool,
    pub icmp_errors_per_second: u32,
    pub icmp_error_burst: u32,
    pub monitor_per_second: u32,
    #[serde(deserialize_with = "file::text")]
    pub program_log: ProgramLog,
    pub allow_private_mount: bool,
    #[serde(deserialize_with = "file::text")]
    pub log_level: LogLevel,
    #[serde(deserialize_with = "file::text")]
    pub log_format: LogFormat,
    pub metrics_listen: Option<SocketAddr>,
    pub metrics_anywhere: bool,
    pub metrics_top: u32,
    pub credentials: Option<PathBuf>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub region: String,
    pub zone: String,
    pub api_listen: Option<SocketAddr>,
    pub api_anywhere: bool,
    pub api_changes_per_second: u32,
    pub api_reads_per_second: u32,
    pub api_weak_signatures: bool,
    pub console_listen: Option<SocketAddr>,
    pub console_anywhere: bool,
    pub console_names: Vec<String>,
    pub metadata: bool,
    pub metadata_token: MetadataToken,
    pub metadata_per_second: u32,
    pub metadata_hop_limit: u8,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            uplinks: Vec::new(),
            downlinks: Vec::new(),
            pools: Vec::new(),
            exclude: Vec::new(),
            allow_reserved_pools: false,
            private_ranges: Vec::new(),
            cool_down: Duration::from_secs(600),
            ordinary_ip_on_bind: OnBindChoice::Release,
            ordinary_ip_on_unbind: OnUnbindChoice::New,
            return_ordinary_ip: false,
            change_ordinary_ip: false,
            eips_per_account: 20,
            reallocations_per_day: 0,
            recycle_bin: Duration::from_secs(7 * 24 * 3600),
            xdp_mode: Mode::Native,
            state_dir: DEFAULT_STATE_DIR.into(),
            bpf_dir: DEFAULT_BPF_DIR.into(),
            socket: DEFAULT_SOCKET.into(),
            socket_mode: 0o660,
            socket_group: None,
            martian_exceptions: Vec::new(),
            max_pairs: 65_536,
            max_instances: 65_536,
            counters: true,
            icmp_errors_per_second: 100,
            icmp_error_burst: 50,
            monitor_per_second: 2000,
            program_log: ProgramLog::Off,
            allow_private_mount: false,
            log_level: LogLevel::Info,
            log_format: LogFormat::Auto,
            metrics_listen: None,
            metrics_anywhere: false,
            metrics_top: 0,
            credentials: None,
            tls_certificate: None,
            tls_key: None,
            region: "ap-guangzhou".into(),
            zone: "ap-guangzhou-1".into(),
            api_listen: None,
            api_anywhere: false,
            api_changes_per_second: 10,
            api_reads_per_second: 100,
            api_weak_signatures: false,
            console_listen: None,
            console_anywhere: false,
            console_names: Vec::new(),
            metadata: false,
            metadata_token: MetadataToken::Optional,
            metadata_per_second: 100,
            metadata_hop_limit: 64,
        }
    }
}

/// What the command line says; what it does not say is left to the file.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "named like the settings they override")]
pub struct Overrides {
    pub uplinks: Vec<Link>,
    pub downlinks: Vec<Downlink>,
    pub pools: Vec<Prefix>,
    pub allow_reserved_pools: bool,
    pub cool_down: Option<Duration>,
    pub xdp_mode: Option<Mode>,
    pub state_dir: Option<PathBuf>,
    pub bpf_dir: Option<PathBuf>,
    pub socket: Option<PathBuf>,
}

impl Config {
    /// The file, or the default one where it exists, overridden by flags and checked. A list given by flags replaces
    /// the file's list.
    pub fn load(file: Option<&Path>, flags: Overrides) -> Result<Config> {
        let mut config = Config::read(file)?;
        config.apply(flags);
        config.check()?;
        Ok(config)
    }

    /// What the file says, or the usual one where there is any. It need not be enough to start with: flags may say the rest.
    pub fn read(file: Option<&Path>) -> Result<Config> {
        let default = Path::new(DEFAULT_FILE);
        match file {
            Some(path) => file::read(path),
            None if default.exists() => file::read(default),
            None => Ok(Config::default()),
        }
    }

    fn apply(&mut self, flags: Overrides) {
        fn replace<T>(setting: &mut T, flag: Option<T>) {
            if let Some(flag) = flag {
                *setting = flag;
            }
        }
        fn given<T>(flags: Vec<T>) -> Option<Vec<T>> {
            (!flags.is_empty()).then_some(flags)
        }
        replace(&mut self.uplinks, given(flags.uplinks));
        replace(&mut self.downlinks, given(flags.downlinks));
        replace(&mut self.pools, given(flags.pools));
        self.allow_reserved_pools |= flags.allow_reserved_pools;
        replace(&mut self.cool_down, flags.cool_down);
        replace(&mut self.xdp_mode, flags.xdp_mode);
        replace(&mut self.state_dir, flags.state_dir);
        replace(&mut self.bpf_dir, flags.bpf_dir);
        replace(&mut self.socket, flags.socket);
    }

    /// What can be judged without looking at the machine.
    fn check(&self) -> Result<()> {
        ensure!(!self.uplinks.is_empty(), "no uplink is given; name the interface towards the Internet with --uplink");
        ensure!(
            !self.downlinks.is_empty(),
            "no downlink is given; name the interface towards the instances with --downlink"
        );
        let mut seen = BTreeSet::new();
        for link in self.uplinks.iter().chain(self.downlinks.iter().map(|downlink| &downlink.link)) {
            ensure!(seen.insert(link), "link {link} is given twice; a link is one uplink or one downlink");
        }
        check_vpcs(self.downlinks.iter().map(|downlink| &downlink.vpc))?;
        for prefix in &self.exclude {
            ensure!(prefix.size() <= MOST_EXCLUDED, "exclude {prefix} is too large; shrink the pool instead");
        }
        ensure!(self.max_pairs > 0 && self.max_instances > 0, "max_pairs and max_instances must be at least 1");
        ensure!(self.max_pairs <= MAX_PAIRS, "max_pairs must be at most {MAX_PAIRS}, what one gateway can hold");
        ensure!(self.max_instances <= MOST_INSTANCES, "max_instances must be at most {MOST_INSTANCES}");
        ensure!(self.socket.is_absolute(), "the socket {} must be an absolute path", self.socket.display());
        if let Some(address) = self.metrics_listen {
            ensure!(
                address.ip().is_loopback() || self.metrics_anywhere,
                "metrics_listen {address} can be reached from other hosts; take an address of the loopback, like \
                 127.0.0.1:{}, or set metrics_anywhere = true",
                address.port()
            );
        }
        ensure!(self.metrics_top <= MOST_METERED, "metrics_top must be at most {MOST_METERED}");
        ensure!(self.metadata_hop_limit > 0, "metadata_hop_limit must be at least 1, or no answer leaves the gateway");
        web::check(self)
    }

    /// Every address never to be handed out.
    pub fn excluded(&self) -> Vec<Ipv4Addr> {
        let bits = self.exclude.iter().flat_map(|prefix| prefix.first().to_bits()..=prefix.last().to_bits());
        bits.map(Ipv4Addr::from_bits).collect()
    }

    /// The VPCs that downlinks belong to, ascending.
    pub fn vpcs(&self) -> BTreeSet<VpcId> {
        self.downlinks.iter().map(|downlink| downlink.vpc.clone()).collect()
    }
}

/// Refuses VPC names that the maps cannot hold or cannot tell apart.
pub fn check_vpcs<'a>(vpcs: impl Iterator<Item = &'a VpcId>) -> Result<()> {
    let mut numbers: BTreeMap<u32, &VpcId> = BTreeMap::new();
    for vpc in vpcs {
        ensure!(
            vpc.as_str().len() <= LONGEST_VPC,
            "VPC name {vpc} is longer than {LONGEST_VPC} characters; shorten it"
        );
        let other = numbers.insert(vpc_number(vpc.as_str()), vpc);
        if let Some(other) = other.filter(|other| *other != vpc) {
            bail!("VPC names {other} and {vpc} have the same number in the maps; rename one of them");
        }
    }
    Ok(())
}

/// Reads a time span as people write it: `10m`, `1h 30m`, `0s`.
pub fn parse_time_span(text: &str) -> Result<Duration> {
    let span: SignedDuration = text.parse().with_context(|| format!("{text:?} is not a time; write it like 10m"))?;
    Duration::try_from(span).with_context(|| format!("{text:?} is negative"))
}
