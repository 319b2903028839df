//! What is said to the benchmark's programs; the file itself is theirs.

#[path = "../../../nat-ebpf/src/bench/wires.rs"]
mod shared;

pub use shared::*;

// SAFETY: `repr(C)` integers and bytes without padding: ten of four bytes each, then twelve bytes.
unsafe impl aya::Pod for Stream {}
// SAFETY: `repr(C)`, two integers of four bytes and one of eight, without padding.
unsafe impl aya::Pod for Watch {}
// SAFETY: `repr(C)`, an integer of four bytes and twelve bytes, without padding.
unsafe impl aya::Pod for Way {}
