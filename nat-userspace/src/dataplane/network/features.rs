//! What a driver says it can do with XDP, by generic netlink (family `netdev`, Linux 6.3 and later).

use std::io;

use anyhow::{Context as _, Result, bail};
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use rtnetlink::sys::{Socket, SocketAddr};

/// The features that a gateway needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// Programs run in the driver.
    pub basic: bool,
    /// They may redirect.
    pub redirect: bool,
    /// The device sends frames that are redirected to it, as it is at present.
    pub transmit: bool,
    /// Frames of several buffers are received ...
    pub segments: bool,
    /// ... and sent where they are redirected to it, as it is at present.
    pub transmit_segments: bool,
}

const ERROR: u16 = 2;
const REQUEST: u16 = 1;
/// Message type of the controller, which knows the number of every family.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const DEVICE_GET: u8 = 1;
const IFINDEX: u16 = 1;
const FEATURES: u16 = 3;
/// Bytes in front of the attributes: the headers of netlink and of generic netlink.
const HEADERS: usize = 20;

/// Asks the kernel about a device of this network namespace.
///
/// # Errors
/// Kernels older than 6.3 among others.
pub fn xdp_features(ifindex: u32) -> Result<XdpFeatures> {
    let mut socket = Socket::new(NETLINK_GENERIC).context("opening a netlink socket")?;
    socket.bind_auto().context("binding a netlink socket")?;
    let families = ask(&socket, &message(CONTROLLER, GET_FAMILY, FAMILY_NAME, b"netdev\0"))?;
    let family = attribute(&families, FAMILY_ID).and_then(|id| id.try_into().ok()).map(u16::from_ne_bytes);
    let family = family.context("the kernel has no netlink family netdev")?;
    let device = ask(&socket, &message(family, DEVICE_GET, IFINDEX, &ifindex.to_ne_bytes()))?;
    let flags = attribute(&device, FEATURES).and_then(|flags| flags.try_into().ok()).map(u64::from_ne_bytes);
    let flags = flags.context("the kernel's answer has no features")?;
    let has = |bit: u32| flags & (1 << bit) != 0;
    Ok(XdpFeatures { basic: has(0), redirect: has(1), transmit: has(2), segments: has(5), transmit_segments: has(6) })
}

fn message(kind: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let mut text = vec![0; 4];
    text.extend(kind.to_ne_bytes());
    text.extend(REQUEST.to_ne_bytes());
    text.extend([0; 8]);
    text.extend([command, 1, 0, 0]);
    text.extend(((4 + value.len()) as u16).to_ne_bytes());
    text.extend(attribute.to_ne_bytes());
    text.extend(value);
    text.resize(text.len().next_multiple_of(4), 0);
    let length = text.len() as u32;
    text[..4].copy_from_slice(&length.to_ne_bytes());
    text
}

/// The attributes of the answer.
fn ask(socket: &Socket, question: &[u8]) -> Result<Vec<u8>> {
    socket.send_to(question, &SocketAddr::new(0, 0), 0).context("asking the kernel")?;
    let (answer, _) = socket.recv_from_full().context("waiting for the kernel's answer")?;
    let kind = answer.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
    if kind == Some(ERROR) {
        let code = answer.get(16..20).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
        bail!("the kernel refused: {}", io::Error::from_raw_os_error(-code));
    }
    Ok(answer.get(HEADERS..).unwrap_or_default().to_vec())
}

/// The value of an attribute.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    const NESTED: u16 = 0xc000;
    loop {
        let header: [u8; 4] = attributes.get(..4)?.try_into().ok()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([header[2], header[3]]) & !NESTED == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_behind_others_and_nothing_beyond_the_end() {
        let first = message(0, 0, 7, b"abc");
        let second = message(0, 0, 9, &5u32.to_ne_bytes());
        let all = [&first[HEADERS..], &second[HEADERS..]].concat();
        assert_eq!(attribute(&all, 9), Some(&5u32.to_ne_bytes()[..]));
        assert_eq!(attribute(&all, 7), Some(&b"abc"[..]));
        assert_eq!(attribute(&all, 8), None);
        assert_eq!(attribute(&all[..10], 9), None);
    }
}
