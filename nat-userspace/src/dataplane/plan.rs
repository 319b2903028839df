//! What the data plane is asked to be: links, pools, limits; and what it is told about instances.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::address::{Prefix, VpcId};

use super::limits::Limits;

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// In the driver.
    #[default]
    Native,
    /// In the stack, slower, for drivers without XDP.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Native => "native",
            Mode::Generic => "generic",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "native" => Ok(Mode::Native),
            "generic" => Ok(Mode::Generic),
            _ => Err(format!("`{text}` is no XDP mode; take native or generic")),
        }
    }
}

/// How much the program itself logs, for whoever debugs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProgramLog {
    /// Nothing; the verifier removes the code.
    #[default]
    Off,
    /// Errors.
    Error,
    /// And warnings.
    Warn,
    /// And what is worth knowing.
    Info,
    /// And each drop.
    Debug,
    /// And everything.
    Trace,
}

impl FromStr for ProgramLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(ProgramLog::Off),
            "error" => Ok(ProgramLog::Error),
            "warn" => Ok(ProgramLog::Warn),
            "info" => Ok(ProgramLog::Info),
            "debug" => Ok(ProgramLog::Debug),
            "trace" => Ok(ProgramLog::Trace),
            _ => Err(format!("`{text}` is no log level; take off, error, warn, info, debug or trace")),
        }
    }
}

impl fmt::Display for ProgramLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProgramLog::Off => "off",
            ProgramLog::Error => "error",
            ProgramLog::Warn => "warn",
            ProgramLog::Info => "info",
            ProgramLog::Debug => "debug",
            ProgramLog::Trace => "trace",
        })
    }
}

/// An uplink or a downlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// Name of the interface the program is attached to.
    pub interface: String,
    /// VLAN ids, outermost first, at most two.
    pub tags: Vec<u16>,
    /// The VPC of a downlink; `None` for an uplink.
    pub vpc: Option<VpcId>,
}

impl fmt::Display for LinkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        for (position, tag) in self.tags.iter().enumerate() {
            write!(f, "{}{tag}", if position == 0 { ":" } else { "." })?;
        }
        Ok(())
    }
}

/// Everything the data plane is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Links towards the Internet.
    pub uplinks: Vec<LinkPlan>,
    /// Links towards the instances.
    pub downlinks: Vec<LinkPlan>,
    /// The public ranges.
    pub pools: Vec<Prefix>,
    /// Where the program runs.
    pub mode: Mode,
    /// Directory of the pins; a bpffs is mounted there where none is.
    pub bpf_dir: PathBuf,
    /// Directory of the record of the host's own settings.
    pub state_dir: PathBuf,
    /// Sizes of the maps.
    pub limits: Limits,
    /// Debugging log of the program.
    pub program_log: ProgramLog,
    /// Go on in a mount namespace that may die with its process and take the pins along.
    pub allow_private_mount: bool,
    /// Whether instances can ask about themselves, at link-local addresses of the gateway's.
    pub metadata: bool,
    /// What can change while it serves.
    pub tuning: Tuning,
}

/// What the data plane can be asked to change while it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Martian sources that are accepted on uplinks, for routers numbered in private space.
    pub martian_exceptions: Vec<Prefix>,
    /// ICMP errors to one sender a second.
    pub icmp_errors_per_second: u32,
    /// ICMP errors to one sender at once.
    pub icmp_error_burst: u32,
    /// Packets the monitor may report a second, on each CPU.
    pub monitor_per_second: u32,
}

impl Plan {
    /// Every link.
    pub fn links(&self) -> impl Iterator<Item = &LinkPlan> {
        self.uplinks.iter().chain(&self.downlinks)
    }
}

/// An instance as the packet path knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its VPC.
    pub vpc: VpcId,
    /// Its private address.
    pub private: Ipv4Addr,
    /// Its public address, if it has one.
    pub public: Option<Ipv4Addr>,
}
