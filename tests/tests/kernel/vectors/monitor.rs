//! What the monitor tells: every packet as it arrived and as it left, and nothing of it changes what becomes of it.

use lab::frames::{IPV4, Ip, address, payload};
use lab::generate::Generator;
use nat_common::abi::{Event, Settings};
use nat_common::verdict::Verdict;

use super::*;

fn watched(monitor: Settings) -> Gateway {
    let mut gateway = Gateway::new();
    gateway.program.set(Settings {
        monitor_until: u64::MAX,
        monitor_per_second: 1_000_000_000,
        check_handover: 1,
        icmp_errors_per_second: 1_000_000_000,
        icmp_error_burst: 1_000_000_000,
        ..monitor
    });
    gateway
}

fn one(gateway: &mut Gateway) -> Event {
    let events = gateway.program.events();
    let [event] = events[..] else { panic!("one frame, and these events: {events:?}") };
    event
}

#[test]
fn the_monitor_tells_every_packet_as_it_was_and_as_it_is() {
    let mut gateway = watched(Settings::default());
    let mut generator = Generator::new(0x3e);
    for _ in 0..30_000 {
        let (ingress, frame) = generator.next(&gateway.world);
        let outcome = gateway.run(ingress, &frame);
        let event = one(&mut gateway);
        let told = || format!("{event:?}\n{}", explain(&frame));
        assert_eq!((event.verdict, event.ifindex), (outcome.verdict as u32, ingress), "{}", told());
        if event.is_ipv4 == 0 {
            assert_eq!(event.length as usize, frame.len(), "{}", told());
            continue;
        }
        let Some((IPV4, start)) = payload(&frame) else { panic!("{}", told()) };
        let ip = Ip::parse(&frame[start..]).unwrap();
        let addresses = (Ipv4Addr::from(event.source), Ipv4Addr::from(event.destination));
        assert_eq!(addresses, (ip.source(), ip.destination()), "{}", told());
        assert_eq!((event.protocol, event.length as usize), (ip.protocol(), ip.total_length()), "{}", told());
        let translated = matches!(outcome.verdict.action(), Action::Forward)
            || matches!(outcome.verdict, Verdict::HandedNeighbour | Verdict::HandedFragmentation);
        let after = (Ipv4Addr::from(event.source_after), Ipv4Addr::from(event.destination_after));
        let left = if translated {
            let start = payload(&outcome.frame).unwrap().1;
            (address(&outcome.frame, start + 12), address(&outcome.frame, start + 16))
        } else {
            (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
        };
        assert_eq!(after, left, "{}", told());
    }
}

#[test]
fn the_monitor_tells_tags_vpc_and_ports() {
    let mut gateway = watched(Settings::default());
    let path = gateway.outbound(gateway.plain(3, 0), REMOTE);
    gateway.carries(&path, |packet| packet.tcp(40000, 443, b"data"));
    let event = one(&mut gateway);
    assert_eq!((event.outer, event.inner, event.vpc), (200, 300, 3));
    assert_eq!((event.source_port, event.destination_port), (40000_u16.to_be_bytes(), 443_u16.to_be_bytes()));
    assert!(event.time > 0);
    // Inbound, the VPC it is translated for.
    let path = gateway.inbound(&gateway.link(TAGGED_UPLINK, &[300]), REMOTE, gateway.plain(2, 0));
    gateway.carries(&path, |packet| packet.udp(53, 40000, b"data"));
    let event = one(&mut gateway);
    assert_eq!((event.outer, event.inner, event.vpc), (300, 0, 2));
    // A later fragment has no ports.
    gateway.carries(&path, |packet| packet.fragment_offset(9).protocol(17, &[7; 20]));
    let event = one(&mut gateway);
    assert_eq!((event.source_port, event.destination_port), ([0; 2], [0; 2]));
}

#[test]
fn the_monitor_tells_drops_only_or_one_address_only_when_told_so() {
    let mut gateway = watched(Settings { monitor_drops: 1, ..Settings::default() });
    let path = gateway.way_out();
    gateway.carries(&path, |packet| packet.udp(1, 2, b"data"));
    assert_eq!(gateway.program.events(), []);
    gateway.refuses(&path, Verdict::AhUntranslatable, |packet| packet.ah(6, 1, b"data"));
    assert_eq!(one(&mut gateway).verdict, Verdict::AhUntranslatable as u32);

    let (pair, other) = (gateway.plain(1, 0), gateway.plain(2, 0));
    for shown in [pair.private, pair.public] {
        let mut gateway = watched(Settings { monitor_address: shown.octets(), ..Settings::default() });
        gateway.carries(&path, |packet| packet.udp(1, 2, b"data"));
        assert_eq!(one(&mut gateway).verdict, Verdict::Outbound as u32);
        let unrelated = gateway.outbound(other, REMOTE);
        gateway.carries(&unrelated, |packet| packet.udp(1, 2, b"data"));
        assert_eq!(gateway.program.events(), []);
    }
}

#[test]
fn the_monitor_ends_by_itself() {
    let mut gateway = watched(Settings::default());
    gateway.program.set(Settings {
        monitor_until: 1,
        monitor_per_second: 1000,
        check_handover: 1,
        ..Settings::default()
    });
    let path = gateway.way_out();
    gateway.carries(&path, |packet| packet.udp(1, 2, b"data"));
    assert_eq!(gateway.program.events(), []);
}
