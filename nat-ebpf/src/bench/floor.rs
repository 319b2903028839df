//! Gateways that translate nothing: the least that any gateway costs.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX};
use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as FibLookup, bpf_fib_lookup__bindgen_ty_1 as FibLength,
    bpf_fib_lookup__bindgen_ty_2 as FibTos, bpf_fib_lookup__bindgen_ty_3 as FibSource,
    bpf_fib_lookup__bindgen_ty_4 as FibDestination, bpf_fib_lookup__bindgen_ty_5 as FibTable,
};
use aya_ebpf::helpers::{bpf_fib_lookup, bpf_redirect};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::frame::{self, words};
use crate::wires::Way;

/// The gateway's interface towards the Internet. This and the ways are constants of the loaded program, so that
/// nothing is looked up.
#[unsafe(no_mangle)]
static UPLINK: u32 = 0;
/// Where that goes which comes by the uplink.
#[unsafe(no_mangle)]
static INWARDS: Way = Way { ifindex: 0, ethernet: [0; 12] };
/// Where everything else goes.
#[unsafe(no_mangle)]
static OUTWARDS: Way = Way { ifindex: 0, ethernet: [0; 12] };

/// The way on for what came by an interface.
#[inline(always)]
pub fn way(ctx: &XdpContext) -> Way {
    // SAFETY: statics of this program; volatile, because their values are written when it is loaded.
    let (uplink, inwards, outwards) =
        unsafe { ((&raw const UPLINK).read_volatile(), &raw const INWARDS, &raw const OUTWARDS) };
    let way = if ctx.ingress_ifindex() as u32 == uplink { inwards } else { outwards };
    // SAFETY: as above.
    unsafe { way.read_volatile() }
}

/// Drops everything.
#[xdp]
pub fn nothing(_ctx: XdpContext) -> u32 {
    XDP_DROP
}

/// Sends everything back where it came from.
#[xdp]
pub fn back(mut ctx: XdpContext) -> u32 {
    let Some(words) = words::<7>(&mut ctx) else { return XDP_ABORTED };
    for word in 0..3 {
        words.swap(word, word + 3);
    }
    XDP_TX
}

/// Sends everything out of the other interface with addresses that are constants: the floor.
#[xdp]
pub fn fixed(mut ctx: XdpContext) -> u32 {
    let way = way(&ctx);
    let Some(words) = words::<7>(&mut ctx) else { return XDP_ABORTED };
    frame::address(words, &way.ethernet);
    // SAFETY: takes integers only.
    unsafe { bpf_redirect(way.ifindex, 0) as u32 }
}

/// Asks the kernel's routes, as `xdp-forward` does, and translates nothing.
#[xdp]
pub fn routed(mut ctx: XdpContext) -> u32 {
    const AF_INET: u8 = 2;
    let ifindex = ctx.ingress_ifindex() as u32;
    let raw = ctx.as_ptr();
    let Some(words) = words::<17>(&mut ctx) else { return XDP_ABORTED };
    if words[frame::ETHERTYPE] != 0x0800u16.to_be() || u16::from_be(words[frame::TTL]) >> 8 <= 1 {
        return XDP_ABORTED;
    }
    let address = |at: usize| words[at] as u32 | (words[at + 1] as u32) << 16;
    let mut fib = FibLookup {
        family: AF_INET,
        l4_protocol: u16::from_be(words[frame::TTL]) as u8,
        sport: 0,
        dport: 0,
        __bindgen_anon_1: FibLength { tot_len: u16::from_be(words[8]) },
        ifindex,
        __bindgen_anon_2: FibTos { flowinfo: 0 },
        __bindgen_anon_3: FibSource { ipv6_src: [address(frame::SOURCE), 0, 0, 0] },
        __bindgen_anon_4: FibDestination { ipv6_dst: [address(frame::DESTINATION), 0, 0, 0] },
        __bindgen_anon_5: FibTable { tbid: 0 },
        smac: [0; 6],
        dmac: [0; 6],
    };
    // SAFETY: the context is live, and the size is that of the struct behind the pointer.
    let answer = unsafe { bpf_fib_lookup(raw, &raw mut fib, size_of::<FibLookup>() as i32, 0) };
    if answer as u32 != BPF_FIB_LKUP_RET_SUCCESS {
        return XDP_ABORTED;
    }
    frame::decrement_ttl(words);
    for word in 0..3 {
        words[word] = u16::from_ne_bytes([fib.dmac[2 * word], fib.dmac[2 * word + 1]]);
        words[word + 3] = u16::from_ne_bytes([fib.smac[2 * word], fib.smac[2 * word + 1]]);
    }
    // SAFETY: takes integers only.
    unsafe { bpf_redirect(fib.ifindex, 0) as u32 }
}
