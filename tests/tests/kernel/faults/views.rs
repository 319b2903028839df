//! A state as commands read it, as another program reads it from the disk, and as the maps have it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use lab::lab::{Lab, Namespace, SOON};
use serde_json::Value;

/// What matters of a state: who has which address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Each private address with its public one.
    pub(crate) instances: BTreeMap<Ipv4Addr, Option<Ipv4Addr>>,
    /// Each EIP with the private address it is bound to.
    pub(crate) eips: BTreeMap<Ipv4Addr, Option<Ipv4Addr>>,
    /// Each EIP with its bandwidth.
    pub(crate) mbps: BTreeMap<Ipv4Addr, u32>,
}

impl State {
    /// Every public address somebody holds. Asserts that nobody else holds it.
    pub(crate) fn held(&self) -> BTreeSet<Ipv4Addr> {
        let mut held: BTreeSet<Ipv4Addr> = self.eips.keys().copied().collect();
        for (private, public) in &self.instances {
            let Some(public) = public else { continue };
            match self.eips.get(public) {
                Some(bound) => assert_eq!(bound.as_ref(), Some(private), "{self:?}"),
                None => assert!(held.insert(*public), "{public} is held twice: {self:?}"),
            }
        }
        held
    }
}

/// What commands read.
pub(crate) fn read(lab: &Lab) -> State {
    let rows = |words: &[&str]| lab.daemon.json(words).unwrap().as_array().unwrap().clone();
    let eips = rows(&["eip", "list"]);
    State {
        instances: rows(&["instance", "list"])
            .iter()
            .map(|row| (address(&row["private_ip"]).unwrap(), address(&row["public_ip"])))
            .collect(),
        eips: eips.iter().map(|row| (address(&row["address"]).unwrap(), address(&row["private_ip"]))).collect(),
        mbps: eips
            .iter()
            .map(|row| (address(&row["address"]).unwrap(), row["bandwidth_mbps"].as_u64().unwrap() as u32))
            .collect(),
    }
}

fn address(value: &Value) -> Option<Ipv4Addr> {
    value.as_str().map(|text| text.parse().unwrap())
}

/// What is stored, as another program reads it.
pub(crate) fn stored(lab: &Lab) -> State {
    let database = lab.daemon.state().join("state.db");
    // It is made by the first change.
    if !database.exists() {
        return State::default();
    }
    let database = database.display().to_string();
    // One transaction, or a change could come between the answers.
    let sql = "BEGIN;
        SELECT 'i', private, coalesce(ordinary, address, '-') FROM instances LEFT JOIN eips ON bound_to = instances.id;
        SELECT 'e', address, coalesce(private, '-') FROM eips LEFT JOIN instances ON bound_to = instances.id;
        SELECT 'm', address, bandwidth_mbps FROM eips;";
    let finished = lab.gateway.output(&["sqlite3", "-readonly", "-separator", " ", &database, sql], SOON).unwrap();
    assert!(finished.success(), "{finished}");
    let number = |text: &str| text.parse().ok().map(Ipv4Addr::from_bits);
    let mut state = State::default();
    for line in finished.stdout.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("{finished}"));
        let (kind, key, value) = (word(), number(word()).unwrap(), word());
        match kind {
            "i" => drop(state.instances.insert(key, number(value))),
            "e" => drop(state.eips.insert(key, number(value))),
            _ => drop(state.mbps.insert(key, value.parse().unwrap())),
        }
    }
    state
}

/// What the maps hold, in both directions.
pub(crate) fn in_maps(lab: &Lab) -> BTreeMap<Ipv4Addr, Option<Ipv4Addr>> {
    let maps = lab.daemon.map(&["show"]).unwrap();
    let pairs = maps["pairs"].as_array().unwrap().iter().map(|pair| {
        assert!(pair["inbound"] == true && pair["outbound"] == true, "one way only: {pair}");
        (address(&pair["private"]).unwrap(), address(&pair["public"]))
    });
    let rest = maps["without_public_address"].as_array().unwrap().iter();
    pairs.chain(rest.map(|row| (address(&row["private"]).unwrap(), None))).collect()
}

/// The one state that all three views show. No address is lost: each of the pool is held or free.
#[track_caller]
pub(crate) fn agreed(lab: &Lab) -> State {
    let state = read(lab);
    assert_eq!(stored(lab), state, "stored, and read");
    assert_eq!(in_maps(lab), state.instances, "in the maps, and read");
    let count = |row: &Value, field: &str| row[field].as_u64().unwrap();
    let pools = lab.daemon.json(&["pool", "list"]).unwrap();
    let held: u64 = pools.as_array().unwrap().iter().map(|row| count(row, "held")).sum();
    assert_eq!(held, state.held().len() as u64, "{pools}");
    for row in pools.as_array().unwrap() {
        let sum = ["held", "cooling_down", "free", "set_aside"].map(|field| count(row, field)).iter().sum::<u64>();
        assert_eq!(sum, count(row, "members"), "{row}");
    }
    let checked = check(lab);
    assert_eq!(checked.0, 0, "{}", checked.1);
    state
}

/// `eipgate check`: its exit status, and what it says.
pub(crate) fn check(lab: &Lab) -> (i32, Value) {
    let (state, maps) = (lab.daemon.state().display().to_string(), lab.daemon.maps().display().to_string());
    let finished = lab.daemon.cli(&["check", "--state-dir", &state, "--bpf-dir", &maps, "-o", "json"]).unwrap();
    (finished.code(), serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished}")))
}

/// Somebody outside who is answered, or is not.
pub(crate) fn reaches(from: &Namespace, public: Ipv4Addr) -> bool {
    from.output(&["ping", "-c", "1", "-W", "2", &public.to_string()], SOON).unwrap().success()
}
