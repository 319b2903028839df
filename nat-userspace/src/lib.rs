//! eipgate: the daemon that owns every public address and keeps the packet path equal to it.

pub mod address;
pub mod admin;
pub mod cli;
pub mod config;
pub mod dataplane;
pub mod gateway;
pub mod store;

/// The XDP program, compiled by the build script.
pub static PROGRAM: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/nat-ebpf"));
