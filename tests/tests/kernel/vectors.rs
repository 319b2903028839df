//! Single frames with a name and a reason: each trap of the packet path that one frame can show, and what comes out.
//!
//! A case says what arrives and rebuilds in full what must leave; [`Gateway`] compares byte for byte, verdict for
//! verdict, and with the reference.

/// Multi-buffer frames.
mod buffers;
/// Out, back, and an ICMP error about it.
mod chains;
/// Transport and header checksums.
mod checksums;
/// What is counted, and for whom.
mod counters;
/// The FIB's answers, TTL, MTU.
mod forwarding;
/// Fragments.
mod fragments;
/// ICMP errors and other ICMP that crosses the gateway.
mod icmp;
/// VLAN tags and links.
mod links;
/// What the monitor tells.
mod monitor;
/// IPv4 options.
mod options;
/// ICMP errors and ARP answers of the gateway's own.
mod replies;
/// What is refused, what is the kernel's, and that every frame has a verdict.
mod verdicts;

use std::net::Ipv4Addr;

use lab::frames::{Frame, Mac, Packet, diff, explain};
use lab::program::{Outcome, Program, XDP_DROP, XDP_PASS, XDP_REDIRECT};
use lab::reference::{Link, Neighbour, Pair, Side, World, frames_equal, judge};
use lab::standard::{HIDDEN_UPLINK, TAGGED_UPLINK, UPLINK, standard_world};
use nat_common::verdict::{Action, Verdict};

/// Whoever sends us a frame.
const SENDER: Mac = [2, 0xaa, 0, 0, 0, 1];
/// Hosts on the Internet behind the routers of the three uplinks.
const REMOTE: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 15);
const TAGGED_REMOTE: Ipv4Addr = Ipv4Addr::new(9, 9, 10, 15);
const HIDDEN_REMOTE: Ipv4Addr = Ipv4Addr::new(9, 9, 11, 15);

/// The program in the standard world, watched by the reference.
struct Gateway {
    world: World,
    program: Program,
}

impl Gateway {
    fn new() -> Self {
        let world = standard_world();
        Self { program: Program::load(&world), world }
    }

    /// What the program does with a frame, which is what the reference says.
    fn run(&mut self, ingress: u32, frame: &[u8]) -> Outcome {
        let judged = judge(&self.world, ingress, frame);
        let likely = Verdict::ALL.iter().find(|verdict| verdict.name() == judged.verdict);
        let likely = *likely.expect("the reference's names are the program's");
        let outcome = self.program.run_expecting(ingress, frame, likely);
        assert_eq!(outcome.verdict.name(), judged.verdict, "{}", explain(frame));
        assert_eq!(outcome.action, action(outcome.verdict), "{}", explain(frame));
        if let Some(expected) = judged.expected(frame) {
            frames_equal(expected, &outcome.frame).unwrap_or_else(|difference| {
                panic!("{difference}arrived:\n{}left:\n{}", explain(frame), explain(&outcome.frame))
            });
        }
        outcome
    }

    /// A frame has this verdict and leaves as these bytes, all of them.
    fn expect(&mut self, ingress: u32, frame: &[u8], verdict: Verdict, leaving: &[u8]) {
        let outcome = self.run(ingress, frame);
        let told = || {
            let difference = diff(leaving, &outcome.frame);
            format!("{difference}arrived:\n{}left:\n{}", explain(frame), explain(&outcome.frame))
        };
        assert_eq!(outcome.verdict, verdict, "{}", told());
        assert!(outcome.frame == leaving, "{}", told());
    }

    fn drops(&mut self, ingress: u32, frame: &[u8], verdict: Verdict) {
        assert_eq!(verdict.action(), Action::Drop);
        assert_eq!(self.run(ingress, frame).verdict, verdict, "{}", explain(frame));
    }

    /// A frame goes to the kernel as it is.
    fn passes(&mut self, ingress: u32, frame: &[u8], verdict: Verdict) {
        assert_eq!(verdict.action(), Action::Pass);
        self.expect(ingress, frame, verdict, frame);
    }

    /// A packet goes this way and changes nothing but its addresses, TTL and checksums: `build` makes of an empty
    /// packet both the one that arrives and the one that leaves.
    fn carries(&mut self, path: &Path, build: impl Fn(Packet) -> Packet) {
        let (arriving, leaving) = (build(path.arriving()), build(path.leaving()));
        self.expect(path.ingress.ifindex, &path.arrives(&arriving), path.verdict, &path.leaves(&leaving));
    }

    /// A packet that would go this way is dropped.
    fn refuses(&mut self, path: &Path, verdict: Verdict, build: impl Fn(Packet) -> Packet) {
        self.drops(path.ingress.ifindex, &path.arrives(&build(path.arriving())), verdict);
    }

    /// An ICMP error goes this way, about a packet that came the other way. `quoted` makes the packet that got lost,
    /// `wrap` the error about its bytes.
    fn carries_error(
        &mut self,
        path: &Path,
        quoted: impl Fn(Packet) -> Packet,
        wrap: impl Fn(Packet, &[u8]) -> Packet,
    ) {
        let ((source, destination), (new_source, new_destination)) = (path.before, path.after);
        let arriving = wrap(path.arriving(), &quoted(Packet::new(destination, source)).build());
        let leaving = wrap(path.leaving(), &quoted(Packet::new(new_destination, new_source)).build());
        self.expect(path.ingress.ifindex, &path.arrives(&arriving), path.verdict, &path.leaves(&leaving));
    }

    fn link(&self, ifindex: u32, tags: &[u16]) -> Link {
        self.world.link(ifindex, tags).expect("the standard world has it").clone()
    }

    /// An instance whose routes and neighbours are plain: the first or a later one of the VPC.
    fn plain(&self, vpc: u32, which: usize) -> Pair {
        let plain = |pair: &&Pair| pair.private.octets()[3] % 16 == 15;
        *self.world.pairs_of(vpc).iter().filter(plain).nth(which).expect("the standard world has two")
    }

    /// The downlink an instance is on.
    fn downlink(&self, pair: Pair) -> Link {
        let near = |link: &&Link| {
            link.side == (Side::Downlink { vpc: pair.vpc }) && lab::reference::within(pair.private, &link.connected)
        };
        self.world.links.iter().find(near).expect("every instance is on a link").clone()
    }

    /// From the Internet to an instance.
    fn inbound(&self, uplink: &Link, source: Ipv4Addr, pair: Pair) -> Path {
        self.path(uplink, (source, pair.public), (source, pair.private), Some(pair), Verdict::Inbound)
    }

    /// From an instance to the Internet.
    fn outbound(&self, pair: Pair, destination: Ipv4Addr) -> Path {
        let (before, after) = ((pair.private, destination), (pair.public, destination));
        self.path(&self.downlink(pair), before, after, None, Verdict::Outbound)
    }

    /// From an instance to another's public address.
    fn hairpin(&self, from: Pair, to: Pair) -> Path {
        let (before, after) = ((from.private, to.public), (from.public, to.private));
        self.path(&self.downlink(from), before, after, Some(to), Verdict::Hairpin)
    }

    fn path(
        &self,
        ingress: &Link,
        before: (Ipv4Addr, Ipv4Addr),
        after: (Ipv4Addr, Ipv4Addr),
        to: Option<Pair>,
        verdict: Verdict,
    ) -> Path {
        let (egress, next) = match (to, after.1) {
            (Some(pair), _) => (self.downlink(pair), pair.private),
            (None, TAGGED_REMOTE) => (self.link(TAGGED_UPLINK, &[300]), Ipv4Addr::new(203, 0, 113, 1)),
            (None, HIDDEN_REMOTE) => (self.link(HIDDEN_UPLINK, &[500]), Ipv4Addr::new(203, 0, 113, 129)),
            (None, _) => (self.link(UPLINK, &[]), Ipv4Addr::new(198, 51, 100, 1)),
        };
        let next = self.neighbour(egress.device, next);
        Path { ingress: ingress.clone(), egress, next, before, after, verdict }
    }

    fn neighbour(&self, device: u32, address: Ipv4Addr) -> Mac {
        let here = |known: &&(u32, Ipv4Addr, Neighbour)| known.0 == device && known.1 == address;
        match self.world.neighbours.iter().find(here) {
            Some((_, _, Neighbour::At(mac))) => *mac,
            other => panic!("{address} is {other:?}"),
        }
    }

    /// One way in, one out, one from instance to instance.
    fn ways(&self) -> [Path; 3] {
        let (one, other) = (self.plain(1, 0), self.plain(1, 1));
        [self.way_in(), self.way_out(), self.hairpin(one, other)]
    }

    fn way_in(&self) -> Path {
        self.inbound(&self.link(UPLINK, &[]), REMOTE, self.plain(1, 0))
    }

    fn way_out(&self) -> Path {
        self.outbound(self.plain(1, 0), REMOTE)
    }
}

/// A way through the gateway: by which links, and with which addresses before and after.
#[derive(Clone)]
struct Path {
    ingress: Link,
    egress: Link,
    /// MAC of the next hop.
    next: Mac,
    /// Source and destination.
    before: (Ipv4Addr, Ipv4Addr),
    after: (Ipv4Addr, Ipv4Addr),
    verdict: Verdict,
}

impl Path {
    /// An empty packet as it arrives.
    fn arriving(&self) -> Packet {
        Packet::new(self.before.0, self.before.1).ttl(64)
    }

    /// The same as it leaves.
    fn leaving(&self) -> Packet {
        Packet::new(self.after.0, self.after.1).ttl(63)
    }

    fn envelope(&self) -> Frame {
        Frame::new(SENDER, self.ingress.mac).tags(&self.ingress.tags)
    }

    fn arrives(&self, packet: &Packet) -> Vec<u8> {
        self.envelope().ip(packet).build()
    }

    fn leaves(&self, packet: &Packet) -> Vec<u8> {
        self.outgoing().ip(packet).build()
    }

    fn outgoing(&self) -> Frame {
        Frame::new(self.egress.mac, self.next).tags(&self.egress.tags)
    }
}

/// The XDP action that goes with a verdict.
fn action(verdict: Verdict) -> u32 {
    match verdict.action() {
        Action::Forward | Action::Reply => XDP_REDIRECT,
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
    }
}
