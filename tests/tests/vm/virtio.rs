//! Native XDP on virtio NICs with several queues, as a gateway in a cloud has them: two of the gateway, each joined to
//! a NIC of a peer by a bridge outside the machine.

use std::fs;

use lab::lab::server::{Server, tcp_exchange, udp_exchange};
use lab::lab::{Namespace, SOON, at, wait};

use crate::site::{INSTANCE, OUTSIDE, Site, WEB};

/// Gives a namespace the NIC with this last byte of its MAC, and the name it is to have there.
pub fn give(number: u8, driver: &str, namespace: &Namespace, name: &str) {
    let wanted = format!("52:54:00:00:00:0{number}");
    // A namespace that an earlier test has given up hands its NICs back in its own time.
    let nic = wait::until(&format!("a NIC {wanted}"), SOON, || {
        let mut found = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap());
        found.find(|nic| fs::read_to_string(nic.path().join("address")).is_ok_and(|mac| mac.trim() == wanted))
    });
    let nic = nic.unwrap().file_name().into_string().unwrap();
    let found = fs::read_link(format!("/sys/class/net/{nic}/device/driver")).unwrap();
    assert!(found.ends_with(driver), "{nic} is driven by {}", found.display());
    let line = format!("link set {nic} down netns {} name {name}\n", namespace.name);
    lab::lab::namespace::ip_batch(&[], &line).unwrap();
}

/// Gives every NIC to its host and brings all up; with `offloads` the peers leave checksums to the NIC.
fn joined(offloads: bool) -> Site {
    let site = Site::new();
    for (number, namespace, name) in
        [(0, &site.gateway, "up0"), (1, &site.outside, "eth0"), (2, &site.gateway, "down0"), (3, &site.inside, "eth0")]
    {
        give(number, "virtio_net", namespace, name);
        if name == "eth0" && !offloads {
            namespace.features(name, &["tx", "off", "tso", "off", "gso", "off", "gro", "off"]).unwrap();
        }
        namespace.ip(&format!("link set {name} up\n")).unwrap();
    }
    site.address("up0", "down0", "eth0", "eth0");
    site
}

/// Sums of what the queues of an interface count under names with this ending.
fn queues(site: &Site, interface: &str, ending: &str) -> Vec<u64> {
    let said = site.gateway.tell(&["ethtool", "-S", interface]).unwrap();
    let lines = said.lines().filter_map(|line| line.trim().split_once(": "));
    lines
        .filter(|(name, _)| name.starts_with("rx") && name.ends_with(ending))
        .map(|(_, n)| n.parse().unwrap())
        .collect()
}

#[test]
fn native_xdp_forwards_between_virtio_nics_by_several_queues() {
    let mut site = joined(false);
    let (outside, inside) = (site.outside.clone(), site.inside.clone());
    site.watch(&outside, true);
    site.watch(&inside, false);
    site.serve("up0", &["down0"]);
    let status = site.daemon.tell(&["status", "-o", "json"]).unwrap();
    assert!(status.contains("native"), "{status}");
    site.bind("web", INSTANCE, "vpc-default", WEB);

    let _web = Server::tcp_echo(&inside, 80).unwrap();
    let peer = Server::tcp_echo(&outside, 81).unwrap();
    for _ in 0..12 {
        tcp_exchange(&outside, at(WEB, 80), 100_000).unwrap();
        tcp_exchange(&inside, at(OUTSIDE, 81), 100_000).unwrap();
    }
    assert!(peer.peers().iter().all(|peer| *peer.ip() == WEB), "{:?}", peer.peers());
    let _echo = Server::udp_echo(&outside, 53).unwrap();
    udp_exchange(&inside, at(OUTSIDE, 53), &[7; 1400]).unwrap();

    // Several MB of segments of 1460 bytes at most, and their acknowledgements, past the kernel of the gateway.
    for interface in ["up0", "down0"] {
        let redirected = queues(&site, interface, "xdp_redirects");
        assert!(redirected.iter().sum::<u64>() > 1500, "{interface}: {redirected:?}");
        assert!(redirected.iter().filter(|queue| **queue > 0).count() > 1, "{interface}: {redirected:?} by queue");
    }
    site.finish();
}

#[test]
fn a_peer_that_leaves_checksums_to_its_nic_is_served() {
    let site = joined(true);
    let features = site.inside.tell(&["ethtool", "-k", "eth0"]).unwrap();
    assert!(features.contains("tx-checksumming: on"), "{features}");
    site.serve("up0", &["down0"]);
    site.bind("web", INSTANCE, "vpc-default", WEB);
    let _web = Server::tcp_echo(&site.inside, 80).unwrap();
    let _peer = Server::tcp_echo(&site.outside, 81).unwrap();
    tcp_exchange(&site.outside, at(WEB, 80), 300_000).unwrap();
    tcp_exchange(&site.inside, at(OUTSIDE, 81), 300_000).unwrap();
    // With a program attached the NIC finishes checksums and segments before the gateway sees a frame.
    assert_eq!(site.verdicts("unfinished-checksum"), 0);
    site.finish();
}
