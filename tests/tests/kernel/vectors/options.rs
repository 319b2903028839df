//! IPv4 options (RFC 7126).

use nat_common::verdict::Verdict;

use super::*;

#[test]
fn t14_router_alert_record_route_and_timestamp_pass_unchanged() {
    let mut gateway = Gateway::new();
    let options: [&[u8]; 5] = [
        &[148, 4, 0, 0],
        &[7, 7, 4, 0, 0, 0, 0],
        &[7, 39, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        &[68, 8, 5, 0, 1, 2, 3, 4],
        &[1, 1, 1, 94, 6, 1, 2, 3, 4],
    ];
    for path in gateway.ways() {
        for options in options {
            let mut options = options.to_vec();
            if options[1] == 39 {
                options.resize(39, 0);
            }
            gateway.carries(&path, |packet| packet.options(&options).tcp(1, 2, b"data"));
        }
    }
}

#[test]
fn source_routes_are_dropped() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for kind in [131, 137] {
            let route = [kind, 7, 4, 9, 9, 9, 9];
            gateway.refuses(&path, Verdict::SourceRoute, |packet| packet.options(&route).udp(1, 2, b"data"));
            let behind = [&[1, 148, 4, 0, 0][..], &route].concat();
            gateway.refuses(&path, Verdict::SourceRoute, |packet| packet.options(&behind).udp(1, 2, b"data"));
            // Behind the end of the list there are no options.
            let after_end = [&[0][..], &route].concat();
            gateway.carries(&path, |packet| packet.options(&after_end).udp(1, 2, b"data"));
        }
    }
}

#[test]
fn options_that_do_not_parse_are_dropped() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        // A length of 0 or 1, one past the end, and a kind at the very end that wants a length.
        for options in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [131, 5, 4, 0], [1, 1, 1, 7]] {
            gateway.refuses(&path, Verdict::MalformedOptions, |packet| packet.options(&options).udp(1, 2, b"data"));
        }
    }
}

#[test]
fn the_longest_list_of_options_is_read_to_its_end() {
    let mut gateway = Gateway::new();
    let path = gateway.way_in();
    for place in 0..40 {
        let mut options = [1; 40];
        options[place] = 131;
        // A length of 1, or none: malformed wherever it stands.
        gateway.refuses(&path, Verdict::MalformedOptions, |packet| packet.options(&options).udp(1, 2, b"data"));
        if place + 3 <= 40 {
            options[place..place + 3].copy_from_slice(&[131, 3, 4]);
            gateway.refuses(&path, Verdict::SourceRoute, |packet| packet.options(&options).udp(1, 2, b"data"));
        }
    }
}

#[test]
fn a_wrong_header_checksum_is_dropped_with_options_and_without() {
    let mut gateway = Gateway::new();
    for path in gateway.ways() {
        for options in [&[][..], &[1; 4], &[1; 40]] {
            for checksum in [0, 0xffff, 0x1234] {
                gateway.refuses(&path, Verdict::BadIpChecksum, |packet| {
                    packet.options(options).udp(1, 2, b"data").header_checksum(checksum)
                });
            }
        }
    }
}
