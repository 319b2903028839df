//! Tests of the crate as a whole: the layout (invariant 8), freedom from panics (invariant 7), and rewriting held
//! against another project's packet crate.

use etherparse::{Ipv4Header, PacketBuilder};
use network_types::ip::Ipv4Hdr;
use proptest::prelude::*;

use crate::abi::{self, ABI_VERSION, Bucket};
use crate::checksum::Delta;
use crate::icmp::{self, Error, ErrorKind};
use crate::ipv4::{self, Rewrite};
use crate::pairs;
use crate::police::{self, Rate};
use crate::transport;
use crate::verdict::Verdict;
use crate::wire;

/// Sizes, offsets and the order of verdicts for layout version 2. A change here needs another `ABI_VERSION`.
const LAYOUT_2: &str = "\
PrivateKey 8: vpc 0, address 4
Sparse 16: tag 0, cell 8
PageSlot 16: key 0, page 8
AddressCounters 32: packets_in 0, bytes_in 8, packets_out 16, bytes_out 24
VerdictCounter 16: packets 0, bytes 8
LinkKey 8: ifindex 0, outer 4, inner 6
Link 24: side 0, vpc 4, fib_ifindex 8, address 12, mac 16, flags 22
LinkSlot 32: key 0, link 8
Hop 32: state 0, vpc 4, ifindex 8, mtu 12, outer 16, inner 18, macs 20
EgressKey 8: fib_ifindex 0, vpc 4
Egress 8: ifindex 0, outer 4, inner 6
Vpc 40: fib_ifindex 0, name_length 4, name 8
ConnectedKey 8: vpc 0, address 4
NextHopKey 8: fib_ifindex 0, address 4
Settings 56: monitor_until 0, monitor_address 8, monitor_drops 12, check_handover 16, icmp_errors_per_second 20, icmp_error_burst 24, monitor_per_second 28, handover_mac 32, reserved 38, max_pairs 40, max_instances 44, counters_per_cpu 48, redirects_multi_buffer 52
Bucket 16: next 0, refused 8
Event 56: time 0, ifindex 8, verdict 12, vpc 16, length 20, source 24, destination 28, source_after 32, destination_after 36, source_port 40, destination_port 42, protocol 44, is_ipv4 45, outer 46, inner 48, reserved 50
";

/// Names of the verdicts in the order of their counters, for layout version 2.
const VERDICTS_2: &str = "inbound outbound hairpin arp-reply ttl-exceeded-reply too-big-reply host-unreachable-reply \
net-unreachable-reply pass-own-address pass-ipv6 pass-not-ip pass-arp pass-link-multicast pass-broadcast \
pass-other-mac handed-neighbour handed-fragmentation handed-multi-buffer malformed-ethernet unknown-link \
group-mac-unicast malformed-ip bad-ip-checksum malformed-options source-route martian-source spoofed-source multicast-destination \
martian-destination not-ours unbound-address unknown-source no-public-address private-destination ah-untranslatable \
tiny-fragment truncated-transport unfinished-checksum malformed-quotation icmp-redirect icmp-router-discovery \
nested-icmp-error quotation-mismatch ttl-exceeded-silent too-big-silent unreachable-silent icmp-rate-limited \
route-blackhole route-prohibit forwarding-disabled tunnel-route route-error wrong-egress kernel-route-differs \
headers-not-linear frame-resize-failed internal-error unknown-vpc";

#[test]
fn invariant_8_layout_changes_only_with_abi_version() {
    let mut layout = String::new();
    for (name, size, fields) in abi::layout() {
        let fields: Vec<String> = fields.iter().map(|(field, offset)| format!("{field} {offset}")).collect();
        layout += &format!("{name} {size}: {}\n", fields.join(", "));
    }
    let verdicts: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    assert_eq!(ABI_VERSION, 2, "another version needs another snapshot here");
    assert_eq!(layout, LAYOUT_2, "the layout changed without ABI_VERSION");
    assert_eq!(verdicts.join(" "), VERDICTS_2, "the order of the counters changed without ABI_VERSION");
}

fn header(bytes: [u8; 20]) -> Ipv4Hdr {
    ipv4::from_bytes(bytes)
}

proptest! {
    #[test]
    fn invariant_7_nothing_panics_on_any_input(
        bytes in any::<[u8; 20]>(), other in any::<[u8; 20]>(), a in any::<[u8; 4]>(), b in any::<[u8; 4]>(),
        check in any::<[u8; 2]>(), length in any::<usize>(), number in any::<u64>(), small in any::<u8>(),
    ) {
        let mut ip = header(bytes);
        let _ = ipv4::check_header(&ip, length);
        let _ = (ipv4::header_sum(&ip), ipv4::fragment_offset(&ip), ipv4::more_fragments(&ip), ipv4::dont_fragment(&ip));
        let _ = (ipv4::destination(a), ipv4::is_private(a), ipv4::is_martian_source(a));
        let _ = ipv4::option(small, bytes[0], length);
        let _ = icmp::quoted_header_length(&ip, length);
        let _ = icmp::quoted_checksum(&ip, length % 61, length);
        let _ = icmp::translate_quoted(&mut ip, Rewrite { source: a, destination: b });
        let _ = icmp::may_answer(&ip, small);
        for kind in [ErrorKind::TtlExceeded, ErrorKind::TooBig, ErrorKind::HostUnreachable, ErrorKind::NetUnreachable] {
            let _ = icmp::error_header(Error { kind, mtu: length as u16 }, number as u16 as u32);
        }
        let _ = icmp::error_ip_header(a, b, length % (icmp::MAX_QUOTATION + 1));
        ipv4::rewrite(&mut ip, Rewrite { source: a, destination: b });
        ipv4::decrement_ttl(&mut [small, bytes[9]], &mut check.clone());
        let mut field = check;
        if let Some(checksum) = transport::checksum_of(small) {
            checksum.update(&mut field, Delta::of_address(a, b));
        }
        let _ = transport::looks_unfinished(check, transport::pseudo_header_sum(a, b, small, length as u16));
        let mut bucket = Bucket { next: number, refused: number };
        police::admit(&mut bucket, Rate::per_second(length as u32, number as u32), number.rotate_left(7));
        let mut arp = network_types::arp::ArpHdr::default();
        arp.sha.copy_from_slice(&other[..6]);
        let _ = wire::is_arp_request(&arp);
        wire::answer_arp(&mut arp, [small; 6]);
        let _ = Verdict::from_index(number as u32).map(|verdict| verdict.action());
        let _ = (abi::mark(a), abi::link_slot(&abi::LinkKey { ifindex: number as u32, outer: length as u16, inner: 7 }));
        let bits = pairs::slot_bits(number as u32);
        let _ = (pairs::hop_capacity(length as u32), pairs::Inbound::unpack(number, length as u32).pack(bits));
        let _ = (pairs::Outbound::unpack(number).pack(), pairs::Page(number).number(length as u32, a), pairs::tag(7, b));
        let _ = pairs::page_slot(length as u32, b);
        let _ = abi::vpc_number(&String::from_utf8_lossy(&other));
    }

    #[test]
    fn a_rewritten_udp_packet_equals_one_built_with_the_new_addresses(
        source in any::<[u8; 4]>(), destination in any::<[u8; 4]>(), new in any::<[u8; 4]>(), ttl in 2u8..,
        ports in any::<(u16, u16)>(), payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let build = |source, destination, ttl| {
            let builder = PacketBuilder::ipv4(source, destination, ttl).udp(ports.0, ports.1);
            let mut packet = Vec::new();
            builder.write(&mut packet, &payload).unwrap();
            packet
        };
        let packet = build(source, destination, ttl);
        let mut ip = header(packet[..20].try_into().unwrap());
        let delta = ipv4::rewrite(&mut ip, Rewrite { source, destination: new });
        let mut word = [ip.ttl, ip.proto];
        ipv4::decrement_ttl(&mut word, &mut ip.check);
        ip.ttl = word[0];
        let mut check = [packet[26], packet[27]];
        transport::checksum_of(17).unwrap().update(&mut check, delta);
        let mut rewritten = packet.clone();
        rewritten[..20].copy_from_slice(&ipv4::to_bytes(&ip));
        rewritten[26..28].copy_from_slice(&check);
        prop_assert_eq!(rewritten, build(source, new, ttl - 1));
    }

    #[test]
    fn inbound_after_outbound_restores_the_header(
        private in any::<[u8; 4]>(), public in any::<[u8; 4]>(), remote in any::<[u8; 4]>(), ttl in 3u8..,
    ) {
        let original = Ipv4Header::new(100, ttl, etherparse::IpNumber::TCP, private, remote).unwrap().to_bytes();
        let mut ip = header(original[..20].try_into().unwrap());
        ipv4::rewrite(&mut ip, Rewrite { source: public, destination: remote });
        ipv4::rewrite(&mut ip, Rewrite { source: private, destination: remote });
        prop_assert_eq!(ipv4::to_bytes(&ip).to_vec(), original.to_vec());
    }

    #[test]
    fn the_gateways_own_errors_are_complete(source in any::<[u8; 4]>(), to in any::<[u8; 4]>(), quotation in 28usize..=548) {
        let ip = icmp::error_ip_header(source, to, quotation);
        let parsed = Ipv4Header::from_slice(&ipv4::to_bytes(&ip)).unwrap().0;
        prop_assert_eq!(parsed.header_checksum, parsed.calc_header_checksum());
        prop_assert_eq!(usize::from(parsed.total_len), 28 + quotation);
        prop_assert!(usize::from(parsed.total_len) <= icmp::MAX_ERROR);
    }
}

#[test]
fn the_list_of_martians_is_what_the_function_says() {
    let listed = |address: u32| {
        ipv4::MARTIANS.iter().any(|(range, length)| (address ^ u32::from_be_bytes(*range)) >> (32 - length) == 0)
    };
    for network in 0..1u32 << 24 {
        for last in [0, 255] {
            let address = network << 8 | last;
            assert_eq!(listed(address), ipv4::is_martian_source(address.to_be_bytes()), "{address:x}");
        }
    }
    // And no destination the long way would refuse is unlisted.
    for first in 0..=255 {
        let address = [first, 255, 255, 255];
        let refused = ipv4::destination(address) != ipv4::Destination::Unicast || ipv4::is_private(address);
        assert!(!refused || listed(u32::from_be_bytes(address)), "{first}");
    }
}

#[test]
fn every_network_has_a_mark_of_its_own() {
    assert_eq!(abi::mark([0, 0, 0, 9]), (0, 1));
    assert_eq!(abi::mark([0, 0, 63, 0]), (0, 1 << 63));
    assert_eq!(abi::mark([0, 0, 64, 255]), (1, 1));
    assert_eq!(abi::mark([255, 255, 255, 255]), (abi::MARK_WORDS - 1, 1 << 63));
}

#[test]
fn vpc_numbers_follow_from_the_name_alone() {
    assert_eq!(abi::vpc_number("vpc-default"), abi::vpc_number("vpc-default"));
    assert_ne!(abi::vpc_number("vpc-a"), abi::vpc_number("vpc-b"));
    assert_ne!(abi::vpc_number(""), 0);
}

#[test]
fn source_routes_are_found_and_harmless_options_skipped() {
    use ipv4::OptionStep::{End, Malformed, Skip, SourceRoute};
    assert_eq!(ipv4::option(0, 9, 1), End);
    assert_eq!(ipv4::option(1, 0, 1), Skip(1));
    assert_eq!(ipv4::option(7, 11, 40), Skip(11), "record route");
    assert_eq!(ipv4::option(68, 40, 40), Skip(40), "timestamp");
    assert_eq!(ipv4::option(131, 3, 4), SourceRoute);
    assert_eq!(ipv4::option(137, 4, 4), SourceRoute);
    assert_eq!(ipv4::option(131, 5, 4), Malformed, "longer than the header");
    assert_eq!(ipv4::option(7, 1, 4), Malformed);
    assert_eq!(ipv4::option(7, 2, 1), Malformed);
}
