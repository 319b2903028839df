//! Tagged links beside the host's own VLAN sub-interfaces, which take the kernel's module 8021q.

use std::net::Ipv4Addr;

use lab::frames::word;
use lab::lab::daemon::text;
use lab::lab::server::{Server, tcp_exchange};
use lab::lab::{Direction, Namespace, SOON, at, wait};
use serde_json::Value;

use crate::site::{INSTANCE, OUTSIDE, Site, WEB};

/// Sub-interfaces for tags, each above the one before, all up; the name of the last. Their tags are written into the
/// frame where the interface below does not take them beside it.
pub fn tagged(namespace: &Namespace, interface: &str, tags: &[u16]) -> String {
    let mut below = interface.to_owned();
    let mut lines = format!("link set {interface} up\n");
    for (depth, tag) in tags.iter().enumerate() {
        let above = format!("{interface}.v{depth}");
        let protocol = if depth + 1 < tags.len() { "802.1ad" } else { "802.1q" };
        lines +=
            &format!("link add {above} link {below} type vlan id {tag} protocol {protocol}\nlink set {above} up\n");
        below = above;
    }
    // What is above takes over the MTU of what is below, tags included.
    lines += &format!("link set {below} mtu 1500\n");
    namespace.ip(&lines).unwrap();
    below
}

fn tags_in_frames(namespace: &Namespace, interface: &str) {
    namespace.features(interface, &["txvlan", "off", "tx-vlan-stag-hw-insert", "off"]).unwrap();
}

/// What an interface must carry for packets of 1500 bytes with these tags. Drivers, veth's among them, make room for one
/// tag beside their MTU; what a second takes has to be in it, with a gateway as without.
fn room(tags: &[u16]) -> usize {
    1500 + 4 * tags.len().saturating_sub(1)
}

/// Runs a conversation both ways over links with these tags, whose routes lead by sub-interfaces.
fn conversation(up: &[u16], down: &[u16], uplink: &str, downlink: &str) {
    let mut site = Site::new();
    let (gateway, outside, inside) = (site.gateway.clone(), site.outside.clone(), site.inside.clone());
    site.join("up0", &outside);
    site.join("down0", &inside);
    for (gate, peer, tags) in [("up0", &outside, up), ("down0", &inside, down)] {
        tags_in_frames(peer, "eth0");
        for (namespace, interface) in [(&gateway, gate), (peer, "eth0")] {
            namespace.ip(&format!("link set {interface} mtu {}\n", room(tags))).unwrap();
        }
    }
    let (gate_up, gate_down) = (tagged(&gateway, "up0", up), tagged(&gateway, "down0", down));
    let (peer_up, peer_down) = (tagged(&outside, "eth0", up), tagged(&inside, "eth0", down));
    site.address(&gate_up, &gate_down, &peer_up, &peer_down);
    site.watch(&outside, true);
    site.serve(uplink, &[downlink]);
    site.bind("web", INSTANCE, "vpc-a", WEB);
    let _web = Server::tcp_echo(&inside, 80).unwrap();
    let peer = Server::tcp_echo(&outside, 81).unwrap();
    let before = site.verdicts("outbound");
    let first = site.watch(&inside, false).watch();
    tcp_exchange(&outside, at(WEB, 80), 200_000).unwrap();
    // What the program redirected to the instance has the tags of its link, between the MACs and what they carry.
    let ethertypes: &[u16] = match down {
        [] => &[0x0800],
        [_] => &[0x8100, 0x0800],
        _ => &[0x88a8, 0x8100, 0x0800],
    };
    let seen = |frame: &[u8]| -> bool {
        let at = |index: usize| word(frame, 12 + 4 * index);
        let tags = down.iter().enumerate().all(|(index, tag)| word(frame, 14 + 4 * index) & 0xfff == *tag);
        tags && ethertypes.iter().enumerate().all(|(index, ethertype)| at(index) == *ethertype)
    };
    first.wait("a tagged frame of the gateway", |it| it.direction == Direction::In && seen(&it.frame)).unwrap();
    tcp_exchange(&inside, at(OUTSIDE, 81), 200_000).unwrap();
    assert_eq!(*peer.last_peer().unwrap().ip(), WEB);
    assert!(site.verdicts("outbound") > before + 100, "the kernel carried what the program should have");
    site.finish();
}

#[test]
fn t49_routes_over_vlan_sub_interfaces_leave_by_the_interface_below_with_its_tag() {
    conversation(&[], &[100], "up0", "down0:100=vpc-a");
    conversation(&[7], &[100], "up0:7", "down0:100=vpc-a");
}

#[test]
fn t49_routes_over_stacked_sub_interfaces_leave_with_both_tags() {
    conversation(&[7], &[200, 300], "up0:7", "down0:200.300=vpc-a");
}

#[test]
fn t49_the_doctor_names_the_mtu_that_two_tags_take() {
    let site = Site::new();
    let gateway = site.gateway.clone();
    site.join("up0", &site.outside);
    site.join("down0", &site.inside);
    tagged(&gateway, "up0", &[7]);
    tagged(&gateway, "down0", &[200, 300]);
    let narrow = || {
        let links = ["--uplink", "up0:7", "--downlink", "down0:200.300=vpc-a", "--pool", "203.0.113.0/28"];
        let words: Vec<&str> = ["doctor", "--allow-reserved-pools", "-o", "json"].into_iter().chain(links).collect();
        let finished = site.daemon.cli(&words).unwrap();
        let findings: Vec<Value> =
            serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        findings.into_iter().filter(|finding| finding["check"] == "vlan_mtu").collect::<Vec<_>>()
    };
    let found = narrow();
    assert_eq!(found.len(), 1, "{found:#?}");
    let mend = text(&found[0], "mend").unwrap();
    assert_eq!(mend, "ip link set dev down0 mtu 1504");
    gateway.tell(&["sh", "-ec", &mend]).unwrap();
    assert!(narrow().is_empty());
}

/// Two VPCs behind two tags of one interface, whose instances have the same address.
#[test]
fn instances_behind_two_tags_of_one_interface_are_told_of_themselves() {
    let site = Site::new();
    let (gateway, inside) = (site.gateway.clone(), site.inside.clone());
    site.join("up0", &site.outside);
    site.join("down0", &inside);
    tags_in_frames(&inside, "eth0");
    gateway.ip("addr add 198.51.100.2/24 dev up0\nlink set up0 up\nlink set down0 up\n").unwrap();
    inside.ip("link set eth0 up\n").unwrap();
    for (tag, metric) in [(100, 1), (200, 2)] {
        for (namespace, interface, address) in [(&gateway, "down0", "10.0.0.1"), (&inside, "eth0", "10.0.0.11")] {
            let above = format!("{interface}.{tag}");
            let lines = format!(
                "link add {above} link {interface} type vlan id {tag}\nlink set {above} up\naddr add {address}/24 dev {above}\n"
            );
            namespace.ip(&lines).unwrap();
        }
        inside.ip(&format!("route add default via 10.0.0.1 dev eth0.{tag} metric {metric}\n")).unwrap();
    }
    site.serve_with("up0", &["down0:100=vpc-a", "down0:200=vpc-b"], "metadata = true\n");
    for (vpc, public) in [("vpc-a", WEB), ("vpc-b", Ipv4Addr::new(203, 0, 113, 2))] {
        site.bind(vpc, INSTANCE, vpc, public);
    }
    let ask = |tag: u16, path: &str| {
        let (interface, url) = (format!("eth0.{tag}"), format!("http://169.254.0.23/latest/meta-data/{path}"));
        let words = ["curl", "-sS", "--fail", "--max-time", "10", "--interface", &interface, &url];
        inside.tell(&words).ok()
    };
    for (tag, vpc, public) in [(100, "vpc-a", "203.0.113.1"), (200, "vpc-b", "203.0.113.2")] {
        let name = wait::until("an answer by the sub-interface", 2 * SOON, || ask(tag, "instance-name")).unwrap();
        assert_eq!(name, vpc);
        assert_eq!(ask(tag, "public-ipv4").as_deref(), Some(public));
        let mac = ask(tag, "mac").unwrap();
        assert_eq!(ask(tag, &format!("network/interfaces/macs/{mac}/vpc-id")).as_deref(), Some(vpc));
    }
    site.finish();
}
