//! Raw system calls that no library we use wraps: the only unsafe of this crate.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use aya::Pod;
use aya::maps::{MapData, MapError};

use tokio::io::unix::AsyncFd;

/// Ethertype of ARP, host order.
const ETH_P_ARP: u16 = 0x0806;

/// Where a frame was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Bytes of the frame.
    pub length: usize,
    /// Interface it was seen on.
    pub ifindex: u32,
    /// Whether this host sent it.
    pub outgoing: bool,
}

/// A packet socket that sees the ARP of every interface and can send any frame.
pub struct ArpSocket(OwnedFd);

impl ArpSocket {
    /// Opens the socket; takes CAP_NET_RAW.
    pub fn open() -> io::Result<ArpSocket> {
        let protocol = i32::from(ETH_P_ARP.to_be());
        // SAFETY: takes integers only.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just handed out this descriptor, and nothing else owns it.
        Ok(ArpSocket(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Waits up to `milliseconds` for a frame; `None` where none came.
    pub fn receive(&self, buffer: &mut [u8], milliseconds: i32) -> io::Result<Option<Seen>> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd, and its count.
        let ready = unsafe { libc::poll(&mut poll, 1, milliseconds) };
        if ready <= 0 {
            return if ready == 0 { Ok(None) } else { Err(io::Error::last_os_error()) };
        }
        // SAFETY: a struct of integers, for which zero is a value.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the buffer is writable for its length, and `from` for `size` bytes.
        let length = unsafe {
            libc::recvfrom(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut from).cast(),
                &mut size,
            )
        };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let outgoing = from.sll_pkttype == libc::PACKET_OUTGOING;
        Ok(Some(Seen { length, ifindex: from.sll_ifindex as u32, outgoing }))
    }

    /// Sends a whole frame out of an interface.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // SAFETY: a struct of integers, for which zero is a value.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = ifindex as i32;
        // SAFETY: the frame is readable for its length, and `to` is a socket address of the size given.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// ethtool's question for generic receive offload.
pub const GET_GRO: u32 = 0x2b;
const SET_GRO: u32 = 0x2c;
/// ethtool's question for a word of flags.
pub const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
/// Received VLAN tags are taken off frames.
const FLAG_RX_VLAN: u32 = 1 << 8;
/// Received packets are joined by the driver.
pub const FLAG_LRO: u32 = 1 << 15;

/// Turns generic receive offload of an interface on or off, if told to; answers what it was.
///
/// # Errors
/// Those of the ethtool request, for a device that has no such switch among others.
pub fn gro(interface: &str, set: Option<bool>) -> io::Result<bool> {
    let before = ethtool_value(interface, GET_GRO)? != 0;
    if let Some(on) = set.filter(|on| *on != before) {
        ethtool(interface, SET_GRO, u32::from(on))?;
    }
    Ok(before)
}

/// Lets an interface take VLAN tags off received frames or leave them on, if told to; answers what it did before.
///
/// # Errors
/// Those of the ethtool request, for a device that can do nothing else among others.
pub fn vlan_stripping(interface: &str, set: Option<bool>) -> io::Result<bool> {
    let flags = ethtool_value(interface, GET_FLAGS)?;
    let before = flags & FLAG_RX_VLAN != 0;
    if set.is_some_and(|on| on != before) {
        ethtool(interface, SET_FLAGS, flags ^ FLAG_RX_VLAN)?;
    }
    Ok(before)
}

/// The answer to one of ethtool's questions that have a word for an answer.
///
/// # Errors
/// Those of the ethtool request.
pub fn ethtool_value(interface: &str, question: u32) -> io::Result<u32> {
    ethtool(interface, question, 0)
}

fn ethtool(interface: &str, command: u32, data: u32) -> io::Result<u32> {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    // SAFETY: takes integers only.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed out this descriptor, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut value = Value { command, data };
    // SAFETY: a struct of integers and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names a NUL-terminated interface and points to a value the kernel may write.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}

/// What the kernel knows of its clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Whether something such as NTP keeps it right.
    pub synchronised: bool,
    /// How far off it may be.
    pub worst_microseconds: i64,
}

/// Asks the kernel about its clock.
///
/// # Errors
/// Those of `adjtimex`.
pub fn clock() -> io::Result<Clock> {
    // SAFETY: a struct of integers, for which zero is a value; no mode bit asks for a change.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is writable.
    if unsafe { libc::adjtimex(&mut state) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Clock { synchronised: state.status & libc::STA_UNSYNC == 0, worst_microseconds: state.maxerror })
}

/// Now on the clock the program reads, in nanoseconds.
pub fn monotonic_nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The elements of an array map, as memory this process shares with the kernel and the program: a store is in effect on
/// the next packet.
pub struct Words {
    start: NonNull<AtomicU64>,
    length: usize,
}

// SAFETY: the memory belongs to no thread, and all access to it is atomic.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps `length` words of 64 bits of an array map made with `BPF_F_MMAPABLE`, whose element size is a multiple of
    /// eight bytes.
    ///
    /// # Errors
    /// Those of `mmap`: among others `EPERM` for a frozen map and `EINVAL` for one that is shorter.
    pub fn map(map: BorrowedFd<'_>, length: usize, writable: bool) -> io::Result<Words> {
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let size = length.max(1) * size_of::<u64>();
        // SAFETY: asks for a new mapping at an address of the kernel's choice; no memory of ours is touched.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Words { start, length }),
            None => Err(io::Error::other("the kernel mapped a map at address zero")),
        }
    }

    /// As many, all 0, in memory that no program reads.
    #[cfg(test)]
    pub fn in_memory(length: usize) -> Words {
        let memory = nix::sys::memfd::memfd_create(c"words", nix::sys::memfd::MFdFlags::empty()).unwrap();
        nix::unistd::ftruncate(&memory, (length * size_of::<u64>()) as i64).unwrap();
        Words::map(std::os::fd::AsFd::as_fd(&memory), length, true).unwrap()
    }

    /// The words. Those of a read-only mapping must not be written: that ends the process.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `length` words long and stays until drop; whoever else writes to it, the
        // program and other mappings, does so by machine words, which is what an atomic is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: start and size are those of the mapping, and the borrow checker has ended every use of it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length.max(1) * size_of::<u64>()) };
    }
}

/// Waits until every packet that was in the program's hands when this was called has left it: an RCU grace period, since
/// XDP runs inside a read-side section. Takes some ten milliseconds.
pub fn grace_period() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes integers only.
    let status = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if status != 0 {
        // Kernels with CPUs free of ticks have no such call. No packet is in the program's hands for as long as this.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Arguments of the batch commands of `bpf(2)`, as in the kernel's `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;

/// Most entries that go to or come from the kernel in one call.
const BATCH: usize = 4096;

fn batch(command: libc::c_int, arguments: &mut Batch) -> io::Result<()> {
    // SAFETY: the arguments are of the size given, and their callers below have them point to buffers of `count`
    // elements of the map's key and value size.
    let status = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(arguments), size_of::<Batch>()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Opens what is pinned under a path: a map, a program or a link.
///
/// # Errors
/// Those of `BPF_OBJ_GET`, among them `ENOENT`, and `EINVAL` for a file that is no pin.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Get {
        path: u64,
        fd: u32,
        flags: u32,
    }
    const BPF_OBJ_GET: libc::c_int = 7;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut arguments = Get { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the arguments are of the size given and point to a NUL-terminated path that outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, &raw mut arguments, size_of::<Get>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed out this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Takes a link off its interface at once; whoever still holds it holds nothing.
///
/// # Errors
/// Those of `BPF_LINK_DETACH`.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    const BPF_LINK_DETACH: libc::c_int = 34;
    let mut argument = link.as_raw_fd() as u32;
    // SAFETY: the argument is an integer, of the size given.
    let status = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw mut argument, size_of::<u32>()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Replaces the program of a link, from the next packet on, if it is still this one where one is named.
///
/// # Errors
/// Those of `BPF_LINK_UPDATE`: `EPERM` where it is another one, `ENOLINK` where the interface is gone.
pub fn replace_program(
    link: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    before: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    #[repr(C)]
    struct Update {
        link: u32,
        program: u32,
        flags: u32,
        before: u32,
    }
    const BPF_LINK_UPDATE: libc::c_int = 29;
    const BPF_F_REPLACE: u32 = 1 << 2;
    let [link, program] = [link, program].map(|fd| fd.as_raw_fd() as u32);
    let (flags, before) = before.map_or((0, 0), |fd| (BPF_F_REPLACE, fd.as_raw_fd() as u32));
    let mut arguments = Update { link, program, flags, before };
    // SAFETY: the arguments are integers, of the size given.
    let status = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_UPDATE, &raw mut arguments, size_of::<Update>()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A hash map, for many entries in one call.
pub struct Bulk {
    map: MapData,
    /// Bytes of a key and of a value, as the kernel says.
    sizes: (u32, u32),
}

impl Bulk {
    /// Asks the kernel for the map's sizes.
    pub fn new(map: MapData) -> Result<Bulk, MapError> {
        let info = map.info()?;
        Ok(Bulk { sizes: (info.key_size(), info.value_size()), map })
    }

    fn number(&self) -> u32 {
        self.map.fd().as_fd().as_raw_fd() as u32
    }

    /// Every entry, in no order. An entry that changes meanwhile may be missing or appear twice.
    ///
    /// # Errors
    /// Those of `BPF_MAP_LOOKUP_BATCH`; types of other sizes than the map's are refused.
    pub fn entries<K: Pod, V: Pod>(&self) -> io::Result<Vec<(K, V)>> {
        self.check_sizes::<K, V>()?;
        let mut entries = Vec::new();
        let mut room = BATCH;
        // Where the walk stands; the kernel writes four bytes, or a key's worth for other kinds of map.
        let (mut from, mut next) = ([0u8; 64], [0u8; 64]);
        let mut first = true;
        loop {
            let mut keys: Vec<K> = Vec::with_capacity(room);
            let mut values: Vec<V> = Vec::with_capacity(room);
            let mut arguments = Batch {
                in_batch: if first { 0 } else { from.as_ptr() as u64 },
                out_batch: next.as_mut_ptr() as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: room as u32,
                map_fd: self.number(),
                ..Batch::default()
            };
            let outcome = batch(BPF_MAP_LOOKUP_BATCH, &mut arguments);
            let last = match outcome {
                Ok(()) => false,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                // One bucket holds more entries than there was room for.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 24 => {
                    room *= 4;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let count = (arguments.count as usize).min(room);
            // SAFETY: the kernel has written `count` keys and values, at most the `room` there is, and any bytes are a value
            // of a `Pod` type.
            unsafe {
                keys.set_len(count);
                values.set_len(count);
            }
            entries.extend(keys.into_iter().zip(values));
            if last {
                return Ok(entries);
            }
            from = next;
            first = false;
        }
    }

    /// Inserts or replaces entries. Answers how many were written, those before the one that the kernel refused, and why it
    /// did: an error of `BPF_MAP_UPDATE_BATCH`, `E2BIG` for a full map among them. Types of other sizes than the map's are
    /// refused.
    pub fn insert<K: Pod, V: Pod>(&self, entries: &[(K, V)]) -> (usize, Option<io::Error>) {
        if let Err(error) = self.check_sizes::<K, V>() {
            return (0, Some(error));
        }
        let mut written = 0;
        for part in entries.chunks(BATCH) {
            let (keys, values): (Vec<K>, Vec<V>) = part.iter().copied().unzip();
            let mut arguments = Batch {
                keys: keys.as_ptr() as u64,
                values: values.as_ptr() as u64,
                count: part.len() as u32,
                map_fd: self.number(),
                ..Batch::default()
            };
            let outcome = batch(BPF_MAP_UPDATE_BATCH, &mut arguments);
            if let Err(error) = outcome {
                return (written + (arguments.count as usize).min(part.len()), Some(error));
            }
            written += part.len();
        }
        (written, None)
    }

    /// The kernel reads and writes as many bytes as the map says, so a type of another size would be read beyond its end.
    fn check_sizes<K, V>(&self) -> io::Result<()> {
        let (key, value) = self.sizes;
        if (key as usize, value as usize) == (size_of::<K>(), size_of::<V>()) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the map's keys and values are of another size"))
    }
}

/// Registers a descriptor with the runtime.
pub fn watch<T: AsRawFd + AsFd>(inner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is owned or borrowed by `inner`, which the returned value keeps and gives out only by reference, so it
    // stays open and the same for as long as it is registered.
    unsafe { AsyncFd::register(inner) }.map_err(io::Error::from)
}
