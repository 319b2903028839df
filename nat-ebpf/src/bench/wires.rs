//! What the benchmark's programs and the process that drives them say to each other: plain data of maps, and the layout
//! of the frames. Both sides include this very file. Addresses are numbers in host order, for arithmetic.

/// Towards the instances: destination public.
pub const INBOUND: u32 = 0;
/// From the instances: source private.
pub const OUTBOUND: u32 = 1;
/// From one instance to the public address of another.
pub const HAIRPIN: u32 = 2;

/// Each packet is of a pair chosen at random.
pub const RANDOM: u32 = 0;
/// The pairs in order, by the number of the packet.
pub const IN_ORDER: u32 = 1;

/// All packets of a pair are one flow.
pub const ONE_FLOW: u32 = 0;
/// Every packet has a source port and a remote address of its own.
pub const NEW_FLOWS: u32 = 1;

/// The sink only counts.
pub const COUNT: u32 = 0;
/// The sink copies every frame.
pub const COPY: u32 = 1;
/// The sink copies one frame of [`SAMPLE_OF`].
pub const SAMPLE: u32 = 2;
/// The sink notes when the watched destination was first seen.
pub const WATCH: u32 = 3;

/// Of how many frames one is copied by a sampling sink; a power of two.
pub const SAMPLE_OF: u64 = 64;

/// Ports of every packet, unless every packet is a new flow.
pub const SOURCE_PORT: u16 = 4000;
/// The port every packet is sent to; the sink counts nothing else.
pub const DESTINATION_PORT: u16 = 5000;
/// TTL of every packet as it is sent.
pub const TTL: u8 = 64;
/// Starts the UDP payload; the pair's index follows.
pub const MAGIC: u32 = 0x6569_7062;

/// Bytes of Ethernet, IPv4 and UDP header and of the eight bytes of payload that are not zero.
pub const WRITTEN: usize = 14 + 20 + 8 + 8;
/// Frames up to this length are copied whole into a small record.
pub const SHORT: usize = 124;
/// The longest frame that is copied.
pub const LONG: usize = 1532;

/// The packets to be generated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Number of pairs to choose from.
    pub pairs: u32,
    /// First public address.
    pub public: u32,
    /// From one public address to the next.
    pub public_step: u32,
    /// First private address; the next ones follow.
    pub private: u32,
    /// The address on the Internet.
    pub remote: u32,
    /// [`INBOUND`], [`OUTBOUND`] or [`HAIRPIN`].
    pub direction: u32,
    /// [`RANDOM`] or [`IN_ORDER`].
    pub order: u32,
    /// [`ONE_FLOW`] or [`NEW_FLOWS`].
    pub flows: u32,
    /// Bytes of the frame.
    pub length: u32,
    /// Interface the frames are redirected into.
    pub ifindex: u32,
    /// Ethernet addresses, destination first, as they stand in the frame.
    pub ethernet: [u8; 12],
}

/// What the sink does beside counting.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// [`COUNT`], [`COPY`], [`SAMPLE`] or [`WATCH`].
    pub mode: u32,
    /// The destination to look out for.
    pub destination: u32,
    /// When it was first seen, on the monotonic clock in nanoseconds; 0 before that.
    pub seen_at: u64,
}

/// Where a program that translates nothing sends what comes by one interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Interface to leave by.
    pub ifindex: u32,
    /// Ethernet addresses, destination first, as they stand in the frame.
    pub ethernet: [u8; 12],
}

/// A copied frame; `S` is [`SHORT`] or [`LONG`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Seen<const S: usize> {
    /// Bytes of the frame.
    pub length: u32,
    /// The frame; what lies behind its length is undefined.
    pub frame: [u8; S],
}
