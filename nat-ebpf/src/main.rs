//! The life of a packet: parse, look up, police, rewrite, forward, each an early exit with a [`Verdict`].
//!
//! This file is the pipeline and reads top to bottom; the steps are in the modules. Default deny: whatever no step
//! claims is dropped with its reason, because `XDP_PASS` means that the kernel forwards the packet untranslated.
#![no_std]
#![no_main]
// Packets are read in words of any alignment, which takes single instructions: `packet::Span`.
#![feature(asm_experimental_arch)]

mod common;
mod forward;
mod lookup;
mod maps;
mod monitor;
mod packet;
mod parse;
mod reply;
mod translate;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use nat_common::verdict::{Action, Verdict};
use nat_common::wire;

use crate::monitor::Report;
use crate::packet::Packet;

/// The program on every uplink and downlink.
#[xdp(frags)]
pub fn eipgate(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(ctx);
    let report = Report::begin();
    // Of all buffers, which data and data_end do not tell.
    let length = packet.length();
    let common = if report.is_watched() { None } else { common::carry(&mut packet) };
    let verdict = match common {
        Some(verdict) => verdict,
        None => judge(&mut packet, &report),
    };
    // The one place that counts a verdict, so every packet has exactly one (invariant 4).
    if let Some(counter) = maps::verdict_counter(verdict) {
        counter.packets += 1;
        counter.bytes += length as u64;
    }
    report.finish(&packet, verdict, length);
    match verdict.action() {
        Action::Forward | Action::Reply => XDP_REDIRECT,
        Action::Pass => XDP_PASS,
        Action::Drop => {
            log_drop(&packet, verdict);
            XDP_DROP
        }
    }
}

/// For whoever debugs the program itself; the verifier removes it unless `program_log` asks for it.
#[inline(never)]
fn log_drop(packet: &Packet, verdict: Verdict) {
    debug!(packet.context(), "interface {}: dropped, verdict {}", packet.ifindex(), verdict as u32);
}

/// One packet from arrival to its verdict. A function of its own, so that what comes after it has the stack again.
#[inline(never)]
fn judge(packet: &mut Packet, report: &Report) -> Verdict {
    match steps(packet, report) {
        Ok(verdict) | Err(verdict) => verdict,
    }
}

#[inline(always)]
fn steps(packet: &mut Packet, report: &Report) -> Result<Verdict, Verdict> {
    let arrival = maps::arrival().ok_or(Verdict::InternalError)?;
    parse::frame(packet, &mut arrival.frame)?;
    match arrival.frame.ethertype() {
        wire::IPV4 => {}
        wire::ARP => return reply::arp(packet, &arrival.frame),
        wire::IPV6 => return Ok(Verdict::PassIpv6),
        _ => return Ok(Verdict::PassNotIp),
    }
    let link = maps::link(arrival.frame.link_key(packet.ifindex())).ok_or(Verdict::UnknownLink)?;
    arrival.link = link;
    parse::datagram(packet, arrival, link.mac)?;
    report.arrival(packet, arrival);

    let binding = lookup::binding(packet, arrival)?;
    let payload = translate::check(packet, &arrival.datagram, &binding)?;

    // Everything that needs the packet as it arrived, such as an ICMP error quoting it, is behind us once the next
    // hop is decided; only then is the first byte written.
    let next_hop = forward::next_hop(packet, arrival, &binding, &payload)?;
    report.departure(&binding);

    translate::write(packet, &arrival.datagram, &binding, &payload)?;
    lookup::count(binding.source_slot, binding.destination_slot, arrival.datagram.lengths.total);
    forward::send(packet, &arrival.frame, &binding, &next_hop)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // Unreachable: nothing here can panic, and the verifier would refuse the endless loop if anything could.
    loop {}
}

/// `bpf_fib_lookup` is for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
