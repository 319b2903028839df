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
use nat_common::abi::Egress;
use nat_common::icmp::{Error, ErrorKind};
use nat_common::ipv4::{self, Rewrite};
use nat_common::verdict::Verdict;
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
    Redirect { egress: Egress, source: [u8; 6], destination: [u8; 6] },
    /// To the kernel, translated but otherwise as it arrived: the kernel takes the TTL down and finds the way.
    Kernel(Verdict),
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
    let refuse = |packet: &mut Packet, error| Err(reply::icmp_error(packet, arrival, payload, error));
    if datagram.ip.ttl <= 1 {
        return refuse(packet, Error::new(ErrorKind::TtlExceeded));
    }
    let constraint = if binding.vpc == 0 { 0 } else { maps::vpc_ifindex(binding.vpc).ok_or(Verdict::UnknownVpc)? };
    let mut route = Route::NONE;
    let query = Query { constraint, length: datagram.lengths.total as u16 };
    ask(packet, arrival, &binding.rewrite, &query, &mut route);
    let mut too_big = None;
    if route.answer == BPF_FIB_LKUP_RET_FRAG_NEEDED {
        // The kernel stops at the MTU and does not say which way; a length of 0 asks for that alone.
        too_big = Some(route.mtu);
        ask(packet, arrival, &binding.rewrite, &Query { constraint, length: 0 }, &mut route);
    }
    match route.answer {
        BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH => {}
        BPF_FIB_LKUP_RET_NOT_FWDED => return refuse(packet, Error::new(ErrorKind::NetUnreachable)),
        BPF_FIB_LKUP_RET_UNREACHABLE => return refuse(packet, Error::new(ErrorKind::HostUnreachable)),
        BPF_FIB_LKUP_RET_BLACKHOLE => return Err(Verdict::RouteBlackhole),
        BPF_FIB_LKUP_RET_PROHIBIT => return Err(Verdict::RouteProhibit),
        BPF_FIB_LKUP_RET_FWD_DISABLED => return Err(Verdict::ForwardingDisabled),
        BPF_FIB_LKUP_RET_UNSUPP_LWT => return Err(Verdict::TunnelRoute),
        _ => return Err(Verdict::RouteError),
    }
    let egress = maps::egress(route.ifindex, binding.vpc).ok_or(Verdict::WrongEgress)?;
    if let Some(mtu) = too_big {
        if ipv4::dont_fragment(&datagram.ip) {
            return refuse(packet, Error::too_big(mtu));
        }
        check_handover(packet, arrival, binding, constraint, route.ifindex, &egress)?;
        return Ok(NextHop::Kernel(Verdict::HandedFragmentation));
    }
    if route.answer == BPF_FIB_LKUP_RET_NO_NEIGH {
        if maps::is_unreachable(route.ifindex, route.gateway) {
            return refuse(packet, Error::new(ErrorKind::HostUnreachable));
        }
        check_handover(packet, arrival, binding, constraint, route.ifindex, &egress)?;
        return Ok(NextHop::Kernel(Verdict::HandedNeighbour));
    }
    Ok(NextHop::Redirect { egress, source: route.source, destination: route.destination })
}

/// Makes sure that the kernel, which knows nothing of VPCs, would send the packet where we want it. Private addresses
/// of two VPCs may overlap, and a packet in the wrong one is worse than a lost one.
#[inline(always)]
fn check_handover(
    packet: &Packet,
    arrival: &Arrival,
    binding: &Binding,
    constraint: u32,
    wanted: u32,
    egress: &Egress,
) -> Result<(), Verdict> {
    // Tags that no sub-interface carries are unknown to the kernel, which would send the packet without them.
    if egress.outer != 0 && egress.ifindex == wanted {
        return Err(Verdict::KernelRouteDiffers);
    }
    let several_vpcs = maps::settings().is_some_and(|settings| settings.check_handover != 0);
    if constraint == 0 || !several_vpcs {
        return Ok(());
    }
    let mut route = Route::NONE;
    ask(packet, arrival, &binding.rewrite, &Query { constraint: 0, length: 0 }, &mut route);
    let found = matches!(route.answer, BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH);
    if found && route.ifindex == wanted { Ok(()) } else { Err(Verdict::KernelRouteDiffers) }
}

/// How to ask the kernel's FIB.
struct Query {
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
    let ip = &arrival.datagram.ip;
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
        ifindex: if free { arrival.link.fib_ifindex } else { query.constraint },
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
    let (egress, source, destination) = match next_hop {
        NextHop::Kernel(verdict) => return hand_over(packet, *verdict),
        NextHop::Redirect { egress, source, destination } => (egress, *source, *destination),
    };
    let ip = packet.header::<Ipv4Hdr>(frame.network).ok_or(Verdict::HeadersNotLinear)?;
    ipv4::decrement_ttl(ip);
    write_link_layer(packet, frame, egress, source, destination).ok_or(Verdict::FrameResizeFailed)?;
    redirect(egress.ifindex);
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

/// Writes Ethernet header and tags as the egress wants them, which moves the start of the frame where the number of
/// tags changes.
#[inline(always)]
fn write_link_layer(
    packet: &mut Packet,
    frame: &Frame,
    egress: &Egress,
    source: [u8; 6],
    destination: [u8; 6],
) -> Option<()> {
    const ETHERNET: usize = size_of::<Ethernet>();
    const TAG: usize = size_of::<Tag>();
    let wanted = if egress.inner != 0 {
        ETHERNET + 2 * TAG
    } else if egress.outer != 0 {
        ETHERNET + TAG
    } else {
        ETHERNET
    };
    if wanted != frame.network {
        packet.move_start(frame.network as i32 - wanted as i32)?;
    }
    let ethertype = if egress.inner != 0 {
        wire::OUTER_TAG
    } else if egress.outer != 0 {
        wire::TAG
    } else {
        wire::IPV4
    };
    *packet.header::<Ethernet>(0)? = Ethernet { destination, source, ethertype };
    if egress.outer != 0 {
        let ethertype = if egress.inner != 0 { wire::TAG } else { wire::IPV4 };
        *packet.header::<Tag>(ETHERNET)? = Tag { control: egress.outer.to_be_bytes(), ethertype };
    }
    if egress.inner != 0 {
        *packet.header::<Tag>(ETHERNET + TAG)? = Tag { control: egress.inner.to_be_bytes(), ethertype: wire::IPV4 };
    }
    Some(())
}
