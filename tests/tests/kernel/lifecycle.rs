//! An address's life through the real daemon and command line, each step checked in the reply, the maps and on the
//! wire.

use std::net::Ipv4Addr;

use aya::maps::Array;
use lab::lab::daemon::Settings;
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, B, C, INTERNET, Lab, at};
use nat_common::abi::AddressCounters;
use serde_json::Value;

use crate::explain::pinned;
use crate::faults::views::agreed;

/// Ledger and maps, to see that a refusal changed neither.
fn everything(lab: &Lab) -> (Value, Value, Value, Value) {
    let daemon = &lab.daemon;
    let mut maps = daemon.map(&["show"]).unwrap();
    // Counters may go on counting.
    for pair in maps["pairs"].as_array_mut().unwrap() {
        pair["traffic"].take();
    }
    let list = |words: &[&str]| daemon.json(words).unwrap();
    (list(&["instance", "list"]), list(&["eip", "list"]), list(&["pool", "list"]), maps)
}

/// A command that must be refused with this exit status and a sentence that holds `words`, changing nothing.
#[track_caller]
pub(crate) fn refused(lab: &Lab, command: &[&str], status: i32, words: &str) {
    let before = everything(lab);
    let finished = lab.daemon.cli(command).unwrap();
    assert_eq!(finished.code(), status, "{finished}");
    assert!(finished.stderr.starts_with("eipgate: ") && finished.stderr.contains(words), "{finished}");
    assert_eq!(finished.stderr.trim().lines().count(), 1, "one sentence: {finished}");
    assert_eq!(everything(lab), before, "`{}` was refused and changed something", command.join(" "));
}

/// Both directions of real traffic use this address.
#[track_caller]
pub(crate) fn answers_as(lab: &Lab, public: Ipv4Addr) {
    udp_exchange(&lab.internet, at(public, 7), b"hello").unwrap();
}

#[test]
fn an_address_lives_as_the_requirements_say() {
    let lab = Lab::serving().unwrap();
    let _a = Server::udp_echo(&lab.a, 7).unwrap();
    let _b = Server::udp_echo(&lab.b, 7).unwrap();
    let outside = Server::udp_echo(&lab.internet, 53).unwrap();

    let first = lab.instance("web", A).unwrap();
    answers_as(&lab, first);
    udp_exchange(&lab.a, at(INTERNET, 53), b"from inside").unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), first);

    // Binding an EIP releases the ordinary IP in the same moment.
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "web").unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), Some(eip.address));
    answers_as(&lab, eip.address);
    let unbound = lab.verdicts("unbound-address").unwrap();
    let probe = ["ping", "-c", "1", "-W", "1", &first.to_string()];
    assert!(!lab.internet.output(&probe, lab::lab::SOON).unwrap().success());
    assert!(lab.verdicts("unbound-address").unwrap() > unbound);

    // Unbinding assigns a new one, never the old.
    lab.unbind(&eip).unwrap();
    let second = lab.public_ip("web").unwrap().unwrap();
    assert!(second != first && second != eip.address);
    answers_as(&lab, second);

    // Traffic follows the EIP to another instance.
    lab.private_instance("db", B).unwrap();
    lab.bind(&eip, "db").unwrap();
    answers_as(&lab, eip.address);
    udp_exchange(&lab.b, at(INTERNET, 53), b"from the other").unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), eip.address);

    // Terminating unbinds the EIP, which stays, and gives the ordinary IP back.
    lab.daemon.tell(&["instance", "terminate", "db"]).unwrap();
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    assert!(
        !lab.internet.output(&["ping", "-c", "1", "-W", "1", &second.to_string()], lab::lab::SOON).unwrap().success()
    );
    let eips = lab.daemon.json(&["eip", "list"]).unwrap();
    assert_eq!(
        (eips[0]["address"].as_str(), eips[0]["state"].as_str()),
        (Some(&*eip.address.to_string()), Some("unbound"))
    );
    assert_eq!(lab.daemon.map(&["show"]).unwrap()["pairs"], Value::Array(vec![]));
    let verified = lab.daemon.map(&["verify"]).unwrap();
    assert_eq!(
        (&verified["compared_with_ledger"], &verified["differences"]),
        (&Value::Bool(true), &Value::Array(vec![]))
    );
    lab.finish().unwrap();
}

#[test]
fn refusals_say_why_and_change_nothing() {
    let lab = Lab::new().unwrap();
    // Two addresses in all.
    let settings = Settings { pools: vec!["203.0.113.0/31".into()], ..Settings::default() };
    lab.daemon.start(settings).unwrap();
    let first = lab.instance("web", A).unwrap().to_string();
    let eip = lab.allocate().unwrap();
    let address = eip.address.to_string();

    refused(&lab, &["eip", "allocate"], 1, "free");
    refused(&lab, &["instance", "create", "--private-ip", "10.0.0.12", "--bandwidth", "1"], 1, "free");
    refused(&lab, &["eip", "allocate", "--address", "192.0.2.77"], 1, "192.0.2.77");
    refused(&lab, &["instance", "create", "--private-ip", "10.0.0.11"], 4, "10.0.0.11");
    refused(&lab, &["eip", "release", &first], 4, "ordinary public IP");
    refused(&lab, &["eip", "release", "eip-nothere"], 3, "eip-nothere");
    refused(&lab, &["instance", "terminate", "nobody"], 3, "nobody");
    refused(&lab, &["eip", "unbind", &address], 4, "not bound");
    lab.bind(&eip, "web").unwrap();
    refused(&lab, &["eip", "release", &eip.id], 4, "bound");
    lab.private_instance("db", B).unwrap();
    refused(&lab, &["eip", "bind", &eip.id, "db"], 4, "bound");
    // The ordinary IP that the bind released is cooling down, and nothing else is free.
    refused(&lab, &["eip", "allocate", "--address", &first], 4, "until");
    refused(&lab, &["eip", "unbind", &eip.id], 1, "--reallocate no");
    lab.daemon.tell(&["eip", "unbind", &eip.id, "--reallocate", "no"]).unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), None);
    // Another account sees nothing of it.
    refused(&lab, &["--account", "other", "eip", "release", &eip.id], 3, &eip.id);
    lab.finish().unwrap();
}

#[test]
fn without_a_bandwidth_there_is_no_ordinary_ip_neither_then_nor_on_unbind() {
    let lab = Lab::serving().unwrap();
    lab.daemon.tell(&["instance", "create", "--private-ip", &C.to_string(), "--name", "quiet"]).unwrap();
    assert_eq!(lab.public_ip("quiet").unwrap(), None);
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "quiet").unwrap();
    lab.unbind(&eip).unwrap();
    assert_eq!(lab.public_ip("quiet").unwrap(), None);
    let before = lab.verdicts("no-public-address").unwrap();
    lab.c.output(&["ping", "-c", "1", "-W", "1", &INTERNET.to_string()], lab::lab::SOON).unwrap();
    assert!(lab.verdicts("no-public-address").unwrap() > before);
    lab.finish().unwrap();
}

#[test]
fn t77_a_full_map_refuses_cleanly_in_both_directions() {
    let lab = Lab::new().unwrap();
    let config = lab.directory.join("eipgate.toml");
    std::fs::write(&config, "max_pairs = 2\nmax_instances = 3\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    lab.instance("a", A).unwrap();
    lab.instance("b", B).unwrap();
    refused(&lab, &["instance", "create", "--private-ip", "10.0.0.13", "--bandwidth", "1"], 1, "2");
    lab.private_instance("c", C).unwrap();
    let eip = lab.allocate().unwrap();
    refused(&lab, &["eip", "bind", &eip.id, "c"], 1, "2");
    refused(&lab, &["instance", "create", "--private-ip", "10.0.0.14"], 1, "3");
    let verified = lab.daemon.map(&["verify"]).unwrap();
    assert_eq!(verified["differences"], Value::Array(vec![]));
    // What is there goes on, and what is given back can be had again.
    lab.daemon.tell(&["instance", "terminate", "b"]).unwrap();
    lab.bind(&eip, "c").unwrap();
    let _c = Server::udp_echo(&lab.c, 7).unwrap();
    answers_as(&lab, eip.address);
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn counters_count_ip_bytes_of_both_sides_and_start_at_zero() {
    let lab = Lab::serving().unwrap();
    // What others have counted before stands in every slot.
    let mut slots: Array<_, AddressCounters> = pinned(&lab, "COUNTERS");
    let used = AddressCounters { packets_in: 9, bytes_in: 9, packets_out: 9, bytes_out: 9 };
    (0..slots.len()).for_each(|slot| slots.set(slot, used, 0).unwrap());
    let (web, db) = (lab.instance("web", A).unwrap(), lab.instance("db", B).unwrap());
    let counters = |address: Ipv4Addr| {
        lab.daemon.map(&["counters", &address.to_string()]).unwrap()["addresses"][0]["traffic"].clone()
    };
    assert_eq!(counters(web)["packets_in"], 0);
    lab.internet.tell(&["ping", "-c", "3", "-i", "0.01", "-s", "100", &web.to_string()]).unwrap();
    // 20 bytes of IP header, 8 of ICMP, 100 of payload; Ethernet does not count.
    let expected = serde_json::json!({"packets_in": 3, "bytes_in": 384, "packets_out": 3, "bytes_out": 384});
    assert_eq!(counters(web), expected);
    // A hairpin counts on both sides.
    lab.a.tell(&["ping", "-c", "1", "-s", "100", &db.to_string()]).unwrap();
    assert_eq!(counters(db), serde_json::json!({"packets_in": 1, "bytes_in": 128, "packets_out": 1, "bytes_out": 128}));
    assert_eq!(counters(web)["packets_out"], 4);
    lab.finish().unwrap();
}
