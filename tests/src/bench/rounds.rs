//! The rows in turn, round after round, each verified before it is timed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::addresses::Pairs;
use super::gateway::{self, Ends, Kind, Standing};
use super::kernel;
use super::kit::{Kit, cpus};
use super::loading::Loading;
use super::meter::{self, BATCH, Place, Run};
use super::progress::Progress;
use super::rows::{Part, Row, short};
use super::stats::Summary;
use super::verify::{self, Expected};
use super::wires;
use crate::lab::remains::Undo;
use crate::lab::wait;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Turns of each row in the first part.
    pub rounds: usize,
    /// Turns of each row in the parts after it.
    pub later_rounds: usize,
    /// Length of a turn.
    pub turn: Duration,
    /// Pairs of a row that are verified.
    pub verified: u32,
    /// Packets of a turn in which each is a new flow, for gateways that remember flows.
    pub new_flows: u32,
}

impl Effort {
    /// For figures that are kept.
    pub const FULL: Effort = Effort {
        rounds: 9,
        later_rounds: 5,
        turn: Duration::from_millis(200),
        verified: 1_000_000,
        new_flows: 100_000,
    };
    /// For a first look.
    pub const QUICK: Effort =
        Effort { rounds: 3, later_rounds: 3, turn: Duration::from_millis(50), verified: 4_096, new_flows: 20_000 };
}

/// One turn of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// In which part of the run.
    pub part: usize,
    /// In which round of it.
    pub round: usize,
    /// CPU time of a packet in nanoseconds, generator and sink included.
    pub cpu_ns: f64,
    /// That less the zero row's of the same round.
    pub gw_ns: f64,
    /// Packets made.
    pub sent: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Packets a second of the one core, in millions.
    pub mpps: f64,
}

/// What came of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Its name.
    pub row: String,
    /// Why it counts for nothing, if it does.
    pub void: Option<String>,
    /// Every turn.
    pub samples: Vec<Sample>,
}

impl Measured {
    /// A quantity of all turns, or of those in one part of the run.
    pub fn summary(&self, part: Option<usize>, quantity: impl Fn(&Sample) -> f64) -> Option<Summary> {
        let chosen = self.samples.iter().filter(|sample| part.is_none_or(|part| sample.part == part));
        Summary::of(&chosen.map(quantity).collect::<Vec<_>>())
    }

    /// Packets of all turns that did not arrive.
    pub fn lost(&self) -> u64 {
        self.samples.iter().map(|sample| sample.lost).sum()
    }
}

/// Gateways that stand, by what they are.
pub type Sites = BTreeMap<(Kind, Pairs), Standing>;

/// What the run has come to so far.
#[derive(Default)]
pub struct Outcome {
    /// In the order of the rows.
    pub measured: Vec<Measured>,
    /// By the name of gateway and pairs.
    pub loadings: BTreeMap<String, Loading>,
}

impl Outcome {
    fn of(&mut self, row: &Row) -> &mut Measured {
        let name = row.name();
        let at = self.measured.iter().position(|measured| measured.row == name);
        let at = at.unwrap_or_else(|| {
            self.measured.push(Measured { row: name, ..Measured::default() });
            self.measured.len() - 1
        });
        &mut self.measured[at]
    }
}

/// Where rows of a direction are generated.
pub fn place<'a>(standing: &'a Standing, row: &Row) -> Place<'a> {
    let [from, _] = standing.site.ends(row.traffic.direction);
    Place { port: from, cpu: cpus() - 1, program: "generate" }
}

/// Puts up the gateways these rows need, and takes down those that only others needed.
pub fn prepare(undo: &Undo, kit: &mut Kit, rows: &[&Row], sites: &mut Sites, outcome: &mut Outcome) -> Result<()> {
    let needed = |key: &(Kind, Pairs)| rows.iter().any(|row| (row.kind, row.gateway_pairs()) == *key);
    // eipgate remembers no flows and may stay.
    sites.retain(|key, _| key.0 == Kind::Eipgate || needed(key));
    // The kernel forgets the flows of a namespace some time after it has gone.
    let _ =
        wait::until("the kernel to forget flows", Duration::from_secs(20), || (kernel::flows() < 1_000).then_some(()));
    for row in rows {
        let key = (row.kind, row.gateway_pairs());
        if sites.contains_key(&key) || outcome.of(row).void.is_some() {
            continue;
        }
        match gateway::put_up(undo, kit, key.0, key.1, Ends::Sinks) {
            Ok(mut standing) => {
                if let Some(loading) = standing.loading.take() {
                    outcome.loadings.insert(format!("{} {}", key.0.name(), describe(key.1)), loading);
                }
                sites.insert(key, standing);
            }
            Err(error) => {
                let reason = reason(&error);
                rows.iter().filter(|other| (other.kind, other.gateway_pairs()) == key).for_each(|row| {
                    outcome.of(row).void = Some(reason.clone());
                });
            }
        }
    }
    Ok(())
}

/// What went wrong, without the middle of a verifier's whole log.
fn reason(error: &anyhow::Error) -> String {
    const HALF: usize = 600;
    let text = format!("{error:#}");
    let length = text.chars().count();
    if length <= 2 * HALF {
        return text;
    }
    let (start, end): (String, String) =
        (text.chars().take(HALF).collect(), text.chars().skip(length - HALF).collect());
    format!("{start} … {end}")
}

fn describe(pairs: Pairs) -> String {
    let spread = if pairs.spread == super::addresses::Spread::Clustered { "" } else { " scattered" };
    format!("{}{spread}", short(pairs.count))
}

/// Verifies and times the rows of one part of the run.
pub fn measure(
    kit: &mut Kit,
    part: (usize, Part),
    rows: &[&Row],
    sites: &Sites,
    effort: &Effort,
    outcome: &mut Outcome,
) -> Result<()> {
    let rounds = if part.0 == 0 { effort.rounds } else { effort.later_rounds };
    let mut progress = Progress::new(format!("{:?}", part.1).to_lowercase(), rows.len() * (rounds + 1));
    let mut turns = Vec::new();
    for row in rows {
        progress.step("verifying", &row.name());
        let Some(standing) = sites.get(&(row.kind, row.gateway_pairs())) else { continue };
        match warm_up(kit, standing, row, effort)? {
            Ok(packets) => turns.push((*row, standing, packets)),
            Err(wrong) => outcome.of(row).void = Some(wrong),
        }
    }
    for round in 0..rounds {
        let mut costs: BTreeMap<String, (usize, Run)> = BTreeMap::new();
        for at in 0..turns.len() {
            // Not always in the same order, so that no row always follows the same other.
            let turn = (at + round * 7) % turns.len();
            let (row, standing, packets) = &turns[turn];
            progress.step(&format!("round {} of {rounds}", round + 1), &row.name());
            let stream = standing.site.stream(&row.traffic);
            let run = meter::run(kit, place(standing, row), stream, *packets)?;
            costs.insert(row.name(), (turn, run));
        }
        for (turn, run) in costs.values() {
            let row = turns[*turn].0;
            let Some((_, zero)) = costs.get(&row.zero()) else { continue };
            let lost = if row.kind == Kind::Drop { 0 } else { run.lost() };
            let sample = Sample {
                part: part.0,
                round,
                cpu_ns: run.cost(),
                gw_ns: run.cost() - zero.cost(),
                sent: run.sent,
                lost,
                mpps: run.sent as f64 * 1e3 / run.cpu_ns.max(1) as f64,
            };
            let measured = outcome.of(row);
            measured.samples.push(sample);
            if measured.lost() * 100 > run.sent {
                measured.void = Some(format!("{} of {} packets did not arrive", measured.lost(), run.sent));
            }
        }
    }
    progress.finish();
    Ok(())
}

/// Verifies a row and finds out how many packets make a turn.
fn warm_up(kit: &mut Kit, standing: &Standing, row: &Row, effort: &Effort) -> Result<Result<u32, String>> {
    let expected = Expected::at(&standing.site, row.traffic, row.kind.work());
    let place = place(standing, row);
    // Whatever remembers flows has to meet all of them before it is timed.
    let remembers = matches!(row.kind, Kind::NftStateful | Kind::Netmap);
    let most = if remembers { row.traffic.pairs.count.max(effort.verified) } else { effort.verified };
    if let Err(wrong) = verify::sweep(kit, place, &standing.site, &expected, most)? {
        return Ok(Err(wrong));
    }
    let new_flows = row.traffic.flows == wires::NEW_FLOWS;
    if new_flows {
        // None of the flows that were verified comes again.
        kit.set_position(1 << 24)?;
    }
    let stream = standing.site.stream(&row.traffic);
    let trial = meter::run(kit, place, stream, 10_000).context("the trial run")?;
    let packets = effort.turn.as_nanos() as f64 / trial.cost().max(1.0);
    let packets = packets.clamp(10_000.0, 4e6) as u32 / BATCH * BATCH;
    Ok(Ok(if new_flows && remembers { effort.new_flows } else { packets }))
}

/// How long something took, in seconds.
pub fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
