//! The states of an instance through the real daemon and command line, each step checked on the wire.

use std::net::Ipv4Addr;

use lab::lab::daemon::Settings;
use lab::lab::server::{Server, udp_exchange};
use lab::lab::topology::ROUTED_POOL;
use lab::lab::{A, B, C, INTERNET, Lab, SOON, at, wait};
use serde_json::Value;

use crate::lifecycle::{answers_as, refused};
use crate::pingpong::PingPong;

/// One datagram to this address is dropped, as one that nobody has.
#[track_caller]
fn is_dropped(lab: &Lab, public: Ipv4Addr) {
    let unbound = lab.verdicts("unbound-address").unwrap();
    let probe = ["ping", "-c", "1", "-W", "1", &public.to_string()];
    assert!(!lab.internet.output(&probe, SOON).unwrap().success());
    assert!(lab.verdicts("unbound-address").unwrap() > unbound);
}

/// The maps, the ledger and both directions say the same.
#[track_caller]
fn maps_are_true(lab: &Lab) {
    let verified = lab.daemon.map(&["verify"]).unwrap();
    assert_eq!(
        (&verified["compared_with_ledger"], &verified["differences"]),
        (&Value::Bool(true), &Value::Array(vec![]))
    );
}

/// Without addresses on the link: for those that nobody has any more, no ARP is answered and so no packet comes.
fn routed() -> Settings {
    Settings { pools: vec![ROUTED_POOL.into()], ..Settings::default() }
}

fn serving() -> Lab {
    let lab = Lab::new().unwrap();
    lab.daemon.start(routed()).unwrap();
    lab
}

fn with_config(lab: &Lab, text: &str) -> Settings {
    let config = lab.directory.join("eipgate.toml");
    std::fs::write(&config, text).unwrap();
    Settings { more: vec!["--config".into(), config.display().to_string()], ..routed() }
}

#[test]
fn a_stop_without_charge_stops_translating_and_the_start_brings_a_new_address() {
    let lab = serving();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let outside = Server::udp_echo(&lab.internet, 53).unwrap();
    let first = lab.instance("web", A).unwrap();
    answers_as(&lab, first);

    // As long as it is paid for, it keeps its address.
    lab.daemon.tell(&["instance", "stop", "web"]).unwrap();
    lab.daemon.tell(&["instance", "start", "web"]).unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), Some(first));
    answers_as(&lab, first);

    let said = lab.daemon.tell(&["instance", "stop", "web", "--no-charge"]).unwrap();
    assert!(said.contains(&format!("ordinary public IP {first} went back to the pool")), "{said}");
    is_dropped(&lab, first);
    let silent = lab.verdicts("no-public-address").unwrap();
    lab.a.output(&["ping", "-c", "1", "-W", "1", &INTERNET.to_string()], SOON).unwrap();
    assert!(lab.verdicts("no-public-address").unwrap() > silent);
    let eip = lab.allocate().unwrap();
    refused(&lab, &["eip", "bind", &eip.id, "web"], 4, "start it first");

    // What it was when the daemon died is what it is after it.
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    let started = lab.daemon.json(&["instance", "start", "web"]).unwrap();
    let second: Ipv4Addr = started["assigned_ip"].as_str().unwrap().parse().unwrap();
    assert_ne!(second, first);
    answers_as(&lab, second);
    udp_exchange(&lab.a, at(INTERNET, 53), b"from inside").unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), second);

    // An EIP stays through a stop that costs nothing, and serves again at once.
    lab.bind(&eip, "web").unwrap();
    lab.daemon.tell(&["instance", "stop", "web", "--no-charge"]).unwrap();
    lab.daemon.tell(&["instance", "start", "web"]).unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), Some(eip.address));
    answers_as(&lab, eip.address);
    maps_are_true(&lab);
    lab.finish().unwrap();
}

#[test]
fn converting_an_ordinary_ip_into_an_eip_loses_no_packet() {
    let lab = serving();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"warm").unwrap();
    let (answered, lost, id) = PingPong::during(&lab.internet, web, |traffic| {
        traffic.wait_for(500);
        let eip = lab.daemon.json(&["instance", "convert-ip", "web", "--name", "kept"]).unwrap();
        traffic.wait_for(500);
        assert_eq!((eip["address"].as_str(), eip["state"].as_str()), (Some(&*web.to_string()), Some("bound")));
        eip["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(lost, 0, "of {answered}");
    refused(&lab, &["instance", "convert-ip", "web"], 4, "has no ordinary public IP");

    // From here on it is an EIP like any: it goes elsewhere, and the instance gets another address.
    lab.daemon.tell(&["eip", "unbind", &id]).unwrap();
    let new = lab.public_ip("web").unwrap().unwrap();
    assert_ne!(new, web);
    answers_as(&lab, new);
    is_dropped(&lab, web);
    let _b = Server::udp_echo(&lab.b, 7).unwrap();
    lab.private_instance("db", B).unwrap();
    lab.daemon.tell(&["eip", "bind", &id, "db"]).unwrap();
    answers_as(&lab, web);
    maps_are_true(&lab);
    lab.finish().unwrap();
}

#[test]
fn a_prepaid_instance_expires_by_itself_also_while_no_daemon_runs_and_can_be_brought_back() {
    let lab = serving();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let create = |name: &str, private: Ipv4Addr| {
        let private = private.to_string();
        let words = ["instance", "create", "--private-ip", &private, "--bandwidth", "5", "--prepaid", "3s"];
        let created = lab.daemon.json(&[&words[..], &["--name", name]].concat()).unwrap();
        created["public_ip"].as_str().unwrap().parse::<Ipv4Addr>().unwrap()
    };
    let is_shut_down = |name: &str| lab.daemon.json(&["instance", "show", name]).unwrap()["state"] == "shutdown";
    let first = create("web", A);
    answers_as(&lab, first);
    wait::until("the instance to expire", SOON, || is_shut_down("web").then_some(())).unwrap();
    is_dropped(&lab, first);

    let other = create("late", B);
    lab.daemon.kill().unwrap();
    // The address serves until a daemon is there to end it, as everything does that the maps hold.
    let begin = std::time::Instant::now();
    wait::until("the second instance to be due", SOON, || (begin.elapsed().as_secs() >= 4).then_some(())).unwrap();
    lab.daemon.restart().unwrap();
    wait::until("the second instance to expire", SOON, || is_shut_down("late").then_some(())).unwrap();
    is_dropped(&lab, other);

    refused(&lab, &["instance", "start", "web"], 4, "renew it first");
    lab.daemon.tell(&["instance", "renew", "web", "--period", "24h"]).unwrap();
    lab.daemon.tell(&["instance", "start", "web"]).unwrap();
    let second = lab.public_ip("web").unwrap().unwrap();
    assert_ne!(second, first);
    answers_as(&lab, second);
    // Prepaid, it goes to the recycle bin before it is no more.
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    is_dropped(&lab, second);
    assert!(is_shut_down("web"));
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    refused(&lab, &["instance", "show", "web"], 3, "web");
    maps_are_true(&lab);
    lab.finish().unwrap();
}

#[test]
fn a_repeated_request_with_its_token_makes_nothing_new_even_after_the_daemon_was_killed() {
    let lab = serving();
    let allocate = ["eip", "allocate", "--name", "mail", "--client-token", "try-1"];
    let private = A.to_string();
    let create = ["instance", "create", "--private-ip", &private, "--bandwidth", "5", "--client-token", "try-2"];
    let (eip, web) = (lab.daemon.json(&allocate).unwrap(), lab.daemon.json(&create).unwrap());
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(lab.daemon.json(&allocate).unwrap(), eip);
    assert_eq!(lab.daemon.json(&create).unwrap(), web);
    refused(&lab, &["eip", "allocate", "--client-token", "try-1"], 4, "stands for another request");
    refused(&lab, &["eip", "allocate", "--client-token", "try-2"], 4, "stands for another request");
    assert_eq!(lab.daemon.json(&["eip", "list"]).unwrap().as_array().unwrap().len(), 1);
    lab.daemon.tell(&["eip", "release", eip["id"].as_str().unwrap()]).unwrap();
    refused(&lab, &allocate, 4, "is no more; use a new token");
    lab.finish().unwrap();
}

#[test]
fn the_policy_switches_turn_the_gateway_to_the_clouds_present_day_rules() {
    let lab = Lab::new().unwrap();
    let settings = with_config(
        &lab,
        "ordinary_ip_on_bind = \"refuse\"\nordinary_ip_on_unbind = \"none\"\nreturn_ordinary_ip = true\n\
         change_ordinary_ip = true\neips_per_account = 1\nreallocations_per_day = 2\n",
    );
    lab.daemon.start(settings).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let first = lab.instance("web", A).unwrap();
    let eip = lab.allocate().unwrap();
    refused(&lab, &["eip", "allocate"], 1, "eips_per_account");
    refused(&lab, &["eip", "bind", &eip.id, "web"], 4, "must be returned before");

    lab.daemon.tell(&["instance", "change-ip", "web"]).unwrap();
    let second = lab.public_ip("web").unwrap().unwrap();
    assert_ne!(second, first);
    answers_as(&lab, second);
    is_dropped(&lab, first);

    lab.daemon.tell(&["instance", "return-ip", "web"]).unwrap();
    is_dropped(&lab, second);
    lab.bind(&eip, "web").unwrap();
    answers_as(&lab, eip.address);
    lab.unbind(&eip).unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), None);
    is_dropped(&lab, eip.address);
    // Each request may say otherwise, as often a day as the limit allows.
    lab.bind(&eip, "web").unwrap();
    lab.daemon.tell(&["eip", "unbind", &eip.id, "--reallocate", "yes"]).unwrap();
    answers_as(&lab, lab.public_ip("web").unwrap().unwrap());
    refused(&lab, &["instance", "change-ip", "web"], 1, "reallocations_per_day");

    // Marked EIPs are not bound, and what shares a package keeps it.
    lab.private_instance("db", C).unwrap();
    lab.daemon.tell(&["eip", "modify", &eip.id, "--blocked", "yes"]).unwrap();
    refused(&lab, &["eip", "bind", &eip.id, "db"], 4, "blocked");
    lab.daemon.tell(&["eip", "modify", &eip.id, "--blocked", "no", "--arrears", "yes"]).unwrap();
    refused(&lab, &["eip", "bind", &eip.id, "db"], 4, "arrears");
    let package = lab.daemon.json(&["package", "create", "--bandwidth", "200"]).unwrap();
    let package = package["id"].as_str().unwrap();
    lab.daemon.tell(&["package", "add", package, &eip.id]).unwrap();
    refused(&lab, &["package", "delete", package], 4, "while it is shared by 1");
    let quota = lab.daemon.json(&["quota"]).unwrap();
    assert_eq!((&quota[0]["used"], &quota[0]["limit"]), (&Value::from(1), &Value::from(1)));
    maps_are_true(&lab);
    lab.finish().unwrap();
}
