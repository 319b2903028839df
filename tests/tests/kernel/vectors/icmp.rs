//! ICMP errors and other ICMP that crosses the gateway.

use lab::frames::{verify_checksums, word};
use nat_common::verdict::Verdict;

use super::*;

/// The ICMP errors by type and code, with an MTU or a pointer where they have one.
const ERRORS: [(u8, u8, [u8; 4]); 6] =
    [(3, 3, [0; 4]), (3, 4, [0, 0, 5, 0x78]), (4, 0, [0; 4]), (11, 0, [0; 4]), (11, 1, [0; 4]), (12, 0, [20, 0, 0, 0])];

#[test]
fn t15_inbound_icmp_error_is_translated_inside_and_out() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    for (kind, code, rest) in ERRORS {
        gateway.carries_error(
            &path,
            |packet| packet.tcp(1, 2, b"lost on its way"),
            |packet, quoted| packet.icmp_error(kind, code, rest, quoted, 28),
        );
    }
}

#[test]
fn t15_an_error_from_a_router_on_the_way_keeps_the_routers_address() {
    let mut gateway = Gateway::new();
    let pair = gateway.plain(1, 0);
    let router = Ipv4Addr::new(9, 9, 9, 31);
    let path = gateway.inbound(&gateway.link(UPLINK, &[]), router, pair);
    let lost = |source| Packet::new(source, REMOTE).ttl(1).udp(5000, 53, b"query").build();
    let arriving = path.arriving().icmp_error(11, 0, [0; 4], &lost(pair.public), 28);
    let leaving = path.leaving().icmp_error(11, 0, [0; 4], &lost(pair.private), 28);
    gateway.expect(path.ingress.ifindex, &path.arrives(&arriving), Verdict::Inbound, &path.leaves(&leaving));
}

#[test]
fn t16_outbound_icmp_error_shows_the_public_address_inside_and_out() {
    let mut gateway = Gateway::new();
    let path = gateway.way_out();
    for (kind, code, rest) in ERRORS {
        gateway.carries_error(
            &path,
            |packet| packet.udp(53, 5000, b"nobody listens"),
            |packet, quoted| packet.icmp_error(kind, code, rest, quoted, 548),
        );
    }
}

#[test]
fn a_hairpinned_icmp_error_is_translated_four_times() {
    let mut gateway = Gateway::new();
    let path = gateway.hairpin(gateway.plain(1, 0), gateway.plain(3, 0));
    for (kind, code, rest) in ERRORS {
        gateway.carries_error(
            &path,
            |packet| packet.udp(53, 5000, b"nobody listens"),
            |packet, quoted| packet.icmp_error(kind, code, rest, quoted, 548),
        );
    }
}

/// RFC 5508 REQ-5c: what an unbound router of the VPC says about an instance's packet comes from the instance.
#[test]
fn t17_an_error_from_a_router_inside_the_vpc_never_shows_the_router() {
    let mut gateway = Gateway::new();
    let pair = gateway.plain(1, 0);
    let path = gateway.way_out();
    let lost = |destination| Packet::new(REMOTE, destination).udp(53, 5000, b"answer").build();
    let leaving = path.leaves(&path.leaving().icmp_error(3, 1, [0; 4], &lost(pair.public), 28));
    // One that no instance is, and an instance without a public address.
    for router in [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 1, 0, 200)] {
        let arriving = Packet::new(router, REMOTE).icmp_error(3, 1, [0; 4], &lost(pair.private), 28);
        gateway.expect(path.ingress.ifindex, &path.arrives(&arriving), Verdict::Outbound, &leaving);
    }
    // Anything else of theirs, and an error about nobody's packet, stays inside.
    let stranger = Packet::new(Ipv4Addr::new(10, 77, 0, 1), REMOTE);
    gateway.drops(path.ingress.ifindex, &path.arrives(&stranger.clone().echo(1, 2, b"")), Verdict::UnknownSource);
    let error = stranger.icmp_error(3, 1, [0; 4], &lost(Ipv4Addr::new(10, 77, 0, 9)), 28);
    gateway.drops(path.ingress.ifindex, &path.arrives(&error), Verdict::UnknownSource);
}

#[test]
fn t18_a_quotation_may_be_cut_anywhere_behind_its_header() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for keep in 20..=40 {
            // At 37 bytes the quotation ends inside the TCP checksum, which nobody can correct then.
            if keep != 37 {
                gateway.carries_error(
                    &path,
                    |packet| packet.tcp(1, 2, b""),
                    |packet, quoted| packet.icmp_error(3, 4, [0, 0, 5, 0x78], quoted, keep),
                );
            }
            gateway.carries_error(
                &path,
                |packet| packet.udp(1, 2, b"a payload of twenty b"),
                |packet, quoted| packet.icmp_error(3, 3, [0; 4], quoted, if keep == 27 { 28 } else { keep }),
            );
        }
    }
}

#[test]
fn t18_a_quoted_checksum_cut_in_half_stays_as_it_is() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    let (public, private) = (path.before.1, path.after.1);
    let quoted = |source| Packet::new(source, REMOTE).tcp(1, 2, b"").build();
    let mut inside = quoted(private);
    inside[36..38].copy_from_slice(&quoted(public)[36..38]);
    let arriving = path.arriving().icmp_error(3, 1, [0; 4], &quoted(public), 37);
    let leaving = path.leaving().icmp_error(3, 1, [0; 4], &inside, 37);
    gateway.expect(path.ingress.ifindex, &path.arrives(&arriving), Verdict::Inbound, &path.leaves(&leaving));
}

#[test]
fn t18_a_quotation_without_its_whole_header_is_malformed() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for keep in 0..20 {
            gateway.refuses(&path, Verdict::MalformedQuotation, |packet| {
                let quoted = Packet::new(path.before.1, path.before.0).tcp(1, 2, b"").build();
                packet.icmp_error(3, 1, [0; 4], &quoted, keep)
            });
        }
    }
}

/// RFC 4884: a length in the header, padding, and an extension behind the quotation, here an MPLS label.
#[test]
fn an_extension_behind_the_quotation_stays_intact() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.carries_error(
            &path,
            |packet| packet.udp(33434, 33435, b"traceroute"),
            |packet, quoted| packet.icmp_error(11, 0, [0; 4], quoted, 128).extension(&[0, 8, 1, 1, 0, 1, 0x2f, 0xff]),
        );
    }
}

/// Routers zero or garble the header checksum of what they quote; the outer one follows what is written, not what
/// should have been there.
#[test]
fn t19_the_icmp_checksum_follows_whatever_header_checksum_was_quoted() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for checksum in [0, 1, 0x1234, 0xffff] {
            let frame = path.arrives(&path.arriving().icmp_error(
                11,
                0,
                [0; 4],
                &Packet::new(path.before.1, path.before.0).header_checksum(checksum).udp(1, 2, b"data").build(),
                548,
            ));
            let left = gateway.run(path.ingress.ifindex, &frame);
            assert_eq!(left.verdict, path.verdict);
            let icmp = &left.frame[left.frame.len() - (frame.len() - 34)..];
            assert_eq!(lab::frames::sum(icmp), 0xffff, "{}", explain(&left.frame));
        }
    }
}

#[test]
fn t20_a_quoted_udp_checksum_of_zero_stays_zero() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for keep in [28, 30, 548] {
            gateway.carries_error(
                &path,
                |packet| packet.udp_without_checksum(1, 2, b"data"),
                |packet, quoted| packet.icmp_error(3, 3, [0; 4], quoted, keep),
            );
        }
    }
}

#[test]
fn t20_a_quoted_udp_checksum_that_comes_out_as_zero_is_ffff() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let lost = Packet::new(path.after.1, path.after.0);
        let port = word(&lost.clone().udp(0, 2, b"data").build(), 26);
        assert_eq!(word(&lost.udp(port, 2, b"data").build(), 26), 0xffff);
        gateway.carries_error(
            &path,
            |packet| packet.udp(port, 2, b"data"),
            |packet, quoted| packet.icmp_error(3, 3, [0; 4], quoted, 548),
        );
    }
}

#[test]
fn t21_a_quoted_later_fragment_has_no_transport_header() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for offset in [1, 2, 185, 0x1fff] {
            gateway.carries_error(
                &path,
                |packet| packet.protocol(6, &[0x5a; 40]).fragment_offset(offset),
                |packet, quoted| packet.icmp_error(11, 1, [0; 4], quoted, 548),
            );
        }
        // The first one has.
        gateway.carries_error(
            &path,
            |packet| packet.udp(1, 2, b"the first of two").more_fragments(),
            |packet, quoted| packet.icmp_error(11, 1, [0; 4], quoted, 548),
        );
    }
}

#[test]
fn t22_a_quoted_header_may_have_options() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for length in (4..=40).step_by(4) {
            gateway.carries_error(
                &path,
                |packet| packet.options(&vec![1; length]).tcp(1, 2, b"data"),
                |packet, quoted| packet.icmp_error(3, 1, [0; 4], quoted, 548),
            );
            // And be quoted without what follows it.
            gateway.carries_error(
                &path,
                |packet| packet.options(&vec![1; length]).tcp(1, 2, b"data"),
                |packet, quoted| packet.icmp_error(3, 1, [0; 4], quoted, 20 + length),
            );
        }
    }
}

#[test]
fn t23_a_quotation_that_is_no_ipv4_header_is_malformed() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        // Version 6, version 0, a header of 16 bytes, a header longer than the quotation.
        for first in [0x65, 0x05, 0x44, 0x4f] {
            gateway.refuses(&path, Verdict::MalformedQuotation, |packet| {
                let mut quoted = Packet::new(path.before.1, path.before.0).udp(1, 2, b"data").build();
                quoted[0] = first;
                packet.icmp_error(3, 1, [0; 4], &quoted, 548)
            });
        }
    }
}

#[test]
fn t24_redirect_and_router_discovery_stay_on_their_own_link() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let quoted = Packet::new(path.before.1, path.before.0).udp(1, 2, b"data").build();
        gateway.refuses(&path, Verdict::IcmpRedirect, |packet| packet.icmp_error(5, 1, [10, 0, 0, 1], &quoted, 28));
        gateway.refuses(&path, Verdict::IcmpRouterDiscovery, |packet| packet.icmp(9, 0, [1, 2, 0, 30], &[0; 8]));
        gateway.refuses(&path, Verdict::IcmpRouterDiscovery, |packet| packet.icmp(10, 0, [0; 4], &[]));
    }
}

#[test]
fn t24_source_quench_timestamp_and_address_mask_cross() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.carries_error(
            &path,
            |packet| packet.udp(1, 2, b"too fast"),
            |packet, quoted| packet.icmp_error(4, 0, [0; 4], quoted, 28),
        );
        gateway.carries(&path, |packet| packet.timestamp(1, 2));
        for kind in [0, 8, 13, 14, 15, 16, 17, 18, 30, 42, 43, 255] {
            gateway.carries(&path, |packet| packet.icmp(kind, 0, [0, 1, 0, 2], b"data"));
        }
    }
}

/// RFC 5508 REQ-4 and REQ-5: an error must be about a packet its receiver can have sent.
#[test]
fn an_error_about_a_packet_nobody_sent_is_dropped() {
    let mut gateway = Gateway::new();
    let (pair, other) = (gateway.plain(1, 0), gateway.plain(2, 0));
    let from_outside = gateway.way_in();
    for quoted_source in [other.public, pair.private, REMOTE] {
        let quoted = Packet::new(quoted_source, REMOTE).udp(1, 2, b"data").build();
        gateway
            .refuses(&from_outside, Verdict::QuotationMismatch, |packet| packet.icmp_error(3, 3, [0; 4], &quoted, 28));
    }
    // From inside, the packet must have gone to a bound instance of the same VPC.
    let from_inside = gateway.way_out();
    for quoted_destination in [other.private, pair.public, Ipv4Addr::new(10, 1, 0, 200), Ipv4Addr::new(10, 77, 0, 1)] {
        let quoted = Packet::new(REMOTE, quoted_destination).udp(1, 2, b"data").build();
        gateway
            .refuses(&from_inside, Verdict::QuotationMismatch, |packet| packet.icmp_error(3, 3, [0; 4], &quoted, 28));
    }
}

#[test]
fn t25_an_error_for_an_unbound_address_is_dropped_and_billed_to_nobody() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    let unbound = Ipv4Addr::new(198, 51, 100, 253);
    let quoted = Packet::new(unbound, REMOTE).udp(1, 2, b"data").build();
    let frame = path.arrives(&Packet::new(REMOTE, unbound).icmp_error(3, 3, [0; 4], &quoted, 28));
    gateway.drops(path.ingress.ifindex, &frame, Verdict::UnboundAddress);
    // Nor is one that quotes another tenant's packet billed to either of them.
    let quoted = Packet::new(gateway.plain(2, 0).public, REMOTE).udp(1, 2, b"data").build();
    gateway.refuses(&path, Verdict::QuotationMismatch, |packet| packet.icmp_error(3, 3, [0; 4], &quoted, 28));
    for slot in 0..gateway.world.pairs.len() as u32 {
        assert_eq!(gateway.program.counters(slot), Default::default());
    }
    assert_eq!(gateway.program.refused_errors(), 0);
}

#[test]
fn t27_an_error_about_an_error_is_dropped() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let lost = Packet::new(path.before.0, path.before.1).udp(1, 2, b"data").build();
        for kind in [3, 4, 5, 11, 12] {
            let error = Packet::new(path.before.1, path.before.0).icmp_error(kind, 0, [0; 4], &lost, 28);
            for keep in [21, 28, 548] {
                gateway.refuses(&path, Verdict::NestedIcmpError, |packet| {
                    packet.icmp_error(3, 1, [0; 4], &error.build(), keep)
                });
            }
        }
        // About a question it is an ordinary error, and so it is where the type is not quoted or is no type at all.
        gateway.carries_error(
            &path,
            |packet| packet.echo(1, 2, b"ping"),
            |packet, quoted| packet.icmp_error(3, 1, [0; 4], quoted, 28),
        );
        gateway.carries_error(
            &path,
            |packet| packet.icmp(3, 0, [0; 4], b""),
            |packet, quoted| packet.icmp_error(3, 1, [0; 4], quoted, 20),
        );
        gateway.carries_error(
            &path,
            |packet| packet.protocol(1, &[3; 30]).fragment_offset(3),
            |packet, quoted| packet.icmp_error(3, 1, [0; 4], quoted, 548),
        );
    }
}

#[test]
fn quoted_protocols_without_a_pseudo_header_keep_their_bytes() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        let builds: [&dyn Fn(Packet) -> Packet; 6] = [
            &|packet| packet.sctp(1, 2, b"data"),
            &|packet| packet.echo(1, 2, b"data"),
            &|packet| packet.gre(0x0800, b"data"),
            &|packet| packet.esp(1, 2, b"data"),
            &|packet| packet.udp_lite(1, 2, 8, b"data"),
            &|packet| packet.dccp(1, 2, b"data"),
        ];
        for build in builds {
            for keep in [28, 548] {
                gateway.carries_error(&path, build, |packet, quoted| packet.icmp_error(3, 2, [0; 4], quoted, keep));
            }
        }
    }
}

#[test]
fn a_wrong_icmp_checksum_stays_wrong() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        gateway.carries_error(
            &path,
            |packet| packet.udp(1, 2, b"data"),
            |packet, quoted| packet.icmp_error(3, 3, [0; 4], quoted, 28).wrong_checksum(5),
        );
        let quoted = Packet::new(path.before.1, path.before.0).udp(1, 2, b"data").build();
        let frame = path.arrives(&path.arriving().icmp_error(3, 3, [0; 4], &quoted, 28).wrong_checksum(5));
        assert!(verify_checksums(&gateway.run(path.ingress.ifindex, &frame).frame).is_err());
    }
}
