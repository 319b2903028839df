//! Multi-buffer frames (T57): `data_end` is the end of the first buffer, not of the frame.

use lab::frames::{MORE_FRAGMENTS, word};
use lab::program::LINEAR;
use nat_common::abi::{AddressCounters, Settings};
use nat_common::verdict::Verdict;

use super::*;

/// A gateway whose routes take frames of 9000 bytes.
fn jumbo() -> Gateway {
    let mut world = standard_world();
    for device in &mut world.devices {
        device.mtu = 9000;
    }
    let world = world.index();
    Gateway { program: Program::load(&world), world }
}

#[test]
fn t57_frames_larger_than_a_page_are_translated() {
    let mut gateway = jumbo();
    for path in gateway.ways() {
        for length in [3400, LINEAR - 14 - 28, LINEAR - 14 - 27, 4096, 8900] {
            gateway.carries(&path, |packet| packet.udp(1, 2, &vec![7; length]));
            gateway.carries(&path, |packet| packet.options(&[1; 40]).tcp(1, 2, &vec![7; length]));
            gateway.carries(&path, |packet| packet.dont_fragment().echo(1, 2, &vec![7; length]));
        }
    }
}

/// Linux before 6.3 and some drivers lose such frames behind the verdict.
#[test]
fn t57_a_large_frame_goes_by_the_kernel_where_it_cannot_be_redirected() {
    let mut gateway = jumbo();
    gateway.program.set(Settings { icmp_errors_per_second: 1000, icmp_error_burst: 1000, ..Settings::default() });
    for path in [gateway.way_in(), gateway.way_out()] {
        let build = |packet: Packet, length| packet.ttl(9).udp(1, 2, &vec![7; length]);
        for length in [LINEAR - 14 - 27, 8900] {
            let frame = path.arrives(&build(path.arriving(), length));
            let handed = path.arrives(&build(path.leaving(), length));
            // The reference knows of no such kernels.
            let outcome = gateway.program.run(path.ingress.ifindex, &frame);
            assert_eq!((outcome.verdict, outcome.action), (Verdict::HandedMultiBuffer, XDP_PASS));
            assert!(outcome.frame == handed, "{}", diff(&handed, &outcome.frame));
        }
        gateway.carries(&path, |packet| packet.udp(1, 2, &[7; LINEAR - 14 - 28]));
        let too_big = path.arrives(&path.arriving().dont_fragment().udp(1, 2, &[7; 9000]));
        assert_eq!(gateway.run(path.ingress.ifindex, &too_big).verdict, Verdict::TooBigReply);
    }
}

#[test]
fn t57_all_bytes_of_a_large_frame_are_counted() {
    let mut gateway = jumbo();
    let path = gateway.way_out();
    let frame = path.arrives(&path.arriving().udp(1, 2, &[7; 8000]));
    gateway.run(path.ingress.ifindex, &frame);
    assert_eq!(gateway.program.verdicts()[Verdict::Outbound as usize].bytes, 8042);
    let slot = gateway.world.pairs.iter().position(|pair| pair.public == path.after.0).unwrap();
    let billed = AddressCounters { packets_out: 1, bytes_out: 8028, ..AddressCounters::default() };
    assert_eq!(gateway.program.counters(slot as u32), billed);
    // Dropped and passed ones too, which no table has looked at.
    let frame = Frame::new(SENDER, path.ingress.mac).carry(0x86dd, &[0x60; 8000]).build();
    gateway.passes(path.ingress.ifindex, &frame, Verdict::PassIpv6);
    assert_eq!(gateway.program.verdicts()[Verdict::PassIpv6 as usize].bytes, 8014);
}

#[test]
fn t57_a_large_frame_is_answered_with_a_small_error() {
    let mut gateway = jumbo();
    let path = gateway.way_in();
    let packet = path.arriving().ttl(1).udp(1, 2, &[7; 8000]);
    let own = path.ingress.address.unwrap();
    let error = Packet::new(own, REMOTE).tos(0xc0).id(0).icmp_error(11, 0, [0; 4], &packet.build(), 548);
    let reply = Frame::new(path.ingress.mac, SENDER).ip(&error).build();
    gateway.expect(path.ingress.ifindex, &path.arrives(&packet), Verdict::TtlExceededReply, &reply);
}

#[test]
fn t57_an_unfinished_checksum_is_told_from_a_right_one_across_buffers() {
    let mut gateway = jumbo();
    for path in gateway.ways() {
        gateway
            .refuses(&path, Verdict::UnfinishedChecksum, |packet| packet.udp(1, 2, &[7; 7777]).unfinished_checksum());
    }
}

fn splits(gateway: &mut Gateway) -> bool {
    let possible = gateway.program.can_split();
    if !possible {
        println!("this kernel does not let a test split a small frame: the boundary is not swept");
    }
    possible
}

#[test]
fn t57_the_first_buffer_may_end_anywhere_behind_the_headers() {
    let mut gateway = jumbo();
    if !splits(&mut gateway) {
        return;
    }
    let mut paths = gateway.ways().to_vec();
    paths.push(gateway.hairpin(gateway.plain(3, 0), gateway.plain(2, 0)));
    for path in paths {
        let quoted = |source, destination| Packet::new(source, destination).tcp(1, 2, b"lost").build();
        let before = quoted(path.before.1, path.before.0);
        let after = quoted(path.after.1, path.after.0);
        let pairs = [
            (path.arriving().tcp(1, 2, &[7; 30]), path.leaving().tcp(1, 2, &[7; 30])),
            (path.arriving().options(&[1; 40]).udp(1, 2, b"data"), path.leaving().options(&[1; 40]).udp(1, 2, b"data")),
            (
                path.arriving().icmp_error(3, 1, [0; 4], &before, 548),
                path.leaving().icmp_error(3, 1, [0; 4], &after, 548),
            ),
        ];
        let network = 14 + 4 * path.ingress.tags.len();
        for (arriving, leaving) in pairs {
            let (frame, expected) = (path.arrives(&arriving), path.leaves(&leaving));
            for linear in 14..=frame.len() {
                let outcome = gateway.program.run_split(path.ingress.ifindex, &frame, linear);
                if linear < network + 20 {
                    assert_eq!(outcome.verdict, Verdict::HeadersNotLinear, "{linear}");
                } else {
                    assert_eq!(outcome.verdict, path.verdict, "{linear}\n{}", explain(&frame));
                    assert_eq!(diff(&expected, &outcome.frame), "", "{linear}");
                }
            }
        }
    }
}

#[test]
fn t57_malformed_is_malformed_wherever_the_first_buffer_ends() {
    let mut gateway = jumbo();
    if !splits(&mut gateway) {
        return;
    }
    let path = gateway.way_in();
    let cases = [
        (path.arriving().udp(1, 2, &[7; 40]).total_length(69), Verdict::MalformedIp),
        (path.arriving().options(&[131, 7, 4, 9, 9, 9, 9]).udp(1, 2, b"data"), Verdict::SourceRoute),
        (path.arriving().options(&[1, 1, 1, 7]).udp(1, 2, b"data"), Verdict::MalformedOptions),
        (path.arriving().options(&[1; 40]).udp(1, 2, b"data").header_checksum(1), Verdict::BadIpChecksum),
        (path.arriving().tcp(1, 2, &[7; 30]).unfinished_checksum(), Verdict::UnfinishedChecksum),
    ];
    for (packet, verdict) in cases {
        let frame = path.arrives(&packet);
        for linear in 34..=frame.len() {
            assert_eq!(gateway.program.run_split(path.ingress.ifindex, &frame, linear).verdict, verdict, "{linear}");
        }
    }
}

/// A frame of several buffers as a router's fragments would be: the first one of a datagram, larger than a page.
#[test]
fn t57_a_large_first_fragment_keeps_its_flag() {
    let mut gateway = jumbo();
    let path = gateway.way_in();
    gateway.carries(&path, |packet| packet.more_fragments().udp(1, 2, &[7; 8000]));
    let frame = path.arrives(&path.arriving().more_fragments().udp(1, 2, &[7; 8000]));
    let left = gateway.run(path.ingress.ifindex, &frame).frame;
    assert_eq!(word(&left, 14 + 6) & MORE_FRAGMENTS, MORE_FRAGMENTS);
}
