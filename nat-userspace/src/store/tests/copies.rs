//! Backups, examinations, and a store that is opened again.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_backup_of_a_live_store_is_a_store() {
    let directory = kept();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.commit(&mark(1)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("state.db");
    let stored = store.load().unwrap();
    assert_eq!(backup(directory.path(), &copy).unwrap(), stored);
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The store goes on, and the copy does not follow.
    store.commit(&mark(2)).unwrap();
    let (mut second, copied) = Store::open(elsewhere.path()).unwrap();
    assert_eq!(copied, stored);
    second.commit(&mark(3)).unwrap();
    drop(second);
    assert_eq!(Store::open(elsewhere.path()).unwrap().1.duplicates.len(), 3);
    assert_eq!(examine(elsewhere.path()).unwrap().unwrap().damage, Vec::<String>::new());
}

#[test]
fn a_backup_replaces_nothing_and_leaves_nothing_half_made() {
    let directory = kept();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.db");
    fs::write(&copy, "precious").unwrap();
    let error = backup(directory.path(), &copy).unwrap_err().to_string();
    assert_eq!(error, format!("{} exists already, and a backup replaces nothing; name another file", copy.display()));
    assert_eq!(fs::read(&copy).unwrap(), b"precious");
    fs::remove_file(&copy).unwrap();

    let nothing = backup(elsewhere.path(), &copy).unwrap_err().to_string();
    assert!(nothing.ends_with("is the state directory right?"), "{nothing}");
    let state = directory.path().join(STATE);
    let good = fs::read(&state).unwrap();
    // Damage that can be read all the same is found in the copy.
    let dangling = "PRAGMA foreign_keys = OFF; UPDATE eips SET bound_to = 'ins-9'";
    Connection::open(&state).unwrap().execute_batch(dangling).unwrap();
    let damaged = backup(directory.path(), &copy).unwrap_err().to_string();
    assert!(damaged.contains("a row of eips names one of instances that is not there"), "{damaged}");
    fs::write(&state, &good[..good.len() / 2]).unwrap();
    assert!(backup(directory.path(), &copy).is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_sound_store_is_found_sound_and_altered_by_no_look() {
    let directory = tempfile::tempdir().unwrap();
    assert!(examine(directory.path()).unwrap().is_none());
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.commit(&change()).unwrap();
    let before = files(directory.path());
    let found = examine(directory.path()).unwrap().unwrap();
    assert_eq!((found.damage, found.contradictions), (vec![], vec![]));
    assert_eq!(found.snapshot, Some(content()));
    let after = files(directory.path());
    assert_eq!((&before["state.db"], &before["state.db-wal"]), (&after["state.db"], &after["state.db-wal"]));
    drop(store);
    assert_eq!(examine(directory.path()).unwrap().unwrap().snapshot, Some(content()));
}

#[test]
fn every_defect_of_a_store_is_named() {
    let good = fs::read(kept().path().join(STATE)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STATE);
    let second = "INSERT INTO instances (id, account, vpc, private, bandwidth_mbps, charge_type, created_ms) \
                  SELECT 'ins-2', account, vpc, private + 1, 5, charge_type, 1 FROM instances WHERE id = 'ins-1';";
    let changed = |sql: &str| {
        fs::write(&path, &good).unwrap();
        Connection::open(&path).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF; {second} {sql}")).unwrap();
        let found = examine(directory.path()).unwrap().unwrap();
        [found.damage, found.contradictions]
    };
    let said = |damage: &[&str], contradictions: &[&str]| {
        [damage, contradictions].map(|sentences| sentences.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(changed(""), said(&[], &[]));
    for (sql, damage, contradictions) in [
        (
            "UPDATE instances SET ordinary = (SELECT address FROM eips) WHERE id = 'ins-2'",
            &[][..],
            &["public address 198.18.0.2 is held by both instance ins-2 and EIP eip-1"][..],
        ),
        (
            "UPDATE instances SET ordinary = 3323068421 WHERE id = 'ins-1'",
            &[],
            &["instance ins-1 has two public addresses, 198.18.0.5 and 198.18.0.2"],
        ),
        (
            "UPDATE instances SET account = 'other' WHERE id = 'ins-1'",
            &[],
            &[
                "EIP eip-1 of account default is bound to instance ins-1 of account other",
                "instance ins-1 of account other shares package bwp-1 of account default",
            ],
        ),
        (
            "UPDATE eips SET package = 'bwp-1'; UPDATE packages SET account = 'other'",
            &[],
            &[
                "instance ins-1 of account default shares package bwp-1 of account other",
                "EIP eip-1 of account default shares package bwp-1 of account other",
            ],
        ),
        (
            "UPDATE instances SET state = 4, ordinary = 3323068421 WHERE id = 'ins-2'",
            &[],
            &[
                "instance ins-2 is off without charge or in the recycle bin and yet has the ordinary public IP 198.18.0.5",
            ],
        ),
        (
            "UPDATE instances SET private = 167772165, name = 'web'",
            &[],
            // Names may be shared.
            &["private address 10.0.0.5 of VPC vpc-default belongs to several instances: ins-1, ins-2"],
        ),
        (
            "UPDATE released SET address = (SELECT address FROM eips)",
            &[],
            &["public address 198.18.0.2 is resting and yet held by EIP eip-1"],
        ),
        ("UPDATE eips SET bound_to = 'ins-9'", &["a row of eips names one of instances that is not there"], &[]),
        ("DROP INDEX eips_by_instance", &["index eips_by_instance is missing"], &[]),
    ] {
        assert_eq!(changed(sql), said(damage, contradictions), "{sql}");
    }
    // What cannot be read at all is named as the start would.
    fs::write(&path, [&good[..4096], &[0; 100], &good[4196..]].concat()).unwrap();
    let found = examine(directory.path()).unwrap().unwrap();
    assert!(!found.damage.is_empty() && found.snapshot.is_none(), "{found:?}");
}

#[test]
fn a_store_of_an_earlier_version_is_neither_examined_nor_copied_before_a_daemon_brought_it_forward() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STATE);
    of_version_1(&path);
    let before = files(directory.path());
    let sentence = format!(
        "{} has format version 1, and this eipgate's is {}; nothing was changed: start the daemon, which brings it forward",
        path.display(),
        schema::VERSION
    );
    let copy = directory.path().join("copy.db");
    let refusals = [examine(directory.path()).unwrap_err(), backup(directory.path(), &copy).unwrap_err()];
    assert_eq!(refusals.map(|error| error.to_string()), [sentence.clone(), sentence]);
    assert_eq!(files(directory.path())[STATE], before[STATE]);
    assert!(!copy.exists());
}

#[test]
fn a_store_opened_again_has_what_was_committed_and_no_log() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    assert_eq!(store.reopen().unwrap(), Snapshot::default());
    store.commit(&change()).unwrap();
    assert_eq!(store.reopen().unwrap(), content());
    assert!(schema::log_of(store.path()).metadata().map_or(true, |log| log.len() == 0));
    store.commit(&mark(1)).unwrap();
    let damaged = store.path().to_owned();
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, [&bytes[..4096], &[0; 100], &bytes[4196..]].concat()).unwrap();
    assert!(matches!(store.reopen(), Err(StoreError::Corrupt { .. })));
}
