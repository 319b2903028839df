//! What is measured: each row is a gateway under some traffic, and belongs to the parts of the run in which it takes
//! its turns.

use super::addresses::{Pairs, Spread};
use super::gateway::Kind;
use super::traffic::{Traffic, direction_name};
use super::wires::{self, HAIRPIN, INBOUND, OUTBOUND};

/// Parts of the run. Gateways that remember flows share one table of the kernel and slow each other down once it is
/// large, so each that fills it takes turns with the floors and eipgate, but not with others that fill it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Up to a thousand pairs for every gateway; eipgate with any number.
    Small,
    /// A hundred thousand pairs.
    Large,
    /// A million pairs.
    Million,
    /// Every packet is a new flow.
    NewFlows,
    /// iptables with a hundred thousand pairs.
    LargeNetmap,
    /// iptables with a million.
    MillionNetmap,
    /// iptables with new flows.
    NewFlowsNetmap,
}

impl Part {
    /// The part in which iptables has the same.
    fn of_netmap(self) -> Part {
        match self {
            Part::Large => Part::LargeNetmap,
            Part::Million => Part::MillionNetmap,
            Part::NewFlows => Part::NewFlowsNetmap,
            other => other,
        }
    }
}

/// The parts in their order.
pub const PARTS: [Part; 7] = [
    Part::Small,
    Part::Large,
    Part::Million,
    Part::NewFlows,
    Part::LargeNetmap,
    Part::MillionNetmap,
    Part::NewFlowsNetmap,
];

/// A gateway under some traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The gateway.
    pub kind: Kind,
    /// The traffic.
    pub traffic: Traffic,
    /// When it takes its turns.
    pub parts: Vec<Part>,
}

impl Row {
    fn new(kind: Kind, traffic: Traffic, parts: &[Part]) -> Self {
        Self { kind, traffic, parts: parts.to_vec() }
    }

    /// Unique among all rows, and what `--only` looks in.
    pub fn name(&self) -> String {
        let mut name = format!("{} {}", self.kind.name(), direction_name(self.traffic.direction));
        if self.kind.has_table() || self.kind.work() == super::verify::Work::Translate || self.kind == Kind::Forward {
            name += &format!(" {}", short(self.traffic.pairs.count));
        }
        match self.traffic.pairs.spread {
            Spread::Clustered => {}
            Spread::Scattered => name += " scattered",
            Spread::Separate => name += " separate pools",
        }
        if self.traffic.flows == wires::NEW_FLOWS {
            name += " new flows";
        }
        if self.traffic.length != 60 {
            name += &format!(" {} B", self.traffic.length);
        }
        name
    }

    /// What the packets of a row cost before any gateway: the name of the row to subtract.
    pub fn zero(&self) -> String {
        drop_row(self.traffic.direction, self.traffic.length, self.traffic.flows).name()
    }

    /// The gateway's pairs; the same for all rows that one standing gateway serves.
    pub fn gateway_pairs(&self) -> Pairs {
        if self.kind.has_table() { self.traffic.pairs } else { Pairs::clustered(1_000) }
    }
}

/// `1`, `1k`, `1M`
pub fn short(count: u32) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

fn drop_row(direction: u32, length: u32, flows: u32) -> Row {
    // A hairpin is dropped where it comes in.
    let direction = if direction == HAIRPIN { OUTBOUND } else { direction };
    let traffic = Traffic { length, flows, ..Traffic::new(direction, Pairs::clustered(1_000)) };
    Row::new(Kind::Drop, traffic, if direction == INBOUND { &PARTS } else { &PARTS[..1] })
}

/// All rows. Zero rows first.
pub fn all(quick: bool) -> Vec<Row> {
    use Kind::{Drop, Eipgate, Fib, Forward, Hash, Netmap, NftStateful, NftStateless, Return, Static};
    let of = |direction, count| Traffic::new(direction, Pairs::clustered(count));
    let long = |direction| Traffic { length: 1400, ..of(direction, 1_000) };
    let new_flows = |direction| Traffic { flows: wires::NEW_FLOWS, ..of(direction, 1_000) };
    let mut rows = vec![
        drop_row(INBOUND, 60, wires::ONE_FLOW),
        drop_row(OUTBOUND, 60, wires::ONE_FLOW),
        Row::new(Drop, long(INBOUND), &[Part::Small]),
        Row::new(Drop, long(OUTBOUND), &[Part::Small]),
        Row::new(Drop, new_flows(INBOUND), &[Part::Small, Part::NewFlows, Part::NewFlowsNetmap]),
        Row::new(Return, of(INBOUND, 1_000), &[Part::Small]),
        Row::new(Static, of(INBOUND, 1_000), &PARTS[..4]),
        Row::new(Static, of(OUTBOUND, 1_000), &[Part::Small]),
        Row::new(Static, long(INBOUND), &[Part::Small]),
        Row::new(Fib, of(INBOUND, 1_000), &[Part::Small]),
    ];
    for count in [1, 1_000, 100_000, 1_000_000] {
        let part = match count {
            100_000 => Part::Large,
            1_000_000 => Part::Million,
            _ => Part::Small,
        };
        let mut parts = vec![Part::Small, part];
        if count == 1_000 {
            parts = PARTS[..4].to_vec();
        }
        parts.dedup();
        rows.push(Row::new(Eipgate, of(INBOUND, count), &parts));
        rows.push(Row::new(Eipgate, of(OUTBOUND, count), &parts[..1]));
        rows.push(Row::new(Eipgate, of(HAIRPIN, count), &parts[..1]));
        rows.push(Row::new(Hash, of(INBOUND, count), &[part]));
        for kind in [Forward, NftStateful, NftStateless] {
            rows.push(Row::new(kind, of(INBOUND, count), &[part]));
        }
        rows.push(Row::new(Netmap, of(INBOUND, count), &[part.of_netmap()]));
    }
    for kind in [Forward, NftStateful, NftStateless, Netmap] {
        rows.push(Row::new(kind, of(OUTBOUND, 1_000), &[Part::Small]));
        let part = if kind == Netmap { Part::NewFlowsNetmap } else { Part::NewFlows };
        rows.push(Row::new(kind, new_flows(INBOUND), &[part]));
    }
    rows.push(Row::new(Eipgate, new_flows(INBOUND), &[Part::Small, Part::NewFlows]));
    for direction in [INBOUND, OUTBOUND, HAIRPIN] {
        rows.push(Row::new(Eipgate, long(direction), &[Part::Small]));
    }
    if !quick {
        for kind in [Forward, NftStateful, NftStateless, Netmap] {
            rows.push(Row::new(kind, long(INBOUND), &[Part::Small]));
        }
    }
    let scattered: &[u32] = if quick { &[100_000] } else { &[100_000, 1_000_000] };
    for count in scattered {
        let pairs = Pairs { count: *count, spread: Spread::Scattered };
        rows.push(Row::new(Eipgate, Traffic::new(INBOUND, pairs), &[Part::Small]));
        rows.push(Row::new(Eipgate, Traffic::new(OUTBOUND, pairs), &[Part::Small]));
    }
    if !quick {
        let pairs = Pairs { count: 10_000, spread: Spread::Separate };
        rows.push(Row::new(Eipgate, Traffic::new(INBOUND, pairs), &[Part::Small]));
    }
    rows
}

/// The rows whose name has one of these in it, and those they need; all where none is given.
pub fn chosen(rows: Vec<Row>, only: &[String]) -> Vec<Row> {
    if only.is_empty() {
        return rows;
    }
    let is_wanted = |row: &Row| only.iter().any(|words| row.name().contains(words.as_str()));
    let wanted: Vec<Row> = rows.iter().filter(|row| is_wanted(row)).cloned().collect();
    let zeros: Vec<String> = wanted.iter().map(Row::zero).collect();
    let is_needed = |row: &Row| is_wanted(row) || zeros.contains(&row.name());
    rows.into_iter().filter(is_needed).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_its_name_and_its_zero() {
        for quick in [false, true] {
            let rows = all(quick);
            let names: BTreeSet<String> = rows.iter().map(Row::name).collect();
            assert_eq!(names.len(), rows.len(), "a name stands twice");
            for row in &rows {
                let zero = rows.iter().find(|other| other.name() == row.zero());
                let zero = zero.unwrap_or_else(|| panic!("{}: no row {}", row.name(), row.zero()));
                assert!(row.parts.iter().all(|part| zero.parts.contains(part)), "{}", row.name());
            }
        }
    }

    #[test]
    fn a_choice_brings_what_it_needs() {
        let chosen = chosen(all(false), &["nft-stateful out".into()]);
        let names: Vec<String> = chosen.iter().map(Row::name).collect();
        assert_eq!(names, ["xdp-drop out", "nft-stateful out 1k"]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1, 1_000, 100_000, 1_000_000].map(short), ["1", "1k", "100k", "1M"]);
    }
}
