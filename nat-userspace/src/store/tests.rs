//! The store against files as they should and should not be.

use std::fs;
use std::path::Path;

use super::*;
use crate::address::{ChargeType, Eip, Instance, Time};

const VERSION_1: &str = r#"{"version":1,"instances":[{"id":"ins-1","account":"default","vpc":"vpc-default","private":"10.0.0.5","name":"web","bandwidth_mbps":5,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","ordinary":null,"last_ordinary":"198.18.0.1","created_ms":7}],"eips":[{"id":"eip-1","account":"default","address":"198.18.0.2","name":null,"bound_to":"ins-1","created_ms":8}],"released":[{"address":"198.18.0.1","at_ms":9}],"duplicates":["198.18.0.9"]}
"#;

fn content() -> Snapshot {
    let instance = Instance {
        id: "ins-1".parse().unwrap(),
        account: "default".parse().unwrap(),
        vpc: "vpc-default".parse().unwrap(),
        private: [10, 0, 0, 5].into(),
        name: Some("web".into()),
        bandwidth_mbps: 5,
        charge_type: ChargeType::TrafficPostpaidByHour,
        ordinary: None,
        last_ordinary: Some([198, 18, 0, 1].into()),
        created: Time(7),
    };
    let eip = Eip {
        id: "eip-1".parse().unwrap(),
        account: "default".parse().unwrap(),
        address: [198, 18, 0, 2].into(),
        name: None,
        bound_to: Some("ins-1".parse().unwrap()),
        created: Time(8),
    };
    Snapshot {
        instances: vec![instance],
        eips: vec![eip],
        released: vec![([198, 18, 0, 1].into(), Time(9))],
        duplicates: vec![[198, 18, 0, 9].into()],
    }
}

fn refusal(directory: &Path) -> String {
    Store::open(directory).unwrap_err().to_string()
}

#[test]
fn what_is_committed_is_what_the_next_daemon_reads() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("var/lib/eipgate");
    let (mut store, empty) = Store::open(&deep).unwrap();
    assert_eq!(empty, Snapshot::default());
    store.commit(&content()).unwrap();
    assert_eq!(fs::read_to_string(store.path()).unwrap(), VERSION_1);
    drop(store);
    assert_eq!(Store::open(&deep).unwrap().1, content());
}

#[test]
fn a_commit_cut_short_leaves_the_state_before_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(STATE), VERSION_1).unwrap();
    fs::write(directory.path().join(NEXT), &VERSION_1[..40]).unwrap();
    let (mut store, snapshot) = Store::open(directory.path()).unwrap();
    assert_eq!(snapshot, content());
    store.commit(&Snapshot::default()).unwrap();
    drop(store);
    assert_eq!(Store::open(directory.path()).unwrap().1, Snapshot::default());
}

#[test]
fn a_failed_commit_says_what_the_system_said() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    fs::remove_dir_all(directory.path()).unwrap();
    let error = store.commit(&content()).unwrap_err();
    assert!(matches!(error, StoreError::Io { action: "write", .. }), "{error}");
}

#[test]
fn a_damaged_or_newer_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STATE);
    let shown = path.display();
    let damaged = |problem: &str| {
        format!(
            "{shown} is damaged ({problem}); nothing was changed: bring back a good copy, or move it away to start empty"
        )
    };
    for (text, sentence) in [
        (String::new(), damaged("EOF while parsing a value at line 1 column 0")),
        (VERSION_1[..100].to_string(), damaged("EOF while parsing an object at line 1 column 100")),
        (VERSION_1.replace("\"version\":1,", ""), damaged("missing field `version` at line 1 column 413")),
        (VERSION_1.replace("\"version\":1", "\"version\":0"), damaged("format version 0 never existed")),
        (
            VERSION_1.replace("eip-1", "eip 1"),
            damaged("\"eip 1\" is not a valid EIP id: write 1 to 64 of the characters A-Z a-z 0-9 . _ -"),
        ),
        (
            "{\"version\":2,\"shards\":[]}".to_string(),
            format!(
                "{shown} has format version 2, but this eipgate knows version 1 only; nothing was changed: run the eipgate that wrote it"
            ),
        ),
    ] {
        fs::write(&path, &text).unwrap();
        assert_eq!(refusal(directory.path()), sentence);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    for (from, to) in [("\"at_ms\"", "\"until_ms\""), ("TRAFFIC_POSTPAID", "FREE"), ("10.0.0.5", "10.0.0.256")] {
        fs::write(&path, VERSION_1.replace(from, to)).unwrap();
        assert!(refusal(directory.path()).starts_with(&format!("{shown} is damaged (")));
    }
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
