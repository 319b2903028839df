//! What is wrong with a gateway's state, looked at from outside: the file, what it says, the maps, and whether they
//! agree with each other and with the ledger of a daemon that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::hosts;
use crate::address::{Ledger, Pool, ReservedRanges, Snapshot};
use crate::dataplane::{Host, inspect};
use crate::store;

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
    /// Whether a daemon's ledger was compared.
    pub daemon: bool,
    /// Whether the maps were compared.
    pub maps: bool,
    /// Whether there was a store to look at.
    pub stored: bool,
    /// Instances stored.
    pub instances: usize,
    /// Those of them with a public address.
    pub pairs: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    pub area: Area,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a sentence.
    pub what: String,
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The file and its tables.
    Store,
    /// What they say.
    Ledger,
    /// The pinned maps.
    Maps,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The next start mends it.
    Warning,
    /// It stays until somebody mends it.
    Failure,
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Area::Store => "store",
            Area::Ledger => "ledger",
            Area::Maps => "maps",
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Failure => "failure",
        })
    }
}

impl Report {
    /// How bad the worst of it is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn find(&mut self, area: Area, severity: Severity, what: String) {
        self.findings.push(Finding { area, severity, what });
    }
}

/// Each instance with its public address, by VPC and private address.
type Hosts = BTreeMap<(String, Ipv4Addr), Option<Ipv4Addr>>;

/// Looks at a state directory and pinned maps, and compares them with each other and with what the ledger of a daemon
/// has, where one answers. Changes nothing.
///
/// # Errors
/// The system refuses to let it look.
pub fn check(state_dir: &Path, bpf_dir: &Path, ledger: Option<Vec<Host>>) -> Result<Report> {
    let mut report = Report { daemon: ledger.is_some(), ..Report::default() };
    let ledger = ledger.map(by_private);
    if ledger.is_none() {
        report.notes.push("no daemon answers, so no ledger was compared".to_owned());
    }
    let stored = stored(state_dir, &mut report)?;
    let in_maps = in_maps(bpf_dir, &mut report)?;
    let views = [("the store", &stored), ("the daemon's ledger", &ledger), ("the maps", &in_maps)];
    let views: Vec<(&str, &Hosts)> =
        views.into_iter().filter_map(|(name, hosts)| Some((name, hosts.as_ref()?))).collect();
    // A start makes the maps what the store says; what a daemon that runs keeps apart, nothing mends.
    let severity = if ledger.is_some() { Severity::Failure } else { Severity::Warning };
    let everyone: BTreeSet<&(String, Ipv4Addr)> = views.iter().flat_map(|(_, hosts)| hosts.keys()).collect();
    for key in everyone {
        let told: Vec<(&str, Option<&Option<Ipv4Addr>>)> =
            views.iter().map(|(name, hosts)| (*name, hosts.get(key))).collect();
        if told.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            let told: Vec<String> =
                told.into_iter().map(|(name, public)| format!("{} in {name}", shown(public))).collect();
            report.find(Area::Maps, severity, format!("{} in {} {}", key.1, key.0, told.join(", ")));
        }
    }
    Ok(report)
}

fn shown(public: Option<&Option<Ipv4Addr>>) -> String {
    match public {
        None => "is not there".to_owned(),
        Some(None) => "has no public address".to_owned(),
        Some(Some(public)) => format!("has {public}"),
    }
}

fn by_private(hosts: Vec<Host>) -> Hosts {
    hosts.into_iter().map(|host| ((host.vpc.to_string(), host.private), host.public)).collect()
}

fn stored(state_dir: &Path, report: &mut Report) -> Result<Option<Hosts>> {
    let Some(found) = store::examine(state_dir)? else {
        report.notes.push(format!("nothing is stored in {}", state_dir.display()));
        return Ok(Some(Hosts::new()));
    };
    report.stored = true;
    found.damage.into_iter().for_each(|what| report.find(Area::Store, Severity::Failure, what));
    let contradicts = !found.contradictions.is_empty();
    found.contradictions.into_iter().for_each(|what| report.find(Area::Ledger, Severity::Failure, what));
    let Some(snapshot) = found.snapshot else { return Ok(None) };
    match restored(snapshot) {
        Ok(ledger) => {
            (report.instances, report.pairs) = (ledger.instances().len(), ledger.association_count());
            if let Err(what) = ledger.check_invariants() {
                report.find(Area::Ledger, Severity::Failure, what);
            }
            Ok(Some(by_private(hosts(&ledger))))
        }
        // Named above, each of its kind; here only the first would be.
        Err(_) if contradicts => Ok(None),
        Err(error) => {
            report.find(Area::Ledger, Severity::Failure, error.to_string());
            Ok(None)
        }
    }
}

/// What is stored as a ledger. Which addresses the pools have does not matter to what holds them.
fn restored(snapshot: Snapshot) -> Result<Ledger> {
    let pool = Pool::new(Vec::new(), &[], ReservedRanges::Allow, Duration::ZERO)?;
    Ok(Ledger::restore(pool, snapshot)?)
}

fn in_maps(bpf_dir: &Path, report: &mut Report) -> Result<Option<Hosts>> {
    if !inspect::are_pinned(bpf_dir) {
        report
            .notes
            .push(format!("no maps of this version are pinned in {}, so none were compared", bpf_dir.display()));
        return Ok(None);
    }
    report.maps = true;
    let maps = inspect::open(bpf_dir)?;
    let severity = if report.daemon { Severity::Failure } else { Severity::Warning };
    maps.verify()?.into_iter().for_each(|what| report.find(Area::Maps, severity, what));
    let bound = maps.pairs()?.into_iter().filter(|pair| pair.outbound);
    let bound = bound.map(|pair| ((pair.vpc, pair.private), Some(pair.public)));
    let unbound = maps.unbound()?.into_iter().map(|host| ((host.vpc, host.private), None));
    Ok(Some(bound.chain(unbound).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_goes_by_something_else_than_its_store_is_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let found = |ledger: Vec<Host>| check(directory.path(), &directory.path().join("bpf"), Some(ledger)).unwrap();
        assert_eq!(found(vec![]).worst(), None);
        let host = Host { vpc: "vpc-a".parse().unwrap(), private: [10, 0, 0, 1].into(), public: None };
        let report = found(vec![host]);
        let told = "10.0.0.1 in vpc-a is not there in the store, has no public address in the daemon's ledger";
        assert_eq!((report.worst(), report.findings[0].what.as_str()), (Some(Severity::Failure), told));
    }
}
