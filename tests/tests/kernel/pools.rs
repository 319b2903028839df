//! Ranges that come and go while packets flow, and addresses out of service.

use std::net::Ipv4Addr;

use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, B, INTERNET, Lab, SOON, Settings, at};
use serde_json::Value;

use crate::scene::{DATABASE, UNBOUND, WEB, ping, scene};

/// Of a range that only the routed pool's neighbours know: the router sends it to the gateway.
const ADDED: &str = "203.0.113.32/28";

/// A lab whose router leads the range to the gateway, too.
fn routed(lab: &Lab) {
    lab.router.ip(&format!("route add {ADDED} via 198.51.100.2\n")).unwrap();
}

fn add(lab: &Lab, range: &str) {
    lab.daemon.tell(&["pool", "add", range]).unwrap();
}

fn refused(lab: &Lab, words: &[&str], code: i32, because: &str) {
    let refused = lab.daemon.cli(words).unwrap();
    assert_eq!(refused.code(), code, "{refused}");
    assert!(refused.stderr.contains(because), "{refused}");
}

/// What `pool list` says of a range.
fn pool(lab: &Lab, range: &str) -> Option<Value> {
    let pools = lab.daemon.json(&["pool", "list"]).unwrap();
    pools.as_array().unwrap().iter().find(|pool| pool["prefix"] == range).cloned()
}

/// By how much a verdict is counted while something is done.
fn counted(lab: &Lab, verdict: &str, done: impl FnOnce()) -> u64 {
    let before = lab.verdicts(verdict).unwrap();
    done();
    lab.settle().unwrap();
    lab.verdicts(verdict).unwrap() - before
}

/// One datagram from the Internet, to which nobody answers.
fn knock(lab: &Lab, address: Ipv4Addr) {
    lab.internet.output(&["ping", "-n", "-c", "1", "-W", "1", &address.to_string()], SOON).unwrap();
}

#[test]
fn an_added_pool_carries_traffic_at_once_and_after_restarts() {
    let lab = Lab::serving().unwrap();
    routed(&lab);
    let address: Ipv4Addr = "203.0.113.33".parse().unwrap();
    assert_eq!(counted(&lab, "not-ours", || knock(&lab, address)), 1);
    add(&lab, ADDED);
    assert_eq!(counted(&lab, "unbound-address", || knock(&lab, address)), 1);
    lab.instance_with("web", A, "203.0.113.33").unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(address, 7), b"new").unwrap();
    // What the guard lets the kernel forward is of this pool, too.
    let guard = lab.gateway.tell(&["nft", "list", "set", "inet", "eipgate", "pools"]).unwrap();
    assert!(guard.contains(ADDED), "{guard}");

    lab.daemon.kill().unwrap();
    udp_exchange(&lab.internet, at(address, 7), b"dead").unwrap();
    lab.daemon.restart().unwrap();
    udp_exchange(&lab.internet, at(address, 7), b"killed").unwrap();
    assert_eq!(pool(&lab, ADDED).unwrap()["origin"], "added");
    let guard = lab.gateway.tell(&["nft", "list", "set", "inet", "eipgate", "pools"]).unwrap();
    assert!(guard.contains(ADDED), "{guard}");

    lab.daemon.tell(&["pool", "drain", ADDED]).unwrap();
    lab.daemon.terminate().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(pool(&lab, ADDED).unwrap()["state"], "draining");
    refused(&lab, &["eip", "allocate", "--address", "203.0.113.34"], 4, "drains");
    udp_exchange(&lab.internet, at(address, 7), b"held").unwrap();
    refused(&lab, &["pool", "remove", ADDED], 4, "203.0.113.33 by EIP eip-");

    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    lab.daemon.tell(&["eip", "release", "203.0.113.33"]).unwrap();
    lab.daemon.tell(&["pool", "remove", ADDED]).unwrap();
    assert_eq!(counted(&lab, "not-ours", || knock(&lab, address)), 1);
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(pool(&lab, ADDED), None);
    lab.finish().unwrap();
}

#[test]
fn an_added_pool_on_the_link_is_answered_for_by_arp_and_its_duplicates_are_found() {
    let lab = Lab::serving().unwrap();
    lab.router.ip("addr add 198.51.100.131/32 dev gate0\n").unwrap();
    let range = "198.51.100.128/29";
    add(&lab, range);
    assert_eq!(pool(&lab, range).unwrap()["kind"], "on_link");
    lab.instance_with("web", A, "198.51.100.130").unwrap();
    // The router knows it by ARP only.
    ping(&lab.internet, "198.51.100.130".parse().unwrap(), &[]);
    let reported = || {
        let status = lab.daemon.cli(&["status"]).ok()?;
        status.stdout.contains("claims 198.51.100.131").then_some(())
    };
    lab::lab::wait::until("the report of a duplicate in the new pool", SOON, reported).unwrap();
    refused(&lab, &["eip", "allocate", "--address", "198.51.100.131"], 4, "another host on the link");
    lab.finish().unwrap();
}

#[test]
fn pools_that_collide_are_refused_and_change_nothing() {
    let lab = scene();
    let before = lab.daemon.json(&["pool", "list"]).unwrap();
    for (range, code, because) in [
        ("203.0.113.8/29", 4, "overlap"),
        ("203.0.113.0/28", 4, "is there already"),
        ("10.0.0.0/24", 4, "the gateway's own address on down0"),
        ("10.0.0.8/30", 4, "has the private address 10.0.0.11"),
        ("224.0.0.0/8", 1, "can never be a pool"),
        ("203.0.113.33/28", 2, "host bits"),
    ] {
        refused(&lab, &["pool", "add", range], code, because);
    }
    refused(&lab, &["pool", "add", "192.0.2.0/33"], 2, "too long");
    refused(&lab, &["pool", "drain", "9.9.9.0/24"], 3, "no pool 9.9.9.0/24");
    refused(&lab, &["pool", "remove", "203.0.113.0/28"], 4, "203.0.113.1 by EIP");
    assert_eq!(lab.daemon.json(&["pool", "list"]).unwrap(), before);
    ping(&lab.internet, WEB, &[]);
    lab.finish().unwrap();
}

#[test]
fn a_configured_pool_that_was_removed_stays_away_until_it_is_added_again() {
    let lab = Lab::serving().unwrap();
    let routed = "203.0.113.0/28";
    lab.daemon.tell(&["pool", "remove", routed]).unwrap();
    assert_eq!(counted(&lab, "not-ours", || knock(&lab, UNBOUND)), 1);
    lab.daemon.terminate().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(pool(&lab, routed), None);
    assert!(lab.daemon.log().contains("was removed by command"), "{}", lab.daemon.log());
    assert_eq!(counted(&lab, "not-ours", || knock(&lab, UNBOUND)), 1);
    add(&lab, routed);
    lab.daemon.kill().unwrap();
    // Even a configuration without it does not take it away any more.
    let pools = vec!["198.51.100.64/27".into()];
    lab.daemon.start(Settings { pools, ..Settings::default() }).unwrap();
    assert_eq!(pool(&lab, routed).unwrap()["origin"], "added");
    assert_eq!(counted(&lab, "unbound-address", || knock(&lab, UNBOUND)), 1);
    // What was added does not go with a configuration that overlaps it.
    lab.daemon.terminate().unwrap();
    let pools = vec!["203.0.113.0/24".into()];
    let finished = lab.daemon.refuse(&Settings { pools, ..Settings::default() }).unwrap();
    assert!(finished.stderr.contains("which was added by command"), "{finished}");
    lab.finish().unwrap();
}

#[test]
fn a_fence_cuts_traffic_at_once_in_both_directions_until_it_is_gone() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"before").unwrap();
    let told = lab.daemon.json(&["address", "fence", &WEB.to_string(), "--reason", "abuse report 4711"]).unwrap();
    assert!(told["instance_id"].is_string(), "{told}");
    assert_eq!(counted(&lab, "unbound-address", || knock(&lab, WEB)), 1);
    let outbound = counted(&lab, "no-public-address", || {
        lab.a.output(&["ping", "-n", "-c", "1", "-W", "1", &INTERNET.to_string()], SOON).unwrap();
    });
    assert_eq!(outbound, 1);
    // A neighbour does not reach it through the gateway either, and nobody else is cut.
    assert_eq!(
        counted(&lab, "unbound-address", || {
            lab.b.output(&["ping", "-n", "-c", "1", "-W", "1", &WEB.to_string()], SOON).unwrap();
        }),
        1
    );
    ping(&lab.internet, DATABASE, &[]);
    assert!(lab.daemon.tell(&["status"]).unwrap().contains("abuse report 4711"));
    refused(&lab, &["map", "get", &WEB.to_string(), "--bpf-dir", &lab.daemon.maps().display().to_string()], 3, "4711");
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], serde_json::json!([]));

    // Across every end of the daemon.
    lab.daemon.kill().unwrap();
    assert_eq!(counted(&lab, "unbound-address", || knock(&lab, WEB)), 1);
    lab.daemon.restart().unwrap();
    assert_eq!(counted(&lab, "unbound-address", || knock(&lab, WEB)), 1);
    lab.daemon.tell(&["address", "unfence", &WEB.to_string()]).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"after").unwrap();
    lab.a.tell(&["ping", "-n", "-c", "1", "-W", "3", &INTERNET.to_string()]).unwrap();
    refused(&lab, &["address", "unfence", &WEB.to_string()], 4, "not fenced");
    lab.finish().unwrap();
}

#[test]
fn a_fenced_address_is_not_handed_out() {
    let lab = Lab::serving().unwrap();
    let next = lab.instance("web", A).unwrap();
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    let following = Ipv4Addr::from(u32::from(next) + 1);
    lab.daemon.tell(&["address", "fence", &following.to_string()]).unwrap();
    refused(&lab, &["eip", "allocate", "--address", &following.to_string()], 4, "is fenced");
    for name in 0..4 {
        let private = Ipv4Addr::from(u32::from(B) + 10 + name);
        assert_ne!(lab.instance(&format!("vm-{name}"), private).unwrap(), following);
    }
    lab.finish().unwrap();
}
