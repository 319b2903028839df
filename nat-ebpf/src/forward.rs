//! Step 5, forward: next hop, TTL, MTU, MACs, tags, redirect.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH,
    BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_PROHIBIT, BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_UNREACHABLE,
    BPF_FIB_LKUP_RET_UNSUPP_LWT, BPF_FIB_LOOKUP_OUTPUT, bpf_fib_lookup as FibLookup,
    bpf_fib_lookup__bindgen_ty_1 as FibLength, bpf_fib_lookup__bindgen_ty_2 as FibTos,
    bpf_fib_lookup__bindgen_ty_3 as FibSource, bpf_fib_lookup__bindgen_ty_4 as FibDestination,
    bpf_fib_lookup__bindgen_ty_5 as FibTable,
};
use aya_ebpf::helpers::bpf_fib_lookup;
use nat_common::abi::{Egress, HOP_READY, Hop, LINK_USES_HOPS};
use nat_common::ipv4::{self, Rewrite};
use nat_common::verdict::{Action, Verdict};
use nat_common::wire::{self, Ethernet, Tag};
use network_types::ip::Ipv4Hdr;

use crate::lookup::Binding;
use crate::packet::{Packet, redirect};
use crate::parse::{Arrival, Frame};
use crate::translate::Payload;
use crate::{maps, reply};

/// Where a packet goes next.
pub enum NextHop {
    /// Out of an interface, past the kernel.
    Redirect(Way),
    /// To the kernel, translated but otherwise as it arrived: the kernel takes the TTL down and finds the way.
    Kernel(Verdict),
}

/// Where a next hop stands.
#[derive(Clone, Copy)]
pub enum Way {
    /// In this element of `HOPS`.
    Known(u32),
    /// Where the kernel's answer is.
    Asked,
}

/// Decides the way out while the packet is still as it arrived, so that an ICMP error can quote what its sender sent.
#[inline(always)]
pub fn next_hop(
    packet: &mut Packet,
    arrival: &Arrival,
    binding: &Binding,
    payload: &Payload,
) -> Result<NextHop, Verdict> {
    let datagram = &arrival.datagram;
    let told = if datagram.ip().ttl <= 1 {
        Verdict::TtlExceededReply
    } else {
        if let Some(hop) = maps::hop(binding.hop)
            && hop.state == HOP_READY
            && datagram.lengths.total <= hop.mtu as usize
            && arrival.link.flags & LINK_USES_HOPS != 0
            && is_redirected(packet)
        {
            return Ok(NextHop::Redirect(Way::Known(binding.hop)));
        }
        match ask_kernel(packet, arrival, binding) {
            None => return Ok(NextHop::Redirect(Way::Asked)),
            Some(verdict) => verdict,
        }
    };
    match told.action() {
        Action::Pass => Ok(NextHop::Kernel(told)),
        Action::Reply => Err(reply::icmp_error(packet, arrival, payload, told)),
        _ => Err(told),
    }
}

/// Has the kernel's FIB say where the packet goes: the answer is in `maps::asked`, or the verdict says why there is
/// none, a reply being one that is still to be made. A function of its own, because the common packet never comes here.
#[inline(never)]
fn ask_kernel(packet: &Packet, arrival: &Arrival, binding: &Binding) -> Option<Verdict> {
    let datagram = &arrival.datagram;
    let constraint = if binding.vpc == 0 {
        0
    } else {
        let Some(ifindex) = maps::vpc_ifindex(binding.vpc) else { return Some(Verdict::UnknownVpc) };
        ifindex
    };
    let mut route = Route::NONE;
    let query = Query { ingress: arrival.link.fib_ifindex, constraint, length: datagram.lengths.total as u16 };
    ask(packet, arrival, &binding.rewrite, &query, &mut route);
    let mut too_big = 0;
    if route.answer == BPF_FIB_LKUP_RET_FRAG_NEEDED {
        // The kernel stops at the MTU and does not say which way; a length of 0 asks for that alone.
        too_big = route.mtu;
        ask(packet, arrival, &binding.rewrite, &Query { length: 0, ..query }, &mut route);
    }
    match route.answer {
        BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH => {}
        BPF_FIB_LKUP_RET_NOT_FWDED => return Some(Verdict::NetUnreachableReply),
        BPF_FIB_LKUP_RET_UNREACHABLE => return Some(Verdict::HostUnreachableReply),
        BPF_FIB_LKUP_RET_BLACKHOLE => return Some(Verdict::RouteBlackhole),
        BPF_FIB_LKUP_RET_PROHIBIT => return Some(Verdict::RouteProhibit),
        BPF_FIB_LKUP_RET_FWD_DISABLED => return Some(Verdict::ForwardingDisabled),
        BPF_FIB_LKUP_RET_UNSUPP_LWT => return Some(Verdict::TunnelRoute),
        _ => return Some(Verdict::RouteError),
    }
    let Some(egress) = maps::egress(route.ifindex, binding.vpc) else { return Some(Verdict::WrongEgress) };
    let Some(asked) = maps::asked() else { return Some(Verdict::InternalError) };
    asked.mtu = too_big as u32;
    asked.ifindex = egress.ifindex;
    asked.outer = egress.outer;
    asked.inner = egress.inner;
    asked.macs = wire::macs(route.destination, route.source);
    let handed = if too_big != 0 {
        if ipv4::dont_fragment(&datagram.ip()) {
            return Some(Verdict::TooBigReply);
        }
        Verdict::HandedFragmentation
    } else if route.answer == BPF_FIB_LKUP_RET_NO_NEIGH {
        if maps::is_unreachable(route.ifindex, route.gateway) {
            return Some(Verdict::HostUnreachableReply);
        }
        Verdict::HandedNeighbour
    } else if is_redirected(packet) {
        return None;
    } else {
        Verdict::HandedMultiBuffer
    };
    Some(check_handover(packet, arrival, binding, &query, &route, &egress).unwrap_or(handed))
}

/// Whether a frame like this one leaves where it is redirected to.
#[inline(always)]
fn is_redirected(packet: &Packet) -> bool {
    !packet.is_multi_buffer() || maps::redirects_multi_buffer()
}

/// Makes sure that the kernel, which knows nothing of VPCs, would send the packet where we want it. Private addresses
/// of two VPCs may overlap, and a packet in the wrong one is worse than a lost one.
#[inline(always)]
fn check_handover(
    packet: &Packet,
    arrival: &Arrival,
    binding: &Binding,
    asked: &Query,
    answer: &Route,
    egress: &Egress,
) -> Option<Verdict> {
    // Tags that no sub-interface carries are unknown to the kernel, which would send the packet without them.
    if egress.outer != 0 && egress.ifindex == answer.ifindex {
        return Some(Verdict::KernelRouteDiffers);
    }
    let several_vpcs = maps::settings().is_some_and(|settings| settings.check_handover != 0);
    if asked.constraint == 0 || !several_vpcs {
        return None;
    }
    let mut route = Route::NONE;
    let free = Query { constraint: 0, length: 0, ..*asked };
    ask(packet, arrival, &binding.rewrite, &free, &mut route);
    let found = matches!(route.answer, BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH);
    if found && route.ifindex == answer.ifindex { None } else { Some(Verdict::KernelRouteDiffers) }
}

/// How to ask the kernel's FIB.
#[derive(Clone, Copy)]
struct Query {
    /// Interface whose routing applies to what arrived.
    ingress: u32,
    /// Interface the route must leave by, 0 for whichever the FIB chooses.
    constraint: u32,
    /// IP total length to hold against the MTU; 0 skips that check.
    length: u16,
}

/// What the kernel's FIB says about a packet.
struct Route {
    /// One of `BPF_FIB_LKUP_RET_*`; an error of the helper is a value that is none of them.
    answer: u32,
    /// Interface the route leaves by, where a route was found.
    ifindex: u32,
    /// Address of the next hop, where a route was found.
    gateway: [u8; 4],
    /// MTU in bytes, with `BPF_FIB_LKUP_RET_FRAG_NEEDED`.
    mtu: u16,
    /// MAC of the interface, with `BPF_FIB_LKUP_RET_SUCCESS`.
    source: [u8; 6],
    /// MAC of the next hop, with `BPF_FIB_LKUP_RET_SUCCESS`.
    destination: [u8; 6],
}

impl Route {
    const NONE: Route = Route { answer: 0, ifindex: 0, gateway: [0; 4], mtu: 0, source: [0; 6], destination: [0; 6] };
}

/// Asks the kernel's FIB about the packet as it will be after translation.
///
/// The kernel answers in place and overwrites the question, so each question is made anew. A function of its own
/// keeps the question off the pipeline's stack.
#[inline(never)]
fn ask(packet: &Packet, arrival: &Arrival, rewrite: &Rewrite, query: &Query, route: &mut Route) {
    const AF_INET: u8 = 2;
    let ip = arrival.datagram.ip();
    let free = query.constraint == 0;
    let source = u32::from_ne_bytes(rewrite.source);
    let destination = u32::from_ne_bytes(rewrite.destination);
    // Field by field: zeroing it as a whole becomes a loop over bytes, which the verifier walks again for each caller.
    let mut fib = FibLookup {
        family: AF_INET,
        l4_protocol: ip.proto,
        sport: 0,
        dport: 0,
        __bindgen_anon_1: FibLength { tot_len: query.length },
        ifindex: if free { query.ingress } else { query.constraint },
        __bindgen_anon_2: FibTos { flowinfo: ip.tos as u32 },
        __bindgen_anon_3: FibSource { ipv6_src: [source, 0, 0, 0] },
        __bindgen_anon_4: FibDestination { ipv6_dst: [destination, 0, 0, 0] },
        __bindgen_anon_5: FibTable { tbid: 0 },
        smac: [0; 6],
        dmac: [0; 6],
    };
    let flags = if free { 0 } else { BPF_FIB_LOOKUP_OUTPUT };
    // SAFETY: the context is live, and the size is that of the struct behind the pointer.
    let answer =
        unsafe { bpf_fib_lookup(packet.context().as_ptr(), &raw mut fib, size_of::<FibLookup>() as i32, flags) };
    // SAFETY: the members of each union are integers, valid whatever the kernel wrote.
    let (mtu, gateway) = unsafe { (fib.__bindgen_anon_1.mtu_result, fib.__bindgen_anon_4.ipv4_dst) };
    *route = Route {
        answer: answer as u32,
        ifindex: fib.ifindex,
        gateway: gateway.to_ne_bytes(),
        mtu,
        source: fib.smac,
        destination: fib.dmac,
    };
}

/// Sends the translated packet on its way.
#[inline(always)]
pub fn send(packet: &mut Packet, frame: &Frame, binding: &Binding, next_hop: &NextHop) -> Result<Verdict, Verdict> {
    let hop = match next_hop {
        NextHop::Kernel(verdict) => return hand_over(packet, *verdict),
        NextHop::Redirect(Way::Known(hop)) => maps::hop(*hop).ok_or(Verdict::InternalError)?,
        NextHop::Redirect(Way::Asked) => maps::asked().ok_or(Verdict::InternalError)?,
    };
    let mut ip = packet.span::<{ Ipv4Hdr::LEN }>(frame.network).ok_or(Verdict::HeadersNotLinear)?;
    let (mut ttl, mut check) = (ip.half::<8>().to_ne_bytes(), ip.half::<10>().to_ne_bytes());
    ipv4::decrement_ttl(&mut ttl, &mut check);
    ip.set_half::<8>(u16::from_ne_bytes(ttl));
    ip.set_half::<10>(u16::from_ne_bytes(check));
    write_link_layer(packet, frame, hop).ok_or(Verdict::FrameResizeFailed)?;
    redirect(hop.ifindex);
    Ok(binding.verdict)
}

/// Marks a translated packet for the guard, which lets the kernel forward nothing without the mark: an instance that
/// forges a public source gets nowhere even if the program is taken off the interface.
#[inline(always)]
fn hand_over(packet: &mut Packet, verdict: Verdict) -> Result<Verdict, Verdict> {
    if let Some(settings) = maps::settings().filter(|settings| settings.handover_mac != [0; 6]) {
        packet.header::<Ethernet>(0).ok_or(Verdict::HeadersNotLinear)?.source = settings.handover_mac;
    }
    Ok(verdict)
}

/// Writes Ethernet header and tags as the next hop wants them, which moves the start of the frame where the number of
/// tags changes.
#[inline(always)]
fn write_link_layer(packet: &mut Packet, frame: &Frame, hop: &Hop) -> Option<()> {
    const ETHERNET: usize = size_of::<Ethernet>();
    let macs = wire::mac_words(&hop.macs);
    if hop.outer != 0 || frame.network != ETHERNET {
        write_tags(packet, frame.network, hop)?;
    }
    let mut ethernet = packet.span::<ETHERNET>(0)?;
    ethernet.set_word::<0>(macs[0]);
    ethernet.set_word::<4>(macs[1]);
    ethernet.set_word::<8>(macs[2]);
    Some(())
}

/// Makes room for the tags of the next hop in place of those the frame came with, and writes everything between the MAC
/// addresses and the IP header.
#[inline(never)]
fn write_tags(packet: &mut Packet, network: usize, hop: &Hop) -> Option<()> {
    const ETHERNET: usize = size_of::<Ethernet>();
    const TAG: usize = size_of::<Tag>();
    let wanted = if hop.inner != 0 {
        ETHERNET + 2 * TAG
    } else if hop.outer != 0 {
        ETHERNET + TAG
    } else {
        ETHERNET
    };
    if wanted != network {
        packet.move_start(network as i32 - wanted as i32)?;
    }
    let ethernet = packet.header::<Ethernet>(0)?;
    ethernet.ethertype = if hop.inner != 0 {
        wire::OUTER_TAG
    } else if hop.outer != 0 {
        wire::TAG
    } else {
        wire::IPV4
    };
    if hop.outer != 0 {
        let ethertype = if hop.inner != 0 { wire::TAG } else { wire::IPV4 };
        *packet.header::<Tag>(ETHERNET)? = Tag { control: hop.outer.to_be_bytes(), ethertype };
    }
    if hop.inner != 0 {
        *packet.header::<Tag>(ETHERNET + TAG)? = Tag { control: hop.inner.to_be_bytes(), ethertype: wire::IPV4 };
    }
    Some(())
}
