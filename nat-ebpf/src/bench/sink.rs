//! The sink: counts the benchmark's packets and drops everything; on demand it copies frames or watches for one.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::XdpContext;

use crate::frame::{self, words};
use crate::wires::{COUNT, DESTINATION_PORT, LONG, SAMPLE, SAMPLE_OF, SHORT, Seen, WATCH, Watch};

/// Packets that arrived.
#[map]
static ARRIVED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
#[map]
static WATCHED: Array<Watch> = Array::with_max_entries(1, 0);
#[map]
static FRAMES: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// The far end of the benchmark.
#[xdp]
pub fn sink(mut ctx: XdpContext) -> u32 {
    let Some(words) = words::<{ frame::DESTINATION_PORT + 1 }>(&mut ctx) else { return XDP_DROP };
    if words[frame::ETHERTYPE] != 0x0800u16.to_be() || words[frame::DESTINATION_PORT] != DESTINATION_PORT.to_be() {
        return XDP_DROP;
    }
    let destination =
        (u16::from_be(words[frame::DESTINATION]) as u32) << 16 | u16::from_be(words[frame::DESTINATION + 1]) as u32;
    let Some(arrived) = ARRIVED.get_ptr_mut(0) else { return XDP_DROP };
    // SAFETY: a per-CPU element, and XDP runs to completion on its CPU.
    let count = unsafe {
        let count = *arrived + 1;
        *arrived = count;
        count
    };
    let Some(watch) = WATCHED.get_ptr_mut(0) else { return XDP_DROP };
    // SAFETY: the pointer is to a live array element of integers; who writes it meanwhile changes one of them.
    let watch = unsafe { &mut *watch };
    match watch.mode {
        COUNT => {}
        WATCH => {
            if destination == watch.destination && watch.seen_at == 0 {
                // SAFETY: takes nothing.
                watch.seen_at = unsafe { bpf_ktime_get_ns() };
            }
        }
        SAMPLE if count & (SAMPLE_OF - 1) != 0 => {}
        _ => copy(&ctx),
    }
    XDP_DROP
}

/// Lets everything through: a veth with a program takes redirected frames, as a network card does.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

#[inline(never)]
fn copy(ctx: &XdpContext) {
    // Not from the difference of the pointers, of which the verifier knows no lower bound.
    // SAFETY: the context is the one this program was called with.
    let length = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) } as usize;
    if length <= SHORT {
        keep::<SHORT>(ctx, length);
    } else {
        keep::<LONG>(ctx, length);
    }
}

#[inline(always)]
fn keep<const S: usize>(ctx: &XdpContext, length: usize) {
    const NO_WAKEUP: u64 = 1;
    let Some(mut record) = FRAMES.reserve::<Seen<S>>(0) else { return };
    let seen = record.as_mut_ptr();
    if length == 0 || length > S {
        record.discard(NO_WAKEUP);
        return;
    }
    // SAFETY: the record has room for `length` bytes behind its own length, and the ring lent it to us alone.
    unsafe {
        (*seen).length = length as u32;
        bpf_xdp_load_bytes(ctx.as_ptr().cast(), 0, (&raw mut (*seen).frame).cast(), length as u32);
    }
    record.submit(NO_WAKEUP);
}
