//! The generator: writes a whole frame over whatever an earlier run left in the page, because live frames come back as
//! they were received.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_redirect};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;

use crate::frame::{fold, halves, words};
use crate::wires::{DESTINATION_PORT, HAIRPIN, INBOUND, MAGIC, NEW_FLOWS, RANDOM, SOURCE_PORT, Stream, TTL, WRITTEN};

#[map]
static STREAM: Array<Stream> = Array::with_max_entries(1, 0);
/// The number of the next packet.
#[map]
static POSITION: Array<u64> = Array::with_max_entries(1, 0);
/// The program whose cost alone is measured.
#[map]
static GATEWAY: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Makes a frame and redirects it into the stream's interface.
#[xdp]
pub fn generate(mut ctx: XdpContext) -> u32 {
    let Some(stream) = STREAM.get(0) else { return XDP_ABORTED };
    if write(&mut ctx, stream).is_none() {
        return XDP_ABORTED;
    }
    // SAFETY: takes integers only.
    unsafe { bpf_redirect(stream.ifindex, 0) as u32 }
}

/// Makes a frame and drops it: what every row pays before its gateway sees the packet.
#[xdp]
pub fn discard(mut ctx: XdpContext) -> u32 {
    let Some(stream) = STREAM.get(0) else { return XDP_ABORTED };
    if write(&mut ctx, stream).is_none() { XDP_ABORTED } else { XDP_DROP }
}

/// Makes a frame and hands it to a gateway's program, without any interface.
#[xdp(frags)]
pub fn call(mut ctx: XdpContext) -> u32 {
    let Some(stream) = STREAM.get(0) else { return XDP_ABORTED };
    if write(&mut ctx, stream).is_none() {
        return XDP_ABORTED;
    }
    // SAFETY: the context is the one this program was called with; the call does not come back.
    unsafe { GATEWAY.tail_call(&ctx, 0) };
    XDP_ABORTED
}

/// The program that is called where the price of the call itself is measured.
#[xdp(frags)]
pub fn stub(_ctx: XdpContext) -> u32 {
    XDP_DROP
}

#[inline(always)]
fn write(ctx: &mut XdpContext, stream: &Stream) -> Option<()> {
    let number = POSITION.get_ptr_mut(0)?;
    // SAFETY: the pointer is to a live array element; one generator runs at a time.
    let count = unsafe {
        let count = *number;
        *number = count + 1;
        count
    };
    let index = if stream.order == RANDOM { random(stream.pairs) } else { (count as u32).checked_rem(stream.pairs)? };
    let public = |index: u32| stream.public + index * stream.public_step;
    let mut remote = stream.remote;
    let mut port = SOURCE_PORT;
    if stream.flows == NEW_FLOWS {
        // All ports first, then the next remote address: no flow comes twice.
        port = count as u16;
        remote += (count >> 16) as u32;
    }
    let (source, destination) = match stream.direction {
        INBOUND => (remote, public(index)),
        HAIRPIN => {
            let other = if index + 1 == stream.pairs { 0 } else { index + 1 };
            (stream.private + index, public(other))
        }
        _ => (stream.private + index, remote),
    };
    let total = stream.length as u16 - 14;
    let udp = total - 20;
    let frame: &mut [u16; WRITTEN / 2] = words(ctx)?;
    crate::frame::address(frame, &stream.ethernet);
    let [source_high, source_low] = halves(source);
    let [destination_high, destination_low] = halves(destination);
    let addresses = source_high as u32 + source_low as u32 + destination_high as u32 + destination_low as u32;
    // Version, header length and type of service; total length; identification; fragment; TTL and protocol.
    let ip = [0x4500u16.to_be(), total.to_be(), 0, 0x4000u16.to_be(), ((TTL as u16) << 8 | 17).to_be()];
    let sum = ip[0] as u32 + ip[1] as u32 + ip[3] as u32 + ip[4] as u32 + addresses;
    frame[6] = 0x0800u16.to_be();
    frame[7] = ip[0];
    frame[8] = ip[1];
    frame[9] = ip[2];
    frame[10] = ip[3];
    frame[11] = ip[4];
    frame[12] = !fold(sum);
    frame[13] = source_high;
    frame[14] = source_low;
    frame[15] = destination_high;
    frame[16] = destination_low;
    let [magic_high, magic_low] = halves(MAGIC);
    let [index_high, index_low] = halves(index);
    let length = udp.to_be();
    let (from, to) = (port.to_be(), DESTINATION_PORT.to_be());
    let payload = magic_high as u32 + magic_low as u32 + index_high as u32 + index_low as u32;
    // The length stands in the pseudo-header and in the header.
    let sum = addresses + 17u16.to_be() as u32 + 2 * length as u32 + from as u32 + to as u32 + payload;
    let checksum = !fold(sum);
    frame[17] = from;
    frame[18] = to;
    frame[19] = length;
    frame[20] = if checksum == 0 { 0xffff } else { checksum };
    frame[21] = magic_high;
    frame[22] = magic_low;
    frame[23] = index_high;
    frame[24] = index_low;
    Some(())
}

/// A number below `below`, each as likely as the others to within one in four thousand for a million.
#[inline(always)]
fn random(below: u32) -> u32 {
    // SAFETY: takes nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    ((random as u64 * below as u64) >> 32) as u32
}
