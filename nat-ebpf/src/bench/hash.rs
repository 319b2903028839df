//! The reference NAT: one hash lookup, two checksums, the TTL and constant Ethernet addresses, for the inbound direction
//! only. It is no gateway: whatever makes one is missing, so its cost is what eipgate's is held against.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::XdpContext;

use crate::floor;
use crate::frame::{self, fold, words};

/// Private by public address, both as they stand in a frame.
#[map]
static PAIRS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// Translates and redirects.
#[xdp]
pub fn hashed(mut ctx: XdpContext) -> u32 {
    let way = floor::way(&ctx);
    let Some(words) = words::<{ frame::UDP_CHECKSUM + 1 }>(&mut ctx) else { return XDP_ABORTED };
    let old = [words[frame::DESTINATION], words[frame::DESTINATION + 1]];
    let public = old[0] as u32 | (old[1] as u32) << 16;
    // SAFETY: values are integers; one that changes while it is read is the old or the new.
    let Some(private) = (unsafe { PAIRS.get(public) }) else { return XDP_DROP };
    let new = [*private as u16, (*private >> 16) as u16];
    words[frame::DESTINATION] = new[0];
    words[frame::DESTINATION + 1] = new[1];
    // RFC 1624: the complement of the old words and the new words.
    let change = !old[0] as u32 + !old[1] as u32 + new[0] as u32 + new[1] as u32;
    for at in [frame::IP_CHECKSUM, frame::UDP_CHECKSUM] {
        words[at] = !fold(!words[at] as u32 + change);
    }
    frame::decrement_ttl(words);
    frame::address(words, &way.ethernet);
    // SAFETY: takes integers only.
    unsafe { bpf_redirect(way.ifindex, 0) as u32 }
}
