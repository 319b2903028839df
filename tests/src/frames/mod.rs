//! Ethernet frames for the packet-path tests: built byte by byte with every checksum computed in full, taken apart
//! again in words ([`explain`]), verified ([`verify_checksums`]) and compared field by field ([`diff`]).
//!
//! ```
//! use lab::frames::{Frame, Packet, explain};
//!
//! let (remote, private) = ([192, 0, 2, 9].into(), [10, 0, 0, 5].into());
//! let (host_mac, gateway_mac) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
//! let lost = Packet::new(remote, private).udp(5000, 53, b"query").build();
//! let error = Packet::new(private, remote).ttl(9).icmp_error(3, 3, [0; 4], &lost, 28);
//! let frame = Frame::new(host_mac, gateway_mac).vlan(7).ip(&error).build();
//! println!("{}", explain(&frame));
//! ```

mod build;
mod checksum;
mod explain;
mod fields;
mod shown;
mod verify;
mod view;

#[cfg(test)]
mod tests;

pub use build::{Arp, Frame, Packet, fragments};
pub use checksum::{
    checksum_offset, crc32c, fold, pseudo_header_sum, right_checksum, right_header_checksum, seal_header,
    seal_transport, sum, transport_checksum,
};
pub use explain::explain;
pub use fields::{Field, diff, fields};
pub use shown::{Where, ipv4_addresses};
pub use verify::verify_checksums;
pub use view::{Ip, address, is_icmp_error, payload, word};

pub type Mac = [u8; 6];

pub const IPV4: u16 = 0x0800;
pub const ARP: u16 = 0x0806;
pub const IPV6: u16 = 0x86dd;
pub const VLAN: u16 = 0x8100;
pub const SERVICE_VLAN: u16 = 0x88a8;

pub const ICMP: u8 = 1;
pub const IPIP: u8 = 4;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const DCCP: u8 = 33;
pub const GRE: u8 = 47;
pub const ESP: u8 = 50;
pub const AH: u8 = 51;
pub const SCTP: u8 = 132;
pub const UDP_LITE: u8 = 136;

pub const DONT_FRAGMENT: u16 = 0x4000;
pub const MORE_FRAGMENTS: u16 = 0x2000;
pub const OFFSET: u16 = 0x1fff;
