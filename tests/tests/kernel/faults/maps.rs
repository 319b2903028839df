//! Maps that refuse, or are changed by others.

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::lab::{A, B, C, Lab, SOON, Settings, wait};
use nat_common::abi::{ABI_VERSION, vpc_number};
use serde_json::Value;

use super::strace::meddle;
use super::views::{agreed, check, reaches, read};

#[test]
fn a_map_that_refuses_once_is_told_and_brought_in_step_within_a_second() {
    for error in ["ENOMEM", "EPERM", "E2BIG"] {
        let lab = Lab::new().unwrap();
        let config = lab.directory.join("eipgate.toml");
        std::fs::write(&config, "metrics_listen = \"127.0.0.1:9464\"\n").unwrap();
        let more = vec!["--config".into(), config.display().to_string()];
        lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
        let reconciliations = || {
            let page = lab.gateway.tell(&["curl", "-sS", "--fail", "http://127.0.0.1:9464/metrics"]).unwrap();
            let done =
                page.lines().find_map(|line| line.strip_prefix("eipgate_reconciliations_total{result=\"done\"} "));
            done.unwrap_or_else(|| panic!("{page}")).parse::<u64>().unwrap()
        };
        let web = lab.instance("web", A).unwrap();
        let before = reconciliations();
        let meddling = meddle(&lab, &format!("bpf:error={error}:when=1"));
        let told = lab.daemon.cli(&["instance", "create", "--bandwidth", "5", "--private-ip", &C.to_string()]).unwrap();
        let fired = meddling.end();
        assert!(fired.iter().any(|line| line.contains(error)), "{fired:?}");
        assert!(told.code() == 1 && told.stderr.contains("stored but not in effect yet"), "{told}");
        assert!(reaches(&lab.internet, web));
        wait::until("the maps to be in step", SOON, || {
            (lab.daemon.json(&["status"]).ok()?["dirty"] == false).then_some(())
        })
        .unwrap();
        assert_eq!(agreed(&lab).instances.len(), 2, "what was decided and stored stays");
        wait::until("it to be counted", SOON, || (reconciliations() > before).then_some(())).unwrap();
        lab.finish().unwrap();
    }
}

#[test]
fn a_map_that_somebody_else_changed_is_put_right_within_its_interval() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    lab.instance("db", B).unwrap();
    assert!(reaches(&lab.internet, web));
    let before = read(&lab);
    let layout = lab.daemon.maps().join(format!("v{ABI_VERSION}"));
    let key = web.octets().map(|byte| byte.to_string());
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    let map = layout.join("INBOUND_SPARSE").display().to_string();
    lab.gateway.tell(&[&["bpftool", "map", "delete", "pinned", &map, "key"], &key[..]].concat()).unwrap();
    // Read every half minute, and once more before it is believed.
    wait::until("the maps to be made right", Duration::from_secs(90), || {
        lab.daemon.log().contains("the maps are in step with the ledger again").then_some(())
    })
    .unwrap();
    assert!(lab.daemon.log().contains("somebody else has changed the maps"), "{}", lab.daemon.log());
    assert!(reaches(&lab.internet, web));
    assert_eq!(agreed(&lab), before);
    // Whoever writes them knows again what is there.
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    lab.instance("web", C).unwrap();
    agreed(&lab);
    lab.finish().unwrap();
}

/// Two instances change places, a third loses its address, and no direction contradicts the other.
#[test]
fn maps_that_somebody_else_changed_alike_in_both_directions_are_put_right_within_their_interval() {
    let lab = Lab::serving().unwrap();
    let [web, db, mail] = [("web", A), ("db", B), ("mail", C)].map(|(name, host)| lab.instance(name, host).unwrap());
    for last in [77, 78] {
        lab.instance(&format!("untouched-{last}"), [10, 0, 0, last].into()).unwrap();
    }
    // Some of what stands was written in a start, and some since.
    lab.daemon.terminate().unwrap();
    lab.daemon.restart().unwrap();
    lab.instance("later", [10, 0, 0, 79].into()).unwrap();
    let before = agreed(&lab);
    let map = |name: &str| lab.daemon.maps().join(format!("v{ABI_VERSION}/{name}")).display().to_string();
    let (inbound, outbound) = (map("INBOUND_SPARSE"), map("OUTBOUND_SPARSE"));
    let words = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    let private = |host: Ipv4Addr| words(&[&vpc_number("vpc-default").to_ne_bytes()[..], &host.octets()].concat());
    let bpftool = |command: &str, map: &str, key: &[String], rest: &[String]| {
        let head = ["bpftool", "-j", "map", command, "pinned", map, "key"].map(String::from);
        let all = [&head[..], key, rest].concat();
        lab.gateway.tell(&all.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    };
    // The tag of an entry is its key's and stays; what it says is exchanged.
    let exchange = |map: &str, keys: [&[String]; 2]| {
        let entries = keys.map(|key| {
            let entry: Value = serde_json::from_str(&bpftool("lookup", map, key, &[])).unwrap();
            let bytes = entry["value"].as_array().unwrap().iter();
            bytes.map(|byte| byte.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        });
        for (at, key) in keys.into_iter().enumerate() {
            let value = ["value".to_owned()].into_iter().chain(entries[at][..8].to_vec());
            let value: Vec<String> = value.chain(entries[1 - at][8..].to_vec()).collect();
            bpftool("update", map, key, &value);
        }
    };
    exchange(&inbound, [&words(&web.octets()), &words(&db.octets())]);
    exchange(&outbound, [&private(A), &private(B)]);
    bpftool("delete", &inbound, &words(&mail.octets()), &[]);
    bpftool("delete", &outbound, &private(C), &[]);
    assert!(!reaches(&lab.internet, mail));
    let (status, report) = check(&lab);
    assert!(status != 0 && !report.to_string().contains("one direction"), "{report}");
    // Read every half minute, and once more before it is believed.
    wait::until("the maps to be made right", Duration::from_secs(90), || {
        lab.daemon.log().contains("the maps are in step with the ledger again").then_some(())
    })
    .unwrap();
    let told = "somebody else has changed the maps, which are made right: instances are bound otherwise than was decided, 3 at";
    assert!(lab.daemon.log().contains(told), "{}", lab.daemon.log());
    assert_eq!(agreed(&lab), before);
    assert!(reaches(&lab.internet, mail));
    lab.finish().unwrap();
}

#[test]
fn check_names_what_somebody_did_to_the_maps_and_the_store() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    lab.instance("db", B).unwrap();
    agreed(&lab);
    let map = lab.daemon.maps().join(format!("v{ABI_VERSION}/INBOUND_SPARSE")).display().to_string();
    let key = web.octets().map(|byte| byte.to_string());
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    lab.gateway.tell(&[&["bpftool", "map", "delete", "pinned", &map, "key"], &key[..]].concat()).unwrap();
    let (status, report) = check(&lab);
    assert_eq!(status, 1, "{report}");
    assert!(report["findings"].to_string().contains(&web.to_string()), "{report}");

    // Without a daemon it is what the next start mends.
    let before = read(&lab);
    lab.daemon.kill().unwrap();
    let (status, report) = check(&lab);
    assert_eq!((status, report["daemon"].as_bool()), (6, Some(false)), "{report}");
    let state = lab.daemon.state().join("state.db").display().to_string();
    let sql = "UPDATE instances SET private = (SELECT min(private) FROM instances)";
    let copy = lab.directory.join("good.db");
    let back = lab.daemon.state();
    lab.daemon.tell(&["backup", &copy.display().to_string(), "--state-dir", &back.display().to_string()]).unwrap();
    lab.gateway.tell(&["sqlite3", &state, sql]).unwrap();
    let (status, report) = check(&lab);
    let named = format!("private address {A} of VPC vpc-default belongs to several instances");
    assert!(status == 1 && report["findings"].to_string().contains(&named), "{report}");
    for file in std::fs::read_dir(&back).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("state.db") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    std::fs::rename(copy, back.join("state.db")).unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(agreed(&lab), before);
    lab.finish().unwrap();
}
