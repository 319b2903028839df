//! The maps the daemon fills and the program reads, one name each; their types are in `nat_common::abi`.
//!
//! Sizes here are defaults. The daemon sets those that depend on its configuration before it loads the program.

use core::ptr;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use nat_common::abi::{
    self, AddressCounters, Bucket, ConnectedKey, Egress, EgressKey, Event, Hop, ICMP_BUCKETS,
    LINK_SLOTS as LINK_SLOT_COUNT, Link, LinkKey, LinkSlot, MARK_WORDS, MONITOR_BUCKETS, NO_SLOT, NextHopKey, PageSlot,
    PrivateAddr, PrivateKey, Settings, Sparse, VerdictCounter, Vpc,
};
use nat_common::pairs::{self, ASK_HASH, Inbound, Outbound, PAGE, Page};
use nat_common::verdict::Verdict;

use crate::parse::Arrival;

/// Bits of an inbound cell that index counters; follows from the greatest number of pairs.
#[unsafe(no_mangle)]
static SLOT_BITS: Global<u32> = Global::new(16);
/// Counters of addresses that each CPU has; 0 where addresses are not counted.
#[unsafe(no_mangle)]
static COUNTERS_PER_CPU: Global<u32> = Global::new(65_536);

/// A `PublicAddr` as the word it is in memory. Keys of the pair tables are words, because the compiler writes a key of
/// bytes byte by byte, and the kernel, which hashes words, then waits for all of them.
type PublicKey = u32;
/// A `PrivateKey` as the two words it is in memory.
type InstanceKey = [u32; 2];

// The arrays of cells, hops, marks and counters are memory the daemon has mapped: it changes a word by one store.

#[map]
static INBOUND_PAGES: HashMap<PublicKey, u64> = HashMap::with_max_entries(512, 0);
#[map]
static INBOUND_CELLS: Array<u64> = Array::with_max_entries(512 * PAGE, BPF_F_MMAPABLE);
#[map]
static INBOUND_SPARSE: HashMap<PublicKey, Sparse> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);
#[map]
static OUTBOUND_PAGES: HashMap<InstanceKey, u64> = HashMap::with_max_entries(512, 0);
#[map]
static OUTBOUND_CELLS: Array<u64> = Array::with_max_entries(512 * PAGE, BPF_F_MMAPABLE);
#[map]
static OUTBOUND_SPARSE: HashMap<InstanceKey, Sparse> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);
#[map]
static PAGE_SLOTS: Array<PageSlot> = Array::with_max_entries(pairs::PAGE_SLOTS, BPF_F_MMAPABLE);
#[map]
static COUNTERS: Array<AddressCounters> = Array::with_max_entries(65_536, BPF_F_MMAPABLE);
#[map]
static VERDICTS: PerCpuArray<VerdictCounter> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);
#[map]
static LINKS: HashMap<LinkKey, Link> = HashMap::with_max_entries(4096, 0);
#[map]
static LINK_SLOTS: Array<LinkSlot> = Array::with_max_entries(LINK_SLOT_COUNT, BPF_F_MMAPABLE);
#[map]
static HOPS: Array<Hop> = Array::with_max_entries(65_536, BPF_F_MMAPABLE);
#[map]
static MARKS: Array<u64> = Array::with_max_entries(2 * MARK_WORDS, BPF_F_MMAPABLE);
#[map]
static EGRESS: HashMap<EgressKey, Egress> = HashMap::with_max_entries(4096, 0);
#[map]
static VPCS: HashMap<u32, Vpc> = HashMap::with_max_entries(4096, 0);
#[map]
static PREFIXES: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(1 << 20, 0);
#[map]
static OWN: HashMap<PrivateKey, u32> = HashMap::with_max_entries(4096, 0);
#[map]
static CONNECTED: LpmTrie<ConnectedKey, u32> = LpmTrie::with_max_entries(4096, 0);
#[map]
static UNREACHABLE: LruHashMap<NextHopKey, u32> = LruHashMap::with_max_entries(8192, 0);
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static BUCKETS: Array<Bucket> = Array::with_max_entries(ICMP_BUCKETS + MONITOR_BUCKETS, 0);
/// The packet and the event in hand on this CPU: they would not fit on the program's stack of 512 bytes.
#[map]
static ARRIVAL: PerCpuArray<Arrival> = PerCpuArray::with_max_entries(1, 0);
/// The next hop of the packet in hand, where the kernel was asked for it.
#[map]
static ASKED: PerCpuArray<Hop> = PerCpuArray::with_max_entries(1, 0);
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

/// One 64-bit word of a map, read once and whole.
macro_rules! word {
    ($word:expr) => {
        // SAFETY: the reference is to eight aligned bytes of a live map entry; the daemon writes such words whole.
        unsafe { ptr::read_volatile(ptr::from_ref($word)) }
    };
}

/// Finds a cell: in the page of its network, or in the table of those that are alone there. 0 where there is none.
macro_rules! cell {
    ($pages:ident, $cells:ident, $sparse:ident, $vpc:expr, $address:expr, $key:expr, $reach:expr) => {{
        let network = pairs::network($address);
        let page = match near_page($vpc, network) {
            0 => None,
            // SAFETY: as in `copied!`; the entry is one word, which says itself whose page it is.
            ASK_HASH => unsafe { $pages.get(&$key(network)) }.and_then(|page| Page(word!(page)).number($vpc, network)),
            near => Some((near - 1) as u32),
        };
        match page {
            Some(number) => {
                let index = number.wrapping_mul(PAGE).wrapping_add(pairs::cell_in_page($address));
                $reach(index);
                $cells.get(index).map_or(0, |cell| word!(cell))
            }
            // SAFETY: as in `copied!`. The tag is read after the cell: an entry that became another one's meanwhile had
            // its tag written before its cell.
            None => match unsafe { $sparse.get(&$key($address)) } {
                Some(entry) => {
                    let cell = word!(&entry.cell);
                    if word!(&entry.tag) == pairs::tag($vpc, $address) { cell } else { 0 }
                }
                None => 0,
            },
        }
    }};
}

/// Number of a network's page and one, 0 where it has none, [`ASK_HASH`] where its slot does not tell.
#[inline(always)]
fn near_page(vpc: u32, network: [u8; 4]) -> u64 {
    let Some(slot) = PAGE_SLOTS.get(pairs::page_slot(vpc, network)) else { return ASK_HASH };
    // In this order: the key is written before the page.
    let page = word!(&slot.page);
    if page == 0 || word!(&slot.key) == pairs::tag(vpc, network) { page } else { ASK_HASH }
}

/// Whose a public address is, packed; 0 where it is nobody's.
#[inline(always)]
pub fn inbound_cell(public: [u8; 4]) -> u64 {
    cell!(INBOUND_PAGES, INBOUND_CELLS, INBOUND_SPARSE, 0, public, u32::from_ne_bytes, reach_for_counters)
}

/// What an inbound cell that is not 0 says.
#[inline(always)]
pub fn inbound(cell: u64) -> Inbound {
    Inbound::unpack(cell, SLOT_BITS.load())
}

/// What an instance is called outside, packed; 0 where the address is no instance's.
#[inline(always)]
pub fn outbound_cell(vpc: u32, private: [u8; 4]) -> u64 {
    let key = |address| [vpc, u32::from_ne_bytes(address)];
    cell!(OUTBOUND_PAGES, OUTBOUND_CELLS, OUTBOUND_SPARSE, vpc, private, key, |_| {})
}

/// The public address of an instance and its counters; [`PublicAddr::NONE`] where it has none or is no instance.
///
/// A function of its own for what is rare.
#[inline(never)]
pub fn bound_instance(vpc: u32, private: [u8; 4]) -> u64 {
    let cell = outbound_cell(vpc, private);
    if cell == 0 { Outbound::NOWHERE.pack() } else { cell }
}

/// Whether a public address is bound. A function of its own for what is rare.
#[inline(never)]
pub fn is_bound(public: [u8; 4]) -> bool {
    inbound_cell(public) != 0
}

/// A next hop.
#[inline(always)]
pub fn hop(index: u32) -> Option<&'static Hop> {
    HOPS.get(index)
}

/// The uplink or downlink a frame arrived by.
#[inline(always)]
pub fn link(key: LinkKey) -> Option<Link> {
    if let Some(slot) = LINK_SLOTS.get(abi::link_slot(&key))
        && slot.key == key
    {
        return Some(slot.link);
    }
    // As in `copied!`; between removing a link and adding one the daemon waits until no packet can still look at the
    // entry, so the memory never becomes another link's under a reader.
    copied!(LINKS, &key)
}

/// A link without tags, where its own slot has it.
#[inline(always)]
pub fn untagged_link(ifindex: u32) -> Option<UntaggedLink> {
    let slot = LINK_SLOTS.get(ifindex % LINK_SLOT_COUNT)?;
    let LinkKey { ifindex: there, outer, inner } = slot.key;
    (there == ifindex && outer | inner == 0).then_some(UntaggedLink(slot))
}

/// A link without tags, in its slot.
pub struct UntaggedLink(&'static LinkSlot);

impl UntaggedLink {
    /// `SIDE_*`.
    #[inline(always)]
    pub fn side(&self) -> u32 {
        self.0.link.side
    }

    /// VPC of a downlink.
    #[inline(always)]
    pub fn vpc(&self) -> u32 {
        self.0.link.vpc
    }

    /// `LINK_*` flags.
    #[inline(always)]
    pub fn flags(&self) -> u16 {
        self.0.link.flags
    }

    /// Whether this is the MAC address of the link, given as its first four and last two bytes lie in memory.
    #[inline(always)]
    pub fn is_at(&self, first: u32, last: u16) -> bool {
        let mac = (&raw const self.0.link.mac).cast::<u32>();
        // SAFETY: six bytes of a live element that begin at a multiple of four, because the element and all in front of
        // them in it do; the compiler knows the bytes only as bytes and would read them one by one.
        let there = unsafe { (mac.read(), mac.add(1).cast::<u16>().read()) };
        there == (first, last)
    }
}

/// Whether the address's /24 is marked in one half of `MARKS`: `MARKS_OF_PREFIXES` where some range the daemon knows
/// touches it, `MARKS_OF_ROUTES` where a route other than the default does too. In both are also the addresses that
/// are no host's on the Internet.
#[inline(always)]
pub fn is_marked(half: u32, address: [u8; 4]) -> bool {
    let (at, bit) = abi::mark(address);
    MARKS.get(half + at).is_none_or(|word| word & bit != 0)
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
    unsafe { VPCS.get(vpc) }.map(|vpc| vpc.fib_ifindex)
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
    unsafe { OWN.get(key) }.is_some()
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
    unsafe { UNREACHABLE.get(NextHopKey { fib_ifindex, address }) }.is_some()
}

/// The settings, where the daemon has written them.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Whether frames of several buffers may be redirected to every link.
#[inline(always)]
pub fn redirects_multi_buffer() -> bool {
    settings().is_some_and(|settings| settings.redirects_multi_buffer != 0)
}

/// A token bucket in its map, which other CPUs may be using as well.
pub struct SharedBucket(*mut Bucket);

/// A token bucket.
#[inline(always)]
pub fn bucket(index: u32) -> Option<SharedBucket> {
    BUCKETS.get_ptr_mut(index).map(SharedBucket)
}

impl SharedBucket {
    /// Changes a copy and puts it back. What another CPU did meanwhile is lost; `police::admit` says what that costs.
    #[inline(always)]
    pub fn change<T>(&self, change: impl FnOnce(&mut Bucket) -> T) -> T {
        // SAFETY: the pointer is to a live array element, aligned as its type is. Nobody holds a reference to it, and
        // volatile accesses may race: each of the two words is read and written whole.
        let mut bucket = unsafe { self.0.read_volatile() };
        let answer = change(&mut bucket);
        // SAFETY: as above.
        unsafe { self.0.write_volatile(bucket) };
        answer
    }
}

/// Has the machine fetch the counters that an address most likely has while it fetches the address's cell: at a million
/// addresses both are far away, and one after the other they would take twice as long.
#[inline(always)]
fn reach_for_counters(slot: u32) {
    // So many are near anyway. The verifier knows the number and removes what it decides.
    const NEAR: u32 = 1 << 15;
    if COUNTERS_PER_CPU.load() <= NEAR {
        return;
    }
    if let Some(counters) = counters(slot) {
        word!(&counters.packets_in);
    }
}

/// The counters of an address on this CPU; `None` for [`NO_SLOT`], and where addresses are not counted.
#[inline(always)]
pub fn counters(slot: u32) -> Option<&'static mut AddressCounters> {
    let capacity = COUNTERS_PER_CPU.load();
    if slot == NO_SLOT || capacity == 0 {
        return None;
    }
    // SAFETY: reads the number of the CPU.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let element = COUNTERS.get_ptr_mut(cpu.wrapping_mul(capacity).wrapping_add(slot))?;
    // SAFETY: XDP runs to completion on its CPU, so nothing else writes this CPU's element meanwhile but the daemon,
    // which clears it while no address has the slot.
    Some(unsafe { &mut *element })
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

/// Room for the kernel's answer on this CPU, with whatever the last one left there.
#[inline(always)]
pub fn asked() -> Option<&'static mut Hop> {
    // SAFETY: as in `counters`; any bits are a `Hop`.
    ASKED.get_ptr_mut(0).map(|hop| unsafe { &mut *hop })
}

/// Room for the packet in hand on this CPU, with whatever the last packet left there.
#[inline(always)]
pub fn arrival() -> Option<&'static mut Arrival> {
    // SAFETY: as in `counters`. The element is zeroed memory or what an earlier run left, both of them values: every
    // field is an integer or an array of integers.
    ARRIVAL.get_ptr_mut(0).map(|arrival| unsafe { &mut *arrival })
}
