//! An IPv4 network in CIDR form.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A network and its prefix length, without host bits. Ordered by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: Ipv4Addr,
    length: u8,
}

impl Prefix {
    /// The network `network/length`. Refuses a length above 32 and set host bits, naming the network that was meant.
    pub fn new(network: Ipv4Addr, length: u8) -> Result<Self, PrefixError> {
        let right = Self::containing(network, length)?;
        if right.network != network {
            return Err(PrefixError::HostBits { address: network, right });
        }
        Ok(right)
    }

    /// The network of this length that `address` lies in, as of an interface's address. Refuses a length above 32.
    pub fn containing(address: Ipv4Addr, length: u8) -> Result<Self, PrefixError> {
        if length > 32 {
            return Err(PrefixError::Length(length));
        }
        Ok(Self { network: Ipv4Addr::from_bits(address.to_bits() & !host_mask(length)), length })
    }

    /// Whoever calls this has written the prefix into the source, without host bits.
    pub(super) const fn constant(network: [u8; 4], length: u8) -> Self {
        let [a, b, c, d] = network;
        Self { network: Ipv4Addr::new(a, b, c, d), length }
    }

    /// The first address.
    pub fn first(self) -> Ipv4Addr {
        self.network
    }

    /// The last address.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | host_mask(self.length))
    }

    /// The prefix length, 0 to 32.
    pub fn length(self) -> u8 {
        self.length
    }

    /// How many addresses it spans.
    pub fn size(self) -> u64 {
        1 << (32 - self.length)
    }

    /// Whether the address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.first() <= address && address <= self.last()
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Prefix) -> bool {
        self.contains(other.first()) || other.contains(self.first())
    }
}

fn host_mask(length: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.network, self.length))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `198.18.0.0/24`; an address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let malformed = || PrefixError::Malformed(text.to_string());
        let (network, length) = text.split_once('/').unwrap_or((text, "32"));
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let network = network.parse().map_err(|_| malformed())?;
        let length = length.parse().ok().filter(|_| is_number).ok_or_else(malformed)?;
        Self::new(network, length)
    }
}

/// Why a network was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// Not of the form address/length.
    Malformed(String),
    /// A prefix length above 32.
    Length(u8),
    /// The address is not the first of its network.
    HostBits {
        /// The address given.
        address: Ipv4Addr,
        /// The network it lies in.
        right: Prefix,
    },
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Malformed(text) => write!(f, "{text:?} is not a network: write it like 198.18.0.0/24"),
            PrefixError::Length(length) => write!(f, "prefix length {length} is too long: write 0 to 32"),
            PrefixError::HostBits { address, right } => {
                write!(f, "{address}/{} has host bits set: write {right}", right.length)
            }
        }
    }
}

impl Error for PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_and_shown() {
        for text in ["0.0.0.0/0", "198.18.0.0/15", "1.2.3.4/32"] {
            assert_eq!(text.parse::<Prefix>().map(|prefix| prefix.to_string()), Ok(text.to_string()));
        }
        let everything: Prefix = "0.0.0.0/0".parse().unwrap();
        assert_eq!((everything.last(), everything.size()), (Ipv4Addr::BROADCAST, 1 << 32));
        let one: Prefix = "1.2.3.4".parse().unwrap();
        assert_eq!((one.first(), one.last(), one.size()), (one.last(), one.first(), 1));
    }

    #[test]
    fn a_wrong_network_is_refused_with_the_right_one() {
        let refusal = |text: &str| text.parse::<Prefix>().unwrap_err().to_string();
        assert_eq!(refusal("8.8.8.9/24"), "8.8.8.9/24 has host bits set: write 8.8.8.0/24");
        assert_eq!(refusal("8.8.8.0/33"), "prefix length 33 is too long: write 0 to 32");
        for text in ["", "8.8.8/24", "8.8.8.0/", "8.8.8.0/+8", "8.8.8.0/24/1"] {
            assert_eq!(refusal(text), format!("{text:?} is not a network: write it like 198.18.0.0/24"));
        }
    }
}
