//! What the XDP program, the daemon and the tests share: map types, verdicts, checksum arithmetic and rewriting.
//!
//! Nothing here can panic, allocate or loop without a constant bound (invariant 7): the same code runs in host tests
//! and passes the kernel's verifier, so it takes `&mut` to fixed-size headers and never slices.
//!
//! Addresses and ports are bytes in wire order everywhere; an integer is in host order by definition.
#![cfg_attr(not(any(test, feature = "user")), no_std)]

pub mod abi;
pub mod checksum;
pub mod icmp;
pub mod ipv4;
pub mod pairs;
pub mod police;
pub mod transport;
pub mod verdict;
pub mod wire;

#[cfg(test)]
mod invariants;
