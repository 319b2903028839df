//! The monitor: a report of a packet as the program judged it, through a ring buffer. Off, it costs one look at a
//! setting; on, a token bucket on each CPU bounds it.

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use nat_common::abi::{Event, ICMP_BUCKETS, MONITOR_BUCKETS, Settings};
use nat_common::ipv4::{self, protocol};
use nat_common::police::{self, Rate};
use nat_common::verdict::{Action, Verdict};

use crate::lookup::Binding;
use crate::maps;
use crate::packet::Packet;
use crate::parse::Arrival;

/// What will be told about the packet in hand; without settings nobody watches. The event itself is in a map.
pub struct Report {
    settings: Option<&'static Settings>,
}

impl Report {
    /// Looks whether anybody watches.
    #[inline(always)]
    pub fn begin() -> Report {
        let settings = maps::settings().filter(|settings| settings.monitor_until != 0);
        let report = Report { settings };
        if let Some(event) = report.event() {
            *event = Event::default();
        }
        report
    }

    /// Whether anybody watches.
    #[inline(always)]
    pub fn is_watched(&self) -> bool {
        self.settings.is_some()
    }

    #[inline(always)]
    fn event(&self) -> Option<&'static mut Event> {
        self.settings?;
        maps::event()
    }

    /// Notes the packet as it arrived.
    #[inline(always)]
    pub fn arrival(&self, packet: &Packet, arrival: &Arrival) {
        if let Some(event) = self.event() {
            note_arrival(event, packet, arrival);
        }
    }

    /// Notes the addresses the packet is given.
    #[inline(always)]
    pub fn departure(&self, binding: &Binding) {
        let Some(event) = self.event() else { return };
        if binding.vpc != 0 {
            event.vpc = binding.vpc;
        }
        event.source_after = binding.rewrite.source;
        event.destination_after = binding.rewrite.destination;
    }

    /// Tells the verdict to whoever watches.
    #[inline(always)]
    pub fn finish(&self, packet: &Packet, verdict: Verdict, length: usize) {
        let (Some(settings), Some(event)) = (self.settings, self.event()) else { return };
        event.ifindex = packet.ifindex();
        event.verdict = verdict as u32;
        if event.is_ipv4 == 0 {
            event.length = length as u32;
        }
        if settings.monitor_drops == 0 || verdict.action() == Action::Drop {
            tell(settings, event);
        }
    }
}

#[inline(never)]
fn note_arrival(event: &mut Event, packet: &Packet, arrival: &Arrival) {
    let Arrival { frame, link, datagram } = arrival;
    let ip = datagram.ip();
    event.is_ipv4 = 1;
    event.vpc = link.vpc;
    event.length = datagram.lengths.total as u32;
    event.source = ip.src_addr;
    event.destination = ip.dst_addr;
    event.protocol = ip.proto;
    event.outer = frame.tags[0].vlan();
    event.inner = frame.tags[1].vlan();
    let has_ports = matches!(
        ip.proto,
        protocol::TCP | protocol::UDP | protocol::DCCP | protocol::UDP_LITE | protocol::SCTP | protocol::ICMP
    );
    if has_ports && ipv4::fragment_offset(&ip) == 0 && datagram.payload() >= 4 {
        let [a, b, c, d] = packet.load(datagram.transport()).unwrap_or([0; 4]);
        event.source_port = [a, b];
        event.destination_port = [c, d];
    }
}

#[inline(never)]
fn tell(settings: &Settings, event: &mut Event) {
    let wanted = settings.monitor_address;
    let shown = wanted == event.source
        || wanted == event.destination
        || wanted == event.source_after
        || wanted == event.destination_after;
    if wanted != [0; 4] && !shown {
        return;
    }
    // SAFETY: reads a clock and a CPU number.
    let (now, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    let Some(bucket) = maps::bucket(ICMP_BUCKETS + cpu % MONITOR_BUCKETS) else { return };
    let rate = Rate::per_second(settings.monitor_per_second, settings.monitor_per_second);
    if now > settings.monitor_until || !bucket.change(|bucket| police::admit(bucket, rate, now)) {
        return;
    }
    event.time = now;
    if maps::EVENTS.output::<Event>(&*event, 0).is_err() {
        // A full ring is a watcher too slow to read; it learns of it from the same number as of the rate.
        bucket.change(|bucket| bucket.refused = bucket.refused.wrapping_add(1));
    }
}
