//! What was to be reached, and whether it was. Every goal is a ratio or a difference within one run.

use serde::Serialize;

use super::api::Api;
use super::changes::Changes;
use super::report::Report;

/// One goal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What is judged.
    pub what: String,
    /// The bound.
    pub bound: Bound,
    /// In which the bound is given.
    pub unit: &'static str,
    /// What was found; `None` where it was not measured.
    pub found: Option<f64>,
}

/// Which side of a number is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Bound {
    /// So much and no more.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
}

impl Goal {
    fn new(what: &str, bound: Bound, unit: &'static str, found: Option<f64>) -> Self {
        Self { what: what.to_owned(), bound, unit, found }
    }

    /// Whether it was reached; `None` where it was not measured.
    pub fn met(&self) -> Option<bool> {
        self.found.map(|found| match self.bound {
            Bound::AtMost(most) => found <= most,
            Bound::AtLeast(least) => found >= least,
        })
    }
}

/// All goals, judged.
pub fn judge(report: &Report) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    let minus = |a: f64, b: f64| a - b;
    let over = |a: f64, b: f64| a / b;
    let floor = |row: &str, floor: &str| report.compare(row, floor, minus);
    let most = |values: &[Option<f64>]| values.iter().copied().flatten().reduce(f64::max);
    let inbound = [floor("eipgate in 1", "static-redirect in"), floor("eipgate in 1k", "static-redirect in")];
    let outbound = [floor("eipgate out 1", "static-redirect out"), floor("eipgate out 1k", "static-redirect out")];
    let cheaper = |row: &str, than: &str| report.compare(than, row, over);
    let mpps = |name: &str| report.two_cores.iter().find(|row| row.gateway == name)?.summary().map(|it| it.median);
    let gbps = |name: &str| report.tcp.iter().find(|row| row.gateway == name)?.summary().map(|it| it.median);
    let loading = report.loading.get("eipgate 1M");
    let changes: Vec<&Changes> = report.changes.iter().filter(|changes| changes.gateway == "eipgate").collect();
    let worst = |of: &dyn Fn(&Changes) -> Option<f64>| most(&changes.iter().map(|it| of(it)).collect::<Vec<_>>());
    let least = |of: &dyn Fn(&Changes) -> Option<f64>| worst(&|it| of(it).map(|value| -value)).map(|value| -value);
    let median = |values: &[f64]| super::stats::Summary::of(values).map(|summary| summary.median);
    let api = |call: &str, how: &dyn Fn(&Api) -> Option<f64>| {
        let rows: Vec<_> = report.api.iter().filter(|row| row.call.starts_with(call)).collect();
        rows.into_iter().map(how).collect::<Vec<_>>()
    };
    let looked_up = ["DescribeAddresses, by", "DescribeAddresses, first 20"];
    let of_each = |how: &dyn Fn(&Api) -> Option<f64>| looked_up.map(|call| api(call, how)).concat();
    let alone = |row: &Api, found: Option<f64>| found.filter(|_| !row.call.contains("beside"));
    let reads = of_each(&|row| alone(row, Some(-row.rate()?.median)));
    let late = of_each(&|row| Some(row.latency(0.99) / 1e3));
    let written = api("AllocateAddresses", &|row| Some(row.rate()?.median));
    let harmed = worst(&|it| Some((it.lost + it.wrong) as f64));
    let beside = worst(&|it| Some(it.lost_beside as f64));
    let p50 = |pairs| changes.iter().find(|it| it.pairs == pairs && measured(it)).map(|it| it.latency(0.5));
    vec![
        Goal::new("inbound over the static floor, up to 1k pairs", AtMost(20.0), "ns", most(&inbound)),
        Goal::new("outbound over the static floor, up to 1k pairs", AtMost(26.0), "ns", most(&outbound)),
        Goal::new(
            "cheaper than nftables stateful, 1k",
            AtLeast(10.0),
            "x",
            cheaper("eipgate in 1k", "nft-stateful in 1k"),
        ),
        Goal::new(
            "cheaper than nftables stateful, every packet a new flow",
            AtLeast(25.0),
            "x",
            cheaper("eipgate in 1k new flows", "nft-stateful in 1k new flows"),
        ),
        Goal::new("cheaper than plain forwarding, 1k", AtLeast(4.0), "x", cheaper("eipgate in 1k", "forwarding in 1k")),
        Goal::new("100k pairs against 1k", AtMost(1.25), "x", report.compare("eipgate in 100k", "eipgate in 1k", over)),
        Goal::new("1M pairs against 1k", AtMost(2.0), "x", report.compare("eipgate in 1M", "eipgate in 1k", over)),
        Goal::new("1M pairs over 1k", AtMost(45.0), "ns", report.compare("eipgate in 1M", "eipgate in 1k", minus)),
        Goal::new(
            "two cores, packets of nftables stateful",
            AtLeast(3.0),
            "x",
            mpps("eipgate").zip(mpps("nft-stateful")).map(|(ours, theirs)| ours / theirs),
        ),
        Goal::new("1M pairs, start to forwarding", AtMost(1.0), "s", loading.map(|loading| loading.seconds)),
        Goal::new(
            "1M pairs, kernel memory without counters",
            AtMost(60.0),
            "MB",
            loading.map(|loading| loading.kernel_bytes as f64 / 1e6),
        ),
        Goal::new("change to effect, p50", AtMost(20.0), "us", worst(&|it| measured(it).then(|| it.latency(0.5)))),
        Goal::new("change to effect, p99", AtMost(200.0), "us", worst(&|it| measured(it).then(|| it.latency(0.99)))),
        Goal::new(
            "change to effect, p50 at 1M pairs against 1k",
            AtMost(2.0),
            "x",
            p50(1_000_000).zip(p50(1_000)).map(|(many, few)| many / few),
        ),
        Goal::new("changes a second", AtLeast(200_000.0), "/s", least(&|it| median(&it.per_second))),
        Goal::new(
            "traffic cost at 10,000 changes a second",
            AtMost(3.0),
            "%",
            worst(&|it| it.disturbance(&it.paced_ns).map(|part| part * 100.0)),
        ),
        Goal::new(
            "traffic cost at full speed of changes",
            AtMost(10.0),
            "%",
            worst(&|it| it.disturbance(&it.full_ns).map(|part| part * 100.0)),
        ),
        Goal::new("packets lost or astray during changes", AtMost(0.0), "", harmed),
        Goal::new("packets lost of pairs beside those that change", AtMost(0.0), "", beside),
        Goal::new("API, addresses looked up by one core", AtLeast(5000.0), "/s", most(&reads).map(|rate| -rate)),
        Goal::new("API, an address or the first page, p99", AtMost(10.0), "ms", most(&late)),
        Goal::new("API, durable changes", AtLeast(1000.0), "/s", most(&written)),
        Goal::new(
            "TCP against the static floor",
            AtLeast(95.0),
            "%",
            gbps("eipgate").zip(gbps("static-redirect")).map(|(ours, floor)| ours / floor * 100.0),
        ),
    ]
}

fn measured(changes: &Changes) -> bool {
    !changes.latencies_us.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::rounds::{Measured, Sample};
    use super::super::two_cores::TwoCores;
    use super::*;

    fn row(name: &str, gw_ns: f64) -> Measured {
        let sample = Sample { part: 0, round: 0, cpu_ns: 0.0, gw_ns, sent: 1, lost: 0, mpps: 0.0 };
        Measured { row: name.into(), void: None, samples: vec![sample] }
    }

    fn found(goals: &[Goal], what: &str) -> Option<(f64, bool)> {
        let goal = goals.iter().find(|goal| goal.what.starts_with(what)).unwrap();
        goal.found.zip(goal.met())
    }

    #[test]
    fn goals_are_differences_and_ratios() {
        let rows = [
            ("static-redirect in", 35.0),
            ("eipgate in 1", 50.0),
            ("eipgate in 1k", 56.0),
            ("nft-stateful in 1k", 560.0),
            ("eipgate in 1M", 140.0),
        ];
        let two_cores = [("eipgate", 2.9), ("nft-stateful", 1.0)].map(|(gateway, mpps)| TwoCores {
            gateway,
            mpps: vec![mpps],
            cpu_ns: Vec::new(),
        });
        let report = Report {
            rows: rows.iter().map(|(name, cost)| row(name, *cost)).collect(),
            two_cores: two_cores.into(),
            ..Report::default()
        };
        let goals = judge(&report);
        assert_eq!(found(&goals, "inbound over"), Some((21.0, false)));
        assert_eq!(found(&goals, "cheaper than nftables stateful, 1k"), Some((10.0, true)));
        assert_eq!(found(&goals, "1M pairs against"), Some((2.5, false)));
        assert_eq!(found(&goals, "two cores"), Some((2.9, false)));
        assert_eq!(found(&goals, "outbound over"), None);
    }

    #[test]
    fn the_worst_of_several_numbers_of_pairs_is_judged() {
        let changes = |pairs, latency: f64, per_second: f64, lost| Changes {
            gateway: "eipgate",
            pairs,
            latencies_us: vec![latency],
            per_second: vec![per_second],
            quiet_ns: vec![100.0],
            paced_ns: vec![102.0],
            full_ns: vec![105.0],
            lost,
            lost_beside: 2 * lost,
            ..Changes::default()
        };
        let changes = vec![changes(1000, 5.0, 9e5, 0), changes(1_000_000, 30.0, 1e5, 2)];
        let goals = judge(&Report { changes, ..Report::default() });
        assert_eq!(found(&goals, "change to effect, p50"), Some((30.0, false)));
        assert_eq!(found(&goals, "change to effect, p50 at 1M"), Some((6.0, false)));
        assert_eq!(found(&goals, "changes a second"), Some((1e5, false)));
        assert_eq!(found(&goals, "packets lost or astray"), Some((2.0, false)));
        assert_eq!(found(&goals, "packets lost of pairs beside"), Some((4.0, false)));
        let (cost, met) = found(&goals, "traffic cost at 10,000").unwrap();
        assert!((cost - 2.0).abs() < 1e-9 && met);
    }
}
