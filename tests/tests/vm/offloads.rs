//! A NIC whose driver takes VLAN tags off received frames and joins packets, as many physical ones do and virtio's does not.

use lab::lab::daemon::text;
use lab::lab::server::{Server, tcp_exchange};
use lab::lab::{Settings, at};
use serde_json::Value;

use crate::site::{INSTANCE, OUTSIDE, Site, WEB};
use crate::virtio::give;
use crate::vlan::tagged;

/// A gateway whose downlink is that NIC, tagged.
fn site() -> Site {
    let site = Site::new();
    give(0, "virtio_net", &site.gateway, "up0");
    give(1, "virtio_net", &site.outside, "eth0");
    give(4, "vmxnet3", &site.gateway, "down0");
    give(5, "virtio_net", &site.inside, "eth0");
    for peer in [&site.outside, &site.inside] {
        peer.features("eth0", &["tx", "off", "tso", "off", "gso", "off", "gro", "off"]).unwrap();
        peer.ip("link set eth0 up\n").unwrap();
    }
    site.gateway.ip("link set up0 up\n").unwrap();
    let gate = tagged(&site.gateway, "down0", &[100]);
    let peer = tagged(&site.inside, "eth0", &[100]);
    site.address("up0", &gate, "eth0", &peer);
    site
}

/// What this kernel's driver can do: native XDP came to it after Linux 6.1.
fn mode() -> &'static str {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    if release.starts_with("6.1.") { "generic" } else { "native" }
}

fn settings() -> Settings {
    Settings {
        uplinks: vec!["up0".into()],
        downlinks: vec!["down0:100=vpc-a".into()],
        pools: vec!["203.0.113.0/28".into()],
        more: vec!["--xdp-mode".into(), mode().into()],
        ..Settings::default()
    }
}

fn feature(site: &Site, name: &str) -> bool {
    let features = site.gateway.tell(&["ethtool", "-k", "down0"]).unwrap();
    features.lines().any(|line| line.trim() == format!("{name}: on"))
}

#[test]
fn t50_a_driver_that_strips_tags_is_told_to_leave_them_and_serves_tagged_links() {
    let mut site = site();
    let (outside, inside) = (site.outside.clone(), site.inside.clone());
    assert!(feature(&site, "rx-vlan-offload"), "the NIC does not strip tags, so nothing is tried");
    site.watch(&outside, true);
    site.daemon.start(settings()).unwrap();
    assert!(!feature(&site, "rx-vlan-offload"));
    site.bind("web", INSTANCE, "vpc-a", WEB);
    let _web = Server::tcp_echo(&inside, 80).unwrap();
    let peer = Server::tcp_echo(&outside, 81).unwrap();
    let before = ["inbound", "outbound"].map(|verdict| site.verdicts(verdict));
    tcp_exchange(&outside, at(WEB, 80), 200_000).unwrap();
    tcp_exchange(&inside, at(OUTSIDE, 81), 200_000).unwrap();
    assert_eq!(*peer.last_peer().unwrap().ip(), WEB);
    let after = ["inbound", "outbound"].map(|verdict| site.verdicts(verdict));
    assert!(after[0] > before[0] + 100 && after[1] > before[1] + 100, "{before:?} {after:?}");

    site.daemon.terminate().unwrap();
    let said = site.daemon.detach().unwrap();
    assert!(said.contains("let down0 take VLAN tags off received frames again"), "{said}");
    assert!(feature(&site, "rx-vlan-offload"));
    site.daemon.start(settings()).unwrap();
    site.finish();
}

#[test]
fn t58_the_doctor_names_a_driver_that_joins_packets() {
    let site = Site::new();
    give(0, "virtio_net", &site.gateway, "up0");
    // Without a sub-interface, above which the kernel lets no driver join packets.
    give(4, "vmxnet3", &site.gateway, "down0");
    site.gateway.ip("link set up0 up\nlink set down0 up\n").unwrap();
    site.gateway.features("down0", &["lro", "on"]).unwrap();
    assert!(feature(&site, "large-receive-offload"), "the NIC does not join packets, so nothing is tried");
    let found = || {
        let links = ["--uplink", "up0", "--downlink", "down0", "--pool", "203.0.113.0/28"];
        let words: Vec<&str> = ["doctor", "--allow-reserved-pools", "-o", "json"].into_iter().chain(links).collect();
        let finished = site.daemon.cli(&words).unwrap();
        let findings: Vec<Value> =
            serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        let down = |it: &&Value| it["check"] == "receive_offload" && it["subject"] == "down0";
        findings.iter().find(down).unwrap_or_else(|| panic!("{findings:#?}")).clone()
    };
    let joined = found();
    assert_eq!(joined["standing"], "failure", "{joined}");
    let mend = text(&joined, "mend").unwrap();
    assert_eq!(mend, "ethtool -K down0 lro off");
    site.gateway.tell(&["sh", "-ec", &mend]).unwrap();
    assert_eq!(found()["standing"], "ok");
}
