//! What `eipgate explain` says of a packet is what becomes of it, and saying so changes nothing.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use lab::lab::{Capture, Direction, Lab, Wire};
use nat_common::abi::{AddressCounters, Bucket, Hop, NextHopKey, Settings, VerdictCounter};
use nat_common::verdict::Verdict;
use serde_json::Value;

use crate::scene::{NARROW_INSIDE, scene, scene_with_mtu};

/// What the gateway says would become of a packet.
pub(crate) fn explain(lab: &Lab, words: &str) -> Value {
    let maps = lab.daemon.maps().display().to_string();
    let words: Vec<&str> = ["explain"].into_iter().chain(words.split_whitespace()).collect();
    lab.daemon.json(&[words.as_slice(), &["--bpf-dir", &maps]].concat()).unwrap()
}

/// Packets, from where they are sent, and their verdicts.
const CASES: &[(&str, &str, Verdict)] = &[
    ("192.0.2.10 203.0.113.1 tcp/80", "router", Verdict::Inbound),
    ("192.0.2.10 203.0.113.1 udp/5353:53 --length 1400", "router", Verdict::Inbound),
    ("192.0.2.10 203.0.113.1 gre", "router", Verdict::Inbound),
    ("192.0.2.10 203.0.113.1 icmp/3:1", "router", Verdict::Inbound),
    ("192.0.2.10 198.51.100.70 sctp/5000 --ttl 2", "router", Verdict::Inbound),
    ("10.0.0.11 192.0.2.10 udp/53", "a", Verdict::Outbound),
    ("10.0.0.11 192.0.2.10 tcp/40000:443", "a", Verdict::Outbound),
    ("10.0.0.12 192.0.2.10 icmp", "b", Verdict::Outbound),
    ("10.0.0.12 203.0.113.1 tcp/80", "b", Verdict::Hairpin),
    ("10.0.0.11 203.0.113.1 udp/80", "a", Verdict::Hairpin),
    ("192.0.2.10 203.0.113.1 udp/80 --ttl 1", "router", Verdict::TtlExceededReply),
    ("10.0.0.11 192.0.2.10 udp/80 --ttl 1", "a", Verdict::TtlExceededReply),
    ("10.0.0.11 192.0.2.10 icmp/3:1 --ttl 1", "a", Verdict::TtlExceededSilent),
    ("192.0.2.10 203.0.113.1 udp/80 --length 1401", "router", Verdict::TooBigReply),
    ("192.0.2.10 203.0.113.1 icmp/3:1 --length 1401", "router", Verdict::TooBigSilent),
    ("192.0.2.10 203.0.113.1 udp/80 --length 1401 --may-fragment", "router", Verdict::HandedFragmentation),
    ("10.0.0.11 8.8.8.200 udp/80", "a", Verdict::HostUnreachableReply),
    ("10.0.0.11 8.8.8.201 udp/80", "a", Verdict::RouteBlackhole),
    ("10.0.0.11 8.8.8.202 udp/80", "a", Verdict::RouteProhibit),
    ("10.0.0.11 8.8.8.203 udp/80", "a", Verdict::NetUnreachableReply),
    ("10.0.0.11 8.8.8.204 udp/80", "a", Verdict::WrongEgress),
    ("192.0.2.10 198.51.100.2", "router", Verdict::PassOwnAddress),
    ("10.0.0.11 10.0.0.1", "a", Verdict::PassOwnAddress),
    ("192.0.2.10 224.0.0.5 89 --interface up0", "router", Verdict::PassLinkMulticast),
    ("192.0.2.10 255.255.255.255 udp/67 --interface up0", "router", Verdict::PassBroadcast),
    ("192.0.2.10 203.0.113.14 tcp/80", "router", Verdict::UnboundAddress),
    ("192.0.2.10 192.0.2.77 tcp/80", "router", Verdict::NotOurs),
    ("172.16.9.9 203.0.113.1 tcp/80 --interface up0", "router", Verdict::MartianSource),
    ("203.0.113.1 198.51.100.70 tcp/80", "router", Verdict::SpoofedSource),
    ("192.0.2.10 239.1.1.1 udp/80", "router", Verdict::MulticastDestination),
    ("192.0.2.10 240.0.0.1 udp/80", "router", Verdict::MartianDestination),
    ("10.0.0.99 192.0.2.10 tcp/80", "a", Verdict::UnknownSource),
    ("10.0.0.13 192.0.2.10 tcp/80", "c", Verdict::NoPublicAddress),
    ("10.0.0.11 10.9.9.9 tcp/80", "a", Verdict::PrivateDestination),
    ("192.0.2.10 203.0.113.1 ah", "router", Verdict::AhUntranslatable),
    ("192.0.2.10 203.0.113.1 tcp/80 --length 24", "router", Verdict::TruncatedTransport),
    ("192.0.2.10 203.0.113.1 icmp/5", "router", Verdict::IcmpRedirect),
    ("192.0.2.10 203.0.113.1 icmp/9", "router", Verdict::IcmpRouterDiscovery),
    ("192.0.2.10 203.0.113.1 icmp/3:1 --length 40", "router", Verdict::MalformedQuotation),
];

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("frames are shown in hexadecimal");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn add_routes(lab: &Lab) {
    let routes = "route add unreachable 8.8.8.200\nroute add blackhole 8.8.8.201\nroute add prohibit 8.8.8.202\n\
                  route add throw 8.8.8.203\nlink add w0 type veth peer name w1\nlink set w0 up\nlink set w1 up\n\
                  route add 8.8.8.204 dev w0\n";
    lab.gateway.ip(routes).unwrap();
}

#[test]
fn explain_says_what_really_happens_for_each_verdict() {
    let lab = scene_with_mtu(&NARROW_INSIDE);
    add_routes(&lab);
    lab.settle().unwrap();
    // What the frames provoke is not translated: the Internet host answers what comes to it.
    for (words, from, verdict) in CASES {
        let told = explain(&lab, words);
        assert_eq!(told["verdict"], verdict.name(), "{words}: {told:#}");
        assert_eq!(told["explanation"], verdict.explanation(), "{words}");
        let (sender, interface, near): (_, _, &Capture) = match *from {
            "router" => (&lab.router, "gate0", &lab.at_router),
            "a" => (&lab.a, "eth0", &lab.at_a),
            "b" => (&lab.b, "eth0", &lab.at_b),
            _ => (&lab.c, "eth0", &lab.at_c),
        };
        let far = match told["leaves_by"].as_str() {
            Some("up0") => Some(&lab.at_router),
            Some("down0") if *from != "router" && told["action"] == "reply" => Some(near),
            Some("down0") if told["leaves"]["destination"] == "10.0.0.12" => Some(&lab.at_b),
            Some("down0") => Some(&lab.at_a),
            _ => None,
        };
        let before = lab.verdicts(verdict.name()).unwrap();
        let watch = far.map(Capture::watch);
        Wire::sender(sender, interface).unwrap().send(&bytes(&told["arrives"]["frame"])).unwrap();
        if let Some(watch) = watch {
            let wanted = bytes(&told["leaves"]["frame"]);
            let what = format!("{words}: the frame that was foretold");
            let seen = watch.wait(&what, |seen| seen.direction == Direction::In && seen.frame == wanted);
            if let Err(error) = seen {
                let arrived: Vec<String> = watch.arrived().iter().map(|frame| lab::frames::explain(frame)).collect();
                panic!("{error:#}\nforetold {}\narrived {arrived:#?}", lab::frames::explain(&wanted));
            }
        } else {
            lab.settle().unwrap();
        }
        assert!(lab.verdicts(verdict.name()).unwrap() > before, "{words}: not judged {}", verdict.name());
        let forwarded = told["action"] == "forward" || told["action"] == "reply";
        assert_eq!(told["leaves_by"].is_string(), forwarded, "{words}: {told:#}");
        assert_eq!(told["leaves"].is_null(), told["action"] == "drop", "{words}: {told:#}");
    }
}

#[test]
fn explain_tells_each_step_to_people() {
    let lab = scene();
    let maps = lab.daemon.maps().display().to_string();
    let page = |words: &[&str]| lab.daemon.tell(&[&["explain"], words, &["--bpf-dir", &maps]].concat()).unwrap();
    let text = page(&["192.0.2.10", "203.0.113.1", "tcp/50001:443"]);
    for line in [
        "packet:     192.0.2.10:50001 > 203.0.113.1:443 tcp, TTL 64, 40 bytes, DF",
        "link:       up0, an uplink (by its source; --interface chooses another)",
        "direction:  inbound",
        "pair:       203.0.113.1 is bound to 10.0.0.11 in vpc-default",
        "source:     192.0.2.10 may come from the Internet",
        "verdict:    inbound (forward): Internet to instance",
        "leaves:     192.0.2.10:50001 > 10.0.0.11:443 tcp, TTL 63, 40 bytes, DF",
        "next hop:   down0 to ",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    assert!(text.contains(" right, payload 0x") && !text.contains("WRONG"), "{text}");
    let text = page(&["10.0.0.13", "192.0.2.10"]);
    assert!(text.contains("10.0.0.13 in vpc-default is an instance without a public address"), "{text}");
    assert!(text.contains("remedy:") && text.contains("eipgate eip bind"), "{text}");
    let refused = lab.daemon.cli(&["explain", "192.0.2.10", "203.0.113.1", "-i", "lo", "--bpf-dir", &maps]).unwrap();
    assert!(refused.code() == 1 && refused.stderr.contains("lo is no uplink or downlink; there are"), "{refused}");
}

#[test]
fn explain_works_when_the_daemon_is_dead() {
    let lab = scene();
    lab.daemon.kill().unwrap();
    let told = explain(&lab, "192.0.2.10 198.51.100.70 tcp/443");
    assert_eq!(
        (&told["verdict"], &told["leaves"]["destination"]),
        (&"inbound".into(), &"10.0.0.12".into()),
        "{told:#}"
    );
}

/// A map of the daemon, as it is pinned.
pub(crate) fn pinned<T: TryFrom<Map, Error = aya::maps::MapError>>(lab: &Lab, name: &str) -> T {
    let path = lab.daemon.maps().join(format!("v{}", nat_common::abi::ABI_VERSION)).join(name);
    T::try_from(Map::from_map_data(MapData::from_pin(path).unwrap()).unwrap()).unwrap()
}

/// Everything a packet changes, and everything else the maps hold.
fn dump(lab: &Lab) -> BTreeMap<&'static str, Vec<u8>> {
    let mut all = BTreeMap::new();
    let text = |it: &dyn std::fmt::Debug| format!("{it:?}").into_bytes();
    let verdicts: PerCpuArray<_, VerdictCounter> = pinned(lab, "VERDICTS");
    // A host's last words on IPv6 may still arrive, and no packet that is explained counts as such.
    let counted = (0..).zip(verdicts.iter()).filter(|(verdict, _)| *verdict != Verdict::PassIpv6 as u32);
    let values: Vec<Vec<VerdictCounter>> = counted.map(|(_, values)| values.unwrap().to_vec()).collect();
    all.insert("VERDICTS", text(&values));
    let counters: Array<_, AddressCounters> = pinned(lab, "COUNTERS");
    let used: Vec<_> = (0..)
        .zip(counters.iter().map(Result::unwrap))
        .filter(|(_, it)| *it != Default::default())
        .collect::<Vec<(u32, _)>>();
    all.insert("COUNTERS", text(&used));
    let buckets: Array<_, Bucket> = pinned(lab, "BUCKETS");
    all.insert("BUCKETS", text(&buckets.iter().map(Result::unwrap).collect::<Vec<_>>()));
    let settings: Array<_, Settings> = pinned(lab, "SETTINGS");
    all.insert("SETTINGS", text(&settings.get(&0, 0).unwrap()));
    let hops: Array<_, Hop> = pinned(lab, "HOPS");
    all.insert("HOPS", text(&hops.iter().map(Result::unwrap).filter(|hop| hop.state != 0).collect::<Vec<_>>()));
    let unreachable: HashMap<_, NextHopKey, u32> = pinned(lab, "UNREACHABLE");
    all.insert("UNREACHABLE", text(&unreachable.iter().map(Result::unwrap).collect::<Vec<_>>()));
    let mut events: RingBuf<MapData> = pinned(lab, "EVENTS");
    all.insert("EVENTS", text(&std::iter::from_fn(|| events.next().map(|event| event.to_vec())).collect::<Vec<_>>()));
    all.insert("pairs", lab.daemon.map(&["show"]).unwrap().to_string().into_bytes());
    all
}

#[test]
fn explain_changes_no_counter_token_or_event() {
    let lab = scene();
    add_routes(&lab);
    // Something is counted already, so that a counter that were cleared would show, too.
    lab.internet.tell(&["ping", "-c", "2", "-i", "0.05", "203.0.113.1"]).unwrap();
    lab.settle().unwrap();
    lab.daemon.kill().unwrap();
    // From here on the neighbours say no word, so that nothing arrives that would be counted.
    for (host, interface) in [(&lab.router, "gate0"), (&lab.a, "eth0"), (&lab.b, "eth0"), (&lab.c, "eth0")] {
        host.ip(&format!("link set {interface} arp off\n")).unwrap();
        host.sysctl(&format!("net.ipv6.conf.{interface}.disable_ipv6"), "1").unwrap();
    }
    // Nor does a bridge say that it listens to 224.0.0.106.
    for host in [&lab.switch, &lab.router, &lab.a, &lab.b, &lab.c] {
        host.sysctl("net.ipv4.igmp_link_local_mcast_reports", "0").unwrap();
    }
    let before = dump(&lab);
    let cases: Vec<_> = CASES.iter().filter(|(words, ..)| !words.contains("1401")).collect();
    for (words, _, verdict) in &cases {
        let told = explain(&lab, words);
        assert_eq!(told["verdict"], verdict.name(), "{words}: {told:#}");
    }
    let after = dump(&lab);
    for (map, was) in &before {
        let (was, is) = (String::from_utf8_lossy(was), String::from_utf8_lossy(&after[map]));
        assert_eq!(was, is, "{map} changed");
    }
}
