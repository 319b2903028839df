//! What the tests between namespaces begin with: a lab, the daemon, two instances with public addresses and one without.

use std::net::Ipv4Addr;

use lab::frames::{Frame, ICMP, IPV4, Ip, Packet, payload};
use lab::lab::{A, B, C, Lab, Link, Namespace, Settings, Wire};

/// Of the routed pool; serves `a`.
pub const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// Of the pool on the link to the router; serves `b`.
pub const DATABASE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 70);
/// Of the routed pool and bound to nothing.
pub const UNBOUND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 14);

/// The usual lab, serving.
pub fn scene() -> Lab {
    play(Lab::new().unwrap())
}

/// A lab with other MTUs, serving.
pub fn scene_with_mtu(links: &[(Link, u32)]) -> Lab {
    let builder = links.iter().fold(Lab::builder(), |builder, (link, mtu)| builder.mtu(*link, *mtu));
    play(builder.build().unwrap())
}

fn play(lab: Lab) -> Lab {
    lab.daemon.start(Settings::default()).unwrap();
    populate(&lab);
    lab
}

/// Makes the instances known to a daemon that serves.
pub fn populate(lab: &Lab) {
    lab.instance_with("web", A, &WEB.to_string()).unwrap();
    lab.instance_with("database", B, &DATABASE.to_string()).unwrap();
    lab.private_instance("private", C).unwrap();
}

/// The IPv4 packet in a frame.
pub fn packet(frame: &[u8]) -> Option<Ip<'_>> {
    let (ethertype, start) = payload(frame)?;
    Ip::parse(&frame[start..]).filter(|_| ethertype == IPV4)
}

/// The packet's bytes, without what pads the frame.
pub fn bytes(frame: &[u8]) -> Option<&[u8]> {
    packet(frame).map(|ip| &ip.0[..ip.end()])
}

pub fn is_icmp(frame: &[u8], kind: u8, code: u8) -> bool {
    packet(frame).is_some_and(|ip| ip.protocol() == ICMP && ip.payload().get(..2) == Some(&[kind, code]))
}

pub fn is_between(frame: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> bool {
    packet(frame).is_some_and(|ip| (ip.source(), ip.destination()) == (source, destination))
}

/// A sender of packets by way of a host's first hop.
pub struct Sender {
    wire: Wire,
    next_hop: [u8; 6],
}

impl Sender {
    pub fn internet(lab: &Lab) -> Self {
        Self::new(&lab.internet, "eth0", &lab.router, "inet0")
    }

    /// Straight to the gateway, as the router would.
    pub fn router(lab: &Lab) -> Self {
        Self::new(&lab.router, "gate0", &lab.gateway, "up0")
    }

    pub fn instance(lab: &Lab, instance: &Namespace) -> Self {
        Self::new(instance, "eth0", &lab.gateway, "down0")
    }

    fn new(host: &Namespace, interface: &str, hop: &Namespace, theirs: &str) -> Self {
        Self { wire: Wire::sender(host, interface).unwrap(), next_hop: hop.mac(theirs).unwrap() }
    }

    pub fn send(&self, packet: &Packet) {
        self.send_bytes(&packet.build());
    }

    pub fn send_bytes(&self, packet: &[u8]) {
        self.send_frame(&Frame::new(self.wire.mac, self.next_hop).carry(IPV4, packet).padded());
    }

    pub fn send_frame(&self, frame: &Frame) {
        self.wire.send(&frame.build()).unwrap();
    }

    /// A frame of this host to its next hop, to be filled.
    pub fn frame(&self) -> Frame {
        Frame::new(self.wire.mac, self.next_hop)
    }
}

/// Sends a ping of so many bytes with more options; what it prints, which must tell of an answer to each.
pub fn ping(from: &Namespace, to: Ipv4Addr, options: &[&str]) -> String {
    let to = to.to_string();
    let words = [&["ping", "-n", "-c", "2", "-i", "0.05", "-W", "3"], options, &[to.as_str()]].concat();
    from.tell(&words).unwrap()
}

/// The shape of a lab whose instances sit behind a hop of 1400 bytes.
pub const NARROW_INSIDE: [(Link, u32); 2] = [(Link::Downlink, 1400), (Link::Instances, 1400)];
