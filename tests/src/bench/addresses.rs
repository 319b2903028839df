//! Which public address belongs to which private one: arithmetic, so that generator, gateways and verification agree
//! without a table.

use std::net::Ipv4Addr;

/// First of the public addresses that follow one another.
const CLUSTERED: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 0);
/// First of those of which every /24 has one.
const SCATTERED: Ipv4Addr = Ipv4Addr::new(64, 0, 0, 9);
/// First private address; the others follow.
pub const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 16, 0, 0);
/// Further private addresses, one for each pair, to which pairs are rebound while traffic flows.
pub const OTHER_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// The first address on the Internet that sends and receives; new flows use the next ones too.
pub const REMOTE: Ipv4Addr = Ipv4Addr::new(150, 2, 0, 1);
/// Everything public, as the routes of gateways that do not translate need it.
pub const PUBLIC_RANGES: [&str; 2] = ["20.0.0.0/8", "64.0.0.0/4"];
/// Everything private.
pub const PRIVATE_RANGE: &str = "10.0.0.0/8";

/// How the public addresses lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spread {
    /// One after the other.
    Clustered,
    /// One in every /24 of one large pool.
    Scattered,
    /// One in every /24, each a pool of its own.
    Separate,
}

/// A number of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pairs {
    /// How many there are.
    pub count: u32,
    /// How the public addresses lie.
    pub spread: Spread,
}

impl Pairs {
    /// Pairs whose public addresses follow one another.
    pub fn clustered(count: u32) -> Self {
        Self { count, spread: Spread::Clustered }
    }

    /// The first public address.
    pub fn base(self) -> Ipv4Addr {
        if self.spread == Spread::Clustered { CLUSTERED } else { SCATTERED }
    }

    /// From one public address to the next.
    pub fn step(self) -> u32 {
        if self.spread == Spread::Clustered { 1 } else { 256 }
    }

    /// The public address of a pair.
    pub fn public(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base().to_bits() + index * self.step())
    }

    /// The private address of a pair.
    pub fn private(self, index: u32) -> Ipv4Addr {
        private(PRIVATE, index)
    }

    /// The pools that hold the public addresses, as prefixes.
    pub fn pools(self) -> Vec<String> {
        match self.spread {
            Spread::Clustered => vec![prefix(self.base(), self.count)],
            Spread::Scattered => vec![prefix(self.base(), self.count.saturating_mul(256))],
            Spread::Separate => (0..self.count).map(|index| format!("{}/32", self.public(index))).collect(),
        }
    }

    /// Every pair, public and private address.
    pub fn all(self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
        (0..self.count).map(move |index| (self.public(index), self.private(index)))
    }
}

/// The address that is that many after another.
pub fn private(base: Ipv4Addr, index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(base.to_bits() + index)
}

/// The smallest prefix around an address that has room for so many from its own start.
fn prefix(around: Ipv4Addr, addresses: u32) -> String {
    let bits = addresses.max(256).next_power_of_two().trailing_zeros();
    let network = Ipv4Addr::from_bits(around.to_bits() & !((1u32 << bits) - 1));
    format!("{network}/{}", 32 - bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clustered_pairs_follow_one_another() {
        let pairs = Pairs::clustered(1_000_000);
        assert_eq!(pairs.pools(), ["20.0.0.0/12"]);
        assert_eq!(pairs.public(999_999), Ipv4Addr::new(20, 15, 66, 63));
        assert_eq!(pairs.private(256), Ipv4Addr::new(10, 16, 1, 0));
        assert_eq!(pairs.all().count(), 1_000_000);
        assert_eq!(Pairs::clustered(1).pools(), ["20.0.0.0/24"]);
    }

    #[test]
    fn scattered_pairs_have_a_24_each_inside_their_pool() {
        let pairs = Pairs { count: 1_000_000, spread: Spread::Scattered };
        assert_eq!(pairs.pools(), ["64.0.0.0/4"]);
        assert_eq!(pairs.public(0), Ipv4Addr::new(64, 0, 0, 9));
        assert_eq!(pairs.public(999_999), Ipv4Addr::new(79, 66, 63, 9));
        let separate = Pairs { count: 3, spread: Spread::Separate };
        assert_eq!(separate.pools(), ["64.0.0.9/32", "64.0.1.9/32", "64.0.2.9/32"]);
    }

    #[test]
    fn no_pair_has_an_address_of_another_kind() {
        let [first, second] =
            PUBLIC_RANGES.map(|range| range.split('.').next().and_then(|first| first.parse::<u8>().ok()));
        for spread in [Spread::Clustered, Spread::Scattered] {
            let pairs = Pairs { count: 1_000_000, spread };
            for index in [0, 1, 999_999] {
                let octet = pairs.public(index).octets()[0];
                assert!(Some(octet) == first || Some(octet & 0xf0) == second, "{octet}");
                assert_eq!(pairs.private(index).octets()[0], 10);
                assert!(pairs.private(index) < OTHER_PRIVATE);
            }
        }
    }
}
