//! Map types: what the daemon writes and the XDP program reads.
//!
//! Every type is `repr(C)` without implicit padding, `bool` or enum (the derives refuse them), because hash keys are
//! compared byte by byte and a padded key would never be found again. The layout changes only together with
//! [`ABI_VERSION`], which names the pin directory, so no process ever opens maps it cannot read (invariant 8).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Version of the layout of every map and of the order of [`crate::verdict::Verdict`]. Whoever raises it teaches
/// `dataplane/earlier.rs` the layout there was.
pub const ABI_VERSION: u32 = if cfg!(feature = "next-layout") { 3 } else { 2 };

/// Names of the pinned maps; the pin file of a map has its name.
pub const MAP_NAMES: [&str; 22] = [
    "INBOUND_PAGES",
    "INBOUND_CELLS",
    "INBOUND_SPARSE",
    "OUTBOUND_PAGES",
    "OUTBOUND_CELLS",
    "OUTBOUND_SPARSE",
    "PAGE_SLOTS",
    "COUNTERS",
    "VERDICTS",
    "LINKS",
    "LINK_SLOTS",
    "HOPS",
    "MARKS",
    "EGRESS",
    "VPCS",
    "PREFIXES",
    "OWN",
    "CONNECTED",
    "UNREACHABLE",
    "SETTINGS",
    "BUCKETS",
    "EVENTS",
];

macro_rules! map_types {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[doc = $doc:expr])* $(#[cfg($cfg:meta)])? pub $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
            #[repr(C)]
            pub struct $name { $($(#[doc = $doc])* $(#[cfg($cfg)])? pub $field: $type,)* }
        )*

        /// Size and field offsets of every map type, for the layout snapshot.
        #[cfg(any(test, feature = "user"))]
        pub fn layout() -> Vec<(&'static str, usize, Vec<(&'static str, usize)>)> {
            vec![$((
                stringify!($name),
                size_of::<$name>(),
                [$($(#[cfg($cfg)])? (stringify!($field), core::mem::offset_of!($name, $field)),)*].to_vec(),
            ),)*]
        }

        // SAFETY: each type is `repr(C)`, and the zerocopy derives have proved that it has no padding and that every
        // bit pattern is a value of it, which is all that `Pod` asks for.
        $(#[cfg(feature = "user")] unsafe impl aya::Pod for $name {})*
    };
}

/// An Internet address from a pool, in wire order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(transparent)]
pub struct PublicAddr(pub [u8; 4]);

/// What an instance's NIC carries, unique only inside its VPC, in wire order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(transparent)]
pub struct PrivateAddr(pub [u8; 4]);

// SAFETY: transparent over `[u8; 4]`, which is plain data.
#[cfg(feature = "user")]
unsafe impl aya::Pod for PublicAddr {}
// SAFETY: transparent over `[u8; 4]`, which is plain data.
#[cfg(feature = "user")]
unsafe impl aya::Pod for PrivateAddr {}

impl PublicAddr {
    /// No public address: what the outbound table says of an instance that has none.
    pub const NONE: PublicAddr = PublicAddr([0; 4]);
}

map_types! {
    /// Key of `OUTBOUND_SPARSE`; with the last byte 0, of `OUTBOUND_PAGES`; and, with `vpc` 0 for "reachable from every
    /// link", of `OWN`.
    #[derive(Hash, PartialOrd, Ord)]
    pub struct PrivateKey {
        /// Number of the VPC, from its name; see [`vpc_number`]. Never 0 for an instance.
        pub vpc: u32,
        /// Address inside that VPC.
        pub address: PrivateAddr,
    }

    /// Value of `INBOUND_SPARSE`, keyed by [`PublicAddr`], and of `OUTBOUND_SPARSE`.
    pub struct Sparse {
        /// [`crate::pairs::tag`] of the entry's own key. The kernel may give the memory of an entry just removed to
        /// another one while a packet still looks at it; the packet sees that by the tag, which is written first and
        /// compared last.
        pub tag: u64,
        /// [`crate::pairs::Inbound`] or [`crate::pairs::Outbound`], packed.
        pub cell: u64,
    }

    /// Element of `PAGE_SLOTS`, a direct-mapped copy of a part of `INBOUND_PAGES` and `OUTBOUND_PAGES`: see
    /// [`crate::pairs::page_slot`]. Hashing costs more than all the rest of a look-up.
    ///
    /// An element never used is all zero, and then no network that has its place in it has a page. One that was used for
    /// one network is never used for another: a reader in between would take one's page for the other's.
    pub struct PageSlot {
        /// [`crate::pairs::tag`] of the network.
        pub key: u64,
        /// Number of its page and one; [`crate::pairs::ASK_HASH`] where it has none any more; 0 where none ever was.
        pub page: u64,
    }

    /// Element of `COUNTERS`: packets and IP total-length bytes of one public address on one CPU. Element
    /// `cpu * capacity + slot`, so that each CPU has a stretch of memory of its own.
    pub struct AddressCounters {
        /// Packets towards the instance.
        pub packets_in: u64,
        /// Bytes towards the instance.
        pub bytes_in: u64,
        /// Packets from the instance.
        pub packets_out: u64,
        /// Bytes from the instance.
        pub bytes_out: u64,
        /// Nothing: what makes the layout another one, for tests.
        #[cfg(feature = "next-layout")]
        pub spare: u64,
    }

    /// Value of `VERDICTS`, per CPU, indexed by [`crate::verdict::Verdict`].
    pub struct VerdictCounter {
        /// Packets with this verdict.
        pub packets: u64,
        /// Their bytes as frames on the wire.
        pub bytes: u64,
    }

    /// Key of `LINKS`: how a frame arrives. A missing tag is 0.
    #[derive(Hash, PartialOrd, Ord)]
    pub struct LinkKey {
        /// Index of the interface the program runs on.
        pub ifindex: u32,
        /// VLAN id of the outer (or only) tag.
        pub outer: u16,
        /// VLAN id of the inner tag.
        pub inner: u16,
    }

    /// Value of `LINKS`: an uplink or downlink as the program meets it.
    pub struct Link {
        /// [`SIDE_UPLINK`] or [`SIDE_DOWNLINK`].
        pub side: u32,
        /// VPC of a downlink; 0 on an uplink.
        pub vpc: u32,
        /// Interface whose routing applies to what arrives here: the VLAN sub-interface where the host has one.
        pub fib_ifindex: u32,
        /// The gateway's own address here, the source of its ICMP errors; 0.0.0.0 where it has none to show.
        pub address: [u8; 4],
        /// MAC address of the interface.
        pub mac: [u8; 6],
        /// `LINK_*` flags.
        pub flags: u16,
    }

    /// Element of `LINK_SLOTS`, a direct-mapped copy of a part of `LINKS`: see [`link_slot`].
    pub struct LinkSlot {
        /// The link this is; with `ifindex` 0, none.
        pub key: LinkKey,
        /// As in `LINKS`.
        pub link: Link,
    }

    /// Element of `HOPS`: a next hop. Element 0 is none, element [`DEFAULT_HOP`] that of the default route; each VPC has
    /// one that says no more than which VPC it is. It changes only after it was [`HOP_ASK`] for a grace period.
    pub struct Hop {
        /// [`HOP_NONE`], [`HOP_ASK`] or [`HOP_READY`].
        pub state: u32,
        /// VPC it leads into, 0 for the Internet.
        pub vpc: u32,
        /// Interface to transmit by.
        pub ifindex: u32,
        /// Longest IP packet that fits, in bytes.
        pub mtu: u32,
        /// VLAN id of the outer (or only) tag, 0 for none.
        pub outer: u16,
        /// VLAN id of the inner tag, 0 for none.
        pub inner: u16,
        /// MAC of the next hop, then that of the interface it leaves by, as a frame begins.
        pub macs: [u8; 12],
    }

    /// Key of `EGRESS`: where the kernel's route leads, and for whom.
    #[derive(Hash, PartialOrd, Ord)]
    pub struct EgressKey {
        /// Interface named by the FIB.
        pub fib_ifindex: u32,
        /// VPC of a downlink; 0 on an uplink.
        pub vpc: u32,
    }

    /// Value of `EGRESS`: how a frame leaves.
    pub struct Egress {
        /// Interface to transmit by.
        pub ifindex: u32,
        /// VLAN id of the outer (or only) tag, 0 for none.
        pub outer: u16,
        /// VLAN id of the inner tag, 0 for none.
        pub inner: u16,
    }

    /// Value of `VPCS`, keyed by VPC number.
    pub struct Vpc {
        /// The only downlink's interface for routing, or 0 where several downlinks share the VPC and the FIB chooses.
        pub fib_ifindex: u32,
        /// Length of `name` in use.
        pub name_length: u32,
        /// Name as the operator wrote it, for readers of the pinned maps.
        pub name: [u8; 32],
    }

    /// Data part of an LPM key of `CONNECTED`: a prefix connected to a VPC's downlinks.
    #[derive(Hash, PartialOrd, Ord)]
    pub struct ConnectedKey {
        /// VPC number, always matched in full.
        pub vpc: u32,
        /// Network address.
        pub address: [u8; 4],
    }

    /// Key of `UNREACHABLE`: a next hop that does not answer ARP.
    #[derive(Hash, PartialOrd, Ord)]
    pub struct NextHopKey {
        /// Interface named by the FIB.
        pub fib_ifindex: u32,
        /// Address of the next hop.
        pub address: [u8; 4],
    }

    /// The only value of `SETTINGS`.
    pub struct Settings {
        /// The monitor is on until this time (`CLOCK_MONOTONIC` nanoseconds); 0 is off, and then no clock is read.
        pub monitor_until: u64,
        /// The monitor reports only packets that show this address before or after translation; 0.0.0.0 is all.
        pub monitor_address: [u8; 4],
        /// 1: the monitor reports only drops.
        pub monitor_drops: u32,
        /// 1: more than one VPC exists, so the kernel's own route must be compared before it is handed a packet.
        pub check_handover: u32,
        /// ICMP errors the gateway sends to one source: this many a second on average ...
        pub icmp_errors_per_second: u32,
        /// ... and this many at once.
        pub icmp_error_burst: u32,
        /// Reports of the monitor a second, on each CPU; its bucket counts the rest as refused.
        pub monitor_per_second: u32,
        /// Source MAC of packets handed to the kernel: a secret by which the guard knows that the program has judged
        /// and translated them. Zero leaves the MAC as it arrived, and the guard stops the packet.
        pub handover_mac: [u8; 6],
        /// Zero.
        pub reserved: [u8; 2],
        /// What the maps were made for: public addresses bound at one time, ...
        pub max_pairs: u32,
        /// ... instances, ...
        pub max_instances: u32,
        /// ... and counters on each CPU, 0 where addresses are not counted.
        pub counters_per_cpu: u32,
        /// 1: frames of several buffers may be redirected to every link. Before Linux 6.3 the kernel redirects none, and
        /// some drivers send none.
        pub redirects_multi_buffer: u32,
    }

    /// Value of `BUCKETS`: state of a token bucket, as the virtual time of GCRA.
    pub struct Bucket {
        /// Theoretical arrival time of the next conforming event, `CLOCK_MONOTONIC` nanoseconds.
        pub next: u64,
        /// Events refused so far.
        pub refused: u64,
    }

    /// A packet as the program judged it, for the monitor.
    pub struct Event {
        /// `CLOCK_MONOTONIC` nanoseconds.
        pub time: u64,
        /// Interface the packet came by.
        pub ifindex: u32,
        /// Index of the verdict.
        pub verdict: u32,
        /// VPC of the downlink it came by or was translated for, 0 where there is none.
        pub vpc: u32,
        /// IP total length, or the frame's length where it is not IPv4.
        pub length: u32,
        /// Addresses as it arrived.
        pub source: [u8; 4],
        /// Addresses as it arrived.
        pub destination: [u8; 4],
        /// Addresses as it left; zero where it was not translated.
        pub source_after: [u8; 4],
        /// Addresses as it left; zero where it was not translated.
        pub destination_after: [u8; 4],
        /// Ports in wire order, or ICMP type and code, and identifier; zero where there are none.
        pub source_port: [u8; 2],
        /// See `source_port`.
        pub destination_port: [u8; 2],
        /// IP protocol number.
        pub protocol: u8,
        /// 1: IPv4 fields are filled.
        pub is_ipv4: u8,
        /// VLAN ids, outermost first, 0 for none.
        pub outer: u16,
        /// VLAN ids, outermost first, 0 for none.
        pub inner: u16,
        /// Zero.
        pub reserved: [u8; 6],
    }
}

/// [`Link::side`] of an interface towards the Internet.
pub const SIDE_UPLINK: u32 = 1;
/// [`Link::side`] of an interface towards the instances.
pub const SIDE_DOWNLINK: u32 = 2;

/// Flag of [`Link`]: packets that arrive here may use ready next hops; without it the kernel is asked about each.
pub const LINK_USES_HOPS: u16 = 1;

/// Number of elements of `LINK_SLOTS`.
pub const LINK_SLOTS: u32 = 256;

/// The element of `LINK_SLOTS` a link may be found in; where another link is there, `LINKS` has it.
#[inline(always)]
pub const fn link_slot(key: &LinkKey) -> u32 {
    let tags = (key.outer as u32).wrapping_mul(31) ^ (key.inner as u32).wrapping_mul(7);
    (key.ifindex ^ tags) % LINK_SLOTS
}

/// [`Hop::state`] of an element that is not in use.
pub const HOP_NONE: u32 = 0;
/// [`Hop::state`]: the VPC is known, the rest is the kernel's to tell.
pub const HOP_ASK: u32 = 1;
/// [`Hop::state`]: everything is known and true.
pub const HOP_READY: u32 = 2;

/// Element of `HOPS` for what the default route leads to.
pub const DEFAULT_HOP: u32 = 1;

/// A counter index that names no counters.
pub const NO_SLOT: u32 = u32::MAX;

/// `MARKS` has one bit for each /24 of the address space, twice. The first half marks those that a range of `PREFIXES`
/// touches and those of [`crate::ipv4::MARTIANS`], so that the others need no further look.
pub const MARKS_OF_PREFIXES: u32 = 0;
/// The second half of `MARKS` marks those of the first, and those that a route other than the default touches.
pub const MARKS_OF_ROUTES: u32 = MARK_WORDS;
/// Words of 64 bits in one half of `MARKS`.
pub const MARK_WORDS: u32 = 1 << 18;

/// The word in a half of `MARKS`, and the bit in it, for the /24 an address lies in.
#[inline(always)]
pub const fn mark(address: [u8; 4]) -> (u32, u64) {
    let network = u32::from_be_bytes(address) >> 8;
    (network / 64, 1 << (network % 64))
}

/// Flag in a value of `PREFIXES`: the range belongs to a pool. The longest prefix wins, so the daemon gives a nested
/// range the flags of the ranges around it too.
pub const PREFIX_POOL: u32 = 1;
/// Flag in a value of `PREFIXES`: sources in the range are accepted on an uplink although they are martian.
pub const PREFIX_MARTIAN_EXCEPTION: u32 = 2;

/// Flag in a value of `PREFIXES`: one of the gateway's own addresses; `OWN` says from where it may be reached.
pub const PREFIX_OWN: u32 = 4;
/// Flag in a value of `PREFIXES`, beside [`PREFIX_OWN`]: an address at which instances ask about themselves, so only
/// instances reach it, not whoever else is in a downlink's network.
pub const PREFIX_INSTANCES_ONLY: u32 = 8;

/// Number of token buckets for ICMP errors. Senders share them by hash, so one sender's flood silences few others.
pub const ICMP_BUCKETS: u32 = 1024;
/// Number of token buckets of the monitor, one for a CPU, in `BUCKETS` behind those for ICMP errors.
pub const MONITOR_BUCKETS: u32 = 256;

/// Number of a VPC in the maps: FNV-1a of its name, never 0.
///
/// It follows from the name alone, so a restart with other downlinks configured never gives one VPC's number to
/// another while packets flow. The daemon refuses two names with one number.
pub fn vpc_number(name: &str) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in name.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    if hash == 0 { 1 } else { hash }
}
