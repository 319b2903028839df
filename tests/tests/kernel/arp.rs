//! ARP on the link to the router: who is answered for, what is announced, and who else claims it.

use std::net::Ipv4Addr;

use lab::frames::{ARP, Arp, Frame, address, payload, word};
use lab::lab::instance::Eip;
use lab::lab::{A, Lab, SOON, Settings, UPSTREAM, Watch, wait};

use crate::scene::{DATABASE, Sender, ping, scene};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 75);

/// The MAC that answers, by the program `arping`.
fn arping(lab: &Lab, target: Ipv4Addr) -> Option<String> {
    let words = ["arping", "-c", "1", "-w", "1", "-I", "gate0", &target.to_string()];
    let said = lab.router.output(&words, SOON).unwrap().stdout;
    said.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(mac, _)| mac.to_lowercase())
}

fn gateways_mac(lab: &Lab) -> String {
    lab.gateway.mac("up0").unwrap().map(|byte| format!("{byte:02x}")).join(":")
}

/// An ARP message's operation and its two addresses.
fn arp(frame: &[u8]) -> Option<(u16, Ipv4Addr, Ipv4Addr)> {
    let (kind, at) = payload(frame)?;
    (kind == ARP && frame.len() >= at + 28)
        .then(|| (word(frame, at + 6), address(frame, at + 14), address(frame, at + 24)))
}

/// Asks without waiting and settles: whether an answer came.
fn answered(lab: &Lab, target: Ipv4Addr) -> bool {
    let watch = lab.at_router.watch();
    let mac = lab.router.mac("gate0").unwrap();
    let question = Frame::new(mac, [0xff; 6]).arp(&Arp::request(mac, UPSTREAM, target)).padded();
    Sender::router(lab).send_frame(&question);
    lab.settle().unwrap();
    watch.arrived().iter().any(|frame| arp(frame).is_some_and(|(kind, sender, _)| (kind, sender) == (2, target)))
}

#[test]
fn t59_arping_is_answered_for_bound_addresses_only() {
    let lab = scene();
    assert_eq!(arping(&lab, DATABASE), Some(gateways_mac(&lab)));
    assert_eq!(arping(&lab, ELSEWHERE), None, "nobody has it");
    let eip = lab.allocate_address("198.51.100.75").unwrap();
    assert!(!answered(&lab, ELSEWHERE), "allocated, and bound to nothing");
    lab.bind(&eip, "private").unwrap();
    assert_eq!(arping(&lab, ELSEWHERE), Some(gateways_mac(&lab)));
    lab.unbind(&eip).unwrap();
    assert!(!answered(&lab, ELSEWHERE), "unbound");
    lab.release(&eip).unwrap();
    assert!(!answered(&lab, ELSEWHERE), "released");
}

#[test]
fn t59_arp_is_answered_while_the_daemon_is_dead() {
    let lab = scene();
    lab.daemon.kill().unwrap();
    assert!(answered(&lab, DATABASE));
    ping(&lab.internet, DATABASE, &[]);
}

fn is_announced(watch: &Watch<'_>, eip: &Eip) {
    let own = (1, eip.address, eip.address);
    let what = format!("an announcement of {}", eip.address);
    watch.arrives(&what, |frame| arp(frame) == Some(own) && frame[..6] == [0xff; 6]).unwrap();
}

#[test]
fn t59_a_bound_address_is_announced() {
    let lab = scene();
    let eip = lab.allocate_address("198.51.100.75").unwrap();
    let watch = lab.at_router.watch();
    lab.settle().unwrap();
    watch
        .nothing("an announcement before it is bound", |frame| arp(frame).is_some_and(|it| it.1 == ELSEWHERE))
        .unwrap();
    lab.bind(&eip, "private").unwrap();
    is_announced(&watch, &eip);
    ping(&lab.internet, ELSEWHERE, &[]);
    // To another instance, at another time: announced again.
    lab.unbind(&eip).unwrap();
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    lab.private_instance("other", A).unwrap();
    let watch = lab.at_router.watch();
    lab.bind(&eip, "other").unwrap();
    is_announced(&watch, &eip);
    ping(&lab.internet, ELSEWHERE, &[]);
}

#[test]
fn t59_routers_with_a_stale_entry_follow_the_announcement() {
    let lab = scene();
    // As if another gateway had had the address before.
    let stale = "neigh replace 198.51.100.75 lladdr 02:00:00:00:00:99 dev gate0 nud stale\n";
    lab.router.ip(stale).unwrap();
    let eip = lab.allocate_address("198.51.100.75").unwrap();
    lab.bind(&eip, "private").unwrap();
    ping(&lab.internet, ELSEWHERE, &[]);
}

/// Waits until the daemon says that the address is somebody else's.
fn is_reported(lab: &Lab) {
    let reported = || {
        let status = lab.daemon.cli(&["status", "-o", "json"]).ok()?;
        status.stdout.contains("198.51.100.75").then_some(status)
    };
    let status = wait::until("the report of a duplicate", SOON, reported).unwrap();
    assert_eq!(status.code(), 6, "{status}");
    let refused = lab.daemon.cli(&["eip", "allocate", "--address", "198.51.100.75"]).unwrap();
    assert_eq!(refused.code(), 4, "{refused}");
}

#[test]
fn a_duplicate_that_is_there_at_the_start_is_reported_and_not_handed_out() {
    let lab = Lab::new().unwrap();
    lab.router.ip("addr add 198.51.100.75/32 dev gate0\n").unwrap();
    lab.daemon.start(Settings::default()).unwrap();
    is_reported(&lab);
    // The rest of the pool is as good as ever.
    crate::scene::populate(&lab);
    ping(&lab.internet, DATABASE, &[]);
}

#[test]
fn a_duplicate_that_announces_itself_later_is_reported() {
    let lab = scene();
    lab.router.ip("addr add 198.51.100.75/32 dev gate0\n").unwrap();
    lab.router.output(&["arping", "-U", "-c", "1", "-w", "1", "-I", "gate0", "198.51.100.75"], SOON).unwrap();
    is_reported(&lab);
}

#[test]
fn probes_and_announcements_show_no_private_address_and_no_third_party() {
    let lab = scene();
    lab.settle().unwrap();
    let ours = |address: Ipv4Addr| address.is_unspecified() || address.octets()[..3] == [198, 51, 100];
    let shown = lab.at_router.from_start().arrived();
    let messages: Vec<_> = shown.iter().filter_map(|frame| arp(frame)).collect();
    assert!(messages.len() > 20, "a pool of 32 addresses has been asked for: {}", messages.len());
    assert!(messages.iter().all(|(_, sender, target)| ours(*sender) && ours(*target)), "{messages:?}");
}

/// When each address was announced, in milliseconds since the first.
fn announced(watch: &Watch<'_>) -> Vec<(u8, Ipv4Addr)> {
    let own = |frame: Vec<u8>| arp(&frame).filter(|(kind, sender, target)| (*kind, sender) == (1, target));
    watch.arrived().into_iter().filter_map(own).map(|(_, sender, _)| (sender.octets()[3], sender)).collect()
}

#[test]
fn announce_tells_the_link_of_bound_addresses_and_of_no_others() {
    let lab = scene();
    lab.settle().unwrap();
    let refused = lab.daemon.cli(&["announce", "198.51.100.75"]).unwrap();
    assert!(refused.code() == 3 && refused.stderr.contains("198.51.100.75 is bound to no instance"), "{refused}");
    // As if another gateway had had the address until now.
    lab.router.ip("neigh replace 198.51.100.70 lladdr 02:00:00:00:00:99 dev gate0 nud stale\n").unwrap();
    let watch = lab.at_router.watch();
    let told = lab.daemon.json(&["announce", "--all", "--rate", "50/s"]).unwrap();
    assert_eq!((&told["announced"], &told["routed"]), (&1.into(), &1.into()), "{told}");
    watch.arrives("the announcement", |frame| arp(frame) == Some((1, DATABASE, DATABASE))).unwrap();
    ping(&lab.internet, DATABASE, &[]);
    assert!(announced(&watch).iter().all(|(_, address)| *address == DATABASE), "{:?}", announced(&watch));
}

#[test]
fn an_import_into_a_pool_on_the_link_announces_at_a_bounded_rate() {
    let lab = Lab::new().unwrap();
    lab.daemon.start(Settings::default()).unwrap();
    lab.settle().unwrap();
    let file = lab.directory.join("pairs.csv");
    let lines: Vec<String> = (70..90).map(|last| format!("198.51.100.{last},10.0.0.{last}")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let watch = lab.at_router.watch();
    let begun = std::time::Instant::now();
    lab.daemon.tell(&["import", &file.display().to_string()]).unwrap();
    let last =
        |frame: &[u8]| arp(frame).is_some_and(|(_, sender, target)| sender == target && sender.octets()[3] == 89);
    watch.arrives("the last announcement", last).unwrap();
    // Twenty at 200 a second, of which a late turn may send two more at once.
    assert!(begun.elapsed().as_millis() >= 80, "{:?}", begun.elapsed());
    let all: std::collections::BTreeSet<u8> = announced(&watch).into_iter().map(|(last, _)| last).collect();
    assert_eq!(all, (70..90).collect());
}
