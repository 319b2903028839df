//! The store against files as they should and should not be.

mod copies;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::address::tests::{histories, small_pool};
use crate::address::{
    Billing, ChargeType, Daily, DayCount, Eip, EipTerms, Fact, Instance, InstanceDetail, InstanceState, Ledger, Made,
    Operation, Package, StopMode, Tags, Time, UsedToken,
};

fn instance() -> Instance {
    Instance {
        id: "ins-1".parse().unwrap(),
        account: "default".parse().unwrap(),
        vpc: "vpc-default".parse().unwrap(),
        private: [10, 0, 0, 5].into(),
        name: Some("web".into()),
        bandwidth_mbps: 5,
        charge_type: ChargeType::BandwidthPackage,
        package: Some("bwp-1".parse().unwrap()),
        billing: Billing::Prepaid { until: Time(70) },
        state: InstanceState::Stopped(StopMode::KeepCharging),
        since: Time(17),
        ordinary: None,
        last_ordinary: Some([198, 18, 0, 1].into()),
        owed: true,
        created: Time(7),
        detail: Some(Box::new(InstanceDetail {
            image: Some("img-1".into()),
            security_groups: vec!["sg-1".into(), "sg-2".into()],
            tags: Tags::from([("team".into(), "net".into())]),
            protected: true,
            operation: Some(Operation { name: "StopInstances".into(), request: "r-1".into() }),
            ..InstanceDetail::default()
        })),
    }
}

fn package() -> Package {
    let (id, account) = ("bwp-1".parse().unwrap(), "default".parse().unwrap());
    Package { id, account, name: Some("office".into()), bandwidth_mbps: Some(200), created: Time(6), detail: None }
}

fn day() -> DayCount {
    DayCount { account: "default".parse().unwrap(), what: Daily::Reallocations, day: 20_000, count: 3 }
}

fn token() -> UsedToken {
    UsedToken {
        account: "default".parse().unwrap(),
        token: "a:b/c".parse().unwrap(),
        request: "allocate".into(),
        made: Made::Eip("eip-1".parse().unwrap()),
        at: Time(8),
    }
}

fn eip() -> Eip {
    Eip {
        id: "eip-1".parse().unwrap(),
        account: "default".parse().unwrap(),
        address: [198, 18, 0, 2].into(),
        terms: EipTerms { bandwidth_mbps: 30, blocked: true, arrears: true, ..EipTerms::default() },
        bound_to: Some("ins-1".parse().unwrap()),
        created: Time(8),
    }
}

fn content() -> Snapshot {
    Snapshot {
        instances: vec![instance()],
        eips: vec![eip()],
        released: vec![([198, 18, 0, 1].into(), Time(9))],
        duplicates: vec![[198, 18, 0, 9].into()],
        packages: vec![package()],
        days: vec![day()],
        tokens: vec![token()],
        ..Snapshot::default()
    }
}

/// Leads to [`content`].
fn change() -> Change {
    let released = Eip { id: "eip-0".parse().unwrap(), address: [198, 18, 0, 1].into(), bound_to: None, ..eip() };
    let gone = Fact::EipReleased { eip: released.id.clone(), address: released.address, at: Time(9) };
    let marked = Fact::DuplicateMarked { address: [198, 18, 0, 9].into() };
    Change {
        facts: vec![
            Fact::PackageCreated(package()),
            Fact::InstanceCreated(instance()),
            Fact::EipAllocated(eip()),
            Fact::DayCounted(day()),
            Fact::TokenUsed(token()),
            Fact::EipAllocated(released),
            gone,
            marked,
        ],
        at: Time(9),
    }
}

fn mark(last: u8) -> Change {
    of(vec![Fact::DuplicateMarked { address: [8, 8, 8, last].into() }])
}

fn of(facts: Vec<Fact>) -> Change {
    Change { facts, at: Time(10) }
}

/// A directory whose state is [`content`], left by a daemon that ended well.
fn kept() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    Store::open(directory.path()).unwrap().0.commit(&change()).unwrap();
    directory
}

fn refusal(directory: &Path) -> String {
    Store::open(directory).unwrap_err().to_string()
}

/// Every file but the lock, with what is in it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    named.filter(|(name, _)| name != "lock").collect()
}

#[test]
fn many_instances_are_read_in_order_and_each_once_with_a_log_or_without() {
    let directory = tempfile::tempdir().unwrap();
    let one = |number: u32| Instance {
        id: format!("ins-{number:05}").parse().unwrap(),
        account: format!("account-{}", number % 3).parse().unwrap(),
        private: std::net::Ipv4Addr::from_bits(0x0a00_0000 + number),
        name: Some(format!("vm-{number}")),
        last_ordinary: None,
        package: None,
        ..instance()
    };
    let all: Vec<Instance> = (0..25_001).map(one).collect();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.commit(&of(all.iter().cloned().map(Fact::InstanceCreated).collect())).unwrap();
    // The log is still there beside the open writer.
    assert!(store.load().unwrap().instances == all);
    drop(store);
    let snapshot = Store::open(directory.path()).unwrap().1;
    assert!(snapshot.instances == all);

    let ledger = Ledger::restore(small_pool(std::time::Duration::ZERO), snapshot.clone()).unwrap();
    assert_eq!(ledger.check_invariants(), Ok(()));
    let mut twice = snapshot;
    twice.instances[7].name = twice.instances[10].name.clone();
    let twice = Ledger::restore(small_pool(std::time::Duration::ZERO), twice).unwrap();
    let account = twice.instance(&"ins-00007".parse().unwrap()).unwrap().account.clone();
    assert_eq!(twice.instances_named(&account, "vm-10").count(), 2);
    assert_eq!(twice.check_invariants(), Ok(()));
}

#[test]
fn what_is_committed_is_what_the_next_daemon_reads() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("var/lib/eipgate #1?%20");
    let (mut store, empty) = Store::open(&deep).unwrap();
    assert_eq!(empty, Snapshot::default());
    assert!(!store.path().exists());
    store.commit(&change()).unwrap();
    drop(store);
    assert_eq!(Store::open(&deep).unwrap().1, content());
}

#[test]
fn opening_changes_no_file() {
    let directory = kept();
    let before = files(directory.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), ["state.db"]);
    drop(Store::open(directory.path()).unwrap());
    assert_eq!(files(directory.path()), before);
}

#[test]
fn what_a_killed_daemon_left_in_the_log_is_read_and_left_there() {
    let directory = kept();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.commit(&mark(1)).unwrap();
    let killed = tempfile::tempdir().unwrap();
    for (name, bytes) in files(directory.path()) {
        fs::write(killed.path().join(name), bytes).unwrap();
    }
    // Where it was killed in the middle of a commit, the log ends with frames that no mark completes.
    let log = killed.path().join("state.db-wal");
    let mut frames = fs::read(&log).unwrap();
    let whole = frames.len();
    frames.extend_from_within(32..);
    fs::write(&log, &frames).unwrap();
    let before = files(killed.path());
    let (store, snapshot) = Store::open(killed.path()).unwrap();
    assert_eq!(snapshot.duplicates.len(), 2);
    drop(store);
    let after = files(killed.path());
    assert_eq!((&after["state.db"], &after["state.db-wal"]), (&before["state.db"], &before["state.db-wal"]));
    // Of a commit whose frames are not all there, nothing is.
    fs::write(&log, &frames[..whole - 1]).unwrap();
    let (mut store, snapshot) = Store::open(killed.path()).unwrap();
    assert_eq!(snapshot, content());
    store.commit(&mark(2)).unwrap();
    drop(store);
    assert_eq!(Store::open(killed.path()).unwrap().1.duplicates.len(), 2);
}

#[test]
fn a_log_cut_anywhere_holds_the_commits_that_are_whole_and_no_half() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    // The states that were committed, in their order; the first is that of a store without a commit.
    let mut states = vec![store.load().unwrap()];
    store.commit(&change()).unwrap();
    states.push(store.load().unwrap());
    for last in 1..=6 {
        store.commit(&mark(last)).unwrap();
        states.push(store.load().unwrap());
    }
    let whole = files(directory.path());
    let log = &whole["state.db-wal"];
    let (mut reached, mut points) = (0, 0);
    for length in (0..log.len()).step_by(512).chain([log.len()]) {
        let cut = tempfile::tempdir().unwrap();
        fs::write(cut.path().join("state.db"), &whole["state.db"]).unwrap();
        fs::write(cut.path().join("state.db-wal"), &log[..length]).unwrap();
        let found = Store::open(cut.path()).unwrap().1;
        let place = states.iter().position(|state| *state == found);
        let place = place.unwrap_or_else(|| panic!("cut at {length} of {}: {found:?}", log.len()));
        assert!(place >= reached, "cut at {length}, later than before, and less is there");
        (reached, points) = (place, points + 1);
    }
    println!("cut at {points} places");
    assert_eq!(reached, states.len() - 1);
}

#[test]
fn a_creation_cut_short_leaves_nothing_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(NEXT), "half a database").unwrap();
    let (mut store, snapshot) = Store::open(directory.path()).unwrap();
    assert_eq!(snapshot, Snapshot::default());
    store.commit(&change()).unwrap();
    drop(store);
    assert_eq!(Store::open(directory.path()).unwrap().1, content());
}

/// A log that is not synced with each commit survives a killed daemon, and no power cut.
#[test]
fn every_commit_is_synced_before_it_is_believed() {
    let directory = kept();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    let full = |store: &mut Store| {
        let writer = store.writer().unwrap();
        ["synchronous", "journal_mode"].map(|name| {
            let value = writer.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0));
            format!("{:?}", value.unwrap())
        })
    };
    let synced = ["Integer(2)", "Text(\"wal\")"];
    assert_eq!(full(&mut store), synced);
    store.reopen().unwrap();
    assert_eq!(full(&mut store), synced);
}

#[test]
fn a_failed_commit_says_what_the_system_said_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    fs::remove_dir_all(directory.path()).unwrap();
    let error = store.commit(&change()).unwrap_err();
    assert!(matches!(error, StoreError::Io { action: "create", .. }), "{error}");

    let directory = kept();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.commit(&mark(1)).unwrap();
    let full: i64 = store.writer.as_ref().unwrap().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.writer().unwrap().pragma_update_and_check(None, "max_page_count", full, |_| Ok(())).unwrap();
    let many = (0..10_000).map(|number| Fact::DuplicateMarked { address: std::net::Ipv4Addr::from_bits(number) });
    let error = store.commit(&of(many.collect())).unwrap_err();
    let sentence = format!("cannot write to {}: database or disk is full", store.path().display());
    assert_eq!((matches!(error, StoreError::Sql { .. }), error.to_string()), (true, sentence));
    // The store is as good as before.
    store.commit(&of(vec![Fact::DuplicateCleared { address: [8, 8, 8, 1].into() }])).unwrap();
    drop(store);
    assert_eq!(Store::open(directory.path()).unwrap().1, content());
}

#[test]
fn a_change_that_contradicts_what_is_stored_is_not_committed() {
    let directory = kept();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    let (nobody, instance) = ("ins-9".parse().unwrap(), "ins-1".parse().unwrap());
    let other = Eip { id: "eip-9".parse().unwrap(), address: [198, 18, 0, 3].into(), ..eip() };
    for fact in [
        Fact::InstanceTerminated { instance: nobody },
        Fact::InstanceTerminated { instance },
        Fact::EipAllocated(Eip { address: eip().address, bound_to: None, ..other.clone() }),
        Fact::EipAllocated(other),
        Fact::DuplicateMarked { address: [198, 18, 0, 9].into() },
    ] {
        let change = of([mark(1).facts, vec![fact]].concat());
        assert!(matches!(store.commit(&change), Err(StoreError::Sql { .. })), "{change:?}");
    }
    drop(store);
    assert_eq!(Store::open(directory.path()).unwrap().1, content());
}

#[test]
fn only_a_failure_that_may_leave_the_change_in_the_log_is_uncertain() {
    let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    for (code, uncertain) in [
        (rusqlite::ffi::SQLITE_FULL, false),
        (rusqlite::ffi::SQLITE_BUSY, false),
        (rusqlite::ffi::SQLITE_IOERR_FSYNC, true),
        (rusqlite::ffi::SQLITE_IOERR_WRITE, true),
    ] {
        assert_eq!(matches!(at_commit(failed(code), "x".into()), StoreError::Uncertain { .. }), uncertain);
    }
}

#[test]
fn a_file_that_is_not_a_state_of_ours_is_refused_and_left_alone() {
    let good = fs::read(kept().path().join(STATE)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STATE);
    let shown = path.display();
    let damaged = |problem: &str| {
        format!(
            "{shown} is damaged ({problem}); nothing was changed: bring back a good copy, or move it away to start empty"
        )
    };
    let with = |range: std::ops::Range<usize>, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[range].copy_from_slice(bytes);
        changed
    };
    for (bytes, sentence) in [
        (Vec::new(), damaged("it is too short for a database")),
        (b"{\"version\":1}".repeat(20), damaged("it is no SQLite database")),
        (good[..good.len() / 2].to_vec(), damaged("database disk image is malformed")),
        (with(4096..4196, &[0; 100]), damaged("database disk image is malformed")),
        (with(60..64, &[0; 4]), damaged("format version 0 never existed")),
        (
            with(60..64, &[0, 0, 0, 7]),
            format!(
                "{shown} has format version 7, but this eipgate knows versions 1 to 6; nothing was changed: run the eipgate that wrote it"
            ),
        ),
        (
            with(68..72, &[0, 0, 0, 7]),
            format!(
                "{shown} is another program's database (application id 0x7); nothing was changed: choose another state directory"
            ),
        ),
    ] {
        fs::write(&path, &bytes).unwrap();
        assert_eq!(refusal(directory.path()), sentence);
        assert_eq!(files(directory.path()), BTreeMap::from([(STATE.to_owned(), bytes)]));
    }
    for (sql, problem) in [
        ("UPDATE eips SET bound_to = NULL, id = 'eip 1'", "\"eip 1\" is not a valid EIP id: write 1 to 64 "),
        ("UPDATE instances SET charge_type = 9", "9 stands for no charge type"),
        ("UPDATE instances SET private = -1", "-1 is out of range"),
        ("UPDATE instances SET state = 9", "9 stands for no state"),
        ("UPDATE eips SET blocked = 2", "2 is neither yes nor no"),
        ("UPDATE days SET what = 0", "0 stands for nothing counted by the day"),
        ("UPDATE tokens SET token = 'a b'", "a client token is 1 to 64 printable ASCII characters without blanks"),
        ("UPDATE released SET at_ms = -1", "-1 is no time"),
    ] {
        fs::write(&path, &good).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let refusal = refusal(directory.path());
        assert!(refusal.starts_with(&format!("{shown} is damaged ({problem}")), "{refusal}");
    }
}

/// A state as version 1 wrote it: a bound EIP, an ordinary public IP, one that rests and one set aside.
fn of_version_1(path: &Path) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA application_id = {}; PRAGMA user_version = 1; {} \
             INSERT INTO instances VALUES ('ins-1', 'default', 'vpc-default', 167772165, 'web', 5, 2, NULL, 3323068417, 7); \
             INSERT INTO instances VALUES ('ins-2', 'default', 'vpc-default', 167772166, NULL, 9, 3, 3323068420, NULL, 9); \
             INSERT INTO eips VALUES ('eip-1', 'default', 3323068418, 'mail', 'ins-1', 8); \
             INSERT INTO released VALUES (3323068417, 9); INSERT INTO duplicates VALUES (3323068425);",
            0x6569_7067,
            schema::TABLES
        ))
        .unwrap();
}

#[test]
fn a_state_of_version_1_is_brought_forward_with_all_that_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STATE);
    of_version_1(&path);
    let runs = Instance {
        charge_type: ChargeType::TrafficPostpaidByHour,
        package: None,
        billing: Billing::Postpaid,
        state: InstanceState::Running,
        since: Time(7),
        owed: false,
        detail: None,
        ..instance()
    };
    let other = Instance {
        id: "ins-2".parse().unwrap(),
        private: [10, 0, 0, 6].into(),
        name: None,
        bandwidth_mbps: 9,
        charge_type: ChargeType::BandwidthPackage,
        ordinary: Some([198, 18, 0, 4].into()),
        last_ordinary: None,
        since: Time(9),
        created: Time(9),
        ..runs.clone()
    };
    let terms = EipTerms { name: Some("mail".into()), ..EipTerms::default() };
    let content = Snapshot {
        instances: vec![runs, other],
        eips: vec![Eip { terms, ..eip() }],
        packages: vec![],
        days: vec![],
        tokens: vec![],
        ..content()
    };
    let (mut store, snapshot) = Store::open(directory.path()).unwrap();
    assert_eq!(snapshot, content);
    // From here on it is like any other: everything can be written to it, and the next start finds it at this version.
    let more = Change {
        facts: vec![
            Fact::PackageCreated(package()),
            Fact::InstanceTerms {
                instance: "ins-1".parse().unwrap(),
                bandwidth_mbps: 5,
                charge_type: ChargeType::BandwidthPackage,
                package: Some(package().id),
            },
            Fact::TokenUsed(token()),
        ],
        at: Time(11),
    };
    store.commit(&more).unwrap();
    drop(store);
    let before = files(directory.path());
    let snapshot = Store::open(directory.path()).unwrap().1;
    assert_eq!((snapshot.instances[0].package.clone(), snapshot.tokens), (Some(package().id), vec![token()]));
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_state_of_version_1_that_cannot_be_read_in_full_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STATE);
    of_version_1(&path);
    Connection::open(&path).unwrap().execute_batch("UPDATE released SET at_ms = -1").unwrap();
    let before = files(directory.path());
    assert!(refusal(directory.path()).contains("-1 is no time"));
    assert_eq!(files(directory.path())[STATE], before[STATE]);
    let version: u32 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
}

#[test]
fn a_new_state_has_the_tables_of_one_that_was_brought_forward() {
    let tables = |path: &Path| {
        let database = Connection::open(path).unwrap();
        let mut rows = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<Vec<(String, Option<String>)>, _>>().unwrap()
    };
    let (new, old) = (kept(), tempfile::tempdir().unwrap());
    of_version_1(&old.path().join(STATE));
    drop(Store::open(old.path()).unwrap());
    assert_eq!(tables(&new.path().join(STATE)), tables(&old.path().join(STATE)));
}

#[test]
fn the_file_of_an_earlier_eipgate_is_refused_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FORMER);
    fs::write(&path, "{\"version\":1}").unwrap();
    assert_eq!(
        refusal(directory.path()),
        format!(
            "{} is the state of an earlier eipgate, which this one does not read; nothing was changed: \
             run the earlier one, or move the file away to start empty",
            path.display()
        )
    );
    assert_eq!(files(directory.path()).keys().collect::<Vec<_>>(), [FORMER]);
}

#[test]
fn a_second_daemon_is_refused_by_the_pid_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = Store::open(directory.path()).unwrap();
    let shown = directory.path().display();
    let pid = std::process::id();
    assert_eq!(
        refusal(directory.path()),
        format!(
            "another eipgate (pid {pid}) already runs on {shown}; stop it, or give this one its own state directory"
        )
    );
    drop(first);
    assert!(Store::open(directory.path()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn after_any_history_the_stored_ledger_is_the_one_in_memory(history in histories()) {
        let directory = tempfile::tempdir().unwrap();
        let policy = history.policy.clone();
        let mut ledger = Ledger::new(small_pool(history.cool_down)).with_policy(policy.clone());
        let (mut store, _) = Store::open(directory.path()).unwrap();
        for (number, request) in history.requests.into_iter().enumerate() {
            if let Ok(change) = ledger.decide(request.command, request.now, request.capacity) {
                store.commit(&change).unwrap();
                ledger.apply(&change);
            }
            if number % 16 == 0 {
                drop(store);
                let (opened, snapshot) = Store::open(directory.path()).unwrap();
                let restored = Ledger::restore(ledger.pool().clone(), snapshot).unwrap().with_policy(policy.clone());
                prop_assert_eq!(&restored, &ledger);
                store = opened;
            }
        }
        drop(store);
        let snapshot = Store::open(directory.path()).unwrap().1;
        prop_assert_eq!(&snapshot, &ledger.snapshot());
        let restored = Ledger::restore(ledger.pool().clone(), snapshot);
        prop_assert_eq!(restored.map(|restored| restored.with_policy(policy)), Ok(ledger));
    }
}
