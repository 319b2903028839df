//! The maps the daemon fills and the program reads, one name each; their types are in `nat_common::abi`.
//!
//! Sizes here are defaults. The daemon sets those that depend on its configuration before it loads the program.

use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use nat_common::abi::{
    AddressCounters, Bucket, ConnectedKey, Egress, EgressKey, Event, ICMP_BUCKETS, Inbound, Link, LinkKey,
    MONITOR_BUCKETS, NextHopKey, Outbound, PrivateAddr, PrivateKey, PublicAddr, Settings, VerdictCounter, Vpc,
};
use nat_common::verdict::Verdict;

use crate::parse::Arrival;

#[map]
static INBOUND: HashMap<PublicAddr, Inbound> = HashMap::with_max_entries(65_536, 0);
#[map]
static OUTBOUND: HashMap<PrivateKey, Outbound> = HashMap::with_max_entries(65_536, 0);
#[map]
static COUNTERS: PerCpuArray<AddressCounters> = PerCpuArray::with_max_entries(65_536, 0);
#[map]
static VERDICTS: PerCpuArray<VerdictCounter> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);
#[map]
static LINKS: HashMap<LinkKey, Link> = HashMap::with_max_entries(4096, 0);
#[map]
static EGRESS: HashMap<EgressKey, Egress> = HashMap::with_max_entries(4096, 0);
#[map]
static VPCS: HashMap<u32, Vpc> = HashMap::with_max_entries(4096, 0);
#[map]
static PREFIXES: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(4096, 0);
#[map]
static OWN: HashMap<PrivateKey, u32> = HashMap::with_max_entries(4096, 0);
#[map]
static CONNECTED: LpmTrie<ConnectedKey, u32> = LpmTrie::with_max_entries(4096, 0);
#[map]
static UNREACHABLE: LruHashMap<NextHopKey, u32> = LruHashMap::with_max_entries(65_536, 0);
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static BUCKETS: Array<Bucket> = Array::with_max_entries(ICMP_BUCKETS + MONITOR_BUCKETS, 0);
/// The packet and the event in hand on this CPU: they would not fit on the program's stack of 512 bytes.
#[map]
static ARRIVAL: PerCpuArray<Arrival> = PerCpuArray::with_max_entries(1, 0);
#[map]
static EVENT: PerCpuArray<Event> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// The value of a hash map entry, copied out.
macro_rules! copied {
    ($map:ident, $key:expr) => {
        // SAFETY: entries are plain data of any bit pattern. A preallocated entry may be reused while it is read, but
        // only after its removal, and the daemon orders removals so that a packet racing one may be dropped or
        // carried by the old pair, never by a third (`dataplane::bindings`).
        unsafe { $map.get($key) }.copied()
    };
}

/// Whose a public address is.
#[inline(always)]
pub fn inbound(public: [u8; 4]) -> Option<Inbound> {
    copied!(INBOUND, &PublicAddr(public))
}

/// What an instance is called outside; `None` where the address is no instance's.
#[inline(always)]
pub fn outbound(vpc: u32, private: [u8; 4]) -> Option<Outbound> {
    copied!(OUTBOUND, &PrivateKey { vpc, address: PrivateAddr(private) })
}

/// The uplink or downlink a frame arrived by.
#[inline(always)]
pub fn link(key: LinkKey) -> Option<Link> {
    copied!(LINKS, &key)
}

/// How a frame leaves by an interface the FIB named; `vpc` 0 asks for an uplink.
#[inline(always)]
pub fn egress(fib_ifindex: u32, vpc: u32) -> Option<Egress> {
    copied!(EGRESS, &EgressKey { fib_ifindex, vpc })
}

/// The interface to constrain a VPC's routes to, 0 for none; `None` where the VPC has no downlink.
#[inline(always)]
pub fn vpc_ifindex(vpc: u32) -> Option<u32> {
    // SAFETY: as in `copied!`; only one field is read.
    unsafe { VPCS.get(&vpc) }.map(|vpc| vpc.fib_ifindex)
}

/// What is known about the range an address lies in: `PREFIX_*` flags, 0 for nothing.
#[inline(always)]
pub fn prefix_flags(address: [u8; 4]) -> u32 {
    PREFIXES.get(Key::new(32, address)).copied().unwrap_or(0)
}

/// Whether an address is the gateway's own and reachable from every link (`vpc` 0) or from that VPC.
#[inline(always)]
pub fn is_own(vpc: u32, address: [u8; 4]) -> bool {
    let key = PrivateKey { vpc, address: PrivateAddr(address) };
    // SAFETY: as in `copied!`; only the presence of the entry counts.
    unsafe { OWN.get(&key) }.is_some()
}

/// Whether an address lies in a prefix connected to the VPC's downlinks.
#[inline(always)]
pub fn is_connected(vpc: u32, address: [u8; 4]) -> bool {
    CONNECTED.get(Key::new(64, ConnectedKey { vpc, address })).is_some()
}

/// Whether a next hop is known not to answer ARP.
#[inline(always)]
pub fn is_unreachable(fib_ifindex: u32, address: [u8; 4]) -> bool {
    // SAFETY: as in `copied!`; only the presence of the entry counts.
    unsafe { UNREACHABLE.get(&NextHopKey { fib_ifindex, address }) }.is_some()
}

/// The settings, where the daemon has written them.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// A token bucket.
#[inline(always)]
pub fn bucket(index: u32) -> Option<&'static mut Bucket> {
    // SAFETY: the pointer is to a live array element. CPUs may race on it; `police::admit` says what that costs.
    BUCKETS.get_ptr_mut(index).map(|bucket| unsafe { &mut *bucket })
}

/// The counters of an address on this CPU.
#[inline(always)]
pub fn counters(slot: u32) -> Option<&'static mut AddressCounters> {
    // SAFETY: a per-CPU element; XDP runs to completion on its CPU, so nothing else writes it meanwhile.
    COUNTERS.get_ptr_mut(slot).map(|counters| unsafe { &mut *counters })
}

/// The counter of a verdict on this CPU.
#[inline(always)]
pub fn verdict_counter(verdict: Verdict) -> Option<&'static mut VerdictCounter> {
    // SAFETY: as in `counters`.
    VERDICTS.get_ptr_mut(verdict as u32).map(|counter| unsafe { &mut *counter })
}

/// Room for an event on this CPU.
#[inline(always)]
pub fn event() -> Option<&'static mut Event> {
    // SAFETY: as in `counters`.
    EVENT.get_ptr_mut(0).map(|event| unsafe { &mut *event })
}

/// Room for the packet in hand on this CPU, with whatever the last packet left there.
#[inline(always)]
pub fn arrival() -> Option<&'static mut Arrival> {
    // SAFETY: as in `counters`. The element is zeroed memory or what an earlier run left, both of them values: every
    // field is an integer or an array of integers.
    ARRIVAL.get_ptr_mut(0).map(|arrival| unsafe { &mut *arrival })
}
