//! Packets as the program judged them: what tcpdump on the gateway cannot show, because redirected frames never reach
//! the kernel's stack.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, MapData, RingBuf};
use nat_common::abi::{Bucket, Event, ICMP_BUCKETS, MONITOR_BUCKETS, Settings};
use nat_common::verdict::{Action, Verdict};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use zerocopy::FromBytes as _;

use super::counters::sum;
use super::pins::Pins;
use super::sys::monotonic_nanoseconds;

/// How long the program goes on reporting after the last sign of a watcher, so that one that is killed costs nothing
/// for long.
const LEASE: Duration = Duration::from_secs(3);

/// Which packets to report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only those that show this address, before or after.
    pub address: Option<Ipv4Addr>,
    /// Only those that were dropped.
    pub drops: bool,
}

/// A packet as the program judged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Nanoseconds on the clock that started with the machine.
    pub time: u64,
    /// Interface it came by.
    pub ifindex: u32,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// Name of the verdict.
    pub verdict: &'static str,
    /// Whether it was dropped.
    pub dropped: bool,
    /// What the verdict means.
    pub explanation: &'static str,
    /// Its addresses as it arrived; absent where it is not IPv4.
    pub before: Option<Endpoints>,
    /// Its addresses as it left; absent where it was not translated.
    pub after: Option<Endpoints>,
    /// IP protocol number.
    pub protocol: u8,
    /// IP total length, or the frame's where it is not IPv4.
    pub length: u32,
}

/// Two ends of a packet. Ports are those of TCP, UDP and the like; for ICMP the first holds type and code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// Source address.
    pub source: Ipv4Addr,
    /// Source port, 0 for none.
    pub source_port: u16,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Destination port, 0 for none.
    pub destination_port: u16,
}

/// Reports packets until `tell` breaks. Returns how many more there were than the rate limit let through.
///
/// # Errors
/// No maps there, or another monitor at work: the ring has one reader.
pub fn run(
    bpf_dir: &Path,
    filter: Filter,
    mut tell: impl FnMut(Option<Observation>) -> ControlFlow<()>,
) -> Result<u64> {
    let pins = Pins::under(bpf_dir);
    pins.check_layout()?;
    let mut settings: Array<MapData, Settings> = pins.open("SETTINGS")?;
    let buckets: Array<MapData, Bucket> = pins.open("BUCKETS")?;
    let mut ring: RingBuf<MapData> = pins.open("EVENTS")?;
    let directory = std::fs::File::open(pins.directory()).context("opening the pin directory")?;
    let _only = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err(_) => bail!("another eipgate monitor is running on this gateway; stop it first"),
    };
    while ring.next().is_some() {}
    let before = refused(&buckets)?;
    let mut renewed = 0;
    loop {
        let now = monotonic_nanoseconds();
        if now > renewed + Duration::from_secs(1).as_nanos() as u64 {
            renewed = now;
            write(&mut settings, filter, now + LEASE.as_nanos() as u64)?;
        }
        let mut fds = [PollFd::new(ring.as_fd(), PollFlags::POLLIN)];
        let ready = match poll(&mut fds, PollTimeout::from(200u8)) {
            Ok(count) => count > 0,
            Err(nix::errno::Errno::EINTR) => false,
            Err(error) => return Err(error).context("waiting for the program's reports"),
        };
        let mut flow = if ready { ControlFlow::Continue(()) } else { tell(None) };
        while flow.is_continue() {
            let Some(item) = ring.next() else { break };
            let Ok(event) = Event::read_from_bytes(&item) else { continue };
            drop(item);
            if let Some(observation) = observation(&event) {
                flow = tell(Some(observation));
            }
        }
        if flow.is_break() {
            write(&mut settings, Filter::default(), 0)?;
            return Ok(refused(&buckets)?.wrapping_sub(before));
        }
    }
}

fn write(settings: &mut Array<MapData, Settings>, filter: Filter, until: u64) -> Result<()> {
    let now = settings.get(&0, 0).context("reading SETTINGS")?;
    let wanted = Settings {
        monitor_until: until,
        monitor_address: filter.address.map_or([0; 4], |address| address.octets()),
        monitor_drops: u32::from(filter.drops),
        ..now
    };
    settings.set(0, wanted, 0).context("switching the monitor in SETTINGS")
}

fn refused(buckets: &Array<MapData, Bucket>) -> Result<u64> {
    let refused = |index: u32| anyhow::Ok(buckets.get(&index, 0).context("reading BUCKETS")?.refused);
    let of_each: Vec<u64> = (ICMP_BUCKETS..ICMP_BUCKETS + MONITOR_BUCKETS).map(refused).collect::<Result<_>>()?;
    Ok(sum(of_each))
}

/// An event in words; `None` for a verdict of another version.
pub fn observation(event: &Event) -> Option<Observation> {
    let verdict = Verdict::from_index(event.verdict)?;
    let ends = |source: [u8; 4], destination: [u8; 4]| Endpoints {
        source: source.into(),
        source_port: u16::from_be_bytes(event.source_port),
        destination: destination.into(),
        destination_port: u16::from_be_bytes(event.destination_port),
    };
    let translated = event.source_after != [0; 4] || event.destination_after != [0; 4];
    Some(Observation {
        time: event.time,
        ifindex: event.ifindex,
        vlans: [event.outer, event.inner].into_iter().filter(|vlan| *vlan != 0).collect(),
        verdict: verdict.name(),
        dropped: verdict.action() == Action::Drop,
        explanation: verdict.explanation(),
        before: (event.is_ipv4 != 0).then(|| ends(event.source, event.destination)),
        after: translated.then(|| ends(event.source_after, event.destination_after)),
        protocol: event.protocol,
        length: event.length,
    })
}
