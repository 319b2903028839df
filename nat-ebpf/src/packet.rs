//! The only pointer arithmetic: a bounds-checked view of the frame.
//!
//! `span` and `header` reach the linear part of the frame; `load` and `store` every byte of a multi-buffer frame.

use core::arch::asm;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{
    bpf_loop, bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
    bpf_xdp_store_bytes,
};
use aya_ebpf::programs::XdpContext;
use nat_common::checksum;
use nat_common::ipv4::{self, MAX_OPTIONS, OptionStep};
use nat_common::wire::{Ethernet, Tag};
use network_types::arp::ArpHdr;
use network_types::ip::Ipv4Hdr;

/// A header that may lie at any address and hold any bytes.
///
/// # Safety
/// The type has alignment 1, no padding, and every bit pattern is a value of it.
pub unsafe trait Header {}

// SAFETY: `repr(C)` structs of byte arrays and bytes only.
unsafe impl Header for Ethernet {}
// SAFETY: as above.
unsafe impl Header for Tag {}
// SAFETY: as above.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: as above.
unsafe impl Header for ArpHdr {}
// SAFETY: as above.
unsafe impl<const N: usize> Header for [u8; N] {}

/// The frame in hand.
pub struct Packet {
    ctx: XdpContext,
}

impl Packet {
    /// The frame of this program run.
    #[inline(always)]
    pub fn new(ctx: XdpContext) -> Self {
        Packet { ctx }
    }

    /// The context, for helpers that want it.
    #[inline(always)]
    pub fn context(&self) -> &XdpContext {
        &self.ctx
    }

    /// Index of the interface the frame came by.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    /// Bytes of the linear part.
    #[inline(always)]
    pub fn linear_length(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    /// Bytes of the whole frame, all buffers.
    #[inline(always)]
    pub fn length(&self) -> usize {
        // SAFETY: the context is the one this program was called with.
        unsafe { bpf_xdp_get_buff_len(self.raw()) as usize }
    }

    /// Whether the frame lies in several buffers.
    #[inline(always)]
    pub fn is_multi_buffer(&self) -> bool {
        self.linear_length() < self.length()
    }

    /// The first `N` bytes, as [`Packet::span`] would give them.
    #[inline(always)]
    pub fn start<const N: usize>(&mut self) -> Option<Span<'_, N>> {
        let start = self.ctx.data();
        if start + N > self.ctx.data_end() { None } else { Some(Span { start, packet: PhantomData }) }
    }

    /// `N` bytes of the linear part, to be read and written in words. The borrow ends before the frame can be resized.
    #[inline(always)]
    pub fn span<const N: usize>(&mut self, offset: usize) -> Option<Span<'_, N>> {
        let start = self.start_of(offset, N)?;
        Some(Span { start, packet: PhantomData })
    }

    /// A header in the linear part. The borrow ends before the frame can be resized, which moves it.
    #[inline(always)]
    pub fn header<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        let start = self.start_of(offset, size_of::<T>())?;
        // SAFETY: `start..start + size` lies between data and data_end, as just compared and as the verifier checks
        // again; `T: Header` allows any address and content; `&mut self` keeps the reference the only one.
        Some(unsafe { &mut *(start as *mut T) })
    }

    /// Where `size` bytes at an offset begin, if they are in the linear part.
    #[inline(always)]
    fn start_of(&self, offset: usize, size: usize) -> Option<usize> {
        // Tells the verifier a bound. Two tags, 60 bytes of IP header and a TCP checksum end at byte 100.
        const FARTHEST: usize = 127;
        if offset > FARTHEST {
            return None;
        }
        let start = self.ctx.data() + offset;
        if start + size > self.ctx.data_end() { None } else { Some(start) }
    }

    /// Bytes anywhere in the frame, copied out.
    #[inline(always)]
    pub fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // Not zeroed first: that is a loop over bytes, which the verifier walks again for each caller.
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `bytes` has room for N bytes; the helper checks the offset.
        let status = unsafe { bpf_xdp_load_bytes(self.raw(), offset as u32, bytes.as_mut_ptr().cast(), N as u32) };
        if status != 0 {
            return None;
        }
        // SAFETY: the helper has written all N bytes.
        Some(unsafe { bytes.assume_init() })
    }

    /// Replaces bytes anywhere in the frame.
    #[inline(always)]
    pub fn store<const N: usize>(&mut self, offset: usize, bytes: &[u8; N]) -> Option<()> {
        let from = bytes.as_ptr().cast_mut().cast();
        // SAFETY: `bytes` holds N bytes and is only read; the helper checks the offset.
        let status = unsafe { bpf_xdp_store_bytes(self.raw(), offset as u32, from, N as u32) };
        (status == 0).then_some(())
    }

    /// Moves the start of the frame; positive takes bytes off. Headers must be looked up again.
    #[inline(always)]
    pub fn move_start(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the context is the one this program was called with.
        (unsafe { bpf_xdp_adjust_head(self.raw(), bytes) } == 0).then_some(())
    }

    /// Moves the end of the frame; negative takes bytes off. Headers must be looked up again.
    #[inline(always)]
    pub fn move_end(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the context is the one this program was called with.
        (unsafe { bpf_xdp_adjust_tail(self.raw(), bytes) } == 0).then_some(())
    }

    /// One's-complement sum of `length` bytes from `offset`, folded, padded with a zero byte if odd; `None` where
    /// they are not all there.
    #[inline(never)]
    pub fn sum(&self, offset: usize, length: usize) -> Option<u16> {
        let mut sum = Sum { ctx: self.raw(), next: offset as u32, left: length as u32, total: 0, failed: 0 };
        let blocks = (length as u32).div_ceil(Sum::BLOCK);
        // SAFETY: `Sum::step` has the signature of a loop callback, and `sum` outlives the call.
        unsafe { bpf_loop(blocks, Sum::step as *mut _, (&raw mut sum).cast(), 0) };
        (sum.failed == 0).then_some(sum.total as u16)
    }

    /// Walks `length` bytes of IPv4 options from `offset` and says why it stopped: at a source route, at an option
    /// that does not parse, or at the end.
    #[inline(always)]
    pub fn find_option(&self, offset: usize, length: usize) -> OptionWalk {
        let mut walk =
            Options { ctx: self.raw(), next: offset as u32, left: length as u32, found: OptionWalk::End as u32 };
        // SAFETY: `Options::step` has the signature of a loop callback, and `walk` outlives the call.
        unsafe { bpf_loop(MAX_OPTIONS, Options::step as *mut _, (&raw mut walk).cast(), 0) };
        if walk.found == OptionWalk::SourceRoute as u32 {
            OptionWalk::SourceRoute
        } else if walk.found == OptionWalk::Malformed as u32 {
            OptionWalk::Malformed
        } else {
            OptionWalk::End
        }
    }

    #[inline(always)]
    fn raw(&self) -> *mut xdp_md {
        self.ctx.as_ptr().cast()
    }
}

/// `N` bytes of the linear part that are known to be there, as words in wire order.
///
/// A reference to a word would have to be aligned, which a packet is not, and the compiler would put it together from
/// bytes. The machine can read it as it is, so these are single instructions.
pub struct Span<'a, const N: usize> {
    start: usize,
    packet: PhantomData<&'a mut Packet>,
}

impl<'a, const N: usize> Span<'a, N> {
    /// The first bytes of a longer span.
    #[inline(always)]
    pub fn shortened<const LESS: usize>(self) -> Span<'a, LESS> {
        const { assert!(LESS <= N) };
        Span { start: self.start, packet: PhantomData }
    }

    /// Four bytes.
    #[inline(always)]
    pub fn word<const AT: usize>(&self) -> u32 {
        const { assert!(AT + 4 <= N) };
        let word: u64;
        // SAFETY: `start + AT ..+ 4` was checked to lie in the frame, and the verifier makes sure of it.
        unsafe {
            asm!("{word} = *(u32 *)({start} + {at})", word = lateout(reg) word, start = in(reg) self.start, at = const AT,
                options(nostack, readonly, preserves_flags));
        }
        // SAFETY: a load of four bytes clears what is above them. Told so, the compiler does not clear it again.
        unsafe { core::hint::assert_unchecked(word <= u32::MAX as u64) };
        word as u32
    }

    /// Two bytes.
    #[inline(always)]
    pub fn half<const AT: usize>(&self) -> u16 {
        const { assert!(AT + 2 <= N) };
        let half: u64;
        // SAFETY: as in `word`.
        unsafe {
            asm!("{half} = *(u16 *)({start} + {at})", half = lateout(reg) half, start = in(reg) self.start, at = const AT,
                options(nostack, readonly, preserves_flags));
        }
        // SAFETY: as in `word`.
        unsafe { core::hint::assert_unchecked(half <= u16::MAX as u64) };
        half as u16
    }

    /// Writes four bytes.
    #[inline(always)]
    pub fn set_word<const AT: usize>(&mut self, word: u32) {
        const { assert!(AT + 4 <= N) };
        // SAFETY: as in `word`; `&mut self` keeps the bytes this holder's.
        unsafe {
            asm!("*(u32 *)({start} + {at}) = {word}", word = in(reg) word as u64, start = in(reg) self.start, at = const AT,
                options(nostack, preserves_flags));
        }
    }

    /// Writes two bytes.
    #[inline(always)]
    pub fn set_half<const AT: usize>(&mut self, half: u16) {
        const { assert!(AT + 2 <= N) };
        // SAFETY: as in `set_word`.
        unsafe {
            asm!("*(u16 *)({start} + {at}) = {half}", half = in(reg) half as u64, start = in(reg) self.start, at = const AT,
                options(nostack, preserves_flags));
        }
    }
}

/// Has the kernel send the frame out of an interface when the program returns `XDP_REDIRECT`.
#[inline(always)]
pub fn redirect(ifindex: u32) {
    // SAFETY: takes integers only. For flags 0 the helper cannot fail; an interface that is gone is found out when
    // the frame is sent, and the frame is dropped.
    unsafe { bpf_redirect(ifindex, 0) };
}

/// State of a running sum over blocks of the frame.
#[repr(C)]
struct Sum {
    ctx: *mut xdp_md,
    next: u32,
    left: u32,
    total: u32,
    failed: u32,
}

impl Sum {
    const BLOCK: u32 = 32;

    /// Adds one block; a non-zero answer ends the loop.
    ///
    /// # Safety
    /// `state` is the live state of the loop that calls.
    unsafe extern "C" fn step(_index: u32, state: *mut Sum) -> i64 {
        // SAFETY: `Packet::sum` passes its own live state.
        let state = unsafe { &mut *state };
        let mut block = [0u32; Self::BLOCK as usize / 4];
        let Some(before_last) = state.left.checked_sub(1) else { return 1 };
        let mut before_last = u64::from(before_last.min(Self::BLOCK - 1));
        // SAFETY: takes off bits that are not set. It tells the verifier of Linux 6.1, which does not learn from a
        // comparison with 0, that no read is empty; and the compiler must not see that it changes nothing.
        unsafe {
            asm!("{bytes} &= {most}", bytes = inout(reg) before_last, most = const Self::BLOCK - 1,
                options(pure, nomem, nostack, preserves_flags));
        }
        let take = before_last as u32 + 1;
        // SAFETY: `block` has room for `take` bytes; the helper checks the offset.
        if unsafe { bpf_xdp_load_bytes(state.ctx, state.next, block.as_mut_ptr().cast(), take) } != 0 {
            state.failed = 1;
            return 1;
        }
        state.total = checksum::add_words(state.total as u16, &block) as u32;
        state.next += take;
        state.left -= take;
        0
    }
}

/// Why a walk over IPv4 options stopped.
#[derive(Clone, Copy)]
pub enum OptionWalk {
    /// At the end, with nothing found.
    End,
    /// At a source route.
    SourceRoute,
    /// At an option that does not parse.
    Malformed,
}

/// State of a walk over IPv4 options.
#[repr(C)]
struct Options {
    ctx: *mut xdp_md,
    next: u32,
    left: u32,
    found: u32,
}

impl Options {
    /// Judges one option; a non-zero answer ends the loop.
    ///
    /// # Safety
    /// `state` is the live state of the loop that calls.
    unsafe extern "C" fn step(_index: u32, state: *mut Options) -> i64 {
        // SAFETY: `Packet::find_option` passes its own live state.
        let state = unsafe { &mut *state };
        if state.left == 0 {
            return 1;
        }
        let mut start = [0u8; 2];
        let take = if state.left == 1 { 1 } else { 2 };
        // SAFETY: `start` has room for `take` bytes; the helper checks the offset.
        if unsafe { bpf_xdp_load_bytes(state.ctx, state.next, start.as_mut_ptr().cast(), take) } != 0 {
            state.found = OptionWalk::Malformed as u32;
            return 1;
        }
        match ipv4::option(start[0], start[1], state.left as usize) {
            OptionStep::Skip(size) => {
                state.next += size as u32;
                state.left -= size as u32;
                return 0;
            }
            OptionStep::End => {}
            OptionStep::SourceRoute => state.found = OptionWalk::SourceRoute as u32,
            OptionStep::Malformed => state.found = OptionWalk::Malformed as u32,
        }
        1
    }
}
