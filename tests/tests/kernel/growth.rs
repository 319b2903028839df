//! The pair tables as they grow, shrink and meet their limits, while packets flow.
//!
//! `EIPGATE_LONG=1` grows them to the million they can hold.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use lab::lab::daemon::Settings;
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, Lab, SOON, at, wait};
use nat_common::abi::ABI_VERSION;
use serde_json::{Value, json};

use crate::explain::explain;
use crate::pingpong::PingPong;

/// A pool with room for networks of any kind.
const POOL: &str = "198.18.0.0/15";
const WEB: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 1);

fn lab(config: &str) -> Lab {
    lab_of(&[POOL], config)
}

fn lab_of(pools: &[&str], config: &str) -> Lab {
    let lab = Lab::new().unwrap();
    lab.router.tell(&["ip", "route", "add", POOL, "via", "198.51.100.2"]).unwrap();
    let path = lab.directory.join("eipgate.toml");
    fs::write(&path, config).unwrap();
    let more = vec!["--config".into(), path.display().to_string()];
    let mut settings = Settings { more, ..Settings::default() };
    settings.pools.extend(pools.iter().map(ToString::to_string));
    lab.daemon.start(settings).unwrap();
    lab
}

/// Imports pairs `(public, private)`.
fn import(lab: &Lab, pairs: impl Iterator<Item = (Ipv4Addr, Ipv4Addr)>) {
    let mut text = String::new();
    for (public, private) in pairs {
        writeln!(text, "{public},{private}").unwrap();
    }
    let path = lab.directory.join("pairs.csv");
    fs::write(&path, text).unwrap();
    patiently(lab, &["import", "--as", "ordinary", &path.display().to_string()]);
}

/// Runs a command that must succeed. A million pairs take an unoptimised build a while.
fn patiently(lab: &Lab, words: &[&str]) -> String {
    let finished = lab.daemon.cli_within(words, Duration::from_secs(300)).unwrap();
    assert!(finished.success(), "{finished}\n{}", lab.daemon.log());
    finished.stdout
}

/// The number of entries of a pinned hash map.
fn entries(lab: &Lab, map: &str) -> usize {
    let pin = lab.daemon.maps().join(format!("v{ABI_VERSION}/{map}")).display().to_string();
    let dump = lab.gateway.tell(&["bpftool", "-j", "map", "dump", "pinned", &pin]).unwrap();
    serde_json::from_str::<serde_json::Value>(&dump).unwrap().as_array().unwrap().len()
}

fn neighbour_of_web(last: u8) -> (Ipv4Addr, Ipv4Addr) {
    (Ipv4Addr::new(198, 18, 7, last), Ipv4Addr::new(10, 9, 7, last))
}

#[test]
fn a_crowd_in_a_network_gets_a_page_and_no_packet_of_it_is_lost() {
    let lab = lab("");
    lab.instance_with("web", A, &WEB.to_string()).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"warm").unwrap();
    assert_eq!((entries(&lab, "INBOUND_SPARSE"), entries(&lab, "INBOUND_PAGES")), (1, 0));
    let (answered, lost, ()) = PingPong::during(&lab.internet, WEB, |traffic| {
        // One by one, until the network is crowded in between.
        for last in 2..=40 {
            import(&lab, std::iter::once(neighbour_of_web(last)));
        }
        traffic.wait_for(100);
    });
    assert_eq!(lost, 0, "of {answered}");
    assert_eq!((entries(&lab, "INBOUND_SPARSE"), entries(&lab, "INBOUND_PAGES")), (0, 1));
    // What it carried before it moved is not forgotten.
    let web = lab.daemon.map(&["get", &WEB.to_string()]).unwrap();
    let packets = web["pairs"][0]["traffic"]["packets_in"].as_u64();
    assert_eq!(packets, Some(answered + 1), "{web}");
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], json!([]));

    // A daemon that was killed finds its pages again, and an emptied one goes.
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"again").unwrap();
    for last in 2..=40u8 {
        lab.daemon.tell(&["instance", "terminate", &Ipv4Addr::new(10, 9, 7, last).to_string()]).unwrap();
    }
    udp_exchange(&lab.internet, at(WEB, 7), b"alone").unwrap();
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    assert_eq!((entries(&lab, "INBOUND_SPARSE"), entries(&lab, "INBOUND_PAGES")), (0, 0));
    lab.finish().unwrap();
}

#[test]
fn a_page_that_becomes_another_networks_is_found_by_no_packet_to_the_network_that_had_it() {
    // Pages for eighteen networks, which is as many as there are crowds.
    let lab = lab("max_pairs = 600\nmax_instances = 2000\n");
    let pair = |network: u8, host: u8| (Ipv4Addr::new(198, 18, network, host), Ipv4Addr::new(10, 9, network, host));
    let crowd = |network: u8| (1..=32).map(move |host| pair(network, host));
    import(&lab, (1..=18).flat_map(crowd));
    assert_eq!((entries(&lab, "INBOUND_SPARSE"), entries(&lab, "INBOUND_PAGES")), (0, 18));
    let is_bound = |network: u8| {
        let told = explain(&lab, &format!("192.0.2.10 {} udp/7", pair(network, 7).0));
        told["verdict"] != "unbound-address"
    };
    assert!(is_bound(1) && !is_bound(19));
    for (_, private) in crowd(1) {
        lab.daemon.tell(&["instance", "terminate", &private.to_string()]).unwrap();
    }
    assert!(!is_bound(1));
    import(&lab, crowd(19));
    assert_eq!((entries(&lab, "INBOUND_SPARSE"), entries(&lab, "INBOUND_PAGES")), (0, 18), "the page is used again");
    assert!(is_bound(19) && !is_bound(1));
    lab.finish().unwrap();
}

#[test]
fn a_thousand_pairs_grow_to_many_on_a_running_gateway_without_losing_a_packet() {
    let many = if env::var("EIPGATE_LONG").is_ok_and(|long| long == "1") { 1_000_000 } else { 20_000 };
    let lab = lab_of(&[POOL, "150.0.0.0/11"], "max_pairs = 1000000\nmax_instances = 1000000\n");
    lab.instance_with("web", A, &WEB.to_string()).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"warm").unwrap();
    let pair = |index: u32| {
        let public = Ipv4Addr::from(u32::from(Ipv4Addr::new(150, 0, 0, 0)) + index);
        (public, Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 0, 0)) + index))
    };
    // One of them is there already.
    let many = many - 1;
    import(&lab, (0..1000).map(pair));
    let (answered, lost, ()) = PingPong::during(&lab.internet, WEB, |traffic| {
        traffic.wait_for(100);
        import(&lab, (1000..many).map(pair));
        traffic.wait_for(100);
    });
    assert_eq!(lost, 0, "of {answered}");
    assert_eq!(lab.daemon.json(&["status"]).unwrap()["pairs"]["entries"], json!(many + 1));
    let maps = lab.daemon.maps().display().to_string();
    let verified: Value =
        serde_json::from_str(&patiently(&lab, &["map", "verify", "--bpf-dir", &maps, "-o", "json"])).unwrap();
    assert_eq!(verified["differences"], json!([]));
    println!("{answered} answers while it grew to {}, none lost", many + 1);
    lab.finish().unwrap();
}

#[test]
fn a_pool_of_scattered_addresses_works() {
    let pools: Vec<String> =
        (0..2000u32).map(|index| format!("\"150.{}.{}.9/32\"", index / 250, index % 250)).collect();
    let lab = Lab::new().unwrap();
    lab.router.tell(&["ip", "route", "add", "150.0.0.0/8", "via", "198.51.100.2"]).unwrap();
    let path = lab.directory.join("eipgate.toml");
    fs::write(&path, format!("pools = [{}]\n", pools.join(", "))).unwrap();
    let more = vec!["--config".into(), path.display().to_string()];
    lab.daemon.start(Settings { pools: Vec::new(), more, ..Settings::default() }).unwrap();
    let public = |index: u32| Ipv4Addr::new(150, (index / 250) as u8, (index % 250) as u8, 9);
    import(&lab, (1..2000).map(|index| (public(index), Ipv4Addr::from(0x0a40_0000 + index * 256))));
    lab.instance_with("web", A, &public(0).to_string()).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(public(0), 7), b"scattered").unwrap();
    assert_eq!((entries(&lab, "INBOUND_SPARSE"), entries(&lab, "INBOUND_PAGES")), (2000, 0));
    // Between the pools lies nothing of ours.
    let before = lab.verdicts("not-ours").unwrap();
    lab.internet.output(&["ping", "-c", "1", "-W", "1", "150.0.0.10"], SOON).unwrap();
    assert!(lab.verdicts("not-ours").unwrap() > before);
    lab.finish().unwrap();
}

#[test]
fn counters_can_be_switched_off() {
    let lab = lab("counters = false\n");
    lab.instance_with("web", A, &WEB.to_string()).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    // The first may be handed to the kernel, which has to ask for the neighbour.
    wait::until("a packet forwarded by the program", SOON, || {
        udp_exchange(&lab.internet, at(WEB, 7), b"uncounted").unwrap();
        (lab.verdicts("inbound").unwrap() > 0).then_some(())
    })
    .unwrap();
    let web = lab.daemon.map(&["get", &WEB.to_string()]).unwrap();
    assert_eq!(web["pairs"][0]["traffic"]["packets_in"], 0, "{web}");
    assert!(lab.daemon.log().contains("and 1 MB for counters"), "{}", lab.daemon.log());
    lab.finish().unwrap();
}

#[test]
fn maps_made_for_other_limits_are_refused_and_traffic_goes_on() {
    let lab = lab("max_pairs = 1000\n");
    lab.instance_with("web", A, &WEB.to_string()).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    lab.daemon.terminate().unwrap();
    let words = lab.directory.join("eipgate.toml");
    fs::write(&words, "max_pairs = 2000\n").unwrap();
    let refusal = format!("{:#}", lab.daemon.restart().unwrap_err());
    assert!(refusal.contains("were made for max_pairs = 1000") && refusal.contains("eipgate detach"), "{refusal}");
    udp_exchange(&lab.internet, at(WEB, 7), b"still there").unwrap();
    fs::write(&words, "max_pairs = 1000\n").unwrap();
    // The one that refused has ended by itself.
    let _ = lab.daemon.kill();
    lab.daemon.restart().unwrap();
    lab.finish().unwrap();
}
