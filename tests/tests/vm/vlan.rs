//! Tagged links beside the host's own VLAN sub-interfaces, which take the kernel's module 8021q.

use lab::frames::word;
use lab::lab::server::{Server, tcp_exchange};
use lab::lab::{Direction, Namespace, at};

use crate::site::{INSTANCE, OUTSIDE, Site, WEB};

/// Sub-interfaces for tags, each above the one before, all up; the name of the last. Their tags are written into the
/// frame where the interface below does not take them beside it.
fn tagged(namespace: &Namespace, interface: &str, tags: &[u16]) -> String {
    let mut below = interface.to_owned();
    let mut lines = format!("link set {interface} up\n");
    for (depth, tag) in tags.iter().enumerate() {
        let above = format!("{interface}.v{depth}");
        let protocol = if depth + 1 < tags.len() { "802.1ad" } else { "802.1q" };
        lines +=
            &format!("link add {above} link {below} type vlan id {tag} protocol {protocol}\nlink set {above} up\n");
        below = above;
    }
    namespace.ip(&lines).unwrap();
    below
}

fn tags_in_frames(namespace: &Namespace, interface: &str) {
    namespace.features(interface, &["txvlan", "off", "tx-vlan-stag-hw-insert", "off"]).unwrap();
}

/// Runs a conversation both ways over links with these tags, whose routes lead by sub-interfaces.
fn conversation(up: &[u16], down: &[u16], uplink: &str, downlink: &str) {
    let mut site = Site::new();
    let (gateway, outside, inside) = (site.gateway.clone(), site.outside.clone(), site.inside.clone());
    site.join("up0", &outside);
    site.join("down0", &inside);
    for peer in [&outside, &inside] {
        tags_in_frames(peer, "eth0");
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
