//! The programs of the benchmark: a generator, a counting sink, and gateways that do less than eipgate to compare with.
//!
//! `wires` is what they and the process that drives them say to each other.
#![no_std]
#![no_main]

mod floor;
mod frame;
mod generate;
mod hash;
mod sink;
#[expect(dead_code, reason = "the other side uses all of it")]
mod wires;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // Unreachable, as in the gateway's own program.
    loop {}
}

/// `bpf_fib_lookup` is for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
