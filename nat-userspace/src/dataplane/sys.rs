//! Raw system calls that no library we use wraps: the only unsafe of this crate.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

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

/// Turns generic receive offload of an interface on or off; answers what it was.
///
/// # Errors
/// Those of the ethtool request, for a device that has no such switch among others.
pub fn set_gro(interface: &str, on: bool) -> io::Result<bool> {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    const GET: u32 = 0x2b;
    const SET: u32 = 0x2c;
    // SAFETY: takes integers only.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed out this descriptor, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let ask = |command: u32, data: u32| -> io::Result<u32> {
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
    };
    let before = ask(GET, 0)? != 0;
    if before != on {
        ask(SET, u32::from(on))?;
    }
    Ok(before)
}

/// Now on the clock the program reads, in nanoseconds.
pub fn monotonic_nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Registers a descriptor with the runtime.
pub fn watch<T: std::os::fd::AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is owned by `inner`, which the returned value keeps and gives out only by reference, so it
    // stays open and the same for as long as it is registered.
    unsafe { AsyncFd::register(inner) }.map_err(io::Error::from)
}
