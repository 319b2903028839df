//! Changes of pairs while packets flow: how soon the next packet knows, how many there can be, what they cost the others.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::maps::{HashMap, MapData};
use nat_userspace::address::VpcId;
use nat_userspace::dataplane::{Host, Unattended, inspect};
use serde::Serialize;

use super::addresses::{OTHER_PRIVATE, Pairs, private};
use super::eipgate;
use super::gateway::{Kind, Standing};
use super::kit::{Kit, Remote, cpus};
use super::meter::{self, Place, Run, monotonic};
use super::stats::{Summary, quantile};
use super::traffic::Traffic;
use super::verify::Expected;
use super::wires::{self, INBOUND, Stream};
use crate::lab::wait::RaisedAtEnd;

/// Something that rebinds pairs of a gateway that forwards meanwhile.
pub trait Rebind: Send {
    /// Has the public address of a pair lead to another private address, from the next packet on.
    fn rebind(&mut self, index: u32, private: Ipv4Addr) -> Result<()>;

    /// Packets that met a pair between its old binding and its new one, and were dropped and counted for that.
    fn refused(&self) -> Result<u64> {
        Ok(0)
    }
}

/// The pairs of the reference gateway.
pub struct HashPairs {
    map: HashMap<MapData, u32, u32>,
    pairs: Pairs,
}

impl Rebind for HashPairs {
    fn rebind(&mut self, index: u32, private: Ipv4Addr) -> Result<()> {
        let [public, private] = [self.pairs.public(index), private].map(|address| u32::from_ne_bytes(address.octets()));
        self.map.insert(public, private, 0).context("the pair cannot be changed")
    }
}

/// The pairs of eipgate, through what its daemon does to the maps for an event: an instance goes, another comes and gets
/// the address.
pub struct Bindings {
    maps: Unattended,
    directory: PathBuf,
    vpc: VpcId,
    pairs: Pairs,
    /// Where each pair leads at present.
    private: Vec<Ipv4Addr>,
}

impl Bindings {
    fn of(standing: &Standing) -> Result<Bindings> {
        let daemon = standing.daemon.as_ref().context("eipgate has a daemon")?;
        // Killed, not stopped: a daemon that takes its leave has packets ask the kernel for their way.
        daemon.kill()?;
        let (vpc, pairs, directory) = ("vpc-default".parse()?, standing.pairs, daemon.maps());
        let plan = eipgate::plan(daemon, pairs, &vpc)?;
        let open =
            || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(Unattended::open(&plan));
        let maps = standing.site.gateway().run(open)?;
        let private = pairs.all().map(|(_, private)| private).collect();
        Ok(Bindings { maps, directory, vpc, pairs, private })
    }

    fn host(&self, private: Ipv4Addr, public: Option<Ipv4Addr>) -> Host {
        Host { vpc: self.vpc.clone(), private, public }
    }
}

impl Rebind for Bindings {
    fn rebind(&mut self, index: u32, private: Ipv4Addr) -> Result<()> {
        let before = std::mem::replace(&mut self.private[index as usize], private);
        let host = self.host(private, Some(self.pairs.public(index)));
        self.maps.make_room(&host)?;
        self.maps.remove(&self.vpc, before)?;
        self.maps.set(&host)
    }

    fn refused(&self) -> Result<u64> {
        let rows = inspect::open(&self.directory)?.verdicts()?;
        Ok(rows.iter().filter(|row| row.verdict == "unbound-address").map(|row| row.packets).sum())
    }
}

/// The gateways whose pairs are changed.
pub const KINDS: [Kind; 2] = [Kind::Hash, Kind::Eipgate];

/// What rebinds the pairs of a gateway, which nothing else changes meanwhile.
pub fn rebinder(standing: &mut Standing) -> Result<Box<dyn Rebind>> {
    let pairs = standing.pairs;
    match standing.kind {
        Kind::Hash => {
            let programs = standing.programs.as_mut().context("the reference gateway has programs")?;
            Ok(Box::new(HashPairs { map: programs.take_pairs()?, pairs }))
        }
        Kind::Eipgate => Ok(Box::new(Bindings::of(standing)?)),
        other => bail!("the pairs of {} cannot be changed from here", other.name()),
    }
}

/// What changes of one gateway's pairs came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// The gateway.
    pub gateway: &'static str,
    /// Pairs loaded.
    pub pairs: u32,
    /// From the call until the sink sees the new address, in microseconds, each.
    pub latencies_us: Vec<f64>,
    /// Changes a second without traffic, in each round.
    pub per_second: Vec<f64>,
    /// CPU time of a packet in nanoseconds, in each round: quiet, ten thousand changes a second, as many as there can be.
    pub quiet_ns: Vec<f64>,
    /// At ten thousand changes a second.
    pub paced_ns: Vec<f64>,
    /// At full speed.
    pub full_ns: Vec<f64>,
    /// Changes a second while packets flowed, at full speed.
    pub full_per_second: Vec<f64>,
    /// Packets that did not arrive in any of it, without those of `refused`.
    pub lost: u64,
    /// Packets that did not arrive of those to pairs that stayed as they were, while others changed at full speed.
    pub lost_beside: u64,
    /// Packets that met their own pair while it changed, and were dropped and counted for that.
    pub refused: u64,
    /// Packets seen that had gone to a wrong address, of those sampled.
    pub wrong: u64,
    /// Packets whose every byte was looked at.
    pub sampled: u64,
}

impl Changes {
    /// The latency below which this part of all lies, in microseconds.
    pub fn latency(&self, part: f64) -> f64 {
        quantile(&self.latencies_us, part)
    }

    /// What packets cost more than when it is quiet, as a part of that; the median over rounds.
    pub fn disturbance(&self, costs: &[f64]) -> Option<f64> {
        let ratios: Vec<f64> = costs.iter().zip(&self.quiet_ns).map(|(cost, quiet)| cost / quiet - 1.0).collect();
        Summary::of(&ratios).map(|summary| summary.median)
    }
}

/// How fast to change pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Never,
    Every(Duration),
    Always,
}

/// Which pairs lead to their other private address at present.
struct Turned {
    pairs: Pairs,
    turned: Vec<bool>,
}

impl Turned {
    /// Where a pair is to lead next.
    fn next(&mut self, index: u32) -> Ipv4Addr {
        let turned = &mut self.turned[index as usize];
        *turned = !*turned;
        self.private(index)
    }

    fn private(&self, index: u32) -> Ipv4Addr {
        if self.turned[index as usize] { private(OTHER_PRIVATE, index) } else { self.pairs.private(index) }
    }
}

/// Measures changes of a gateway's pairs.
pub fn measure(
    kit: &mut Kit,
    standing: &Standing,
    rebind: &mut dyn Rebind,
    rounds: usize,
    turn: Duration,
) -> Result<Changes> {
    let pairs = standing.pairs;
    let mut turned = Turned { pairs, turned: vec![false; pairs.count as usize] };
    let mut changes = Changes { gateway: standing.kind.name(), pairs: pairs.count, ..Changes::default() };
    let place = Place { port: &standing.site.gen0, cpu: cpus() - 1, program: "generate" };
    let stream = standing.site.stream(&Traffic::new(INBOUND, pairs));
    let trial = meter::run(kit, place, stream, 20_000)?;
    let packets = (turn.as_nanos() as f64 / trial.cost().max(1.0)) as u32;
    for _ in 0..rounds {
        changes.latencies_us.extend(latencies(kit, place, stream, packets, rebind, &mut turned)?);
        changes.per_second.push(sustained(rebind, &mut turned, turn)?);
        // The lower half stays as it is.
        let beside = Pairs { count: pairs.count / 2, ..pairs };
        let paces = [
            (Pace::Never, pairs),
            (Pace::Every(Duration::from_micros(100)), pairs),
            (Pace::Always, pairs),
            (Pace::Always, beside),
        ];
        for (pace, to) in paces {
            let traffic = Traffic::new(INBOUND, to);
            let Pass { run, rate, refused } =
                disturbed(kit, standing, traffic, packets, rebind, &mut turned, pace, &mut changes)?;
            match (pace, to == pairs) {
                (Pace::Never, _) => changes.quiet_ns.push(run.cost()),
                (Pace::Every(_), _) => changes.paced_ns.push(run.cost()),
                (Pace::Always, true) => {
                    changes.full_ns.push(run.cost());
                    changes.full_per_second.push(rate);
                }
                // Nothing excuses a loss here: what met its own pair while that changed, was not sent.
                (Pace::Always, false) => {
                    changes.lost_beside += run.lost();
                    continue;
                }
            }
            changes.refused += refused;
            changes.lost += run.lost().saturating_sub(refused);
        }
    }
    Ok(changes)
}

/// Rebinds single pairs whose packets flow and notes when the sink first sees the new address.
fn latencies(
    kit: &mut Kit,
    place: Place<'_>,
    stream: Stream,
    packets: u32,
    rebind: &mut dyn Rebind,
    turned: &mut Turned,
) -> Result<Vec<f64>> {
    let mut remote = kit.remote()?;
    let over = AtomicBool::new(false);
    let of_pair = Traffic::new(INBOUND, turned.pairs);
    kit.set_stream(of_pair.of_pair(0)(stream))?;
    let mut found = Vec::new();
    thread::scope(|scope| {
        let _over = RaisedAtEnd(&over);
        let generator = scope.spawn(|| {
            let _over = RaisedAtEnd(&over);
            meter::generate(kit, place, stream.length, packets)
        });
        while !over.load(Ordering::Relaxed) {
            let index = fastrand::u32(0..turned.pairs.count);
            remote.set_stream(of_pair.of_pair(index)(stream))?;
            let seen = |remote: &mut Remote, address: Ipv4Addr| {
                remote.set_watch(wires::WATCH, address.to_bits())?;
                remote.wait_to_see(&over)
            };
            if seen(&mut remote, turned.private(index))?.is_none() {
                break;
            }
            let new = turned.next(index);
            remote.set_watch(wires::WATCH, new.to_bits())?;
            let began = monotonic();
            rebind.rebind(index, new)?;
            let Some(at) = remote.wait_to_see(&over)? else { break };
            // A packet of before may have been noted while the watch was set.
            if at >= began {
                found.push((at - began) as f64 / 1e3);
            }
        }
        over.store(true, Ordering::Relaxed);
        generator.join().expect("it returns its errors").map(drop)
    })?;
    remote.set_watch(wires::COUNT, 0)?;
    Ok(found)
}

/// Changes a second, one after the other, while no packets flow.
fn sustained(rebind: &mut dyn Rebind, turned: &mut Turned, turn: Duration) -> Result<f64> {
    let began = Instant::now();
    let mut count = 0u32;
    while began.elapsed() < turn {
        for _ in 0..64 {
            let index = fastrand::u32(0..turned.pairs.count);
            rebind.rebind(index, turned.next(index))?;
            count += 1;
        }
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// One pass of packets while pairs change.
struct Pass {
    run: Run,
    /// Changes a second.
    rate: f64,
    /// Packets that met their own pair while it changed.
    refused: u64,
}

/// Sends packets while pairs of the upper half change.
#[expect(clippy::too_many_arguments, reason = "the parts of one measurement, used once")]
fn disturbed(
    kit: &mut Kit,
    standing: &Standing,
    traffic: Traffic,
    packets: u32,
    rebind: &mut dyn Rebind,
    turned: &mut Turned,
    pace: Pace,
    changes: &mut Changes,
) -> Result<Pass> {
    let stream = standing.site.stream(&traffic);
    let place = Place { port: &standing.site.gen0, cpu: cpus() - 1, program: "generate" };
    let pairs = turned.pairs;
    // Pairs below have been turned by earlier measurements; they go back and stay.
    for index in 0..pairs.count / 2 {
        if turned.turned[index as usize] {
            rebind.rebind(index, turned.next(index))?;
        }
    }
    kit.sightings()?;
    kit.set_watch(wires::SAMPLE, 0)?;
    let refused = rebind.refused()?;
    let over = AtomicBool::new(false);
    let (run, rate) = thread::scope(|scope| {
        let _over = RaisedAtEnd(&over);
        let generator = scope.spawn(|| {
            let _over = RaisedAtEnd(&over);
            meter::run(kit, place, stream, packets)
        });
        let began = Instant::now();
        let mut count = 0u32;
        while !over.load(Ordering::Relaxed) {
            let due = match pace {
                Pace::Never => false,
                Pace::Every(apart) => began.elapsed() >= apart * count,
                Pace::Always => true,
            };
            if due {
                let index = fastrand::u32(pairs.count / 2..pairs.count);
                rebind.rebind(index, turned.next(index))?;
                count += 1;
            } else if pace == Pace::Never {
                thread::park_timeout(Duration::from_millis(1));
            } else {
                std::hint::spin_loop();
            }
        }
        let run = generator.join().expect("it returns its errors")?;
        anyhow::Ok((run, f64::from(count) / began.elapsed().as_secs_f64()))
    })?;
    kit.set_watch(wires::COUNT, 0)?;
    let mut expected = Expected::at(&standing.site, traffic, standing.kind.work());
    expected.rebound = Some((pairs.count / 2, OTHER_PRIVATE));
    for frame in kit.sightings()? {
        changes.sampled += 1;
        changes.wrong += u64::from(expected.check(&frame.0).is_err());
    }
    Ok(Pass { run, rate, refused: rebind.refused()? - refused })
}
