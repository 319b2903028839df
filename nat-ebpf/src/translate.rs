//! Step 4, rewrite: which checksums follow a change of addresses, checked before anything is written, then written.

use nat_common::abi::PublicAddr;
use nat_common::checksum::{self, Delta};
use nat_common::icmp::{self, Kind};
use nat_common::ipv4::{self, Rewrite, protocol};
use nat_common::pairs::Outbound;
use nat_common::transport;
use nat_common::verdict::Verdict;
use network_types::ip::Ipv4Hdr;

use crate::lookup::Binding;
use crate::maps;
use crate::packet::Packet;
use crate::parse::{self, Datagram};

/// What behind the IP header has to follow its addresses. Plain data without options: a value that is only there
/// sometimes is, to the verifier, memory read before it was written.
pub struct Payload {
    /// ICMP type; 0, an echo reply, where the packet does not start an ICMP message.
    pub message_type: u8,
    change: Change,
    /// New addresses of the packet an ICMP error quotes.
    quoted: Rewrite,
}

#[derive(Clone, Copy)]
enum Change {
    /// Nothing: the addresses are in no other checksum, or it lies in another fragment.
    Nothing,
    /// The transport checksum.
    Checksum,
    /// The packet quoted by an ICMP error.
    Quotation,
}

/// Decides what must change in the payload, or why the packet cannot be translated.
#[inline(always)]
pub fn check(packet: &mut Packet, datagram: &Datagram, binding: &Binding) -> Result<Payload, Verdict> {
    let ip = datagram.ip();
    let mut payload = Payload { message_type: 0, change: Change::Nothing, quoted: binding.rewrite };
    if ip.proto == protocol::AH {
        return Err(Verdict::AhUntranslatable);
    }
    if ipv4::fragment_offset(&ip) != 0 {
        // TCP at offset 1 is an attempt to overwrite the flags of the first fragment (RFC 3128).
        let overwrites_flags = ip.proto == protocol::TCP && ipv4::fragment_offset(&ip) == 1;
        return if overwrites_flags { Err(Verdict::TinyFragment) } else { Ok(payload) };
    }
    if ip.proto == protocol::ICMP {
        require(datagram, icmp::HEADER, icmp::HEADER)?;
        let message_type = parse::icmp_type(packet, datagram).ok_or(Verdict::TruncatedTransport)?;
        payload.message_type = message_type;
        match icmp::kind(message_type) {
            Kind::Query => {}
            Kind::Redirect => return Err(Verdict::IcmpRedirect),
            Kind::RouterDiscovery => return Err(Verdict::IcmpRouterDiscovery),
            Kind::Error => {
                if let Some(verdict) = check_quotation(packet, datagram, binding, &mut payload.quoted) {
                    return Err(verdict);
                }
                payload.change = Change::Quotation;
            }
        }
    } else if let Some(checksum) = transport::checksum_of(ip.proto) {
        require(datagram, checksum.header, checksum.end())?;
        check_finished(packet, datagram, datagram.transport() + checksum.offset)?;
        payload.change = Change::Checksum;
    }
    Ok(payload)
}

/// A whole packet holds at least a transport header, a first fragment at least the bytes we have to change.
#[inline(always)]
fn require(datagram: &Datagram, header: usize, first_fragment: usize) -> Result<(), Verdict> {
    if ipv4::more_fragments(&datagram.ip()) {
        if datagram.payload() < first_fragment { Err(Verdict::TinyFragment) } else { Ok(()) }
    } else {
        if datagram.payload() < header { Err(Verdict::TruncatedTransport) } else { Ok(()) }
    }
}

/// Refuses a packet whose checksum its sender's stack left to hardware. XDP cannot see that mark, and an incremental
/// update of an unfinished sum would turn it into garbage.
#[inline(always)]
fn check_finished(packet: &mut Packet, datagram: &Datagram, offset: usize) -> Result<(), Verdict> {
    let ip = datagram.ip();
    let offloaded = ip.proto == protocol::TCP || ip.proto == protocol::UDP;
    if !offloaded || ipv4::more_fragments(&ip) {
        return Ok(());
    }
    let field = match packet.span::<2>(offset) {
        Some(place) => place.half::<0>().to_ne_bytes(),
        None => packet.load(offset).ok_or(Verdict::TruncatedTransport)?,
    };
    let length = datagram.payload();
    let pseudo = transport::pseudo_header_sum(ip.src_addr, ip.dst_addr, ip.proto, length as u16);
    if !transport::looks_unfinished(field, pseudo) {
        return Ok(());
    }
    let sum = packet.sum(datagram.transport(), length).ok_or(Verdict::TruncatedTransport)?;
    if checksum::verifies(pseudo + sum as u32) { Ok(()) } else { Err(Verdict::UnfinishedChecksum) }
}

/// Finds the packet an ICMP error quotes and makes sure that a binding of ours can have sent it: an error goes to the
/// source it quotes, and a quoted destination inside a VPC is one of its bound instances (RFC 5508 REQ-4, REQ-5).
#[inline(never)]
fn check_quotation(packet: &Packet, datagram: &Datagram, binding: &Binding, rewrite: &mut Rewrite) -> Option<Verdict> {
    let quoted = datagram.payload() - icmp::HEADER;
    let Some(ip) = parse::quoted(packet, datagram) else { return Some(Verdict::MalformedQuotation) };
    let Some(header) = icmp::quoted_header_length(&ip, quoted) else { return Some(Verdict::MalformedQuotation) };
    if ip.proto == protocol::ICMP && ipv4::fragment_offset(&ip) == 0 && header < quoted {
        let message = packet.load(datagram.transport() + icmp::HEADER + header);
        let Some([message_type]) = message else { return Some(Verdict::MalformedQuotation) };
        if icmp::is_error_or_redirect(message_type) {
            return Some(Verdict::NestedIcmpError);
        }
    }
    if ip.src_addr != datagram.ip().dst_addr {
        return Some(Verdict::QuotationMismatch);
    }
    // The quoted packet went the other way, so its source is the error's destination.
    *rewrite = Rewrite { source: binding.rewrite.destination, destination: ip.dst_addr };
    if binding.source_vpc != 0 {
        let host = Outbound::unpack(maps::bound_instance(binding.source_vpc, ip.dst_addr));
        if host.public == PublicAddr::NONE {
            return Some(Verdict::QuotationMismatch);
        }
        rewrite.destination = host.public.0;
    }
    None
}

/// Writes the new addresses and every checksum that covers them. A failure can only be a frame that changed its
/// length since it was checked, which nothing does.
#[inline(always)]
pub fn write(packet: &mut Packet, datagram: &Datagram, binding: &Binding, payload: &Payload) -> Result<(), Verdict> {
    let mut ip = datagram.ip();
    let delta = ipv4::rewrite(&mut ip, binding.rewrite);
    let mut header = packet.span::<{ Ipv4Hdr::LEN }>(datagram.network).ok_or(Verdict::HeadersNotLinear)?;
    header.set_half::<10>(u16::from_ne_bytes(ip.check));
    header.set_word::<12>(u32::from_ne_bytes(ip.src_addr));
    header.set_word::<16>(u32::from_ne_bytes(ip.dst_addr));
    match payload.change {
        Change::Nothing => {}
        Change::Checksum => write_checksum(packet, datagram, delta).ok_or(Verdict::TruncatedTransport)?,
        Change::Quotation => {
            write_quotation(packet, datagram, &payload.quoted).ok_or(Verdict::MalformedQuotation)?;
        }
    }
    Ok(())
}

#[inline(always)]
fn write_checksum(packet: &mut Packet, datagram: &Datagram, delta: Delta) -> Option<()> {
    let checksum = transport::checksum_of(datagram.ip().proto)?;
    let offset = datagram.transport() + checksum.offset;
    if let Some(mut place) = packet.span::<2>(offset) {
        let mut field = place.half::<0>().to_ne_bytes();
        checksum.update(&mut field, delta);
        place.set_half::<0>(u16::from_ne_bytes(field));
        return Some(());
    }
    // In a later buffer of a multi-buffer frame.
    let mut field = packet.load(offset)?;
    checksum.update(&mut field, delta);
    packet.store(offset, &field)
}

#[inline(never)]
fn write_quotation(packet: &mut Packet, datagram: &Datagram, rewrite: &Rewrite) -> Option<()> {
    const CHECKSUM: usize = 2;
    let quoted = datagram.payload() - icmp::HEADER;
    let offset = datagram.transport() + icmp::HEADER;
    let mut ip = parse::quoted(packet, datagram)?;
    let header = icmp::quoted_header_length(&ip, quoted)?;
    let (addresses, mut written) = icmp::translate_quoted(&mut ip, *rewrite);
    packet.store(offset + ipv4::CHECKSUM_AND_ADDRESSES, &ipv4::checksum_and_addresses(&ip))?;
    if let Some(checksum) = icmp::quoted_checksum(&ip, header, quoted) {
        let offset = offset + header + checksum.offset;
        let old: [u8; 2] = packet.load(offset)?;
        let mut field = old;
        checksum.update(&mut field, addresses);
        packet.store(offset, &field)?;
        written = written.plus(Delta::of_word(old, field));
    }
    let at = datagram.transport() + CHECKSUM;
    let mut check: [u8; 2] = packet.load(at)?;
    written.apply(&mut check);
    packet.store(at, &check)
}
