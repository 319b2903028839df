//! Raw frames on an interface, by `AF_PACKET`: the only code of the lab that talks to the kernel in C structures.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};

use super::namespace::Namespace;
use crate::frames::Mac;

/// Which way a frame went, seen from the interface it was seen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// A frame as the interface saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub direction: Direction,
    pub frame: Vec<u8>,
    /// The sender left the L4 checksum to hardware, so what the frame carries is not meant to be right.
    pub unfinished: bool,
}

/// A socket that sends frames exactly as they are given, and sees all that pass.
pub struct Wire {
    socket: OwnedFd,
    pub mac: Mac,
}

/// Larger than any frame a lab carries.
pub const LONGEST: usize = 1 << 17;
/// Room for a burst while the reader waits for a CPU.
const QUEUE: i32 = 64 << 20;

impl Wire {
    /// A socket for sending on an interface, which keeps nothing of what it sees.
    pub fn sender(namespace: &Namespace, interface: &str) -> Result<Self> {
        let mac = namespace.mac(interface)?;
        let socket = namespace.run(|| packet_socket(interface, 0));
        Ok(Self { socket: socket.with_context(|| format!("cannot send on {interface} of {}", namespace.name))?, mac })
    }

    /// A socket that sees every frame on an interface, both ways, also those for others.
    pub fn observer(namespace: &Namespace, interface: &str) -> Result<Self> {
        let mac = namespace.mac(interface)?;
        let socket = namespace.run(|| {
            let socket = packet_socket(interface, libc::ETH_P_ALL as u16)?;
            set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &QUEUE)?;
            set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
            // SAFETY: a structure of plain integers, for which zero is a value.
            let mut membership: libc::packet_mreq = unsafe { zeroed() };
            membership.mr_ifindex = index_of(interface)?;
            membership.mr_type = libc::PACKET_MR_PROMISC as u16;
            set(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
            Ok::<_, io::Error>(socket)
        });
        Ok(Self { socket: socket.with_context(|| format!("cannot watch {interface} of {}", namespace.name))?, mac })
    }

    /// Sends a frame, whatever it says about itself.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        // SAFETY: the pointer and the length describe the slice, which outlives the call.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error()).with_context(|| format!("cannot send {} bytes", frame.len()));
        }
        Ok(())
    }

    /// The next frame that waits to be read, if one does. An interface that went down or away is no frame.
    pub fn receive(&self, buffer: &mut [u8; LONGEST]) -> Option<Seen> {
        let mut control = [0_u64; 16];
        // SAFETY: two structures of integers and pointers, for which zero is a value.
        let (mut sender, mut message): (libc::sockaddr_ll, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST };
        message.msg_name = (&raw mut sender).cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        let length = loop {
            // SAFETY: every pointer of the message points to a live buffer of the length told beside it.
            let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
            match usize::try_from(length) {
                Ok(length) => break length,
                Err(_) if matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR | libc::ENETDOWN)) => {}
                Err(_) => return None,
            }
        };
        let mut frame = buffer[..length.min(LONGEST)].to_vec();
        let direction = if sender.sll_pkttype == libc::PACKET_OUTGOING { Direction::Out } else { Direction::In };
        let aux = auxiliary(&message);
        if let Some(aux) = aux.filter(|aux| aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0) {
            // The kernel takes the outer tag off before it shows a frame.
            let tpid = if aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { aux.tp_vlan_tpid } else { 0x8100 };
            let tag = [tpid.to_be_bytes(), aux.tp_vlan_tci.to_be_bytes()].concat();
            frame.splice(12..12, tag);
        }
        let unfinished = aux.is_some_and(|aux| aux.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0);
        Some(Seen { direction, frame, unfinished })
    }

    /// How many frames the kernel has thrown away since this was last asked because nobody read them in time.
    pub fn missed(&self) -> Result<u32> {
        // SAFETY: a structure of plain integers, for which zero is a value.
        let mut counts: libc::tpacket_stats = unsafe { zeroed() };
        let mut length = size_of_val(&counts) as u32;
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
        let into = (&raw mut counts).cast();
        // SAFETY: the pointer and the length describe the structure, which outlives the call.
        let got = unsafe { libc::getsockopt(self.socket.as_raw_fd(), level, option, into, &raw mut length) };
        if got < 0 { Err(io::Error::last_os_error().into()) } else { Ok(counts.tp_drops) }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A raw socket bound to an interface of the calling thread's namespace; it receives the given protocol, 0 for none.
fn packet_socket(interface: &str, protocol: u16) -> io::Result<OwnedFd> {
    // SAFETY: takes integers and returns a new descriptor or -1.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made the descriptor for us, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: a structure of plain integers, for which zero is a value.
    let mut place: libc::sockaddr_ll = unsafe { zeroed() };
    place.sll_family = libc::AF_PACKET as u16;
    place.sll_protocol = protocol.to_be();
    place.sll_ifindex = index_of(interface)?;
    let length = size_of_val(&place) as u32;
    // SAFETY: the pointer and the length describe the structure, which outlives the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), length) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn index_of(interface: &str) -> io::Result<i32> {
    Ok(nix::net::if_::if_nametoindex(interface)?.cast_signed())
}

fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let from = std::ptr::from_ref(value).cast();
    // SAFETY: the pointer and the length describe the value, which outlives the call.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, from, size_of::<T>() as u32) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn auxiliary(message: &libc::msghdr) -> Option<libc::tpacket_auxdata> {
    // SAFETY: the kernel has filled the control buffer of the message, which is still alive.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the macros returned a pointer to a whole header inside the control buffer.
        let control = unsafe { *header };
        if (control.cmsg_level, control.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
            // SAFETY: data of this type is the structure read; it need not be aligned.
            return Some(unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() });
        }
        // SAFETY: as above for the message and the current header.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}
