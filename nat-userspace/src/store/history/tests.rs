//! The history against what the ledger said at each moment, and against hands that would alter it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::Store;
use super::*;
use crate::address::tests::{histories, small_pool};
use crate::address::{
    AccountId, Billing, Change, ChargeType, Eip, EipTerms, Event, Fence, Holder, Instance, InstanceId, InstanceState,
    Ledger, Tenure, tenures,
};

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(8, 8, 8, last)
}

fn account() -> AccountId {
    "default".parse().unwrap()
}

fn instance(id: &str, name: &str) -> Fact {
    Fact::InstanceCreated(Instance {
        id: id.parse().unwrap(),
        account: account(),
        vpc: "vpc-default".parse().unwrap(),
        private: [10, 0, 0, 5].into(),
        name: Some(name.into()),
        bandwidth_mbps: 5,
        charge_type: ChargeType::default(),
        package: None,
        billing: Billing::Postpaid,
        state: InstanceState::Running,
        since: Time(1),
        ordinary: None,
        last_ordinary: None,
        owed: false,
        created: Time(1),
        detail: None,
    })
}

fn eip(id: &str, last: u8) -> Fact {
    let (id, account) = (id.parse().unwrap(), account());
    let terms = EipTerms::default();
    Fact::EipAllocated(Eip { id, account, address: address(last), terms, bound_to: None, created: Time(1) })
}

fn bound(eip: &str, instance: &str) -> Fact {
    Fact::EipBound { eip: eip.parse().unwrap(), instance: instance.parse().unwrap() }
}

fn unbound(eip: &str, instance: &str) -> Fact {
    Fact::EipUnbound { eip: eip.parse().unwrap(), instance: instance.parse().unwrap() }
}

fn terminated(instance: &str) -> Fact {
    Fact::InstanceTerminated { instance: instance.parse().unwrap() }
}

/// The same name twice, an EIP that wanders, and a fence.
fn lived() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap().0;
    let fence =
        Fact::AddressFenced { address: address(1), fence: Fence { reason: Some("abuse".into()), since: Time(30) } };
    for (at, facts) in [
        (10, vec![instance("ins-1", "web"), eip("eip-1", 1)]),
        (20, vec![bound("eip-1", "ins-1")]),
        (30, vec![fence]),
        (40, vec![Fact::AddressUnfenced { address: address(1) }]),
        (50, vec![unbound("eip-1", "ins-1"), terminated("ins-1")]),
        (60, vec![instance("ins-2", "web")]),
        (70, vec![bound("eip-1", "ins-2")]),
    ] {
        store.commit(&Change { facts, at: Time(at) }).unwrap();
    }
    (directory, store)
}

fn reader(store: &Store) -> Reader {
    store.history().open().unwrap().unwrap()
}

fn revisions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.revision).collect()
}

fn prune_all(store: &mut Store, before: u64) -> usize {
    let (mut removed, mut cursor) = (0, Some(0));
    while let Some(from) = cursor {
        let (gone, next) = store.prune(from, Time(before), Time(1000)).unwrap();
        removed += gone;
        cursor = next;
    }
    removed
}

#[test]
fn an_event_tells_who_its_instance_was_long_after_it_is_gone() {
    let (_directory, store) = lived();
    let reader = reader(&store);
    let events = reader.of_address(address(1)).unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(kinds, ["eip_allocated", "eip_bound", "address_fenced", "address_unfenced", "eip_unbound", "eip_bound"]);
    let first = &events[1];
    assert_eq!((first.at, first.account.as_ref()), (Time(20), Some(&account())));
    assert_eq!(first.instance.as_ref().map(InstanceId::as_str), Some("ins-1"));
    assert_eq!((first.name.as_deref(), first.private), (Some("web"), Some([10, 0, 0, 5].into())));
    assert_eq!(events[2].detail.as_deref(), Some("abuse"));
    let ids: Vec<String> = reader.instances_named(&account(), "web").unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["ins-1", "ins-2"]);
    assert_eq!(revisions(&reader.of_eip(&account(), "eip-1").unwrap()), [2, 3, 6, 9]);
    assert_eq!(revisions(&reader.of_instance(&account(), "ins-1").unwrap()), [1, 3, 6, 7]);
    let stranger: AccountId = "other".parse().unwrap();
    assert_eq!(reader.of_eip(&stranger, "eip-1").unwrap(), []);
    assert_eq!(reader.instances_named(&stranger, "web").unwrap(), []);
    assert_eq!(revisions(&reader.after(7, 100).unwrap()), [8, 9]);
    assert_eq!(revisions(&reader.after(0, 2).unwrap()), [1, 2]);
    assert_eq!((reader.latest().unwrap(), reader.pruned_through().unwrap()), (9, 0));
}

#[test]
fn nobody_alters_the_history() {
    let (directory, _store) = lived();
    let by_hand = Connection::open(directory.path().join("state.db")).unwrap();
    for statement in [
        "UPDATE history SET address = 1 WHERE revision = 2",
        "DELETE FROM history WHERE revision = 2",
        "DELETE FROM history",
        "INSERT INTO prunings VALUES (1, 30, 2); UPDATE prunings SET before_ms = 99",
        "DELETE FROM prunings",
        // What is not before the time that was recorded stays.
        "DELETE FROM history WHERE revision = 4",
    ] {
        let refusal = by_hand.execute_batch(statement).unwrap_err().to_string();
        assert!(refusal.contains("append-only"), "{statement}: {refusal}");
    }
}

#[test]
fn what_is_refused_leaves_no_trace() {
    let (_directory, mut store) = lived();
    let contradiction = Change { facts: vec![eip("eip-2", 2), bound("eip-9", "ins-2")], at: Time(80) };
    store.commit(&contradiction).unwrap_err();
    assert_eq!(reader(&store).latest().unwrap(), 9);
    assert_eq!(reader(&store).after(9, 10).unwrap(), []);
}

#[test]
fn pruning_gives_up_what_ended_before_and_nothing_else() {
    let (_directory, mut store) = lived();
    let at = |store: &Store, moment| -> Vec<Tenure> {
        let all = tenures(reader(store).of_address(address(1)).unwrap());
        all.into_iter().filter(|tenure| tenure.covers(Time(moment))).collect()
    };
    let late = [45, 55, 75].map(|moment| at(&store, moment));
    assert_eq!(late.each_ref().map(Vec::len), [1, 1, 1]);
    // At 45 the fence has ended and the EIP was bound to the first instance.
    assert_eq!(prune_all(&mut store, 45), 3);
    assert_eq!([45, 55, 75].map(|moment| at(&store, moment)), late);
    assert_eq!(revisions(&reader(&store).after(0, 100).unwrap()), [1, 3, 6, 7, 8, 9]);
    assert_eq!(reader(&store).pruned_through().unwrap(), 5);
    assert_eq!(reader(&store).pruned_before().unwrap(), Time(45));
    // Later still, the first instance is gone as a whole, and the one that lives is known.
    assert_eq!(prune_all(&mut store, 65), 3);
    assert_eq!(revisions(&reader(&store).after(0, 100).unwrap()), [6, 8, 9]);
    assert_eq!(prune_all(&mut store, 65), 0);
    // A revision is never used again, whatever was pruned.
    store.commit(&Change { facts: vec![unbound("eip-1", "ins-2")], at: Time(90) }).unwrap();
    assert_eq!(reader(&store).latest().unwrap(), 10);
}

#[test]
fn every_question_is_answered_by_an_index() {
    let (directory, _store) = lived();
    let database = Connection::open(directory.path().join("state.db")).unwrap();
    for condition in [
        "h.address = 1 ORDER BY h.revision",
        "h.eip = 'a' ORDER BY h.revision",
        "h.revision > 5 ORDER BY h.revision LIMIT 5",
    ] {
        let plan = plan(&database, &format!("{} WHERE {condition}", read::EVENTS));
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{condition}: {plan}");
    }
    // One instance's events are few enough to be put into order.
    let of_instance = plan(&database, &format!("{} WHERE h.instance = 'a' ORDER BY h.revision", read::EVENTS));
    assert!(!of_instance.contains("SCAN"), "{of_instance}");
    let named = "SELECT instance FROM history WHERE kind = 64 AND name = 'a' AND account = 'b' ORDER BY revision";
    assert!(plan(&database, named).contains("history_by_name"));
}

fn plan(database: &Connection, sql: &str) -> String {
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

/// A database as version 1 left it.
fn of_version_1(directory: &Path) {
    let path = directory.join("state.db");
    let database = Connection::open(&path).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    let tables = super::super::schema::TABLES;
    let rows = "\
INSERT INTO instances VALUES ('ins-1', 'default', 'vpc-default', 167772165, 'web', 5, 1, 134744065, NULL, 7);
INSERT INTO instances VALUES ('ins-2', 'default', 'vpc-default', 167772166, NULL, 5, 1, NULL, NULL, 8);
INSERT INTO eips VALUES ('eip-1', 'default', 134744066, NULL, 'ins-2', 9);";
    let head = format!("PRAGMA application_id = {}; PRAGMA user_version = 1;", 0x6569_7067);
    database.execute_batch(&format!("{head} {tables} {rows}")).unwrap();
}

#[test]
fn a_store_of_version_1_begins_its_history_with_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    of_version_1(directory.path());
    let (store, snapshot) = Store::open(directory.path()).unwrap();
    assert_eq!((snapshot.instances.len(), snapshot.eips.len()), (2, 1));
    let reader = reader(&store);
    let known = |last| {
        let events = reader.of_address(address(last)).unwrap();
        let told = events.iter().map(|event| {
            let instance = event.instance.as_ref().map(ToString::to_string);
            (event.kind.name(), instance, event.name.clone(), event.at == Time(9))
        });
        told.collect::<Vec<_>>()
    };
    let (one, two) = (Some("ins-1".to_owned()), Some("ins-2".to_owned()));
    assert_eq!(known(1), [("recorded", one, Some("web".into()), false)]);
    assert_eq!(known(2), [("eip_allocated", None, None, true), ("recorded", two, None, false)]);
    drop(store);
    assert_eq!(Store::open(directory.path()).unwrap().1, snapshot);
}

/// Who holds each address, and the instance it serves.
fn holders(ledger: &Ledger) -> BTreeMap<Ipv4Addr, (Option<String>, Option<String>)> {
    let held = (0..8)
        .flat_map(|last| [[7, 7, 7, last], [8, 8, 8, last], [9, 9, 9, last], [10, 0, 0, last]])
        .map(Ipv4Addr::from);
    let told = held.filter_map(|address| {
        let eip = match ledger.holder(address)? {
            Holder::Eip(eip) => Some(eip.to_string()),
            Holder::Ordinary(_) => None,
        };
        Some((address, (eip, ledger.served_by(address).map(|instance| instance.id.to_string()))))
    });
    told.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_history_tells_who_had_each_address_at_each_moment(history in histories()) {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::new(small_pool(history.cool_down)).with_policy(history.policy.clone());
        let mut store = Store::open(directory.path()).unwrap().0;
        // Of several changes in one moment the last one counts.
        let mut moments = BTreeMap::new();
        for request in history.requests {
            if let Ok(change) = ledger.decide(request.command, request.now, request.capacity)
                && !change.is_empty()
            {
                store.commit(&change).unwrap();
                ledger.apply(&change);
            }
            let fenced: Vec<Ipv4Addr> = ledger.fences().map(|(address, _)| address).collect();
            moments.insert(request.now, (holders(&ledger), fenced));
        }
        let Some(reader) = store.history().open().unwrap() else { return Ok(()) };
        let mut all: Vec<Tenure> = tenures(reader.after(0, usize::MAX).unwrap());
        let beginnings: std::collections::BTreeSet<u64> = all.iter().map(|tenure| tenure.came.revision).collect();
        prop_assert_eq!(beginnings.len(), all.len());
        for (moment, (held, fenced)) in &moments {
            let then = all.iter().filter(|tenure| tenure.covers(*moment));
            let (fences, tenures): (Vec<&Tenure>, Vec<&Tenure>) = then.partition(|tenure| tenure.is_fence());
            prop_assert_eq!(tenures.len(), held.len());
            for tenure in tenures {
                let told = |id: Option<&str>| id.map(str::to_owned);
                let eip = told(tenure.came.eip.as_ref().map(|eip| eip.as_str()));
                let instance = told(tenure.came.instance.as_ref().map(|instance| instance.as_str()));
                prop_assert_eq!(Some(&(eip, instance)), held.get(&tenure.address));
            }
            let mut told: Vec<Ipv4Addr> = fences.iter().map(|tenure| tenure.address).collect();
            told.sort();
            prop_assert_eq!(&told, fenced);
        }
        // Pruned anywhere, it still tells the same of that moment and all after.
        let Some((middle, _)) = moments.iter().nth(moments.len() / 2) else { return Ok(()) };
        prune_all(&mut store, middle.0);
        let mut left = tenures(reader.after(0, usize::MAX).unwrap());
        for list in [&mut all, &mut left] {
            list.retain(|tenure| tenure.went.as_ref().is_none_or(|went| went.at >= *middle));
        }
        prop_assert_eq!(left, all);
    }
}
