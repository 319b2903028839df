//! The page: every series, with bounded labels.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::scrape::Sample;
use crate::address::RangeTotals;
use crate::gateway::{BOUNDS, Histogram, Tally, Traffic, VerdictRow, Vitals};

/// Pools with series of their own; all others are one.
const POOLS: usize = 256;

/// The page in OpenMetrics.
pub(super) fn page(sample: Sample) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(sample));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Collector for Sample {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.of_the_daemon(self)?;
        if let Some(verdicts) = &self.verdicts {
            page.of_packets(verdicts)?;
        }
        page.of_addresses(self)?;
        if let Some(vitals) = &self.vitals {
            page.of_health(vitals)?;
            page.of_the_ledger(vitals)?;
            page.of_the_data_plane(vitals)?;
            page.of_changes(&vitals.tally)?;
        }
        Ok(())
    }
}

type Labels = Vec<(&'static str, String)>;

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) -> fmt::Result {
        self.gauge(name, help, f64::from(u8::from(value)))
    }

    fn gauges(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, u64)>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter(&value, None::<&Exemplar<NoLabelSet, f64>>)
    }

    fn counters(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, u64)>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_counter(&value, None::<&Exemplar<NoLabelSet, f64>>)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts).collect();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
    }

    fn of_the_daemon(&mut self, sample: &Sample) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        self.0
            .encode_descriptor("eipgate_build", "The daemon's version.", None, MetricType::Info)?
            .encode_info(&version)?;
        let answered =
            "Whether the gateway's task answered in time; without, the series of ledger and health are missing.";
        self.flag("eipgate_gateway_responding", answered, sample.vitals.is_some())?;
        let readable = "Whether the kernel's packet counters could be read.";
        self.flag("eipgate_packet_counters_readable", readable, sample.verdicts.is_some())?;
        let took = "How long collecting these figures took.";
        self.gauge("eipgate_scrape_duration_seconds", took, sample.took.as_secs_f64())
    }

    fn of_packets(&mut self, verdicts: &[VerdictRow]) -> fmt::Result {
        let labels = |row: &VerdictRow| vec![("verdict", row.verdict.to_owned()), ("action", row.action.to_owned())];
        let packets = verdicts.iter().map(|row| (labels(row), row.packets));
        self.counters("eipgate_packets", "Packets by verdict; `eipgate map counters` explains each.", packets)?;
        let bytes = verdicts.iter().map(|row| (labels(row), row.bytes));
        self.counters("eipgate_packet_bytes", "Bytes on the wire of packets by verdict.", bytes)
    }

    fn of_addresses(&mut self, sample: &Sample) -> fmt::Result {
        if sample.busiest.is_empty() {
            return Ok(());
        }
        let rows = |of: fn(&Traffic) -> [u64; 2]| {
            sample.busiest.iter().flat_map(move |one| {
                let both = [("direction", "in"), ("direction", "out")].into_iter().zip(of(&one.traffic));
                both.map(|((key, side), value)| {
                    (vec![("address", one.public.to_string()), (key, side.to_owned())], value)
                })
            })
        };
        let packets = "Packets of the busiest public addresses (metrics_top) since each was bound.";
        self.counters("eipgate_address_packets", packets, rows(|traffic| [traffic.packets_in, traffic.packets_out]))?;
        let bytes = "IP bytes of the busiest public addresses (metrics_top) since each was bound.";
        self.counters("eipgate_address_bytes", bytes, rows(|traffic| [traffic.bytes_in, traffic.bytes_out]))
    }

    fn of_health(&mut self, vitals: &Vitals) -> fmt::Result {
        let status = &vitals.status;
        let seconds = |time: crate::address::Time| time.0 as f64 / 1000.0;
        self.gauge("eipgate_start_time_seconds", "When the daemon began to serve, Unix time.", seconds(status.since))?;
        let uptime = seconds(vitals.at) - seconds(status.since);
        self.gauge("eipgate_uptime_seconds", "For how long the daemon has served.", uptime)?;
        self.flag("eipgate_guard_standing", "Whether the guard outside XDP was put up.", status.plane.guard)?;
        self.flag("eipgate_dirty", "Whether the maps may be behind the ledger.", status.dirty)?;
        let read_only = "Whether the store refused the latest change, as on a full disk.";
        self.flag("eipgate_read_only", read_only, vitals.tally.refusing)?;
        self.flag(
            "eipgate_degraded",
            "Whether anything is wrong; `eipgate status` says what.",
            !status.problems.is_empty(),
        )?;
        self.gauge("eipgate_problems", "How many things are wrong.", status.problems.len() as f64)?;
        let waiting = "How many configured settings wait for a restart.";
        self.gauge("eipgate_settings_waiting_for_restart", waiting, status.waiting.len() as f64)
    }

    fn of_the_ledger(&mut self, vitals: &Vitals) -> fmt::Result {
        let status = &vitals.status;
        self.gauge("eipgate_pairs", "Instances with a public address.", status.pairs as f64)?;
        self.gauge("eipgate_pairs_limit", "Most pairs the maps hold.", status.capacity.pairs as f64)?;
        self.gauge("eipgate_instances", "Instances.", status.instances as f64)?;
        self.gauge("eipgate_instances_limit", "Most instances the maps hold.", status.capacity.instances as f64)?;
        self.gauge("eipgate_eips", "Elastic IPs, bound or not.", status.eips as f64)?;
        let outside = "Held addresses that no pool has.";
        self.gauge("eipgate_held_outside_pools", outside, status.held_outside_pools as f64)?;
        self.gauges("eipgate_pool_addresses", "Addresses of each pool by state.", pools(&vitals.pools))
    }

    fn of_the_data_plane(&mut self, vitals: &Vitals) -> fmt::Result {
        let plane = &vitals.status.plane;
        let state = |state: &str, value| (vec![("state", state.to_owned())], value);
        let hops = [state("ready", plane.next_hops.ready), state("asked", plane.next_hops.asked)];
        self.gauges(
            "eipgate_next_hops",
            "Next hops known ahead, and those the kernel is asked about each time.",
            hops,
        )?;
        let without = "Instances with a public address and no next hop of their own.";
        self.gauge("eipgate_instances_without_next_hop", without, plane.next_hops.instances_without as f64)?;
        let map = |name: &str, value| (vec![("map", name.to_owned())], value);
        let entries = plane.maps.iter().map(|one| map(&one.name, one.entries));
        self.gauges("eipgate_map_entries", "Entries of the maps that can run full.", entries)?;
        let capacity = plane.maps.iter().map(|one| map(&one.name, one.capacity));
        self.gauges("eipgate_map_capacity", "Most entries they hold.", capacity)?;
        let links: Vec<(Labels, bool, bool)> = plane
            .links
            .iter()
            .map(|link| {
                let tags: Vec<String> = link.tags.iter().map(u16::to_string).collect();
                let labels = vec![
                    ("interface", link.interface.clone()),
                    ("vlan", tags.join(".")),
                    ("side", link.side.clone()),
                    ("vpc", link.vpc.clone().unwrap_or_default()),
                ];
                (labels, link.attached, link.up)
            })
            .collect();
        let attached = links.iter().map(|(labels, attached, _)| (labels.clone(), u64::from(*attached)));
        self.gauges("eipgate_link_attached", "Whether the program is on a link.", attached)?;
        let up = links.iter().map(|(labels, _, up)| (labels.clone(), u64::from(*up)));
        self.gauges("eipgate_link_up", "Whether a link's interface is up.", up)
    }

    fn of_changes(&mut self, tally: &Tally) -> fmt::Result {
        let flushes = "How long commits took, durable when counted.";
        self.histogram("eipgate_commit_duration_seconds", flushes, &tally.flushes)?;
        self.counter("eipgate_commits_refused", "Commits that the store refused.", tally.refused_commits)?;
        let effects = "How long from taking up a change to its being in effect on the next packet.";
        self.histogram("eipgate_change_duration_seconds", effects, &tally.effects)?;
        let result = |result: &str, value| (vec![("result", result.to_owned())], value);
        let reconciliations = [result("done", tally.reconciliations), result("failed", tally.failed_reconciliations)];
        self.counters("eipgate_reconciliations", "Comparisons of all maps with the ledger.", reconciliations)?;
        let kind = |kind: &str, value: usize| (vec![("kind", kind.to_owned())], value as u64);
        let drift = [
            kind("added", tally.drift.added),
            kind("removed", tally.drift.removed),
            kind("changed", tally.drift.changed),
        ];
        self.counters("eipgate_map_drift_entries", "Map entries that a comparison put right.", drift)
    }
}

/// The first pools by themselves, all others together.
fn pools(ranges: &[RangeTotals]) -> Vec<(Labels, u64)> {
    let states = |pool: &str, sums: [u64; 4]| {
        let named = ["held", "cooling_down", "free", "set_aside"].into_iter().zip(sums);
        let row = |(state, count): (&str, u64)| (vec![("pool", pool.to_owned()), ("state", state.to_owned())], count);
        named.map(row).collect::<Vec<_>>()
    };
    let of = |range: &RangeTotals| [range.held, range.cooling, range.free, range.set_aside];
    let (own, others) = ranges.split_at(ranges.len().min(POOLS));
    let mut rows: Vec<(Labels, u64)> =
        own.iter().flat_map(|range| states(&range.prefix.to_string(), of(range))).collect();
    if !others.is_empty() {
        let sums =
            others.iter().map(of).fold([0; 4], |sums, one| std::array::from_fn(|state| sums[state] + one[state]));
        rows.extend(states("others", sums));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pools_are_few_series_and_no_address_is_missing_from_them() {
        let range = |number: u32| RangeTotals {
            prefix: format!("8.{}.{}.0/24", number / 256, number % 256).parse().unwrap(),
            members: 10,
            held: 4,
            cooling: 3,
            free: 2,
            set_aside: 1,
        };
        let rows = pools(&(0..POOLS as u32 + 50).map(range).collect::<Vec<_>>());
        assert_eq!(rows.len(), 4 * (POOLS + 1));
        let others: Vec<u64> = rows[4 * POOLS..].iter().map(|(_, count)| *count).collect();
        assert_eq!((rows[4 * POOLS].0[0].1.as_str(), others), ("others", vec![200, 150, 100, 50]));
        assert_eq!(pools(&[range(0)]).len(), 4);
    }
}
