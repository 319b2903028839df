//! Everything that was measured, in one document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::alone::Alone;
use super::api::Api;
use super::changes::Changes;
use super::goals::Goal;
use super::loading::Loading;
use super::machine::Machine;
use super::rounds::{Measured, Sample};
use super::stats::Summary;
use super::tcp::Tcp;
use super::two_cores::TwoCores;

/// The whole run; its JSON keeps every sample.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// Whether it was only a first look.
    pub quick: bool,
    /// How long it took.
    pub seconds: u64,
    /// What a packet costs.
    pub rows: Vec<Measured>,
    /// What putting gateways up takes, by gateway and pairs.
    pub loading: BTreeMap<String, Loading>,
    /// What eipgate's program costs alone.
    pub alone: Vec<Alone>,
    /// Gateways with a core of their own.
    pub two_cores: Vec<TwoCores>,
    /// A TCP stream.
    pub tcp: Vec<Tcp>,
    /// Changes of pairs while packets flow.
    pub changes: Vec<Changes>,
    /// What calls to the API cost.
    pub api: Vec<Api>,
    /// What was to be reached.
    pub goals: Vec<Goal>,
    /// Parts that could not be measured, and why.
    pub broken: Vec<String>,
}

impl Report {
    /// A row that counts.
    pub fn row(&self, name: &str) -> Option<&Measured> {
        self.rows.iter().find(|row| row.row == name && row.void.is_none())
    }

    /// The cost of a row's gateway, in nanoseconds a packet.
    pub fn cost(&self, name: &str) -> Option<Summary> {
        self.row(name)?.summary(None, |sample| sample.gw_ns)
    }

    /// One row's cost against another's: the median over the rounds that have both.
    pub fn compare(&self, name: &str, other: &str, how: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let (one, two) = (self.row(name)?, self.row(other)?);
        let partner =
            |sample: &Sample| two.samples.iter().find(|other| (other.part, other.round) == (sample.part, sample.round));
        let pairs = one.samples.iter().filter_map(|sample| Some(how(sample.gw_ns, partner(sample)?.gw_ns)));
        Summary::of(&pairs.collect::<Vec<_>>()).map(|summary| summary.median)
    }

    /// Whether everything that was to be measured was, and counts.
    pub fn is_whole(&self) -> bool {
        self.broken.is_empty() && self.rows.iter().all(|row| row.void.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn row(name: &str, costs: &[f64]) -> Measured {
        let sample = |(round, gw_ns): (usize, &f64)| Sample {
            part: 0,
            round,
            cpu_ns: gw_ns + 50.0,
            gw_ns: *gw_ns,
            sent: 64,
            lost: 0,
            mpps: 1.0,
        };
        Measured { row: name.into(), void: None, samples: costs.iter().enumerate().map(sample).collect() }
    }

    #[test]
    fn rows_are_compared_round_by_round() {
        let report = Report { rows: vec![row("a", &[10.0, 30.0, 20.0]), row("b", &[5.0, 10.0])], ..Report::default() };
        assert_eq!(report.compare("a", "b", |a, b| a - b), Some(12.5));
        assert_eq!(report.compare("a", "b", |a, b| a / b), Some(2.5));
        assert_eq!(report.compare("a", "c", |a, b| a - b), None);
        assert!(report.is_whole());
    }

    #[test]
    fn a_void_row_counts_for_nothing() {
        let mut void = row("a", &[10.0]);
        void.void = Some("a wrong \"address\"".into());
        let report = Report { rows: vec![void], ..Report::default() };
        assert_eq!(report.cost("a"), None);
        assert!(!report.is_whole());
    }

    #[test]
    fn the_document_keeps_every_sample() {
        let report = Report { rows: vec![row("eipgate in 1k", &[10.0, 30.0])], ..Report::default() };
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(json["rows"][0]["row"], "eipgate in 1k");
        assert_eq!(json["rows"][0]["samples"][1]["gw_ns"], 30.0);
        assert_eq!(json["rows"][0]["void"], serde_json::Value::Null);
        assert_eq!(json["machine"]["cores"], 0);
    }
}
