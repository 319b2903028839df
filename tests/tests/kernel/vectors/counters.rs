//! What is counted, and for whom.

use nat_common::abi::AddressCounters;
use nat_common::verdict::Verdict;

use super::*;

fn slot(gateway: &Gateway, pair: Pair) -> u32 {
    gateway.world.pairs.iter().position(|other| *other == pair).unwrap() as u32
}

/// T69: bytes of the IP packet, its total length, whatever the frame around it has.
#[test]
fn t69_an_address_is_billed_for_ip_bytes() {
    let mut gateway = Gateway::new();
    let pair = gateway.plain(2, 0);
    let (way_in, way_out) = (gateway.inbound(&gateway.link(UPLINK, &[]), REMOTE, pair), gateway.outbound(pair, REMOTE));
    for (path, length) in [(&way_in, 100), (&way_in, 1), (&way_out, 1000)] {
        let packet = path.arriving().udp(1, 2, &vec![7; length]);
        let frame = path.envelope().ip(&packet).padded().build();
        assert_eq!(gateway.run(path.ingress.ifindex, &frame).verdict, path.verdict);
    }
    let expected = AddressCounters { packets_in: 2, bytes_in: 128 + 29, packets_out: 1, bytes_out: 1028 };
    assert_eq!(gateway.program.counters(slot(&gateway, pair)), expected);
}

#[test]
fn t69_a_hairpin_counts_on_both_sides() {
    let mut gateway = Gateway::new();
    let (from, to) = (gateway.plain(1, 0), gateway.plain(3, 0));
    let path = gateway.hairpin(from, to);
    gateway.carries(&path, |packet| packet.udp(1, 2, &[7; 72]));
    let sent = AddressCounters { packets_out: 1, bytes_out: 100, ..AddressCounters::default() };
    let got = AddressCounters { packets_in: 1, bytes_in: 100, ..AddressCounters::default() };
    assert_eq!(gateway.program.counters(slot(&gateway, from)), sent);
    assert_eq!(gateway.program.counters(slot(&gateway, to)), got);
    let path = gateway.hairpin(from, from);
    gateway.carries(&path, |packet| packet.udp(1, 2, &[7; 72]));
    let both = AddressCounters { packets_in: 1, bytes_in: 100, packets_out: 2, bytes_out: 200 };
    assert_eq!(gateway.program.counters(slot(&gateway, from)), both);
}

#[test]
fn what_is_dropped_or_answered_is_billed_to_nobody() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.refuses(&path, Verdict::SourceRoute, |packet| packet.options(&[131, 4, 4, 0]).udp(1, 2, b"data"));
        gateway.refuses(&path, Verdict::TruncatedTransport, |packet| packet.protocol(6, b"short"));
        let frame = path.arrives(&path.arriving().ttl(1).udp(1, 2, b"data"));
        assert_eq!(gateway.run(path.ingress.ifindex, &frame).verdict, Verdict::TtlExceededReply);
    }
    for slot in 0..gateway.world.pairs.len() as u32 {
        assert_eq!(gateway.program.counters(slot), AddressCounters::default());
    }
}

#[test]
fn verdicts_count_the_bytes_of_the_frame() {
    let mut gateway = Gateway::new();
    let path = gateway.outbound(gateway.plain(3, 0), REMOTE);
    let frame = path.envelope().ip(&path.arriving().udp(1, 2, b"data")).trailer(&[0; 30]).build();
    let before = gateway.program.verdicts()[Verdict::Outbound as usize].bytes;
    gateway.run(path.ingress.ifindex, &frame);
    assert_eq!(gateway.program.verdicts()[Verdict::Outbound as usize].bytes - before, frame.len() as u64);
}
