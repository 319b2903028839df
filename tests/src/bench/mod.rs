//! The benchmark: what a packet costs in eipgate and in other gateways, what loading and changing pairs costs.
//!
//! Every gateway stands at a [`site`] of its own between a generator and a sink; the [`rows`] take turns in [`rounds`];
//! nothing is timed that is not verified first. Figures are no test: a run fails only where something is void or broken.

pub mod addresses;
pub mod alone;
pub mod api;
pub mod changes;
pub mod chart;
pub mod eipgate;
pub mod gateway;
pub mod goals;
pub mod kernel;
pub mod kit;
pub mod loading;
pub mod machine;
pub mod meter;
pub mod progress;
pub mod report;
pub mod rounds;
pub mod rows;
pub mod site;
pub mod stats;
pub mod table;
pub mod tcp;
pub mod traffic;
pub mod two_cores;
pub mod verify;
pub mod wires;

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::unistd::Pid;

use crate::lab::remains::{self, Undo};
use addresses::Pairs;
use gateway::{Ends, Kind, Standing};
use kit::{Kit, cpus};
use progress::Progress;
use report::Report;
use rounds::{Effort, Outcome, Sites};
use rows::short;

/// A run begins nothing new after so long; the last part may take a minute more.
const BUDGET: Duration = Duration::from_secs(15 * 60);
/// And a first look.
const QUICK_BUDGET: Duration = Duration::from_secs(3 * 60);

/// What is to be measured.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A first look, in a few minutes.
    pub quick: bool,
    /// Only rows with one of these in their names.
    pub only: Vec<String>,
}

/// Measures everything that was chosen.
pub fn run(options: &Options, undo: &Undo) -> Result<Report> {
    let _alone = machine::be_alone()?;
    remains::sweep()?;
    let machine = machine::look();
    // The generator has the last CPU; daemons started from here share the first.
    meter::bind(Pid::from_raw(0), 0)?;
    let _flows = kernel::FlowTable::enlarge()?;
    let mut bench = Bench {
        options,
        undo,
        kit: Kit::load()?,
        sites: Sites::new(),
        outcome: Outcome::default(),
        began: Instant::now(),
        report: Report { machine, quick: options.quick, ..Report::default() },
    };
    bench.packets()?;
    bench.beside("alone", Bench::alone);
    bench.beside("changes", Bench::changes);
    bench.sites.clear();
    bench.beside("two-core", Bench::two_cores);
    bench.beside("tcp", Bench::tcp);
    bench.beside("api", Bench::api);
    let Bench { outcome, mut report, began, .. } = bench;
    report.seconds = began.elapsed().as_secs();
    report.rows = outcome.measured;
    report.loading = outcome.loadings;
    report.goals = goals::judge(&report);
    Ok(report)
}

/// A run in progress.
struct Bench<'a> {
    options: &'a Options,
    undo: &'a Undo,
    kit: Kit,
    sites: Sites,
    outcome: Outcome,
    began: Instant,
    report: Report,
}

impl Bench<'_> {
    /// What a packet costs, in every row.
    fn packets(&mut self) -> Result<()> {
        let quick = self.options.quick;
        let effort = if quick { Effort::QUICK } else { Effort::FULL };
        let rows = rows::chosen(rows::all(quick), &self.options.only);
        for (number, part) in rows::PARTS.into_iter().enumerate() {
            let rows: Vec<_> = rows.iter().filter(|row| row.parts.contains(&part)).collect();
            // Zero rows say nothing alone.
            if rows.iter().any(|row| row.kind != Kind::Drop) {
                rounds::prepare(self.undo, &mut self.kit, &rows, &mut self.sites, &mut self.outcome)?;
                rounds::measure(&mut self.kit, (number, part), &rows, &self.sites, &effort, &mut self.outcome)?;
            }
        }
        Ok(())
    }

    /// A part beside the rows: what goes wrong in it is told at the end.
    fn beside(&mut self, name: &str, measure: impl FnOnce(&mut Self) -> Result<()>) {
        let only = &self.options.only;
        if !only.is_empty() && !only.iter().any(|words| words.starts_with(name)) {
            return;
        }
        let budget = if self.options.quick { QUICK_BUDGET } else { BUDGET };
        if self.began.elapsed() > budget {
            let minutes = budget.as_secs() / 60;
            let broken =
                format!("{name}: not begun, for the {minutes} minutes of a run are over; --only {name} measures it");
            self.report.broken.push(broken);
            return;
        }
        let mut progress = Progress::new(name.to_owned(), 1);
        progress.step("measuring", "all");
        if let Err(error) = measure(self) {
            self.report.broken.push(format!("{name}: {error:#}"));
        }
        progress.finish();
    }

    fn alone(&mut self) -> Result<()> {
        let repeat = if self.options.quick { 100_000 } else { 1_000_000 };
        for count in [1_000, 1_000_000] {
            let standing = self.take_or_put_up(Kind::Eipgate, count)?;
            self.report.alone.extend(alone::measure(&mut self.kit, &standing, 5, repeat)?);
            self.sites.insert((standing.kind, standing.pairs), standing);
        }
        Ok(())
    }

    /// A gateway that stands from the rows, or a new one.
    fn take_or_put_up(&mut self, kind: Kind, count: u32) -> Result<Standing> {
        let pairs = Pairs::clustered(count);
        match self.sites.remove(&(kind, pairs)) {
            Some(standing) => Ok(standing),
            None => gateway::put_up(self.undo, &mut self.kit, kind, pairs, Ends::Sinks),
        }
    }

    fn two_cores(&mut self) -> Result<()> {
        anyhow::ensure!(cpus() > 1, "there is only one CPU");
        let (rounds, turn) = if self.options.quick { (3, 150) } else { (7, 400) };
        let turn = Duration::from_millis(turn);
        self.report.two_cores = two_cores::measure(self.undo, &mut self.kit, &two_cores::KINDS, rounds, turn)?;
        Ok(())
    }

    fn tcp(&mut self) -> Result<()> {
        let (rounds, turn) = if self.options.quick { (2, 1) } else { (5, 2) };
        let turn = Duration::from_secs(turn);
        self.report.tcp = tcp::measure(self.undo, &mut self.kit, &tcp::KINDS, rounds, turn)?;
        Ok(())
    }

    fn api(&mut self) -> Result<()> {
        anyhow::ensure!(cpus() > 1, "there is only one CPU");
        let effort = if self.options.quick {
            api::Effort { addresses: 100_000, rounds: 2, turn: Duration::from_millis(500) }
        } else {
            api::Effort { addresses: 1_000_000, rounds: 5, turn: Duration::from_secs(2) }
        };
        self.report.api = api::measure(self.undo, effort)?;
        Ok(())
    }

    fn changes(&mut self) -> Result<()> {
        let (rounds, turn) = if self.options.quick { (2, 200) } else { (5, 500) };
        for kind in changes::KINDS {
            for count in [1_000, 1_000_000] {
                let mut standing = self.take_or_put_up(kind, count)?;
                let mut rebind = changes::rebinder(&mut standing)?;
                let turn = Duration::from_millis(turn);
                let changes = changes::measure(&mut self.kit, &standing, &mut *rebind, rounds, turn)?;
                let harmed = changes.lost + changes.lost_beside + changes.wrong;
                if harmed > 0 && kind == Kind::Eipgate {
                    let what = format!("changes: {} {}", kind.name(), short(count));
                    self.report.broken.push(format!("{what}: {harmed} packets lost or astray"));
                }
                self.report.changes.push(changes);
            }
        }
        Ok(())
    }
}
