//! What must never be seen: private addresses outside, wrong checksums anywhere.

use std::fmt;
use std::net::Ipv4Addr;

use super::wire::{Direction, Seen};
use crate::frames::{Where, explain, ipv4_addresses, verify_checksums};

/// What a capture looks for in the frames that arrive at its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchfulness {
    /// No private address may be shown: the interface is on the Internet's side.
    pub addresses: bool,
    /// Every checksum must be right: the interface is where packets end.
    pub checksums: bool,
}

/// A frame that should not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leak {
    PrivateAddress { place: String, at: Where, address: Ipv4Addr, frame: Vec<u8> },
    WrongChecksum { place: String, error: String, frame: Vec<u8> },
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = match self {
            Self::PrivateAddress { place, at, address, frame } => {
                writeln!(f, "{place} was shown the private address {address} ({at:?}) in")?;
                frame
            }
            Self::WrongChecksum { place, error, frame } => {
                writeln!(f, "{place} received a wrong checksum: {error}, in")?;
                frame
            }
        };
        write!(f, "{}", explain(frame))
    }
}

/// Whether an address has no business on the Internet: RFC 1918 and RFC 6598.
pub fn is_private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || (a == 100 && (64..128).contains(&b))
}

/// What is wrong with a frame at a place.
pub fn judge(place: &str, watchfulness: Watchfulness, seen: &Seen) -> Vec<Leak> {
    let mut leaks = Vec::new();
    if seen.direction == Direction::Out {
        return leaks;
    }
    if watchfulness.addresses {
        // What an instance carries inside IP in IP is its own affair; the gateway does not translate it.
        let shown = ipv4_addresses(&seen.frame).into_iter().filter(|(at, address)| {
            is_private(*address) && !matches!(at, Where::InnerSource | Where::InnerDestination)
        });
        leaks.extend(shown.map(|(at, address)| Leak::PrivateAddress {
            place: place.to_owned(),
            at,
            address,
            frame: seen.frame.clone(),
        }));
    }
    if watchfulness.checksums {
        let verified = if seen.unfinished { Err("left to hardware".into()) } else { verify_checksums(&seen.frame) };
        leaks.extend(verified.err().map(|error| Leak::WrongChecksum {
            place: place.to_owned(),
            error,
            frame: seen.frame.clone(),
        }));
    }
    leaks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Arp, Frame, Packet};

    const OUTSIDE: Watchfulness = Watchfulness { addresses: true, checksums: true };
    const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);

    fn leaks(direction: Direction, frame: &Frame) -> Vec<Where> {
        let seen = Seen { direction, frame: frame.build(), unfinished: false };
        let place = |leak| match leak {
            Leak::PrivateAddress { at, address, .. } => {
                assert_eq!(address, PRIVATE);
                at
            }
            Leak::WrongChecksum { error, .. } => panic!("{error}"),
        };
        judge("here", OUTSIDE, &seen).into_iter().map(place).collect()
    }

    fn carrying(packet: &Packet) -> Frame {
        Frame::new([2; 6], [4; 6]).ip(packet)
    }

    #[test]
    fn a_private_address_is_found_wherever_it_stands() {
        use Direction::{In, Out};
        let lost = Packet::new(REMOTE, PRIVATE).udp(1, 2, b"lost").build();
        let error = carrying(&Packet::new(PUBLIC, REMOTE).icmp_error(3, 3, [0; 4], &lost, 28));
        assert_eq!(leaks(In, &error), [Where::QuotedDestination]);
        assert_eq!(leaks(Out, &error), []);
        assert_eq!(leaks(In, &carrying(&Packet::new(PRIVATE, REMOTE).udp(1, 2, b"x"))), [Where::OuterSource]);
        assert_eq!(leaks(In, &Frame::new([2; 6], [255; 6]).arp(&Arp::probe([2; 6], PRIVATE))), [Where::ArpTarget]);
        assert_eq!(leaks(In, &carrying(&Packet::new(PUBLIC, REMOTE).ipip(&lost))), []);
        assert_eq!(leaks(In, &carrying(&Packet::new(PUBLIC, REMOTE).udp(1, 2, b"x"))), []);
    }

    #[test]
    fn a_wrong_or_unfinished_checksum_is_found() {
        let packet = Packet::new(PUBLIC, REMOTE).udp(1, 2, b"x");
        let at_the_end = |frame: &Frame, unfinished| {
            let seen = Seen { direction: Direction::In, frame: frame.build(), unfinished };
            judge("here", OUTSIDE, &seen).len()
        };
        assert_eq!(at_the_end(&carrying(&packet.clone().wrong_checksum(1)), false), 1);
        assert_eq!(at_the_end(&carrying(&packet), true), 1);
        assert_eq!(at_the_end(&carrying(&packet), false), 0);
    }

    #[test]
    fn private_means_rfc_1918_and_rfc_6598() {
        for address in ["10.255.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255"] {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["100.63.0.1", "100.128.0.1", "172.32.0.1", "203.0.113.1", "0.0.0.0", "8.8.8.8"] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }
}
